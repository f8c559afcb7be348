"""Records as files, in the dialects that shops use."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl

Record = dict[str, Any]


@dataclass(frozen=True)
class Writing:
    """How records are written."""

    form: str
    encoding: str
    delimiter: str | None
    decimal: str
    thousands: bool
    symbol: str
    date_format: str
    title: bool
    """Whether lines stand above the header."""
    records: str
    """What the list of records is called in an envelope."""


def write_table(path: Path, records: list[Record], writing: Writing) -> None:
    """Write records; their cells are texts, numbers, lists of records, or a day and a number that
    makes a time of it.
    """
    if writing.form == "xlsx":
        _write_workbook(path, records, writing)
    elif writing.form == "csv":
        path.write_bytes(_csv(records, writing).encode(writing.encoding))
    else:
        plain = [_plain(record, writing) for record in records]
        texts = [json.dumps(record, ensure_ascii=False) for record in plain]
        text = "".join(f"{each}\n" for each in texts)
        if writing.form == "json":
            text = f"[{','.join(texts)}]"
        elif writing.form == "envelope":
            text = f'{{"as_of": "2024-12-31", "{writing.records}": [{",".join(texts)}]}}'
        path.write_text(text, encoding="utf-8")


def _csv(records: list[Record], writing: Writing) -> str:
    out = io.StringIO()
    if writing.title:
        out.write("Export 2024\r\n\r\n")
    writer = csv.writer(out, delimiter=writing.delimiter or ",", lineterminator="\r\n")
    writer.writerow(records[0])
    for record in records:
        writer.writerow([_text(cell, writing) for cell in record.values()])
    return out.getvalue()


def _text(cell: Any, writing: Writing) -> str:
    if isinstance(cell, tuple):
        return moment(cell).strftime(writing.date_format)
    if not isinstance(cell, Decimal | float):
        return str(cell)
    if isinstance(cell, float):  # it is no amount
        return f"{cell:.2f}".replace(".", writing.decimal)
    text = f"{cell:,.2f}" if writing.thousands else f"{cell:.2f}"
    other = "." if writing.decimal == "," else ","
    text = text.translate({ord(","): other, ord("."): writing.decimal})
    if not writing.symbol:
        return text
    return f"${text}" if writing.symbol == "$" else f"{text} {writing.symbol}"


def _plain(record: Record, writing: Writing) -> Record:
    """A record as JSON has it."""
    plain: Record = {}
    for name, cell in record.items():
        if isinstance(cell, list):
            plain[name] = [_plain(inner, writing) for inner in cell]
        elif isinstance(cell, tuple):
            plain[name] = moment(cell).strftime(writing.date_format)
        else:
            plain[name] = float(cell) if isinstance(cell, Decimal) else cell
    return plain


def _write_workbook(path: Path, records: list[Record], writing: Writing) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    if writing.title:
        sheet.title = "Info"
        sheet.append(["Export 2024"])
        sheet = book.create_sheet("Data")
    sheet.append(list(records[0]))
    for record in records:
        sheet.append([_cell(cell) for cell in record.values()])
    book.save(path)


def _cell(cell: Any) -> Any:
    if isinstance(cell, tuple):
        return cell[0]
    return float(cell) if isinstance(cell, Decimal) else cell


def moment(cell: tuple[date, int]) -> datetime:
    """A day and a number as a moment, at any time of the day."""
    day, number = cell
    return datetime.combine(day, time(number * 37 % 24, number * 11 % 60))

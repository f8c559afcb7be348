"""Excel workbooks: the rows of one sheet, as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa

from common.values import MAX_DETAIL, UNREADABLE, as_text, comma_text, first_line, text_array
from errors import SourceError
from sources.batches import ReadOptions, RefusedRecord, TextBatch, column_names
from sources.excel_book import Book, Sheet
from sources.excel_cells import excel_key
from sources.pieces import LocalPiece, OpenSource, Piece
from sources.streams import refuse_expansion

_HEADER_ROWS = 20
Row = tuple[int, Sequence[Any]]
"""A row's number (1 for the first) and its values."""


def open_excel(label: str, file: Path, options: ReadOptions) -> OpenSource:
    """Open the first visible sheet of an .xlsx workbook, whose first row is the header.

    Raises `SourceError` for a damaged file or a sheet without a header.
    """
    try:
        _refuse_bomb(label, file)
        book = Book(file)
        sheet, *others = [s for s in book.sheets if s.state == "visible"] or book.sheets
        rows = book.rows(sheet)
        first = next(rows, (1, []))
        below = list(islice(rows, _HEADER_ROWS))
        rows = chain(below, rows)
    except SourceError:
        raise
    except Exception as error:  # damage raises whatever exception comes up
        raise SourceError(f"{label}: not a whole Excel file ({first_line(error)})") from error
    columns = column_names(label, _header(label, sheet, others, first), options)
    dates = [_Dates(n, place) for place, n in enumerate(columns) if n.lower() in options.dates]
    cells = {number: [as_text(value) or "" for value in values] for number, values in below}
    opened = OpenSource(label, "excel", columns, iter(()), below=cells)
    if others:
        opened.warn(_unread(sheet, others))

    def pieces() -> Iterator[Piece]:
        with closing(book):
            try:
                while batch := list(islice(rows, options.batch_rows)):
                    for column in dates:
                        column.count(batch)
                    yield LocalPiece(partial(_parse_rows, batch, columns, options))
            except Exception as error:  # as above: damage further down
                raise SourceError(f"{label}: damaged ({first_line(error)})") from error
        opened.warn(*(note for column in dates for note in column.warnings()), *_merged(sheet))

    opened.pieces = pieces()
    return opened


def _refuse_bomb(label: str, file: Path) -> None:
    with ZipFile(file) as archive:
        for part in archive.infolist():
            refuse_expansion(label, part.compress_size, part.file_size)
        if "xl/workbook.xml" not in archive.namelist():
            raise SourceError(f"{label}: an archive inside another one; unpack one of them")


def _header(label: str, sheet: Sheet, others: Sequence[Sheet], first: Row) -> list[str]:
    """The names of the columns. Raises `SourceError` when the first row has none."""
    number, values = first
    fields = [as_text(value) or "" for value in values] if number == 1 else []
    while fields and not fields[-1].strip():
        fields.pop()
    if not fields:
        more = f" ({_unread(sheet, others)})" if others else ""
        raise SourceError(
            f"{label}: the first sheet, {sheet.title!r}, has no header in its first row; "
            f"put the sheet that holds the rows first, and its header into row 1{more}"
        )
    for place, field in enumerate(fields, 1):
        if field.startswith(UNREADABLE):
            raise SourceError(
                f"{label}: the header's cell {place} has no name, but {field.strip(UNREADABLE)}"
            )
    return fields


def _unread(sheet: Sheet, others: Iterable[Sheet]) -> str:
    titles = ", ".join(repr(other.title) for other in others)
    return f"only its first sheet, {sheet.title!r}, is read; not read: {titles}"


def _merged(sheet: Sheet) -> list[str]:
    """A warning about merged cells below the header; or []."""
    last_rows = (re.fullmatch(r"[A-Z]+\d+:[A-Z]+(\d+)", cells) for cells in sheet.merged)
    count = sum(1 for last in last_rows if last and int(last[1]) > 1)
    if not count:
        return []
    return [
        f"{count:,} groups of cells are merged; the first cell of each has the value, "
        "the others are read as blank: unmerge them"
    ]


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_rows(batch: Sequence[Row], columns: list[str], options: ReadOptions) -> TextBatch:
    """Rows as text. Blank rows are left out; a filled cell beyond the header refuses its row."""
    width, records = len(columns), 0
    good, lines, refused = [], [], []
    for number, values in batch:
        if all(map(_is_blank, values)):
            continue
        records += 1
        if not all(map(_is_blank, values[width:])):
            raw = "; ".join(as_text(value) or "" for value in values).replace(UNREADABLE, "")
            detail = f"more cells than the header's {width}: {raw[:MAX_DETAIL]}"
            refused.append(RefusedRecord(number, detail, raw))
            continue
        good.append([*values[:width], *[None] * (width - len(values))])
        lines.append(number)
    return TextBatch(_table(good, columns, options), np.array(lines, np.int64), refused, records)


def _table(rows: Sequence[Sequence[Any]], columns: list[str], options: ReadOptions) -> pa.Table:
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(columns)
    texts = [
        text_array(values, _text_rule(name.lower(), options))
        for name, values in zip(columns, by_column, strict=True)
    ]
    return pa.table(texts, names=columns)


def _text_rule(column: str, options: ReadOptions) -> Callable[[Any], str | None]:
    if column in options.keys - options.dates:
        return excel_key
    return comma_text if column in options.commas else as_text


_DAY_AND_MONTH = re.compile(r"\s*(\d{1,2})[-/. ](\d{1,2})[-/. ](?:\d{2}|\d{4})(?!\d)")
_SERIAL = re.compile(r"\s*[1-9]\d{4}(\.\d+)?\s*")


class _Dates:
    """Counts in a column of dates what Excel may have read wrongly when it opened a CSV file.

    Where Excel is set to a country that writes the month first, it reads 04/03/2024 as 3 April and
    leaves 25/03/2024 as text. So if a column has both dates and such texts, its dates probably have
    day and month swapped.
    """

    def __init__(self, name: str, place: int) -> None:
        self._name, self._place = name, place
        self._dates = self._texts = self._unlike = self._serials = 0

    def count(self, rows: Iterable[Row]) -> None:
        """Count the dates, texts and numbers in a batch, and the values that disprove a swap."""
        values = [row[self._place] for _, row in rows if len(row) > self._place]
        days = [value.day for value in values if isinstance(value, datetime)]
        others = [str(v) for v in values if isinstance(v, str | Decimal)]
        texts = filter(None, map(_DAY_AND_MONTH.match, others))
        over = [max(int(text[1]), int(text[2])) > 12 for text in texts]
        self._dates += len(days)
        self._texts += len(over)
        self._unlike += sum(day > 12 for day in days) + over.count(False)
        self._serials += sum(1 for other in others if _SERIAL.fullmatch(other))

    def warnings(self) -> Iterator[str]:
        """What to warn of, after all rows have been counted."""
        if self._dates and self._texts:
            swapped = (
                "are text: Excel may have read the dates with day and month swapped"
                if self._unlike
                else "are text with a day over 12: Excel has swapped day and month in the others"
            )
            yield (
                f"of {self._name}, {self._dates:,} cells are dates and {self._texts:,} {swapped}; "
                "export the column as text, or load the file that was opened in Excel"
            )
        if self._serials:
            yield (
                f"of {self._name}, {self._serials:,} cells are numbers such as Excel has for days; "
                "give the column a date format in Excel"
            )

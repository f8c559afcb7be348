"""Excel workbooks: the cells of one sheet, each with a type of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np

from blocks import (
    SHOWN,
    Block,
    Opened,
    Piece,
    Reading,
    Refused,
    as_text,
    column_names,
    first_line,
    rows_as_table,
)
from errors import SourceError
from places import refuse_expansion


def open_excel(shown: str, file: BinaryIO, reading: Reading) -> Opened:
    """The first visible sheet of an .xlsx workbook; its first row is the header."""
    import openpyxl  # 0.2 s that other sources do not need

    try:
        _refuse_bomb(shown, file)
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        sheet, *others = visible or book.worksheets
        sheet.reset_dimensions()  # many programs write a wrong one, which would hide cells
        rows = ([_cell_value(cell) for cell in row] for row in sheet.iter_rows())
        header = next(rows, [])
    except SourceError:
        raise
    except Exception as error:  # openpyxl meets damage with whatever exception comes up
        raise SourceError(f"{shown}: not a whole Excel file ({first_line(error)})") from error
    fields = [as_text(value) or "" for value in header]
    while fields and not fields[-1].strip():
        fields.pop()
    if not fields:
        raise SourceError(
            f"{shown}: the first sheet, {sheet.title!r}, has no header in its first row; "
            "put the sheet that holds the rows first, and its header into row 1"
        )
    columns = column_names(shown, fields)
    note = (
        f"{shown}: only its first sheet, {sheet.title!r}, is read; not read: "
        f"{', '.join(repr(other.title) for other in others)}"
    )

    def pieces() -> Iterator[Piece]:
        with closing(book):
            numbered = enumerate(rows, 2)
            try:
                while batch := list(islice(numbered, reading.batch_rows)):
                    yield partial(_parse_rows, batch, columns, reading.commas)
            except Exception as error:  # as above: damage further down
                raise SourceError(f"{shown}: damaged ({first_line(error)})") from error

    return Opened(shown, "excel", columns, pieces(), note=note if others else "")


_ZEROS = re.compile(r"(?:\[\$-[0-9A-Fa-f]+\])?(0{2,})")
"""A number's format in Excel, of whichever language, that shows leading zeros."""


def _cell_value(cell: Any) -> Any:
    """What a cell holds; a whole number with the leading zeros that it is shown with."""
    value = cell.value
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        return value
    try:
        zeros = _ZEROS.fullmatch(cell.number_format)
    except IndexError:  # a style that the workbook does not have
        return value
    return f"{int(value):0{len(zeros[1])}}" if zeros and value == int(value) else value


def _refuse_bomb(shown: str, file: BinaryIO) -> None:
    with ZipFile(file) as archive:
        for part in archive.infolist():
            refuse_expansion(shown, part.compress_size, part.file_size)
        if "xl/workbook.xml" not in archive.namelist():
            raise SourceError(f"{shown}: an archive inside another one; unpack one of them")


def _parse_rows(
    batch: Sequence[tuple[int, Sequence[Any]]], columns: list[str], commas: frozenset[str]
) -> Block:
    """Rows of values; blank rows are passed over, cells beyond the header make a malformed row."""
    width, records = len(columns), 0
    good, lines, refused = [], [], []
    for number, values in batch:
        if all(value is None for value in values):
            continue
        records += 1
        if any(value is not None for value in values[width:]):
            raw = "; ".join(as_text(value) or "" for value in values)
            detail = f"more cells than the header's {width}: {raw[:SHOWN]}"
            refused.append(Refused(number, detail, raw))
            continue
        good.append([*values[:width], *[None] * (width - len(values))])
        lines.append(number)
    return Block(rows_as_table(good, columns, commas), np.array(lines, np.int64), refused, records)

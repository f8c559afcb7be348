"""Workbooks: the rows of one sheet, as text."""

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
from zipfile import ZipFile, is_zipfile

import numpy as np
import pyarrow as pa

from common.values import MAX_DETAIL, UNREADABLE, as_text, comma_text, first_line, text_array
from errors import SourceError
from sources.batches import ReadOptions, RefusedRecord, TextBatch, column_names, plain_names
from sources.calamine_book import CalamineBook
from sources.excel_book import Book
from sources.excel_cells import excel_key
from sources.headers import LINES, Header, Row, find_header, lines_needed
from sources.ods_book import OdsBook
from sources.pieces import LocalPiece, OpenSource, Piece
from sources.sheets import Sheet, Workbook, chosen, listed, setting
from sources.streams import refuse_expansion

Line = tuple[int, Sequence[Any]]
"""A row's number (1 for the first) and its values."""


def open_excel(label: str, file: Path, options: ReadOptions) -> OpenSource:
    """Open a sheet of a workbook: the one that is set, or the first visible one.

    Raises `SourceError` for a damaged file, or a sheet that is not there or has no header.
    """
    try:
        book = open_book(label, file)
        sheet = chosen(label, book.sheets, options)
        rows = book.rows(sheet)
        below, header = _header(label, sheet, rows, options)
        hint = header.hint or _elsewhere(book, sheet, header, options)
        rows = chain(below, rows)
    except SourceError:
        raise
    except Exception as error:  # damage raises whatever exception comes up
        raise SourceError(f"{label}: not a whole Excel file ({first_line(error)})") from error
    columns = column_names(label, header.names, options)
    dates = [_Dates(n, place) for place, n in enumerate(columns) if n.lower() in options.dates]
    others = [s for s in book.sheets if s is not sheet and s.is_visible]
    opened = OpenSource(label, "excel", columns, iter(()), hint=hint)
    opened.warn(*filter(None, [header.note]))
    if others and not options.layout.sheet:
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
        merged = _merged(sheet, header.before)
        seen = (column.warnings(has_serials=options.has_serials) for column in dates)
        opened.warn(*chain.from_iterable(seen), *merged)

    opened.pieces = pieces()
    return opened


def open_book(label: str, file: Path) -> Workbook:
    """Open a workbook. Raises `SourceError`, or whatever a damaged one raises."""
    if not is_zipfile(file):
        return CalamineBook(label, file)
    with ZipFile(file) as archive:
        for part in archive.infolist():
            refuse_expansion(label, part.compress_size, part.file_size)
        names = archive.namelist()
    if "xl/workbook.xml" in names:
        return Book(file)
    if "content.xml" in names:
        return OdsBook(label, file)
    if "xl/workbook.bin" in names:
        return CalamineBook(label, file)
    raise SourceError(f"{label}: an archive inside another one; unpack one of them")


def _header(
    label: str, sheet: Sheet, rows: Iterator[Line], options: ReadOptions
) -> tuple[list[Line], Header]:
    """The header, and those of the first rows that are below it. Raises `SourceError`."""
    first = list(islice(rows, lines_needed(options)))
    found = [Row(number, number, _cells(values)) for number, values in first]
    if all(row.is_blank for row in found):
        raise SourceError(
            f"{label}: the sheet {sheet.title!r} has no header in its first {LINES} rows; if it "
            f"is further down, set {options.source.upper()}__HEADER_ROW; if another sheet holds "
            f"the rows, set {setting(options)} to its name"
        )
    header = find_header(label, found, options, "row")
    for place, field in enumerate(header.names if header.has_line else [], 1):
        if field.startswith(UNREADABLE):
            raise SourceError(
                f"{label}: the header's cell {place} has no name, but {field.strip(UNREADABLE)}"
            )
    return [row for row in first if row[0] > header.before], header


def _cells(values: Sequence[Any]) -> list[str]:
    """The texts of a row, without blank cells at its end."""
    texts = [as_text(value) or "" for value in values]
    while texts and not texts[-1].strip():
        texts.pop()
    return texts


def _elsewhere(book: Workbook, sheet: Sheet, header: Header, options: ReadOptions) -> str:
    """Where the required names are, if not in this sheet; '' if they are, or are nowhere."""
    layout = options.layout
    if not layout.required or layout.header or layout.bears(plain_names(header.names)):
        return ""
    bearing = [
        other
        for other in book.sheets
        if other is not sheet
        and any(
            layout.bears(plain_names(_cells(values)))
            for _, values in islice(book.rows(other), LINES)
        )
    ]
    if not bearing:
        return ""
    title = next((other for other in bearing if other.is_visible), bearing[0]).title
    return f"the sheet {listed(bearing)} has the required names: set {setting(options)}={title}"


def _unread(sheet: Sheet, others: Sequence[Sheet]) -> str:
    return f"only its first sheet, {sheet.title!r}, is read; not read: {listed(others)}"


def _merged(sheet: Sheet, header: int) -> list[str]:
    """A warning about merged cells below the header; or []."""
    last_rows = (re.fullmatch(r"[A-Z]+\d+:[A-Z]+(\d+)", cells) for cells in sheet.merged)
    count = sum(1 for last in last_rows if last and int(last[1]) > header)
    if not count:
        return []
    return [
        f"{count:,} groups of cells are merged; the first cell of each has the value, "
        "the others are read as blank: unmerge them, or fill them down by FILL_DOWN"
    ]


def is_blank(value: Any) -> bool:
    """Whether a cell has no value."""
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_rows(batch: Sequence[Line], columns: list[str], options: ReadOptions) -> TextBatch:
    """Rows as text. Blank rows are left out; a filled cell beyond the header refuses its row."""
    width, records = len(columns), 0
    good, lines, refused = [], [], []
    for number, values in batch:
        if all(map(is_blank, values)):
            continue
        records += 1
        if not all(map(is_blank, values[width:])):
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

    def count(self, rows: Iterable[Line]) -> None:
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

    def warnings(self, *, has_serials: bool) -> Iterator[str]:
        """What to warn of, after all rows have been counted; of numbers unless they are known to be
        days.
        """
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
        if self._serials and not has_serials:
            yield (
                f"of {self._name}, {self._serials:,} cells are numbers such as Excel has for days; "
                "give the column a date format in Excel, or add EXCEL to the source's DATE_FORMATS"
            )

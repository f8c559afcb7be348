"""Workbooks of old Excel (.xls), and binary ones (.xlsb).

They are read by calamine, a library in Rust, as a whole. It gives values and no formats, so leading
zeros that only a format shows are not there. It gives cells with an error as blank ones; these are
found beside it, see `error_cells`. A badly damaged file can end the process: so another process
reads each file first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

from errors import SourceError
from sources.error_cells import in_xls, in_xlsb
from sources.excel_cells import exact
from sources.sheets import Sheet

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook


_TRY = """
import sys
from python_calamine import CalamineWorkbook
try:
    with open(sys.argv[1], "rb") as content:
        book = CalamineWorkbook.from_filelike(content)
        for name in book.sheet_names:
            for row in book.get_sheet_by_name(name).iter_rows():
                pass
except BaseException:
    pass  # who reads it next will say what is wrong
"""
"""A program that ends well unless the file at its first argument ends it."""


class CalamineBook:
    """An open workbook. A damaged one raises any exception, or `SourceError`."""

    def __init__(self, label: str, file: Path) -> None:
        from python_calamine import (  # noqa: PLC0415  # only for such workbooks
            CalamineWorkbook,
            PasswordError,
            SheetTypeEnum,
            SheetVisibleEnum,
        )

        self._label = label
        status = file.stat()
        if not _is_read_to_its_end(file, status.st_size, status.st_mtime_ns):
            raise _damaged(label)
        self._errors = in_xlsb(file) if is_zipfile(file) else in_xls(file)
        with file.open("rb") as content, _without_panic(label):
            try:
                self._book: CalamineWorkbook = CalamineWorkbook.from_filelike(content)
            except PasswordError as error:
                raise SourceError(
                    f"{label}: protected by a password; save it without one"
                ) from error
        self.sheets = [
            Sheet(sheet.name, sheet.visible == SheetVisibleEnum.Visible)
            for sheet in self._book.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
        ]

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, list[Any]]]:
        """The rows of a sheet, each with its number and values."""
        with _without_panic(self._label):
            cells = self._book.get_sheet_by_name(sheet.title)
            first = cells.start[1] if cells.start else 0
            errors = self._errors.get(sheet.title, {})
            rows_with_errors = {row for row, _ in errors}
            for number, row in enumerate(cells.iter_rows(), 1):
                values = [_value(value) for value in row]
                if number - 1 in rows_with_errors:
                    values = [
                        errors.get((number - 1, place), value)
                        for place, value in enumerate(values, first)
                    ]
                yield number, values

    def close(self) -> None:
        """Close the workbook."""
        self._book.close()


def _value(value: Any) -> Any:
    """A value as `excel_cells.Cells` gives it: a whole number as text, another one as `Decimal`."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n") or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return exact(repr(value))
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


@contextmanager
def _without_panic(label: str) -> Iterator[None]:
    """A panic of the library, which no `except Exception` catches, is a damaged file."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _damaged(label) from None


@lru_cache(64)
def _is_read_to_its_end(file: Path, size: int, changed: int) -> bool:  # noqa: ARG001
    """Whether another process that reads a file lives on; asked once of each version of it."""
    command = [sys.executable, "-I", "-c", _TRY, str(file)]
    tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    return tried.returncode == 0


def _damaged(label: str) -> SourceError:
    return SourceError(f"{label}: damaged; open it in a spreadsheet and save it again")

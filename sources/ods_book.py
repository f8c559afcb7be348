"""Workbooks of OpenDocument (.ods): their sheets, rows and the values of their cells.

Their XML is read here, because libraries give 0 for a cell with an error, and floating-point
numbers for amounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, iterparse
from zipfile import ZipFile

from common.values import unreadable
from errors import SourceError
from sources.excel_cells import NOT_CALCULATED, exact
from sources.sheets import Sheet

_NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
_TABLE, _TEXT, _OFFICE = (f"{{{_NAMES}{part}:1.0}}" for part in ("table", "text", "office"))
_STYLE = f"{{{_NAMES}style:1.0}}"
_ERROR_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_ERROR = re.compile(r"Err:\d+|#[A-Z0-9/]+[!?]?")
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?")
_LEADING_ZEROS = re.compile("0[0-9]+")
_MOST_COLUMNS = 16_384


class OdsBook:
    """An open workbook. A damaged one raises any exception."""

    def __init__(self, label: str, file: Path) -> None:
        self._archive = ZipFile(file)
        if b"encryption-data" in self._archive.read("META-INF/manifest.xml"):
            raise SourceError(f"{label}: protected by a password; save it without one")
        self.sheets: list[Sheet] = []
        hidden = set()
        with self._archive.open("content.xml") as content:
            for event, element in iterparse(content, ("start", "end")):
                if event == "end" and element.tag == f"{_STYLE}style":
                    shown = element.find(f"{_STYLE}table-properties")
                    if shown is not None and shown.get(f"{_TABLE}display") == "false":
                        hidden.add(element.get(f"{_STYLE}name"))
                elif event == "start" and element.tag == f"{_TABLE}table":
                    is_hidden = element.get(f"{_TABLE}style-name") in hidden
                    title = element.get(f"{_TABLE}name", "")
                    self.sheets.append(Sheet(title, not is_hidden, str(len(self.sheets))))
                elif event == "end" and element.tag == f"{_TABLE}table-row":
                    element.clear()

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, list[Any]]]:
        """The rows of a sheet that have a value, each with its number and values."""
        place, number = -1, 0
        with self._archive.open("content.xml") as content:
            for event, element in iterparse(content, ("start", "end")):
                if event == "start":
                    place += element.tag == f"{_TABLE}table"
                elif element.tag == f"{_TABLE}table" and place == int(sheet.part):
                    return
                elif element.tag == f"{_TABLE}table-row":
                    if place == int(sheet.part):
                        values = _values(element, sheet, number + 1)
                        times = _repeated(element, "rows")
                        if values:
                            yield from ((number + n, values) for n in range(1, times + 1))
                        number += times
                    element.clear()

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def _repeated(element: Element, what: str) -> int:
    return int(element.get(f"{_TABLE}number-{what}-repeated", "1"))


def _values(row: Element, sheet: Sheet, number: int) -> list[Any]:
    """The values of a row up to the last one; where cells are merged is noted in the sheet."""
    values: list[Any] = []
    blank = 0
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        value, times = _value(cell), min(_repeated(cell, "columns"), _MOST_COLUMNS)
        if value is None:
            blank += times
        else:
            values += [None] * min(blank, _MOST_COLUMNS) + [value] * times
            blank = 0
        rows = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
        if rows > 1 or int(cell.get(f"{_TABLE}number-columns-spanned", "1")) > 1:
            sheet.merged.append(f"A{number}:A{number + rows - 1}")
    return values


def _value(cell: Element) -> Any:  # noqa: PLR0911  # one line per type
    """The value of a cell, as `excel_cells.Cells` gives those of Excel."""
    kind, text = cell.get(f"{_OFFICE}value-type"), _text(cell)
    is_formula = cell.get(f"{_TABLE}formula") is not None
    if cell.get(_ERROR_TYPE) == "error" or (is_formula and _ERROR.fullmatch(text)):
        return unreadable(text)
    if kind is None:
        return NOT_CALCULATED if is_formula else (text or None)
    if kind in ("float", "currency", "percentage"):
        stored = cell.get(f"{_OFFICE}value", "")
        return text if _LEADING_ZEROS.fullmatch(text) else exact(stored)
    if kind == "date":
        return _date(cell.get(f"{_OFFICE}date-value", ""))
    if kind == "time":
        return _duration(cell.get(f"{_OFFICE}time-value", ""))
    if kind == "boolean":
        return cell.get(f"{_OFFICE}boolean-value") == "true"
    return text or cell.get(f"{_OFFICE}string-value") or None


def _text(cell: Element) -> str:
    """The text of a cell: its paragraphs, without comments."""
    return "\n".join("".join(_pieces(part)) for part in cell.findall(f"{_TEXT}p"))


def _pieces(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag == f"{_TEXT}s":
            yield " " * min(int(child.get(f"{_TEXT}c", "1")), 1000)
        elif child.tag in (f"{_TEXT}tab", f"{_TEXT}line-break"):
            yield "\t" if child.tag == f"{_TEXT}tab" else "\n"
        elif child.tag != f"{_OFFICE}annotation":
            yield from _pieces(child)
        yield child.tail or ""


def _date(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return unreadable(f"{text}, which is no date")


def _duration(text: str) -> Any:
    found = _DURATION.fullmatch(text)
    if found is None:
        return unreadable(f"{text}, which is no time")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups()[1:])
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] else length

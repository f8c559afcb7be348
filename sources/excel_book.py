"""The parts of an Excel workbook (ECMA-376): its sheets, shared texts, number formats and rows.

The sheets' XML is read here, because openpyxl does not distinguish a formula without a stored value
from a blank cell, does not read Strict Open XML, and takes eight times as long. What is read is the
list of sheets, and the type, value and number format of each cell.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring, iterparse
from zipfile import ZipFile

from sources.excel_cells import Cells, Format, Stored, cell_text, number_format
from sources.sheets import Sheet

_WORKBOOK = "xl/workbook.xml"
_TRUE = ("1", "true")


class Book:
    """An open workbook.

    A damaged one raises any exception of `zipfile`, the XML parser or a dict.
    """

    def __init__(self, file: Path) -> None:
        self._archive = ZipFile(file)
        self._names = {name.lower(): name for name in self._archive.namelist()}
        root = self._xml(_WORKBOOK)
        self._namespace = root.tag.removesuffix("workbook")
        related = {
            relation.get("Id", ""): (
                relation.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/xl", relation.get("Target", "")))[1:],
            )
            for relation in self._xml("xl/_rels/workbook.xml.rels")
        }
        self._parts = dict(related.values())
        self.sheets = [
            Sheet(sheet.get("name", ""), sheet.get("state", "visible") == "visible", part)
            for sheet in root.iterfind(self._path("sheets", "sheet"))
            for kind, part in [related[_relation_of(sheet)]]
            if kind == "worksheet"
        ]
        settings = root.find(self._path("workbookPr"))
        calculation = root.find(self._path("calcPr"))
        self._begins_1904 = settings is not None and settings.get("date1904") in _TRUE
        self._is_recalculated = (
            calculation is not None and calculation.get("fullCalcOnLoad") in _TRUE
        )

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, list[object]]]:
        """The rows of a sheet that are in the file, each with its number and values."""
        cells = Cells(
            Stored(
                self._namespace,
                self._texts,
                self._formats,
                self._begins_1904,
                self._is_recalculated,
            )
        )
        row, rows, merged = (self._path(tag) for tag in ("row", "sheetData", "mergeCell"))
        number, data = 0, None
        with self._archive.open(self._names[sheet.part.lower()]) as file:
            for event, element in iterparse(file, ("start", "end")):
                if event == "start":
                    data = element if element.tag == rows else data
                elif element.tag == row:
                    number = int(element.get("r") or number + 1)
                    yield number, cells.row(element)
                    if data is not None:
                        data.clear()
                elif element.tag == merged:
                    sheet.merged.append(element.get("ref", ""))

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    def _path(self, *tags: str) -> str:
        return "/".join(f"{self._namespace}{tag}" for tag in tags)

    def _xml(self, part: str) -> Element:
        return fromstring(self._archive.read(self._names[part.lower()]))

    @cached_property
    def _texts(self) -> list[str]:
        """The shared strings, to which cells refer by position."""
        part = self._names.get(self._parts.get("sharedStrings", "").lower())
        if part is None:
            return []
        texts, item = [], self._path("si")
        with self._archive.open(part) as file:
            for _, element in iterparse(file):
                if element.tag == item:
                    texts.append(cell_text(element, self._namespace))
                    element.clear()
        return texts

    @cached_property
    def _formats(self) -> dict[str, Format]:
        """The number format of each style, by the style's number (text), as cells refer to it."""
        if self._parts.get("styles", "").lower() not in self._names:
            return {}
        root = self._xml(self._parts["styles"])
        codes = {
            form.get("numFmtId"): form.get("formatCode")
            for form in root.iterfind(self._path("numFmts", "numFmt"))
        }
        used = [style.get("numFmtId", "0") for style in root.iterfind(self._path("cellXfs", "xf"))]
        known = {number: number_format(int(number), codes.get(number)) for number in set(used)}
        return {str(style): known[number] for style, number in enumerate(used)}


def _relation_of(sheet: Element) -> str:
    """The id of a sheet's part. The attribute has another namespace in Strict Open XML."""
    return next(value for name, value in sheet.items() if name.endswith("}id"))

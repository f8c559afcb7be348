"""Workbooks of every format, made cell by cell.

No library writes .xlsb and .ods as small as this; .xls is written by xlwt.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from html import escape

import openpyxl
import xlwt

Rows = Sequence[Sequence[object]]
Sheets = Mapping[str, Rows]

ERROR = object()
"""A cell with the error #N/A."""


def xlsx(sheets: Sheets, hidden: Iterable[str] = ()) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        sheet.sheet_state = "hidden" if title in hidden else "visible"
        for number, row in enumerate(rows, 1):
            for place, value in enumerate(row, 1):
                if value is ERROR:
                    sheet.cell(number, place, "#N/A").data_type = "e"
                elif value is not None:
                    sheet.cell(number, place, value)
    book.save(file)
    return file.getvalue()


def xls(sheets: Sheets, hidden: Iterable[str] = ()) -> bytes:
    book, file = xlwt.Workbook(), io.BytesIO()
    day, plain = xlwt.easyxf(num_format_str="yyyy-mm-dd"), xlwt.easyxf()
    for title, rows in sheets.items():
        sheet = book.add_sheet(title)
        sheet.visibility = int(title in hidden)
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                if value is ERROR:
                    sheet.row(number).set_cell_error(place, "#N/A!")
                elif value is not None:
                    sheet.write(number, place, value, day if isinstance(value, date) else plain)
    book.save(file)
    return file.getvalue()


# --- .ods ------------------------------------------------------------------------------------

_MIME = "application/vnd.oasis.opendocument.spreadsheet"
_NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text", "style")
)
_CALC = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'


def ods(sheets: Sheets, hidden: Iterable[str] = (), encryption: str = "") -> bytes:
    tables = "".join(
        f'<table:table table:name="{escape(title)}" '
        f'table:style-name="{"hidden" if title in hidden else "shown"}">'
        + "".join(_ods_row(row) for row in rows)
        + '<table:table-row table:number-rows-repeated="1048000">'
        '<table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table>'
        for title, rows in sheets.items()
    )
    styles = "".join(
        f'<style:style style:name="{name}" style:family="table">'
        f'<style:table-properties table:display="{value}"/></style:style>'
        for name, value in (("hidden", "false"), ("shown", "true"))
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", _MIME)
        archive.writestr("META-INF/manifest.xml", f"<manifest>{encryption}</manifest>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {_NAMES} {_CALC}><office:automatic-styles>{styles}"
            f"</office:automatic-styles><office:body><office:spreadsheet>{tables}"
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return file.getvalue()


def _ods_row(row: Sequence[object]) -> str:
    return f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>"


def _ods_cell(value: object) -> str:
    if value is None:
        return "<table:table-cell/>"
    if value is ERROR:
        attributes, text = 'office:value-type="float" office:value="0" ', "#N/A"
        attributes += 'table:formula="of:=NA()" calcext:value-type="error"'
    elif isinstance(value, bool):
        text = str(value).lower()
        attributes = f'office:value-type="boolean" office:boolean-value="{text}"'
    elif isinstance(value, int | float):
        text = str(value)
        attributes = f'office:value-type="float" office:value="{text}"'
    elif isinstance(value, date):
        text = value.isoformat()
        attributes = f'office:value-type="date" office:date-value="{text}"'
    else:
        text, attributes = str(value), 'office:value-type="string"'
    paragraphs = "".join(f"<text:p>{escape(line)}</text:p>" for line in text.split("\n"))
    return f"<table:table-cell {attributes}>{paragraphs}</table:table-cell>"


# --- .xlsb: records of an id, a length and bytes, after [MS-XLSB] ------------------------------


def xlsb(sheets: Sheets, hidden: Iterable[str] = ()) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        bundle, related = b"", ""
        for number, (title, rows) in enumerate(sheets.items(), 1):
            state = struct.pack("<II", int(title in hidden), number)
            bundle += _record(156, state + _wide(f"rId{number}") + _wide(title))
            related += (
                f'<Relationship Id="rId{number}" Type="worksheet" '
                f'Target="worksheets/sheet{number}.bin"/>'
            )
            archive.writestr(f"xl/worksheets/sheet{number}.bin", _xlsb_sheet(rows))
        book = _record(131) + _record(143) + bundle + _record(144) + _record(132)
        archive.writestr("xl/workbook.bin", book)
        archive.writestr("xl/_rels/workbook.bin.rels", f"<Relationships>{related}</Relationships>")
        formats = b"".join(_record(47, struct.pack("<HH12x", 0, code)) for code in (0, 14))
        archive.writestr(
            "xl/styles.bin",
            _record(278) + _record(617, struct.pack("<I", 2)) + formats + _record(618),
        )
        archive.writestr("[Content_Types].xml", "<Types/>")
    return file.getvalue()


def _xlsb_sheet(rows: Rows) -> bytes:
    width = max(map(len, rows), default=1)
    size = struct.pack("<IIII", 0, max(len(rows) - 1, 0), 0, max(width - 1, 0))
    data = _record(129) + _record(148, size) + _record(145)
    for number, row in enumerate(rows):
        data += _record(0, struct.pack("<II17x", number, 0))
        data += b"".join(_xlsb_cell(place, value) for place, value in enumerate(row))
    return data + _record(146) + _record(130)


def _xlsb_cell(place: int, value: object) -> bytes:
    where = struct.pack("<II", place, int(isinstance(value, date)))
    if value is None:
        return b""
    if value is ERROR:
        return _record(3, where + b"\x2a")
    if isinstance(value, bool):
        return _record(4, where + bytes([value]))
    if isinstance(value, date):
        days = (date(value.year, value.month, value.day) - date(1899, 12, 30)).days
        return _record(5, where + struct.pack("<d", days))
    if isinstance(value, int | float):
        return _record(5, where + struct.pack("<d", value))
    return _record(6, where + _wide(str(value)))


def _record(kind: int, content: bytes = b"") -> bytes:
    return _varying(kind) + _varying(len(content)) + content


def _varying(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varying(rest) if rest else bytes([low])


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


WRITERS: dict[str, Callable[[Sheets, Iterable[str]], bytes]] = {
    "xlsx": xlsx, "xls": xls, "xlsb": xlsb, "ods": ods,
}  # fmt: skip

"""The cells of .xls and .xlsb that have an error.

calamine gives them as blank cells, but an error is no missing value. Both formats are a sequence of
records, each of a kind, a length and bytes ([MS-XLS] 2.4, [MS-XLSB] 2.1.4): of these only the few
are looked at that are such cells. A damaged file raises any exception.
"""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring
from zipfile import ZipFile

from common.values import unreadable

Cells = dict[tuple[int, int], str]
"""What is told of a cell, by its row and column from 0."""

_ERRORS = {
    0: "#NULL!",
    7: "#DIV/0!",
    15: "#VALUE!",
    23: "#REF!",
    29: "#NAME?",
    36: "#NUM!",
    42: "#N/A",
}


def in_xlsb(file: Path) -> dict[str, Cells]:
    """These cells of an .xlsb, by sheet."""
    with ZipFile(file) as archive:
        names = {name.lower(): name for name in archive.namelist()}
        related = {
            relation.get("Id", ""): posixpath.normpath(
                posixpath.join("/xl", relation.get("Target", ""))
            )[1:]
            for relation in fromstring(archive.read(names["xl/_rels/workbook.bin.rels"]))
        }
        found: dict[str, Cells] = {}
        for kind, data in _xlsb_records(archive.read(names["xl/workbook.bin"])):
            if kind == 156:  # BrtBundleSh: state, number, id of the relation, name
                size = struct.unpack_from("<I", data, 8)[0]
                relation = data[12 : 12 + 2 * size].decode("utf-16-le")
                title = data[16 + 2 * size :].decode("utf-16-le")
                part = names.get(related.get(relation, "").lower())
                found[title] = {} if part is None else _in_sheet(archive.read(part))
    return found


def _in_sheet(data: bytes) -> Cells:
    cells: Cells = {}
    row = 0
    for kind, content in _xlsb_records(data):
        if kind == 0:  # BrtRowHdr
            row = struct.unpack_from("<I", content)[0]
        elif kind in (3, 11):  # BrtCellError, BrtFmlaError: column, style, error
            column = struct.unpack_from("<I", content)[0]
            cells[row, column] = unreadable(_ERRORS.get(content[8], "an error"))
    return cells


def _xlsb_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at, end = 0, len(data)
    while at < end:
        kind, at = data[at], at + 1
        if kind & 0x80:
            kind, at = (kind & 0x7F) | (data[at] & 0x7F) << 7, at + 1
        size = shift = 0
        while True:
            byte, at = data[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 21:
                break
        yield kind, data[at : at + size]
        at += size


def in_xls(file: Path) -> dict[str, Cells]:
    """These cells of an .xls, by sheet."""
    book = _book_stream(file.read_bytes())
    found: dict[str, Cells] = {}
    for kind, data in _xls_records(book, 0):
        if kind == 0x0085:  # BoundSheet8: place, state, kind, name
            begin, _, _, size, is_wide = struct.unpack_from("<IBBBB", data)
            name = data[8 : 8 + size * (2 if is_wide & 1 else 1)]
            title = name.decode("utf-16-le" if is_wide & 1 else "latin-1")
            found[title] = _in_old_sheet(book, begin)
        elif kind == 0x000A:  # EOF: what follows are the sheets
            break
    return found


def _in_old_sheet(book: bytes, begin: int) -> Cells:
    cells: Cells = {}
    depth = 0
    for kind, data in _xls_records(book, begin):
        depth += (kind == 0x0809) - (kind == 0x000A)  # a chart inside begins and ends as well
        if depth == 0:
            break
        if kind == 0x0205 and data[7]:  # BoolErr
            cells[struct.unpack_from("<HH", data)] = unreadable(_ERRORS.get(data[6], "an error"))
        elif kind == 0x0006 and data[12:14] == b"\xff\xff" and data[6] == 2:  # Formula: its result
            cells[struct.unpack_from("<HH", data)] = unreadable(_ERRORS.get(data[8], "an error"))
    return cells


def _xls_records(book: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(book):
        kind, size = struct.unpack_from("<HH", book, at)
        yield kind, book[at + 4 : at + 4 + size]
        at += 4 + size


_LAST_SECTOR = 0xFFFFFFFA  # from here on a number is no sector


def _book_stream(ole: bytes) -> bytes:
    """The stream of an OLE file in which the workbook is ([MS-CFB])."""
    shift, small_shift = struct.unpack_from("<HH", ole, 30)
    size, small = 1 << shift, 1 << small_shift
    directory, limit = struct.unpack_from("<I", ole, 48)[0], struct.unpack_from("<I", ole, 56)[0]
    sectors = list(struct.unpack_from("<109I", ole, 76))
    more = struct.unpack_from("<I", ole, 68)[0]
    while more < _LAST_SECTOR and len(sectors) * size < 4 * len(ole) + 4 * size * 109:
        listed = struct.unpack_from(f"<{size // 4}I", ole, (more + 1) * size)
        sectors += listed[:-1]
        more = listed[-1]
    fat: list[int] = []
    for sector in sectors:
        if sector < _LAST_SECTOR:
            fat += struct.unpack_from(f"<{size // 4}I", ole, (sector + 1) * size)

    def chain(first: int) -> bytes:
        parts = [ole[(n + 1) * size : (n + 2) * size] for n in _followed(fat, first)]
        return b"".join(parts)

    entries = chain(directory)
    streams: dict[str, tuple[int, int]] = {}
    for at in range(0, len(entries) - 127, 128):
        length, kind = struct.unpack_from("<HB", entries, at + 64)
        name = entries[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
        where = struct.unpack_from("<II", entries, at + 116)
        streams.setdefault("/" if kind == 5 else name.lower(), where)
    begin, length = streams.get("workbook") or streams["book"]
    if length >= limit:
        return chain(begin)[:length]
    first = struct.unpack_from("<I", ole, 60)[0]
    table = chain(first)
    small_fat = list(struct.unpack(f"<{len(table) // 4}I", table))
    inside = chain(streams["/"][0])
    places = _followed(small_fat, begin)
    return b"".join(inside[n * small : (n + 1) * small] for n in places)[:length]


def _followed(table: list[int], first: int) -> list[int]:
    """The numbers of a chain in a table of what follows what. A ring raises `ValueError`."""
    found: list[int] = []
    while first < _LAST_SECTOR:
        found.append(first)
        if len(found) > len(table):
            raise ValueError("the sectors go round in a ring")
        first = table[first]
    return found

"""Finds out a file's format by its name and first bytes, and opens it with the right reader."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from common.fingerprints import TreeHash
from common.rejects import REJECT_FILE
from errors import SourceError
from sources.batches import ReadOptions, as_plain_text
from sources.csv_files import open_csv
from sources.escapes import Escapes
from sources.excel import open_excel
from sources.fixed_width import open_fixed_width
from sources.json_files import open_json
from sources.line_source import CopiedLines, LineSource
from sources.parquet import open_parquet
from sources.partitions import folder_values, with_folder_values
from sources.pieces import OpenSource, Piece
from sources.ranges import LineFile, unreadable, version
from sources.streams import Content, Place, is_workbook, on_disk, open_content
from sources.text import Text, has_plain_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

_JSON = (".json", ".jsonl", ".ndjson")
_CSV = (".csv", ".tsv", ".tab", ".psv")
_FOREIGN = {
    b"SQLite f": "a SQLite database; write its path as sqlite:///<path>",
    b"\x1f\x9d": "compressed by compress (.Z); use gzip, zstd, xz or zip",
    b"\x04\x22\x4d\x18": "compressed by lz4; use gzip, zstd, xz or zip",
    b"7z\xbc\xaf": "a 7-Zip archive; use gzip, zstd, xz or zip",
    b"Rar!": "a RAR archive; use gzip, zstd, xz or zip",
    b"%PDF": "a PDF document, not a table",
    b"\x89PNG": "a picture, not a table",
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet, JSON or CSV",
    b"ORC": "an ORC file; write it as Parquet",
    b"{\\rtf": "a text document (RTF), not a table",
}
"""Files that are not read, by their first bytes: what they are, and what to do."""


def open_file(place: Place, options: ReadOptions, folder: Path) -> OpenSource:
    """Open a file and read its header; the rows come as pieces.

    What cannot be read where it is, is copied into `folder`. Raises `SourceError` naming the file,
    the place in it and the next step.
    """
    digest = None if place.file is not None else TreeHash()
    try:
        with ExitStack() as stack:
            content = stack.enter_context(open_content(place, digest))
            opened = _open_format(place, content, options, folder)
            kept = stack.pop_all()
    except OSError as error:
        raise SourceError(f"{place.label}: cannot be read ({error.strerror or error})") from error
    if values := folder_values(place):
        opened = with_folder_values(opened, values, options)
    opened.digest, opened.close = digest, kept.close
    opened.pieces = _closing(opened.label, opened.pieces, kept)
    return opened


def _open_format(place: Place, content: Content, options: ReadOptions, folder: Path) -> OpenSource:
    if content.head[:4] == b"PAR1" or is_workbook(content.head):
        path, copy = on_disk(content, place, folder)
        if what := _other_document(path):
            raise SourceError(f"{place.label}: it is {what}")
        open_table = open_parquet if content.head[:4] == b"PAR1" else open_excel
        opened = open_table(place.label, path, _of_sheet(place, options))
        opened.copy = copy
        return opened
    if what := _foreign(content):
        raise SourceError(f"{place.label}: it is {what}")
    suffix = Path(content.name).suffix.lower()
    if suffix in (".parquet", ".xlsx") and content.head:
        raise SourceError(f"{place.label}: the content is not {suffix[1:]}; is it cut off?")
    first = content.head.removeprefix(BOM_UTF8).lstrip()[:1]
    if first == b"<":
        raise SourceError(
            f"{place.label}: it is a web page or XML, perhaps what a failed export left behind; "
            "export it as CSV, JSON, Parquet or .xlsx"
        )
    is_json = suffix in _JSON or (suffix not in _CSV and first in (b"[", b"{"))
    if is_json or _is_json(content.head) or _is_reject_file(content, options):
        options = replace(options, layout=as_plain_text(options.layout))
    lines = _lines(place, content, options, folder)
    if is_json or _is_json(content.head):
        opened = open_json(lines, options)
    elif options.layout.widths:
        opened = open_fixed_width(lines, options)
    else:
        opened = open_csv(lines, options)
    opened.copy = lines.copy
    return opened


def _of_sheet(place: Place, options: ReadOptions) -> ReadOptions:
    """The options for this place, which may be a sheet of a workbook."""
    if not place.sheet:
        return options
    return replace(options, layout=replace(options.layout, sheet=place.sheet))


def _lines(place: Place, content: Content, options: ReadOptions, folder: Path) -> LineSource:
    """The file's lines: read where they are, or else from a copy."""
    path, label = place.file, place.label
    is_escaped = Escapes.of(options.layout, options.delimiter) is not None
    if is_escaped or path is None or content.compressed or not has_plain_lines(options.encoding):
        return CopiedLines(content.stream, label, options, folder)
    file = LineFile(path, label, options, version=version(path.stat()))
    return LineSource(file, Text(content.stream, label, options))


_REJECT_HEADER = 1 << 16


def _is_reject_file(content: Content, options: ReadOptions) -> bool:
    """Whether it is a reject file of ours, which is a CSV file however its source is written."""
    if as_plain_text(options.layout) == options.layout:
        return False
    head = cast("BufferedReader", content.stream).peek(_REJECT_HEADER)[:_REJECT_HEADER]
    line = head.decode(options.encoding, "replace").partition("\n")[0]
    return set(re.findall(r"\w+", line)) >= REJECT_FILE


_TAR = b"ustar"


def _foreign(content: Content) -> str:
    """What a file is that cannot be read, and what to do; '' for any other."""
    if content.head[257:262] == _TAR:
        return "a tar archive; call it .tar, .tar.gz, .tar.bz2 or .tar.xz, as it is compressed"
    return next((what for mark, what in _FOREIGN.items() if content.head.startswith(mark)), "")


_OLE = b"\xd0\xcf\x11\xe0"
_PROTECTED = "EncryptedPackage".encode("utf-16-le")
_WORKBOOK_NAME = re.compile(re.escape("Book\0".encode("utf-16-le")), re.IGNORECASE)
"""How the name of the stream ends in which a workbook is."""


def _other_document(path: Path) -> str:
    """What an OLE file of Microsoft's is that is no workbook, or one with a password; else ''."""
    with path.open("rb") as file:
        if file.read(len(_OLE)) != _OLE:
            return ""
        has_rows, last = False, b""
        while part := file.read(1 << 20):
            if _PROTECTED in last + part:
                return "protected by a password; save it without one"
            has_rows = has_rows or bool(_WORKBOOK_NAME.search(last + part))
            last = part[-len(_PROTECTED) :]
    return "" if has_rows else "a document of Office with no workbook in it; is it cut off?"


def _is_json(head: bytes) -> bool:
    """Whether a file is JSON whatever its name: a CSV column may be called [id], hardly {"id"."""
    return bool(re.match(rb"\s*(\[\s*\{|\{\s*\")", head.removeprefix(BOM_UTF8)))


def _closing(label: str, pieces: Iterator[Piece], stack: ExitStack) -> Iterator[Piece]:
    """The pieces. The file is closed after the last one, and an `OSError` becomes `SourceError`."""
    with stack:
        try:
            yield from pieces
        except OSError as error:
            raise unreadable(label, error) from error

"""Finds out a file's format by its name and first bytes, and opens it with the right reader."""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF8
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from errors import SourceError
from sources.batches import OpenSource, Piece, ReadOptions
from sources.csv_files import open_csv
from sources.excel import open_excel
from sources.json_files import open_json
from sources.parquet import open_parquet
from sources.partitions import folder_values, with_folder_values
from sources.streams import Content, Place, open_content, seekable
from sources.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def open_file(place: Place, options: ReadOptions) -> OpenSource:
    """Open a file and read its header; the rows come as pieces.

    Raises `SourceError` naming the file, the place in it and the next step.
    """
    digest = hashlib.sha256()
    try:
        with ExitStack() as stack:
            content = stack.enter_context(open_content(place, digest))
            opened = _open_format(place, content, options, stack)
            kept = stack.pop_all()
    except OSError as error:
        raise SourceError(f"{place.label}: cannot be read ({error.strerror or error})") from error
    if values := folder_values(place.label):
        opened = with_folder_values(opened, values, options)
    opened.digest, opened.close = digest, kept.close
    opened.pieces = _closing(opened.label, opened.pieces, kept)
    return opened


def _open_format(
    place: Place, content: Content, options: ReadOptions, stack: ExitStack
) -> OpenSource:
    if content.head[:4] in (b"PAR1", b"PK\x03\x04"):
        file = stack.enter_context(seekable(content, place))
        if content.head[:4] == b"PAR1":
            return open_parquet(place.label, file, options)
        return open_excel(place.label, file, options)
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
    chunks = Text(content.stream, place.label, options)
    if suffix in _JSON or (suffix not in _CSV and first in (b"[", b"{")) or _is_json(content.head):
        return open_json(place.label, chunks, options)
    return open_csv(place.label, chunks, options, read_ahead=place.is_local)


_OLE = b"\xd0\xcf\x11\xe0"
_TAR = b"ustar"


def _foreign(content: Content) -> str:
    """What a file is that cannot be read, and what to do; '' for any other."""
    if content.head.startswith(_OLE):
        return _ole(content)
    if content.head[257:262] == _TAR:
        return "a tar archive; unpack it, and set the path to its folder"
    return next((what for mark, what in _FOREIGN.items() if content.head.startswith(mark)), "")


def _ole(content: Content) -> str:
    """What an OLE file of Microsoft's is: a workbook with a password, or an old one."""
    last = b""
    while part := content.stream.read(1 << 20):
        if _PROTECTED in last + part:
            return "protected by a password; save it without one"
        last = part[-len(_PROTECTED) :]
    return "an old Excel workbook; save it as .xlsx"


_PROTECTED = "EncryptedPackage".encode("utf-16-le")


def _is_json(head: bytes) -> bool:
    """Whether a file is JSON whatever its name: a CSV column may be called [id], hardly {"id"."""
    return bool(re.match(rb"\s*(\[\s*\{|\{\s*\")", head.removeprefix(BOM_UTF8)))


def _closing(label: str, pieces: Iterator[Piece], stack: ExitStack) -> Iterator[Piece]:
    """The pieces. The file is closed after the last one, and an `OSError` becomes `SourceError`."""
    with stack:
        try:
            yield from pieces
        except OSError as error:
            raise SourceError(
                f"{label}: the read failed ({error.strerror or error}); is the file whole?"
            ) from error

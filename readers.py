"""Opens a source file by its name and first bytes, and hands it to the reader of its format."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from blocks import Opened, Piece, Reading
from csv_reader import open_csv
from errors import SourceError
from json_reader import open_json
from places import Content, Place, open_content, seekable
from text import text_chunks
from typed_reader import open_excel, open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

_JSON = (".json", ".jsonl", ".ndjson")
_CSV = (".csv", ".tsv", ".txt", ".tab", ".psv")


def open_file(place: Place, reading: Reading) -> Opened:
    """Open a file and look at its header; the rows come as pieces.

    Raises `SourceError` naming the file, the place and the next step.
    """
    digest = hashlib.sha256()
    stack = ExitStack()
    try:
        content = stack.enter_context(open_content(place, digest))
        opened = _open_format(place, content, reading, stack)
    except OSError as error:
        stack.close()
        raise SourceError(f"{place.shown}: cannot be read ({error.strerror or error})") from error
    except BaseException:
        stack.close()
        raise
    opened.digest = digest
    opened.pieces = _closing(opened.shown, opened.pieces, stack)
    return opened


def _open_format(place: Place, content: Content, reading: Reading, stack: ExitStack) -> Opened:
    if content.head[:4] in (b"PAR1", b"PK\x03\x04"):
        file = stack.enter_context(seekable(content, place))
        if content.head[:4] == b"PAR1":
            return open_parquet(place.shown, file, reading)
        return open_excel(place.shown, file, reading)
    suffix = Path(content.name).suffix.lower()
    if suffix in (".parquet", ".xlsx") and content.head:
        raise SourceError(f"{place.shown}: the content is not {suffix[1:]}; is it cut off?")
    chunks = text_chunks(content.stream, place.shown, reading.encoding)
    looks_like_json = content.head.lstrip()[:1] in (b"[", b"{")
    if suffix in _JSON or (looks_like_json and suffix not in _CSV):
        return open_json(place.shown, chunks, reading)
    return open_csv(place.shown, chunks, reading)


def _closing(shown: str, pieces: Iterator[Piece], stack: ExitStack) -> Iterator[Piece]:
    """The pieces; the file is closed after the last, and damage found on the way is named."""
    with stack:
        try:
            yield from pieces
        except (OSError, EOFError, pa.ArrowException) as error:
            raise SourceError(
                f"{shown}: the read failed ({str(error)[:200]}); is the file whole?"
            ) from error

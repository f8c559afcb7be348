"""Bytes to verified UTF-8 text: encodings, byte-order marks and line ends."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from errors import SourceError

_READ_BYTES = 4 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text_chunks(stream: BinaryIO, shown: str, encoding: str) -> Iterator[bytes]:
    """The stream as UTF-8 chunks: encoding verified, BOM removed, line ends made LF.

    Raises `SourceError` with the byte offset where the declared encoding does not fit.
    """
    is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    chunks = _verified(stream, shown) if is_utf8 else _transcoded(stream, shown, encoding)
    held, at_start = b"", True
    for chunk in chunks:
        data = held + chunk if held else chunk
        if at_start:
            data, at_start = data.removeprefix(codecs.BOM_UTF8), False
        # A carriage return at the end may be half of a line break: wait for the rest.
        held = b"\r" if data.endswith(b"\r") else b""
        if b"\r" in data:
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if data:
            yield data
    if held:
        yield b"\n"


def _verified(stream: BinaryIO, shown: str) -> Iterator[bytes]:
    """UTF-8 as it is, in whole characters."""
    offset, pending = 0, b""
    while True:
        raw = stream.read(_READ_BYTES)
        data = pending + raw if pending else raw
        try:
            used = codecs.utf_8_decode(data, "strict", not raw)[1]
        except UnicodeDecodeError as error:
            raise _misfit(shown, "utf-8", offset + error.start, error.reason, data) from None
        offset += used
        pending = data[used:]
        if used:
            yield data[:used] if pending else data
        if not raw:
            return


def _transcoded(stream: BinaryIO, shown: str, encoding: str) -> Iterator[bytes]:
    """Any other encoding as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset = 0
    while True:
        raw = stream.read(_READ_BYTES)
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = offset - (len(error.object) - len(raw)) + error.start
            raise _misfit(shown, encoding, place, error.reason, raw) from None
        except UnicodeError as error:  # UTF-16 without a byte-order mark
            raise _misfit(shown, encoding, offset, str(error), raw) from None
        offset += len(raw)
        if text:
            yield text.encode("utf-8", "surrogatepass")
        if not raw:
            return


def _misfit(shown: str, encoding: str, place: int, reason: str, raw: bytes) -> SourceError:
    return SourceError(
        f"{shown}: byte {place} is not valid {encoding} ({reason}); "
        f"set the source's __ENCODING{_hint(raw, place)}"
    )


def _hint(raw: bytes, place: int) -> str:
    marked = _MARKS.get(raw[:2]) if place < 2 else None
    if marked:
        return f"={marked}: the file begins with that byte-order mark"
    return ", such as cp1252 or latin-1"

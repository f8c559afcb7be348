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
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset, held, at_start = 0, "", True
    while True:
        raw = stream.read(_READ_BYTES)
        try:
            text = held + decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = offset - (len(error.object) - len(raw)) + error.start
            raise SourceError(
                f"{shown}: byte {place} is not valid {encoding} ({error.reason}); "
                f"set the source's __ENCODING{_hint(raw, place)}"
            ) from None
        except UnicodeError as error:  # UTF-16 without a byte-order mark
            raise SourceError(
                f"{shown}: byte {offset} is not valid {encoding} ({error}); "
                "set the source's __ENCODING, such as utf-16-le"
            ) from None
        offset += len(raw)
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
        # A carriage return at the end may be half of a line break: wait for the rest.
        held = "\r" if raw and text.endswith("\r") else ""
        text = text[: len(text) - len(held)]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if text:
            yield text.encode("utf-8", "surrogatepass")
        if not raw:
            return


def _hint(raw: bytes, place: int) -> str:
    marked = _MARKS.get(raw[:2]) if place < 2 else None
    if marked:
        return f"={marked}: the file begins with that byte-order mark"
    return ", such as cp1252 or latin-1"

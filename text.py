"""Bytes to verified UTF-8 text: encodings, byte-order marks and line ends."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from charset_normalizer import from_bytes

from blocks import Reading, storable
from errors import SourceError

_FIRST_BYTES, _READ_BYTES = 64 << 10, 4 << 20
_MARKS = {  # the longer ones first: one begins like a shorter one
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LIKELY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp932", "gb18030", "cp949", "big5"]
"""Encodings of retailers' exports. latin-1 is none of them: it decodes everything."""
_SAMPLE_BYTES, _AS_LIKELY = 32 << 10, 0.1
_CUT_OFF = ("unexpected end of data", "truncated data", "incomplete multibyte sequence")


def text_chunks(stream: BinaryIO, shown: str, reading: Reading) -> Iterator[bytes]:
    """The stream as UTF-8 chunks: encoding verified, BOM removed, line ends made LF.

    Raises `SourceError` with the byte offset where the declared encoding does not fit.
    """
    is_utf8 = codecs.lookup(reading.encoding).name in ("utf-8", "utf-8-sig")
    chunks = (_verified if is_utf8 else _transcoded)(stream, shown, reading)
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


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's bytes, a small part first for the look at the header; b"" at its end."""
    size = _FIRST_BYTES
    while raw := stream.read(size):
        yield raw
        size = _READ_BYTES
    yield b""


def _verified(stream: BinaryIO, shown: str, reading: Reading) -> Iterator[bytes]:
    """UTF-8 as it is, in whole characters."""
    offset, pending = 0, b""
    for raw in _parts(stream):
        data = pending + raw if pending else raw
        if raw and _is_utf8(data):
            offset, pending = offset + len(data), b""
            yield data
            continue
        try:  # where is it not, and is that a character that goes on in the next part?
            used = codecs.utf_8_decode(data, "strict", not raw)[1]
        except UnicodeDecodeError as error:
            place = offset + error.start
            raise _misfit(shown, reading, place, error.reason, data) from None
        offset += used
        pending = data[used:]
        if used:
            yield data[:used] if pending else data


def _is_utf8(data: bytes) -> bool:
    """Told by pyarrow, which need not decode it: six times quicker than Python."""
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _transcoded(stream: BinaryIO, shown: str, reading: Reading) -> Iterator[bytes]:
    """Any other encoding as UTF-8."""
    decoder = codecs.getincrementaldecoder(reading.encoding)("strict")
    offset = 0
    for raw in _parts(stream):
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = offset - (len(error.object) - len(raw)) + error.start
            raise _misfit(shown, reading, place, error.reason, raw) from None
        except UnicodeError as error:  # UTF-16 without a byte-order mark
            raise _misfit(shown, reading, offset, str(error), raw) from None
        offset += len(raw)
        if text:
            yield storable(text).encode()


def _misfit(shown: str, reading: Reading, place: int, reason: str, raw: bytes) -> SourceError:
    return SourceError(
        f"{shown}: byte {place} is not valid {reading.encoding} ({reason}); "
        f"set {reading.source.upper()}__ENCODING{_hint(raw, place)}"
        + (", if the file is not cut off" if reason in _CUT_OFF else "")
    )


def _hint(raw: bytes, place: int) -> str:
    """Which encoding to set, told by the bytes seen; never one that only decodes everything."""
    marked = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), None)
    if marked and place < 2:
        return f"={marked}: the file begins with that byte-order mark"
    if b"\0" in raw[:64]:
        name = "utf-16-be" if raw.startswith(b"\0") else "utf-16-le"
        return f", perhaps to {name}: there are NUL characters"
    lines = [line for line in raw.splitlines() if not line.isascii()]
    if 2 * sum(map(_is_utf8, lines)) >= len(lines):  # by chance no other encoding is that
        return " only if all of it has another one: most of it is UTF-8, so correct that line"
    fits = _fitting(raw)
    if not fits:
        return ", though none is certain by the bytes seen"
    if len(fits) > 1:
        return f"; none is certain, {' and '.join(fits)} would fit: try, and look at the accents"
    return f"={fits[0]}, which fits the bytes seen"


def _fitting(raw: bytes) -> list[str]:
    """The encodings that make words of the lines that are not plain ASCII, the likeliest first;
    one of them if all give the same text.
    """
    lines = [line for line in raw.splitlines() if not line.isascii()]
    sample = b"\n".join(lines)[:_SAMPLE_BYTES]
    found = list(from_bytes(sample, cp_isolation=_LIKELY))
    near = [match for match in found if match.chaos <= found[0].chaos + _AS_LIKELY]
    texts = {str(match): match.encoding for match in reversed(near)}
    return list(reversed(texts.values()))

"""Bytes of any encoding to verified UTF-8 text without a byte-order mark, with LF as line end."""

from __future__ import annotations

import codecs
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from errors import SourceError
from sources.batches import ReadOptions
from sources.undecodable import KEEP, MARK_BYTES, Seen, as_utf8, is_marked

_FIRST_BYTES, _READ_BYTES = 64 << 10, 4 << 20
_SHIFTED = re.compile("[\u0a00-\u0aff]")
"""What a line break of UTF-16 is decoded to, if there is one byte too many before it."""


class Text(Iterator[bytes]):
    """A stream as UTF-8 chunks: encoding verified, BOM removed, line ends made LF.

    Bytes that cannot be decoded are marked, see `undecodable`. Taking a chunk raises `SourceError`
    when so many lines have such bytes that the file must have another encoding.
    """

    def __init__(self, stream: BinaryIO, label: str, options: ReadOptions) -> None:
        self._seen = Seen(label, options)
        decoded = _decoded(_parts(stream), 0, self._seen)
        self._chunks = _counted(_with_line_feeds(decoded), self._seen)

    def __next__(self) -> bytes:
        """The next chunk, never an empty one."""
        return next(self._chunks)

    def follow(self, change: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        """Give the chunks as `change` returns them, from the next one on."""
        self._chunks = change(self._chunks)

    def encoding_error(self) -> SourceError:
        """The error for undecodable bytes that are not part of a single record."""
        return self._seen.encoding_error()


def has_plain_lines(encoding: str) -> bool:
    """Whether the bytes LF and CR end a line wherever they are, so that lines can be read from the
    middle of a file: UTF-8, and encodings of one byte a character.
    """
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig", "ascii"):
        return True
    try:
        module = importlib.import_module(f"encodings.{name.replace('-', '_')}")
    except ImportError:
        return False
    table: str = getattr(module, "decoding_table", "")
    return [place for place, character in enumerate(table) if character in "\n\r"] == [10, 13]


def lines_of(raw: bytes, begin: int, seen: Seen) -> bytes:
    """Whole lines, which begin at byte `begin` of their file, as `Text` gives them; the last one
    gets a line end if it has none. They are counted in `seen`.
    """
    encoding = seen.options.encoding
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        data = raw
        if not _is_utf8(raw) or is_marked(raw):
            text, _ = codecs.utf_8_decode(raw, KEEP, True)
            _note(raw, "utf-8", begin, seen)
            data = as_utf8(text, "utf-8")
    else:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            seen.note(begin + error.start, error.reason, raw)
            text = raw.decode(encoding, KEEP)
        data = as_utf8(text, encoding)
    if begin == 0:
        data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    seen.count(data)
    return data


def _counted(chunks: Iterator[bytes], seen: Seen) -> Iterator[bytes]:
    """The same chunks, while their lines are counted.

    Whether the encoding fits is judged at the end, and after the first chunk, which is small: so
    little is read of a file in another encoding.
    """
    for chunk in chunks:
        is_first = not seen.lines
        seen.count(chunk)
        if is_first:
            seen.judge()
        yield chunk
    seen.end()


def _with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held, at_start = b"", True
    for chunk in chunks:
        data = held + chunk if held else chunk
        if at_start:
            data, at_start = data.removeprefix(codecs.BOM_UTF8), False
        # A carriage return at the end may be half of a CRLF: wait for the next chunk.
        held = b"\r" if data.endswith(b"\r") else b""
        if b"\r" in data:
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if data:
            yield data
    if held:
        yield b"\n"


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's bytes: first a small part, for the header; at the end b""."""
    size = _FIRST_BYTES
    while raw := stream.read(size):
        yield raw
        size = _READ_BYTES
    yield b""


def line_chunks(parts: Iterable[bytes], begin: int, seen: Seen) -> Iterator[bytes]:
    """A long line, which begins at byte `begin` of its file, in chunks as `Text` gives them. It is
    counted in `seen`.
    """
    at_start = begin == 0
    for chunk in _decoded(chain(parts, [b""]), begin, seen):
        data = chunk.removeprefix(codecs.BOM_UTF8) if at_start else chunk
        data, at_start = data.rstrip(b"\r\n"), False
        if data:
            seen.count(data)
            yield data
    seen.count(b"\n")


def whole_characters(parts: Iterable[bytes]) -> Iterator[bytes]:
    """UTF-8 in parts, cut between characters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    return (decoder.decode(part).encode() for part in parts)


def _decoded(parts: Iterable[bytes], begin: int, seen: Seen) -> Iterator[bytes]:
    is_utf8 = codecs.lookup(seen.options.encoding).name in ("utf-8", "utf-8-sig")
    return (_verified if is_utf8 else _transcoded)(parts, begin, seen)


def _verified(parts: Iterable[bytes], offset: int, seen: Seen) -> Iterator[bytes]:
    """UTF-8 in chunks that end with a whole character; undecodable bytes are marked."""
    pending = b""
    for raw in parts:
        data = pending + raw if pending else raw
        if raw and _is_utf8(data) and not is_marked(data):
            offset, pending = offset + len(data), b""
            yield data
            continue
        # Invalid, or cut in the middle of a character, which continues in the next part.
        text, used = codecs.utf_8_decode(data, KEEP, not raw)
        _note(data[:used], "utf-8", offset, seen)
        offset, pending = offset + used, data[used:]
        if used:
            yield as_utf8(text, "utf-8")


def _note(data: bytes, encoding: str, offset: int, seen: Seen) -> None:
    """Note the first undecodable bytes of `data`, which begins at byte `offset` of the file."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        seen.note(offset + error.start, error.reason, data)
    else:
        if is_marked(data):
            seen.note(offset + data.find(MARK_BYTES), "U+FDD1 is no character", data)


def _is_utf8(data: bytes) -> bool:
    """Whether `data` is valid UTF-8. pyarrow only checks, six times as fast as Python decodes."""
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _transcoded(parts: Iterable[bytes], offset: int, seen: Seen) -> Iterator[bytes]:
    """Text in any other encoding as UTF-8; undecodable bytes are marked."""
    encoding = seen.options.encoding
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    text = ""
    for raw in parts:
        state, before = decoder.getstate(), text
        try:
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                place = offset - (len(error.object) - len(raw)) + error.start
                seen.note(place, error.reason, error.object)
                text = _kept(decoder, state, raw)
        except UnicodeError as error:  # UTF-16 without a byte-order mark
            seen.note(offset, str(error), raw)
            raise seen.encoding_error() from None
        if text and not raw and _SHIFTED.search(before.rpartition("\n")[2]):
            raise seen.encoding_error()
        offset += len(raw)
        if text:
            yield as_utf8(text, encoding)


def _kept(decoder: codecs.IncrementalDecoder, state: tuple[bytes, int], raw: bytes) -> str:
    """Decode `raw` again, from the decoder's `state` before it, with undecodable bytes kept."""
    decoder.setstate(state)
    decoder.errors = KEEP
    try:
        return decoder.decode(raw, final=not raw)
    finally:
        decoder.errors = "strict"

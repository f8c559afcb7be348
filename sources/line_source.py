"""A file of lines that is open: its text from the beginning, and its bytes as ranges.

A plain file on a disk is read where it is. What has to be decompressed, fetched or decoded first is
copied into the run's working folder; its first ranges can be read while the rest is still copied.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from common.spool import disk_errors_named, new_path
from sources.batches import MAX_PIECE_BYTES, MAX_RECORD_BYTES, ReadOptions
from sources.escapes import Escapes
from sources.ranges import LineFile, behind_lines, whole_lines
from sources.text import Text, has_plain_lines

_HEAD, _SAMPLE, _CHUNK = 64 << 10, 1 << 20, 4 << 20
_BEYOND = 2 * MAX_RECORD_BYTES
"""How far behind its own lines a range may have to look: for a long record, and for a long line."""


class Span(NamedTuple):
    """The first fields of a `Range`."""

    file: LineFile
    begin: int
    stop: int
    readable: int
    is_whole: bool
    is_exact: bool


class LineSource:
    """A plain file."""

    copy: Path | None = None
    """The file's copy, to be removed when all ranges are read."""

    def __init__(self, file: LineFile, text: Text) -> None:
        self.file = file
        self.text = text
        self.label = file.label

    def spans(self, lines: int, rows: int) -> Iterator[Span]:
        """The ranges of the file after its first `lines` lines, of about `rows` lines each."""
        begin = self._behind(lines)
        size = self._reach(begin + _SAMPLE)
        at, step = begin, _step(self.file.read(begin, min(begin + _SAMPLE, size)), rows)
        while True:
            size = self._reach(at + step + _BEYOND)
            if at >= size:
                return
            ended = self._has_ended()
            yield Span(self.file, at, min(at + step, size), size, ended, at == begin)
            at += step

    def only_text(self) -> None:
        """Nothing but the text will be asked for."""

    def _behind(self, lines: int) -> int:
        """The byte behind the first `lines` lines."""
        size = _HEAD
        while True:
            there = min(size, self._reach(size))
            head = self.file.read(0, there)
            place = behind_lines(head, lines)
            if place < there or there < size:
                return place
            size *= 2

    def _reach(self, size: int) -> int:  # noqa: ARG002
        """Up to which byte the file can be read: `size` at least, or all of it."""
        return self.file.version[0] if self.file.version else 0

    def _has_ended(self) -> bool:
        """Whether the file ends where `_reach` said."""
        return True


class CopiedLines(LineSource):
    """A file that is copied while it is read."""

    def __init__(self, stream: BinaryIO, label: str, options: ReadOptions, folder: Path) -> None:
        self._folder = folder
        self.copy = new_path(folder, f"{options.source}-copy.txt")
        self._copied, self._readable, self._ended = 0, 0, False
        self._kept: list[bytes] | None = []
        self._out: Any = None
        escapes = Escapes.of(options.layout, options.delimiter)
        is_text = escapes is not None or not has_plain_lines(options.encoding)
        file = LineFile(self.copy, label, options, is_text)
        if is_text:
            text: Text = _Followed(stream, label, options, self._keep)
            if escapes is not None:
                text.follow(lambda chunks: escapes.hidden(chunks, label))
            self._next: Callable[[], bytes] = lambda: next(text, b"")
        else:
            followed = _FollowedStream(stream, self._keep)
            text = Text(cast("BinaryIO", followed), label, options)
            self._next = lambda: followed.read(_CHUNK)
        super().__init__(file, text)

    def spans(self, lines: int, rows: int) -> Iterator[Span]:
        with disk_errors_named(self._folder), self.file.path.open("xb", buffering=0) as self._out:
            kept, self._kept = self._kept or [], None
            for chunk in kept:
                self._keep(chunk)
            yield from super().spans(lines, rows)

    def only_text(self) -> None:
        self._kept = None

    def _keep(self, chunk: bytes) -> None:
        """Take the next bytes: into memory at first, then into the copy."""
        if self._kept is not None:
            self._kept.append(chunk)
        elif self._out is not None:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._out.write(rest) :]
            self._readable = max(self._readable, self._copied + whole_lines(chunk))
            self._copied += len(chunk)

    def _reach(self, size: int) -> int:
        while not self._ended and self._readable < size:
            self._ended = not self._next()
        if self._ended and self._out is not None:
            self._out.close()  # so that others see all of it
        return self._copied if self._ended else self._readable

    def _has_ended(self) -> bool:
        return self._ended


class _FollowedStream(io.RawIOBase):
    """A stream whose bytes are handed on as they are read."""

    def __init__(self, inner: BinaryIO, keep: Callable[[bytes], None]) -> None:
        self._inner, self._keep_bytes = inner, keep

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        self._keep_bytes(data)
        return data


class _Followed(Text):
    """Text whose chunks are handed on as they are read."""

    def __init__(
        self, stream: BinaryIO, label: str, options: ReadOptions, keep: Callable[[bytes], None]
    ) -> None:
        super().__init__(stream, label, options)
        self._keep_bytes = keep

    def __next__(self) -> bytes:
        chunk = super().__next__()
        self._keep_bytes(chunk)
        return chunk


def _step(sample: bytes, rows: int) -> int:
    """How many bytes have about `rows` lines, by the first of them."""
    lines = max(sample.count(b"\n"), sample.count(b"\r"), 1)
    return max(1, min(len(sample) * rows // lines, MAX_PIECE_BYTES))

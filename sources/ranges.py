"""Files of lines as ranges of bytes, each of which any worker reads by itself.

A range has the lines that begin in it. Where records may go over lines it is a guess which line
begins one; so each range says where its records really began and ended, and one that does not begin
where the one before it ended is read again from there. By induction the rows are those that one
reader of the whole file finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from errors import SourceError
from sources.batches import MAX_RECORD_BYTES, ReadOptions
from sources.pieces import Piece
from sources.text import line_chunks, lines_of, whole_characters
from sources.undecodable import Seen

_BEYOND = 64 << 10
_CHUNK = 1 << 20


@dataclass(frozen=True)
class LineFile:
    """A file whose lines any worker can read."""

    path: Path
    label: str
    options: ReadOptions
    is_text: bool = False
    """Whether it is a copy of ours, in UTF-8 and with the line ends that `Text` gives."""
    version: tuple[int, int] | None = None
    """Its size and the time of its last change, which it still must have; None of a copy."""

    def read(self, begin: int, end: int) -> bytes:
        """The bytes from `begin` to `end`. Raises `SourceError` when these cannot be had."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if self.version not in (None, version(status)):
                    raise changed(self.label)
                file.seek(begin)
                data = file.read(end - begin)
        except OSError as error:
            raise unreadable(self.label, error) from error
        if len(data) < end - begin:
            raise changed(self.label)
        return data

    def lines(self, raw: bytes, begin: int, seen: Seen) -> bytes:
        """Whole lines, which begin at byte `begin`, as UTF-8 with LF at the end of each."""
        if self.is_text:
            return raw if raw.endswith(b"\n") else raw + b"\n"
        return lines_of(raw, begin, seen)

    def chunks(self, begin: int, end: int, seen: Seen) -> Iterator[bytes]:
        """The bytes of one long line, in parts of whole characters."""
        parts = (self.read(at, min(at + _CHUNK, end)) for at in range(begin, end, _CHUNK))
        return whole_characters(parts) if self.is_text else line_chunks(parts, begin, seen)


def version(status: os.stat_result) -> tuple[int, int]:
    """By what a file that somebody wrote to is told from what it was."""
    return status.st_size, status.st_mtime_ns


def changed(label: str) -> SourceError:
    """The error for a file that somebody wrote to while it was read."""
    return SourceError(
        f"{label}: the file changed while it was read; run again when it is complete"
    )


def unreadable(label: str, error: OSError) -> SourceError:
    """The error for a file that could be opened, and not be read."""
    if isinstance(error, FileNotFoundError):
        return changed(label)
    return SourceError(f"{label}: the read failed ({error.strerror or error}); is the file whole?")


@dataclass(frozen=True)
class OwnLines:
    """The lines that begin in a range: their bytes, and where these begin and end.

    With `overlong` the last of them is left out: it begins at `end`, ends at `overlong`, and is
    longer than a record may be.
    """

    raw: bytes
    begin: int
    end: int
    overlong: int | None = None


@dataclass(frozen=True)
class Range(Piece):
    """The lines of a file that begin from byte `begin` on and before `stop`.

    The file may be read up to `readable`, which is a line's end, or with `is_whole` the file's.
    """

    file: LineFile
    begin: int
    stop: int
    readable: int
    is_whole: bool
    is_exact: bool = False
    """Whether it is known that a record begins at `begin`."""

    @property
    def is_portable(self) -> bool:
        """Of a copy that is still written, other machines may not see what is there already."""
        return self.is_whole

    @property
    def place(self) -> str:
        return f"bytes {self.begin:,} to {self.stop:,}"

    def exactly(self, begin: int) -> Self:
        """The rest of this range, from the record on that begins at `begin`."""
        return replace(self, begin=begin, is_exact=True)

    def own_lines(self) -> OwnLines | None:
        """The lines that begin in this range; None where none does."""
        offset = self.begin if self.is_exact else self.begin - 1
        raw = self.file.read(offset, min(self.stop + _BEYOND, self.readable))
        first = 0 if self.is_exact else line_end(raw, 0)
        begin = offset + first
        if first < 0 or begin >= self.stop:
            return None
        end = line_end(raw, self.stop - 1 - offset)
        is_open = end < 0 or (end == len(raw) and raw.endswith(b"\r"))
        if is_open and offset + len(raw) < self.readable:
            return self._with_long_line(raw[first:].removesuffix(b"\r"), begin)
        end = len(raw) if end < 0 else end
        return OwnLines(raw[first:end], begin, offset + end)

    def _with_long_line(self, raw: bytes, begin: int) -> OwnLines:
        """As `own_lines`, where the last line, which is not all in `raw`, is a long one."""
        last = whole_lines(raw)
        parts, at = [raw], begin + len(raw)
        size = len(raw) - last
        while at < self.readable:
            chunk = self.file.read(at, min(at + _CHUNK, self.readable))
            if chunk.endswith(b"\r") and at + len(chunk) < self.readable:
                chunk = chunk[:-1]  # perhaps half of a line end
            found = line_end(chunk, 0)
            used = len(chunk) if found < 0 else found
            at, size = at + used, size + used
            if not is_overlong(size):
                parts.append(chunk[:used])
            if found >= 0:
                break
        if is_overlong(size):
            return OwnLines(raw[:last], begin, begin + last, overlong=at)
        return OwnLines(b"".join(parts), begin, at)

    def beyond(self, end: int, size: int) -> tuple[bytes, bool]:
        """About `size` bytes of whole lines after the byte `end`, and whether the file ends there,
        or there is no whole line.
        """
        stop = min(end + size, self.readable)
        raw = self.file.read(end, stop)
        if stop == self.readable:
            return raw, self.is_whole
        return raw[: whole_lines(raw)], False


def is_overlong(size: int) -> bool:
    """Whether a line of so many bytes, with its end, is longer than a record may be."""
    return size > MAX_RECORD_BYTES + len("\r\n")


def line_end(raw: bytes, at: int) -> int:
    """The place behind the first line end at `at` or after it: LF, CR or both; -1 without any."""
    line_feed = raw.find(b"\n", at)
    end = len(raw) if line_feed < 0 else line_feed
    carriage_return = raw.find(b"\r", at, end)
    if carriage_return < 0 or carriage_return + 1 == line_feed:
        return line_feed + 1 if line_feed >= 0 else -1
    return carriage_return + 1


def whole_lines(raw: bytes) -> int:
    """The place behind the last line end of which it is certain that it is a whole one."""
    return max(raw.rfind(b"\n"), raw.rfind(b"\r", 0, -1)) + 1


def behind_lines(raw: bytes, count: int) -> int:
    """The place behind the first `count` lines; the last line may have no end."""
    at = 0
    for _ in range(count):
        end = line_end(raw, at)
        at = len(raw) if end < 0 else end
    return at

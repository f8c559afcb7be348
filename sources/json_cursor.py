"""A place in a JSON text of any length, of which only a part is in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from errors import SourceError
from sources.batches import MAX_RECORD_BYTES
from sources.json_decoder import DEEPEST, TooDeepError, problem_of
from sources.undecodable import MARK

Decode = Callable[[str, int], tuple[Any, int]]
"""Takes a text and a place in it; returns the value that begins there, and where it ends. Raises
`ValueError` if there is none.
"""
_SPACES = re.compile(r"[ \t\n]*")
_SMALL = 1 << 20
"""A value that has more characters is passed over part by part."""
_PLAIN: Decode = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=str, strict=False
).raw_decode


@dataclass
class Cursor:
    """A place in a JSON text: a buffer that chunks are appended to, and where in it.

    `line` is the line of the file in which the buffer begins. `encoding_error` makes the error for
    undecodable bytes between the values.
    """

    label: str
    buffer: str
    chunks: Iterator[str]
    line: int
    encoding_error: Callable[[], SourceError]
    at: int = 0
    ended: bool = False
    """Whether all chunks are in the buffer."""

    def more(self) -> None:
        """Take the next chunk, and forget what is before this place."""
        self.line += self.buffer.count("\n", 0, self.at)
        chunk = next(self.chunks, "")
        self.buffer, self.at, self.ended = self.buffer[self.at :] + chunk, 0, not chunk

    def peek(self) -> str:
        """The next character that is no space, before which it then is; '' at the end."""
        while True:
            spaces = _SPACES.match(self.buffer, self.at)
            self.at = spaces.end() if spaces else self.at
            if self.at < len(self.buffer) or self.ended:
                return self.buffer[self.at : self.at + 1]
            self.more()

    def value(self, decode: Decode, record: int = 0) -> Any:
        """The value here, behind which it then is. `record` is its number in messages, if it is
        one. Raises `SourceError` if there is no valid one.
        """
        while True:
            try:
                value, end = decode(self.buffer, self.at)
                if end < len(self.buffer) or self.ended:  # else it may continue in the next chunk
                    self.at = end
                    return value
                problem, stop = "it never ends", len(self.buffer)
            except TooDeepError as error:
                where = f", record {record}" if record else self._line_at(self.at)
                advice = "take that record out of the file" if record else "write it otherwise"
                raise SourceError(f"{self.label}{where}: {error}; {advice}") from None
            except ValueError as error:
                problem, stop = problem_of(error), getattr(error, "pos", self.at)
            self._expect_more(stop, record, problem)
            self.more()

    def elements(self, decode: Decode, before: int) -> Iterator[tuple[int, Any]]:
        """The elements of the list behind whose bracket it is, numbered from `before` + 1."""
        for number in self.members("]", before):
            yield number, self.value(decode, number)

    def each_key(self) -> Iterator[str]:
        """The keys of the object behind whose brace it is. Before the next one is asked for, it
        must have gone behind the value.
        """
        for _ in self.members("}"):
            if self.peek() not in ('"', ""):
                raise self.expected("a key in quotes")
            key: str = self.value(_PLAIN)
            if self.peek() != ":":
                raise self.expected(f"a colon after the key {key[:50]!r}")
            self.at += 1
            self.peek()
            yield key

    def members(self, close: str, before: int | None = None) -> Iterator[int]:
        """Numbers from `before` + 1, each before a member of a list or object, to its end."""
        number = before or 0
        if self.peek() != close:
            while True:
                number += 1
                yield number
                following = self.peek()
                if following == close:
                    break
                if following != ",":
                    after = f"after record {number}" if before is not None else ""
                    raise self.expected(f"a comma or {close}", after, number + 1)
                self.at += 1
                self.peek()
        self.at += 1

    def pass_over(self, levels: int = 0) -> None:
        """Go behind the value here, however large it is. Raises `SourceError` if it is not valid,
        or nested too deep.
        """
        begin = self.peek()
        while True:
            try:
                _, end = _PLAIN(self.buffer, self.at)
                if end < len(self.buffer) or self.ended:
                    self.at = end
                    return
            except (ValueError, RecursionError):
                pass
            is_known = self.ended or len(self.buffer) - self.at > _SMALL
            if begin not in ("[", "{"):
                self.value(_PLAIN)
                return
            if is_known:
                break
            self.more()
        if levels == DEEPEST:
            raise SourceError(
                f"{self.label}{self._line_at(self.at)}: nested more than {DEEPEST} deep"
            )
        self.at += 1
        for _ in self.members("]") if begin == "[" else self.each_key():
            self.pass_over(levels + 1)

    def expected(self, what: str, after: str = "", record: int = 0) -> SourceError:
        """The error for something else in place of `what`."""
        if self.buffer[self.at : self.at + 1] == MARK:
            return self.encoding_error()
        if not self.peek():
            where = f", record {record}" if after else ""
            return SourceError(
                f"{self.label}{self._line_at(self.at)}{where}: not valid JSON (it never ends); "
                "the file seems to be cut off"
            )
        where = ", ".join(filter(None, [self._line_at(self.at), after]))
        return SourceError(f"{self.label}{where}: expected {what}")

    def place(self) -> str:
        """The file and the line here, for messages."""
        return f"{self.label}{self._line_at(self.at)}"

    def _line_at(self, at: int) -> str:
        line = self.line + self.buffer.count("\n", 0, at)
        return f", line {line}"

    def _expect_more(self, stop: int, record: int, problem: str) -> None:
        """Raise `SourceError` if no further chunk can complete the value here. The decoder found
        `problem` at `stop`.
        """
        what = f", record {record}" if record else ""
        if self.ended:
            is_cut = problem.startswith("Unterminated") or not self.buffer[stop:].strip()
            if not is_cut and MARK in self.buffer[self.at : stop + 2]:
                raise self.encoding_error()
            raise SourceError(
                f"{self.label}{self._line_at(stop)}{what}: not valid JSON ({problem}); "
                + ("the file seems to be cut off" if is_cut else "correct it in the file")
            )
        if len(self.buffer) - self.at > MAX_RECORD_BYTES:
            place = what or self._line_at(stop)
            raise SourceError(
                f"{self.label}{place}: not valid JSON ({problem}), or above the limit of "
                f"{MAX_RECORD_BYTES} bytes for one {'record' if record else 'value'}"
            )

"""JSON arrays (RFC 8259) and JSON Lines, decoded record by record; numbers keep all digits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from common.values import json_number, storable, text_array
from errors import SourceError
from sources.batches import MAX_COLUMNS, MAX_RECORD_BYTES, OpenSource, Piece, ReadOptions, TextBatch
from sources.json_values import same
from sources.text import Text
from sources.undecodable import MARK, refused

_DEEPEST = 100
"""The most levels of nesting; a deeper record is refused."""
_LONG_LINE = 64 << 10
_LOOKED_AT = 1000  # the records whose keys are the file's columns before it is read


@dataclass(frozen=True)
class _Malformed:
    """Text in place of a JSON object, and why it is no row."""

    problem: str
    text: str


Record = dict[str, Any] | _Malformed
Item = tuple[int, Record]
"""A record's number (in an array) or line (in JSON Lines), and the record."""
_BETWEEN = re.compile(r"[ \t\n\r]*,?[ \t\n\r]*")
_BESIDE = re.compile(r"\}[ \t]*,?[ \t]*\{")


class _TooDeepError(ValueError):
    """Nested so deep that the parser gave up: where the value ends is unknown."""


class _Decoder:
    """Decodes JSON objects that follow each other in a text."""

    def __init__(self) -> None:
        self._twice = False
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=json_number,
            parse_int=_integer,
            parse_constant=str,
            strict=False,
        )

    def decode(self, text: str, at: int) -> tuple[dict[str, Any] | _Malformed, int]:
        """The value that begins at `at`, and where it ends; `_Malformed` if it is no usable record.

        Raises `ValueError` if no JSON value begins there.
        """
        self._twice = False
        try:
            value, end = self._json.raw_decode(text, at)
        except RecursionError:
            raise _TooDeepError(f"nested more than {_DEEPEST} deep") from None
        if not isinstance(value, dict) or text.find(MARK, at, end) >= 0:
            return _Malformed("not a JSON object", text[at:end]), end
        if not value:
            return _Malformed("an object without keys", text[at:end]), end
        if self._twice:
            return _Malformed("a key appears twice with different values", text[at:end]), end
        names = "".join(value)
        if not names.isascii() and storable(names) != names:  # keys become columns' names
            return _Malformed("a key with half of a Unicode pair", text[at:end]), end
        is_deep = text.count("[", at, end) + text.count("{", at, end) > _DEEPEST
        return (self._shallow(value, text[at:end]) if is_deep else value), end

    def line(self, text: str, *, is_whole: bool = True) -> tuple[list[Record], str]:
        """The objects of a line, with or without commas between them, and the rest of the text if
        the line is not whole and may continue.

        After a damaged object the next one is read, if it is certain where that begins.
        """
        found: list[Record] = []
        at, text = 0, text.strip()
        while at < len(text):
            try:
                value, end = self.decode(text, at)
            except ValueError as error:
                value = _Malformed(f"not a JSON object ({_problem(error)})", text[at:])
                following = self._following(text, max(at, getattr(error, "pos", at)))
                if following is not None:
                    value = _Malformed(value.problem, text[at:following].rstrip(" \t,"))
            else:
                following = _after(text, end)
                if following < len(text) and text[following] != "{":
                    value, following = _Malformed("text after the JSON value", text[at:]), None
            if not is_whole and following in (None, len(text)):
                return found, text[at:]
            found.append(value)
            at = len(text) if following is None else following
        return found, ""

    def _following(self, text: str, damaged: int) -> int | None:
        """Where the object after a damaged one begins, if that is certain; else None.

        `}{` is always between two records. `},{` may also be inside a list of the damaged one, so
        it counts only if everything from there on can be decoded.
        """
        beside = _BESIDE.search(text, damaged)
        if beside is None:
            return None
        begin = beside.end() - 1
        if "," not in beside[0]:
            return begin
        try:
            at = begin
            while at < len(text):
                if text[at] != "{":
                    return None
                at = _after(text, self.decode(text, at)[1])
        except ValueError:
            return None
        return begin

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs) and not all(same(value[key], other) for key, other in pairs):
            self._twice = True
        return value

    def _shallow(self, value: dict[str, Any], text: str) -> dict[str, Any] | _Malformed:
        layer: list[Any] = [value]
        for _ in range(_DEEPEST):
            layer = [
                inner
                for outer in layer
                for inner in (outer.values() if isinstance(outer, dict) else outer)
                if isinstance(inner, dict | list)
            ]
            if not layer:
                return value
        return _Malformed(f"nested more than {_DEEPEST} deep", text)


def _after(text: str, end: int) -> int:
    """Where the next value may begin: after spaces, with at most one comma among them."""
    between = _BETWEEN.match(text, end)
    return end if between is None else between.end()


def _problem(error: ValueError) -> str:
    """The decoder's message without its position, which counts from the buffer's beginning."""
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return message.removesuffix(" starting at")


def _integer(digits: str) -> int | str:
    """An integer; one of 100 digits or more stays text, and is rejected as a number later."""
    return int(digits) if len(digits) < 100 else digits


def open_json(label: str, utf8: Text, options: ReadOptions) -> OpenSource:
    """Open a JSON array of objects or JSON Lines, told apart by the first character.

    `utf8` is the text of the file. Raises `SourceError` when it is neither.
    """
    chunks = (chunk.decode() for chunk in utf8)
    head, line = "", 1
    for chunk in chunks:
        head = chunk.lstrip()
        line += chunk.count("\n") - head.count("\n")
        if head:
            break
    if not head:
        raise SourceError(f"{label}: the file is empty; expected a JSON array or JSON Lines")
    if head[0] == MARK:
        raise utf8.encoding_error()
    if head[0] == "[":
        array = _Array(label, head[1:], chunks, line, utf8.encoding_error)
        items, kind = array.items(), "json array"
    elif head[0] == "{":
        _refuse_spread(label, head)
        items, kind = _line_items(label, head, chunks), "json lines"
    else:
        raise SourceError(f"{label}: expected a JSON array of objects or JSON Lines")
    columns: list[str] = []
    looked_at = list(islice(items, _LOOKED_AT))
    _refuse_wrapped(label, looked_at, options)
    _add_columns(label, columns, looked_at)
    items = chain(looked_at, items)

    def pieces() -> Iterator[Piece]:
        while batch := list(islice(items, options.batch_rows)):
            _add_columns(label, columns, batch)
            yield partial(_parse_json, list(columns), batch, options)

    return OpenSource(label, kind, columns, pieces(), is_schemaless=True)


def _add_columns(label: str, columns: list[str], batch: list[Item]) -> None:
    """Add the keys of `batch` that no earlier record has."""
    found = dict.fromkeys(columns)
    for _, item in batch:
        if isinstance(item, dict):
            found.update(dict.fromkeys(item))
    columns[:] = found
    if len(columns) > MAX_COLUMNS:
        raise SourceError(f"{label}: {len(columns)} keys exceed the limit of {MAX_COLUMNS} columns")


def _refuse_wrapped(label: str, items: Sequence[Item], options: ReadOptions) -> None:
    """Raise `SourceError` when the objects are no records but contain a list of them."""
    records = [record for _, record in items if isinstance(record, dict)]
    if any(name.casefold() in options.used for record in records for name in record):
        return
    for name, value in records[0].items() if records else ():
        inner = value[0] if isinstance(value, list) and value else None
        if isinstance(inner, dict) and any(key.casefold() in options.used for key in inner):
            raise SourceError(f"{label}: its records are a list inside {name!r}{_way_out(name)}")


def _way_out(name: str) -> str:
    """How to get the records out of the list `name`, as the end of a message."""
    return (
        f"; take out the array {name!r}, as `jq .{name}` does, or by a query (duckdb:///:memory: "
        f"as the path, read_json and unnest({name}); docs/recipes.md shows how)"
    )


def _refuse_spread(label: str, head: str) -> None:
    """Raise `SourceError` for an object over several lines, as a pretty-printer writes it."""
    line, _, rest = head.partition("\n")
    try:
        _Decoder().decode(line, 0)
    except ValueError:
        if rest.lstrip()[:1] not in ("", "{") or (rest and line.rstrip().endswith("[")):
            inside = re.search(r'"([^"\\]+)"\s*:\s*\[', head)
            raise SourceError(
                f"{label}: it begins with one JSON object over several lines; "
                "expected an array of objects, or one object per line"
                + (_way_out(inside[1]) if inside else "")
            ) from None


@dataclass
class _Array:
    """Decodes a JSON array, element by element, from a buffer that chunks are appended to.

    `line` is the line of the file in which the buffer begins. `encoding_error` makes the error for
    undecodable bytes between the elements.
    """

    label: str
    buffer: str
    chunks: Iterator[str]
    line: int
    encoding_error: Callable[[], SourceError]
    ended: bool = False
    """Whether all chunks are in the buffer."""

    def items(self) -> Iterator[Item]:
        """The elements, numbered from 1. Raises `SourceError` where the array is no valid JSON."""
        decoder = _Decoder()
        number, at, after_comma = 0, 0, False
        while True:
            while at < len(self.buffer) and self.buffer[at] in " \t\n":
                at += 1
            begin = self.buffer[at : at + 1]
            if begin == "]" and not after_comma:
                self._expect_nothing_after(at + 1)
                return
            if begin == "," and number and not after_comma:
                at, after_comma = at + 1, True
                continue
            if begin and number and not after_comma:
                raise self._no_comma(at, number)
            try:
                value, end = decoder.decode(self.buffer, at)
                if end < len(self.buffer) or self.ended:  # else it may continue in the next chunk
                    number, at, after_comma = number + 1, end, False
                    yield number, value
                    continue
                problem, stop = "it never ends", len(self.buffer)
            except _TooDeepError as error:
                raise SourceError(
                    f"{self.label}, record {number + 1}: {error}; take that record out of the file"
                ) from None
            except ValueError as error:
                problem, stop = _problem(error), getattr(error, "pos", at)
            self._expect_more(at, stop, number + 1, problem)
            self.line += self.buffer.count("\n", 0, at)
            more = next(self.chunks, "")
            self.buffer, at, self.ended = self.buffer[at:] + more, 0, not more

    def _expect_nothing_after(self, at: int) -> None:
        if self.buffer[at:].strip() or any(chunk.strip() for chunk in self.chunks):
            raise SourceError(f"{self.label}: there is text after the JSON array's end; remove it")

    def _no_comma(self, at: int, number: int) -> SourceError:
        if self.buffer[at] == MARK:
            return self.encoding_error()
        line = self.line + self.buffer.count("\n", 0, at)
        return SourceError(
            f"{self.label}, line {line}, after record {number}: expected a comma or ]"
        )

    def _expect_more(self, at: int, stop: int, number: int, problem: str) -> None:
        """Raise `SourceError` if no further chunk can complete the value that begins at `at`. The
        decoder found `problem` at `stop`.
        """
        if self.ended:
            is_cut = problem.startswith("Unterminated") or not self.buffer[stop:].strip()
            if not is_cut and MARK in self.buffer[at : stop + 2]:
                raise self.encoding_error()
            line = self.line + self.buffer.count("\n", 0, stop)
            raise SourceError(
                f"{self.label}, line {line}, record {number}: not valid JSON ({problem}); "
                + ("the file seems to be cut off" if is_cut else "correct it in the file")
            )
        if len(self.buffer) - at > MAX_RECORD_BYTES:
            raise SourceError(
                f"{self.label}, record {number}: not valid JSON ({problem}), or above the limit of "
                f"{MAX_RECORD_BYTES} bytes for one record"
            )


def _line_items(label: str, buffer: str, chunks: Iterator[str]) -> Iterator[Item]:
    decoder, number = _Decoder(), 0
    while True:
        *lines, buffer = buffer.split("\n")
        for line in lines:
            number += 1
            for record in decoder.line(line)[0]:
                yield number, record
        if len(buffer) > _LONG_LINE:  # perhaps a file without line ends
            records, buffer = decoder.line(buffer, is_whole=False)
            for record in records:
                yield number + 1, record
        if len(buffer) > MAX_RECORD_BYTES:
            raise SourceError(
                f"{label}, line {number + 1}: exceeds the limit of {MAX_RECORD_BYTES} bytes"
            )
        more = next(chunks, "")
        if not more:
            for record in decoder.line(buffer)[0]:
                yield number + 1, record
            return
        buffer += more


def _parse_json(columns: list[str], batch: list[Item], options: ReadOptions) -> TextBatch:
    rows, lines, no_rows = [], [], []
    for number, value in batch:
        if isinstance(value, _Malformed):
            no_rows.append(refused(number, value.problem, value.text, options.encoding))
        else:
            rows.append(value)
            lines.append(number)
    texts = {}
    for name in columns:
        texts[name] = text_array([row.get(name) for row in rows], options.text_of(name))
    table = pa.table(texts)
    return TextBatch(table, np.array(lines, np.int64), no_rows, len(batch))

"""JSON arrays (RFC 8259) and JSON Lines, decoded record by record; numbers keep all digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

import numpy as np
import pyarrow as pa

from common.values import text_array
from errors import LineError, SourceError
from sources.batches import MAX_RECORD_BYTES, ReadOptions, TextBatch
from sources.json_decoder import Decoder, Item, Malformed, TooDeepError, problem_of
from sources.line_source import LineSource
from sources.pieces import Findings, LocalPiece, OpenSource, Piece, refuse_too_many
from sources.ranges import OwnLines, Range, behind_lines, is_overlong
from sources.undecodable import MARK, Seen, refused

_LONG_LINE = 64 << 10
_WINDOW = 1 << 20  # characters of a long line that are decoded at a time
_FEW = 10_000  # records that are decoded before they become text
_LOOKED_AT = 1000  # the records whose keys are the file's columns before it is read


def open_json(source: LineSource, options: ReadOptions) -> OpenSource:
    """Open a JSON array of objects or JSON Lines, told apart by the first character.

    Raises `SourceError` when it is neither.
    """
    label, utf8 = source.label, source.text
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
        source.only_text()
        array = _Array(label, head[1:], chunks, line, utf8.encoding_error)
        return _open_array(label, array.items(), options)
    if head[0] != "{":
        raise SourceError(f"{label}: expected a JSON array of objects or JSON Lines")
    _refuse_spread(label, head)
    looked_at = list(islice(_line_items(label, head, chunks), _LOOKED_AT))
    columns = _columns_in_head(label, looked_at, options)
    spans = source.spans(0, options.batch_rows)
    pieces = (JsonRange(*span, columns=tuple(columns)) for span in spans)
    return OpenSource(label, "json lines", list(columns), pieces, is_schemaless=True)


def _open_array(label: str, items: Iterator[Item], options: ReadOptions) -> OpenSource:
    looked_at = list(islice(items, _LOOKED_AT))
    columns = _columns_in_head(label, looked_at, options)
    items = chain(looked_at, items)

    def pieces() -> Iterator[Piece]:
        while batch := list(islice(items, options.batch_rows)):
            _add_columns(label, columns, batch)
            yield LocalPiece(partial(_parse_json, list(columns), batch, options))

    return OpenSource(label, "json array", columns, pieces(), is_schemaless=True)


def _columns_in_head(label: str, items: list[Item], options: ReadOptions) -> list[str]:
    columns: list[str] = []
    _refuse_wrapped(label, items, options)
    _add_columns(label, columns, items)
    return columns


@dataclass(frozen=True)
class JsonRange(Range):
    """The records in the lines that begin in a range of a file of JSON Lines.

    `columns` are those that the file is known to have.
    """

    columns: tuple[str, ...] = field(kw_only=True)

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        own = self.own_lines()
        if own is None:
            return
        found.begin, found.end = own.begin, own.overlong or own.end
        counts = found.counts = Seen(self.file.label, self.file.options)
        found.columns = list(self.columns)
        parsed: list[TextBatch] = []
        for items in filter(None, self._items(own, found, counts)):
            _add_columns(self.file.label, found.columns, items)
            parsed.append(_parse_json(list(found.columns), items, self.file.options))
            if sum(batch.records for batch in parsed) >= self.file.options.batch_rows:
                yield _together(parsed)
                parsed = []
        if parsed:
            yield _together(parsed)

    def _items(self, own: OwnLines, found: Findings, counts: Seen) -> Iterator[list[Item]]:
        """The records of the lines, each with its line, a few at a time: Python objects are
        ten times as large as their text.
        """
        decoder = Decoder()
        data = self.file.lines(own.raw, own.begin, counts) if own.raw else b""
        items: list[Item] = []
        for line in data.decode().split("\n")[:-1]:
            found.lines += 1
            if len(line) > MAX_RECORD_BYTES // 4 and _is_overlong(own.raw, found.lines):
                yield items
                yield from self._run_on([line], found.lines)
                items = []
            else:
                items += [(found.lines, record) for record in decoder.line(line)[0]]
            if len(items) >= _FEW:
                yield items
                items = []
        yield items
        if own.overlong is not None:
            found.lines += 1
            chunks = self.file.chunks(own.end, own.overlong, counts)
            yield from self._run_on((chunk.decode() for chunk in chunks), found.lines)

    def _run_on(self, chunks: Iterable[str], number: int) -> Iterator[list[Item]]:
        """The records of a long line, perhaps of a file without line ends. Windows of a fixed size
        go along it, so that the records do not depend on the ranges.
        """
        decoder, buffer = Decoder(), ""
        for window in _windows(chunks):
            records, buffer = decoder.line(buffer + window, is_whole=False)
            yield [(number, record) for record in records]
            if len(buffer) > MAX_RECORD_BYTES:
                raise LineError(
                    self.file.label, number, f"exceeds the limit of {MAX_RECORD_BYTES} bytes"
                )
        yield [(number, record) for record in decoder.line(buffer)[0]]


def _together(parsed: list[TextBatch]) -> TextBatch:
    """Consecutive batches as one."""
    rows = pa.concat_tables([batch.rows for batch in parsed], promote_options="default")
    refused_records = [record for batch in parsed for record in batch.refused]
    lines = np.concatenate([batch.lines for batch in parsed])
    return TextBatch(rows, lines, refused_records, sum(batch.records for batch in parsed))


def _is_overlong(raw: bytes, number: int) -> bool:
    """Whether line `number` of these lines is."""
    return is_overlong(behind_lines(raw, number) - behind_lines(raw, number - 1))


def _windows(chunks: Iterable[str]) -> Iterator[str]:
    """The same text in pieces of the same size, all but the last."""
    text = ""
    for chunk in chunks:
        text += chunk.removesuffix("\n")
        while len(text) > _WINDOW:
            yield text[:_WINDOW]
            text = text[_WINDOW:]
    yield text


def _add_columns(label: str, columns: list[str], batch: list[Item]) -> None:
    """Add the keys of `batch` that no earlier record has."""
    found = dict.fromkeys(columns)
    for _, item in batch:
        if isinstance(item, dict):
            found.update(dict.fromkeys(item))
    columns[:] = found
    refuse_too_many(label, columns)


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
        Decoder().decode(line, 0)
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
        decoder = Decoder()
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
            except TooDeepError as error:
                raise SourceError(
                    f"{self.label}, record {number + 1}: {error}; take that record out of the file"
                ) from None
            except ValueError as error:
                problem, stop = problem_of(error), getattr(error, "pos", at)
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
    decoder, number = Decoder(), 0
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
        if isinstance(value, Malformed):
            no_rows.append(refused(number, value.problem, value.text, options.encoding))
        else:
            rows.append(value)
            lines.append(number)
    texts = {}
    for name in columns:
        texts[name] = text_array([row.get(name) for row in rows], options.text_of(name))
    table = pa.table(texts)
    return TextBatch(table, np.array(lines, np.int64), no_rows, len(batch))

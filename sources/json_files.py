"""JSON files: arrays, documents and JSON Lines, decoded record by record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

from errors import LineError, SourceError
from sources.batches import MAX_PIECE_BYTES, MAX_RECORD_BYTES, ReadOptions, TextBatch
from sources.explode import fault, steps_of
from sources.json_cursor import Cursor
from sources.json_decoder import Decoder, Item, Record
from sources.json_document import (
    Documents,
    array,
    beside,
    has_lists_of_objects,
    look,
    no_records,
    objects,
    path_to_records,
)
from sources.json_rows import columns_in_head, parse_items, together
from sources.line_source import LineSource
from sources.pieces import Findings, LocalPiece, OpenSource, Piece
from sources.ranges import OwnLines, Range, behind_lines, is_overlong
from sources.undecodable import MARK, Seen

_LONG_LINE = 64 << 10
_WINDOW = 1 << 20  # characters of a long line that are decoded at a time
_FEW = 10_000  # records that are decoded before they become text
_FEW_LARGE = 2000  # the same where records may be as large as documents are
_LOOKED_AT = 1000  # the records whose keys are the file's columns before it is read


def open_json(source: LineSource, options: ReadOptions) -> OpenSource:
    """Open JSON: an array of records, a document with a list of them inside, records that follow
    each other, or JSON Lines. Raises `SourceError` when it is none of these.
    """
    label, utf8 = source.label, source.text
    cursor = Cursor(label, "", (chunk.decode() for chunk in utf8), 1, utf8.encoding_error)
    decoder, begin = _decoder(options), cursor.peek()
    if not begin:
        raise SourceError(f"{label}: the file is empty; expected a JSON array or JSON Lines")
    if begin == MARK:
        raise utf8.encoding_error()
    if begin not in "[{":
        raise SourceError(f"{label}: expected a JSON array of objects or JSON Lines")
    if options.layout.records:
        path = tuple(options.layout.records.split("."))
        source.only_text()
        documents = Documents(cursor, path, options, decoder)
        return _open_stream(label, "json document", documents.items(), options)
    if begin == "[":
        source.only_text()
        return _open_stream(label, "json array", array(cursor, decoder), options)
    return _open_objects(source, cursor, options)


def _open_objects(source: LineSource, cursor: Cursor, options: ReadOptions) -> OpenSource:
    """Open what begins with an object: a record, or a document with a list of them."""
    label, decoder = source.label, _decoder(options)
    first = _in_one_line(cursor, decoder)
    if not (isinstance(first, dict) and options.layout.bears(first)):
        beginning = look(cursor)
        first = _in_one_line(cursor, decoder)
        path = path_to_records(label, beginning, options)
        if path is not None:
            source.only_text()
            documents = Documents(cursor, path, options, decoder, is_found=True)
            opened = _open_stream(label, "json document", documents.items(), options)
            opened.warn(*beside(beginning, path, options))
            return opened
        is_foreign = not any(key.casefold() in options.used for key in beginning.keys)
        is_record = options.layout.bears(beginning.keys) or any(
            step in beginning.keys for step in steps_of(options)[:1]
        )
        is_odd = not is_record and (first is None or is_foreign)
        if is_odd and has_lists_of_objects(beginning):
            raise no_records(label, beginning, options)
        if first is None and (beginning.is_valid or not _begins_again(cursor)):
            source.only_text()
            return _open_stream(label, "json objects", objects(cursor, decoder), options)
    looked_at = list(islice(_line_items(label, cursor, decoder), _LOOKED_AT))
    columns = columns_in_head(label, looked_at, options)
    spans = source.spans(0, options.batch_rows)
    pieces = (JsonRange(*span, columns=tuple(columns)) for span in spans)
    return OpenSource(label, "json lines", list(columns), pieces, is_schemaless=True)


def _decoder(options: ReadOptions) -> Decoder:
    """What decodes the records of a source."""
    steps = steps_of(options)
    return Decoder(partial(fault, steps=steps) if steps else None)


def _in_one_line(cursor: Cursor, decoder: Decoder) -> Record | None:
    """The first object, if it is all in one line of what was read so far; else None."""
    try:
        return decoder.decode(cursor.buffer[cursor.at :].partition("\n")[0], 0)[0]
    except ValueError:
        return None


def _begins_again(cursor: Cursor) -> bool:
    """Whether the second line looks like that of a file of JSON Lines, whose first is damaged."""
    line, _, rest = cursor.buffer[cursor.at :].partition("\n")
    return rest.lstrip()[:1] in ("", "{") and not (rest and line.rstrip().endswith("["))


def _open_stream(label: str, form: str, items: Iterator[Item], options: ReadOptions) -> OpenSource:
    """Open a file whose records are decoded one after the other."""
    looked_at = list(islice(items, _LOOKED_AT))
    columns = columns_in_head(label, looked_at, options)
    items = chain(looked_at, items)

    def pieces() -> Iterator[Piece]:
        parsed: list[TextBatch] = []
        records = 0
        while few := list(islice(items, max(1, min(_FEW_LARGE, options.batch_rows - records)))):
            parsed.append(parse_items(label, columns, few, options))
            records = sum(batch.records for batch in parsed)
            size = sum(batch.rows.nbytes for batch in parsed)
            if records >= options.batch_rows or size >= MAX_PIECE_BYTES:
                yield LocalPiece(partial(together, parsed))
                parsed, records = [], 0
        if parsed:
            yield LocalPiece(partial(together, parsed))

    return OpenSource(label, form, columns, pieces(), is_schemaless=True)


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
            parsed.append(parse_items(self.file.label, found.columns, items, self.file.options))
            if sum(batch.records for batch in parsed) >= self.file.options.batch_rows:
                yield together(parsed)
                parsed = []
        if parsed:
            yield together(parsed)

    def _items(self, own: OwnLines, found: Findings, counts: Seen) -> Iterator[list[Item]]:
        """The records of the lines, each with its line, a few at a time: Python objects are
        ten times as large as their text.
        """
        decoder = _decoder(self.file.options)
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
        decoder, buffer = _decoder(self.file.options), ""
        for window in _windows(chunks):
            records, buffer = decoder.line(buffer + window, is_whole=False)
            yield [(number, record) for record in records]
            if len(buffer) > MAX_RECORD_BYTES:
                raise LineError(
                    self.file.label, number, f"exceeds the limit of {MAX_RECORD_BYTES} bytes"
                )
        yield [(number, record) for record in decoder.line(buffer)[0]]


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


def _line_items(label: str, cursor: Cursor, decoder: Decoder) -> Iterator[Item]:
    """The records from a place on, line by line, numbered from 1."""
    buffer, chunks, number = cursor.buffer[cursor.at :], cursor.chunks, 0
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

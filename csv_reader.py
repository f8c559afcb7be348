"""CSV by RFC 4180, careful: nothing is shifted, swallowed or guessed.

Records are found and counted by a scan of the bytes; pyarrow parses them; the two must agree.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from blocks import (
    MAX_PIECE_BYTES,
    MAX_RECORD_BYTES,
    SHOWN,
    Block,
    Lines,
    Opened,
    Piece,
    Reading,
    Refused,
    column_names,
)
from errors import SourceError
from parallel import ahead

_DELIMITERS = ",;|\t"
_QUOTE, _NEWLINE = 0x22, 0x0A
_HEADER_LINES = 20
_SEPARATOR_TOLD = re.compile(rb'"?sep=([ -~\t])"?', re.IGNORECASE)
"""A first line that tells Excel the delimiter."""


@dataclass(frozen=True)
class _Dialect:
    """What a CSV file's header line told: its path for messages, delimiter and column names."""

    shown: str
    delimiter: str
    columns: tuple[str, ...]
    types: Mapping[str, pa.DataType]

    def fields(self, text: str) -> list[str] | None:
        """`text` as exactly one strictly parsed record, or None."""
        try:
            records = list(csv.reader(io.StringIO(text, newline=""), self._strict()))
        except csv.Error:
            return None
        return records[0] if len(records) == 1 else None

    def fits(self, text: str) -> bool:
        """Whether `text` is one well-formed record of this file."""
        fields = self.fields(text)
        return fields is not None and len(fields) == len(self.columns)

    def rewrite(self, text: str) -> bytes:
        """The record with its quotes as RFC 4180 wants them."""
        out = io.StringIO()
        csv.writer(out, self._strict(), lineterminator="\n").writerow(self.fields(text) or [])
        return out.getvalue().encode()

    def _strict(self) -> type[csv.Dialect]:
        return type("strict", (csv.excel,), {"strict": True, "delimiter": self.delimiter})


def open_csv(
    shown: str, chunks: Iterator[bytes], reading: Reading, *, read_ahead: bool = False
) -> Opened:
    """Read the header of a CSV file, given as UTF-8 chunks; its rows come as pieces.

    `read_ahead` fetches chunks in a thread of their own. No interruption ends what a thread waits
    for, so that is for what is soon there.
    """
    lines = _Lines(shown, chunks)
    first, number = lines.take(), 1
    while not first.strip() and not lines.at_end():
        first, number = lines.take(), number + 1
    if not first.strip():
        raise SourceError(f"{shown}: the file is empty; a source needs at least a header line")
    if b"\0" in first:
        raise SourceError(
            f"{shown}, line {number}: the header holds NUL characters, it is not "
            f"{reading.encoding} text; set {reading.source.upper()}__ENCODING, such as utf-16-le"
        )
    told = _SEPARATOR_TOLD.fullmatch(first)
    if told and not lines.at_end():
        first, number = lines.take(), number + 1
    header = first.decode()
    delimiter = reading.delimiter or (told[1].decode() if told else _likely_delimiter(header))
    dialect = _Dialect(shown, delimiter, (), {})
    begin = number
    while dialect.fields(header) is None and _is_open(header, begin, number) and not lines.at_end():
        header, number = f"{header}\n{lines.take().decode()}", number + 1
    fields = dialect.fields(header)
    if fields is None:
        raise SourceError(
            f"{shown}, line {begin}: the header is not a well-formed CSV line; "
            "correct its quotes in the file"
        )
    columns = column_names(shown, fields)
    types = {
        name: pa.dictionary(pa.int32(), pa.string()) if name in reading.encoded else pa.string()
        for name in columns
    }
    dialect = _Dialect(shown, delimiter, tuple(columns), types)
    rest = ahead(chunks) if read_ahead else chunks
    pieces = _csv_pieces(dialect, lines.rest, rest, number + 1, reading.batch_rows)
    return Opened(shown, "csv", columns, pieces, delimiter=delimiter)


class _Lines:
    """The first lines of a file, one by one; `rest` is what was read beyond them."""

    def __init__(self, shown: str, chunks: Iterator[bytes]) -> None:
        self._shown, self._chunks = shown, chunks
        self._number = 0
        self.rest = b""

    def take(self) -> bytes:
        """The next line, without its end."""
        self._number += 1
        while b"\n" not in self.rest and self._more():
            if len(self.rest) > MAX_RECORD_BYTES:
                raise SourceError(
                    f"{self._shown}, line {self._number}: the line exceeds the limit of "
                    f"{MAX_RECORD_BYTES} bytes"
                )
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def at_end(self) -> bool:
        """Whether there is no other line."""
        return not self.rest and not self._more()

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        self.rest += chunk
        return bool(chunk)


def _likely_delimiter(header: str) -> str:
    """The one that makes most fields of the header; what is in quotes does not count."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=unquoted.count)


def _is_open(header: str, first: int, last: int) -> bool:
    """Whether a name in quotes may go on in the next line."""
    return header.count('"') % 2 == 1 and last - first < _HEADER_LINES


def _csv_pieces(
    dialect: _Dialect, rest: bytes, chunks: Iterator[bytes], line: int, batch_rows: int
) -> Iterator[Piece]:
    """Cut the file at record boundaries, about `batch_rows` records at a time."""
    buffer, start, ended, target = rest, 0, False, 0
    while True:
        while not ended and (target == 0 or len(buffer) - start < target):
            parts = [buffer[start:]]
            size, since_newline = len(parts[0]), 0
            while size < max(target, 1):
                chunk = next(chunks, b"")
                if not chunk:
                    ended = True
                    break
                since_newline = 0 if b"\n" in chunk else since_newline + len(chunk)
                if since_newline > MAX_RECORD_BYTES:
                    raise SourceError(
                        f"{dialect.shown}, after line {line}: a line exceeds the limit of "
                        f"{MAX_RECORD_BYTES} bytes; is the delimiter or line end as declared?"
                    )
                parts.append(chunk)
                size += len(chunk)
            buffer, start = b"".join(parts), 0
            if ended and buffer and not buffer.endswith(b"\n"):
                buffer += b"\n"
            if target == 0:
                mean = len(buffer) / max(1, buffer.count(b"\n"))
                target = max(1, min(int(mean * batch_rows), MAX_PIECE_BYTES))
        if start >= len(buffer):
            return
        end = _cut_at(buffer, start, target, ended)
        data = memoryview(buffer)[start:end]
        taken = _take_records(dialect, data, line, ended and end == len(buffer))
        if taken.used == 0:  # one record larger than the batch: look at more of the file
            target *= 2
            continue
        yield partial(_parse_csv, dialect, taken)
        line += taken.physical_lines
        start += taken.used


def _cut_at(buffer: bytes, start: int, target: int, ended: bool) -> int:
    """Where the line ends that brings a batch to `target` bytes."""
    if ended and len(buffer) - start <= target:
        return len(buffer)
    return (buffer.rfind(b"\n", start, start + target) + 1) or (
        buffer.find(b"\n", start + target) + 1
    )


@dataclass
class _Taken:
    """Whole records cut from a file, every one with an even number of quotes."""

    data: memoryview
    lines: Lines
    refused: list[Refused]
    used: int
    physical_lines: int


def _take_records(dialect: _Dialect, data: memoryview, line: int, is_last: bool) -> _Taken:
    """Decide which physical lines of `data` are records; count them without a parser.

    A line with an odd number of quotes either begins a quoted field that holds line breaks, or
    has a stray or unterminated quote. The latter is one malformed row and swallows nothing.
    """
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == _NEWLINE) + 1
    starts = np.concatenate(([0], ends[:-1]))
    quotes = np.bincount(  # of each line
        np.searchsorted(ends, np.flatnonzero(bytes_ == _QUOTE), side="right"), minlength=len(ends)
    )
    is_record = ends - starts > 1
    edits: list[tuple[int, int, bytes]] = []  # (start, end, replacement)
    refused: list[Refused] = []
    used_lines, done = len(ends), -1
    odd = np.flatnonzero(quotes & 1).tolist()
    for place, index in enumerate(odd):
        if index <= done:
            continue
        begin, text = int(starts[index]), _text(data[starts[index] : ends[index]])
        if dialect.fits(text):  # a literal quote inside an unquoted field
            edits.append((begin, int(ends[index]), dialect.rewrite(text)))
            continue
        closing = odd[place + 1] if place + 1 < len(odd) else None
        if closing is None and not is_last and len(data) - begin <= MAX_RECORD_BYTES:
            used_lines = index
            break
        if closing is not None and _spans(dialect, data, starts, ends, index, closing):
            is_record[index + 1 : closing + 1] = False
            done = closing
            continue
        refused.append(_refused(line + index, "a quote is never closed", text))
        is_record[index] = False
        edits.append((begin, int(ends[index]), b""))
    used = int(starts[used_lines]) if used_lines < len(ends) else len(data)
    lines = np.flatnonzero(is_record[:used_lines]) + line
    return _Taken(_edit(data[:used], edits), lines, refused, used, used_lines)


def _spans(
    dialect: _Dialect, data: memoryview, starts: Lines, ends: Lines, first: int, last: int
) -> bool:
    """Whether lines `first` to `last` are one record with line breaks inside quotes.

    They are not when a line between is a full record by itself: then the opening quote was
    merely never closed, and joining would swallow good rows.
    """
    if ends[last] - starts[first] > MAX_RECORD_BYTES:
        return False
    if len(dialect.columns) > 2:
        commas = dialect.delimiter.encode()
        for index in range(first + 1, last):
            if data[starts[index] : ends[index]].tobytes().count(commas) == (
                len(dialect.columns) - 1
            ):
                return False
    return dialect.fits(_text(data[starts[first] : ends[last]]))


def _text(data: memoryview) -> str:
    return str(data, "utf-8")


def _edit(data: memoryview, edits: list[tuple[int, int, bytes]]) -> memoryview:
    if not edits:
        return data
    parts: list[bytes | memoryview] = []
    at = 0
    for start, end, replacement in edits:
        parts += [data[at:start], replacement]
        at = end
    return memoryview(b"".join([*parts, data[at:]]))


def _parse_csv(dialect: _Dialect, taken: _Taken) -> Block:
    """Parse whole records. The parser must find just the records that were counted."""
    data, lines, refused = _drop_misquoted(dialect, taken)
    wrong: dict[int, Refused] = {}

    def keep_aside(row: pa_csv.InvalidRow) -> str:
        place = row.number - 1
        fields = f"{row.actual_columns} fields, the header has {row.expected_columns}"
        wrong[place] = _refused(int(lines[place]), fields, row.text)
        return "skip"

    if data[:3].tobytes() == codecs.BOM_UTF8:  # of the first value: the parser takes one away
        data = memoryview(codecs.BOM_UTF8 + data)
    table = pa_csv.read_csv(
        pa.BufferReader(data or b"\n"),
        read_options=pa_csv.ReadOptions(
            use_threads=False, column_names=list(dialect.columns), block_size=len(data) + 2
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=keep_aside
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dialect.types, strings_can_be_null=False, check_utf8=False
        ),
    )
    if table.num_rows + len(wrong) != len(lines):
        raise SourceError(
            f"{dialect.shown}, lines {lines[0]} to {lines[-1]}: {len(lines)} records counted but "
            f"{table.num_rows + len(wrong)} parsed; the file's quoting is inconsistent"
        )
    records = len(lines) + len(refused)
    return Block(table, np.delete(lines, list(wrong)), [*refused, *wrong.values()], records)


def _refused(line: int, why: str, text: str) -> Refused:
    text = text.rstrip("\n")
    return Refused(line, f"{why}: {text[:SHOWN]}", text)


def _drop_misquoted(dialect: _Dialect, taken: _Taken) -> tuple[memoryview, Lines, list[Refused]]:
    """Take out records with text beside a quoted field (`"abc"def`), which parsers glue together.

    All records have an even number of quotes, so quotes open and close in turn: an opening one
    must follow, and a closing one must precede, a delimiter, a line end or another quote.
    """
    bytes_ = np.frombuffer(taken.data, np.uint8)
    quotes = np.flatnonzero(bytes_ == _QUOTE)
    if not len(quotes):
        return taken.data, taken.lines, taken.refused
    allowed = np.zeros(256, bool)
    allowed[[ord(dialect.delimiter), _NEWLINE, _QUOTE]] = True
    opening, closing = quotes[::2], quotes[1::2]
    opens_well = allowed[bytes_[np.maximum(opening - 1, 0)]] | (opening == 0)
    suspects = np.concatenate([opening[~opens_well], closing[~allowed[bytes_[closing + 1]]]])
    if not len(suspects):
        return taken.data, taken.lines, taken.refused
    newlines = np.flatnonzero(bytes_ == _NEWLINE)
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0] + 1
    starts = np.concatenate(([0], ends[:-1]))
    not_blank = ends - starts > 1
    starts, ends = starts[not_blank], ends[not_blank]
    refused, edits, gone = list(taken.refused), [], []
    for index in np.unique(np.searchsorted(ends, suspects, side="right")).tolist():
        text = _text(taken.data[starts[index] : ends[index]])
        if not dialect.fits(text):
            refused.append(_refused(int(taken.lines[index]), "misplaced quote", text))
            edits.append((int(starts[index]), int(ends[index]), b""))
            gone.append(index)
    return _edit(taken.data, edits), np.delete(taken.lines, gone), refused

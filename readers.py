"""Files to batches of text, each row with its place; nothing is guessed, shifted or swallowed.

A reader yields *pieces*: calls that parse one batch each and can run in any worker. A piece
returns a `Block`: the rows as text columns, the physical line (or record number) of each, the
records that could not be read as rows, and how many records there are by a count that does not
come from the parser.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from errors import SourceError

Lines = npt.NDArray[np.int64]

MAX_RECORD_BYTES = 4 << 20
"""A single record above this size is refused: no customer, product or sale is that long."""
MAX_COLUMNS = 10_000
_READ_BYTES = 4 << 20
_DELIMITERS = ",;|\t"
_QUOTE, _NEWLINE = 0x22, 0x0A
_SHOWN = 500  # characters of a malformed record that go into the reject's detail


@dataclass
class Block:
    """One parsed batch. `rows` has a text column per header name; `lines` one number per row."""

    rows: pa.Table
    lines: Lines
    malformed: dict[int, str] = field(default_factory=dict)
    records: int = 0


Piece = Callable[[], Block]


@dataclass
class Opened:
    """A source file that was opened and looked at: its column names, then its pieces."""

    path: Path
    format: str
    columns: list[str]
    pieces: Iterator[Piece]
    digest: hashlib._Hash  # of the bytes read so far; of the file once `pieces` is exhausted
    delimiter: str = ""


def open_file(
    path: Path, *, encoding: str, delimiter: str | None, batch_rows: int, encoded: set[str]
) -> Opened:
    """Open `path` by its extension. `encoded` names the columns worth dictionary-encoding.

    Raises `SourceError` naming the file, the place and the next step.
    """
    digest = hashlib.sha256()
    chunks = _text_chunks(path, encoding, digest)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return _open_json(path, chunks, digest, batch_rows)
    return _open_csv(path, chunks, digest, delimiter, batch_rows, encoded)


def _text_chunks(path: Path, encoding: str, digest: hashlib._Hash) -> Iterator[bytes]:
    """The file as UTF-8 chunks: encoding verified, BOM removed, line ends made LF."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset, held, at_start = 0, "", True
    with path.open("rb") as file:
        while True:
            raw = file.read(_READ_BYTES)
            digest.update(raw)
            try:
                text = held + decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                place = offset - (len(error.object) - len(raw)) + error.start
                raise SourceError(
                    f"{path}: byte {place} is not valid {encoding} ({error.reason}); "
                    "set the source's __ENCODING to the file's encoding"
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


# --- CSV ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dialect:
    """What a CSV file's header line told: its path for messages, delimiter and column names."""

    path: Path
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


def _open_csv(
    path: Path,
    chunks: Iterator[bytes],
    digest: hashlib._Hash,
    delimiter: str | None,
    batch_rows: int,
    encoded: set[str],
) -> Opened:
    head = b""
    for chunk in chunks:
        head += chunk
        if b"\n" in head.lstrip(b"\n") or len(head) > MAX_RECORD_BYTES:
            break
    body = head.lstrip(b"\n")
    if not body:
        raise SourceError(f"{path}: the file is empty; a source needs at least a header line")
    first_line = body.partition(b"\n")[0].decode()
    if len(first_line) > MAX_RECORD_BYTES:
        raise SourceError(f"{path}, line 1: the line exceeds the limit of {MAX_RECORD_BYTES} bytes")
    delimiter = delimiter or max(_DELIMITERS, key=first_line.count)
    dialect = _Dialect(path, delimiter, (), {})
    columns = _column_names(path, dialect.fields(first_line))
    types = {
        name: pa.dictionary(pa.int32(), pa.string()) if name in encoded else pa.string()
        for name in columns
    }
    dialect = _Dialect(path, delimiter, tuple(columns), types)
    skipped = len(head) - len(body) + 1
    rest = body.partition(b"\n")[2]
    pieces = _csv_pieces(dialect, rest, chunks, skipped + 1, batch_rows)
    return Opened(path, "csv", columns, pieces, digest, delimiter)


def _column_names(path: Path, header: list[str] | None) -> list[str]:
    if header is None:
        raise SourceError(f"{path}, line 1: the header is not a well-formed CSV line")
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            f"{path}, line 1: {len(header)} columns exceed the limit of {MAX_COLUMNS}"
        )
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, 1)]
    twice = sorted({name for name in names if names.count(name) > 1}) if _repeats(names) else []
    if twice:
        raise SourceError(
            f"{path}, line 1: the header names {', '.join(twice)} more than once; "
            "rename one of the columns in the file"
        )
    return names


def _repeats(names: list[str]) -> bool:
    return len(set(names)) < len(names)


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
                        f"{dialect.path}, after line {line}: a line exceeds the limit of "
                        f"{MAX_RECORD_BYTES} bytes; is the delimiter or line end as declared?"
                    )
                parts.append(chunk)
                size += len(chunk)
            buffer, start = b"".join(parts), 0
            if ended and buffer and not buffer.endswith(b"\n"):
                buffer += b"\n"
            if target == 0:
                mean = len(buffer) / max(1, buffer.count(b"\n"))
                target = max(1, int(mean * batch_rows))
        if start >= len(buffer):
            return
        end = _cut_at(buffer, start, target, ended)
        taken = _take_records(dialect, buffer[start:end], line, ended and end == len(buffer))
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

    data: bytes
    lines: Lines
    malformed: dict[int, str]
    used: int
    physical_lines: int


def _take_records(dialect: _Dialect, data: bytes, line: int, is_last: bool) -> _Taken:
    """Decide which physical lines of `data` are records; count them without a parser.

    A line with an odd number of quotes either begins a quoted field that holds line breaks, or
    has a stray or unterminated quote. The latter is one malformed row and swallows nothing.
    """
    if b'"' not in data:
        count = data.count(b"\n")
        if b"\n\n" not in data and not data.startswith(b"\n"):
            return _Taken(data, np.arange(line, line + count), {}, len(data), count)
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == _NEWLINE) + 1
    starts = np.concatenate(([0], ends[:-1]))
    quotes = np.add.reduceat((bytes_ == _QUOTE).view(np.uint8), starts, dtype=np.int32)
    is_record = ends - starts > 1
    edits: list[tuple[int, int, bytes]] = []  # (start, end, replacement)
    malformed: dict[int, str] = {}
    used_lines, done = len(ends), -1
    odd = np.flatnonzero(quotes & 1).tolist()
    for place, index in enumerate(odd):
        if index <= done:
            continue
        begin, text = int(starts[index]), data[starts[index] : ends[index]].decode()
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
        malformed[line + index] = f"a quote is never closed: {text[:_SHOWN].rstrip()}"
        is_record[index] = False
        edits.append((begin, int(ends[index]), b""))
    used = int(starts[used_lines]) if used_lines < len(ends) else len(data)
    lines = np.flatnonzero(is_record[:used_lines]) + line
    return _Taken(_edit(data[:used], edits), lines, malformed, used, used_lines)


def _spans(
    dialect: _Dialect, data: bytes, starts: Lines, ends: Lines, first: int, last: int
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
            if data.count(commas, starts[index], ends[index]) == len(dialect.columns) - 1:
                return False
    return dialect.fits(data[starts[first] : ends[last]].decode())


def _edit(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    if not edits:
        return data
    parts, at = [], 0
    for start, end, replacement in edits:
        parts += [data[at:start], replacement]
        at = end
    return b"".join([*parts, data[at:]])


def _parse_csv(dialect: _Dialect, taken: _Taken) -> Block:
    """Parse whole records. The parser must find just the records that were counted."""
    data, lines, malformed = _drop_misquoted(dialect, taken)
    wrong: dict[int, str] = {}

    def keep_aside(row: pa_csv.InvalidRow) -> str:
        wrong[row.number - 1] = (
            f"{row.actual_columns} fields, the header has {row.expected_columns}: "
            f"{row.text[:_SHOWN]}"
        )
        return "skip"

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
            f"{dialect.path}, lines {lines[0]} to {lines[-1]}: {len(lines)} records counted but "
            f"{table.num_rows + len(wrong)} parsed; the file's quoting is inconsistent"
        )
    records = len(lines) + len(malformed)
    malformed |= {int(lines[index]): detail for index, detail in wrong.items()}
    return Block(table, np.delete(lines, list(wrong)), malformed, records)


def _drop_misquoted(dialect: _Dialect, taken: _Taken) -> tuple[bytes, Lines, dict[int, str]]:
    """Take out records with text beside a quoted field (`"abc"def`), which parsers glue together.

    All records have an even number of quotes, so quotes open and close in turn: an opening one
    must follow, and a closing one must precede, a delimiter, a line end or another quote.
    """
    bytes_ = np.frombuffer(taken.data, np.uint8)
    quotes = np.flatnonzero(bytes_ == _QUOTE)
    if not len(quotes):
        return taken.data, taken.lines, taken.malformed
    allowed = np.zeros(256, bool)
    allowed[[ord(dialect.delimiter), _NEWLINE, _QUOTE]] = True
    opening, closing = quotes[::2], quotes[1::2]
    opens_well = allowed[bytes_[np.maximum(opening - 1, 0)]] | (opening == 0)
    suspects = np.concatenate([opening[~opens_well], closing[~allowed[bytes_[closing + 1]]]])
    if not len(suspects):
        return taken.data, taken.lines, taken.malformed
    newlines = np.flatnonzero(bytes_ == _NEWLINE)
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0] + 1
    starts = np.concatenate(([0], ends[:-1]))
    not_blank = ends - starts > 1
    starts, ends = starts[not_blank], ends[not_blank]
    malformed, edits, gone = dict(taken.malformed), [], []
    for index in np.unique(np.searchsorted(ends, suspects, side="right")).tolist():
        text = taken.data[starts[index] : ends[index]].decode()
        if not dialect.fits(text):
            malformed[int(taken.lines[index])] = f"misplaced quote: {text[:_SHOWN].rstrip()}"
            edits.append((int(starts[index]), int(ends[index]), b""))
            gone.append(index)
    return _edit(taken.data, edits), np.delete(taken.lines, gone), malformed


# --- JSON -----------------------------------------------------------------------------------


class _Malformed(dict[str, Any]):
    """A JSON object that names a key twice: which value was meant is anybody's guess."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Malformed(value)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Decimal, parse_constant=str, strict=False
)


def _open_json(path: Path, utf8: Iterator[bytes], digest: hashlib._Hash, batch_rows: int) -> Opened:
    """A JSON array of objects, or JSON Lines; told apart by the first character."""
    chunks = (chunk.decode("utf-8", "surrogatepass") for chunk in utf8)
    head = ""
    for chunk in chunks:
        head = (head + chunk).lstrip()
        if head:
            break
    if not head:
        raise SourceError(f"{path}: the file is empty; expected a JSON array or JSON Lines")
    if head[0] == "[":
        items, kind = _array_items(path, head[1:], chunks), "json array"
    elif head[0] == "{":
        items, kind = _line_items(path, head, chunks), "json lines"
    else:
        raise SourceError(f"{path}: expected a JSON array of objects or JSON Lines")
    batches = _in_batches(items, batch_rows)
    first = next(batches, [])
    columns = list(
        dict.fromkeys(key for _, item in first if isinstance(item, dict) for key in item)
    )
    if len(columns) > MAX_COLUMNS:
        raise SourceError(f"{path}: {len(columns)} keys exceed the limit of {MAX_COLUMNS} columns")

    def pieces() -> Iterator[Piece]:
        batch = first
        while batch:
            yield partial(_parse_json, columns, batch)
            batch = next(batches, [])

    return Opened(path, kind, columns, pieces(), digest)


Item = tuple[int, Any]
"""A record's number or line, and its value: a dict, or what stands there instead."""


def _array_items(path: Path, buffer: str, chunks: Iterator[str]) -> Iterator[Item]:
    """The elements of a JSON array, decoded one by one from a growing and shrinking buffer."""
    number, at, ended = 0, 0, False
    while True:
        while at < len(buffer) and buffer[at] in " \t\n":
            at += 1
        if at < len(buffer) and buffer[at] == "]":
            if buffer[at + 1 :].strip() or any(chunk.strip() for chunk in chunks):
                raise SourceError(f"{path}: there is text after the JSON array's end")
            return
        if at < len(buffer) and buffer[at] == "," and number:
            at += 1
            continue
        try:
            value, at = _DECODER.raw_decode(buffer, at)
            number += 1
            yield number, value
            continue
        except RecursionError:
            raise SourceError(f"{path}, record {number + 1}: nested too deep") from None
        except ValueError as error:
            problem = error
        if ended:
            raise SourceError(
                f"{path}, record {number + 1}: not valid JSON ({problem}); the file may be cut off"
            )
        if len(buffer) - at > MAX_RECORD_BYTES:
            raise SourceError(
                f"{path}, record {number + 1}: not valid JSON ({problem}), or above the limit of "
                f"{MAX_RECORD_BYTES} bytes for one record"
            )
        more = next(chunks, "")
        ended = not more
        buffer, at = buffer[at:] + more, 0


def _line_items(path: Path, buffer: str, chunks: Iterator[str]) -> Iterator[Item]:
    number = 0
    while True:
        *lines, buffer = buffer.split("\n")
        for line in lines:
            number += 1
            if line.strip():
                yield number, _decode_line(line)
        if len(buffer) > MAX_RECORD_BYTES:
            raise SourceError(
                f"{path}, line {number + 1}: exceeds the limit of {MAX_RECORD_BYTES} bytes"
            )
        more = next(chunks, "")
        if not more:
            if buffer.strip():
                yield number + 1, _decode_line(buffer)
            return
        buffer += more


def _decode_line(line: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(line.strip())
        return value if end == len(line.strip()) else line
    except (ValueError, RecursionError):
        return line


def _in_batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _parse_json(columns: list[str], batch: list[Item]) -> Block:
    rows, lines, malformed = [], [], {}
    for number, value in batch:
        if isinstance(value, dict) and not isinstance(value, _Malformed):
            rows.append(value)
            lines.append(number)
        else:
            problem = "a key appears twice" if isinstance(value, dict) else "not a JSON object"
            malformed[number] = f"{problem}: {str(value)[:_SHOWN]}"
    table = pa.table(
        {name: pa.array([as_text(row.get(name)) for row in rows], pa.string()) for name in columns}
    )
    return Block(table, np.array(lines, np.int64), malformed, len(batch))


def as_text(value: Any) -> str | None:
    """A value as the text a CSV file would hold: exact numbers, nested values as JSON.

    A lone surrogate, which no database takes, becomes NUL so that the row is `invalid_text`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.isascii() else _storable(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        # An absurd exponent stays as it is, and is refused as a number later.
        return format(value, "f") if abs(value.adjusted()) < 40 else str(value)
    if isinstance(value, dict | list):
        return _storable(to_json(value))
    return str(value)


def _storable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\0" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def to_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, numbers as they were written."""
    if isinstance(value, dict):
        inner = ",".join(f"{to_json(str(key))}:{to_json(value[key])}" for key in sorted(value))
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(map(to_json, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False)

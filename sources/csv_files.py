"""CSV files by RFC 4180.

A scan of the bytes finds and counts the records (`csv_lines`), pyarrow parses them, and the two
must agree. So no value moves to another column, and no row is lost in a neighbour's quotes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from common.parallel import ahead
from errors import SourceError
from sources.batches import (
    MAX_PIECE_BYTES,
    MAX_RECORD_BYTES,
    Lines,
    OpenSource,
    Piece,
    ReadOptions,
    RefusedRecord,
    TextBatch,
    column_names,
)
from sources.csv_lines import NEWLINE, QUOTE, Dialect, Taken, edited, take_records
from sources.text import Text
from sources.undecodable import MARK, Bytes, is_marked, mark_places, utf_16

_DELIMITERS = ",;|\t"
_HEADER_LINES = 20
_BELOW_BYTES = 20_000
_SEPARATOR_LINE = re.compile(rb'"?sep=([ -~\t])"?', re.IGNORECASE)
"""A first line such as `sep=;`, which gives Excel the delimiter."""


def open_csv(
    label: str, chunks: Text, options: ReadOptions, *, read_ahead: bool = False
) -> OpenSource:
    """Read the header of a CSV file, given as UTF-8 chunks; its rows come as pieces.

    `read_ahead` fetches chunks in another thread. A signal cannot end the wait of a thread, so it
    is meant for local files only.
    """
    lines = _Lines(label, chunks)
    header = _read_header(label, lines, options)
    if MARK in header.text:
        raise chunks.encoding_error()
    fields = Dialect(label, header.delimiter, (), {}).fields(header.text)
    if fields is None:
        raise SourceError(
            f"{label}, line {header.first}: the header is not a well-formed CSV line; "
            "correct its quotes in the file"
        )
    columns = column_names(label, fields, options)
    types = {
        name: pa.dictionary(pa.int32(), pa.string()) if name in options.encoded else pa.string()
        for name in columns
    }
    delimiter, below = header.delimiter, header.last + 1
    is_padded = f"{delimiter} " in header.text
    dialect = Dialect(label, delimiter, tuple(columns), types, is_padded, options.encoding)
    rest = ahead(chunks) if read_ahead else chunks
    pieces = _csv_pieces(dialect, lines.rest, rest, below, options.batch_rows)
    cells = _cells_of(lines.rest[:_BELOW_BYTES], below)
    return OpenSource(label, "csv", columns, pieces, delimiter=delimiter, below=cells)


@dataclass(frozen=True)
class _Header:
    """The header of a file: its text, from line `first` to line `last`, and the delimiter."""

    text: str
    first: int
    last: int
    delimiter: str


def _read_header(label: str, lines: _Lines, options: ReadOptions) -> _Header:
    """The first line that is not blank, after a `sep=` line; or several, while a quote is open."""
    first, number = lines.take(), 1
    while not first.strip() and not lines.at_end():
        first, number = lines.take(), number + 1
    if not first.strip():
        raise SourceError(f"{label}: the file is empty; a source needs at least a header line")
    if b"\0" in first and not is_marked(first):
        raise SourceError(
            f"{label}, line {number}: the header holds NUL characters, it is not "
            f"{options.encoding} text; set {options.source.upper()}__ENCODING, "
            f"such as {utf_16(first)}"
        )
    separator = _SEPARATOR_LINE.fullmatch(first)
    if separator and not lines.at_end():
        first, number = lines.take(), number + 1
    text, begin = first.decode(), number
    declared = separator[1].decode() if separator else _likely_delimiter(text)
    delimiter = options.delimiter or declared
    dialect = Dialect(label, delimiter, (), {})
    while dialect.fields(text) is None and _is_open(text, begin, number) and not lines.at_end():
        text, number = f"{text}\n{lines.take().decode()}", number + 1
    return _Header(text, begin, number, delimiter)


class _Lines:
    """The first lines of a file, one by one; `rest` has the bytes read after them."""

    def __init__(self, label: str, chunks: Iterator[bytes]) -> None:
        self._without_secrets, self._chunks = label, chunks
        self._number = 0
        self.rest = b""

    def take(self) -> bytes:
        """The next line, without its end."""
        self._number += 1
        while b"\n" not in self.rest and self._more():
            if len(self.rest) > MAX_RECORD_BYTES:
                raise SourceError(
                    f"{self._without_secrets}, line {self._number}: the line exceeds the limit of "
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
    """The delimiter that occurs most often in the header, outside of quotes."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=unquoted.count)


def _cells_of(text: bytes, number: int) -> dict[int, list[str]]:
    """The first lines, by number, each split at the delimiter that occurs most in it."""
    found = {}
    for place, line in enumerate(text.split(b"\n")[:_HEADER_LINES], number):
        decoded = line.decode(errors="replace")
        found[place] = [cell.strip(' "') for cell in decoded.split(_likely_delimiter(decoded))]
    return found


def _is_open(header: str, first: int, last: int) -> bool:
    """Whether a quoted name may continue in the next line."""
    return header.count('"') % 2 == 1 and last - first < _HEADER_LINES


def _csv_pieces(
    dialect: Dialect, rest: bytes, chunks: Iterator[bytes], line: int, batch_rows: int
) -> Iterator[Piece]:
    """Cut the file at the ends of records, about `batch_rows` records at a time.

    `rest` and then `chunks` are the bytes after the header, the first of them in line `line`.
    """
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
                        f"{dialect.label}, after line {line}: a line exceeds the limit of "
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
        is_last = ended and end == len(buffer)
        taken = take_records(dialect, data, line, is_last=is_last)
        if taken.used == 0:  # one record larger than the batch: look at more of the file
            target *= 2
            continue
        yield partial(_parse_csv, dialect, taken)
        line += taken.physical_lines
        start += taken.used


def _cut_at(buffer: bytes, start: int, target: int, ended: bool) -> int:
    """The end of the last line within `target` bytes, or of the first line if that is longer."""
    if ended and len(buffer) - start <= target:
        return len(buffer)
    return (buffer.rfind(b"\n", start, start + target) + 1) or (
        buffer.find(b"\n", start + target) + 1
    )


def _parse_csv(dialect: Dialect, taken: Taken) -> TextBatch:
    """Parse whole records. Raises `SourceError` if the parser finds other records than the scan."""
    data, lines, refused = _drop_damaged(dialect, taken)
    irregular: dict[int, pa_csv.InvalidRow] = {}  # with too few or many fields, by place

    def keep(row: pa_csv.InvalidRow) -> str:
        irregular[row.number - 1] = row
        return "skip"

    table = _parsed(dialect, data, keep)
    if table.num_rows + len(irregular) != len(lines):
        raise SourceError(
            f"{dialect.label}, lines {lines[0]} to {lines[-1]}: {len(lines)} records counted but "
            f"{table.num_rows + len(irregular)} parsed; the file's quoting is inconsistent"
        )
    texts = [row.text for row in irregular.values()] + [record.raw for record in refused]
    _expect_all_lines(dialect, taken, table, texts)
    records = len(lines) + len(refused)
    wrong, longer = {}, {}
    for place, row in irregular.items():
        fields = dialect.fields(row.text) or []
        if dialect.has_all(fields):
            longer[place] = fields
        else:
            why = f"{row.actual_columns} fields, the header has {row.expected_columns}"
            wrong[place] = dialect.refused(int(lines[place]), why, row.text)
    if longer:
        places = np.delete(np.arange(len(lines)), list(irregular))
        table = _with_rows(dialect, table, longer, places)
    return TextBatch(table, np.delete(lines, list(wrong)), [*refused, *wrong.values()], records)


def _parsed(
    dialect: Dialect, data: memoryview, irregular: Callable[[pa_csv.InvalidRow], str]
) -> pa.Table:
    """Records as a table of text; `irregular` is called for those with too few or many fields."""
    if data[:3].tobytes() == codecs.BOM_UTF8:  # of the first value, as the parser removes one
        data = memoryview(codecs.BOM_UTF8 + data)
    return pa_csv.read_csv(
        pa.BufferReader(data or b"\n"),
        read_options=pa_csv.ReadOptions(
            use_threads=False, column_names=list(dialect.columns), block_size=len(data) + 2
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=irregular
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dialect.types, strings_can_be_null=False, check_utf8=False
        ),
    )


def _expect_all_lines(
    dialect: Dialect, taken: Taken, table: pa.Table, others: Sequence[str]
) -> None:
    """Raise `SourceError` unless records, line breaks inside fields and blank lines add up to the
    physical lines.
    """
    breaks = sum(text.count("\n") for text in others)
    if taken.has_quotes:
        breaks += sum(map(_line_breaks, table.columns))
    found = len(table) + len(others) + breaks + taken.blank_lines
    if found != taken.physical_lines:
        raise SourceError(
            f"{dialect.label}: of {taken.physical_lines} lines {found} are accounted for; "
            "the file's quoting is inconsistent"
        )


def _line_breaks(column: pa.ChunkedArray) -> int:
    """How many line breaks the values of a column contain."""
    for chunk in column.chunks:
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        data = texts.buffers()[2]
        if data is not None and (np.frombuffer(data, np.uint8) == NEWLINE).any():
            return pc.sum(pc.count_substring(column.cast(pa.string()), "\n")).as_py() or 0
    return 0


def _with_rows(
    dialect: Dialect, table: pa.Table, longer: dict[int, list[str]], places: Lines
) -> pa.Table:
    """`table`, whose rows belong at `places`, with the rows `longer` inserted at their places.

    Fields beyond the columns, which are blank, are cut off.
    """
    values = list(zip(*longer.values(), strict=False))
    columns = [
        pa.array(texts, pa.string()).cast(dialect.types[name])
        for name, texts in zip(dialect.columns, values, strict=False)
    ]
    both = pa.concat_tables([table, pa.table(columns, list(dialect.columns))])
    order = np.argsort(np.concatenate([places, np.fromiter(longer, np.int64)]))
    return both.unify_dictionaries().combine_chunks().take(pa.array(order))


def _drop_damaged(dialect: Dialect, taken: Taken) -> tuple[memoryview, Lines, list[RefusedRecord]]:
    """Remove records with undecodable bytes, and those with text next to a quoted field
    (`"abc"def`), which parsers would join to one value.

    Returns the remaining bytes, the line of each remaining record, and all refused records.
    """
    bytes_ = np.frombuffer(taken.data, np.uint8)
    quotes = np.flatnonzero(bytes_ == QUOTE)
    suspects = np.concatenate([mark_places(bytes_), _misplaced(dialect, bytes_, quotes)])
    if not len(suspects):
        return taken.data, taken.lines, taken.refused
    newlines = np.flatnonzero(bytes_ == NEWLINE)
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0] + 1
    starts = np.concatenate(([0], ends[:-1]))
    not_blank = ends - starts > 1
    starts, ends = starts[not_blank], ends[not_blank]
    no_rows, edits, gone = list(taken.refused), [], []
    for index in np.unique(np.searchsorted(ends, suspects, side="right")).tolist():
        text = str(taken.data[starts[index] : ends[index]], "utf-8")
        if MARK in text or not dialect.fits(text):
            no_rows.append(dialect.refused(int(taken.lines[index]), "misplaced quote", text))
            edits.append((int(starts[index]), int(ends[index]), b""))
            gone.append(index)
    return edited(taken.data, edits), np.delete(taken.lines, gone), no_rows


def _misplaced(dialect: Dialect, bytes_: Bytes, quotes: Lines) -> Lines:
    """The places of quotes next to other text.

    Each record has an even number of quotes, so they open and close in turn. Before an opening
    quote, and after a closing one, must be a delimiter, a line end or another quote.
    """
    allowed = np.zeros(256, bool)
    allowed[[ord(dialect.delimiter), NEWLINE, QUOTE]] = True
    opening, closing = quotes[::2], quotes[1::2]
    opens_well = allowed[bytes_[np.maximum(opening - 1, 0)]] | (opening == 0)
    return np.concatenate([opening[~opens_well], closing[~allowed[bytes_[closing + 1]]]])

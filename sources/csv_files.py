"""CSV files by RFC 4180.

A scan of the bytes finds and counts the records (`csv_lines`), pyarrow parses them, and the two
must agree. So no value moves to another column, and no row is lost in a neighbour's quotes.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from errors import LineError
from sources.batches import (
    MAX_RECORD_BYTES,
    Lines,
    ReadOptions,
    RefusedRecord,
    TextBatch,
    column_names,
)
from sources.csv_header import read_header
from sources.csv_lines import NEWLINE, Dialect, Taken, edited, overlong, take_records
from sources.escapes import Escapes
from sources.fixed_width import likely_widths
from sources.line_source import LineSource
from sources.pieces import Findings, OpenSource
from sources.ranges import Range, behind_lines, line_end
from sources.undecodable import MARK, Bytes, Seen, mark_places

_GUESSES = 50  # lines that are looked at for one that is a record by itself
_BEYOND = 64 << 10  # bytes that are looked at first for the end of a record


def open_csv(source: LineSource, options: ReadOptions) -> OpenSource:
    """Read the header of a CSV file; its rows come as ranges of its bytes."""
    label = source.label
    header = read_header(label, source.text, options)
    text, delimiter = header.row.text, header.row.delimiter
    if MARK in text and header.has_line:
        raise source.text.encoding_error()
    escapes = Escapes.of(options.layout, options.delimiter)
    names = list(map(escapes.shown, header.names)) if escapes else header.names
    columns = column_names(label, names, options)
    types = {
        name: pa.dictionary(pa.int32(), pa.string()) if name in options.encoded else pa.string()
        for name in columns
    }
    is_padded = f"{delimiter} " in text
    quote = options.layout.quote
    dialect = Dialect(label, delimiter, tuple(columns), types, is_padded, options.encoding, quote)
    opened = OpenSource(label, "csv", columns, iter(()), delimiter=delimiter)
    opened.warn(*filter(None, [header.note]))
    opened.hint = header.hint
    opened.widths = likely_widths(header.near) if len(columns) == 1 else []
    opened.lines_before = header.before
    opened.pieces = (
        CsvRange(*span, dialect=dialect, escapes=escapes)
        for span in source.spans(header.before, options.batch_rows)
    )
    return opened


@dataclass(frozen=True)
class CsvRange(Range):
    """The records that begin in a range of a CSV file."""

    dialect: Dialect = field(kw_only=True)
    escapes: Escapes | None = field(default=None, kw_only=True)

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        own = self.own_lines()
        if own is None:
            return
        skipped = 0 if self.is_exact else self._guess(own.raw)
        found.begin, raw = own.begin + skipped, own.raw[skipped:]
        found.end = own.end
        counts = found.counts = Seen(self.file.label, self.file.options)
        data = self.file.lines(raw, found.begin, counts) if raw else b""
        is_last = self.is_whole and own.end == self.readable
        try:
            taken = take_records(self.dialect, memoryview(data), is_last=is_last)
            if own.overlong is not None:  # and no line before it is, or that one would be told
                raise overlong(self.dialect.label, data.count(b"\n") + 1)
            if taken.left:  # its last record goes on
                taken, found.end = self._with_more(data, own.end, taken.physical_lines + taken.left)
        except LineError as error:
            if self.escapes is None:
                raise
            raise error.moved(self.escapes.breaks(data, error.line - 1)) from None
        found.lines = taken.physical_lines
        batch = _parse_csv(self.dialect, taken)
        if self.escapes is not None:
            batch, more = self.escapes.restored(batch)
            found.lines += more
        yield batch

    def _with_more(self, data: bytes, end: int, count: int) -> tuple[Taken, int]:
        """The records that begin in `data`, which has `count` lines up to the byte `end`, and where
        the last of them ends. Ever more of the file is looked at until that is certain.
        """
        size = _BEYOND
        while True:
            more, is_end = self.beyond(end, size)
            size *= 4
            is_last = is_end or size > 4 * MAX_RECORD_BYTES
            counts = Seen(self.file.label, self.file.options)  # they are another range's
            lines = self.file.lines(more, end, counts) if more else b""
            taken = take_records(self.dialect, memoryview(data + lines), count, is_last=is_last)
            if not taken.left:
                return taken, end + behind_lines(more, taken.physical_lines - count)

    def _guess(self, raw: bytes) -> int:
        """Where the first of the next lines begins that is a record by itself; if none is, the
        first line.
        """
        encoding = "utf-8" if self.file.is_text else self.file.options.encoding
        at = 0
        for _ in range(_GUESSES):
            end = line_end(raw, at)
            if end < 0:
                break
            if self.dialect.is_whole(raw[at:end].decode(encoding, "replace")):
                return at
            at = end
        return 0


def _parse_csv(dialect: Dialect, taken: Taken) -> TextBatch:
    """Parse whole records. Raises `SourceError` if the parser finds other records than the scan."""
    data, lines, refused = _drop_damaged(dialect, taken)
    irregular: dict[int, pa_csv.InvalidRow] = {}  # with too few or many fields, by place

    def keep(row: pa_csv.InvalidRow) -> str:
        irregular[row.number - 1] = row
        return "skip"

    table = _parsed(dialect, data, keep)
    if table.num_rows + len(irregular) != len(lines):
        raise LineError(
            dialect.label,
            int(lines[0]),
            f"from here on {len(lines)} records are counted but "
            f"{table.num_rows + len(irregular)} parsed; the file's quoting is inconsistent",
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
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            newlines_in_values=True,
            invalid_row_handler=irregular,
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
        raise LineError(
            dialect.label,
            1,
            f"from here on {found} of {taken.physical_lines} lines are accounted for; "
            "the file's quoting is inconsistent",
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
    quotes = dialect.quotes(bytes_)
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
    allowed[[ord(dialect.delimiter), NEWLINE, *dialect.quote.encode()]] = True
    opening, closing = quotes[::2], quotes[1::2]
    opens_well = allowed[bytes_[np.maximum(opening - 1, 0)]] | (opening == 0)
    return np.concatenate([opening[~opens_well], closing[~allowed[bytes_[closing + 1]]]])

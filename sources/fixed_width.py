"""Text files of fixed width: each column has so many characters of a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.batches import MAX_RECORD_BYTES, Lines, ReadOptions, TextBatch, column_names
from sources.csv_header import FirstLines
from sources.csv_lines import NEWLINE, overlong
from sources.headers import Row, find_header, lines_needed
from sources.line_source import LineSource
from sources.pieces import Findings, OpenSource
from sources.ranges import Range
from sources.undecodable import MARK, Seen, refused


def open_fixed_width(source: LineSource, options: ReadOptions) -> OpenSource:
    """Read the header, cut as the rows are; these come as ranges of the file's bytes."""
    label, widths = source.label, options.layout.widths
    lines = FirstLines(label, source.text)
    begin = lines.skip_blank()
    rows = [
        Row(
            number,
            number,
            _cut(line.decode(errors="replace"), widths),
            text=line.decode(errors="replace"),
        )
        for number, line in enumerate(lines.ahead(lines_needed(options)), begin)
    ]
    header = find_header(label, rows, options)
    if MARK in header.row.text and header.has_line:
        raise source.text.encoding_error()
    columns = column_names(label, header.names, options)
    opened = OpenSource(label, "csv", columns, iter(()), hint=header.hint)
    opened.warn(*filter(None, [header.note]))
    opened.lines_before = header.before
    opened.pieces = (
        FixedRange(*span, columns=tuple(columns))
        for span in source.spans(header.before, options.batch_rows)
    )
    return opened


def _cut(line: str, widths: tuple[int, ...]) -> list[str]:
    """The texts of a line; what is beyond the last column is one more, if it is not blank."""
    ends = [0, *accumulate(widths)]
    cells = [line[begin:end].strip() for begin, end in pairwise(ends)]
    beyond = line[ends[-1] :].strip()
    return [*cells, beyond] if beyond else cells


def likely_widths(lines: Sequence[str]) -> list[int]:
    """The widths of the columns by the first lines: they begin where all of these lines have text
    again after a space. [] where there is only one column.
    """
    filled = [line for line in lines if line.strip()]
    size = max(map(len, filled), default=0)
    texts = [line.ljust(size) for line in filled]
    is_space = [all(text[place] == " " for text in texts) for place in range(size)]
    begins = [n for n in range(1, size) if is_space[n - 1] and not is_space[n]]
    ends = [0, *begins, size]
    return [end - begin for begin, end in pairwise(ends)] if begins and filled[1:] else []


@dataclass(frozen=True)
class FixedRange(Range):
    """The lines that begin in a range of a file of fixed width."""

    columns: tuple[str, ...] = field(kw_only=True)

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        own = self.own_lines()
        if own is None:
            return
        options = self.file.options
        found.begin, found.end = own.begin, own.end
        counts = found.counts = Seen(self.file.label, options)
        data = self.file.lines(own.raw, own.begin, counts) if own.raw else b""
        found.lines = data.count(b"\n")
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == NEWLINE) + 1
        is_long = np.diff(ends, prepend=0) > MAX_RECORD_BYTES
        if is_long.any():
            raise overlong(self.file.label, int(np.argmax(is_long)) + 1)
        if own.overlong is not None:
            raise overlong(self.file.label, found.lines + 1)
        yield _parsed(data, ends, self.columns, options)


def _parsed(data: bytes, ends: Lines, columns: tuple[str, ...], options: ReadOptions) -> TextBatch:
    """The lines as rows. Blank ones are none; one with text beyond the columns is refused."""
    offsets = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32))
    lines = pa.StringArray.from_buffers(len(ends), offsets, pa.py_buffer(data))
    numbers = np.arange(1, len(ends) + 1)
    is_filled = pc.not_equal(pc.utf8_trim_whitespace(lines), "")
    records = pc.sum(is_filled).as_py() or 0
    places = [0, *accumulate(options.layout.widths)]
    beyond = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(lines, places[-1]))
    is_wrong = pc.and_(
        is_filled, pc.or_(pc.not_equal(beyond, ""), pc.match_substring(lines, MARK))
    ).to_numpy(zero_copy_only=False)
    why = f"text beyond the {places[-1]} characters of {options.source.upper()}__WIDTHS"
    no_rows = [
        refused(int(numbers[place]), why, lines[place].as_py(), options.encoding)
        for place in np.flatnonzero(is_wrong).tolist()
    ]
    is_row = is_filled.to_numpy(zero_copy_only=False) & ~is_wrong
    rows = lines.filter(pa.array(is_row))
    cells = [
        pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(rows, begin, end))
        for begin, end in pairwise(places)
    ]
    texts = [
        column.dictionary_encode() if name in options.encoded else column
        for name, column in zip(columns, cells, strict=True)
    ]
    return TextBatch(pa.table(texts, list(columns)), numbers[is_row], no_rows, records)

"""Which lines of a CSV file are records, decided before they are parsed.

A line with an odd number of quotes either begins a quoted field that contains line breaks, or has
one quote too many. A parser would join it with the following lines in both cases. Here lines are
joined only where that is the only way to read them: see `_Cut.close`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from errors import LineError
from sources.batches import MAX_RECORD_BYTES, Lines, RefusedRecord
from sources.undecodable import Bytes, refused

NEWLINE = 0x0A
_GOES_ON = re.compile(r" +(?!\W?\s*$)\S")
"""What follows a delimiter within a sentence: a space, and more than a sign at the very end."""


@dataclass(frozen=True)
class Dialect:
    """What is known of a CSV file after its header: label, delimiter, columns and their types."""

    label: str
    delimiter: str
    columns: tuple[str, ...]
    types: Mapping[str, pa.DataType]
    is_padded: bool = False
    """Whether fields begin with a space, as in the header `id, name`."""
    encoding: str = "utf-8"
    quote: str = '"'
    """The quote character; '' where quotes are text."""

    def quotes(self, data: Bytes) -> Lines:
        """The places of quotes."""
        if not self.quote:
            return np.empty(0, np.int64)
        return np.flatnonzero(data == ord(self.quote))

    def fields(self, text: str) -> list[str] | None:
        """The fields of `text` if it is exactly one well-formed record; otherwise None."""
        try:
            lines = io.StringIO(text, newline="")
            records = list(
                csv.reader(
                    lines,
                    delimiter=self.delimiter,
                    quotechar=self.quote or None,
                    quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
                    strict=True,
                )
            )
        except csv.Error:
            return None
        return records[0] if len(records) == 1 else None

    def fits(self, text: str) -> bool:
        """Whether `text` is one well-formed record of this file."""
        return self.has_all(self.fields(text))

    def has_all(self, fields: list[str] | None) -> bool:
        """Whether there is a field for each column, and any further fields are blank."""
        width = len(self.columns)
        return fields is not None and len(fields) >= width and not "".join(fields[width:]).strip()

    def is_whole(self, text: str) -> bool:
        """Whether a line is a record by itself. A field that begins with a space is taken for part
        of a sentence, unless there is next to nothing in it, or the header has such spaces too.
        """
        fields = self.fields(text) or [""]
        is_sentence = not self.is_padded and any(map(_GOES_ON.match, fields[1:]))
        return bool(text.strip()) and not is_sentence and self.has_all(fields)

    def separators(self, text: str) -> int:
        """How many delimiters of a line separate fields, if stray quotes count as text."""
        delimiter = re.escape(self.delimiter)
        quote = re.escape(self.quote)
        quoted = (
            rf"(?:(?<=^)|(?<={delimiter})){quote}(?:[^{quote}]++|{quote}{quote})*+{quote}"
            rf"(?=$|{delimiter})"
        )
        after = "" if self.is_padded else rf"(?! +(?!\W?\s*$)[^\s{delimiter}])"
        return len(re.findall(delimiter + after, re.sub(quoted, "", text) if quote else text))

    def refused(self, line: int, why: str, text: str) -> RefusedRecord:
        """The record `text`, which begins in line `line`, refused for the reason `why`."""
        return refused(line, why, text, self.encoding)

    def rewrite(self, text: str) -> bytes:
        """The record with quotes as in RFC 4180, section 2."""
        out = io.StringIO()
        writer = csv.writer(
            out, delimiter=self.delimiter, quotechar=self.quote, lineterminator="\n"
        )
        writer.writerow(self.fields(text) or [])
        return out.getvalue().encode()


@dataclass
class Taken:
    """Whole records cut from a file, each with an even number of quotes.

    `data`: their bytes. `lines`: the line in which each begins, 1 for the first. `physical_lines`:
    how many lines they took, of which `blank_lines` are no records. `left`: how many are left over,
    because the record that begins in the first of them may go on.
    """

    data: memoryview
    lines: Lines
    refused: list[RefusedRecord]
    physical_lines: int
    left: int
    blank_lines: int
    has_quotes: bool


def take_records(
    dialect: Dialect, data: memoryview, own: int | None = None, *, is_last: bool
) -> Taken:
    """Cut `data` into records: those that begin in its first `own` lines, or in any without.

    A record that may continue after `data` is left, with all that follow it, unless nothing comes
    after `data` (`is_last`). What is decided about a record does not depend on where `data` ends.
    Raises `LineError` where one of its own lines is too long.
    """
    cut = _Cut(dialect, data)
    own = len(cut.ends) if own is None else own
    cut.refuse_overlong(own)
    done = -1
    odd = cut.odd
    for place, index in enumerate(odd):
        if index >= own:
            break
        if index <= done:
            continue
        if dialect.fits(cut.text(index)):  # a literal quote inside an unquoted field
            cut.edits.append((index, dialect.rewrite(cut.text(index))))
            continue
        closed = cut.close(index, next(iter(odd[place + 1 : place + 2]), None), is_last=is_last)
        if closed is None:
            return cut.taken(index, own - index)
        done = closed
    return cut.taken(max(own, done + 1))


class _Cut:
    """The lines of a batch, and what has been decided about each."""

    def __init__(self, dialect: Dialect, data: memoryview) -> None:
        self._dialect, self._data = dialect, data
        self._bytes = np.frombuffer(data, np.uint8)
        self.ends = np.flatnonzero(self._bytes == NEWLINE) + 1
        self._starts = np.concatenate(([0], self.ends[:-1]))
        self._quotes = dialect.quotes(self._bytes)
        self._is_record = self.ends - self._starts > 1
        self._is_blank = ~self._is_record
        self._refused: list[RefusedRecord] = []
        self.edits: list[tuple[int, bytes]] = []  # a line, and the bytes that replace it

    def refuse_overlong(self, own: int) -> None:
        """Raise `LineError` where one of the first `own` lines is too long."""
        if len(self._data) > MAX_RECORD_BYTES:
            is_long = (self.ends - self._starts)[:own] > MAX_RECORD_BYTES
            if is_long.any():
                raise overlong(self._dialect.label, int(np.argmax(is_long)) + 1)

    @cached_property
    def odd(self) -> list[int]:
        """The lines with an odd number of quotes."""
        lines = np.searchsorted(self.ends, self._quotes, side="right")
        odd: list[int] = np.flatnonzero(np.bincount(lines, minlength=len(self.ends)) & 1).tolist()
        return odd

    def text(self, first: int, last: int | None = None) -> str:
        """The text of line `first`, or of the lines from `first` to `last`."""
        end = self.ends[first if last is None else last]
        return str(self._data[self._starts[first] : end], "utf-8")

    def close(self, first: int, last: int | None, *, is_last: bool) -> int | None:
        """Decide about the quote that line `first` opens and that `last`, the next line with an odd
        number of quotes, would close.

        Returns the last line that is decided, or None when more of the file must be seen.

        - If a line between them is a whole record, the quote was never closed: `first` is refused.
        - If both lines could be records by themselves, they can be read in two ways: both are
          refused. In a file of one or two columns any sentence could be a record: then all lines
          from `first` to `last` are.
        - Otherwise the lines are one record with line breaks in a field.
        """
        between = range(first + 1, len(self.ends) if last is None else last)
        has_whole = any(self._dialect.is_whole(self.text(index)) for index in between)
        is_parted = has_whole and len(self._dialect.columns) > 2
        size = (len(self._data) if last is None else self.ends[last]) - self._starts[first]
        is_long = size > MAX_RECORD_BYTES
        if last is None and not (is_parted or is_last or is_long):
            return None
        text = None if last is None or is_parted or is_long else self.text(first, last)
        fields = None if text is None else self._dialect.fields(text)
        if last is None or fields is None or not self._dialect.has_all(fields):
            return self._refuse([first], "a quote is never closed")
        why = (
            f"a quote is open over {last - first + 1} lines, from one that could be a record by "
            "itself to another"
        )
        if has_whole:  # in a narrow file, where any sentence could be one
            return self._refuse(range(first, last + 1), why)
        if self._are_two(first, last, fields):
            return self._refuse([first, last], why)
        self._is_record[first + 1 : last + 1] = False
        self._is_blank[first + 1 : last + 1] = False
        return last

    def _are_two(self, first: int, last: int, fields: list[str]) -> bool:
        """Whether the lines `first` and `last`, which together are the record `fields`, could be
        two records.

        That is so if each has as many delimiters as a record; or if one has, with at least two of
        them inside the field that spans the lines. Delimiters of a sentence do not count: a space
        follows them.
        """
        broken = [field.split("\n") for field in fields if "\n" in field]
        wanted, separators = len(self._dialect.columns) - 1, self._dialect.separators
        begin, end = separators(self.text(first)), separators(self.text(last))
        if min(begin, end) >= wanted:
            return True
        within_begin, within_end = separators(broken[0][0]), separators(broken[-1][-1])
        return (begin == wanted and within_begin > 1) or (end == wanted and within_end > 1)

    def _refuse(self, lines: range | list[int], why: str) -> int:
        """Refuse each of `lines` for the reason `why`. Returns the last one."""
        for index in lines:
            if self._is_record[index]:
                self._refused.append(self._dialect.refused(index + 1, why, self.text(index)))
                self._is_record[index] = False
                self.edits.append((index, b""))
        return lines[-1]

    def taken(self, used_lines: int, left: int = 0) -> Taken:
        """The records among the first `used_lines` lines; `left` own lines come after them."""
        used = int(self.ends[used_lines - 1]) if used_lines else 0
        edits = [
            (int(self._starts[index]), int(self.ends[index]), new) for index, new in self.edits
        ]
        is_record = self._is_record[:used_lines]
        return Taken(
            edited(self._data[:used], edits),
            np.flatnonzero(is_record) + 1,
            self._refused,
            used_lines,
            left,
            int(np.count_nonzero(self._is_blank[:used_lines])),
            bool(len(self._quotes)),
        )


def overlong(label: str, line: int) -> LineError:
    """The error for a line that is longer than a record may be."""
    return LineError(
        label,
        line,
        f"a line exceeds the limit of {MAX_RECORD_BYTES} bytes; is the delimiter or line end as "
        "declared?",
    )


def edited(data: memoryview, edits: list[tuple[int, int, bytes]]) -> memoryview:
    """`data` with replacements: (start, end, bytes in their place), in ascending order."""
    if not edits:
        return data
    parts: list[bytes | memoryview] = []
    at = 0
    for start, end, replacement in edits:
        parts += [data[at:start], replacement]
        at = end
    return memoryview(b"".join([*parts, data[at:]]))

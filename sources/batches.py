"""What every reader makes of a source: batches of text, each row with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.arrays import composed
from common.setting_texts import Moment
from common.values import as_text, comma_text, key_text, storable
from errors import SourceError

Lines = npt.NDArray[np.int64]

MAX_RECORD_BYTES = 4 << 20
"""The longest record; a file with a longer one is refused."""
MAX_PIECE_BYTES = 32 << 20
"""About the largest batch: where rows are long, it has fewer than `ReadOptions.batch_rows`."""
MAX_COLUMNS = 10_000
MAX_RAW = 64 << 10
"""The most characters of a refused record that are kept, for `_raw` of the reject file."""


@dataclass(frozen=True)
class RefusedRecord:
    """A record that cannot be read as a row: its line or number, why, and its text (`raw`)."""

    line: int
    detail: str
    raw: str
    reason: str = "malformed_row"


@dataclass
class TextBatch:
    """One parsed batch.

    `rows`: a column of text (plain or dictionary-encoded) per column of the source. `lines`: the
    line or record number of each row (int64). `refused`: records that are no rows. `records`: how
    many records there are, by a count that does not come from the parser.
    """

    rows: pa.Table
    lines: Lines
    refused: list[RefusedRecord] = field(default_factory=list)
    records: int = 0
    empty: int = 0
    """How many of the records have an empty list where each element would be a row."""
    is_exploded: bool = False
    """Whether each row is an element of a list already, where that was asked for."""


@dataclass(frozen=True)
class Layout:
    """How the files of a source are laid out. What is '' or empty is found out by the reader."""

    quote: str = '"'
    """The quote character of text files; '' where quotes are text."""
    escape: str = ""
    widths: tuple[int, ...] = ()
    """The widths of the columns, in characters, of files of fixed width."""
    sheet: str = ""
    """The sheets of a workbook: a name, a number from 1, a pattern, or `*`."""
    header_row: int = 0
    """The row, or line, of the header, counted from 1; 0 where it is to be found."""
    header: tuple[str, ...] = ()
    """The columns of files that have no header."""
    records: str = ""
    """The path to the list of records in a JSON document."""
    explode: str = ""
    """The path of a list in each record, whose elements are the rows."""
    required: tuple[tuple[str, ...], ...] = ()
    """What a header must have: of each column the names that it may go by, case-folded. One inside
    another column is a path, such as `prices.net`.
    """

    def bears(self, names: Iterable[str]) -> bool:
        """Whether these are the names of a header, or of a record: all that are required."""
        there = {name.strip().casefold() for name in names}
        return bool(self.required) and all(
            any(name in there or name.partition(".")[0] in there for name in part)
            for part in self.required
        )


def as_plain_text(layout: Layout) -> Layout:
    """The layout of a text file with a header, without anything special."""
    plain = Layout()
    return replace(
        layout,
        quote=plain.quote,
        escape=plain.escape,
        widths=plain.widths,
        header_row=plain.header_row,
        header=plain.header,
    )


@dataclass(frozen=True)
class ReadOptions:
    """How a source is to be read: the settings that readers need. `source` is its name."""

    source: str
    encoding: str
    delimiter: str | None
    batch_rows: int
    encoded: frozenset[str] = frozenset()
    """The source's columns with few distinct values, to be dictionary-encoded while read."""
    commas: frozenset[str] = frozenset()
    """Columns, in lower case, whose texts have decimal commas: typed numbers get one as well."""
    keys: frozenset[str] = frozenset()
    """Columns, in lower case, that hold keys or parts of keys: see `key_text`."""
    dates: frozenset[str] = frozenset()
    """Columns, in lower case, that hold dates; such a column may be part of a key as well."""
    has_serials: bool = False
    """Whether numbers in these are known to be the days of a spreadsheet."""
    used: frozenset[str] = frozenset()
    """Names, case-folded, by which columns are looked up: none may occur twice in a header."""
    watermark: str = ""
    """The column by which only new rows are read, if there is one."""
    since: Moment | None = None
    """Its value from which on they are read."""
    split_by: str = ""
    """The column by whose ranges they are read, if there is one."""
    layout: Layout = Layout()
    most: int | None = None
    """How many records of each file are looked at; None when all of them are read."""

    def text_of(self, column: str) -> Callable[[Any], str | None]:
        """The function that writes a typed value of this column as text."""
        if column.lower() in self.keys:
            return key_text
        return comma_text if column.lower() in self.commas else as_text


def column_names(label: str, header: list[str], options: ReadOptions) -> list[str]:
    """Column names out of a header: in one line, trimmed, in NFC.

    A column without a name is called by its number (`column_3`); columns with the same name are
    numbered (`Tax_1`, `Tax_2`). Raises `SourceError` when a name in `options.used` occurs twice, or
    when there are more than `MAX_COLUMNS`.
    """
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            f"{label}, header: {len(header)} columns exceed the limit of {MAX_COLUMNS}"
        )
    names = [name or f"column_{number}" for number, name in enumerate(plain_names(header), 1)]
    times = Counter(names)
    for name, found in times.items():
        if found > 1 and name.casefold() in options.used:
            raise SourceError(
                f"{label}, header: {name} appears more than once, and is used; rename one of "
                f"them, or map another column in {options.source.upper()}__COLUMNS: these are "
                f"called {name}_1 and {name}_2 there"
            )
    return names if len(times) == len(names) else _numbered(names, times)


def plain_names(header: Iterable[str]) -> list[str]:
    """Names out of a header: each in one line, trimmed, in NFC."""
    lines = pa.array([storable(" ".join(_in_one_line(name))) for name in header], pa.string())
    names: list[str] = composed(lines).to_pylist()
    return names


def _numbered(names: Sequence[str], times: Counter[str]) -> list[str]:
    """The names; those that occur more than once get a number that makes them unique."""
    taken, numbers, new = set(times), Counter[str](), []
    for name in names:
        own = name
        while times[name] > 1 and own in taken:
            numbers[name] += 1
            own = f"{name}_{numbers[name]}"
        taken.add(own)
        new.append(own)
    return new


def _in_one_line(name: str) -> Iterator[str]:
    """The lines of a column's name, each without space and invisible characters around it."""
    return (line.strip().strip("\ufeff\u200b").strip() for line in name.splitlines())

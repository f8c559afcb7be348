"""What every reader yields: batches of text, each row with its place.

A reader yields *pieces*: calls that parse one batch each and can run in any worker. A piece
returns a `TextBatch`: the rows as text columns, the physical line (or record number) of each, the
records that could not be read as rows, and how many records there are by a count that does not
come from the parser.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.arrays import composed
from common.values import as_text, comma_text, key_text, storable
from errors import SourceError

Lines = npt.NDArray[np.int64]

MAX_RECORD_BYTES = 4 << 20
MAX_PIECE_BYTES = 32 << 20  # fewer rows than asked for, where they are long: they share memory
"""A single record above this size is refused: no customer, product or sale is that long."""
MAX_COLUMNS = 10_000
MAX_RAW = 64 << 10
"""Characters of a refused record that are kept as they stand in the source."""


@dataclass(frozen=True)
class RefusedRecord:
    """A record that is no row: its line or number, why, and its text as it stands in the source."""

    line: int
    detail: str
    raw: str
    reason: str = "malformed_row"


@dataclass
class TextBatch:
    """One parsed batch. `rows` has a text column per column name; `lines` one number per row."""

    rows: pa.Table
    lines: Lines
    refused: list[RefusedRecord] = field(default_factory=list)
    records: int = 0


Piece = Callable[[], TextBatch]


@dataclass
class OpenSource:
    """A source file or table that was opened and looked at: its columns, then its pieces."""

    label: str
    format: str
    columns: list[str]
    pieces: Iterator[Piece]
    digest: hashlib._Hash | None = None
    """Of the bytes read so far; of the whole file once `pieces` is exhausted."""
    delimiter: str = ""
    is_schemaless: bool = False
    """Whether the columns are those that the records name: without records there are none."""
    note: str = ""
    """What to be warned of: what is not read and why, or how it is connected to."""
    below: dict[int, list[str]] = field(default_factory=dict)
    """The lines below the header, by number, in cells: where it is none, one of them may be one."""
    binary_keys: set[str] = field(default_factory=set)
    """Key columns in which bytes were met so far; the pieces add to it, whichever thread runs them.
    """
    opens_later: bool = False
    """Whether it is to be opened again when its turn comes: what it gives is as of then."""
    close: Callable[[], None] = lambda: None
    """For an opened file whose pieces are not all taken."""

    def warn(self, *notes: str) -> None:
        """Add to what there is to be warned of."""
        begins = f"{self.note}; " if self.note else f"{self.label}: "
        self.note = begins + "; ".join(notes) if notes else self.note

    def warn_of_bytes(self) -> None:
        """Warn of the key columns that hold bytes, once the pieces have been read."""
        if self.binary_keys:
            where = "query" if self.format.startswith("database") else "export"
            self.warn(
                f"the key column {', '.join(sorted(self.binary_keys))} holds bytes, written as "
                f"hexadecimal digits; cast it to text in the {where} where text is meant"
            )


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read: the settings that readers need."""

    source: str
    encoding: str
    delimiter: str | None
    batch_rows: int
    encoded: frozenset[str] = frozenset()
    """Columns worth dictionary-encoding while they are read."""
    commas: frozenset[str] = frozenset()
    """Columns, in lower case, whose text has decimal commas: so have the numbers put among it."""
    keys: frozenset[str] = frozenset()
    """Columns, in lower case, that hold keys or parts of them: see `key_text`."""
    dates: frozenset[str] = frozenset()
    """Columns, in lower case, that hold dates; a date may be part of a key as well."""

    used: frozenset[str] = frozenset()
    """Names, without case, that the file's columns are found by: each may be there only once."""

    def text_of(self, column: str) -> Callable[[Any], str | None]:
        """How a value of a column is written as text, where values have types."""
        if column.lower() in self.keys:
            return key_text
        return comma_text if column.lower() in self.commas else as_text


def column_names(label: str, header: list[str], options: ReadOptions) -> list[str]:
    """The header's names in one line each, trimmed and composed (NFC); a nameless column is
    called by its number, and columns of one name are numbered: `Tax_1`, `Tax_2`.

    Raises `SourceError` when a name that is used appears twice, or there are too many.
    """
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            f"{label}, header: {len(header)} columns exceed the limit of {MAX_COLUMNS}"
        )
    lines = pa.array([storable(" ".join(_in_one_line(name))) for name in header], pa.string())
    named = enumerate(composed(lines).to_pylist(), 1)
    names = [name or f"column_{number}" for number, name in named]
    times = Counter(names)
    for name, found in times.items():
        if found > 1 and name.casefold() in options.used:
            raise SourceError(
                f"{label}, header: {name} appears more than once, and is used; rename one of "
                f"them, or map another column in {options.source.upper()}__COLUMNS: these are "
                f"called {name}_1 and {name}_2 there"
            )
    return names if len(times) == len(names) else _numbered(names, times)


def _numbered(names: Sequence[str], times: Counter[str]) -> list[str]:
    """The names, where those that appear twice are numbered as no other column is called."""
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
    """The lines of a column's name, without the space and the unseen marks around them."""
    return (line.strip().strip("\ufeff\u200b").strip() for line in name.splitlines())

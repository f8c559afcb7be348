"""What every reader yields: batches of text, each row with its place.

A reader yields *pieces*: calls that parse one batch each and can run in any worker. A piece
returns a `Block`: the rows as text columns, the physical line (or record number) of each, the
records that could not be read as rows, and how many records there are by a count that does not
come from the parser.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arrays import composed
from errors import SourceError

Lines = npt.NDArray[np.int64]

MAX_RECORD_BYTES = 4 << 20
MAX_PIECE_BYTES = 32 << 20  # fewer rows than asked for, where they are long: they share memory
"""A single record above this size is refused: no customer, product or sale is that long."""
MAX_COLUMNS = 10_000
NUMBERS = {
    "products": ("price", "cost"),
    "transactions": ("quantity", "unit_price", "discount_amount", "discount_rate"),
}
"""The canonical columns of each source that hold numbers."""
DATES = {"transactions": ("transaction_date",), "sales_reps": ("hire_date",)}
"""The canonical columns of each source that hold dates."""
UNREADABLE = "\ufdd0"
"""Begins the text of a typed cell that holds no value that can be read, such as an Excel error;
what the cell shows follows. It is one of the code points that no text may hold, so every rule finds
it unreadable, and none takes it for missing.
"""
SHOWN = 500
"""Characters of a refused record that go into the reject's detail."""
MAX_RAW = 64 << 10
"""Characters of a refused record that are kept as they stand in the source."""


@dataclass(frozen=True)
class Refused:
    """A record that is no row: its line or number, why, and its text as it stands in the source."""

    line: int
    detail: str
    raw: str
    reason: str = "malformed_row"


@dataclass
class Block:
    """One parsed batch. `rows` has a text column per column name; `lines` one number per row."""

    rows: pa.Table
    lines: Lines
    refused: list[Refused] = field(default_factory=list)
    records: int = 0


Piece = Callable[[], Block]


@dataclass
class Opened:
    """A source file or table that was opened and looked at: its columns, then its pieces."""

    shown: str
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
    opens_later: bool = False
    """Whether it is to be opened again when its turn comes: what it gives is as of then."""
    close: Callable[[], None] = lambda: None
    """For an opened file whose pieces are not all taken."""

    def warn(self, *notes: str) -> None:
        """Add to what there is to be warned of."""
        begins = f"{self.note}; " if self.note else f"{self.shown}: "
        self.note = begins + "; ".join(notes) if notes else self.note


@dataclass(frozen=True)
class Reading:
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


def column_names(shown: str, header: list[str], reading: Reading) -> list[str]:
    """The header's names in one line each, trimmed and composed (NFC); a nameless column is
    called by its number, and columns of one name are numbered: `Tax_1`, `Tax_2`.

    Raises `SourceError` when a name that is used appears twice, or there are too many.
    """
    if len(header) > MAX_COLUMNS:
        raise SourceError(
            f"{shown}, header: {len(header)} columns exceed the limit of {MAX_COLUMNS}"
        )
    lines = pa.array([storable(" ".join(_in_one_line(name))) for name in header], pa.string())
    named = enumerate(composed(lines).to_pylist(), 1)
    names = [name or f"column_{number}" for number, name in named]
    times = Counter(names)
    for name, found in times.items():
        if found > 1 and name.casefold() in reading.used:
            raise SourceError(
                f"{shown}, header: {name} appears more than once, and is used; rename one of "
                f"them, or map another column in {reading.source.upper()}__COLUMNS: these are "
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


def as_text(value: Any) -> str | None:  # noqa: PLR0911  # one line per type
    """A value as the text a CSV file would hold: exact numbers, ISO dates, nested values as JSON.

    Whole floats lose their `.0`: an integer column with gaps arrives as float. What no database
    takes as text becomes NUL, so that the row is `invalid_text`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.isascii() else storable(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else str(value)  # a value that no rule accepts
        value = Decimal(int(value)) if value == int(value) else Decimal(repr(float(value)))
    if isinstance(value, Decimal):
        # An absurd exponent stays as it is, and is refused as a number later.
        return format(value, "f") if abs(value.adjusted()) < 40 else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return storable(to_json(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return storable(bytes(value).decode(errors="surrogateescape"))
    if isinstance(value, set | frozenset):  # in an order that stays
        return storable(",".join(sorted(map(str, value))))
    return storable(str(value))


def key_text(value: Any) -> str | None:
    """`as_text` for a key: a whole number is written without decimals, however it is stored, and
    bytes are written as hexadecimal digits, whether or not they happen to be letters.

    A float beyond 2^53 has lost digits, and the ones it would be written with stand nowhere: it is
    unreadable.
    """
    if isinstance(value, bytes | memoryview):  # a bytearray is text, see `file_databases`
        return value.hex().upper()
    if isinstance(value, float | np.floating) and not abs(float(value)) <= _EXACT_FLOAT:
        return unreadable(repr(float(value)))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = value.to_integral_value() if value.adjusted() < 40 else value
    return as_text(value)


_EXACT_FLOAT = 1 << 53


def unreadable(shown: str) -> str:
    """The text for a typed cell that shows `shown` and holds no value that can be read."""
    return UNREADABLE + shown


def comma_text(value: Any) -> str | None:
    """`as_text`, with a decimal comma in what is a number already."""
    text = as_text(value)
    is_number = isinstance(value, float | Decimal | np.floating)
    return text.replace(".", ",") if text and is_number else text


def text_array(values: Sequence[Any], text: Callable[[Any], str | None] = as_text) -> pa.Array:
    """Values as text. Most columns are text already, and taken as a whole."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeError):
        return pa.array([text(value) for value in values], pa.string())


def storable(text: str) -> str:
    """`text` with NUL, which rows are refused for, instead of lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\0" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def exact_number(text: str) -> Decimal | str:
    """A JSON number as it was written; as text when its exponent is beyond all measure."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def to_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, numbers as they were written."""
    if isinstance(value, dict):
        inner = ",".join(f"{to_json(str(key))}:{to_json(value[key])}" for key in sorted(value))
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(to_json, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=as_text)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, as far as a message has room for it."""
    return str(error).partition("\n")[0][:200]

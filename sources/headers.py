"""Where the header of a table is, and where its rows begin.

Reports have titles above the header. So the header is the first of the first lines that has all
required names; where none has, it is the first line that is not blank. `<SOURCE>__HEADER_ROW` says
which line it is, and `<SOURCE>__HEADER` gives the names of columns that have no header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errors import SourceError
from sources.batches import ReadOptions, plain_names

LINES = 20
"""How many lines are looked at for a header."""


@dataclass(frozen=True)
class Row:
    """One of the first lines of a file, or rows of a sheet, that may be the header: its number,
    that of its last line, its cells, and the delimiter between them.
    """

    number: int
    last: int
    cells: Sequence[str]
    delimiter: str = ""
    text: str = ""
    is_broken: bool = False
    """Whether it is no well-formed record."""

    @property
    def is_blank(self) -> bool:
        """Whether no cell has a text."""
        return not "".join(self.cells).strip()


@dataclass(frozen=True)
class Header:
    """The names of the columns, and how many lines come before the first row.

    `row` is the line of the header, or without one that of the first row.
    """

    names: list[str]
    before: int
    row: Row
    note: str = ""
    """What was passed over; '' if nothing was."""
    near: Sequence[str] = ()
    """The first lines of the file."""
    hint: str = ""
    """Where else a header is, if this one has not the required names."""

    @property
    def has_line(self) -> bool:
        """Whether the names are in the file."""
        return self.before >= self.row.number


def lines_needed(options: ReadOptions) -> int:
    """How many lines of a file must be looked at to find its header."""
    return max(LINES, options.layout.header_row + 1)


def find_header(
    label: str, rows: Sequence[Row], options: ReadOptions, what: str = "line"
) -> Header:
    """The header among the first rows; `what` they are called.

    Raises `SourceError` where the settings do not fit the rows, or all of them are blank.
    """
    if options.layout.header:
        return _given(label, rows, options, what)
    bearing = next((row for row in rows[:LINES] if _bears(row, options)), None)
    if options.layout.header_row:
        row = _numbered(label, rows, options, what)
        hint = ""
        if bearing is not None and not _bears(row, options):
            hint = f"{what} {bearing.number} has the required names: set {_setting(options)}"
            hint += f"={bearing.number}, or leave it out"
        return Header(list(row.cells), row.last, row, hint=hint)
    first = next((row for row in rows if not row.is_blank), None)
    if first is None:
        raise SourceError(
            f"{label}: no text in its first {what}s ({len(rows)} looked at); a source needs at "
            "least a header line"
        )
    row = bearing or first
    note = _passed_over(first.number, row.number - 1, what) if row.number > first.number else ""
    return Header(list(row.cells), row.last, row, note)


def _given(label: str, rows: Sequence[Row], options: ReadOptions, what: str) -> Header:
    """The names that are set. A first line that has the same names is no row."""
    names = list(options.layout.header)
    wanted = options.layout.header_row
    below = [row for row in rows if row.number > wanted and not row.is_blank]
    if not below:
        return Header(names, _numbered(label, rows, options, what).last, rows[-1])
    first = below[0]
    if _folded(first.cells) == _folded(names):
        return Header(list(first.cells), first.last, first)
    if first.is_broken:
        return Header(names, first.number - 1, first)
    width = len(first.cells)
    while width > len(names) and not first.cells[width - 1].strip():
        width -= 1
    is_wider = width > len(names)
    if is_wider or (width < len(names) and what == "line"):
        raise SourceError(
            f"{label}, {what} {first.number}: it has {width} fields, and "
            f"{options.source.upper()}__HEADER has {len(names)} names: {', '.join(names)}; "
            "name each column of the file, in its order"
        )
    return Header(names, first.number - 1, first)


def _numbered(label: str, rows: Sequence[Row], options: ReadOptions, what: str) -> Row:
    """The line that is set. Raises `SourceError` if it is blank, or is not there."""
    wanted = options.layout.header_row
    row = next((row for row in rows if row.number == wanted and not row.is_blank), None)
    if row is None:
        filled = next((f", and {what} {r.number} is not" for r in rows if not r.is_blank), "")
        raise SourceError(
            f"{label}: {_setting(options)}={wanted}, but {what} {wanted} is blank or not "
            f"there{filled}"
        )
    return row


def _bears(row: Row, options: ReadOptions) -> bool:
    return options.layout.bears(plain_names(row.cells))


def _folded(names: Sequence[str]) -> list[str]:
    folded = [name.casefold() for name in plain_names(names)]
    while folded and not folded[-1]:
        folded.pop()
    return folded


def _setting(options: ReadOptions) -> str:
    return f"{options.source.upper()}__HEADER_ROW"


def _passed_over(first: int, last: int, what: str) -> str:
    if first == last:
        return f"{what} {first}, above the header, is passed over"
    return f"{what}s {first} to {last}, above the header, are passed over"

"""Which sheet of a workbook is read: by its name, its number, or a pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from errors import SourceError
from sources.batches import ReadOptions


@dataclass
class Sheet:
    """One worksheet. `merged` has the ranges of merged cells, once all rows have been read."""

    title: str
    is_visible: bool = True
    part: str = ""
    merged: list[str] = field(default_factory=list)


class Workbook(Protocol):
    """An open workbook. A damaged one raises any exception."""

    sheets: list[Sheet]

    def rows(self, sheet: Sheet) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows of a sheet, each with its number and values: see `excel_cells.Cells`."""

    def close(self) -> None:
        """Close the file."""


def chosen(label: str, sheets: Sequence[Sheet], options: ReadOptions) -> Sheet:
    """The sheet to be read. Raises `SourceError` if the one that is set is not there."""
    wanted = options.layout.sheet
    if not wanted:
        return next((sheet for sheet in sheets if sheet.is_visible), sheets[0])
    named = _named(sheets, wanted) or (_numbered(sheets, wanted) if wanted.isdecimal() else None)
    if named is None:
        raise SourceError(
            f"{label}: {setting(options)}={wanted}, but there is no such sheet; there are: "
            f"{listed(sheets)}"
        )
    return named


def matching(label: str, sheets: Sequence[Sheet], options: ReadOptions) -> list[Sheet]:
    """The sheets whose names match the pattern that is set, hidden ones as well. Raises
    `SourceError` without any that is visible.
    """
    pattern = options.layout.sheet.casefold()
    found = [sheet for sheet in sheets if fnmatchcase(sheet.title.casefold(), pattern)]
    if not any(sheet.is_visible for sheet in found):
        raise SourceError(
            f"{label}: {setting(options)}={options.layout.sheet} matches no visible sheet; there "
            f"are: {listed(sheets)}"
        )
    return found


def is_pattern(sheets: Sequence[Sheet], wanted: str) -> bool:
    """Whether what is set means several sheets, and is not the name of one."""
    return ("*" in wanted or "?" in wanted) and _named(sheets, wanted) is None


def setting(options: ReadOptions) -> str:
    """The setting that chooses a sheet."""
    return f"{options.source.upper()}__SHEET"


def listed(sheets: Sequence[Sheet]) -> str:
    """The names of sheets, for a message."""
    return ", ".join(repr(s.title) + ("" if s.is_visible else " (hidden)") for s in sheets)


def _named(sheets: Sequence[Sheet], name: str) -> Sheet | None:
    """The sheet of this name, or else the only one of this name in another case."""
    same = [sheet for sheet in sheets if sheet.title.casefold() == name.casefold()]
    exact = [sheet for sheet in same if sheet.title == name]
    return next(iter(exact), same[0] if len(same) == 1 else None)


def _numbered(sheets: Sequence[Sheet], number: str) -> Sheet | None:
    place = int(number) - 1
    return sheets[place] if 0 <= place < len(sheets) else None

"""The tables in the sheets of a workbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from common.values import as_text, first_line
from errors import SourceError
from proposal.dialects import header_place
from proposal.gathering import common_start
from sources.excel import open_book
from sources.streams import Place, on_disk, open_content

_ROWS = 60
_FEWEST = 2


@dataclass
class SheetTable:
    """A sheet that holds a table: its name, the row of the header, and the settings that say so."""

    title: str
    row: int
    settings: dict[str, Any] = field(default_factory=dict)


def sheets_of(place: Place, folder: Path) -> tuple[list[SheetTable], dict[str, list[str]]]:
    """The sheets of a workbook that hold tables, and the first row with several cells of each
    visible sheet.
    """
    with open_content(place) as content:
        path, _ = on_disk(content, place, folder)
    try:
        book = open_book(place.label, path)
        visible = [sheet for sheet in book.sheets if sheet.is_visible] or book.sheets
        found, headers = [], dict[str, list[str]]()
        for number, sheet in enumerate(visible):
            rows = [
                (n, [as_text(cell) or "" for cell in cells])
                for n, cells in islice(book.rows(sheet), _ROWS)
            ]
            wide = (cells for _, cells in rows if sum(map(bool, cells)) >= _FEWEST)
            headers[sheet.title] = list(filter(None, next(wide, [])))
            table = _table(sheet.title, rows)
            if table is None:
                continue
            if number:
                table.settings["sheet"] = sheet.title
            found.append(table)
    except SourceError:
        raise
    except Exception as error:  # damage raises whatever exception comes up
        raise SourceError(f"{place.label}: not a whole Excel file ({first_line(error)})") from error
    if not found:
        raise SourceError(f"{place.label}: no sheet of it holds a table")
    return found, headers


def pattern_of(titles: Sequence[str], headers: Mapping[str, list[str]]) -> str:
    """The pattern that means these sheets, and no other but those that have the same header and no
    rows yet; '' where none does.
    """
    begin = common_start(titles)
    end = common_start([title[::-1] for title in titles])[::-1]
    own = headers[titles[0]]
    for pattern in ("*", f"{begin}*", f"*{end}", f"{begin}*{end}"):
        matched = {title for title in headers if fnmatchcase(title, pattern)}
        if matched >= set(titles) and all(headers[title] == own for title in matched):
            return pattern
    return ""


def _table(title: str, rows: list[tuple[int, list[str]]]) -> SheetTable | None:
    """The table of a sheet, by its first rows; None where it has none."""
    filled = [(n, cells) for n, cells in rows if sum(bool(c.strip()) for c in cells)]
    wide = [cells for _, cells in filled if sum(bool(c.strip()) for c in cells) >= _FEWEST]
    if len(wide) < _FEWEST:
        return None
    place = header_place([cells for _, cells in filled])
    if place is None:
        return SheetTable(title, 1)
    row = filled[place][0]
    return SheetTable(title, row, {"header_row": row} if row > 1 else {})

"""The sheets of a workbook as files of their own, where several of them are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from errors import SourceError
from sources.batches import ReadOptions
from sources.excel import is_blank, open_book
from sources.headers import lines_needed
from sources.sheets import Sheet, Workbook, is_pattern, matching
from sources.streams import Place, is_workbook, on_disk, open_content


def with_sheets(
    places: Sequence[Place], options: ReadOptions, folder: Path
) -> tuple[list[Place], list[str]]:
    """`places`, workbooks among them replaced by the sheets that a pattern chooses, and which
    sheets were passed over: hidden and empty ones. Raises `SourceError`.
    """
    wanted = options.layout.sheet
    if "*" not in wanted and "?" not in wanted:
        return list(places), []
    found: list[Place] = []
    passed_over: list[str] = []
    for place in places:
        try:
            kept, others = _sheets(place, options, folder)
        except SourceError:
            raise
        except Exception:  # noqa: BLE001  # opening it says what is wrong
            kept, others = [place], []
        found += kept
        passed_over += others
    return found, passed_over


def _sheets(place: Place, options: ReadOptions, folder: Path) -> tuple[list[Place], list[str]]:
    with open_content(place) as content:
        if not is_workbook(content.head):
            return [place], []
        path, copy = on_disk(content, place, folder)
    try:
        with closing(open_book(place.label, path)) as book:
            if not is_pattern(book.sheets, options.layout.sheet):
                return [place], []
            return _chosen(place, book, options)
    finally:
        if copy is not None:
            copy.unlink(missing_ok=True)


def _chosen(place: Place, book: Workbook, options: ReadOptions) -> tuple[list[Place], list[str]]:
    kept, passed_over = [], []
    for sheet in matching(place.label, book.sheets, options):
        own = replace(place, sheet=sheet.title)
        if not sheet.is_visible:
            passed_over.append(f"{own.label} (hidden sheet)")
        elif _is_empty(book, sheet, options):
            passed_over.append(f"{own.label} (empty sheet)")
        else:
            kept.append(own)
    return kept or [place], passed_over


def _is_empty(book: Workbook, sheet: Sheet, options: ReadOptions) -> bool:
    rows: Iterator[Sequence[object]] = (values for _, values in book.rows(sheet))
    return all(all(map(is_blank, values)) for values in islice(rows, lines_needed(options)))

"""What a run has refused: by source and reason, or row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from report.screen import Column, Screen, Shown
from run.logs import one_line
from run.refused_rows import Reason, Refused, RejectsOf

SHOWN_ROWS = 20
"""How many rows are shown on a screen."""
_LONGEST = 200
_INDENT, _GAP = 3, 2
_LEAST_EXAMPLE = 24
"""How wide an example is at least, where there is a place beside it."""


def summary(
    found: RejectsOf, counts: Mapping[str, Mapping[str, Reason]], screen: Screen
) -> list[Shown]:
    """By source and reason how many rows were refused, with an example and where it was."""
    total = sum(reason.rows for own in counts.values() for reason in own.values())
    read = found.run.totals.read
    share = f", {100 * total / read:.2f} % of {read:,}" if read else ""
    at = f"{found.run.started_at.astimezone():%d %b %Y %H:%M %Z}"
    sign = "look" if total else "good"
    verdict = (f"{screen.sign(sign)} {total:,} rejected{share}   ", sign)
    shown = screen.flow(verdict, [f"run {found.run.run_id}, {at}"])
    called = {file.source: file.called for file in found.files}
    for source, own in counts.items():
        shown += [Text(""), screen.line(f" {called.get(source, source)}")]
        shown += _reasons(own, screen)
    shown += [Text(""), *_steps(found, counts, screen)]
    return shown


def _reasons(own: Mapping[str, Reason], screen: Screen) -> list[Shown]:
    """How many rows each reason has, an example, and where that was if both have room."""
    rows = [(name, f"{reason.rows:,}", *_example(reason.examples)) for name, reason in own.items()]
    if not rows:
        return []
    columns = [Column("reason"), Column("rows"), Column("such as", right=False)]
    names, counts, _, places = (max(map(cell_len, cells)) for cells in zip(*rows, strict=True))
    room = screen.width - _INDENT - names - max(counts, len("rows")) - 2 * _GAP
    if room - places - _GAP >= _LEAST_EXAMPLE:
        room -= places + _GAP
        columns.append(Column("where", right=False))
    room = max(room, _LEAST_EXAMPLE)
    cells = [(name, count, _cut(text, room, screen), place) for name, count, text, place in rows]
    return screen.table(columns, [row[: len(columns)] for row in cells], indent=_INDENT)


def _example(rows: Sequence[Refused]) -> tuple[str, str]:
    if not rows:
        return "", ""
    text = rows[0].detail or ", ".join(f"{name}={value}" for name, value in rows[0].cells[:1])
    return one_line(text), _short_place(rows[0].place)


def _short_place(place: str) -> str:
    """File and line without the folders."""
    return place.rpartition("/")[2]


def _cut(text: str, room: int, screen: Screen) -> str:
    more = screen.sign("more")
    return text if cell_len(text) <= room else set_cell_size(text, room - len(more)).rstrip() + more


def _steps(
    found: RejectsOf, counts: Mapping[str, Mapping[str, Reason]], screen: Screen
) -> Iterator[Shown]:
    for file in found.files:
        yield screen.line((" file  ", "dim"), str(file.path), indent=7)
    for problem in found.problems:
        yield screen.line((f" {screen.sign('bad')} ", "bad"), problem, indent=3)
    reasons = [(own[name].rows, name) for own in counts.values() for name in own]
    run = found.run.run_id
    if reasons:
        _, most = max(reasons)
        yield screen.line(
            (" next  ", "dim"), f"python main.py rejects {run} --reason {most}", indent=7
        )
        yield screen.line("       ", ("correct the file, then", "dim"), indent=7)
        yield screen.line("       ", f"python main.py replay {run}", indent=7)


def rows_of(found: RejectsOf, reason: str | None, screen: Screen) -> list[Shown]:
    """Rows, each turned on its side: why and where, then its cells; and how many there are more."""
    shown: list[Shown] = []
    for file in found.files:
        rows = (row for row in file.rows() if reason is None or row.reason == reason)
        for number, row in enumerate(islice(rows, SHOWN_ROWS), 1):
            shown += [*_row(file.called, number, row, screen), Text("")]
        more = sum(1 for _ in rows)
        if more:
            asked = f" --reason {reason}" if reason else ""
            told = f"{more:,} more {file.called}; all as CSV:"
            run = found.run.run_id
            command = f"python main.py rejects {run}{asked} --source {file.source} --csv"
            shown += [screen.line((f" {screen.sign('more')} {told} ", "look"), command, indent=3)]
    return shown


def _row(called: str, number: int, row: Refused, screen: Screen) -> Iterator[Text]:
    yield screen.line(
        f" {called} {number}  ", (row.reason, "look"), f"  {row.detail}".rstrip(),
        (f"  {row.place}", "dim"), indent=3,
    )  # fmt: skip
    width = min(max((len(name) for name, _ in row.cells), default=0), screen.width // 3)
    for name, value in row.cells:
        label = _cut(name, width, screen).ljust(width)
        text = _cut(value, _LONGEST, screen)
        yield screen.line("   ", (label, "dim"), "  ", text, indent=width + 5)


def as_dict(found: RejectsOf, counts: Mapping[str, Mapping[str, Reason]]) -> dict[str, Any]:
    """The summary; `json.dumps` takes it."""
    paths = {file.source: str(file.path) for file in found.files}
    return {
        "run_id": found.run.run_id,
        "folder": str(found.folder),
        "rejected": sum(reason.rows for own in counts.values() for reason in own.values()),
        "sources": {
            source: {
                "path": paths[source],
                "reasons": {
                    name: {
                        "rows": reason.rows,
                        "examples": [
                            {"detail": row.detail, "place": row.place, "cells": dict(row.cells)}
                            for row in reason.examples
                        ],
                    }
                    for name, reason in own.items()
                },
            }
            for source, own in counts.items()
        },
        "problems": found.problems,
    }

"""What is worth a look in a load that was published: rejects by reason, and other warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.outcomes import Place
from config import StarSchemaConfig
from report.figures import percent
from report.screen import Column, Piece, Screen, Shown
from run import quality
from run.summary import Outcomes, RunSummary

WORST = 3
"""So many reasons are shown, the rest is counted."""
_WARNINGS = 3
"""So many warnings."""
_NUMBER = 5
"""How wide the numbers of rows are, or more."""


@dataclass(frozen=True)
class Reason:
    """Why rows of a source were rejected, and the first of them."""

    source: str
    name: str
    rows: int
    first: Place | None


def reasons(outcomes: Outcomes) -> list[Reason]:
    """All reasons, that of the most rows first."""
    found = [
        Reason(table.source, name, rows, table.first.get(name))
        for table in outcomes.tables.values()
        for name, rows in table.rejected.items()
    ]
    return sorted(found, key=lambda reason: -reason.rows)


def look_at(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """Rejects and warnings; nothing where there are none."""
    return [*_rejected(summary, config, screen), *_warnings(summary, config, screen)]


def worst(found: list[Reason], screen: Screen) -> list[Shown]:
    """The reasons of the most rows with an example and a place, and how many others there are."""
    wide = max([_NUMBER, *(len(f"{r.rows:,}") for r in found)])
    columns = [Column(), *(Column(right=False, drop=drop) for drop in (0, 9, 8))]
    rows = [_row(reason, wide, is_short=False) for reason in found[:WORST]]
    if screen.folds and not screen.has_room(columns, rows):
        rows = [_row(reason, wide, is_short=True) for reason in found[:WORST]]
    shown = screen.table(columns, rows)
    without = [[*row[:2], row[3]] for row in rows]
    if screen.folds and not screen.has_room([*columns[:2], columns[3]], without):
        shown = []
        for number, reason, *_, place in rows:
            shown.append(screen.line(" ", number, "  ", reason, indent=wide + 3))
            shown.append(screen.line(" " * (wide + 3), place, indent=wide + 3))
    if others := found[WORST:]:
        count = sum(reason.rows for reason in others)
        word = "reason" if len(others) == 1 else "reasons"
        text = f"{count:>{wide},}  {len(others)} other {word}"
        shown.append(screen.line(f" {text}", indent=wide + 3))
    return shown


def _row(reason: Reason, wide: int, *, is_short: bool) -> list[Piece]:
    place = (_place(reason.first, is_short=is_short), "dim")
    return [(f"{reason.rows:>{wide},}", "look"), reason.name, _example(reason.first), place]


def _example(place: Place | None) -> str:
    if place is None or not place.detail:
        return ""
    is_value = " is " not in place.detail and ", " not in place.detail
    return repr(place.detail) if is_value and len(place.detail) <= 30 else place.detail


def _place(place: Place | None, *, is_short: bool) -> str:
    """The file and its line; `is_short`: without the folder."""
    if place is None:
        return ""
    return f"{Path(place.file).name if is_short else place.file}:{place.line}"


def _rejected(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> Iterator[Shown]:
    outcomes = summary.outcomes
    found = reasons(outcomes)
    if not found:
        return
    accounts = quality.accounts(outcomes).values()
    read, rows = sum(a.read for a in accounts), sum(reason.rows for reason in found)
    limit = f"limit {percent(config.max_reject_rate)}"
    if summary.alarm:
        limit = f"above {percent(config.warn_reject_rate)}; {limit}"
    mark = (f" {screen.sign('look')} {rows:,} rejected", "look")
    yield screen.line(
        mark, f"  {quality.share(rows, read)} of all rows", (f", {limit}", "dim"), indent=3
    )
    yield from worst(found, screen)


def _warnings(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> Iterator[Shown]:
    """The other warnings. Rejects and inferred members are shown elsewhere."""
    outcomes, star = summary.outcomes, config.star
    judged = quality.warnings(outcomes, star, config.warn_reject_rate)
    mark = (f" {screen.sign('look')} ", "look")
    unusable: Counter[str] = Counter()
    for cleaned in outcomes.tables.values():
        unusable.update(cleaned.attribute_issues)
    if unusable:
        yield screen.line(mark, quality.issues(unusable), indent=3)
    others = [warning for warning in summary.warnings if warning not in judged]
    for warning in others[:_WARNINGS]:
        yield screen.line(mark, warning, indent=3)
    if (more := len(others) - _WARNINGS) > 0:
        yield screen.line(mark, f"{more:,} more warnings are in {config.log_file}", indent=3)

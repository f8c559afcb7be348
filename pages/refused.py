"""Why rows were rejected, by count and by money, each reason with one example."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pages.shown import MINUS, count, exact
from pages.story import Story
from report.figures import amount, places_of
from report.look_at import Reason, reasons
from run import quality

_THINNED = "Of a run so long ago only totals are kept."


@dataclass(frozen=True)
class Refused:
    """Rows of a source that were rejected for one reason."""

    source: str
    reason: str
    rows: str
    share: str
    """Of the rows of the source."""
    width: float
    """Of the most frequent reason, in per cent."""
    amounts: list[tuple[str, str]]
    """The net amounts of the rows as far as they can be read, and with all their digits."""
    detail: str
    place: str
    """The name of its file, and the line there."""
    whole_place: str


@dataclass(frozen=True)
class Rejects:
    """All rows that were rejected."""

    reasons: list[Refused] = field(default_factory=list)
    rows: int = 0
    share: str = ""
    files: list[str] = field(default_factory=list)
    """Where the rows are, one file a source."""
    unusable: list[tuple[str, str, str]] = field(default_factory=list)
    """By source and attribute, how many values could not be used, and are empty in the star."""
    has_amounts: bool = False
    is_known: bool = True
    unknown: str = ""
    """Why nothing is known of rejects."""


def rejects(story: Story) -> Rejects:
    """The rejects of the run of a story."""
    outcomes, star = story.summary.outcomes, story.config.star
    found = reasons(outcomes)
    called = {source.name: source.called for source in star.sources}
    read = _read(story)
    most = max((reason.rows for reason in found), default=1)
    amounts = [_amounts(story, reason) for reason in found]
    places = places_of(amount for each in amounts for amount in each.values())
    shown = [
        _refused(reason, called, read, most, _told(each, places))
        for reason, each in zip(found, amounts, strict=True)
    ]
    rows = sum(reason.rows for reason in found)
    folder = Path(story.summary.rejects_dir) if story.summary.rejects_dir else None
    names = dict.fromkeys(reason.source for reason in found)
    return Rejects(
        shown,
        rows,
        quality.share(rows, sum(read.values())) if read else "",
        [str(folder / f"{name}.csv") for name in names] if folder else [],
        [
            (called.get(table.source, table.source), attribute, count(bad))
            for table in outcomes.tables.values()
            for attribute, bad in table.attribute_issues.items()
            if bad
        ],
        any(reason.amounts for reason in shown),
        bool(outcomes.tables),
        _THINNED if story.run.is_thinned else "The run did not come to look at the rows.",
    )


def _read(story: Story) -> dict[str, int]:
    """By source, how many rows were read of it."""
    extraction = story.summary.outcomes.extraction
    return {n: s.records for n, s in extraction.sources.items()} if extraction else {}


def _amounts(story: Story, reason: Reason) -> dict[str, Decimal]:
    """By currency, the net amount of the rows of a reason, where it is known."""
    tables = story.summary.outcomes.tables.values()
    table = next(each for each in tables if each.source == reason.source)
    return (table.rejected_money or {}).get(reason.name, {})


def _told(amounts: dict[str, Decimal], places: int) -> list[tuple[str, str]]:
    """Each amount with its currency, and with all its digits; all with so many decimals."""
    return [
        (f"{amount(value, places, MINUS)} {currency}".strip(), exact(value))
        for currency, value in sorted(amounts.items())
        if value
    ]


def _refused(
    reason: Reason,
    called: dict[str, str],
    read: dict[str, int],
    most: int,
    amounts: list[tuple[str, str]],
) -> Refused:
    first = reason.first
    return Refused(
        called.get(reason.source, reason.source),
        reason.name,
        count(reason.rows),
        quality.share(reason.rows, read[reason.source]) if read.get(reason.source) else "",
        max(round(100 * reason.rows / most, 1), 0.1),
        amounts,
        first.detail if first else "",
        f"{_name(first.file)}:{first.line}" if first else "",
        f"{first.file}, line or record {first.line}" if first else "",
    )


def _name(file: str) -> str:
    """The name of a file or an object, without its folders."""
    return file.rstrip("/").rpartition("/")[2] or file

"""The first lines on a run: how it ended, where its star is, what period it covers."""

from __future__ import annotations

from config import StarSchemaConfig
from report.figures import duration, rate
from report.screen import Screen, Shown
from run.summary import RunSummary

INDENT = 3
_WORDS = {"published": "published", "dry_run": "would publish"}


def verdict(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """Of a run that has, or would have, published its load."""
    read = summary.outcomes.extraction
    rows = read.total_records if read is not None else 0
    seconds = summary.total_duration_seconds
    first = screen.line(
        (f" {screen.sign('good')} {_WORDS[summary.status]}", "good"),
        f"  {rows:,} row{'s' * (rows != 1)} in {duration(seconds)}",
        (f", {rate(rows, seconds)}", "dim"),
        indent=INDENT,
    )
    lines = screen.ends(first, (f"run {summary.run_id}", "dim"), indent=INDENT)
    if summary.replays_run:
        margin = " " * INDENT
        lines.append(
            screen.line(f"{margin}the rejects of run {summary.replays_run}", indent=INDENT)
        )
    return [*lines, *_where(summary, config, screen)]


def untouched(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """The one line on a run that found its input and its star as another had left them."""
    star, outcomes = config.star, summary.outcomes
    counts = outcomes.validation.row_counts if outcomes.validation else {}
    facts = f"{counts.get(star.fact.name, 0):,} {star.sales.called}"
    first = next(iter(star.members), None)
    others = "" if first is None else f", {counts.get(first.feeds.name, 1) - 1:,} {first.called}"
    rejected = sum(sum(table.rejected.values()) for table in outcomes.tables.values())
    refused = f"; {rejected:,} rejected rows as before" if rejected else ""
    same = f"same files as run {summary.repeats_run}"
    word = (f" {screen.sign('good')} nothing new", "good")
    told = [f"{same}; {facts}{others} untouched{refused}", f"{same}; {facts}{others} untouched",
            f"{same}; {facts} untouched", f"{facts} as run {summary.repeats_run} left them",
            f"{facts} untouched"]  # fmt: skip
    lines = [screen.line(word, f"  {text}") for text in told]
    return [next((line for line in lines if len(line) <= screen.width), lines[-1])]


def _where(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """The place of the star, and the days of its facts."""
    margin, url = " " * INDENT, config.warehouse_url.render_as_string()
    schemas = (f", schema {summary.schema}", f" ({summary.schema})") if summary.schema else ("",)
    places = [(margin, ("into ", "dim"), url, (schema, "dim")) for schema in schemas]
    found = summary.outcomes.validation
    if found is None or found.period is None:
        return [screen.line(*places[0], indent=INDENT + 5)]
    first, last = found.period.first, found.period.last
    days = (f"{config.star.sales.called} ", "dim"), f"{first} to {last}"
    for place in places:
        together = screen.line(*place, "   ", *days)
        if len(together) <= screen.width:
            return [together]
    alone = screen.line(margin, *days, indent=INDENT)
    return [screen.line(*places[0], indent=INDENT + 5), alone]

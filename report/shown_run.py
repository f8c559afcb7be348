"""A run of the past: what it said of itself, and all else that its row has kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from common.run_totals import Totals
from config import StarSchemaConfig
from report.run_text import run_lines
from report.screen import Column, Screen, Shown
from run.outliers import duration
from run.summary import RunSummary
from warehouse.runs import PastRun

_SHORT_HASH = 12


@dataclass(frozen=True)
class ShownRun:
    """A run, its summary, and what `etl_change` has of it."""

    run: PastRun
    summary: RunSummary
    changes: list[tuple[str, str | None, int]] = field(default_factory=list)
    """By table and attribute, how many rows were overwritten; without an attribute, removed."""
    problems: list[str] = field(default_factory=list)
    """What of its row cannot be read."""

    def as_dict(self) -> dict[str, Any]:
        """All that is kept of the run; `json.dumps` takes it."""
        run = self.run
        return {
            "run_id": run.run_id,
            "status": run.status,
            "started_at": run.started_at.isoformat(),
            "ended_at": run.ended_at.isoformat(),
            "seconds": run.seconds,
            "sequence": run.sequence,
            "code_version": run.code_version,
            "key_rules": run.key_rules,
            "error_class": run.error_class or None,
            "is_thinned": run.is_thinned,
            "counts": run.counts,
            "sources": run.sources,
            "files": run.files,
            "watermarks": run.watermarks,
            "changes": [
                {"table": table, "attribute": attribute, "rows": rows}
                for table, attribute, rows in self.changes
            ],
            "damaged": list(run.damaged),
        }


def render(shown: ShownRun, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """The run's own text, then its files, versions, watermarks and changes."""
    run = shown.run
    lines: list[Shown] = []
    if run.is_thinned:
        lines += _totals(run, screen)
    else:
        lines += run_lines(shown.summary, config, screen)
    lines += [Text(""), *_facts(shown, screen)]
    lines += _files(run, config, screen)
    lines += _watermarks(run, screen)
    lines += _changes(shown, screen)
    lines += _not_kept(shown, screen)
    return lines


def _totals(run: PastRun, screen: Screen) -> Iterator[Shown]:
    """What is left of a run before the last forty."""
    totals: Totals = run.totals
    good = run.status == "published"
    sign = "good" if good else "bad"
    word = "refused" if run.status == "gate_failed" else run.status.replace("_", " ")
    yield screen.line((f" {screen.sign(sign)} {word}", sign), f"   run {run.run_id}", indent=3)
    if totals.error:
        yield screen.line("   ", (totals.error, "bad"), indent=3)
    if not good:  # what was loaded was rolled back
        totals = Totals(totals.read, rejected=totals.rejected, reasons=totals.reasons)
    named = {
        "rows read": totals.read, "new": totals.new, "changed": totals.changed,
        "unchanged": totals.unchanged, "removed": totals.removed, "rejected": totals.rejected,
    }  # fmt: skip
    rows = [(name, f"{count:,}") for name, count in named.items() if count is not None]
    rows += [(f"net amount read {name}".strip(), f"{net:,.2f}") for name, net in totals.net.items()]
    rows += [
        (f"net amount of the star {name}".strip(), f"{net:+,.2f}")
        for name, net in totals.net_change.items()
    ]
    rows += [(f"rejected: {reason}", f"{count:,}") for reason, count in totals.reasons.items()]
    yield from screen.table((Column(), Column()), rows)


def _facts(shown: ShownRun, screen: Screen) -> Iterator[Shown]:
    """When it ran, and by what."""
    run, summary = shown.run, shown.summary
    at = run.started_at.astimezone()
    yield _line(screen, "began", f"{at:%Y-%m-%d %H:%M:%S %Z}, took {duration(run.seconds)}")
    version = run.code_version or "unknown"
    rules = "" if run.key_rules is None else f", key rules {run.key_rules}"
    yield _line(screen, "version", f"{version}{rules}")
    if run.sequence is not None:
        yield _line(screen, "number", f"{run.sequence:,} of the runs of this star")
    if summary.replays_run and (run.is_thinned or not summary.success):
        yield _line(screen, "replays", f"the rejects of run {summary.replays_run}")
    if run.error_class:
        yield _line(screen, "error", run.error_class)
    for number, warning in enumerate(summary.warnings):
        yield _line(screen, "" if number else "warned", warning)


def _line(screen: Screen, name: str, text: str) -> Text:
    return screen.line((f" {name:<9}", "dim"), text, indent=10)


def _files(run: PastRun, config: StarSchemaConfig, screen: Screen) -> Iterator[Shown]:
    """Its files, with what they are known by."""
    columns = (
        Column("source"), Column("file", right=False), Column("rows"),
        Column("sha256", right=False, drop=1),
    )  # fmt: skip
    called = {source.name: source.called for source in config.star.sources}
    rows = [
        (
            called.get(name, name),
            str(file.get("path", "")),
            _count(file.get("records")),
            _hash(file, screen),
        )
        for name, files in run.sources.items()
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, dict)
    ]
    if rows:
        yield Text("")
        yield from screen.table(columns, rows)


def _count(count: Any) -> str:
    return f"{count:,}" if isinstance(count, int) else ""


def _hash(file: dict[str, Any], screen: Screen) -> str:
    known = str(file.get("sha256") or "")
    return known[:_SHORT_HASH] + (screen.sign("more") if known[_SHORT_HASH:] else "")


def _watermarks(run: PastRun, screen: Screen) -> Iterator[Shown]:
    for number, (name, kept) in enumerate(run.watermarks.items()):
        value = kept.get("value") if isinstance(kept, dict) else kept
        if not number:
            yield Text("")
        yield _line(screen, "" if number else "read to", f"{name}: {value}")


def _changes(shown: ShownRun, screen: Screen) -> Iterator[Shown]:
    if not shown.changes:
        return
    yield Text("")
    columns = (Column("changed"), Column("attribute", right=False), Column("rows"))
    rows = [
        (table, attribute or ("removed", "look"), f"{count:,}")
        for table, attribute, count in shown.changes
    ]
    yield from screen.table(columns, rows)


def _not_kept(shown: ShownRun, screen: Screen) -> Iterator[Shown]:
    """What there is no more, or never was."""
    run = shown.run
    told: list[str] = []
    if run.is_thinned and run.counts:
        told.append("its files, warnings, checks and phases are not kept: it is older than the "
                    "last forty runs")  # fmt: skip
    elif not run.counts and not run.damaged:
        told.append("nothing but its row is kept")
    told += [f"{name} of its row in etl_run is damaged" for name in run.damaged]
    told += shown.problems
    for each in told:
        yield screen.line((f" {screen.sign('look')} ", "look"), each, indent=3)


def next_steps(shown: ShownRun, *, has_rejects: bool) -> Sequence[str]:
    """What to run next."""
    return [f"python main.py rejects {shown.run.run_id}"] if has_rejects else []

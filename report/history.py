"""The last runs at a glance: a line each, and what stands out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from common.run_totals import Totals
from report.screen import Column, Piece, Screen, Shown
from run.outliers import FORMER_RUNS, duration, gaps, night_of, unlike
from warehouse.runs import PastRun

_BARS = "▁▂▃▄▅▆▇█"
_RESULTS = {"published": "published", "gate_failed": "refused", "failed": "failed"}
_COLUMNS = (
    Column("result", right=False),
    Column("rows"),
    Column("new", drop=3),
    Column("changed", drop=4),
    Column("removed", drop=6),
    Column("rejected"),
    Column("net change", drop=5),
    Column("time", drop=1),
    Column("run", right=False, drop=7),
)


@dataclass(frozen=True)
class Told:
    """A run, and what is said of it."""

    run: PastRun
    result: str
    """In a word or two."""
    sign: str
    """`good`, `look` or `bad`."""
    unusual: list[str]
    """How it differs from the runs before it."""
    missing_days: int
    """For how many days no run was made after it, where there is one more often."""

    @property
    def share(self) -> float | None:
        """Which share of its rows was rejected."""
        totals = self.run.totals
        if totals.rejected is None or not totals.read:
            return None
        return totals.rejected / totals.read

    def as_dict(self) -> dict[str, Any]:
        totals = self.run.totals
        return {
            "run_id": self.run.run_id,
            "started_at": self.run.started_at.isoformat(),
            "ended_at": self.run.ended_at.isoformat(),
            "status": self.run.status,
            "result": self.result,
            "rows": totals.read,
            "new": totals.new,
            "changed": totals.changed,
            "removed": totals.removed,
            "rejected": totals.rejected,
            "reject_rate": None if self.share is None else round(self.share, 6),
            "net_change": {name: str(amount) for name, amount in totals.net_change.items()},
            "seconds": self.run.seconds,
            "error": totals.error,
            "warnings": totals.warnings,
            "repeats_run": totals.repeats or None,
            "replays_run": totals.replays or None,
            "unusual": self.unusual,
            "missing_days": self.missing_days,
        }


def told(runs: Sequence[PastRun], count: int, now: datetime) -> list[Told]:
    """What is said of the newest `count` of `runs`, the newest first; the others are their past."""
    nights = [night_of(run) for run in runs]
    missing = gaps([run.started_at for run in runs], now)
    found = []
    for number, run in enumerate(runs[:count]):
        former = nights[number + 1 : number + 1 + 2 * FORMER_RUNS]
        unusual = unlike(nights[number], former) if _is_judged(run) else []
        found.append(Told(run, _result(run), _sign(run, unusual), unusual, missing[number]))
    return found


def _is_judged(run: PastRun) -> bool:
    """Whether a run is one of those that can be compared: it has read its sources."""
    return not (run.totals.repeats or run.totals.replays) and run.status != "failed"


def _result(run: PastRun) -> str:
    if run.status == "published" and run.totals.repeats:
        return "nothing new"
    if run.status == "published" and run.totals.replays:
        return "replayed"
    return _RESULTS.get(run.status, run.status)


def _sign(run: PastRun, unusual: Sequence[str]) -> str:
    if run.status != "published":
        return "bad"
    return "look" if unusual or run.totals.warnings else "good"


# --- for people -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """From which share of rejects on a run is worth a look, and from which it is refused."""

    warn: float
    refuse: float


def render(found: Sequence[Told], screen: Screen, limits: Limits) -> list[Shown]:
    """The runs, the newest first: a line each, and below it what stands out."""
    zone = f"{found[0].run.started_at.astimezone():%Z}"
    year = found[0].run.started_at.astimezone().year
    rows = [[_when(each.run, zone, year), *_row(each, screen, limits)] for each in found]
    notes = [_notes(each, screen) for each in found]
    shown: list[Shown] = [_verdict(found, screen), Text("")]
    columns = (Column(f"when ({zone})"), *_COLUMNS)
    table = screen.table(columns, rows)
    if len(table) == 1 and isinstance(table[0], Table):
        header, *lines = map(Text.from_ansi, screen.render(table).split("\n"))
        shown.append(header)
        for each, line, own in zip(found, lines, notes, strict=True):
            shown += [*_missing(each, screen), line, *own]
    else:
        shown.append(screen.line((f" when ({zone})", "dim")))
        for each, row, own in zip(found, rows, notes, strict=True):
            shown += [*_missing(each, screen), *_on_lines(row, screen), *own]
    return [*shown, *_next(found, screen)]


def _verdict(found: Sequence[Told], screen: Screen) -> Text:
    """How the last run ended, and how many of all did so."""
    last, counts = found[0], Counter(each.result for each in found)
    listed = ", ".join(f"{count:,} {result}" for result, count in counts.items())
    runs = f"{len(found):,} run{'s' if len(found) > 1 else ''}: {listed}"
    ended = Text(f" {screen.sign(last.sign)} last {last.result}", last.sign)
    return screen.line(ended, "   ", (runs, "dim"), indent=3)


def _when(run: PastRun, zone: str, year: int) -> str:
    """When a run began; of another year, or another zone than the newest, with that."""
    at = run.started_at.astimezone()
    other = f" {at:%Z}" if f"{at:%Z}" != zone else ""
    return f"{at:%d %b %H:%M}{other}" if at.year == year else f"{at:%d %b %Y %H:%M}{other}"


def _row(each: Told, screen: Screen, limits: Limits) -> list[Piece]:
    totals, run = each.run.totals, each.run
    loaded = totals if run.status == "published" else Totals()
    style = "strong" if each.sign == "bad" else each.sign
    result = Text.assemble((f"{screen.sign(each.sign)} ", each.sign), (each.result, style))
    if each.result == "nothing new":
        result = Text.assemble((f"{screen.sign('good')} ", "good"), (each.result, "dim"))
    return [
        screen.line(result),
        _count(totals.read, screen),
        _count(loaded.new, screen),
        _count(loaded.changed, screen),
        _count(loaded.removed, screen),
        _rejects(each, screen, limits),
        _net(loaded, screen),
        duration(run.seconds),
        (run.run_id, "dim"),
    ]


def _count(count: int | None, screen: Screen) -> str:
    return f"{count:,}" if count else screen.sign("none") if count == 0 else ""


def _rejects(each: Told, screen: Screen, limits: Limits) -> Piece:
    """The share of rejects, and a bar that is full where a run is refused."""
    share = each.share
    if share is None:
        return ""
    if not each.run.totals.rejected:
        return f"{screen.sign('none')}  " if _has_bars(screen) else screen.sign("none")
    style = "bad" if share > limits.refuse else "look" if share > limits.warn else ""
    text = "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
    if not _has_bars(screen):
        return (text, style)
    full = min(share / (limits.refuse or 1.0), 1.0)
    return (f"{text} {_BARS[min(int(full * len(_BARS)), len(_BARS) - 1)]}", style)


def _has_bars(screen: Screen) -> bool:
    try:
        _BARS.encode(screen.encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def _net(totals: Totals, screen: Screen) -> str:
    """How the star's net amount has changed, where it is of one currency."""
    changes = totals.net_change
    if len(changes) != 1:
        return ""
    ((currency, amount),) = changes.items()
    whole = round(amount)
    if not whole:
        return screen.sign("none")
    sign = "+" if whole > 0 else screen.sign("minus")
    return f"{sign}{abs(whole):,} {currency}".strip()


def _notes(each: Told, screen: Screen) -> Iterator[Text]:
    """What stands out of a run: why it failed, and how it differs."""
    totals, run = each.run.totals, each.run
    if run.status != "published":
        error = _shortened(totals.error) or run.error_class
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in totals.reasons.items())
        is_told = run.status == "gate_failed" and bool(reasons)
        yield from _note(
            screen, ": ".join(filter(None, [reasons if is_told else "", error])), "bad"
        )
    if totals.replays:
        yield from _note(screen, f"the rejects of run {totals.replays}", "dim")
    if each.unusual:
        yield from _note(screen, "; ".join(each.unusual), "look")
    elif run.status == "published" and totals.warnings:
        count = f"{totals.warnings} warning{'s' if totals.warnings > 1 else ''}"
        yield from _note(screen, f"{count}: show {run.run_id}", "dim")
    if run.damaged:
        yield from _note(screen, f"{' and '.join(run.damaged)} in etl_run: damaged", "bad")


def _shortened(error: str) -> str:
    """An error without what the line above it says already."""
    error = re.sub(r"^[A-Z][a-z]+( [a-z]+)? phase failed: ", "", error)
    return error.partition("; nothing was published")[0]


def _note(screen: Screen, text: str, style: str) -> Iterator[Text]:
    """A note of two lines at most, where lines have an end."""
    if not text:
        return
    room = 2 * (screen.width - 6)
    if screen.folds and len(text) > room:
        more = screen.sign("more")
        text = text[: room - len(more) - 8].rstrip() + more
    yield screen.line("    ", (text, style), indent=4)


def _missing(each: Told, screen: Screen) -> Iterator[Text]:
    if each.missing_days:
        days = f"{each.missing_days} day{'s' if each.missing_days > 1 else ''}"
        yield screen.line((f" {screen.sign('look')} no run for {days}", "look"))


def _on_lines(row: Sequence[Piece], screen: Screen) -> Iterator[Text]:
    """A run on a narrow screen."""
    when, result, read, new, changed, removed, rejected, _, time, _ = row
    yield screen.line(" ", when, "  ", result, indent=4)
    none, named = screen.sign("none"), []
    for cell, name in ((read, "rows"), (new, "new"), (changed, "changed"), (removed, "removed")):
        if cell not in ("", none):
            named.append(f"{cell} {name}")
    share = rejected[0] if isinstance(rejected, tuple) else str(rejected)
    if share.strip() not in ("", none):
        named.append(f"{share[:-2] if _has_bars(screen) else share} rejected")
    yield screen.line("    ", ", ".join([*named, str(time)]), indent=4)


def _next(found: Sequence[Told], screen: Screen) -> Iterator[Text]:
    """What to look at."""
    bad = next((each.run for each in found if each.sign == "bad"), None)
    worth = bad or next((each.run for each in found if each.sign == "look"), None)
    named = f" {worth.run_id}" if worth is not None and worth is not found[0].run else ""
    yield Text("")
    yield screen.line((" next  ", "dim"), f"python main.py show{named}", indent=7)

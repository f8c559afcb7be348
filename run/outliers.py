"""Which nights are unlike the others: against the star's own history, day of the week by day."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.run_totals import Totals
from run.meter import clock
from warehouse import Warehouse
from warehouse.runs import PastRun, last_runs

FORMER_RUNS = 40
"""So many runs before a night are its history."""
_SAME_DAY, _ANY_DAY = 4, 10
"""How many runs of the same weekday, or else of all days, make a history."""
_SPREADS = 4.0
_TO_SIGMA = 1.4826
"""A median deviation as a standard deviation, where values are spread normally."""
_FEWEST_ROWS = 20
"""Of fewer rows a night says nothing by them."""
_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True)
class Night:
    """What is compared of a run; None is not known, or says nothing."""

    at: datetime
    """When it began, where it ran."""
    is_usual: bool
    """Whether others are compared with it: it was published and has read its sources."""
    rows: float | None = None
    rejects: float | None = None
    """Share of the rows."""
    seconds: float | None = None
    changes: float | None = None
    """Share of the rows that were accepted."""
    net: float | None = None


@dataclass(frozen=True)
class _Measure:
    name: str
    told: Callable[[float, float, str], str]
    least: Callable[[float], float]
    """By the median, how far a value may be from it in any case."""
    only_above: bool = False


_MEASURES = (
    _Measure(
        "rows",
        lambda value, usual, days: f"{value:,.0f} rows, {days} have about {_about(usual)}",
        lambda usual: 0.25 * usual,
    ),
    _Measure(
        "rejects",
        lambda value, usual, days: (
            f"{_percent(value)} rejected, {days} have about {_percent(usual)}"
        ),
        lambda usual: max(0.01, 0.5 * usual),
        only_above=True,
    ),
    _Measure(
        "changes",
        lambda value, usual, days: (
            f"{_percent(value)} of the rows changed, {days} have about {_percent(usual)}"
        ),
        lambda usual: max(0.02, 0.5 * usual),
        only_above=True,
    ),
    _Measure(
        "net",
        lambda value, usual, days: f"net sales {value:,.0f}, {days} have about {_about(usual)}",
        lambda usual: 0.25 * abs(usual),
    ),
    _Measure(
        "seconds",
        lambda value, usual, days: f"took {duration(value)}, {days} take about {duration(usual)}",
        lambda usual: usual + 10,
        only_above=True,
    ),
)


def night_of(run: PastRun) -> Night:
    """What is compared of a former run."""
    is_usual = run.status == "published" and not (run.totals.repeats or run.totals.replays)
    return night(run.started_at, run.totals, run.seconds, is_usual=is_usual)


def night(at: datetime, totals: Totals, seconds: float, *, is_usual: bool) -> Night:
    """What is compared of a run with these totals."""
    if totals.read is None:
        return Night(at.astimezone(), is_usual=False)
    known = totals.new, totals.changed, totals.unchanged
    accepted = sum(count or 0 for count in known)
    single = [float(amount) for amount in totals.net.values()]
    return Night(
        at.astimezone(),
        is_usual,
        totals.read,
        None if totals.rejected is None else totals.rejected / max(totals.read, 1),
        seconds,
        (totals.changed or 0) / accepted if is_usual and accepted else None,
        single[0] if len(single) == 1 else None,
    )


def unlike(tonight: Night, former: Iterable[Night]) -> list[str]:
    """What of a night is unlike the nights before it, in words."""
    return list(odd(tonight, former).values())


def odd(tonight: Night, former: Iterable[Night]) -> dict[str, str]:
    """By what is compared of a `Night`, in words what of it is unlike the nights before it. Runs
    that repeated their input, or loaded rejects, are neither compared nor judged by what they are
    not.
    """
    usual = [each for each in former if each.is_usual][:FORMER_RUNS]
    same = [each for each in usual if each.at.weekday() == tonight.at.weekday()]
    days = _DAYS[tonight.at.weekday()]
    if len(same) < _SAME_DAY:
        same, days = usual, "other runs"
        if len(usual) < _ANY_DAY:
            return {}
    if statistics.median(each.rows or 0 for each in same) < _FEWEST_ROWS:
        return {}
    found: dict[str, str] = {}
    for measure in _MEASURES:
        if measure.name == "net" and "rows" in found:
            continue  # it says the same
        value = getattr(tonight, measure.name)
        values = [v for v in (getattr(each, measure.name) for each in same) if v is not None]
        if value is not None and len(values) >= _SAME_DAY:
            middle = statistics.median(values)
            spread = statistics.median(abs(each - middle) for each in values) * _TO_SIGMA
            distance = value - middle if measure.only_above else abs(value - middle)
            if distance > max(_SPREADS * spread, measure.least(middle)):
                found[measure.name] = measure.told(value, middle, days)
    return found


def of_tonight(
    warehouse: Warehouse, started_at: datetime, totals: Totals, seconds: float
) -> list[str]:
    """What of the run that is under way is unlike the runs before it; their rows are read in its
    transaction.
    """
    former = last_runs(warehouse, FORMER_RUNS)
    tonight = night(started_at, totals, seconds, is_usual=True)
    return unlike(tonight, [night_of(run) for run in former])


def gaps(times: Sequence[datetime], now: datetime) -> list[int]:
    """For each of the times of runs, the newest first: how many days no run was made after it,
    where there is one more often; 0 where there is no gap.

    A gap is one that is longer than it is after runs of the same weekday: a shop may be closed on
    Sundays.
    """
    following = [now, *times][: len(times)]
    waits = [
        (time.astimezone().weekday(), _days(after - time))
        for time, after in zip(times, following, strict=True)
    ]
    found = []
    for number, (weekday, wait) in enumerate(waits):
        before = waits[number + 1 : number + 1 + FORMER_RUNS]
        same = [days for day, days in before if day == weekday]
        known = same if len(same) >= _SAME_DAY else [days for _, days in before]
        is_gap = len(known) >= _SAME_DAY and wait > max(1.5 * statistics.median(known) + 0.25, 1.5)
        found.append(round(wait) - (1 if number else 0) if is_gap else 0)
    return [max(days, 0) for days in found]


def _days(wait: timedelta) -> float:
    return wait.total_seconds() / 86_400


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _about(value: float) -> str:
    """A number by its first two digits."""
    return f"{float(f'{value:.2g}'):,.0f}"


def duration(seconds: float) -> str:
    """A time for people: 2.6 s, 4:05 (minutes), 1:04:05 (hours)."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(round(seconds))

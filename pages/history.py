"""A run beside those before it: how many rows, how many rejects, how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pages import charts
from pages.shown import day, short
from pages.story import Story
from report.figures import duration
from run.outliers import Night, night, night_of, odd
from warehouse.runs import PastRun

MOST = 30
"""So many runs before this one are shown."""
_FEWEST = 2
"""Of fewer values there is no line."""


@dataclass(frozen=True)
class Series:
    """One figure of all these runs."""

    name: str
    chart: str
    now: str
    usual: str
    """What lies in the middle of the runs before."""
    odd: list[str]
    """What is unlike the others, in words: of this run first."""
    is_odd: bool
    """Whether this run is."""


@dataclass(frozen=True)
class Row:
    """A run of the table."""

    when: str
    run_id: str
    cells: list[str]
    odd: list[bool]
    is_now: bool


@dataclass(frozen=True)
class History:
    """What is shown of the runs; nothing of a first one."""

    series: list[Series] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    """The newest first."""
    runs: int = 0
    """How many runs there are beside this one."""


@dataclass(frozen=True)
class _Figure:
    name: str
    measure: str
    """Of a `Night`."""
    show: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 or not share else "< 0.1 %"


_FIGURES = (
    _Figure("Rows read", "rows", short),
    _Figure("Rejected", "rejects", _percent),
    _Figure("Changed rows", "changes", _percent),
    _Figure("Net amount read", "net", short),
    _Figure("Duration", "seconds", duration),
)


@dataclass(frozen=True)
class _Seen:
    run: PastRun
    night: Night
    odd: dict[str, str]


def history(story: Story) -> History:
    """The runs of a story that have read their sources, and what is unlike the others."""
    run = story.run
    former = [each for each in story.former if each.run_id != run.run_id][:MOST]
    nights = [night_of(each) for each in former]
    is_usual = run.status == "published" and not (run.totals.repeats or run.totals.replays)
    tonight = night(run.started_at, run.totals, run.seconds, is_usual=is_usual)
    seen = [
        _Seen(each, own, odd(own, nights[number + 1 :]) if own.is_usual else {})
        for number, (each, own) in enumerate(zip(former, nights, strict=True))
        if own.is_usual
    ]
    if not seen:
        return History()
    found = [_Seen(run, tonight, odd(tonight, nights)), *seen]
    series = [made for figure in _FIGURES if (made := _series(figure, found)) is not None]
    shown = [figure for figure in _FIGURES if any(figure.name == each.name for each in series)]
    return History(
        series,
        [figure.name for figure in shown],
        [_row(each, shown, is_now=not number) for number, each in enumerate(found)],
        len(seen),
    )


def _value(seen: _Seen, figure: _Figure) -> float | None:
    value: float | None = getattr(seen.night, figure.measure)
    return value


def _series(figure: _Figure, found: Sequence[_Seen]) -> Series | None:
    values = [(each, _value(each, figure)) for each in reversed(found)]
    known = [(each, value) for each, value in values if value is not None]
    if len(known) < _FEWEST:
        return None
    points = [
        charts.Point(
            value,
            f"{day(each.run.started_at)}: {figure.show(value)}",
            " ".join(
                name
                for name, holds in (
                    ("odd", figure.measure in each.odd), ("now", each is found[0]),
                )
                if holds
            ),
        )
        for each, value in known
    ]  # fmt: skip
    before = sorted(value for each, value in known if each is not found[0])
    middle = before[len(before) // 2] if before else None
    now = _value(found[0], figure)
    odd_ones = [
        f"{day(each.run.started_at)}: {each.odd[figure.measure]}"
        for each in found
        if figure.measure in each.odd
    ]
    shown_now = "not known" if now is None else figure.show(now)
    usual = figure.show(middle) if middle is not None else ""
    told = (
        f"{figure.name} of {len(known)} runs, from {figure.show(min(v for _, v in known))} to "
        f"{figure.show(max(v for _, v in known))}; this run {shown_now}"
        + (f"; {len(odd_ones)} unlike the others" if odd_ones else "")
    )
    chart = charts.line(told, points)
    return Series(figure.name, chart, shown_now, usual, odd_ones, figure.measure in found[0].odd)


def _row(seen: _Seen, figures: Sequence[_Figure], *, is_now: bool) -> Row:
    values = [_value(seen, figure) for figure in figures]
    return Row(
        day(seen.run.started_at),
        seen.run.run_id,
        ["" if v is None else f.show(v) for f, v in zip(figures, values, strict=True)],
        [figure.measure in seen.odd for figure in figures],
        is_now,
    )

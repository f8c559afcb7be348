"""The business at a glance: the figures of the star as charts and tables."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from decimal import Decimal

from pages import charts
from pages.business import Bar, Breakdown, Figures
from pages.shown import concise, count, exact, moment, money, part_of, short, words
from pages.story import Story
from pages.verdict import Figure
from report.figures import begun
from run import quality

_YEARS = 5
"""So many years are beside each other in the table of months."""


@dataclass(frozen=True)
class Row:
    """A bar of a breakdown, with its numbers."""

    label: str
    about: str
    sales: str
    net: str
    whole: str
    share: str
    left: float
    width: float
    is_others: bool = False


@dataclass(frozen=True)
class Table:
    """The sales by an attribute, or the members with the largest net amounts."""

    title: str
    of: str
    """What one of its rows is."""
    rows: list[Row]


@dataclass(frozen=True)
class Months:
    """The net amounts of this year's months against those of the year before."""

    this: str
    last: str
    """Blank where there is no year before."""
    wide: str
    narrow: str
    """The same for a narrow screen."""
    years: list[str]
    rows: list[tuple[str, list[tuple[str, str]]]]
    """By month, the net amount in each of `years`, and with all its digits."""
    sums: list[tuple[str, str]]
    earlier: str
    """What there is before these years, in words."""


@dataclass(frozen=True)
class Nobody:
    """The share of the sales on members that nothing describes."""

    member: str
    unknown: str
    net_unknown: str
    inferred: str
    net_inferred: str
    is_there: bool
    """Whether there are any."""


@dataclass(frozen=True)
class Currency:
    """The figures of one currency."""

    name: str
    totals: list[Figure]
    months: Months | None
    attributes: list[Table]
    top: list[Table]
    nobody: list[Nobody]


@dataclass(frozen=True)
class Glance:
    """The figures of a star, currency by currency."""

    of: str
    """When the star was published that they are of, where it is not the run's own."""
    currencies: list[Currency] = field(default_factory=list)
    left_out: str = ""
    """What is not shown, in words."""
    is_asked: bool = True
    """Whether the star could be asked."""


def glance(story: Story) -> Glance:
    """The business of a story's star."""
    business = story.business
    if business is None:
        return Glance("", is_asked=False)
    of = ""
    if business.run_id != story.run.run_id:
        runs = {run.run_id: run for run in story.former}
        known = runs.get(business.run_id)
        of = moment(known.started_at) if known else begun(business.run_id)
    several = len(business.currencies) > 1
    found = [
        _currency(name or ("no currency given" if several else ""), figures, story)
        for name, figures in business.currencies.items()
    ]
    left_out = ""
    if business.currencies_left_out:
        left_out = (
            f"{business.currencies_left_out:,} more currencies, with {business.sales_left_out:,} "
            f"{story.config.star.sales.called}, are not shown."
        )
    return Glance(of, found, left_out)


def _currency(name: str, figures: Figures, story: Story) -> Currency:
    totals = [
        Figure(story.config.star.sales.called, short(figures.sales), "", f"{figures.sales:,}")
    ]
    totals += [
        Figure(words(measure), short(amount), _lacking(figures, measure), exact(amount))
        for measure, amount in figures.totals.items()
    ]
    whole = figures.net
    return Currency(
        name,
        totals,
        _months(figures.months, figures.earlier) if figures.months else None,
        [_table(b, whole, is_top=False) for b in figures.attributes if b.bars],
        [_table(b, whole, is_top=True) for b in figures.top if b.bars],
        [
            Nobody(
                words(share.member),
                _part(share.sales_unknown, figures.sales), money(share.net_unknown),
                _part(share.sales_inferred, figures.sales), money(share.net_inferred),
                bool(share.sales_unknown or share.sales_inferred),
            )
            for share in figures.shares
        ],
    )  # fmt: skip


def _lacking(figures: Figures, measure: str) -> str:
    """How many sales have no value of a measure; blank where all have one."""
    lacking = figures.without.get(measure, 0)
    return f"without {short(lacking)} that have none" if lacking else ""


def _part(sales: int, whole: int) -> str:
    return f"{count(sales)} ({quality.share(sales, whole)})" if sales else count(0)


# --- months ---------------------------------------------------------------------------------


def _months(months: list[Bar], earlier: Bar | None) -> Months:
    by_year: dict[str, dict[int, Bar]] = {}
    for bar in months:
        year, _, month = bar.label.partition("-")
        by_year.setdefault(year, {})[int(month)] = bar
    years = sorted(by_year)
    this = years[-1]
    last = f"{int(this) - 1:04}"
    last = last if last in by_year else ""
    pair = [year for year in (last, this) if year]
    series = [[_point(year, n, by_year[year].get(n)) for n in range(1, 13)] for year in pair]
    told = _told(this, last, by_year)
    names = [calendar.month_abbr[number] for number in range(1, 13)]
    shown = years[-_YEARS:]
    everything = [bar.net for bar in months]
    return Months(
        this,
        last,
        charts.columns(told, names, series, width=1000, height=280),
        charts.columns(told, [n[0] for n in names], series, width=340, height=220),
        shown,
        [
            (calendar.month_name[n], [_cell(by_year[year].get(n), everything) for year in shown])
            for n in range(1, 13)
        ],
        [_sum(list(by_year[year].values()), everything) for year in shown],
        _before(months[0].label, earlier),
    )


def _before(first: str, earlier: Bar | None) -> str:
    """The facts before the first month that is shown."""
    if earlier is None or not earlier.sales:
        return ""
    return f"Before {first}, since {earlier.label}: {short(earlier.net)} in {earlier.sales:,} more"


def _point(year: str, month: int, bar: Bar | None) -> charts.Point:
    if bar is None:
        return charts.Point(None, "")
    return charts.Point(
        float(bar.net),
        f"{calendar.month_name[month]} {year}: {exact(bar.net)}, {bar.sales:,} sales",
    )


def _cell(bar: Bar | None, beside: list[Decimal]) -> tuple[str, str]:
    return ("", "") if bar is None else (concise(bar.net, beside), exact(bar.net))


def _sum(bars: list[Bar], beside: list[Decimal]) -> tuple[str, str]:
    whole = sum((bar.net for bar in bars), Decimal(0))
    return concise(whole, beside), exact(whole)


def _told(this: str, last: str, by_year: dict[str, dict[int, Bar]]) -> str:
    """The chart of months in a sentence: this year's sum, and that of the same months before."""
    own = by_year[this]
    text = f"Net amount by month: {this} {short(_net(own.values()))}"
    if last:
        same = [bar for month, bar in by_year[last].items() if month in own]
        text += f"; {last} in the same months {short(_net(same))}"
    best = max(own.items(), key=lambda each: each[1].net)[0]
    return f"{text}; the strongest month of {this} is {calendar.month_name[best]}"


def _net(bars: object) -> Decimal:
    return sum((bar.net for bar in bars), Decimal(0))  # type: ignore[attr-defined]


# --- breakdowns -----------------------------------------------------------------------------


def _others(found: Breakdown) -> str:
    left = found.values - len(found.bars)
    return f"{left:,} others" if left > 1 else "all others"


def _table(found: Breakdown, whole: Decimal, *, is_top: bool) -> Table:
    others = [found.others] if found.others is not None and found.others.sales else []
    bars = [*found.bars, *others]
    amounts = [bar.net for bar in bars]
    # Beside all others the largest members would be dwarfs. Bars of returns go to the left of none.
    drawn = [bar.net for bar in (found.bars if is_top else bars)]
    low, high = min([Decimal(0), *drawn]), max([Decimal(0), *drawn])
    span = (high - low) or Decimal(1)
    title = f"Net amount by {words(found.name).removeprefix('is ')}"
    if is_top:
        title = f"Top {words(found.member)}s by net amount"
    return Table(
        title,
        words(found.member) if is_top else words(found.name),
        [
            Row(
                _others(found) if bar in others else bar.label or "(empty)",
                bar.about,
                count(bar.sales),
                concise(bar.net, amounts),
                exact(bar.net),
                part_of(whole, bar.net),
                round(100 * float((min(bar.net, Decimal(0)) - low) / span), 2),
                0 if is_top and bar in others else round(100 * float(abs(bar.net) / span), 2),
                is_others=bar in others,
            )
            for bar in bars
        ],
    )

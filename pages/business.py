"""The business at a glance: the figures of the whole star, asked once after a load."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter
from sqlalchemy import Boolean, Column, Table

from common.outcomes import plain
from common.readable import readable
from common.star_model import Star, business_key
from pages.business_queries import INFERRED, MONTHS, STATES, TOPS, UNKNOWN, Questions, Sums
from warehouse import Warehouse

YEARS = 3
"""Of so many calendar years, at most, the months are shown."""
MOST_BARS = 12
"""So many values of an attribute are shown."""
_YES_NO = {"true": "yes", "false": "no"}

_EXACT = re.compile(r"-?[0-9]{1,40}\.[0-9]{4}")


def _exact(value: Any) -> Decimal:
    """An amount from the text that `as_dict` makes of it. Raises ValueError of another."""
    if not isinstance(value, str) or not _EXACT.fullmatch(value):
        raise ValueError("no amount with four decimals")
    return Decimal(value)


Amount = Annotated[Decimal, BeforeValidator(_exact)]
"""An exact amount; read from text with four decimals only."""
Rows = Annotated[int, Field(ge=0, lt=2**63)]
"""How many facts, values or members; no more than a warehouse can count."""


@dataclass(frozen=True)
class Bar:
    """The facts that have one value of something, in one currency."""

    label: str
    """The value; blank where there is none. Of a member of whom names are personal, the business
    key alone.
    """
    sales: Rows
    """How many facts."""
    net: Amount
    about: str = ""
    """What else is known of it and nobody's secret, such as the name of a product."""


@dataclass(frozen=True)
class Breakdown:
    """The facts by one attribute of a dimension, or by its members: the largest first."""

    name: str
    """Its name as in `common.readable`: an attribute, or the business key of members."""
    member: str
    """The dimension, as its table's `member` says: `customer`."""
    bars: list[Bar] = field(default_factory=list)
    others: Bar | None = None
    """All the rest together, where there are more than are shown. It has no label."""
    values: Rows = 0
    """How many values or members there are, with those that are not shown."""


@dataclass(frozen=True)
class Share:
    """How much of the facts is on members that nothing describes."""

    member: str
    sales_unknown: Rows
    net_unknown: Amount
    sales_inferred: Rows
    net_inferred: Amount


@dataclass(frozen=True)
class Figures:
    """The facts of one currency."""

    sales: Rows
    totals: dict[str, Amount]
    """By measure that can be added up, its sum; one without any value is left out."""
    months: list[Bar] = field(default_factory=list)
    """By month, `2024-01`, in their order; months without sales too. They are the same months for
    each currency, of the last three years that have sales: so each month can be laid over that of
    the year before.
    """
    attributes: list[Breakdown] = field(default_factory=list)
    top: list[Breakdown] = field(default_factory=list)
    """By dimension with business keys, its members with the largest net amounts."""
    shares: list[Share] = field(default_factory=list)
    earlier: Bar | None = None
    """The facts before these months together, where there are some; its label is the first month
    that has any.
    """
    without: dict[str, Rows] = field(default_factory=dict)
    """By measure that can be added up, how many facts have no value, where some have none."""
    net: Amount = Decimal(0)
    """The net amount of all these facts: what bars are parts of."""


@dataclass(frozen=True)
class Business:
    """The figures of the star by currency; blank where the source does not say which."""

    run_id: str
    """The run that published the star they are of."""
    currencies: dict[str, Figures] = field(default_factory=dict)
    """Those with most facts, the first with most of all. None of an empty star."""
    currencies_left_out: Rows = 0
    """How many more currencies there are."""
    sales_left_out: Rows = 0
    """How many facts are in those."""

    def as_dict(self) -> dict[str, Any]:
        """The figures as `json.dumps` takes them: amounts as text with four decimals."""
        made: dict[str, Any] = plain(self)
        return made

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Business:
        """The figures from what `as_dict` gave. Raises `ValueError` of anything else."""
        try:
            read = TypeAdapter(Business).validate_python(kept)
            is_it = _as_text(read.as_dict()) == _as_text(kept)
        except (TypeError, UnicodeError, RecursionError) as error:
            raise ValueError(_NOT_OURS) from error
        if not is_it or not all(map(_can_be, read.currencies.values())):
            raise ValueError(_NOT_OURS)
        order = sorted(read.currencies.items(), key=lambda item: (-item[1].sales, item[0]))
        return replace(read, currencies=dict(order))


_NOT_OURS = "these are no figures of a star"


def _as_text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def _can_be(figures: Figures) -> bool:
    """Whether their months follow each other, and have no more facts than there are."""
    labels = [bar.label for bar in figures.months]
    if labels:
        first, last = (int(label.replace("-", "")) for label in (labels[0], labels[-1]))
        if labels != [_month_name(month) for month in _months(first, last)]:
            return False
    dated = [*figures.months, *([figures.earlier] if figures.earlier else [])]
    return sum(bar.sales for bar in dated) <= figures.sales


def ask(warehouse: Warehouse, star: Star, run_id: str, *, with_personal: bool) -> Business:
    """Ask the star, in a transaction that the caller has begun, as `run_id` has published it.

    `with_personal`: members are shown with their names too. Each dimension costs one pass over the
    facts, which are added up by its key before anything is joined; only sums leave the warehouse.
    """
    present = warehouse.present([star.fact, *star.dimensions])
    if star.fact.name not in present or star.calendar.name not in present:
        return Business(run_id)
    questions = Questions(warehouse, star, present)
    names = {column: name for name, column in readable(star).items()}
    of_days = questions.groupings(star.calendar)
    days = questions.by_day(of_days)
    figures = _by_month(days, [measure.name for measure in questions.measures])
    _add_groupings(figures, {names[column]: column for column in of_days}, days)
    left_out = [sums for sums in days if sums.kind == MONTHS and sums.currency is None]
    for dimension in questions.dimensions if figures else []:
        groupings = questions.groupings(dimension)
        name = questions.name_of(dimension, with_personal=with_personal)
        found = questions.by_member(dimension, groupings, name, list(figures), are_all=not left_out)
        _add_groupings(figures, {names[column]: column for column in groupings}, found)
        _add_members(figures, dimension, names[business_key(dimension)], found)
    return Business(
        run_id,
        figures,
        max((sums.number for sums in left_out), default=len(figures)) - len(figures),
        sum(sums.sales for sums in left_out),
    )


def _by_month(days: list[Sums], measures: list[str]) -> dict[str, Figures]:
    """The figures of each currency with its months, that with most facts first."""
    monthly = [sums for sums in days if sums.kind == MONTHS and sums.currency is not None]
    known = sorted({int(sums.label) for sums in monthly if sums.label is not None})
    axis = _months(known[0], known[-1]) if known else []
    of: dict[str, list[Sums]] = {}
    for sums in monthly:
        of.setdefault(sums.currency or "", []).append(sums)
    order = sorted(of, key=lambda name: (-sum(sums.sales for sums in of[name]), name))
    return {name: _figures(of[name], axis, measures) for name in order}


def _figures(monthly: list[Sums], axis: list[int], measures: list[str]) -> Figures:
    by_month = {int(sums.label): sums for sums in monthly if sums.label is not None}
    earlier = sorted(month for month in by_month if month < axis[0]) if axis else []
    sales = sum(sums.sales for sums in monthly)
    totals, without = dict[str, Decimal](), dict[str, int]()
    for place, name in enumerate(measures):
        told = [sums.measures[place] for sums in monthly]
        amounts = [amount for amount, _ in told if amount is not None]
        if amounts:
            totals[name] = sum(amounts, Decimal(0))
        if lacking := sales - sum(count for _, count in told):
            without[name] = lacking
    return Figures(
        sales,
        totals,
        [
            _bar(_month_name(month), [by_month[month]] if month in by_month else [])
            for month in axis
        ],
        earlier=_bar(_month_name(earlier[0]), [by_month[m] for m in earlier]) if earlier else None,
        without=without,
        net=sum((sums.net for sums in monthly), Decimal(0)),
    )


def _months(first: int, last: int) -> list[int]:
    """The months such as 202401 from January of the year before last, or from the first one."""
    start = max(first, (last // 100 - YEARS + 1) * 100 + 1)
    years = range(start // 100, last // 100 + 1)
    months = (year * 100 + month for year in years for month in range(1, 13))
    return [month for month in months if start <= month <= last]


def _month_name(month: int) -> str:
    return f"{month // 100:04d}-{month % 100:02d}"


def _bar(label: str, several: Sequence[Sums], about: str = "") -> Bar:
    net = sum((sums.net for sums in several), Decimal(0))
    return Bar(label, sum(sums.sales for sums in several), net, about)


def _add_groupings(
    figures: dict[str, Figures], groupings: dict[str, Column[Any]], found: list[Sums]
) -> None:
    """Those attributes, by their names, that really group the facts of a currency."""
    for currency, (place, (name, column)) in product(figures, enumerate(groupings.items())):
        values = [s for s in found if s.kind == place and s.currency == currency]
        if sum(sums.number for sums in values) > 1:
            values.sort(key=lambda sums: (-sums.net, sums.label or ""))
            shown, rest = values[:MOST_BARS], values[MOST_BARS:]
            words = _YES_NO if isinstance(column.type, Boolean) else {}
            bars = [_bar(words.get(s.label or "", s.label or ""), [s]) for s in shown]
            others = _bar("", rest) if rest else None
            figures[currency].attributes.append(
                Breakdown(name, _called(column.table), bars, others, len(values))
            )


def _add_members(
    figures: dict[str, Figures], dimension: Table, key: str, found: list[Sums]
) -> None:
    """The members with the largest net amounts, and how much is on those that nothing describes."""
    nothing = Sums(STATES, None, None, None, 0, 0, Decimal(0))
    member = _called(dimension)
    for currency, of in figures.items():
        mine = [sums for sums in found if sums.currency == currency]
        states = {int(s.label or UNKNOWN): s for s in mine if s.kind == STATES}
        unknown, inferred = (states.get(state, nothing) for state in (UNKNOWN, INFERRED))
        of.shares.append(Share(member, unknown.sales, unknown.net, inferred.sales, inferred.net))
        tops = [sums for sums in mine if sums.kind == TOPS]
        tops.sort(key=lambda sums: (-sums.net, sums.label or ""))
        known = [sums for state, sums in states.items() if state != UNKNOWN]
        count = sum(sums.number for sums in known)
        bars = [_bar(sums.label or "", [sums], sums.about or "") for sums in tops]
        others = None
        if count > len(tops):
            sales, net = sum(bar.sales for bar in bars), sum((bar.net for bar in bars), Decimal(0))
            all_of = _bar("", known)
            others = Bar("", all_of.sales - sales, all_of.net - net)
        if bars:
            of.top.append(Breakdown(key, member, bars, others, count))


def _called(dimension: Table) -> str:
    return str(dimension.info.get("member", dimension.name))

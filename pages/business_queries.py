"""What the business at a glance asks of the star: one statement a dimension, a few rows each.

A statement adds the facts up by their key to the dimension, and joins the members to these sums. So
it reads the facts once, and all that there is by member stays in the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Date, Integer, Numeric, Table, Text

from common.star_model import (
    INFERRED_FLAG,
    UNKNOWN_KEY,
    Role,
    Star,
    additive,
    attributes,
    business_key,
    columns_of,
    surrogate_key,
)
from warehouse import Warehouse
from warehouse.catalog import PresentTable

MOST_CURRENCIES = 8
MOST_VALUES = 100
"""An attribute that has more values than this, in one currency, groups nothing."""
TOP = 10
MONTHS, STATES, TOPS = -1, -2, -3
"""Kinds of sums, beside the places of attributes."""
UNKNOWN, INFERRED, DESCRIBED = 0, 1, 2
"""States of members."""


class Sums(NamedTuple):
    """Facts added up, a row of what a statement returns."""

    kind: int
    """The place of an attribute among those that were asked for, or another kind."""
    currency: str | None
    """None of all together that are left out."""
    label: str | None
    """A value, a business key, a state, or a month such as `202401`; None where there is none."""
    about: str | None
    """What people call the member, where that is asked for."""
    number: int
    """Of a state: how many members have it; of a month: the place of its last currency; of a
    value: whether a member has it that is neither Unknown nor inferred.
    """
    sales: int
    net: Decimal
    measures: tuple[tuple[Decimal | None, int], ...] = ()
    """Of a month: the sum of each measure, and how many facts have a value of it."""


@dataclass(frozen=True)
class Questions:
    """To a star as it is in the warehouse: a column that is not there yet is not asked for."""

    warehouse: Warehouse
    star: Star
    present: Mapping[str, PresentTable]

    @cached_property
    def measures(self) -> list[Column[Any]]:
        """The measures that can be added up."""
        return self._there(additive(self.star.fact))

    @cached_property
    def dimensions(self) -> list[Table]:
        """The dimensions whose members have a business key."""
        return [
            dimension
            for dimension in self.star.dimensions
            if columns_of(dimension, Role.BUSINESS_KEY)
            and dimension.name in self.present
            and self._there(self.star.keys_to(dimension))
        ]

    def groupings(self, dimension: Table) -> list[Column[Any]]:
        """The attributes that members of a dimension may be grouped by: whether they group any is
        seen when they are asked for.
        """
        candidates = [c for c in self._there(attributes(dimension)) if _may_group(c)]
        return self._finer_than_months(candidates) if self._is_calendar(dimension) else candidates

    def name_of(self, dimension: Table, *, with_personal: bool) -> Column[Any] | None:
        """The attribute that says what people call a member; None where it is personal, and
        nothing personal is asked for.
        """
        named = [c for c in self._there(attributes(dimension)) if c.info.get("is_name")]
        fit = (c for c in named if with_personal or not c.info.get("is_personal"))
        return next(fit, None)

    def by_day(self, groupings: Sequence[Column[Any]]) -> list[Sums]:
        """The facts by month with their measures, and by attributes of the calendar, of those
        currencies that most facts have.
        """
        calendar, added = self.star.calendar, self._by_key(self.star.calendar, self.measures)
        places = self._places(added)
        days = sa.select(
            sa.case((places.c.place <= MOST_CURRENCIES, places.c.currency)).label("currency"),
            places.c.place,
            sa.cast(_month(calendar), Text).label("month"),
            *self._values(groupings),
            _state(calendar).label("state"),
            *(column for column in added.c if column.name not in ("key", "currency")),
        ).join_from(added, calendar, added.c.key == surrogate_key(calendar))
        found = days.join(places, places.c.currency == added.c.currency).cte("days")
        measured = [column for column in found.c if column.name.startswith("measure")]
        months = _sums(
            MONTHS, found, label=found.c.month, number=sa.func.max(found.c.place), more=measured
        )
        return self._asked([months, *_by_value(found, groupings, len(measured))])

    def by_member(
        self,
        dimension: Table,
        groupings: Sequence[Column[Any]],
        about: Column[Any] | None,
        currencies: Sequence[str],
        *,
        are_all: bool,
    ) -> list[Sums]:
        """The facts by state of the members, by their attributes, and of those members that have
        the largest net amounts, of these currencies, which `are_all` or not.
        """
        among = () if are_all and len(currencies) > 1 else currencies
        key, added = business_key(dimension), self._by_key(dimension, [], among)
        members = (
            sa.select(
                *(column for column in added.c if column.name != "key"),
                key.label("member"),
                (_nothing(Text()) if about is None else about).label("about"),
                *self._values(groupings),
                _state(dimension).label("state"),
            )
            .join_from(added, dimension, added.c.key == surrogate_key(dimension))
            .cte("members")
        )
        state = sa.cast(members.c.state, Text)
        states = _sums(STATES, members, label=state, number=sa.func.count())
        tops = [self._top(members, currency) for currency in currencies]
        return self._asked([states, *_by_value(members, groupings), *tops])

    def _top(self, members: sa.CTE, currency: str) -> sa.Select[Any]:
        order = self.warehouse.by_code_point(members.c.member)
        largest = (
            sa.select(members)
            .where(members.c.currency == currency, members.c.state != UNKNOWN)
            .order_by(members.c.net.desc(), order)
            .limit(TOP)
            .subquery()
        )
        return sa.select(
            _number(TOPS),
            largest.c.currency,
            sa.cast(largest.c.member, Text),
            largest.c.about,
            _number(1),
            largest.c.sales,
            largest.c.net,
        )

    def _by_key(
        self,
        dimension: Table,
        measures: Sequence[Column[Any]],
        among: Sequence[str] = (),
    ) -> sa.CTE:
        """The facts added up by their key to a dimension and by currency, in one pass: those of
        these currencies only, if any are given. Where it is one, all facts have it.
        """
        fact, key = self.star.fact, self.star.keys_to(dimension)[0]
        currency = self.star.currency
        if currency is None or not self._there([currency]) or len(among) == 1:
            currency = None
        by = [key] if currency is None else [key, currency]
        added = sa.select(
            key.label("key"),
            *([] if currency is None else [currency.label("currency")]),
            sa.func.count().label("sales"),
            sa.func.sum(fact.c.net_amount).label("net"),
            *(sa.func.sum(m).label(f"measure_{i}") for i, m in enumerate(measures)),
            *(sa.func.count(m).label(f"measured_{i}") for i, m in enumerate(measures)),
        ).group_by(*by)
        if currency is not None and among:
            added = added.where(sa.func.coalesce(currency, "").in_(among))
        sums = added.subquery()
        only = among[0] if len(among) == 1 else ""
        name = sa.literal(only) if currency is None else sa.func.coalesce(sums.c.currency, "")
        others = [column for column in sums.c if column.name != "currency"]
        return sa.select(sa.cast(name, Text).label("currency"), *others).cte("added")

    def _places(self, added: sa.CTE) -> sa.CTE:
        """The currencies, that which most facts have first."""
        order = self.warehouse.by_code_point(added.c.currency)
        place = sa.func.row_number().over(order_by=(sa.func.sum(added.c.sales).desc(), order))
        return (sa.select(added.c.currency, place.label("place")).group_by(added.c.currency)).cte(
            "places"
        )

    def _asked(self, pieces: Sequence[sa.Select[Any]]) -> list[Sums]:
        found = self.warehouse.execute(sa.union_all(*pieces)).all()
        return [_read(tuple(row)) for row in found]

    def _there(self, columns: Sequence[Column[Any]]) -> list[Column[Any]]:
        return [c for c in columns if c.name in self.present[c.table.name].columns]

    def _is_calendar(self, dimension: Table) -> bool:
        return dimension is self.star.calendar

    def _values(self, groupings: Sequence[Column[Any]]) -> list[sa.Label[Any]]:
        return [sa.cast(column, Text).label(f"value_{i}") for i, column in enumerate(groupings)]

    def _finer_than_months(self, candidates: Sequence[Column[Any]]) -> list[Column[Any]]:
        """Those attributes of the calendar that differ within a month: the months tell the rest."""
        if not candidates:
            return []
        month = _month(self.star.calendar)
        counts = [sa.func.count(column.distinct()).label(column.name) for column in candidates]
        monthly = sa.select(*counts).where(month.is_not(None)).group_by(month).subquery()
        most = self.warehouse.row(sa.select(*(sa.func.max(column) for column in monthly.c)))
        return [column for column, count in zip(candidates, most, strict=True) if (count or 0) > 1]


def _may_group(column: Column[Any]) -> bool:
    """Whether a column says something of members that is neither theirs alone nor a secret."""
    apart = ("is_personal", "is_json", "is_name", "is_note")
    return isinstance(column.type, Text | Boolean) and not any(map(column.info.get, apart))


def _month(calendar: Table) -> sa.ColumnElement[Any]:
    """The month of a day, such as 202401; NULL of the Unknown one."""
    day = next(column for column in calendar.columns if isinstance(column.type, Date))
    year, month = (sa.cast(sa.extract(field, day), Integer) for field in ("year", "month"))
    return year * 100 + month


def _state(dimension: Table) -> sa.ColumnElement[Any]:
    is_unknown = surrogate_key(dimension) == UNKNOWN_KEY
    flag = dimension.columns.get(INFERRED_FLAG)
    is_inferred = sa.false() if flag is None else flag
    return sa.case((is_unknown, UNKNOWN), (is_inferred, INFERRED), else_=DESCRIBED)


def _sums(
    kind: int,
    found: sa.CTE,
    *,
    label: sa.ColumnElement[Any],
    number: sa.ColumnElement[Any],
    more: Sequence[sa.ColumnElement[Any]] = (),
) -> sa.Select[Any]:
    """What was found, added up by currency and label."""
    return sa.select(
        _number(kind),
        found.c.currency,
        label,
        _nothing(Text()),
        number,
        sa.func.sum(found.c.sales),
        sa.func.sum(found.c.net),
        *(sa.func.sum(column) for column in more),
    ).group_by(found.c.currency, label)


def _by_value(
    found: sa.CTE, groupings: Sequence[Column[Any]], measures: int = 0
) -> list[sa.Select[Any]]:
    """What was found in a currency, added up by the values of each attribute, if they are few."""
    pieces = []
    for place in range(len(groupings)):
        value = found.c[f"value_{place}"]
        is_told = sa.and_(found.c.state == DESCRIBED, value.is_not(None))
        grouped = _sums(
            place,
            found,
            label=value.label("label"),
            number=sa.func.max(sa.case((is_told, 1), else_=0)),
        ).where(found.c.currency.is_not(None))
        counted = grouped.add_columns(
            sa.func.count().over(partition_by=found.c.currency).label("values")
        ).subquery()
        *columns, values = counted.c
        nothing = [_nothing(Numeric())] * measures
        pieces.append(sa.select(*columns, *nothing).where(values <= MOST_VALUES))
    return pieces


def _number(value: int) -> sa.ColumnElement[Any]:
    return sa.cast(value, Integer)


def _nothing(kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.null(), kind)


def _read(row: tuple[Any, ...]) -> Sums:
    kind, currency, label, about, number, sales, net, *measures = row
    half = len(measures) // 2
    return Sums(
        int(kind), currency, label, about, int(number), int(sales), _amount(net) or Decimal(0),
        tuple(
            (_amount(total), int(count or 0))
            for total, count in zip(measures[:half], measures[half:], strict=True)
        ),
    )  # fmt: skip


def _amount(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)

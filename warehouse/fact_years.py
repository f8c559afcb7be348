"""The facts of a star by the year of their day: how many there are, and what they add up to."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Date

from common.star_model import Role, Star, additive, columns_of, surrogate_key
from common.sums import Sums, plus
from warehouse.answers import answer
from warehouse.base import Warehouse
from warehouse.star_questions import as_sum

NO_YEAR = "__HIVE_DEFAULT_PARTITION__"
"""What readers of folders by year take for no value."""


@dataclass(frozen=True)
class Year:
    """The facts of a year."""

    rows: int
    sums: dict[str, dict[str, str]]
    """By measure and currency ("" where it is not said), the sum as text."""
    runs: str
    """A hash of how many of them each run wrote: any change that a run makes changes it."""


def years_of(warehouse: Warehouse, star: Star, columns: Collection[str]) -> dict[str, Year]:
    """All years that have facts, of which `columns` are in the warehouse; with none, the one that
    is unknown.
    """
    measures = measures_of(star, columns)
    runs: dict[str, Counter[str]] = defaultdict(Counter)
    sums: dict[str, dict[str, Sums]] = defaultdict(lambda: {name: {} for name in measures})
    for number, run, currency, count, *amounts in _counted(warehouse, star, columns):
        name = NO_YEAR if number is None else str(int(number))
        runs[name][run] += count
        for measure, amount in zip(measures, amounts, strict=True):
            more = {currency or "": Decimal(amount)}
            sums[name][measure] = plus(sums[name][measure], more)
    names = sorted(runs) or [NO_YEAR]
    return {n: Year(runs[n].total(), as_texts(sums[n]), _hash(runs[n])) for n in names}


def is_of(star: Star, year: str) -> sa.ColumnElement[bool]:
    """The condition on facts that are of a year."""
    number = _year(star)
    fits = number.is_(None) if year == NO_YEAR else number == int(year)
    key, days = star.keys_to(star.calendar)[0], surrogate_key(star.calendar)
    return key.in_(sa.select(days).where(fits))


def measures_of(star: Star, columns: Collection[str]) -> list[str]:
    """Those of `columns` that can be added up."""
    return [column.name for column in additive(star.fact) if column.name in columns]


def as_texts(sums: Mapping[str, Sums]) -> dict[str, dict[str, str]]:
    """Exact sums as text that is the same for the same number."""
    return {name: {c: _text(amount) for c, amount in found.items()} for name, found in sums.items()}


def _counted(warehouse: Warehouse, star: Star, columns: Collection[str]) -> list[Any]:
    """By year, run and currency: how many facts there are, and their sums. One scan."""
    key, days = star.keys_to(star.calendar)[0], surrogate_key(star.calendar)
    rows = sa.join(star.fact, star.calendar, key == days)
    writer = columns_of(star.fact, Role.AUDIT)[0]  # the run that wrote a row
    groups: list[Any] = [_year(star), writer]
    money = star.currency
    currency: Any = sa.null()
    if money is not None and money.name in columns:
        currency = money
        groups.append(money)
    sums = [
        sa.func.coalesce(sa.cast(sa.func.sum(c), as_sum(c)), 0)
        for c in (star.fact.columns[name] for name in measures_of(star, columns))
    ]
    counted = sa.select(*groups[:2], currency, sa.func.count(), *sums).select_from(rows)
    found = answer(warehouse, counted.group_by(*groups))
    return [*zip(*(column.to_pylist() for column in found.columns), strict=True)]


def _year(star: Star) -> sa.ColumnElement[Any]:
    day = next(column for column in star.calendar.columns if isinstance(column.type, Date))
    return sa.extract("year", day)


def _text(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _hash(runs: Mapping[str, int]) -> str:
    lines = sorted(f"{run}:{count}" for run, count in runs.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

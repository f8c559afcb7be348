"""Questions about a star that people ask most: its tables, and its facts under readable names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy import Column, Table

from common.readable import flat, joined, readable
from common.star_model import (
    MONEY_SCALE,
    UNKNOWN_KEY,
    Role,
    Star,
    additive,
    columns_of,
    surrogate_key,
)
from errors import WarehouseError
from warehouse.base import Warehouse

_SEVERAL = "_several_currencies"
_MOST_DIGITS = 38


def whole(table: Table) -> Callable[[Warehouse], sa.Select[Any]]:
    """All rows of a table, with the declared columns that are there."""

    def asked(warehouse: Warehouse) -> sa.Select[Any]:
        there = _there(warehouse, [table])[table.name]
        return sa.select(*(column for column in table.columns if column.name in there))

    return asked


def days(calendar: Table) -> Callable[[Warehouse], sa.Select[Any]]:
    """The days of a calendar in their order, without the one that is unknown."""
    key = surrogate_key(calendar)

    def asked(warehouse: Warehouse) -> sa.Select[Any]:
        return whole(calendar)(warehouse).where(key != UNKNOWN_KEY).order_by(key)

    return asked


def all_facts(star: Star) -> Callable[[Warehouse], sa.Select[Any]]:
    """Each fact with what is known of its members."""

    def asked(warehouse: Warehouse) -> sa.Select[Any]:
        _refuse_older(warehouse, star, readable(star).values())
        return flat(star)

    return asked


def summed(star: Star, by: Mapping[str, Column[Any]]) -> Callable[[Warehouse], sa.Select[Any]]:
    """By `by`, readable names and columns: how many facts there are, and the sums of the measures
    that can be added up. `one_currency` makes the answer of it.
    """
    measures = additive(star.fact)

    def asked(warehouse: Warehouse) -> sa.Select[Any]:
        groups = [*by.values()]
        money = star.currency
        named = [column.label(name) for name, column in by.items()]
        if money is not None and money not in groups:
            groups.append(money)
            named.append(money.label(_name(star, money)))
        _refuse_older(warehouse, star, [*groups, *measures])
        rows = joined(star, {column.table for column in groups})
        sums = [sa.cast(sa.func.sum(c), as_sum(c)).label(c.name) for c in measures]
        count = sa.func.count().label(star.sales.called)
        found = sa.select(*named, count, *sums).select_from(rows).group_by(*groups).subquery()
        order = [found.c[name.name] for name in named]
        several: sa.ColumnElement[Any] = sa.false()
        if len(groups) > len(by):
            code = sa.func.coalesce(order[-1], "")
            several = sa.func.min(code).over() != sa.func.max(code).over()
        return sa.select(*found.c, several.label(_SEVERAL)).order_by(
            *(warehouse.by_code_point(c) if isinstance(c.type, sa.Text) else c for c in order)
        )

    return asked


def one_currency(star: Star, by: Iterable[str]) -> Callable[[pa.Table], pa.Table]:
    """What makes the answer to `summed`: it says in which currency amounts are where the star has
    several of them, and not where it has one.
    """
    name = "" if star.currency is None else _name(star, star.currency)
    is_asked_for = name in by

    def finish(rows: pa.Table) -> pa.Table:
        several = pc.any(rows[_SEVERAL]).as_py()
        rows = rows.drop_columns([_SEVERAL])
        return rows if several or is_asked_for or not name else rows.drop_columns([name])

    return finish


def is_group(column: Column[Any]) -> bool:
    """Whether rows can be told apart by a column, which is then no measure."""
    return column.info["role"] is not Role.MEASURE


def _name(star: Star, column: Column[Any]) -> str:
    return next(name for name, each in readable(star).items() if each is column)


def as_sum(column: Column[Any]) -> sa.Numeric[Any]:
    """The type that a sum of `column` has room in."""
    scale = getattr(column.type, "scale", None)
    return sa.Numeric(_MOST_DIGITS, MONEY_SCALE if scale is None else scale)


def _there(warehouse: Warehouse, tables: list[Table]) -> dict[str, set[str]]:
    """By table, the names of its columns in the warehouse. Raises `WarehouseError` without one."""
    fact = warehouse.config.star.fact
    present = warehouse.present([*dict.fromkeys([fact, *tables])])
    if fact.name not in present:
        url = warehouse.config.warehouse_url
        raise WarehouseError(f"{url}: there is no star yet; `python main.py` makes it")
    lacking = [table.name for table in tables if table.name not in present]
    if lacking:
        raise WarehouseError(f"the star has no {', '.join(lacking)} yet; the next run makes it")
    return {name: set(table.columns) for name, table in present.items()}


def _refuse_older(warehouse: Warehouse, star: Star, columns: Iterable[Column[Any]]) -> None:
    """Raises `WarehouseError` where the star was made by a version that lacks one of `columns`."""
    keys = columns_of(star.fact, Role.DIMENSION_KEY)
    there = _there(warehouse, [star.fact, *star.dimensions])
    used = {column: column.table.name for column in (*keys, *columns)}
    lacking = [f"{table}.{c.name}" for c, table in used.items() if c.name not in there[table]]
    if lacking:
        raise WarehouseError(
            f"an earlier version made the star, which lacks {', '.join(lacking)}; the next run "
            "adds it"
        )

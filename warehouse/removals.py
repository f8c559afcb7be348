"""Rows of a table that go away: those that others name, and those that nobody names any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Table

from common.star_model import business_key
from common.sums import Sums
from errors import GateError, not_as_written
from warehouse.base import Warehouse
from warehouse.sums import sums


def stage_keys(
    warehouse: Warehouse, table: Table, arrays: Iterable[pa.Array], purpose: str
) -> Table:
    """Business keys of `table` in a temporary table of their own."""
    key = business_key(table).name
    batches = (warehouse.encode(pa.table({key: array}), table) for array in arrays)
    return warehouse.stage(table, [key], batches, purpose)


def absent(
    warehouse: Warehouse,
    table: Table,
    scope: sa.ColumnElement[bool],
    named: sa.FromClause,
    others: Sequence[Table],
) -> Table:
    """The keys of the rows of `table` in `scope` that neither the staged rows `named` nor `others`
    have, in a temporary table. The others are asked about the few that are left: one join of so
    many keys is what fits the memory.
    """
    key = business_key(table)
    is_named = sa.exists().where(named.c[key.name] == key)
    gone = warehouse.keep_changes(sa.select(key).where(scope, sa.not_(is_named)), table, "absent")
    for other in others:
        warehouse.execute(sa.delete(gone).where(gone.c[key.name] == other.c[key.name]))
    return gone


def remove(
    warehouse: Warehouse,
    table: Table,
    gone: Table,
    *amounts: tuple[sa.ColumnElement[Any] | None, sa.ColumnElement[Any]],
    before: Callable[[int], None] = lambda rows: None,
) -> tuple[int, list[Sums]]:
    """Delete the rows of `table` whose keys `gone` has; returns how many they were, and the sums
    over them of `amounts`, each by its currency. `before` is told how many they will be.

    Raises `GateError` where the warehouse holds some of them still.
    """
    key = business_key(table)
    both, count = gone.join(table, key == gone.c[key.name]), sa.func.count()
    found: list[Sums] = []
    rows = 0
    for by, amount in amounts:
        (amounts_found,), (rows,) = sums(warehouse, both, by, [sa.func.sum(amount)], [count])
        found.append(amounts_found)
    if not rows:
        return 0, [{} for _ in amounts]
    before(rows)
    warehouse.execute(sa.delete(table).where(key == gone.c[key.name]))
    left = int(warehouse.scalar(sa.select(count).select_from(both)))
    if left:
        raise GateError(not_as_written(table.name, left, rows))
    return rows, found

"""Rows of a table that go away: those that others name, and those that nobody names any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    named: Sequence[sa.FromClause],
) -> Table:
    """The keys of the rows of `table` in `scope` that none of the staged tables `named` has, in a
    temporary table.
    """
    key = business_key(table)
    is_named = (sa.exists().where(there.c[key.name] == key) for there in named)
    nowhere = sa.select(key).where(scope, *(sa.not_(found) for found in is_named))
    return warehouse.keep_changes(nowhere, table, "absent")


def remove(
    warehouse: Warehouse,
    table: Table,
    gone: Table,
    *amounts: tuple[sa.ColumnElement[Any] | None, sa.ColumnElement[Any]],
) -> tuple[int, list[Sums]]:
    """Delete the rows of `table` whose keys `gone` has; returns how many they were, and the sums
    over them of `amounts`, each by its currency.

    Raises `GateError` where the warehouse holds some of them still.
    """
    key = business_key(table)
    both, count = gone.join(table, key == gone.c[key.name]), sa.func.count()
    rows = int(warehouse.scalar(sa.select(count).select_from(both)))
    if not rows:
        return 0, [{} for _ in amounts]
    found = [sums(warehouse, both, by, [sa.func.sum(amount)], [])[0][0] for by, amount in amounts]
    warehouse.execute(sa.delete(table).where(key == gone.c[key.name]))
    left = int(warehouse.scalar(sa.select(count).select_from(both)))
    if left:
        raise GateError(not_as_written(table.name, left, rows))
    return rows, found

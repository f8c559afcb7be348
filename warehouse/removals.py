"""Rows of a table that go away: those that others name, and those that nobody names any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Table

from common.star_model import business_key
from errors import GateError, not_as_written
from warehouse.base import Warehouse


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
    warehouse: Warehouse, table: Table, gone: Table, *amounts: sa.ColumnElement[Any]
) -> tuple[int, list[Decimal]]:
    """Delete the rows of `table` whose keys `gone` has; returns how many they were, and the sums of
    `amounts` over them.

    Raises `GateError` where the warehouse holds some of them still.
    """
    key = business_key(table)
    both = gone.join(table, key == gone.c[key.name])
    sums = (sa.func.coalesce(sa.func.sum(amount), 0) for amount in amounts)
    rows, *found = warehouse.row(sa.select(sa.func.count(), *sums).select_from(both))
    if rows:
        warehouse.execute(sa.delete(table).where(key == gone.c[key.name]))
        left = warehouse.scalar(sa.select(sa.func.count()).select_from(both))
        if left:
            raise GateError(not_as_written(table.name, int(left), int(rows)))
    return int(rows), [Decimal(amount) for amount in found]

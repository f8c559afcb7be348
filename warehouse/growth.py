"""Making what the warehouse lacks of the declared star.

A new column comes first, in a short transaction of its own where adding one locks readers out.
Indexes and keys come in the load's transaction, after the checks have shown that they hold. What
locks the whole table, such as NOT NULL, comes after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table

from common.star_model import growth_value, is_dimension
from errors import LockedError, WarehouseError
from warehouse.base import Warehouse
from warehouse.drift import Drift, compare, refuse
from warehouse.failures import explain
from warehouse.retry import tries

_LOCK_TRIES = 100  # never reached: LOCK_TIMEOUT_SECONDS ends them


def begin_load(warehouse: Warehouse, tables: Iterable[Table], *, apart: bool = True) -> Drift:
    """Begin the transaction of a load, with all `tables`, their columns and their Unknown members
    there. Returns what `complete` has still to do.

    With `apart`, columns are added and committed before the load, on engines where adding one locks
    readers out. Raises `SchemaDriftError` if the star does not fit, `LockedError` if somebody else
    keeps a table locked that must get a column.
    """
    declared = list(tables)
    warehouse.begin()
    found = compare(warehouse, declared)
    refuse(warehouse, found)
    gained = [*warehouse.grown_apart, *found.missing_columns]
    if found.missing_columns and apart and warehouse.grows_apart:
        warehouse.rollback()
        _apart(warehouse, lambda: _grow(warehouse, compare(warehouse, declared), is_apart=True))
        warehouse.grown_apart = gained
        warehouse.begin()
        found = compare(warehouse, declared)
    if found.missing_tables or found.missing_columns:
        warehouse.create_schema()
        _grow(warehouse, found)
    if found.missing_columns:
        found = compare(warehouse, declared)
        if warehouse.grows_apart:
            found.warnings.append("readers wait for this run: it adds columns, and takes them back")
    found.gained = gained
    _fill(warehouse, found)
    for table in declared:
        if is_dimension(table) and not warehouse.is_created(table):
            warehouse.add_unknown_member(table)
    return found


def _grow(warehouse: Warehouse, found: Drift, *, is_apart: bool = False) -> None:
    """Make missing tables and columns; before the load only the columns and what they refer to."""
    referred = {
        foreign.column.table for column in found.missing_columns for foreign in column.foreign_keys
    }
    for table in found.missing_tables:
        if is_apart and table not in referred:
            continue
        warehouse.create(table)
        if is_dimension(table):
            warehouse.add_unknown_member(table)
    for table in dict.fromkeys(column.table for column in found.missing_columns):
        columns = [column for column in found.missing_columns if column.table is table]
        warehouse.add_columns(table, columns)


def _fill(warehouse: Warehouse, found: Drift) -> None:
    """Give rows without a value the declared default: version 0.1.0 added columns without it."""
    for column in found.unfilled:
        value = growth_value(column)
        empty = sa.update(column.table).where(column.is_(None)).values({column.name: value})
        filled = warehouse.execute(empty).rowcount
        if filled > 0:
            found.warnings.append(
                f"{column.table.name}.{column.name} was empty in {filled:,} rows, "
                f"which have {value} now"
            )


def complete(warehouse: Warehouse, found: Drift) -> None:
    """Add keys and indexes, in the load's transaction and after its checks, which prove them."""
    warehouse.complete_created()
    for part in found.incomplete:
        if part.may_alter and not part.is_alone:
            warehouse.connection.exec_driver_sql(part.statement)


def complete_apart(warehouse: Warehouse, found: Drift) -> list[str]:
    """After the commit: add what locks a whole table for a moment. Returns a message for each part
    that could not be added; the next run tries again.
    """
    failed = []
    for part in found.incomplete:
        if not part.may_alter:
            failed.append(
                f"{part.words} is missing; `python main.py init`, run by the owner, adds it"
            )
        elif part.is_alone:
            try:
                _apart(warehouse, partial(_run, warehouse, part.statement))
            except (WarehouseError, sa.exc.DBAPIError) as error:
                failed.append(
                    f"{part.words} could not be added, and will be tried again: {explain(error)}"
                )
    return failed


def _run(warehouse: Warehouse, statement: str) -> None:
    warehouse.connection.exec_driver_sql(statement)


def _apart(warehouse: Warehouse, step: Callable[[], Any]) -> None:
    """Run `step` in a transaction of its own. It waits for others' locks only a moment at a time:
    while it waits for a table, everybody else who wants the table waits behind it.
    """

    def attempt() -> None:
        warehouse.begin()
        try:
            warehouse.hurry()
            step()
            warehouse.connection.commit()
        except BaseException as error:
            transient = warehouse.transient(error) if isinstance(error, Exception) else None
            with suppress(sa.exc.DBAPIError):  # the connection was lost
                warehouse.rollback()
            raise (transient or error) from error

    seconds = warehouse.config.lock_timeout_seconds
    tries(_LOCK_TRIES, seconds, on=LockedError)(attempt)

"""A star in use grows: what the warehouse lacks of the declared tables is found, and made.

Columns come first, in a short transaction of their own where readers would have to wait for them;
indexes and keys in the load, once the audit has proven them; what needs a table alone, such as NOT
NULL, after the commit. What differs between engines stays in `warehouse`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table
from sqlalchemy.schema import AddConstraint, CreateIndex

from common.star_model import (
    ADDED_LATE,
    growth_value,
    is_dimension,
    is_fillable,
    is_key,
    plain_type,
)
from config import StarSchemaConfig
from errors import LockedError, SchemaDriftError, WarehouseError
from warehouse.base import Warehouse
from warehouse.catalog import PresentTable
from warehouse.engines import new_run_id, open_warehouse
from warehouse.failures import explain
from warehouse.retry import tries

_LOCK_TRIES = 100  # it is the time that ends them


@dataclass(frozen=True)
class Incomplete:
    """Something that is declared of a table and not yet in the warehouse."""

    words: str
    statement: str
    is_alone: bool = False
    """Whether it needs the table to itself for a moment."""
    may_alter: bool = True


@dataclass
class Drift:
    """What the warehouse lacks, and what in it does not fit."""

    missing_tables: list[Table] = field(default_factory=list)
    missing_columns: list[sa.Column[Any]] = field(default_factory=list)
    incomplete: list[Incomplete] = field(default_factory=list)
    unfilled: list[sa.Column[Any]] = field(default_factory=list)
    """Columns that may lack values, where a value for that is declared."""
    late: list[sa.Column[Any]] = field(default_factory=list)
    """Columns of which older rows have no value, and need none."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    """What our role may not do, and a load needs."""

    @property
    def is_grown(self) -> bool:
        """Whether a load has nothing to add or complete, as far as our role may."""
        to_do = [part for part in self.incomplete if part.may_alter]
        return not (self.missing_tables or self.missing_columns or to_do or self.problems)

    def late_in(self, table: Table) -> list[str]:
        """The names of such columns of `table`."""
        return [column.name for column in self.late if column.table is table]

    @property
    def added(self) -> list[str]:
        """The names of what is missing."""
        columns = [f"{column.table.name}.{column.name}" for column in self.missing_columns]
        return [table.name for table in self.missing_tables] + columns


# --- looking --------------------------------------------------------------------------------


def drift(warehouse: Warehouse, tables: Iterable[Table]) -> Drift:
    """How the warehouse's tables differ from the declared ones. Changes nothing."""
    found, declared = Drift(), list(tables)
    present = warehouse.present(declared)
    for table in declared:
        if table.name in present:
            _compare(found, warehouse, table, present[table.name])
        else:
            found.missing_tables.append(table)
    _look_at_rights(found, warehouse, present)
    return found


def _compare(found: Drift, warehouse: Warehouse, table: Table, present: PresentTable) -> None:
    for name in present.columns:
        if name not in table.columns:
            found.problems.append(
                f"{table.name} has a column {name} that this version does not know"
            )
    for column in table.columns:
        if column.name in present.columns:
            _compare_column(found, warehouse, column, present)
        elif is_key(column):
            found.problems.append(f"{table.name} has lost its key {column.name}")
        else:
            found.missing_columns.append(column)
    if present.keys_are_told and not warehouse.is_created(table):
        found.incomplete += _lacking_keys(warehouse, table, present)
        found.problems += _other_keys(table, present)


def _compare_column(
    found: Drift, warehouse: Warehouse, column: sa.Column[Any], present: PresentTable
) -> None:
    there, name = present.columns[column.name], f"{column.table.name}.{column.name}"
    wanted = warehouse.type_name(plain_type(column)).lower().replace(", ", ",")
    if _same_type(there.type) != _same_type(wanted):
        found.problems.append(f"{name} is {there.type} instead of {wanted}")
    elif column.nullable and not there.is_nullable:
        found.problems.append(
            f"{name} is NOT NULL, and may be empty in this version "
            f"(ALTER TABLE {column.table.name} ALTER COLUMN {column.name} DROP NOT NULL)"
        )
    elif there.is_nullable and there.note == ADDED_LATE:
        found.late.append(column)
    elif there.is_nullable and not column.nullable and not warehouse.is_created(column.table):
        if is_fillable(column):
            found.unfilled.append(column)
        words, statement = f"NOT NULL of {name}", _not_null(warehouse, column)
        found.incomplete.append(Incomplete(words, statement, True, present.may_alter))


def _same_type(name: str) -> str:
    name = name.replace("decimal(", "numeric(")
    return {"varchar": "text", "timestamptz": "timestamp with time zone"}.get(name, name)


def _lacking_keys(
    warehouse: Warehouse, table: Table, present: PresentTable
) -> Iterator[Incomplete]:
    """Keys and indexes that are not there, each after what it needs."""

    def lacking(words: str, statement: str, *, is_alone: bool = False) -> Incomplete:
        return Incomplete(words, statement, is_alone, present.may_alter)

    quoted, place = warehouse.quoted, warehouse.qualified(table)
    for constraint, name, is_there in _unique_keys(table, present):
        if is_there or name not in present.columns:
            continue
        words, key = f"the key {table.name}.{name}", quoted(str(constraint.name))
        known = present.unique_indexes.get(name)
        if known is None:
            yield lacking(words, f"CREATE UNIQUE INDEX {key} ON {place} ({quoted(name)})")
        kind = "PRIMARY KEY" if constraint is table.primary_key else "UNIQUE"
        proof = key if known is None else quoted(known)
        attach = f"ALTER TABLE {place} ADD CONSTRAINT {key} {kind} USING INDEX {proof}"
        yield lacking(words, attach, is_alone=True)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        (column,) = index.columns
        if column.name in present.columns and column.name not in present.indexed:
            yield lacking(
                f"an index on {table.name}.{column.name}", warehouse.text_of(CreateIndex(index))
            )
    for foreign in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
        (name,) = foreign.column_keys
        reference = present.references.get(name)
        words = f"the reference of {table.name}.{name}"
        if reference is None and name in present.columns:
            yield lacking(words, warehouse.text_of(AddConstraint(foreign)))
        elif reference is not None and not reference.is_valid:
            proof = f"ALTER TABLE {place} VALIDATE CONSTRAINT {quoted(reference.name)}"
            yield lacking(words, proof)


def _not_null(warehouse: Warehouse, column: sa.Column[Any]) -> str:
    place, name = warehouse.qualified(column.table), warehouse.quoted(column.name)
    return f"ALTER TABLE {place} ALTER COLUMN {name} SET NOT NULL"


def _unique_keys(
    table: Table, present: PresentTable
) -> Iterator[tuple[sa.PrimaryKeyConstraint | sa.UniqueConstraint, str, bool]]:
    (name,) = table.primary_key.columns.keys()
    yield table.primary_key, name, present.primary_key == name
    for key in table.constraints:
        if isinstance(key, sa.UniqueConstraint):
            (name,) = key.columns.keys()
            yield key, name, name in present.unique


def _other_keys(table: Table, present: PresentTable) -> Iterator[str]:
    """Keys that are there and are none of ours."""
    (key,) = table.primary_key.columns.keys()
    if present.primary_key not in ("", key):
        yield f"the primary key of {table.name} is {present.primary_key} instead of {key}"
    for column in table.columns:
        reference = present.references.get(column.name)
        wanted = {foreign.target_fullname for foreign in column.foreign_keys}
        if reference is not None and wanted and reference.target not in wanted:
            yield (
                f"{table.name}.{column.name} refers to {reference.target} instead of "
                f"{', '.join(wanted)}"
            )


def _look_at_rights(found: Drift, warehouse: Warehouse, present: dict[str, PresentTable]) -> None:
    for column in found.missing_columns:
        if not present[column.table.name].may_alter:
            found.denied.append(f"add the column {column.table.name}.{column.name}")
    if found.missing_tables and not warehouse.may_create():
        found.denied += [f"create the table {table.name}" for table in found.missing_tables]
    found.denied += [
        f"read and write the table {name}" for name, table in present.items() if not table.may_load
    ]


def refuse(warehouse: Warehouse, found: Drift) -> None:
    """Stop before anything is read, if no load can go into the star that was `found`.

    Raises `SchemaDriftError` where it does not fit, `WarehouseError` where our role lacks a right.
    """
    if found.problems:
        raise SchemaDriftError(
            f"the warehouse's tables do not fit: {'; '.join(found.problems)}; "
            "migrate them by hand, or point WAREHOUSE_SCHEMA at an empty schema"
        )
    if found.denied:
        raise WarehouseError(
            f"the role of WAREHOUSE_URL {warehouse.config.warehouse_url} may not "
            f"{', nor '.join(found.denied)}; let the owner of schema {warehouse.schema} run "
            "`python main.py init`: it makes what is missing, and prints the GRANTs"
        )


# --- growing --------------------------------------------------------------------------------


def begin_load(warehouse: Warehouse, tables: Iterable[Table], *, apart: bool = True) -> Drift:
    """Begin the transaction of a load, with all `tables`, their columns and their Unknown members
    there. Returns what `complete` has still to do.

    With `apart`, columns are added and committed before, where readers would wait for them.
    Raises `SchemaDriftError` on a difference that cannot be mended, `LockedError` when somebody
    keeps a table that must get a column.
    """
    declared = list(tables)
    warehouse.begin()
    found = drift(warehouse, declared)
    refuse(warehouse, found)
    if found.missing_columns and apart and warehouse.grows_apart:
        warehouse.rollback()
        _apart(warehouse, lambda: _grow(warehouse, drift(warehouse, declared), is_apart=True))
        warehouse.begin()
        found = drift(warehouse, declared)
    if found.missing_tables or found.missing_columns:
        warehouse.create_schema()
        _grow(warehouse, found)
    if found.missing_columns:
        found = drift(warehouse, declared)
        if warehouse.grows_apart:
            found.warnings.append("readers wait for this run: it adds columns, and takes them back")
    _fill(warehouse, found)
    for table in declared:
        if is_dimension(table) and not warehouse.is_created(table):
            warehouse.add_unknown_member(table)
    return found


def _grow(warehouse: Warehouse, found: Drift, *, is_apart: bool = False) -> None:
    """Make what is missing; apart from a load, only what the new columns need."""
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
    """Give rows that lack a value the declared one: another version has added the column bare."""
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
    """In the load's transaction and after its audit: declare what the audit has proven, and what
    was held back of tables that were made and got no rows.
    """
    warehouse.complete_created()
    for part in found.incomplete:
        if part.may_alter and not part.is_alone:
            warehouse.connection.exec_driver_sql(part.statement)


def complete_apart(warehouse: Warehouse, found: Drift) -> list[str]:
    """After the commit: declare what needs a table alone for a moment. Returns what could not be,
    in words; the next run tries again.
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
    """Run `step` in a transaction of its own. It waits for others' locks a moment at a time only,
    so that nobody has to wait behind it.
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


# --- check ----------------------------------------------------------------------------------


def inspect_warehouse(config: StarSchemaConfig, tables: Sequence[Table]) -> tuple[list[str], bool]:
    """What `check` says of the warehouse, and whether a run could load it. Changes nothing."""
    url = config.warehouse_url
    lines = [f"warehouse: {url.render_as_string(hide_password=True)}"]
    file = Path(url.database or "")
    if url.get_backend_name() == "duckdb" and url.database != ":memory:" and not file.exists():
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        if folder.is_dir() and os.access(folder, os.W_OK):
            return [*lines, "  the file does not exist yet; the first run creates it"], True
        return [*lines, f"  problem: WAREHOUSE_URL {url}: nothing can be made in {folder}"], False
    try:
        at_once = config.model_copy(update={"retry_seconds": 0})
        with open_warehouse(at_once, new_run_id()) as warehouse:
            found = drift(warehouse, tables)
            lines.append(f"  reachable: {warehouse.version()}, schema {warehouse.schema}")
    except WarehouseError as error:
        return [*lines, f"  problem: {error}"], False
    if len(found.missing_tables) == len(tables):
        lines.append("  no star there yet; the first run creates it")
    else:
        lacking = dict.fromkeys(part.words for part in found.incomplete)
        lines += [f"  the next run adds: {', '.join(found.added)}"] if found.added else []
        lines += [f"  the next run completes: {', '.join(lacking)}"] if lacking else []
        lines += [f"  problem: {problem}" for problem in found.problems]
        lines += [] if found.problems else ["  the star there fits"]
    return lines, not found.problems

"""How the star in a warehouse differs from the declared one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table
from sqlalchemy.schema import AddConstraint, CreateIndex

from common.star_model import ADDED_LATE, is_fillable, is_key, plain_type
from errors import SchemaDriftError, WarehouseError
from warehouse.base import Warehouse
from warehouse.catalog import PresentTable


@dataclass(frozen=True)
class Incomplete:
    """A key, an index or a NOT NULL that is declared and not yet in the warehouse."""

    words: str
    statement: str
    is_alone: bool = False
    """Whether adding it locks everybody else out of the table for a moment."""
    may_alter: bool = True
    """Whether our role owns the table, and so may add it."""


@dataclass
class Drift:
    """What the warehouse lacks, and what in it does not fit."""

    missing_tables: list[Table] = field(default_factory=list)
    missing_columns: list[sa.Column[Any]] = field(default_factory=list)
    gained: list[sa.Column[Any]] = field(default_factory=list)
    """Columns that the load has added by now."""
    incomplete: list[Incomplete] = field(default_factory=list)
    unfilled: list[sa.Column[Any]] = field(default_factory=list)
    """NOT NULL columns that may hold NULLs, for which a default is declared."""
    late: list[sa.Column[Any]] = field(default_factory=list)
    """Columns that came after older rows, which have no value in them and need none."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    """What a load needs to do and our role may not."""
    undeletable: list[str] = field(default_factory=list)
    """The tables that our role may not delete from."""

    @property
    def is_grown(self) -> bool:
        """Whether nothing is left to add, except what our role may not."""
        to_do = [part for part in self.incomplete if part.may_alter]
        return not (self.missing_tables or self.missing_columns or to_do or self.problems)

    def is_whole(self, table: Table) -> bool:
        """Whether `table`, or the one of its name, is there with all its columns."""
        lacking = [*self.missing_tables, *(column.table for column in self.missing_columns)]
        return table.name not in {lacks.name for lacks in lacking}

    def late_in(self, table: Table) -> list[str]:
        """The names of the columns of `table` in `late`."""
        return [column.name for column in self.late if column.table is table]

    @property
    def added(self) -> list[str]:
        """The names of missing tables, then of missing columns."""
        columns = [f"{column.table.name}.{column.name}" for column in self.missing_columns]
        return [table.name for table in self.missing_tables] + columns


def compare(warehouse: Warehouse, tables: Iterable[Table]) -> Drift:
    """How the warehouse's tables differ from the declared ones. Changes nothing."""
    found, declared = Drift(), list(tables)
    present = warehouse.present(declared)
    for table in declared:
        if table.name in present:
            _compare_table(found, warehouse, table, present[table.name])
        else:
            found.missing_tables.append(table)
    _look_at_rights(found, warehouse, present)
    return found


def _compare_table(found: Drift, warehouse: Warehouse, table: Table, present: PresentTable) -> None:
    if present.misplaced:
        found.problems.append(f"{table.name} is {present.misplaced}")
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
    if present.keys_are_known and not warehouse.is_created(table):
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
    elif there.is_nullable and there.note.endswith(ADDED_LATE):
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
    """Keys and indexes that are not there. An index stands before the key that uses it."""

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
    for name in table.primary_key.columns.keys():  # noqa: SIM118  # one, or none
        yield table.primary_key, name, present.primary_key == name
    for key in table.constraints:
        if isinstance(key, sa.UniqueConstraint):
            (name,) = key.columns.keys()
            yield key, name, name in present.unique


def _other_keys(table: Table, present: PresentTable) -> Iterator[str]:
    """Keys that are there and differ from the declared ones."""
    key = ", ".join(table.primary_key.columns.keys())
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
    found.undeletable = [name for name, table in present.items() if not table.may_delete]
    found.denied += [
        f"read and write the table {name}" for name, table in present.items() if not table.may_load
    ]


def refuse(warehouse: Warehouse, found: Drift) -> None:
    """Stop a run that could not load the star.

    Raises `SchemaDriftError` if the star does not fit, `WarehouseError` if our role lacks a right.
    """
    if found.problems:
        raise SchemaDriftError(
            f"the warehouse's tables do not fit: {'; '.join(found.problems)}; "
            "migrate them by hand, or point WAREHOUSE_SCHEMA at an empty schema"
        )
    if found.denied:
        raise _denied(warehouse, found.denied)


def refuse_removals(warehouse: Warehouse, found: Drift, table: Table) -> None:
    """Stop a run that removes rows of `table`. Raises `WarehouseError` if our role may not."""
    if table.name in found.undeletable:
        raise _denied(warehouse, [f"delete from the table {table.name}"])


def _denied(warehouse: Warehouse, denied: list[str]) -> WarehouseError:
    return WarehouseError(
        f"the role of WAREHOUSE_URL {warehouse.config.warehouse_url} may not "
        f"{', nor '.join(denied)}; let the owner of schema {warehouse.schema} run "
        "`python main.py init`: it makes what is missing, and prints the GRANTs"
    )

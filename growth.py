"""A star in use grows: what the warehouse lacks of the declared tables is found, and made.

What differs between engines stays in `warehouse`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table

from config import StarSchemaConfig
from errors import SchemaDriftError, WarehouseError
from schema import plain_type
from warehouse import Warehouse, new_run_id, open_warehouse


@dataclass
class Drift:
    """What the warehouse lacks, and what in it does not fit."""

    missing_tables: list[Table] = field(default_factory=list)
    missing_columns: list[tuple[Table, sa.Column[Any]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def drift(warehouse: Warehouse, tables: Iterable[Table]) -> Drift:
    """How the warehouse's tables differ from the declared ones. Changes nothing."""
    found, declared = Drift(), list(tables)
    columns = warehouse.present_columns(declared)
    for table in declared:
        present = columns.get(table.name)
        if not present:
            found.missing_tables.append(table)
            continue
        found.problems += [
            f"{table.name} has a column {name} that this version does not know"
            for name in present
            if name not in table.columns
        ]
        for column in table.columns:
            wanted = warehouse.type_name(plain_type(column)).lower().replace(", ", ",")
            if column.name not in present:
                found.missing_columns.append((table, column))
            elif _same_type(present[column.name]) != _same_type(wanted):
                found.problems.append(
                    f"{table.name}.{column.name} is {present[column.name]} instead of {wanted}"
                )
    return found


def create_missing(warehouse: Warehouse, tables: Iterable[Table]) -> None:
    """Create tables that are missing, add columns that an older warehouse lacks.

    Raises `SchemaDriftError` on any other difference.
    """
    warehouse.create_schema()
    found = drift(warehouse, tables)
    if found.problems:
        raise SchemaDriftError(
            f"the warehouse's tables do not fit: {'; '.join(found.problems)}; "
            "migrate them by hand, or point WAREHOUSE_SCHEMA at an empty schema"
        )
    for table in found.missing_tables:
        warehouse.create(table)
    for table, column in found.missing_columns:
        warehouse.add_column(table, sa.Column(column.name, column.type))


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
        with open_warehouse(config, new_run_id()) as warehouse:
            found = drift(warehouse, tables)
            lines.append(f"  reachable: {warehouse.version()}, schema {warehouse.schema}")
    except WarehouseError as error:
        return [*lines, f"  problem: {error}"], False
    if len(found.missing_tables) == len(tables):
        lines.append("  no star there yet; the first run creates it")
    else:
        missing = [f"{table.name}" for table in found.missing_tables]
        missing += [f"{table.name}.{column.name}" for table, column in found.missing_columns]
        lines += [f"  the next run adds: {', '.join(missing)}"] if missing else []
        lines += [f"  problem: {problem}" for problem in found.problems]
        lines += [] if found.problems else ["  the star there fits"]
    return lines, not found.problems


def _same_type(name: str) -> str:
    name = name.replace("decimal(", "numeric(")
    return {"varchar": "text", "timestamptz": "timestamp with time zone"}.get(name, name)

"""Tables, views and columns as DuckDB's catalog has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from warehouse.catalog import PresentColumn, PresentTable, Relation


def present_tables(
    connection: Connection, schema: str, named: dict[str, Table]
) -> dict[str, PresentTable]:
    """Those of `named`, quoted name -> table, that are in a DuckDB `schema`.

    Each is described by itself: a query of all columns makes DuckDB build all its system views
    first, which takes longer than all other queries of a small run together.
    """
    catalog = sa.func.duckdb_tables().table_valued("schema_name", "table_name")
    query = sa.select(catalog.c.table_name).where(catalog.c.schema_name == schema)
    there = set(connection.execute(query).scalars())
    present = {}
    for qualified, table in named.items():
        if table.name in there:
            described = connection.exec_driver_sql(f"DESCRIBE {qualified}")
            columns = {
                row.column_name: PresentColumn(str(row.column_type).lower(), row.null == "YES")
                for row in described
            }
            present[table.name] = PresentTable(columns)
    if any(_lacks_not_null(present.get(table.name), table) for table in named.values()):
        _add_notes(connection, schema, present)
    return present


def relations(
    connection: Connection, schema: str, names: Sequence[str], *, with_columns: bool = True
) -> dict[str, Relation]:
    """What has one of `names` in a DuckDB `schema`, with its comments; those of columns, which take
    longest, only if they are wanted. DuckDB makes no difference between `sales` and `Sales`.
    """
    wanted = {name.lower(): name for name in names}
    found: dict[str, Relation] = {}
    for kind, catalog in (("table", sa.func.duckdb_tables()), ("view", sa.func.duckdb_views())):
        listed = catalog.table_valued("database_name", "schema_name", f"{kind}_name", "comment")
        for name, comment in connection.execute(_here(listed, schema, listed.c[f"{kind}_name"])):
            if name.lower() in wanted:
                found[wanted[name.lower()]] = Relation(kind, comment or "")
    if with_columns and found:
        listed = sa.func.duckdb_columns().table_valued(
            "database_name", "schema_name", "table_name", "column_name", "comment", "column_index"
        )
        query = _here(listed, schema, listed.c.table_name, listed.c.column_name)
        for name, column, comment in connection.execute(query.order_by(listed.c.column_index)):
            if name.lower() in wanted:
                found[wanted[name.lower()]].columns[column] = comment or ""
    return found


def _here(listed: sa.TableValuedAlias, schema: str, *columns: sa.ColumnElement[str]) -> Any:
    """What a catalog lists of our file: staged rows are in a database of their own."""
    is_here = listed.c.database_name == sa.func.current_database()
    query: Any = sa.select(*columns, listed.c.comment)
    return query.where(is_here, listed.c.schema_name == schema)


def _lacks_not_null(present: PresentTable | None, table: Table) -> bool:
    return present is not None and any(
        not column.nullable and name in present.columns and present.columns[name].is_nullable
        for name, column in table.columns.items()
    )


def _add_notes(connection: Connection, schema: str, present: dict[str, PresentTable]) -> None:
    catalog = sa.func.duckdb_columns().table_valued(
        "schema_name", "table_name", "column_name", "comment"
    )
    query = sa.select(catalog.c.table_name, catalog.c.column_name, catalog.c.comment)
    for table, name, note in connection.execute(
        query.where(catalog.c.schema_name == schema, catalog.c.comment.is_not(None))
    ):
        if table in present:
            columns = present[table].columns
            columns[name] = PresentColumn(columns[name].type, columns[name].is_nullable, note)

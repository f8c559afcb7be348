"""Tables, columns and keys as PostgreSQL's catalog has them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from warehouse.catalog import PresentColumn, PresentTable, Reference, Relation

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}


def present_tables(
    connection: Connection, schema: str, tables: Sequence[Table], *, stages_there: bool = False
) -> dict[str, PresentTable]:
    """Those of `tables` that are in a PostgreSQL `schema`, and what our role may do with them. With
    `stages_there` staged rows are in tables of that schema, and in temporary ones without.
    """
    asked = {"schema": schema, "tables": [table.name for table in tables]}
    present: dict[str, PresentTable] = {}
    for row in connection.execute(_COLUMNS, {**asked, "stages_there": stages_there}):
        table = present.setdefault(
            row.relname,
            PresentTable({}, row.may_alter, row.may_load, row.may_delete, keys_are_known=True),
        )
        table.columns[row.attname] = PresentColumn(row.type, not row.attnotnull, row.note or "")
    for row in connection.execute(_KEYS, asked) if present else ():
        if row.relname in present:
            _add_key(present[row.relname], row)
    return present


def relations(connection: Connection, schema: str, names: Sequence[str]) -> dict[str, Relation]:
    """What has one of `names` in a PostgreSQL `schema`, with all comments."""
    found: dict[str, Relation] = {}
    for row in connection.execute(_RELATIONS, {"schema": schema, "names": list(names)}):
        kind = _KINDS.get(row.kind, "relation")
        told = found.setdefault(row.relname, Relation(kind, row.note or "", row.may_alter))
        if row.attname is not None:
            told.columns[row.attname] = row.column_note or ""
    return found


def _add_key(table: PresentTable, row: sa.Row[tuple[str, ...]]) -> None:
    if row.kind == "p":
        table.primary_key = row.columns
    elif row.kind == "u":
        table.unique.add(row.columns)
    elif row.kind == "f":
        table.references[row.columns] = Reference(row.name, row.target, row.is_valid)
    else:
        table.indexed.add(row.columns.partition(",")[0])
        if row.kind == "unique index":
            table.unique_indexes[row.columns] = row.name


_COLUMNS = sa.text("""
SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
       pg_catalog.col_description(c.oid, a.attnum) AS note,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS may_alter,
       pg_catalog.has_table_privilege(c.oid, 'DELETE') AS may_delete,
       pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
       AND pg_catalog.has_any_column_privilege(c.oid, 'INSERT')
       AND pg_catalog.has_any_column_privilege(c.oid, 'UPDATE')
       AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
       AND CASE WHEN :stages_there THEN pg_catalog.has_schema_privilege(n.oid, 'CREATE')
       ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')
       END AS may_load
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = ANY(:tables) AND c.relkind IN ('r', 'p')
AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
""")
"""Asked of pg_catalog, as all else: information_schema hides what we do not own."""

_RELATIONS = sa.text("""
SELECT c.relname, c.relkind::text AS kind, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS may_alter,
       pg_catalog.obj_description(c.oid, 'pg_class') AS note, a.attname,
       pg_catalog.col_description(c.oid, a.attnum) AS column_note
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a
ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = :schema AND c.relname = ANY(:names) ORDER BY c.relname, a.attnum
""")

_KEYS = sa.text("""
SELECT c.relname, k.contype::text AS kind, k.conname AS name, k.convalidated AS is_valid,
       (SELECT string_agg(a.attname, ',' ORDER BY n.place)
        FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number
       ) AS columns,
       CASE WHEN f.relnamespace = c.relnamespace THEN ''
       ELSE f.relnamespace::regnamespace::text || '.' END
       || f.relname || '.' || (
        SELECT string_agg(a.attname, ',' ORDER BY n.place)
        FROM unnest(k.confkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number
       ) AS target
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
WHERE s.nspname = :schema AND c.relname = ANY(:tables) AND k.contype IN ('p', 'u', 'f')
UNION ALL
SELECT c.relname,
       CASE WHEN i.indisunique AND i.indimmediate THEN 'unique index' ELSE 'index' END, x.relname,
       true,
       (SELECT string_agg(a.attname, ',' ORDER BY n.place)
        FROM unnest(i.indkey) WITH ORDINALITY AS n (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = n.number
       ), NULL
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname = :schema AND c.relname = ANY(:tables) AND i.indisvalid
AND i.indpred IS NULL AND i.indexprs IS NULL
""")


def has_primary_key(connection: Connection, schema: str, table: Table) -> bool:
    """Whether `table` has a primary key in `schema`."""
    found = connection.execute(
        sa.text(
            "SELECT count(*) FROM pg_catalog.pg_constraint k "
            "JOIN pg_catalog.pg_class c ON c.oid = k.conrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = :schema AND c.relname = :table AND k.contype = 'p'"
        ),
        {"schema": schema, "table": table.name},
    )
    return bool(found.scalar())


def system_identifier(connection: Connection) -> str:
    """The identifier of the server, or "" where our role may not ask for it."""
    may_ask = sa.func.has_function_privilege("pg_catalog.pg_control_system()", "execute")
    if not connection.execute(sa.select(may_ask)).scalar():
        return ""
    query = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
    return str(connection.execute(sa.text(query)).scalar())

"""What a role needs to be granted, as statements for whoever owns the star."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Table

from warehouse.base import Warehouse


def for_loader(warehouse: Warehouse, tables: Iterable[Table], role: str) -> list[str]:
    """The statements that give `role` what it needs to load `tables`, and no more."""
    if not warehouse.has_roles:
        return []
    declared = list(tables)
    grantee, names = warehouse.quoted(role), ", ".join(map(warehouse.qualified, declared))
    on_database, on_schema = warehouse.staging_grants
    shrinking = (t for t in declared if t.foreign_keys or t.info.get("is_pruned"))
    pruned = ", ".join(map(warehouse.qualified, shrinking))
    return [
        f"GRANT {on_database} ON DATABASE {_database(warehouse)} TO {grantee};",
        f"GRANT {on_schema} ON SCHEMA {warehouse.quoted(warehouse.schema)} TO {grantee};",
        f"GRANT SELECT, INSERT, UPDATE ON {names} TO {grantee};",
        f"GRANT DELETE ON {pruned} TO {grantee};",
    ]


def for_reader(warehouse: Warehouse, tables: Iterable[Table], role: str) -> list[str]:
    """The statements with which `role` can read `tables`, and nothing else."""
    if not warehouse.has_roles:
        return []
    grantee, names = warehouse.quoted(role), ", ".join(map(warehouse.qualified, tables))
    return [
        f"GRANT CONNECT ON DATABASE {_database(warehouse)} TO {grantee};",
        f"GRANT USAGE ON SCHEMA {warehouse.quoted(warehouse.schema)} TO {grantee};",
        f"GRANT SELECT ON {names} TO {grantee};",
    ]


def granted(warehouse: Warehouse, view: Table) -> list[str]:
    """The statements that give everybody the rights on `view` which they have now."""
    if not warehouse.has_roles:
        return []
    grants = []
    for row in warehouse.execute(_GRANTED, {"schema": warehouse.schema, "view": view.name}).all():
        role = "PUBLIC" if row.role is None else warehouse.quoted(row.role)
        option = " WITH GRANT OPTION" if row.is_grantable else ""
        grants.append(f"GRANT {row.right} ON {warehouse.qualified(view)} TO {role}{option}")
    return grants


def _database(warehouse: Warehouse) -> str:
    return warehouse.quoted(str(warehouse.scalar(sa.select(sa.func.current_database()))))


_GRANTED = sa.text("""
SELECT g.privilege_type AS right, g.is_grantable, r.rolname AS role
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN pg_catalog.aclexplode(c.relacl) AS g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
WHERE n.nspname = :schema AND c.relname = :view AND g.grantee <> c.relowner
""")

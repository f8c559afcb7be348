"""A role needs few rights, and what others may do misleads nobody."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from cli import main
from support.commands import run_command
from support.retailer import Retailer, changes
from support.sessions import as_role
from support.star import Star


def test_a_role_that_may_neither_create_nor_drop_loads_an_existing_star(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`init` by the owner prints all that the role needs; a statement beyond fails the run."""
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    grants = capsys.readouterr().out.strip().splitlines()
    assert "dim_customer" in " ".join(grants)
    assert not re.search(r"\b(CREATE|TRUNCATE|ALL|DROP|ALTER)\b", " ".join(grants))
    assert "DELETE" not in " ".join(grant for grant in grants if "fact_sales TO" not in grant)
    tables = shop.star.rows("SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'i')")
    shop.star.execute(*grants)
    url = as_role(shop.star, loader_role)

    assert changes(shop.publish(WAREHOUSE_URL=url)) > 0
    shop.customers[0]["city"] = "Paris"
    shop.sales[0]["quantity"] = "9"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "customer_id": "C9"})
    assert changes(shop.publish(WAREHOUSE_URL=url)) == 4
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 4
    shop.files["customers"] = None
    assert shop.run(WAREHOUSE_URL=url)["status"] == "failed"
    assert [status for _, status in shop.star.runs()] == ["published", "published", "failed"]
    after = shop.star.rows("SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'i')")
    assert set(tables) <= set(after)  # none was rewritten, truncated or made anew

    as_loader = Star(url, shop.star.schema)
    for denied in ("DELETE FROM dim_customer", "TRUNCATE fact_sales", "DROP TABLE fact_sales",
                   "CREATE TABLE x (y int)", "ALTER TABLE fact_sales ADD y int"):  # fmt: skip
        with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"):
            as_loader.execute(denied)


def test_a_role_without_rights_is_told_who_gives_them(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the command that prints the GRANTs; nothing changes."""
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    before = shop.star.digest()
    url = as_role(shop.star, loader_role)
    code, _, err = run_command(shop, capsys, WAREHOUSE_URL=url)
    assert code == 1
    assert "main.py init" in err
    assert shop.star.digest() == before


def test_a_hostile_search_path_and_temporary_tables_mislead_nobody(
    postgresql_shop: Retailer, loader_role: str
) -> None:
    """Tables and functions of the names we use, found before ours by whoever does not look."""
    shop = postgresql_shop
    evil = f"evil_{uuid.uuid4().hex[:8]}"
    quoted = '"{}"'.format(loader_role.replace('"', '""'))
    shop.publish()
    functions = [
        f"CREATE FUNCTION {evil}.{signature} LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'misled'; END $$"
        for signature in (
            "pg_try_advisory_lock(integer, integer) RETURNS boolean",
            "round(numeric, integer) RETURNS numeric",
            "set_config(text, text, boolean) RETURNS text",
            "pg_backend_pid() RETURNS integer",
            "current_database() RETURNS name",
            "version() RETURNS text",
            "abs(numeric) RETURNS numeric",
            "pg_current_xact_id() RETURNS xid8",
        )
    ]
    shop.star.execute(
        f"CREATE SCHEMA {evil}",
        f"CREATE TABLE {evil}.fact_sales AS TABLE fact_sales",
        f"CREATE TABLE {evil}.etl_run AS TABLE etl_run",
        f"CREATE TABLE {evil}.pg_class (oid oid)",
        *functions,
        f"ALTER ROLE {quoted} SUPERUSER",
        f"ALTER ROLE {quoted} SET search_path = {evil}, pg_catalog",
    )

    @sa.event.listens_for(sa.engine.Engine, "connect")
    def plant(connection: Any, record: Any) -> None:
        if hasattr(connection, "autocommit"):  # of psycopg2
            with connection.cursor() as cursor:
                for table in ("fact_sales", "dim_customer", "etl_run", "stage_fact_sales"):
                    cursor.execute(f"CREATE TEMP TABLE {table} (x integer)")
            connection.commit()

    try:
        shop.sales[0]["quantity"] = "9"
        results = shop.publish(WAREHOUSE_URL=as_role(shop.star, loader_role))
    finally:
        sa.event.remove(sa.engine.Engine, "connect", plant)
        shop.star.execute(f"DROP SCHEMA {evil} CASCADE")
    assert results["fact_loading_results"]["records_updated"] == 1
    quantity = "SELECT quantity FROM fact_sales WHERE transaction_id = 'T1'"
    assert shop.star.scalar(quantity) == 9
    assert len(shop.star.runs()) == 2

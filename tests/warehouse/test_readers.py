"""Who only reads: their rights, and what their tools find when they ask the catalog for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

import schema
from cli import main
from common.descriptions import in_full, plain
from common.star_model import Role, columns_of, target_of
from errors import WarehouseError
from star import open_star
from support.retailer import Retailer, changes, tomorrow
from support.sessions import as_role
from support.star import Star

TABLES = {table.name for table in (*schema.STAR.dimensions, schema.fact_sales)}
VIEWS = {"sales", "dates"}
KEYS = {
    (schema.fact_sales.name, key.name, target_of(key).name)
    for key in columns_of(schema.fact_sales, Role.DIMENSION_KEY)
}


@pytest.fixture
def reader(postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]) -> Star:
    """A published star, for a role that has what `init --reader` prints, and no more."""
    shop = postgresql_shop
    shop.publish()
    capsys.readouterr()
    assert main(["--env-file", shop.env_file(), "init", "--reader", loader_role]) == 0
    shop.star.execute(*capsys.readouterr().out.strip().splitlines())
    return Star(as_role(shop.star, loader_role), shop.star.schema)


def test_a_reader_reads_the_star_and_nothing_else(reader: Star) -> None:
    for relation in TABLES | VIEWS:
        assert reader.scalar(f"SELECT count(*) FROM {relation}") > 0
    for denied in (
        "SELECT * FROM etl_run", "SELECT * FROM etl_change", "DELETE FROM fact_sales",
        "UPDATE dim_customer SET city = ''", "UPDATE dates SET year = 0",
        "TRUNCATE fact_sales", "CREATE TABLE x (y int)", "DROP VIEW sales",
    ):  # fmt: skip
        with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"):
            reader.execute(denied)


def test_init_prints_the_rights_of_all_who_are_named(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["init", "--reader", "eve", "--reader", 'R"D', "--role", "night"]
    assert main(["--env-file", shop.env_file(), *asked]) == 0
    told = capsys.readouterr()
    if shop.star.engine_name == "duckdb":
        assert told.out.strip() == ""
        assert "has no roles" in told.err
        return
    names = [re.sub(r".* TO (.*);", r"\1", line) for line in told.out.strip().splitlines()]
    assert list(dict.fromkeys(names)) == ["night", "eve", '"R""D"']
    assert main(["--env-file", shop.env_file(), "init", "--reader", "eve"]) == 0
    assert "loader" not in capsys.readouterr().out


def test_rights_are_printed_for_what_is_there(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A type has the name of a view, which cannot be made then; a GRANT of it would fail whole."""
    shop = postgresql_shop
    shop.star.execute(f'CREATE SCHEMA "{shop.star.schema}"', "CREATE DOMAIN sales AS integer")
    assert main(["--env-file", shop.env_file(), "init", "--reader", loader_role]) == 0
    told = capsys.readouterr()
    assert "the view sales could not be made: type" in told.err
    shop.star.execute(*told.out.strip().splitlines())
    reader = Star(as_role(shop.star, loader_role), shop.star.schema)
    assert reader.scalar("SELECT count(*) FROM dates") == 0
    assert reader.scalar("SELECT count(*) FROM fact_sales") == 0


def test_what_a_reader_lacks_is_told_in_words(
    postgresql_shop: Retailer, reader: Star, tmp_path: Path
) -> None:
    """An export says of which run it is, and readers do not see the runs."""
    star = open_star(postgresql_shop.config(WAREHOUSE_URL=reader.url))
    assert star.sales(by="year").arrow().num_rows == 1
    for ask in (lambda: star.export(tmp_path / "out"), star.etl_run.df):
        with pytest.raises(WarehouseError, match="permission denied for table etl_run"):
            ask()
    assert not (tmp_path / "out").exists()


def test_what_a_loader_may_not_do_is_told_and_done_by_init(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A star of a version before, whose owner has not run `init` since."""
    shop = postgresql_shop
    env = shop.env_file()
    assert main(["--env-file", env, "init", "--role", loader_role]) == 0
    shop.star.execute(*capsys.readouterr().out.strip().splitlines())
    shop.star.execute(
        "DROP VIEW sales",
        "COMMENT ON COLUMN dim_product.brand IS NULL",
        "COMMENT ON COLUMN dates.year IS NULL",
    )
    url = as_role(shop.star, loader_role)
    told = shop.publish(WAREHOUSE_URL=url)["warnings"]
    assert [
        re.sub(r".* may not (.*); let the owner.* run (.*)", r"\1: \2", text) for text in told
    ] == [
        "make the view sales: `python main.py init`",
        "comment on dim_product, dates: `python main.py init`",
    ]
    assert main(["--env-file", env, "init", "--role", loader_role]) == 0
    tomorrow(shop)
    again = shop.publish(WAREHOUSE_URL=url)
    assert changes(again) > 0
    assert again["warnings"] == []


# --- a view that must change ----------------------------------------------------------------


def another(star: Star) -> None:
    """Have the view `sales` as a version made it that called a column otherwise."""
    comment = star.scalar("SELECT obj_description('sales'::regclass)")
    star.execute("ALTER VIEW sales RENAME COLUMN category TO kind")
    assert comment.endswith("kept by star-schema-etl")


def test_a_view_that_is_made_anew_keeps_its_rights(postgresql_shop: Retailer, reader: Star) -> None:
    another(postgresql_shop.star)
    postgresql_shop.star.execute("GRANT SELECT ON sales TO PUBLIC")
    granted = "SELECT relacl::text FROM pg_class WHERE oid = 'sales'::regclass"
    before = postgresql_shop.star.scalar(granted)
    postgresql_shop.publish()
    assert sorted(postgresql_shop.star.scalar(granted)) == sorted(before)
    assert reader.column("SELECT category FROM sales ORDER BY 1") == ["Home", "Office", "Office"]


def test_a_view_on_which_another_depends_stays_and_is_told(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    another(shop.star)
    shop.star.execute("CREATE VIEW mine AS SELECT kind, net_amount FROM sales")
    (told,) = shop.publish_in_full()["warnings"]
    assert "the view sales could not be made as it ought to be" in told
    assert "other objects depend on it" in told
    assert len(shop.star.column("SELECT kind FROM mine")) == 3
    shop.star.execute("DROP VIEW mine")
    assert shop.publish()["warnings"] == []
    assert len(shop.star.column("SELECT category FROM sales")) == 3


def test_somebody_who_reads_a_view_for_long_is_not_waited_for(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    another(shop.star)
    with shop.star.connection() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sales")
        (told,) = shop.publish_in_full()["warnings"]
        connection.rollback()
    assert "lock timeout" in told
    assert shop.publish_in_full()["warnings"] == []
    assert len(shop.star.column("SELECT category FROM sales")) == 3


# --- what tools ask -------------------------------------------------------------------------


def test_superset_finds_tables_and_views(shop: Retailer) -> None:
    """It asks as SQLAlchemy does."""
    shop.publish()
    place = shop.star.schema
    with shop.star.connection() as connection:
        found = sa.inspect(connection)
        assert set(found.get_table_names(place)) == {table.name for table in schema.STAR.tables}
        assert set(found.get_view_names(place)) == VIEWS


def test_superset_finds_comments_and_keys_as_a_reader(reader: Star) -> None:
    with reader.connection() as connection:
        found = sa.inspect(connection)
        for table in (*schema.STAR.dimensions, schema.fact_sales):
            comment = found.get_table_comment(table.name, reader.schema)["text"]
            assert comment == plain(in_full(table))
            told = {c["name"]: c["comment"] for c in found.get_columns(table.name, reader.schema)}
            assert told == {c.name: plain(in_full(c)) for c in table.columns}
            (key,) = table.primary_key.columns
            there = found.get_pk_constraint(table.name, reader.schema)
            assert there["constrained_columns"] == [key.name]
        assert all(c["comment"] for c in found.get_columns("sales", reader.schema))
        keys = found.get_foreign_keys(schema.fact_sales.name, reader.schema)
        told_of = {(k["constrained_columns"][0], k["referred_table"]) for k in keys}
        assert told_of == {(name, target) for _, name, target in KEYS}


JDBC_TABLES = """
SELECT n.nspname AS table_schem, c.relname AS table_name, d.description AS remarks,
       CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END AS table_type
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0
AND d.classoid = 'pg_class'::regclass
WHERE n.nspname = :place AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
"""
"""As the JDBC driver asks for tables, and Metabase for those that it may read."""
JDBC_COLUMNS = """
SELECT c.relname, a.attname, d.description, a.attnotnull OR t.typtype = 'd' AND t.typnotnull,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON a.atttypid = t.oid
LEFT JOIN pg_catalog.pg_attrdef def ON a.attrelid = def.adrelid AND a.attnum = def.adnum
LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND a.attnum = d.objsubid
WHERE n.nspname = :place AND a.attnum > 0 AND NOT a.attisdropped
AND c.relkind IN ('r', 'p', 'v', 'f', 'm') ORDER BY c.relname, a.attnum
"""
"""As the JDBC driver, and so DBeaver, asks for columns."""
IMPORTED_KEYS = """
SELECT fkc.relname, fka.attname, pkc.relname
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class pkc ON pkc.oid = con.confrelid
JOIN pg_catalog.pg_class fkc ON fkc.oid = con.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = fkc.relnamespace
CROSS JOIN LATERAL generate_series(1, array_length(con.conkey, 1)) AS pos (n)
JOIN pg_catalog.pg_attribute fka ON fka.attrelid = fkc.oid AND fka.attnum = con.conkey[pos.n]
WHERE con.contype = 'f' AND n.nspname = :place
"""
"""As the drivers of JDBC and ODBC ask for foreign keys; Metabase, too."""
ODBC_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, a.atttypid, t.typname, a.attnum, a.attlen, a.atttypmod,
       a.attnotnull, c.relhasrules, c.relkind, c.oid, pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_class c INNER JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
AND c.relname LIKE 'sales' AND n.nspname = :place
INNER JOIN pg_catalog.pg_attribute a ON NOT a.attisdropped AND a.attnum > 0
AND a.attrelid = c.oid INNER JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT OUTER JOIN pg_catalog.pg_attrdef d ON a.atthasdef AND d.adrelid = a.attrelid
AND d.adnum = a.attnum ORDER BY n.nspname, c.relname, a.attnum
"""
"""As the ODBC driver, and so Excel, asks for the columns of the view."""
REFERENCES = """
SELECT fk.table_name, fk.column_name, pk.table_name
FROM information_schema.referential_constraints r
JOIN information_schema.key_column_usage fk ON fk.constraint_schema = r.constraint_schema
AND fk.constraint_name = r.constraint_name
JOIN information_schema.key_column_usage pk
ON pk.constraint_schema = r.unique_constraint_schema
AND pk.constraint_name = r.unique_constraint_name AND pk.ordinal_position = fk.ordinal_position
WHERE fk.table_schema = :place
"""
"""As Power BI asks for relationships."""


def test_metabase_and_dbeaver_find_comments_and_keys_as_a_reader(reader: Star) -> None:
    found = reader.rows(JDBC_TABLES, place=reader.schema)
    assert {(name, kind) for _, name, _, kind in found} == {
        *((name, "TABLE") for name in TABLES), *((name, "VIEW") for name in VIEWS),
    }  # fmt: skip
    assert all(remarks for _, _, remarks, _ in found)
    columns = reader.rows(JDBC_COLUMNS, place=reader.schema)
    assert {relation for relation, *_ in columns} >= TABLES | VIEWS
    assert [row for row in columns if not row[2]] == []
    assert set(reader.rows(IMPORTED_KEYS, place=reader.schema)) == KEYS
    tables = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = :p"
    assert dict(reader.rows(tables, p=reader.schema)) == {
        **dict.fromkeys(TABLES, "BASE TABLE"), **dict.fromkeys(VIEWS, "VIEW"),
    }  # fmt: skip


def test_excel_finds_the_columns_of_the_view_and_their_types(reader: Star) -> None:
    found = reader.rows(ODBC_COLUMNS, place=reader.schema)
    types = {row[2]: row[4] for row in found}
    assert types["full_date"] == "date"
    assert types["net_amount"] == "numeric"
    assert types["year_month"] == "text"


def test_power_bi_sees_keys_as_who_may_write_and_none_as_a_reader(
    postgresql_shop: Retailer, reader: Star
) -> None:
    """PostgreSQL shows references there only to who may do more than read: Power BI then finds
    relationships by the names of the keys, which are the same on both sides.
    """
    owner = postgresql_shop.star
    assert set(owner.rows(REFERENCES, place=owner.schema)) == KEYS
    assert reader.rows(REFERENCES, place=reader.schema) == []
    for key in columns_of(schema.fact_sales, Role.DIMENSION_KEY):
        assert key.name in target_of(key).columns


def test_duckdb_tells_tools_the_same(duckdb_shop: Retailer) -> None:
    """As its drivers for JDBC and ODBC ask."""
    duckdb_shop.publish()
    star = duckdb_shop.star
    tables = "SELECT table_name, table_type, TABLE_COMMENT FROM information_schema.tables"
    found = {name: (kind, comment) for name, kind, comment in star.rows(tables)}
    assert found.keys() == {table.name for table in schema.STAR.tables} | VIEWS
    assert all(comment for _, comment in found.values())
    assert {name for name, (kind, _) in found.items() if kind == "VIEW"} == VIEWS
    columns = "SELECT table_name, column_name, COLUMN_COMMENT FROM information_schema.columns"
    assert [row for row in star.rows(columns) if not row[2]] == []

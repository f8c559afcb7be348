"""The tables of the star in the warehouse, and the schema that they are in."""

from __future__ import annotations

import re
import uuid

import sqlalchemy as sa

import schema
from common.star_model import business_key
from support.retailer import Retailer
from support.star import Star, dropping
from warehouse import open_warehouse

STAR_TABLES = {table.name for table in schema.metadata.sorted_tables}


def test_the_warehouse_holds_the_star_and_the_runs_and_nothing_else(shop: Retailer) -> None:
    for _ in range(2):
        shop.publish_in_full()
    assert shop.star.tables() == STAR_TABLES
    assert [*(shop.folder / "work").iterdir()] == []


def test_postgresql_declares_keys_and_an_index_per_foreign_key(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    for _ in range(2):  # the second load finds them as the first one left them
        shop.publish_in_full()
        found = shop.star.rows(
            "SELECT tc.table_name, tc.constraint_type, k.column_name "
            "FROM information_schema.table_constraints tc "
            "JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name) "
            "WHERE tc.table_schema = current_schema()"
        )
        expected = {(table.name, "PRIMARY KEY", key) for table, key in primary_keys()}
        expected |= {
            (table.name, "UNIQUE", business_key(table).name)
            for table in schema.STAR.dimensions
            if table is not schema.dim_date
        }
        foreign = {"customer_key", "product_key", "sales_rep_key", "date_key"}
        expected |= {("fact_sales", "FOREIGN KEY", key) for key in foreign}
        assert set(found) == expected
        indexes = shop.star.column(
            "SELECT indexdef FROM pg_indexes "
            "WHERE schemaname = current_schema() AND tablename = 'fact_sales'"
        )
        indexed = {re.sub(r".*\((.*)\)", r"\1", text) for text in indexes}
        assert indexed == foreign | {"transaction_id"}


def primary_keys() -> list[tuple[sa.Table, str]]:
    """Of the tables that have one: a list of changes has none."""
    tables = schema.metadata.sorted_tables
    return [(table, key.name) for table in tables for key in table.primary_key.columns]


def test_a_schema_of_any_name_is_made_and_used(shop: Retailer) -> None:
    name = f'Sales "Mart" {uuid.uuid4().hex[:8]}'
    quoted = '"{}"'.format(name.replace('"', '""'))
    for _ in range(2):
        shop.publish_in_full(WAREHOUSE_SCHEMA=name)
    assert shop.star.scalar(f"SELECT count(*) FROM {quoted}.fact_sales") == 3
    assert shop.star.tables() == set()
    shop.star.execute(f"DROP SCHEMA {quoted} CASCADE")


def test_stars_in_two_schemas_do_not_wait_for_each_other(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    with open_warehouse(shop.config(), "another-run"):
        assert shop.run()["status"] == "busy"
        with dropping(Star(shop.star.url, f"{shop.star.schema}_2")) as other:
            other_shop = Retailer(shop.folder, other)
            assert other_shop.run()["status"] == "published"

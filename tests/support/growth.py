"""A star in use that gets what a newer version declares."""

from __future__ import annotations

from typing import Any

from support.retailer import Retailer
from support.star import Star

KEY = ("ALTER TABLE fact_sales DROP COLUMN sales_rep_key",)


def declared(star: Star) -> dict[str, Any]:
    """Type, default and NOT NULL of each column, keys and indexes, as the engine has them."""
    if star.engine_name == "duckdb":
        columns = (
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = current_schema()"
        )
        return {"columns": sorted(star.rows(columns))}
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = current_schema()"
    )
    keys = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated "
        "FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    return {
        "columns": sorted(star.rows(columns)),
        "keys": sorted(star.rows(keys)),
        "indexes": sorted(star.rows(indexes)),
    }


def part_of_the_sales(shop: Retailer) -> None:
    """The night brings one old sale, corrected, and a new one; T2 and T3 do not come again."""
    shop.sales = [
        shop.sales[0] | {"quantity": "5"},
        shop.sales[2] | {"transaction_id": "T4", "discount_amount": "1"},
    ]

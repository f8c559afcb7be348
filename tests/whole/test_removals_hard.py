"""Traps around what goes away: nothing is removed because it was not read, or read wrongly."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.retailer import Retailer, counts
from support.tables import Row

FULL = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}


def sales(shop: Retailer) -> set[str]:
    """The sales that the star has."""
    return set(shop.star.column("SELECT transaction_id FROM fact_sales"))


def removed(results: Row) -> tuple[int, int]:
    """How many sales a run has removed, by flag and by absence."""
    told = results["fact_loading_results"]["records_deleted"]
    return told["by_flag"], told["by_absence"]


def test_new_rows_do_not_make_room_for_more_removals(shop: Retailer) -> None:
    """The limit is a share of what the star has, not of what it would have."""
    shop.publish()
    shop.sales = [{**sale, "transaction_id": f"N{n}"} for n in range(100) for sale in shop.sales]
    results = shop.run(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="0.5")
    assert results["status"] == "gate_failed"
    assert "3 of 3 rows of fact_sales" in results["errors"][0]
    assert sales(shop) == {"T1", "T2", "T3"}


def test_new_members_do_not_make_room_for_more_removals(shop: Retailer) -> None:
    shop.publish()
    shop.customers = [{**shop.customers[0], "customer_id": f"N{n}"} for n in range(100)]
    results = shop.run(CUSTOMERS__EXTRACT="full", MAX_DELETE_RATE="0.5")
    assert results["status"] == "gate_failed"
    assert "2 of 2 rows of dim_customer" in results["errors"][0]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_status_that_cannot_be_read_is_neither_skipped_nor_loaded(
    form: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    path = shop.folder / f"sales.{form}"
    rows = [{**sale, "status": "void\0ed"} for sale in shop.sales]
    if form == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    skip = {"TRANSACTIONS__SKIP_WHEN": '{"status": ["voided"]}', "TRANSACTIONS__PATH": path}
    results = shop.publish(**skip)
    assert shop.reasons(results) == ["invalid_text"] * 3
    assert counts(results, "fact_sales") == (0, 0, 0)

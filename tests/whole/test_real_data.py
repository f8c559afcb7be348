"""Northwind and Chinook: every true total, to the last decimal, through the star's joins."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from support.absent import shared_data
from support.retailer import Retailer
from support.star import Star

SALES = """
    FROM fact_sales f
    JOIN dim_customer c ON c.customer_key = f.customer_key
    JOIN dim_product p ON p.product_key = f.product_key
    JOIN dim_sales_rep r ON r.sales_rep_key = f.sales_rep_key
    JOIN dim_date d ON d.date_key = f.date_key
"""


@pytest.fixture(params=["northwind", "chinook"])
def loaded(request: pytest.FixtureRequest, shop: Retailer) -> tuple[Star, Any, Any]:
    """A star with one of the data sets, the summary of its load, and the truth about it."""
    folder = shared_data(request.param)
    results = shop.publish(
        CUSTOMERS__PATH=folder / "customers.csv",
        PRODUCTS__PATH=folder / "products.json",
        TRANSACTIONS__PATH=folder / "sales.csv",
        SALES_REPS__PATH=folder / "sales_reps.csv",
        MAX_REJECT_RATE=0,
    )
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return shop.star, results, truth


def test_every_total_equals_the_truth_through_the_joins(loaded: tuple[Star, Any, Any]) -> None:
    star, results, truth = loaded
    for result in results["transformation_results"].values():
        assert result["rejected"] == {}
        assert result["duplicates"] == 0
    totals = star.row(
        "SELECT count(*), count(DISTINCT f.transaction_id), sum(f.quantity), sum(f.gross_amount), "
        "sum(f.discount_amount), sum(f.net_amount), min(d.full_date), max(d.full_date), "
        f"count(DISTINCT c.customer_id) {SALES}"
    )
    rows, distinct, *sums, first, last, customers = totals
    assert [rows, distinct] == [truth["sales_lines"], truth["distinct_transaction_ids"]]
    assert all(isinstance(total, Decimal) for total in sums)
    assert sums == [Decimal(truth[n]) for n in ("sum_quantity", "gross", "discount", "net")]
    assert [first.isoformat(), last.isoformat()] == [truth["first_date"], truth["last_date"]]
    assert customers == truth["customers_that_bought"]


def test_net_by_rep_and_by_year_equals_the_truth(loaded: tuple[Star, Any, Any]) -> None:
    star, _, truth = loaded
    by_rep = star.rows(f"SELECT r.sales_rep_id, sum(f.net_amount) {SALES} GROUP BY 1")
    assert dict(by_rep) == {i: Decimal(net) for i, net in truth["net_by_sales_rep"].items()}
    by_year = star.rows(f"SELECT d.year, sum(f.net_amount) {SALES} GROUP BY 1")
    assert {str(y): net for y, net in by_year} == {
        year: Decimal(net) for year, net in truth["net_by_year"].items()
    }


def test_every_member_is_there_and_none_is_inferred(loaded: tuple[Star, Any, Any]) -> None:
    star, _, truth = loaded
    for table, key, source in (
        ("dim_customer", "customer_key", "customers"),
        ("dim_product", "product_key", "products"),
        ("dim_sales_rep", "sales_rep_key", "sales_reps"),
    ):
        members = f"SELECT count(*) FROM {table} WHERE {key} > 0 AND NOT is_inferred"
        assert star.scalar(members) == truth[source]
        assert star.column(f"SELECT count(*) FROM {table} WHERE is_inferred") == [0]
        assert star.scalar(f"SELECT count(*) FROM fact_sales WHERE {key} = -1") == 0


def test_the_summary_reconciles_with_the_truth(loaded: tuple[Star, Any, Any]) -> None:
    _, results, truth = loaded
    money = results["validation_results"]["reconciliation"]["money"]
    assert Decimal(money["read"]) == Decimal(money["loaded"]) == Decimal(truth["net"])
    assert {money[part] for part in ("unchanged", "duplicate", "rejected")} == {"0.0000"}
    assert results["validation_results"]["data_quality_score"] == 100


def test_a_second_load_of_real_data_changes_nothing(shop: Retailer) -> None:
    folder = shared_data("chinook")
    paths = {
        "CUSTOMERS__PATH": folder / "customers.csv",
        "PRODUCTS__PATH": folder / "products.json",
        "TRANSACTIONS__PATH": folder / "sales.csv",
        "SALES_REPS__PATH": folder / "sales_reps.csv",
    }
    shop.publish(**paths)
    before = shop.star.digest()
    results = shop.publish_in_full(**paths)
    assert results["fact_loading_results"]["records_unchanged"] == 2240
    assert shop.star.digest() == before

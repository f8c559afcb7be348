"""References that differ from their members' keys only in the case of letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli import main
from support.formats import write_files, write_sqlite
from support.retailer import Retailer, changes, counts
from support.tables import Row

FOLD = {"PRODUCTS__KEY_CASE": "fold", "CUSTOMERS__KEY_CASE": "fold"}
NAMED = """
    SELECT f.transaction_id, c.customer_id, p.product_id, p.product_name, f.profit_amount
    FROM fact_sales f JOIN dim_customer c USING (customer_key)
    JOIN dim_product p USING (product_key)
    ORDER BY 1
"""
PRODUCTS = (
    "SELECT product_key, product_id, is_inferred FROM dim_product WHERE product_key > 0 ORDER BY 1"
)


def sales(*named: tuple[str, str]) -> list[Row]:
    """A sale for each pair of a customer's and a product's id."""
    return [
        {
            "transaction_id": f"T{number}", "transaction_date": "2026-01-05",
            "customer_id": customer, "product_id": product, "quantity": 1, "unit_price": 3,
        }
        for number, (customer, product) in enumerate(named)
    ]  # fmt: skip


def products(*ids: str) -> list[Row]:
    return [{"product_id": text, "name": f"Cup {text}", "price": 3, "cost": 1} for text in ids]


def named(shop: Retailer) -> list[tuple[Any, ...]]:
    return [row[:4] for row in shop.star.rows(NAMED)]


def test_a_reference_finds_its_member_whatever_its_case(shop: Retailer) -> None:
    shop.products = products("85123A", "Straße-É")
    shop.sales = sales(
        ("C1", "85123A"), ("c1", "85123a"), ("C1", "STRASSE-e\u0301"), ("", "85123a ")
    )
    results = shop.publish(**FOLD)
    assert named(shop) == [
        ("T0", "C1", "85123A", "Cup 85123A"),
        ("T1", "C1", "85123A", "Cup 85123A"),
        ("T2", "C1", "Straße-É", "Cup Straße-É"),
        ("T3", "", "85123A", "Cup 85123A"),
    ]
    assert shop.star.column("SELECT DISTINCT profit_amount FROM fact_sales") == [2]
    assert not [text for text in results["warnings"] if "without a record" in text]
    assert changes(shop.publish_in_full(**FOLD)) == 0


def test_without_the_setting_they_are_two_members_and_told(duckdb_shop: Retailer) -> None:
    duckdb_shop.products = products("85123A")
    duckdb_shop.sales = sales(("C1", "85123A"), ("c1", "85123a"))
    results = duckdb_shop.publish()
    assert [row[1:3] for row in named(duckdb_shop)] == [("C1", "85123A"), ("c1", "85123a")]
    assert any("KEY_CASE=fold" in text for text in results["warnings"])


def test_two_spellings_of_an_unknown_id_are_one_placeholder_which_its_record_fills(
    shop: Retailer,
) -> None:
    shop.products = products("P1")
    shop.sales = sales(("C1", "new-x"), ("C1", "NEW-X"), ("C1", "New-X"))
    shop.publish(**FOLD)
    inferred = shop.star.rows(PRODUCTS)
    assert [row[1:] for row in inferred] == [("P1", False), ("new-x", True)]
    shop.sales = sales(("C1", "nEW-x"))
    shop.publish_in_full(**FOLD)
    assert shop.star.rows(PRODUCTS) == inferred
    shop.products = products("P1", "NEW-x")
    results = shop.publish_in_full(**FOLD)
    assert shop.star.rows(PRODUCTS) == [inferred[0], (inferred[1][0], "NEW-x", False)]
    assert counts(results, "dim_product") == (0, 1, 1)
    assert {row[2:] for row in named(shop)} == {("NEW-x", "Cup NEW-x")}


def test_a_member_that_the_source_spells_otherwise_keeps_its_surrogate_key(shop: Retailer) -> None:
    shop.products = products("85123a", "P2")
    shop.sales = sales(("C1", "85123A"))
    shop.publish(**FOLD)
    before = shop.star.rows(PRODUCTS)
    shop.products[0]["product_id"] = "85123A"
    results = shop.publish(**FOLD)
    assert shop.star.rows(PRODUCTS) == [(before[0][0], "85123A", False), before[1]]
    assert [text for text in results["warnings"] if "written as the source has them" in text]
    shop.products = products("P2")  # a night that brings only some of them
    shop.sales = sales(("C1", "85123a"))
    shop.publish(**FOLD)
    assert shop.star.rows(PRODUCTS) == [(before[0][0], "85123A", False), before[1]]


@pytest.mark.parametrize("night", ["first", "second"])
def test_two_members_that_fold_together_stop_the_run(shop: Retailer, night: str) -> None:
    if night == "second":
        shop.publish(**FOLD)
    before = shop.star.digest()
    shop.products = products("P1", "p1", "P2")
    results = shop.run(**FOLD)
    assert results["status"] == "gate_failed"
    (error,) = results["errors"]
    assert "'P1' and 'p1'" in error
    assert shop.star.digest() == before
    assert main(["--env-file", shop.env_file(**FOLD), "--quiet"]) == 3


def test_two_members_of_the_star_that_fold_together_stop_the_run(shop: Retailer) -> None:
    shop.sales = sales(("C1", "P1"), ("C1", "p1"))
    shop.publish()
    (error,) = shop.run(**FOLD)["errors"]
    assert "dim_product has both" in error
    assert "'P1' and 'p1'" in error


def test_the_setting_of_the_sales_is_of_all_that_they_name(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.products = products("P1")
    shop.sales = [row | {"sales_rep_id": rep} for row, rep in zip(
        sales(("c1", "p1"), ("C1", "P1")), ("ann_lee", "Ann_Lee"), strict=True)]  # fmt: skip
    shop.sales[1]["transaction_id"] = "t0"
    shop.publish(TRANSACTIONS__KEY_CASE="fold")
    assert sorted(row[:3] for row in named(shop)) == [("T0", "C1", "P1"), ("t0", "C1", "P1")]
    reps = "SELECT sales_rep_id FROM dim_sales_rep WHERE sales_rep_key > 0"
    assert shop.star.column(reps) == ["ann_lee"]


def test_no_sale_is_an_orphan_for_its_spelling(shop: Retailer) -> None:
    shop.products = products("P1")
    shop.sales = sales(("c1", "p1"), ("C1", "nobody"), ("C1", "NOBODY"), ("C1", "P1"))
    results = shop.publish(**FOLD, ORPHAN_POLICY="reject")
    assert shop.reasons(results) == ["unknown_product"] * 2
    assert [row[:3] for row in named(shop)] == [("T0", "C1", "P1"), ("T3", "C1", "P1")]


def test_what_a_source_lacks_is_flagged_by_its_spelling_of_tonight(duckdb_shop: Retailer) -> None:
    shop, full = duckdb_shop, FOLD | {"PRODUCTS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}
    shop.products, shop.sales = products("a1", "b2"), sales(("C1", "A1"))
    shop.publish(**full)
    shop.products = products("A1")
    shop.publish(**full)
    query = "SELECT product_id, is_deleted FROM dim_product WHERE product_key > 0 ORDER BY 1"
    assert [(key, bool(gone)) for key, gone in shop.star.rows(query)] == [
        ("A1", False),
        ("b2", True),
    ]


@pytest.mark.parametrize("form", ["json_lines", "parquet", "excel", "sqlite"])
def test_keys_fold_from_every_format(form: str, duckdb_shop: Retailer, tmp_path: Path) -> None:
    rows = {"products": products("85123A"), "transactions": sales(("c1", "85123a"))}
    place = write_sqlite(tmp_path, rows) if form == "sqlite" else write_files(tmp_path, rows, form)
    duckdb_shop.publish(**place, **FOLD)
    assert named(duckdb_shop) == [("T0", "C1", "85123A", "Cup 85123A")]


def test_a_check_counts_no_strangers_for_their_case(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.products = products("P1")
    duckdb_shop.sales = sales(("c1", "p1"), ("C1", "x"))
    main(["--env-file", duckdb_shop.env_file(**FOLD), "check"])
    told = capsys.readouterr().out
    assert "1 of 2 sales name 1 product_id that products lacks, such as 'x'" in told
    assert "customer_id that" not in told

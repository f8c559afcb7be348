"""Stars that earlier versions made: kept as SQL in `stars/`, with the files they were made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.retailer import Retailer, changes, counts
from support.star import sources_of
from support.tables import to_csv


def test_the_star_of_an_earlier_version_comes_back_as_it_was(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    content = shop.star.content()
    assert {name: len(rows) for name, rows in content.items()} == {
        "dim_customer": 6, "dim_product": 6, "dim_sales_rep": 5, "dim_date": 732, "fact_sales": 7,
    }  # fmt: skip
    assert shop.star.column("SELECT product_id FROM dim_product ORDER BY product_key") == [
        "", "1001.0", "1002", "88.0", "P3\ufeff", "P9\u2060",
    ]  # fmt: skip
    assert [status for _, status in shop.star.runs()] == ["published", "published"]
    assert all(path.endswith((".csv", ".json", ".jsonl")) for path in sources_of("0.1.0").values())


def keys_of(shop: Retailer, table: str) -> dict[str, int]:
    """Business key to surrogate key of the members of a dimension."""
    name, key = f"{table.removeprefix('dim_')}_id", f"{table.removeprefix('dim_')}_key"
    return dict(shop.star.rows(f"SELECT {name}, {key} FROM {table} ORDER BY {key}"))


SOLD = (
    "SELECT transaction_id, customer_key, product_key, sales_rep_key, date_key, quantity, "
    "unit_price, discount_amount, gross_amount, net_amount, profit_amount, run_id FROM fact_sales "
    "ORDER BY transaction_id"
)
"""All that 0.1.0 had of a sale."""


def tonight(shop: Retailer) -> dict[str, str]:
    """The files of the star of 0.1.0, where numbers have no zeros any more."""
    sources, folder = sources_of("0.1.0"), shop.folder / "older"
    folder.mkdir(exist_ok=True)
    for setting, path in sources.items():
        text = Path(path).read_text(encoding="utf-8")
        copy = folder / Path(path).name
        copy.write_text(re.sub(r": (\d+)\.0\b", r": \1", text), encoding="utf-8")
        sources[setting] = str(copy)
    return sources


def test_the_star_of_an_earlier_version_goes_on_under_its_keys(shop: Retailer) -> None:
    """No sale comes twice, no key is lost, and every surrogate key is what it was. A sale gets the
    cost that its profit was computed with.
    """
    shop.star.restore("0.1.0")
    before, sources = shop.star.rows(SOLD), tonight(shop)
    results = shop.publish(**sources)
    assert counts(results, "fact_sales") == (0, 0, 7)
    assert keys_of(shop, "dim_customer") == {
        "": -1, "7.0": 1, "C1": 2, "C2": 3, "C9": 4, "C4": 5,
    }  # fmt: skip
    assert keys_of(shop, "dim_product") == {
        "": -1, "1001": 1, "1002": 2, "88.0": 3, "P3": 4, "P9": 5,
    }  # fmt: skip
    assert keys_of(shop, "dim_sales_rep") == {
        "": -1, "12": 1, "grace_hopper": 2, "john_smith": 3, "zed_only": 4,
    }  # fmt: skip
    ids = {"5001.0": "5001", "5002.0": "5002", "T3\u200b": "T3"}
    assert shop.star.rows(SOLD) == sorted((ids.get(row[0], row[0]), *row[1:]) for row in before)
    costs = shop.star.rows("SELECT transaction_id, unit_cost FROM fact_sales ORDER BY 1")
    assert costs == [
        ("5001", 100), ("5002", 42), ("90.0", 100), ("T3", 5), ("T4", 1), ("T6", None), ("T7", 42),
    ]  # fmt: skip
    assert any("6 sales got the cost" in warning for warning in results["warnings"])
    assert any("dim_product: 3 keys" in warning for warning in results["warnings"])
    again = shop.publish_in_full(**sources)
    assert changes(again) == 0
    assert not any("key rules" in warning for warning in again["warnings"])


def test_a_night_with_few_sales_finds_those_of_the_earlier_version(shop: Retailer) -> None:
    """A corrected sale is updated under its new key; the others, which do not come, keep theirs."""
    shop.star.restore("0.1.0")
    sold = '"transaction_date": "2024-03-02", "quantity": 2, "unit_price": "12.50", '
    sales = (
        f'{{"transaction_id": "T3", {sold} "customer_id": "C2", "product_id": "P3"}}\n'
        f'{{"transaction_id": 5001, {sold} "customer_id": "C1", "product_id": 1001}}\n'
    )
    lines = shop.folder / "few.jsonl"
    lines.write_text(sales, encoding="utf-8")
    results = shop.publish(**tonight(shop) | {"TRANSACTIONS__PATH": str(lines)})
    assert counts(results, "fact_sales") == (0, 2, 0)
    assert set(shop.star.column("SELECT transaction_id FROM fact_sales")) == {
        "5001", "5002.0", "90.0", "T3", "T4", "T6", "T7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "is_due"), [(2, "NULL", True), (2, 1, True), (3, 2, False), (2, 3, True)]
)
def test_what_counts_are_the_rules_of_the_run_that_published_last(
    shop: Retailer, first: int, last: int | str, is_due: bool
) -> None:
    """Whoever has gone back to an earlier version, and forth again, has keys of both."""
    shop.publish()
    shop.publish_in_full()
    member = keys_of(shop, "dim_customer")["C2"]
    shop.star.execute(
        "UPDATE dim_customer SET customer_id = 'C2\u2060' WHERE customer_id = 'C2'",
        f"UPDATE etl_run SET key_rules = {first} WHERE sequence = 1",
        f"UPDATE etl_run SET key_rules = {last} WHERE sequence = 2",
    )
    shop.publish_in_full()
    assert (keys_of(shop, "dim_customer")["C2"] == member) == is_due


def test_texts_that_look_like_numbers_keep_their_zeros(shop: Retailer) -> None:
    """The same keys, but from CSV: there `1001.0` is what the source says."""
    shop.star.restore("0.1.0")
    shop.products = [{"product_id": "1001.0", "name": "Lamp"}, {"product_id": "1002"}]
    shop.sales = [
        shop.sales[0] | {"transaction_id": "5001.0", "product_id": "1001.0", "customer_id": "C1"}
    ]
    products = shop.folder / "products.csv"
    products.write_text(to_csv(shop.products), encoding="utf-8")
    shop.publish(PRODUCTS__PATH=products)
    assert "1001.0" in keys_of(shop, "dim_product")
    assert "5001.0" in shop.star.column("SELECT transaction_id FROM fact_sales")


@pytest.mark.parametrize(
    ("statement", "table", "pair"),
    [
        (
            "UPDATE dim_customer SET customer_id = 'C2' WHERE customer_id = 'C9'",
            "dim_customer", r"'C2\u200b' and 'C2'",
        ),
        (
            "UPDATE dim_product SET product_id = '1001' WHERE product_id = '1002'",
            "dim_product", "'1001.0' and '1001'",
        ),
        (
            "UPDATE fact_sales SET transaction_id = 'T3\u2060' WHERE transaction_id = 'T4'",
            "fact_sales", r"'T3\u200b' and 'T3\u2060'",
        ),
    ],
)  # fmt: skip
def test_two_keys_that_become_one_stop_the_run(
    shop: Retailer, statement: str, table: str, pair: str
) -> None:
    shop.star.restore("0.1.0")
    shop.star.execute(statement)
    before = shop.star.rows(SOLD)
    results = shop.run(**tonight(shop))
    assert results["status"] == "gate_failed"
    assert f"{table}: 1 pairs of keys become one" in results["errors"][0]
    assert pair in results["errors"][0]
    assert shop.star.rows(SOLD) == before

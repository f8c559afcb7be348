"""The look at keys: sales on nobody, on somebody nobody describes, and keys that look alike."""

from __future__ import annotations

import json

import pytest

from support.retailer import Retailer
from support.tables import Row


def warned(results: Row, column: str) -> list[str]:
    """The warnings about a column of the sales."""
    return [text for text in results["warnings"] if text.startswith(f"{column}: ")]


def many_sales(shop: Retailer, count: int) -> None:
    """So many sales, all of them on described members."""
    shop.sales = [shop.sales[0] | {"transaction_id": f"N{n}"} for n in range(count)]


@pytest.mark.parametrize(
    ("known", "written", "cause"),
    [
        ("85123A", "85123a", "case"),
        ("1001", "1001.0", "a .0 at the end"),
        ("00123", "123", "leading zeros"),
        ("123", "00123", "leading zeros"),
        ("00123", "'00123", "an apostrophe before it"),
        ("C7", '="C7"', '="…" around it'),
        ("1500", "1.5E+03", "an exponent"),
        ("C7", "C\u200b7", "unseen marks"),
        ("Ärzte", "ÄRZTE", "case"),
    ],
)
def test_an_id_that_is_like_a_known_one_is_told_with_the_cause(
    duckdb_shop: Retailer, known: str, written: str, cause: str
) -> None:
    """Of a hundred sales one is enough."""
    shop = duckdb_shop
    many_sales(shop, 100)
    shop.customers[1]["customer_id"] = known
    shop.sales[7]["customer_id"] = written
    results = shop.publish()
    (told,) = warned(results, "customer_id")
    assert f"only in {cause}: {written!r} (known: {known!r})" in told
    assert shop.star.member("dim_customer", written)["is_inferred"] is True
    references = results["fact_loading_results"]["references"]
    assert references["customer_id"] == {"sales": 100, "inferred": 0.01, "unknown": 0.0}
    assert references["product_id"] == {"sales": 100, "inferred": 0.0, "unknown": 0.0}


def test_ids_that_may_be_addresses_are_no_examples(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.customers[0]["customer_id"] = "ann@example.org"
    shop.sales[0]["customer_id"] = "Ann@example.org"
    (told, of_share) = warned(shop.publish(), "customer_id")
    assert "only in case; as they stand" in told
    assert "@" not in told + of_share


def test_sales_of_customers_that_nobody_describes_are_told_above_a_share(shop: Retailer) -> None:
    many_sales(shop, 100)
    for sale in shop.sales[:5]:
        sale["customer_id"] = f"X{sale['transaction_id']}"
    assert warned(shop.publish(), "customer_id") == []
    shop.sales[5]["customer_id"] = "X5"
    (told,) = warned(shop.publish(), "customer_id")
    assert told.startswith("customer_id: 6 of 100 sales (6.0%) name 6 ids that customers does not")
    assert "is customers complete" in told


@pytest.mark.parametrize(
    ("ids", "cause"),
    [
        (["#N/A", "#REF!", "C7"], "error cells"),
        (["2024-03-15", "15/03/2024"], "dates: is the right column mapped?"),
        (["1.12346E+17", "2E+16"], "numbers with an exponent"),
    ],
)
def test_ids_that_are_something_else_are_told_as_that(
    duckdb_shop: Retailer, ids: list[str], cause: str
) -> None:
    shop = duckdb_shop
    many_sales(shop, len(ids))
    for sale, customer in zip(shop.sales, ids, strict=True):
        sale["customer_id"] = customer
    (told,) = warned(shop.publish(), "customer_id")
    assert cause in told
    assert repr(ids[0]) in told


def test_blank_cells_of_customers_are_told(shop: Retailer) -> None:
    """As of an export that names the customer on an order's first line only."""
    shop.sales[1]["customer_id"] = ""
    results = shop.publish()
    (told,) = warned(results, "customer_id")
    assert "1 of 3 sales (33.3%) name nobody" in told
    assert "only on its first line" in told
    assert results["fact_loading_results"]["references"]["customer_id"]["unknown"] == 0.333333


def test_reps_without_a_source_or_a_column_are_not_looked_at(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    for sale in shop.sales:
        sale["sales_rep_id"] = ""
    results = shop.publish()
    assert warned(results, "sales_rep_id") == []
    assert "sales_rep_id" not in results["fact_loading_results"]["references"]
    shop.reps = [{"sales_rep_id": "grace_hopper"}]
    assert "3 of 3 sales" in warned(shop.publish(), "sales_rep_id")[0]
    shop.sales = [{k: v for k, v in sale.items() if k != "sales_rep_id"} for sale in shop.sales]
    results = shop.publish()
    assert warned(results, "sales_rep_id") == []
    assert "sales_rep_id" not in results["fact_loading_results"]["references"]


def test_with_a_history_only_a_share_that_rises_is_told(shop: Retailer) -> None:
    """A shop whose walk-in customers have no id is not warned of it each night."""
    many_sales(shop, 10)
    for sale in shop.sales[:3]:
        sale["customer_id"] = ""
    assert warned(shop.publish(), "customer_id")
    (counts,) = shop.star.column("SELECT counts FROM etl_run")
    assert json.loads(counts)["fact_loading_results"]["references"]["customer_id"]["unknown"] == 0.3
    for number in range(9):
        shop.star.execute(
            "INSERT INTO etl_run (run_id, started_at, ended_at, status, counts, sources, "
            f"code_version) SELECT 'r{number}', started_at, ended_at, status, counts, sources, "
            "code_version FROM etl_run WHERE run_id LIKE '20%'"
        )
    assert warned(shop.publish_in_full(), "customer_id") == []
    shop.sales[3]["customer_id"] = ""
    assert "4 of 10 sales" in warned(shop.publish(), "customer_id")[0]


# --- marks, and keys that are none ---------------------------------------------------------------


def told_by(results: Row, source: str, words: str) -> list[str]:
    """The warnings of a source that have some words."""
    found = (text for text in results["warnings"] if text.startswith(f"{source}: "))
    return [text for text in found if words in text]


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_marks_of_spreadsheets_on_keys_and_attributes_are_told_and_kept(
    duckdb_shop: Retailer, batch_rows: int
) -> None:
    shop = duckdb_shop
    shop.customers = [
        {"customer_id": "'00123", "last_name": "'t Hooft", "postal_code": "'75008"},
        {"customer_id": '="C1"', "last_name": "Lee", "postal_code": '="01234"'},
        {"customer_id": "ann@example.org", "last_name": "Ray", "postal_code": "75008"},
        {"customer_id": "7.0", "last_name": "#N/A", "postal_code": "7.0"},
    ]
    results = shop.publish(BATCH_ROWS=batch_rows)
    (apostrophe,) = told_by(results, "customers", "customer_id of 1 of 4 rows begin with an apos")
    assert 'such as "\'00123"' in apostrophe
    assert told_by(results, "customers", "postal_code of 1 of 4 rows begin with an apostrophe")
    assert told_by(results, "customers", 'customer_id of 1 of 4 rows stand in ="…"')
    assert told_by(results, "customers", 'postal_code of 1 of 4 rows stand in ="…"')
    assert told_by(results, "customers", "customer_id of 1 of 4 rows end in .0")
    assert told_by(results, "customers", "last_name") == []
    assert not any("75008" in text or "@" in text for text in results["warnings"])
    assert shop.star.member("dim_customer", "'00123")["postal_code"] == "'75008"


def test_marks_on_the_keys_of_sales_are_counted_over_all_rows(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    many_sales(shop, 1500)
    shop.sales[-1] |= {"product_id": "'P1", "transaction_id": "1.2E+17"}
    shop.sales[-2]["customer_id"] = "#REF!"
    results = shop.publish(BATCH_ROWS=400)
    assert told_by(results, "transactions", "product_id of 1 of 1,500 rows begin with an apos")
    assert told_by(results, "transactions", "transaction_id of 1 of 1,500 rows are numbers with")
    assert told_by(results, "transactions", "customer_id of 1 of 1,500 rows are error cells")


def test_a_key_that_too_many_rows_share_is_told_with_what_would_make_it_one(
    duckdb_shop: Retailer,
) -> None:
    shop = duckdb_shop
    lines = [{"Line": "1", "unit_price": "10"}, {"Line": "2", "unit_price": "20"},
             {"Line": "3", "unit_price": "30"}]  # fmt: skip
    shop.sales = [
        shop.sales[0] | {"transaction_id": f"#{order}"} | line
        for order in range(40)
        for line in lines[: 1 if order % 20 else 3]
    ]
    results = shop.publish(BATCH_ROWS=10)
    (told,) = told_by(results, "transactions", "it may be no key")
    assert told.startswith("transactions: 4 of 44 rows (9.1%) lose to a later row with the same ")
    assert '{"transaction_id": ["transaction_id", "Line"]}' in told
    columns = '{"transaction_id": ["transaction_id", "Line"]}'
    results = shop.publish(TRANSACTIONS__COLUMNS=columns)
    assert told_by(results, "transactions", "it may be no key") == []


def test_of_a_key_that_nothing_makes_one_that_is_said(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.sales = [shop.sales[0] | {"quantity": quantity} for quantity in ("1", "2", "3")]
    (told,) = told_by(shop.publish(), "transactions", "it may be no key")
    assert "which columns of a row make it unique?" in told
    mapped = '{"transaction_id": ["transaction_id", "#"]}'
    assert told.endswith(f"TRANSACTIONS__COLUMNS={mapped!r}")
    results = shop.publish(TRANSACTIONS__COLUMNS=mapped)
    assert results["fact_loading_results"]["records_inserted"] == 3


def test_rows_that_come_twice_cast_no_doubt_on_their_key(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.sales += shop.sales
    assert told_by(shop.publish(), "transactions", "it may be no key") == []

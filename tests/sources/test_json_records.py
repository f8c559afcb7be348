"""Which JSON objects are records, however they stand beside each other."""

from __future__ import annotations

import json

import pytest

from support.examples import expect_accounts
from support.retailer import Retailer
from support.tables import Row


def one_sale(number: int, **more: object) -> Row:
    return {
        "transaction_id": f"T{number}", "transaction_date": "2024-03-15", "customer_id": "C1",
        "product_id": "P1", "quantity": number, "unit_price": 10, **more,
    }  # fmt: skip


def written(*numbers: int) -> list[str]:
    return [json.dumps(one_sale(number)) for number in numbers]


def expect(shop: Retailer, text: str, loaded: list[str], raw: list[str]) -> None:
    """Run; see which sales are loaded, and what is kept of the records that are none."""
    shop.files["transactions"] = text
    results = shop.publish()
    accounts = expect_accounts(results, shop)
    assert shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1") == loaded
    assert [row["_raw"] for row in shop.rejects(results)] == raw
    assert accounts["transactions"]["read"] == len(loaded) + len(raw)


@pytest.mark.parametrize("between", ["", " ", ",", " , ", "\t", "\n", ",\n"])
def test_every_object_on_a_line_is_a_record(between: str, duckdb_shop: Retailer) -> None:
    expect(duckdb_shop, between.join(written(1, 2, 3)), ["T1", "T2", "T3"], [])


def test_a_file_without_line_ends_is_read(shop: Retailer) -> None:
    count = 20_000  # more than one part of the file, and more than a record may have
    shop.files["transactions"] = "".join(written(*range(1, count + 1)))
    results = shop.publish(BATCH_ROWS=7000)
    assert expect_accounts(results, shop)["transactions"]["read"] == count
    found = shop.star.row("SELECT count(*), CAST(sum(quantity) AS INTEGER) FROM fact_sales")
    assert found == (count, count * (count + 1) // 2)


@pytest.mark.parametrize(
    ("damaged", "between", "loaded"),
    [
        ('{"transaction_id":"T2",,}', "", ["T1", "T3", "T4"]),
        ('{"transaction_id":"T2",,}', ",", ["T1", "T3", "T4"]),
        ('{"transaction_id":"T2"', "", ["T1", "T4"]),  # what it swallows is in its text
        ('{"transaction_id":"T2}', "", ["T1", "T4"]),
        ('{"transaction_id":"T2","lines":[{"a":1,,},{"a":2}]}', ",", ["T1"]),
    ],
)
def test_a_damaged_object_costs_the_others_nothing_where_they_surely_begin(
    damaged: str, between: str, loaded: list[str], duckdb_shop: Retailer
) -> None:
    first, three, four = written(1, 3, 4)
    raw = damaged.strip()
    if "T3" not in loaded:
        raw += between + three
    if "T4" not in loaded:
        raw += between + four
    text = between.join([first, damaged, three, four])
    expect(duckdb_shop, text, loaded, [raw])


@pytest.mark.parametrize("is_array", [True, False])
def test_a_key_repeated_with_the_same_value_is_no_fault(
    is_array: bool, duckdb_shop: Retailer
) -> None:
    one, two, three, four = written(1, 2, 3, 4)
    records = [
        one[:-1] + ', "quantity": 1, "x": {"a": [1], "a": [1]}}',
        two[:-1] + ', "quantity": 3}',
        three[:-1] + ', "x": {"a": 1, "a": true}}',
        four,
    ]
    text = f"[{', '.join(records)}]" if is_array else "\n".join(records)
    expect(duckdb_shop, text, ["T1", "T4"], records[1:3])


def test_whole_numbers_are_keys_without_decimals(shop: Retailer) -> None:
    sale = one_sale(1, customer_id=7.0, product_id=1e3, transaction_id=2.0)
    shop.files["transactions"] = json.dumps([sale, one_sale(2, customer_id="7.0")])
    shop.publish()
    assert shop.star.rows(
        "SELECT transaction_id, customer_id, product_id FROM fact_sales "
        "JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key) ORDER BY 1"
    ) == [("2", "7", "1000"), ("T2", "7.0", "P1")]

"""What is not used and changes what a sale means is told: its currency, that it was cancelled."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import main
from support.retailer import Retailer
from support.tables import Row, to_csv


def sales(**columns: list[object]) -> list[Row]:
    """One sale for each value of the columns, which are as long."""
    size = len(next(iter(columns.values())))
    return [
        {
            "transaction_id": f"T{number}", "transaction_date": "2026-01-05", "customer_id": "C1",
            "product_id": "P1", "quantity": "1", "unit_price": "10",
            **{name: values[number] for name, values in columns.items()},
        }
        for number in range(size)
    ]  # fmt: skip


def told(shop: Retailer, word: str, **settings: object) -> list[str]:
    """The warnings of a run that have this word in them."""
    return [w for w in shop.publish(**settings)["warnings"] if word in w]


def test_several_currencies_beside_amounts_are_told_with_counts(shop: Retailer) -> None:
    """By the sign beside each amount, over all batches, in `check` as well."""
    shop.sales = sales(
        unit_price=["$10", "€10", "10 €", "10", "$1", "$2"],
        discount_amount=["", "", "", "¥1", "", "€0"],
    )
    (warning,) = told(shop, "amounts are in", BATCH_ROWS=100)
    assert "amounts are in $ (3), € (3), ¥ (1); amounts are added up as they stand" in warning


def test_one_currency_is_told_of_no_more(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales = sales(unit_price=["$10", "$20", "5"], currency=["USD", "usd ", ""])
    assert not told(duckdb_shop, "added up")


@pytest.mark.parametrize(
    "name", ["currency", "Currency Code", "iso_currency", "currencyCode", "presentment_currency"]
)
@pytest.mark.parametrize("written", ["csv", "parquet", "json"])
def test_a_column_of_currencies_that_is_not_used_is_told(
    name: str, written: str, duckdb_shop: Retailer
) -> None:
    values: list[object] = ["USD", "JPY", "usd", "", "EUR"]
    rows = sales(**{name: values})
    path = duckdb_shop.folder / f"made.{written}"
    if written == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(to_csv(rows) if written == "csv" else json.dumps(rows), encoding="utf-8")
    (warning,) = told(duckdb_shop, "added up", TRANSACTIONS__PATH=path)
    assert f"the column {name} is not used, and has USD (2), JPY (1), EUR (1)" in warning


def test_prices_of_products_in_several_currencies_are_told(duckdb_shop: Retailer) -> None:
    for product, price in zip(duckdb_shop.products, ["£5", "€5"], strict=False):
        product["price"] = price
    (warning,) = told(duckdb_shop, "amounts are in")
    assert warning.startswith("products: amounts are in £ (1), € (1)")


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("status", ["cancelled", "paid", "Cancelled", "voided"],
         "cancelled (1), Cancelled (1), voided (1)"),
        ("Financial Status", ["refunded", "partially_refunded", "paid", ""],
         "refunded (1), partially_refunded (1)"),
        ("orderStatus", ["RETURNED", "open", "open", "open"], "RETURNED (1)"),
        ("is_cancelled", ["true", "false", "TRUE", ""], "true (1), TRUE (1)"),
        ("Cancelled at", ["2026-01-06", "", "2026-01-07 10:00", None], "a date (2)"),
    ],
)  # fmt: skip
def test_sales_that_say_that_they_were_cancelled_are_told(
    name: str, values: list[object], expected: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.sales = sales(**{name: values})
    (warning,) = told(duckdb_shop, "like any other")
    assert f"the column {name} is not used, and says {expected}; such sales are loaded" in warning


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("status", ["paid", "open"]),
        ("refund_amount", ["1", "0"]),
        ("currency_rate", ["1.1", "1.2"]),
        ("currency", ["4711", "4712"]),
        ("note", ["cancelled", "returned"]),
        ("is_deleted", ["0", "false"]),
    ],
)
def test_other_columns_are_told_of_as_ignored_alone(
    name: str, values: list[object], duckdb_shop: Retailer
) -> None:
    duckdb_shop.sales = sales(**{name: values})
    assert not [w for w in duckdb_shop.publish()["warnings"] if "is not used, and" in w]


def test_a_column_that_is_mapped_is_not_told_of(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales = sales(status=["cancelled", "paid"])
    mapped = '{"sales_rep_id": "status"}'
    assert not told(duckdb_shop, "like any other", TRANSACTIONS__COLUMNS=mapped)


def test_check_tells_the_same(duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    duckdb_shop.sales = sales(currency=["USD", "JPY"], status=["paid", "voided"])
    assert main(["--env-file", duckdb_shop.env_file(), "check"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the column currency is not used, and has USD (1), JPY (1)" in shown
    assert "the column status is not used, and says voided (1)" in shown

"""What is not used and changes what a sale means is told: that it was cancelled."""

from __future__ import annotations

import pytest

from cli import main
from support.retailer import Retailer
from support.tables import Row


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
        ("currency_id", ["4711", "4712"]),
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
    duckdb_shop.sales = sales(status=["paid", "voided"])
    assert main(["--env-file", duckdb_shop.env_file(), "check"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the column status is not used, and says voided (1)" in shown

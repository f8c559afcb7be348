"""A line's total in place of the price of a piece."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from support.cleaning import SALE, sale, transformer
from support.formats import write_files, write_sqlite
from support.retailer import Retailer, counts
from support.tables import Row, drawn

RETURNS = {"ACCEPT_RETURNS": True}
FREE = {"ACCEPT_FREE_ITEMS": True}


def amounts(settings: Row, /, **columns: object) -> list[Decimal] | str:
    """Price, gross and net amount of a sale, or why it is refused."""
    row = sale(settings, **{"discount_amount": "", **columns})
    names = ("unit_price", "gross_amount", "net_amount")
    return row if isinstance(row, str) else [row[name] for name in names]


def decimals(text: str) -> list[Decimal]:
    return [Decimal(word) for word in text.split()]


@pytest.mark.parametrize(
    ("quantity", "price", "total", "found"),
    [
        ("2", "", "20.00", "10 20 20"),
        ("3", "", "10", "3.3333 10 10"),
        ("3", "", "20", "6.6667 20 20"),
        ("0.35", "", "4.55", "13 4.55 4.55"),
        ("8", "", "0.0004", "0.0001 0.0004 0.0004"),
        ("10000", "", "0.01", "0 0.01 0.01"),
        ("1", "", "99999999999999.9999", "99999999999999.9999 99999999999999.9999 "
         "99999999999999.9999"),
        ("2", "5", "", "5 10 10"),
        ("2", "5", "10", "5 10 10"),
        ("3", "3.33", "10", "3.3333 10 10"),
        ("3", "3.333", "10", "3.3333 10 10"),
        ("0.35", "12.99", "4.55", "13 4.55 4.55"),
        ("0.0003", "1.5555", "0.0005", "1.5555 0.0005 0.0005"),
    ],
)  # fmt: skip
def test_a_lines_total_is_the_gross_amount_as_it_is(
    quantity: str, price: str, total: str, found: str
) -> None:
    given = {"quantity": quantity, "unit_price": price, "line_amount": total}
    assert amounts({}, **given) == decimals(found)


@pytest.mark.parametrize("total", ["10", "-10"])
def test_a_returns_total_has_the_sign_of_its_quantity(total: str) -> None:
    given = {"quantity": "-2", "unit_price": "", "line_amount": total}
    assert amounts(RETURNS, **given) == decimals("5 -10 -10")
    assert amounts(RETURNS, **given, discount_amount="1") == decimals("5 -10 -9")
    assert amounts(RETURNS, **given, discount_rate="10%") == decimals("5 -10 -9")
    assert amounts(RETURNS, **{**given, "unit_price": "5"}) == decimals("5 -10 -10")
    assert amounts({}, **given) == "non_positive_quantity"


@pytest.mark.parametrize(
    ("quantity", "price", "total", "reason"),
    [
        ("2", "5", "11", "invalid_unit_price"),
        ("1", "3.33", "3.34", "invalid_unit_price"),
        ("3", "3.3", "10", "invalid_unit_price"),
        ("2", "5", "x", "invalid_unit_price"),
        ("2", "x", "10", "invalid_unit_price"),
        ("2", "", "x", "invalid_unit_price"),
        ("2", "", "", "invalid_unit_price"),
        ("2", "", "-", "invalid_unit_price"),
        ("2", "-5", "10", "invalid_unit_price"),
        ("0.0001", "", "99999999999999", "invalid_unit_price"),
        ("2", "", "-10", "non_positive_price"),
        ("2", "", "0", "non_positive_price"),
        ("0", "", "10", "non_positive_quantity"),
        ("x", "", "10", "invalid_quantity"),
    ],
)
def test_a_total_that_cannot_be_is_refused(
    quantity: str, price: str, total: str, reason: str
) -> None:
    rows = [
        SALE | {"quantity": quantity, "unit_price": price, "line_amount": total},
        SALE | {"transaction_id": "T2", "unit_price": "", "line_amount": "1"},
    ]
    rejects = transformer().prepare("transactions", rows).rejects
    assert rejects["_reason"].to_pylist() == [reason]


def test_the_detail_names_the_column_of_the_total() -> None:
    rows = [SALE | {"unit_price": "", "line_amount": "ten"}]
    rejects = transformer().prepare("transactions", rows).rejects
    assert rejects["_detail"].to_pylist() == ["line_amount ten"]


def test_a_line_for_nothing_is_accepted_as_any_free_item_is() -> None:
    assert amounts(FREE, unit_price="", line_amount="0") == decimals("0 0 0")
    assert amounts(FREE, unit_price="", line_amount="-1") == "non_positive_price"


def test_the_column_of_prices_may_be_absent() -> None:
    row = {name: value for name, value in SALE.items() if name != "unit_price"}
    prepared = transformer().prepare("transactions", [row | {"line_amount": "5"}])
    assert prepared.rows["gross_amount"].to_pylist() == [Decimal(5)]


def test_a_decimal_comma_and_a_currency_are_those_of_amounts() -> None:
    comma = {"TRANSACTIONS__DECIMAL_SEPARATOR": ",", "TRANSACTIONS__CURRENCY": "EUR"}
    given = {"quantity": "2", "unit_price": "", "discount_amount": ""}
    row = sale(comma, **given, line_amount="1.234,50 EUR")
    assert isinstance(row, dict), row
    assert (row["gross_amount"], row["currency"]) == (Decimal("1234.5"), "EUR")
    assert sale(comma, **given, line_amount="1.234,50 USD") == "other_currency"


def test_sales_with_totals_load_merge_and_are_recognised(shop: Retailer) -> None:
    shop.sales = drawn("""
        transaction_id | transaction_date | customer_id | product_id | quantity | line_amount | discount_amount
        T1             | 2024-02-29       | C1          | P1         | 3        | 1000.00     | 0.01
        T2             | 2024-03-01       | C2          | P2         | 7        | 10.00       |
        T3             | 2024-03-02       | C1          | P2         | -3       | 20.00       | 1
    """)  # noqa: E501
    settings = {"ACCEPT_RETURNS": "true"}
    shop.publish(**settings)
    query = (
        "SELECT transaction_id, unit_price, gross_amount, net_amount, profit_amount "
        "FROM fact_sales ORDER BY transaction_id"
    )
    assert shop.star.rows(query) == [
        ("T1", Decimal("333.3333"), Decimal(1000), Decimal("999.99"), Decimal("699.99")),
        ("T2", Decimal("1.4286"), Decimal(10), Decimal(10), Decimal("-284")),
        ("T3", Decimal("6.6667"), Decimal(-20), Decimal(-19), Decimal("107")),
    ]
    assert counts(shop.publish_in_full(**settings), "fact_sales") == (0, 0, 3)
    shop.sales[1]["line_amount"] = "11.00"
    results = shop.publish(**settings)
    assert counts(results, "fact_sales") == (0, 1, 2)
    assert results["validation_results"]["reconciliation"]["money"]["closed"]


@pytest.mark.parametrize("form", ["csv", "json_lines", "parquet", "excel", "sqlite"])
def test_a_mapped_total_is_read_from_every_format(
    form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    rows = [
        {"id": 1, "day": "2024-03-15", "who": "C1", "what": "P1", "n": 2, "total": Decimal("20.50")}
    ]
    sales = {"transactions": rows}
    place = (
        write_sqlite(tmp_path, sales) if form == "sqlite" else write_files(tmp_path, sales, form)
    )
    columns = {
        "transaction_id": "id", "transaction_date": "day", "customer_id": "who",
        "product_id": "what", "quantity": "n", "line_amount": "total",
    }  # fmt: skip
    duckdb_shop.publish(**place, TRANSACTIONS__COLUMNS=json.dumps(columns))
    found = duckdb_shop.star.rows("SELECT unit_price, gross_amount FROM fact_sales")
    assert found == [(Decimal("10.25"), Decimal("20.5"))]

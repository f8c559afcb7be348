"""Amounts of several currencies are never added up in silence."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import main
from support.retailer import Retailer, changes, counts
from support.tables import Row, to_csv

FACTS = "SELECT transaction_id, net_amount, unit_cost, profit_amount, currency FROM fact_sales"
MAPPED = """{"currency": "currency"}"""
SALES = "TRANSACTIONS__CURRENCY"
PRODUCTS = "PRODUCTS__CURRENCY"


def sales(**columns: list[object]) -> list[Row]:
    """One sale for each value of the columns, which are as long."""
    size = len(next(iter(columns.values())))
    return [
        {
            "transaction_id": f"T{number}", "transaction_date": "2026-01-05", "customer_id": "C1",
            "product_id": "P1", "quantity": "1", "unit_price": "110",
            **{name: values[number] for name, values in columns.items()},
        }
        for number in range(size)
    ]  # fmt: skip


def facts(shop: Retailer) -> list[tuple[Any, ...]]:
    return shop.star.rows(f"{FACTS} ORDER BY transaction_id")


def refused(shop: Retailer, **settings: object) -> str:
    """What a run says that the gate refuses; nothing is published."""
    before = shop.star.digest()
    results = shop.run(**settings)
    assert results["status"] == "gate_failed"
    assert shop.star.digest() == before
    (error,) = results["errors"]
    assert "nothing was published" in error
    return str(error)


def said(results: Row, word: str) -> list[str]:
    return [text for text in results["warnings"] if word in text]


# --- no setting, no column -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        (["USD 10", "10 EUR", "EUR 10"], "EUR (2), USD (1)"),
        (["R$ 10", "R$ 10", "$10"], ""),
        (["10 kr", "10 z\u0142", "kr. 5"], "kr (2), PLN (1)"),
        (["10 kr", "SEK 10", "NOK 5"], "kr (1), SEK (1), NOK (1)"),
    ],
)
def test_codes_and_short_forms_beside_amounts_count_as_symbols_do(
    prices: list[object], told: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.sales = sales(unit_price=prices)
    if told:
        assert told in refused(duckdb_shop)
    else:
        duckdb_shop.publish()


def test_a_code_beside_an_amount_of_another_currency_than_the_declared_one_is_refused(
    duckdb_shop: Retailer,
) -> None:
    duckdb_shop.sales = sales(unit_price=["USD 110", "110 EUR", "110", "$110", "110 kr"])
    duckdb_shop.products[0]["price"] = "CAD 250"
    results = duckdb_shop.publish(**{SALES: "USD", PRODUCTS: "USD"})
    assert duckdb_shop.reasons(results) == ["other_currency"] * 2
    assert duckdb_shop.star.scalar("SELECT price FROM dim_product WHERE product_id = 'P1'") is None


def test_several_currencies_beside_amounts_are_refused_with_counts(shop: Retailer) -> None:
    """By the sign beside each amount, over all batches."""
    shop.sales = sales(
        unit_price=["$10", "€10", "10 €", "10", "$1", "$2"],
        discount_amount=["", "", "", "$1", "", "$0"],
    )
    error = refused(shop, BATCH_ROWS=100)
    assert "amounts are in $ (5), EUR (2); they would be added up as they stand" in error
    for setting in (SALES, PRODUCTS, "TRANSACTIONS__COLUMNS="):
        assert setting in error


def test_one_currency_says_nothing(duckdb_shop: Retailer) -> None:
    """A code and a symbol that may mean it are one."""
    codes: list[object] = ["USD", "", ""]
    duckdb_shop.sales = sales(unit_price=["$10", "$20", "5"], **{"Currency Code": codes})
    results = duckdb_shop.publish()
    assert not said(results, "currenc")
    assert {row[4] for row in facts(duckdb_shop)} == {None}


@pytest.mark.parametrize("name", ["Currency Code", "iso_currency", "currencyCode", "ccy"])
@pytest.mark.parametrize("written", ["csv", "parquet", "json"])
def test_a_column_of_currencies_that_is_not_used_counts(
    name: str, written: str, duckdb_shop: Retailer
) -> None:
    codes: list[object] = ["USD", "JPY", "usd", "", "EUR"]
    rows = sales(**{name: codes})
    path = duckdb_shop.folder / f"made.{written}"
    if written == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(to_csv(rows) if written == "csv" else json.dumps(rows), encoding="utf-8")
    error = refused(duckdb_shop, TRANSACTIONS__PATH=path)
    assert "amounts are in USD (2), JPY (1), EUR (1); they" in error


def test_products_count_too(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.products[0]["price"], shop.products[0]["cost"] = "£5", "£1"
    shop.sales = sales(unit_price=["€10"])
    assert "GBP (2), EUR (1)" in refused(shop)
    assert "GBP (2), EUR (1)" in refused(shop, **{SALES: "EUR"})
    shop.publish(**{SALES: "EUR", PRODUCTS: "GBP"})


def test_a_night_in_another_currency_than_the_star_is_refused(shop: Retailer) -> None:
    """Also after nights that say no currency, and after one that repeats the last."""
    shop.sales = sales(unit_price=["$10", "$20"])
    shop.publish()
    shop.sales = sales(unit_price=["$10", "20"])
    shop.publish_in_full()
    shop.sales = sales(unit_price=["10", "20"])
    shop.publish()
    assert shop.publish()["repeats_run"]
    shop.sales = sales(unit_price=["€10"])
    error = refused(shop)
    assert "amounts are in EUR (1), and in the star $ (1)" in error
    shop.sales = sales(unit_price=["$10"])
    assert not said(shop.publish(**{SALES: "CAD"}), "in the star")


@pytest.mark.usefixtures("unfolded")
def test_check_says_the_same(duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    duckdb_shop.sales = sales(unit_price=["$10", "€10"])
    assert main(["--env-file", duckdb_shop.env_file(), "check"]) == 3
    shown = capsys.readouterr().out
    assert "a run would be refused: amounts are in $ (1), EUR (1); they would be" in shown


# --- one currency is declared ------------------------------------------------------------------


def test_a_declared_currency_refuses_all_others_row_by_row(shop: Retailer) -> None:
    shop.sales = sales(
        unit_price=["$110", "€10", "110", "¥9", "110", "110"],
        currency=["", "", "usd", "", "JPY", "USD"],
        discount_amount=["", "", "", "", "", "£1"],
    )
    results = shop.publish(**{SALES: " usd "})
    assert facts(shop) == [("T0", 110, 100, 10, "USD"), ("T2", 110, 100, 10, "USD")]
    assert [(row["_reason"], row["_detail"]) for row in shop.rejects(results)] == [
        ("other_currency", "EUR is not USD"),
        ("other_currency", "¥ is not USD"),
        ("other_currency", "JPY is not USD"),
        ("other_currency", "GBP is not USD"),
    ]


def test_prices_in_another_currency_than_declared_are_unusable(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.products[0] |= {"price": "€250", "cost": "$100"}
    shop.products[1] |= {"price": "€60", "cost": "42 €"}
    results = shop.publish(**{PRODUCTS: "EUR"})
    table = results["transformation_results"]["dim_product"]
    assert table["attribute_issues"] == {"cost": 1}
    assert shop.star.column("SELECT cost FROM dim_product ORDER BY product_id") == [None, None, 42]


@pytest.mark.parametrize(("paid", "profit"), [("USD", 10), ("EUR", None), (None, 10)])
def test_a_profit_needs_costs_in_the_currency_of_the_sales(
    shop: Retailer, paid: str | None, profit: int | None
) -> None:
    shop.sales = sales(unit_price=["110"])
    settings = {SALES: "USD", **({PRODUCTS: paid} if paid else {})}
    results = shop.publish(**settings)
    assert [row[3] for row in facts(shop)] == [profit]
    told = said(results, "the profit of 1 sales is empty")
    assert bool(told) == (profit is None)
    assert all("USD (TRANSACTIONS__CURRENCY)" in text for text in told)
    assert changes(shop.publish_in_full(**settings)) == 0


# --- each sale says its own --------------------------------------------------------------------


def test_a_column_keeps_currencies_apart(shop: Retailer) -> None:
    """Profit only where the sale is in the products' currency, or gives its own cost."""
    shop.sales = sales(currency=["USD", "jpy", "$", "", " eur "], unit_cost=["", "", "", "", "50"])
    results = shop.publish(**{PRODUCTS: "USD"})
    stored = [
        ("T0", 110, 100, 10, "USD"), ("T1", 110, None, None, "JPY"), ("T2", 110, 100, 10, "$"),
        ("T3", 110, None, None, None), ("T4", 110, 50, 60, "EUR"),
    ]  # fmt: skip
    assert facts(shop) == stored
    (told,) = said(results, "several currencies")
    assert "the column currency has USD (1), JPY (1), $ (1), EUR (1)" in told
    again = shop.publish_in_full(TRANSACTIONS__COLUMNS=MAPPED, **{PRODUCTS: "USD"})
    assert (changes(again), said(again, "currenc")) == (0, [])
    shop.sales = sales(unit_price=["110"])
    assert "in the star USD (1)" in refused(shop)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_night_without_sales_adds_nothing_up(duckdb_shop: Retailer, form: str) -> None:
    shop, path = duckdb_shop, duckdb_shop.folder / f"empty.{form}"
    shop.sales = sales(currency=["USD", "EUR"])
    shop.publish(**{PRODUCTS: "USD"})
    header = ",".join(shop.sales[0]) + "\n"
    path.write_text(header if form == "csv" else "[]", encoding="utf-8")
    shop.publish(TRANSACTIONS__PATH=path, **{PRODUCTS: "USD"})
    assert [row[4] for row in facts(shop)] == ["USD", "EUR"]


def test_profits_that_are_empty_for_want_of_a_setting_are_told(shop: Retailer) -> None:
    shop.sales = sales(currency=["EUR", "EUR"], unit_cost=["", "1"])
    results = shop.publish()
    assert [row[3] for row in facts(shop)] == [None, 109]
    (told,) = said(results, PRODUCTS)
    assert "the profit of 1 sales is empty" in told
    assert said(results, "several currencies") == []


def test_a_sale_in_another_currency_does_not_keep_its_cost(shop: Retailer) -> None:
    """One whose currency is told for the first time does, if the cost is in that currency."""
    shop.sales = sales(unit_price=["110"] * 3)
    shop.publish()
    assert {row[2:] for row in facts(shop)} == {(100, 10, None)}
    shop.products[0]["cost"] = "90"
    shop.sales = sales(currency=["USD", "JPY", "USD"])
    assert counts(shop.publish(**{PRODUCTS: "USD"}), "fact_sales") == (0, 3, 0)
    assert [row[2:] for row in facts(shop)] == [
        (100, 10, "USD"), (None, None, "JPY"), (100, 10, "USD"),
    ]  # fmt: skip
    shop.sales[2]["currency"] = "EUR"
    shop.publish(**{PRODUCTS: "USD"})
    assert facts(shop)[2][2:] == (None, None, "EUR")


@pytest.mark.parametrize(
    ("column", "price", "detail"),
    [
        ("dollars", "10", "dollars is no currency"),
        ("840", "10", "840 is no currency"),
        ("USD", "€10", "EUR and USD in one row"),
        ("€", "$10", "$ and EUR in one row"),
    ],
)
def test_what_is_no_currency_or_contradicts_itself_is_refused(
    duckdb_shop: Retailer, column: str, price: str, detail: str
) -> None:
    shop = duckdb_shop
    shop.sales = sales(currency=[column, "USD"], unit_price=[price, "$10"])
    results = shop.publish()
    (row,) = shop.rejects(results)
    assert (row["_reason"], row["_detail"]) == ("other_currency", detail)
    assert counts(results, "fact_sales") == (1, 0, 0)


def test_a_currency_that_was_declared_wrongly_is_corrected(duckdb_shop: Retailer) -> None:
    """Else nobody could load the star any more: the nights before do not bind the setting."""
    shop = duckdb_shop
    shop.publish(**{SALES: "USD"})
    results = shop.publish(**{SALES: "EUR"})
    assert results["fact_loading_results"]["records_updated"] == 3
    assert list(results["validation_results"]["reconciliation"]["currencies"]) == ["EUR", "USD"]
    assert len(said(results, "the star has amounts in USD (3) of nights before")) == 1
    assert {currency for *_, currency in facts(shop)} == {"EUR"}

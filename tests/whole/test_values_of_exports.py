"""Numbers, dates and totals as exports have them, from the file to the star."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from cli import main
from support.formats import write_files, write_sqlite
from support.retailer import Retailer
from support.tables import Row

FACTS = """
    SELECT transaction_id, quantity, unit_price, gross_amount, net_amount, currency
    FROM fact_sales ORDER BY transaction_id
"""
REPORT = """\
order-id\tmerchant-id\tpurchase-date\torder-status\tsku\tquantity\tcurrency\titem-price\tpromotion
7-1\tm1\t2024-03-15T23:30:00+00:00\tShipped\tP1\t2\tUSD\t20.00\t2.00
7-2\tm2\t2024-03-15T23:31:00+00:00\tCancelled\tP1\t0\t\t\t
7-3\tm3\t2024-03-15T23:32:00+00:00\tShipped\tP2\t1\tCAD\t30.00\t
7-4\tm4\t2024-03-15T23:33:00+00:00\tShipped\tP2\t3\tUSD\t10.00\t
"""


def test_a_report_of_a_marketplace_has_totals_and_cancelled_lines(shop: Retailer) -> None:
    path = shop.folder / "report.txt"
    path.write_text(REPORT, encoding="utf-8")
    columns = {
        "transaction_id": ["order-id", "sku"], "transaction_date": "purchase-date",
        "customer_id": {"value": "web"}, "product_id": "sku", "quantity": "quantity",
        "line_amount": "item-price", "discount_amount": "promotion", "currency": "currency",
    }  # fmt: skip
    results = shop.publish(
        TRANSACTIONS__PATH=path,
        TRANSACTIONS__COLUMNS=json.dumps(columns),
        TRANSACTIONS__SKIP_WHEN='{"order-status": ["Cancelled"]}',
    )
    one, ten, twenty, thirty = (Decimal(number) for number in (1, 10, 20, 30))
    assert shop.star.rows(FACTS) == [
        ("7-1-P1", 2, ten, twenty, Decimal(18), "USD"),
        ("7-3-P2", one, thirty, thirty, thirty, "CAD"),
        ("7-4-P2", 3, Decimal("3.3333"), ten, ten, "USD"),
    ]
    account = results["validation_results"]["reconciliation"]
    assert account["sources"]["transactions"]["skipped"] == 1
    assert account["sources"]["transactions"]["rejected"] == 0


def test_a_quantity_and_a_currency_may_be_the_same_in_all_rows(shop: Retailer) -> None:
    """As of tickets, which are sold one by one, in the currency of the house."""
    shop.sales = [
        {"id": f"T{number}", "day": "2024-03-15", "who": "C1", "what": "P1", "price": price}
        for number, price in enumerate(("5.00", "7.50"))
    ]
    columns = {
        "transaction_id": "id", "transaction_date": "day", "customer_id": "who",
        "product_id": "what", "unit_price": "price", "quantity": {"value": "1"},
        "currency": {"value": "EUR"},
    }  # fmt: skip
    settings = {"TRANSACTIONS__COLUMNS": json.dumps(columns)}
    shop.publish(**settings)
    prices = [Decimal("5"), Decimal("7.5")]
    assert shop.star.rows(FACTS) == [
        (f"T{number}", 1, price, price, price, "EUR") for number, price in enumerate(prices)
    ]


LEDGER = {
    "T1": ("1", "(12.50)", ""), "T2": ("1", "1,23,456.00", ""), "T3": ("1", "1'234.50", ""),
    "T4": ("1", "USD 12.50", ""), "T5": ("\u22121", "12.50", ""), "T6": ("1", "1.25E+01", ""),
    "T7": ("2", "12.50", "-"), "T8": ("1", "=12.5", ""), "T9": ("1", "1\u202f234.50 $", ""),
}  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "json_lines", "json_array", "parquet", "excel", "sqlite"])
def test_ledgers_are_read_from_every_format(
    form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    rows: list[Row] = [
        {
            "transaction_id": key, "transaction_date": "2024-03-15", "customer_id": "C1",
            "product_id": "P1", "quantity": quantity, "unit_price": price,
            "discount_amount": discount,
        }
        for key, (quantity, price, discount) in LEDGER.items()
    ]  # fmt: skip
    sales = {"transactions": rows}
    place = (
        write_sqlite(tmp_path, sales) if form == "sqlite" else write_files(tmp_path, sales, form)
    )
    results = duckdb_shop.publish(**place, ACCEPT_RETURNS="true")
    found = duckdb_shop.star.rows(
        "SELECT transaction_id, net_amount FROM fact_sales ORDER BY transaction_id"
    )
    assert [(key, f"{net:.2f}") for key, net in found] == [
        ("T2", "123456.00"), ("T3", "1234.50"), ("T4", "12.50"), ("T5", "-12.50"), ("T6", "12.50"),
        ("T7", "25.00"), ("T9", "1234.50"),
    ]  # fmt: skip
    assert sorted(duckdb_shop.reasons(results)) == ["invalid_unit_price", "non_positive_price"]


@pytest.mark.parametrize(
    ("column", "values", "advice"),
    [
        ("transaction_date", ["45366", "45367.5"], "DATE_FORMATS='[\"EXCEL\"]'"),
        ("transaction_date", ["1710489600", "1710547200"], "DATE_FORMATS='[\"EPOCH\"]'"),
        ("transaction_date", ["1710489600000"] * 2, "DATE_FORMATS='[\"EPOCH_MS\"]'"),
        ("transaction_date", ["2460384.5", "2460385"], "DATE_FORMATS='[\"JULIAN\"]'"),
        ("transaction_date", ["15. März 2024", "1. Mai 2024"], "TRANSACTIONS__LOCALE=de and "),
        ("transaction_date", ["15 févr. 2024", "1 août 2024"], "TRANSACTIONS__LOCALE=fr and "),
        ("transaction_date", ["2024-03-15 10:00 EDT"] * 2, "TRANSACTIONS__TIMEZONE"),
        ("discount_rate", ["5", "12.5"], "set TRANSACTIONS__RATE_UNIT=percent"),
    ],
)
def test_check_proposes_the_setting(
    column: str, values: list[str], advice: str, duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shop = duckdb_shop
    shop.sales = [
        {**shop.sales[0], "discount_amount": "", "transaction_id": f"T{number}", column: value}
        for number, value in enumerate(values)
    ]
    main(["--env-file", shop.env_file(), "check"])
    told = " ".join(capsys.readouterr().out.split())
    assert advice in told

"""Rows that are no records: the header again, and lines of totals."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from cli import main
from support.retailer import Retailer, counts
from support.tables import to_csv
from support.workbooks import WRITERS

CUSTOMERS = "customer_id,first_name,last_name,email,city\n"


def details(shop: Retailer, results: dict[str, object], source: str) -> list[tuple[str, str]]:
    """Reason and detail of each refused row of a source."""
    return [(row["_reason"], row["_detail"]) for row in shop.rejects(results, source)]


def test_a_header_and_a_total_among_customers_are_no_customers(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.files["customers"] = (
        CUSTOMERS + "C1,Ann,Lee,,\nCustomer_ID,FIRST_NAME,last_name,,\nC2,Bob,Ray,b@exa.org,\n"
        "Total,2,,,\n"
    )
    results = shop.publish()
    assert details(shop, results, "customers") == [
        ("malformed_row", "the header again"),
        ("malformed_row", "a line of totals, not a record"),
    ]
    assert shop.star.column("SELECT customer_id FROM dim_customer ORDER BY 1") == ["", "C1", "C2"]
    assert results["transformation_results"]["dim_customer"]["attribute_issues"] == {}
    assert results["validation_results"]["reconciliation"]["sources"]["customers"]["closed"]


def test_check_tells_of_a_line_of_totals_as_a_run_does(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["customers"] = CUSTOMERS + "C1,Ann,Lee,,\nC2,Bob,Ray,,\nTotal,2,,,\n"
    assert main(["--env-file", duckdb_shop.env_file(), "check"]) == 0
    assert "line 4: 'a line of totals, not a record'" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["TOTAL", "Grand Total", "Summe:", "subtotal", "Gesamt"])
def test_words_for_totals_beside_numbers_alone_are_no_product(
    duckdb_shop: Retailer, word: str
) -> None:
    shop = duckdb_shop
    rows = [
        {"product_id": "P1", "name": "Lamp", "price": "10", "cost": "4"},
        {"product_id": word, "name": "", "price": "1,234.50", "cost": "€ 4"},
        {"product_id": "P2", "name": "Pen", "price": "5", "cost": "1"},
    ]
    path = shop.folder / "products.csv"
    path.write_text(to_csv(rows), encoding="utf-8")
    results = shop.publish(PRODUCTS__PATH=path)
    assert details(shop, results, "products") == [
        ("malformed_row", "a line of totals, not a record")
    ]


def test_a_member_that_is_called_total_and_has_a_name_is_one(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = CUSTOMERS + "Total,Total,Energies,,Paris\n"
    assert duckdb_shop.rejects(duckdb_shop.publish(), "customers") == []
    assert duckdb_shop.star.member("dim_customer", "Total")["city"] == "Paris"


def test_a_cell_that_says_its_columns_name_makes_no_header(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = CUSTOMERS + "customer_id,Ann,Lee,,\nC2,first_name,,,\n"
    assert duckdb_shop.rejects(duckdb_shop.publish(), "customers") == []


def test_a_header_in_the_middle_of_the_sales_is_refused_as_one(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    names = {"Line": "transaction_id", "Day": "transaction_date", "Who": "customer_id",
             "What": "product_id", "Qty": "quantity", "Price": "unit_price"}  # fmt: skip
    lines = to_csv([{new: sale[old] for new, old in names.items()} for sale in shop.sales])
    shop.files["transactions"] = lines + lines
    columns = '{"transaction_id": "Line", "transaction_date": "Day", "customer_id": "Who", '
    columns += '"product_id": "What", "quantity": "Qty", "unit_price": "Price"}'
    results = shop.publish(TRANSACTIONS__COLUMNS=columns, BATCH_ROWS=3)
    assert details(shop, results, "transactions") == [("malformed_row", "the header again")]
    assert counts(results, "fact_sales") == (3, 0, 0)
    assert shop.rejects(results)[0]["_line"] == "5"


def test_a_header_in_the_middle_of_a_workbook_is_refused_as_one(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["sales_rep_id", "region"],
        ["amy", "East"],
        ["sales_rep_id", "region"],
        ["Sum", 1],
    ):
        book.active.append(row)
    book.save(tmp_path / "reps.xlsx")
    results = duckdb_shop.publish(SALES_REPS__PATH=tmp_path / "reps.xlsx")
    assert [reason for reason, _ in details(duckdb_shop, results, "sales_reps")] == [
        "malformed_row", "malformed_row",
    ]  # fmt: skip


REPORT = [
    ["transaction_id", "transaction_date", "customer_id", "product_id", "quantity", "unit_price"],
    ["Store 12"],
    ["T1", "2024-03-15", "C1", "P1", "1", "10"],
    ["Subtotal Store 12", "", "", "", "1", "10"],
    [],
    ["Filiale: Nord"],
    ["T2", "2024-03-15", "C1", "P1", "2", "10"],
    ["Summe:", "", "", "", "3", "20.00"],
    ["* preliminary figures"],
    ["T3"],
]


@pytest.mark.parametrize("form", ["csv", "xlsx", "ods", "fixed"])
def test_titles_totals_and_remarks_in_a_report_of_sales_are_told(form: str, shop: Retailer) -> None:
    settings: dict[str, object] = {"TRANSACTIONS__PATH": shop.folder / f"report.{form}"}
    if form == "csv":
        filled = [[*row, *[""] * 6][:6] if row else [] for row in REPORT]
        content = "".join(",".join(row) + "\n" for row in filled).encode()
    elif form == "fixed":
        widths = [24, 17, 12, 12, 10, 10]
        settings["TRANSACTIONS__WIDTHS"] = str(widths)
        content = "".join(
            "".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) + "\n"
            for row in REPORT
        ).encode()
    else:
        content = WRITERS[form]({"Sales": [[cell or None for cell in row] for row in REPORT]}, ())
    Path(str(settings["TRANSACTIONS__PATH"])).write_bytes(content)
    results = shop.publish(**settings)
    title = "a title or a remark, not a record: only its first column has a text"
    total = "a line of totals, not a record"
    assert [(row["_line"], row["_detail"]) for row in shop.rejects(results)][:-1] == [
        ("2", title), ("4", total), ("6", title), ("8", total), ("9", title),
    ]  # fmt: skip
    assert {row["_reason"] for row in shop.rejects(results)[:-1]} == {"malformed_row"}
    assert shop.rejects(results)[-1]["_line"] == "10"
    assert counts(results, "fact_sales") == (2, 0, 0)


@pytest.mark.parametrize(
    ("row", "is_one"),
    [
        ("Gold customers,,,,", False),
        ("Source: CRM,,,,", False),
        ("# exported on Friday,,,,", False),
        ("Totale clienti,12,,,", False),
        ("AB 12,Ann,,,", True),
        ("C9,,,,", True),
        ("Total Wine,,Shop,,", True),
    ],
)
def test_a_title_among_customers_is_no_customer(
    row: str, is_one: bool, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["customers"] = f"{CUSTOMERS}C1,Ann,Lee,,\n{row}\nC2,Bob,Ray,,\n"
    results = duckdb_shop.publish()
    assert len(duckdb_shop.rejects(results, "customers")) == (not is_one)
    found = duckdb_shop.star.column("SELECT count(*) FROM dim_customer WHERE customer_key > 0")
    assert found == [2 + is_one]


def test_a_total_that_skip_when_leaves_out_is_no_reject(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.files["customers"] = CUSTOMERS + "C1,Ann,Lee,,Ghent\nTotal,2,,,\n"
    results = shop.publish(CUSTOMERS__SKIP_WHEN='{"city": [""]}')
    assert details(shop, results, "customers") == []
    assert "Total" not in shop.star.column("SELECT customer_id FROM dim_customer")

"""Which columns of a file are found, and what a message says when they are not."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.retailer import Retailer
from support.tables import Row, to_csv

HEADER = (
    "transaction_id", "transaction_date", "customer_id", "product_id", "quantity", "unit_price",
)  # fmt: skip
SALES = (
    ("T1", "2024-03-15", "C1", "P1", "1", "10"),
    ("T2", "2024-03-15", "C1", "P1", "none", "10"),
)
Rows = Sequence[Sequence[str]]


def sales_of(shop: Retailer, results: Row) -> tuple[int, int]:
    """How many sales are new, and how many were refused."""
    return results["fact_loading_results"]["records_inserted"], len(shop.rejects(results))


# --- a source in each format ---------------------------------------------------------------


def in_csv(folder: Path, header: Sequence[str], rows: Rows) -> Row:
    path = folder / "made.csv"
    path.write_text("".join(",".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")
    return {"TRANSACTIONS__PATH": path}


def in_excel(folder: Path, header: Sequence[str], rows: Rows) -> Row:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (header, *rows):
        sheet.append(list(row))
    book.save(folder / "made.xlsx")
    return {"TRANSACTIONS__PATH": folder / "made.xlsx"}


def in_parquet(folder: Path, header: Sequence[str], rows: Rows) -> Row:
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=list(header)), folder / "made.parquet")
    return {"TRANSACTIONS__PATH": folder / "made.parquet"}


def _query(header: Sequence[str], rows: Rows) -> str:
    selects = (
        ", ".join(f"'{value}' AS \"{name}\"" for name, value in zip(header, row, strict=True))
        for row in rows
    )
    return " UNION ALL ".join(f"SELECT {columns}" for columns in selects)


def in_sqlite(folder: Path, header: Sequence[str], rows: Rows) -> Row:
    sqlite3.connect(folder / "made.db").execute("CREATE TABLE some (a)")
    url = f"sqlite:///{folder / 'made.db'}"
    return {"TRANSACTIONS__PATH": url, "TRANSACTIONS__QUERY": _query(header, rows)}


def in_duckdb(folder: Path, header: Sequence[str], rows: Rows) -> Row:
    with duckdb.connect(folder / "made.duckdb"):
        url = f"duckdb:///{folder / 'made.duckdb'}"
    return {"TRANSACTIONS__PATH": url, "TRANSACTIONS__QUERY": _query(header, rows)}


MADE: dict[str, Callable[[Path, Sequence[str], Rows], Row]] = {
    "csv": in_csv,
    "excel": in_excel,
    "parquet": in_parquet,
    "sqlite": in_sqlite,
    "duckdb": in_duckdb,
}


# --- names that appear twice ---------------------------------------------------------------


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_name_that_is_not_used_may_appear_twice(
    made: Callable[[Path, Sequence[str], Rows], Row], duckdb_shop: Retailer
) -> None:
    """Such columns are numbered, also in the reject file, which can be loaded again."""
    rows = [(*row, "5", "6", "7") for row in SALES]
    settings = made(duckdb_shop.folder, (*HEADER, "Tax", "Tax", "Tax_1"), rows)
    results = duckdb_shop.publish(**settings)
    assert sales_of(duckdb_shop, results) == (1, 1)
    assert any("ignored: Tax_2, Tax_3, Tax_1" in warning for warning in results["warnings"])
    rejected = duckdb_shop.rejects(results)
    assert [(row["Tax_2"], row["Tax_3"], row["Tax_1"]) for row in rejected] == [("5", "6", "7")]
    corrected = Path(results["rejects_dir"], "transactions.csv").read_text(encoding="utf-8")
    (duckdb_shop.folder / "again.csv").write_text(corrected.replace("none", "2"), encoding="utf-8")
    again = duckdb_shop.publish(TRANSACTIONS__PATH=duckdb_shop.folder / "again.csv")
    assert sales_of(duckdb_shop, again) == (1, 0)


@pytest.mark.parametrize("name", ["unit_price", "UNIT_PRICE"])
@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_name_that_is_used_must_appear_once(
    made: Callable[[Path, Sequence[str], Rows], Row], name: str, duckdb_shop: Retailer
) -> None:
    """The message names the file, the column and the setting; the setting then works."""
    header = (*HEADER[:-1], name, name)
    settings = made(duckdb_shop.folder, header, [(*row, "20") for row in SALES])
    (error,) = duckdb_shop.run(**settings)["errors"]
    assert f"{name} appears more than once" in error
    assert "TRANSACTIONS__COLUMNS" in error
    assert "made" in error
    mapped = f'{{"unit_price": "{name}_2"}}'
    results = duckdb_shop.publish(**settings, TRANSACTIONS__COLUMNS=mapped)
    (price,) = duckdb_shop.star.rows("SELECT unit_price FROM fact_sales")
    assert (float(price[0]), sales_of(duckdb_shop, results)) == (20, (1, 1))


def test_a_mapped_name_must_appear_once_and_one_inside_json_too(duckdb_shop: Retailer) -> None:
    header = (*HEADER[:-1], "Cost", "Cost")
    rows = [(*row, "20") for row in SALES]
    settings = in_csv(duckdb_shop.folder, header, rows)
    for mapped in ("Cost", "cost", "Cost.amount"):
        columns = f'{{"unit_price": "{mapped}"}}'
        (error,) = duckdb_shop.run(**settings, TRANSACTIONS__COLUMNS=columns)["errors"]
        assert "made.csv, header: Cost appears more than once" in error


@pytest.mark.parametrize("names", [("Unit_Price", "UNIT_PRICE"), ("Sales_Rep_ID", "SALES_REP_ID")])
def test_a_column_that_several_differ_from_in_case_alone_is_asked_for(
    names: tuple[str, str], duckdb_shop: Retailer
) -> None:
    """Required or not: nobody can know which is meant, and neither is dropped without a word."""
    header = [name for name in HEADER if name != names[0].lower()]
    width = len(header)
    rows = [(*row[:width], "9", "9") for row in SALES]
    settings = in_csv(duckdb_shop.folder, (*header, *names), rows)
    (error,) = duckdb_shop.run(**settings)["errors"]
    canonical = names[0].lower()
    assert f"{canonical} may be any of {names[0]}, {names[1]}" in error
    assert f'TRANSACTIONS__COLUMNS=\'{{"{canonical}": "{names[0]}"}}\'' in error
    mapped = f'{{"{canonical}": "{names[1]}"}}'
    assert sales_of(duckdb_shop, duckdb_shop.publish(**settings, TRANSACTIONS__COLUMNS=mapped)) == (
        1,
        1,
    )


def test_a_name_in_two_spellings_of_unicode_is_the_same_name(duckdb_shop: Retailer) -> None:
    header = (*HEADER, "Währung", "Wa\u0308hrung")
    settings = in_csv(duckdb_shop.folder, header, [(*row, "1", "2") for row in SALES])
    results = duckdb_shop.publish(**settings)
    assert any("Währung_1, Währung_2" in warning for warning in results["warnings"])


# --- a file of another shape ---------------------------------------------------------------

FIXED = (
    "transaction_id transaction_date customer_id product_id quantity unit_price\n"
    "T1             2024-03-15       C1          P1                1      10.00\n"
)
WRAPPED = '{"data": [{"transaction_id": "T1"}], "has_more": false}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FIXED, "it looks like fixed width; set TRANSACTIONS__WIDTHS=[15, 17, 12, 11, 9, 10]"),
        ("Order No   Sold on      Buyer\n1          2024-03-15   C1\n", "looks like fixed width"),
        (WRAPPED, "the list 'data' has transaction_id); if these are the records"),
        (WRAPPED.replace("[", "[\n"), "set TRANSACTIONS__RECORDS=data, and map their columns"),
    ],
    ids=["fixed", "fixed, other names", "wrapped", "over lines"],
)
def test_a_file_of_another_shape_is_told_by_its_shape(
    text: str, expected: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["transactions"] = text
    (error,) = duckdb_shop.run()["errors"]
    assert expected in error
    assert "__DELIMITER" not in error
    assert ("__COLUMNS" in error) == ("line 4" in expected or "data" in expected)


def test_a_sheet_with_title_rows_is_read_from_its_header_on(duckdb_shop: Retailer) -> None:
    settings = in_excel(duckdb_shop.folder, ["Sales of March"], [["made today"], HEADER, *SALES])
    assert sales_of(duckdb_shop, duckdb_shop.publish(**settings)) == (1, 1)


def test_files_whose_columns_differ_are_told_together(duckdb_shop: Retailer) -> None:
    folder = duckdb_shop.folder / "in"
    folder.mkdir()
    in_csv(folder, HEADER, SALES)
    (folder / "made.csv").rename(folder / "a.csv")
    in_csv(folder, [name.replace("product_id", "sku") for name in HEADER], SALES)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=folder)["errors"]
    assert f"{folder / 'a.csv'} has the columns that {folder / 'made.csv'} lacks" in error
    assert "duckdb:///:memory:" in error
    assert "one member" not in error


def test_a_member_of_an_archive_that_does_not_fit_can_be_left_out(duckdb_shop: Retailer) -> None:
    in_csv(duckdb_shop.folder, HEADER, SALES)
    path = duckdb_shop.folder / "both.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(duckdb_shop.folder / "made.csv", "orders.csv")
        archive.writestr("people.csv", "customer_id,email\nC1,a@example.com\n")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    setting = f"{path}!orders.csv"
    assert f"or read one member alone: TRANSACTIONS__PATH={setting}" in error
    results = duckdb_shop.publish(TRANSACTIONS__PATH=setting)
    assert sales_of(duckdb_shop, results) == (1, 1)


# --- settings that apply -------------------------------------------------------------------

WRONG: dict[str, tuple[Sequence[str], Rows]] = {
    "other names": (["a", "b"], [["1", "2"]]),
    "one column": (["a"], [["1"]]),
    "a delimiter in a name": (["a;b", "c|d"], [["1", "2"]]),
    "a nameless column": (["", "b"], [["1", "2"]]),
    "a row": (["4711", "2024-03-15"], [["1", "2"]]),
    "a name twice": ([*HEADER, "quantity"], [[*SALES[0], "1"]]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("form", MADE)
def test_a_message_names_settings_of_the_format_alone(
    form: str, wrong: tuple[Sequence[str], Rows], duckdb_shop: Retailer
) -> None:
    if form in ("sqlite", "duckdb") and "" in wrong[0]:
        wrong = (["?", "b"], wrong[1])  # no column of a table is without a name
    settings = MADE[form](duckdb_shop.folder, *wrong)
    (error,) = duckdb_shop.run(**settings)["errors"]
    of_csv = [word for word in ("__DELIMITER", "the lines above", "__ENCODING") if word in error]
    assert form == "csv" or not of_csv
    assert form in ("csv", "excel") or "above it" not in error
    assert "__COLUMNS" in error or "add a header" in error


def test_sources_of_other_names_and_shapes_are_mapped(shop: Retailer) -> None:
    shop.files["transactions"] = to_csv(
        [
            {"Order": "10", "Line": n, "Day": "29.02.2024", "Who": "C1", "What": "P1",
             "Qty": "1.000", "Each": "0,5"}
            for n in (1, 2)
        ]
    )  # fmt: skip
    mapping = {
        "transaction_id": ["Order", "Line"], "transaction_date": "Day", "customer_id": "Who",
        "product_id": "What", "quantity": "Qty", "unit_price": "Each",
    }  # fmt: skip
    shop.publish(
        TRANSACTIONS__COLUMNS=json.dumps(mapping),
        TRANSACTIONS__DATE_FORMATS="%d.%m.%Y",
        TRANSACTIONS__DECIMAL_SEPARATOR=",",
    )
    rows = shop.star.rows(
        "SELECT transaction_id, date_key, quantity, gross_amount FROM fact_sales ORDER BY 1"
    )
    assert rows == [("10-1", 20240229, 1000, 500), ("10-2", 20240229, 1000, 500)]

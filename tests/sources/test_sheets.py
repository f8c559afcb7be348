"""Workbooks with several sheets: which of them are read, and what is said of the others."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from support.retailer import Retailer

HEADER = ["transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
          "unit_price"]  # fmt: skip
Lines = Sequence[Sequence[object]]


def sale(name: str, price: object = 10) -> list[object]:
    return [name, "2024-03-15", "C1", "P1", 1, price]


def backwards(lines: Lines) -> Lines:
    return [line[::-1] for line in lines]


def book(hidden: Sequence[str] = (), **sheets: Lines) -> bytes:
    """A workbook with these sheets; `_` in a name stands for a space."""
    made, file = openpyxl.Workbook(), io.BytesIO()
    made.remove(made.worksheets[0])
    for name, lines in sheets.items():
        sheet = made.create_sheet(name.replace("_", " "))
        for line in lines:
            sheet.append(list(line))
        if name in hidden:
            sheet.sheet_state = "hidden"
    made.save(file)
    return file.getvalue()


def usual() -> bytes:
    """A cover, two months with their columns in another order, and a hidden one."""
    return book(
        hidden=["Orders_old"],
        Cover=[["Orders of the shop"], ["see the other sheets"]],
        Orders_old=[HEADER, sale("T0")],
        Orders_March=[["March"], HEADER, sale("T1"), sale("T2", "x")],
        Orders_April=backwards([HEADER, sale("T3")]),
        Orders_none=[],
    )


def placed(shop: Retailer, content: bytes) -> Path:
    path = shop.folder / "book.xlsx"
    path.write_bytes(content)
    return path


def loaded(shop: Retailer) -> list[str]:
    return shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY transaction_id")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Orders March", ["T1"]),
        ("orders april", ["T3"]),
        ("3", ["T1"]),
        ("2", ["T0"]),
        ("Orders old", ["T0"]),
        ("Orders*", ["T1", "T3"]),
        ("orders ?????", ["T1", "T3"]),
        ("*March", ["T1"]),
    ],
)
def test_a_sheet_is_chosen_by_its_name_its_number_or_a_pattern(
    wanted: str, found: list[str], duckdb_shop: Retailer
) -> None:
    path = placed(duckdb_shop, usual())
    duckdb_shop.publish(TRANSACTIONS__PATH=path, TRANSACTIONS__SHEET=wanted)
    assert loaded(duckdb_shop) == found


def test_each_of_several_sheets_is_told_from_the_others(shop: Retailer) -> None:
    path = placed(shop, usual())
    settings = {"TRANSACTIONS__PATH": path, "TRANSACTIONS__SHEET": "Orders*"}
    results = shop.publish(**settings)
    told = " ".join(results["warnings"])
    assert "book.xlsx!Orders old (hidden sheet)" in told
    assert "book.xlsx!Orders none (empty sheet)" in told
    (reject,) = shop.rejects(results)
    assert (reject["_file"], reject["_line"]) == (f"{path}!Orders March", "4")
    assert shop.publish(**settings)["status"] == "published"
    assert loaded(shop) == ["T1", "T3"]


def test_all_sheets_are_read_where_all_are_tables(duckdb_shop: Retailer) -> None:
    content = book(hidden=["C"], A=[HEADER, sale("T1")], B=[HEADER, sale("T2")], C=[["x"]])
    path = placed(duckdb_shop, content)
    duckdb_shop.publish(TRANSACTIONS__PATH=path, TRANSACTIONS__SHEET="*")
    assert loaded(duckdb_shop) == ["T1", "T2"]


def test_sheets_in_an_archive_are_read(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "books.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.xlsx", usual())
        archive.writestr("b.xlsx", book(Orders_May=[HEADER, sale("T9")]))
    duckdb_shop.publish(TRANSACTIONS__PATH=path, TRANSACTIONS__SHEET="Orders*")
    assert loaded(duckdb_shop) == ["T1", "T3", "T9"]


@pytest.mark.parametrize("wanted", ["Sales", "99", "0", "Sales*", "*old"])
def test_a_sheet_that_is_not_there_is_told_with_those_that_are(
    wanted: str, duckdb_shop: Retailer
) -> None:
    path = placed(duckdb_shop, usual())
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path, TRANSACTIONS__SHEET=wanted)["errors"]
    assert f"TRANSACTIONS__SHEET={wanted}" in error
    assert "'Cover', 'Orders old' (hidden), 'Orders March', 'Orders April'" in error


def test_the_sheet_with_the_required_names_is_proposed(duckdb_shop: Retailer) -> None:
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=placed(duckdb_shop, usual()))["errors"]
    sheets = "'Orders old' (hidden), 'Orders March', 'Orders April'"
    assert f"{sheets} has the required names: set TRANSACTIONS__SHEET=Orders March" in error


def test_a_cover_among_the_sheets_is_told_with_the_setting_for_the_others(
    duckdb_shop: Retailer,
) -> None:
    path = placed(duckdb_shop, usual())
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path, TRANSACTIONS__SHEET="*")["errors"]
    assert "book.xlsx!Cover: the required columns" in error
    assert "set TRANSACTIONS__SHEET=Orders March" in error


def test_rejects_load_back_with_the_sheet_still_set(duckdb_shop: Retailer) -> None:
    settings = {"TRANSACTIONS__SHEET": "Orders*"}
    results = duckdb_shop.publish(TRANSACTIONS__PATH=placed(duckdb_shop, usual()), **settings)
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    rejects.write_text(rejects.read_text().replace('"x"', '"7"'))
    duckdb_shop.publish(TRANSACTIONS__PATH=rejects, **settings)
    assert loaded(duckdb_shop) == ["T1", "T2", "T3"]

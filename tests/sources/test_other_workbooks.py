"""Workbooks that are not .xlsx: the same rows in any format make the same star."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import date, datetime
from decimal import Decimal

import pytest

from support.retailer import Retailer
from support.tables import Row
from support.workbooks import ERROR, WRITERS, Rows, ods

HEADER = ["transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
          "unit_price", "sales_rep_id"]  # fmt: skip
DAY = date(2024, 3, 15)
SALES: Rows = [
    ["Report of the day"],
    [],
    HEADER,
    [1001, DAY, "C1", "P1", 2, 19.99, "Zoë\nLee"],
    [1002.0, DAY, "007", "P1", 1, 0.1 + 0.2, True],
    [1003, datetime(2024, 3, 16), "C1", "P2", 3, 1e6, None, None, " "],
    [],
    [1004, "2024-03-17", "C1", "P2", 1, "x", None],
    [1005, DAY, "C1", "P2", 1, 5, None, None, "beyond"],
]


@pytest.fixture(params=WRITERS)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write(shop: Retailer, suffix: str, hidden: tuple[str, ...] = (), **sheets: Rows) -> Row:
    path = shop.folder / f"book.{suffix}"
    path.write_bytes(WRITERS[suffix](sheets, hidden))
    return {"TRANSACTIONS__PATH": path}


def loaded(shop: Retailer) -> list[tuple[object, ...]]:
    return shop.star.rows(
        "SELECT transaction_id, date_key, customer_id, quantity, unit_price, sales_rep_id "
        "FROM fact_sales JOIN dim_customer USING (customer_key) "
        "JOIN dim_sales_rep USING (sales_rep_key) ORDER BY transaction_id"
    )


def test_rows_of_any_workbook_are_the_same(suffix: str, shop: Retailer) -> None:
    results = shop.publish(**write(shop, suffix, Sales=SALES))
    assert loaded(shop) == [
        ("1001", 20240315, "C1", 2, Decimal("19.99"), "Zoë\nLee"),
        ("1002", 20240315, "007", 1, Decimal("0.3"), "TRUE"),
        ("1003", 20240316, "C1", 3, Decimal(10**6), ""),
    ]
    found = [(row["_line"], row["_reason"]) for row in shop.rejects(results)]
    assert found == [("8", "invalid_unit_price"), ("9", "malformed_row")]


def test_a_sheet_of_any_workbook_is_chosen(suffix: str, duckdb_shop: Retailer) -> None:
    sheets = {"Cover": [["see below"]], "Old": [HEADER], "May": SALES[:4], "June": SALES[2:3]}
    settings = write(duckdb_shop, suffix, ("Old",), **sheets)
    (error,) = duckdb_shop.run(**settings)["errors"]
    assert "'Old' (hidden), 'May', 'June' has the required names" in error
    duckdb_shop.publish(**settings, TRANSACTIONS__SHEET="*y")
    assert [row[0] for row in loaded(duckdb_shop)] == ["1001"]


# A small .xls is in a stream of small sectors.
@pytest.mark.parametrize("rows_more", [10, 500])
def test_error_cells_of_any_workbook_are_no_blank_ones(
    rows_more: int, suffix: str, duckdb_shop: Retailer
) -> None:
    rows: Rows = [
        [None, *HEADER],
        [None, "T1", DAY, "C1", "P1", 1, ERROR],
        [None, "T2", DAY, ERROR, "P1", 1, 5],
        [None, "T3", DAY, "C1", "P1", 1, 5],
        *([None, f"T{n}", DAY, "C1", "P1", 1, 5] for n in range(10, rows_more)),
    ]
    sheets = {"Sales": rows, "Errors": [[ERROR]]}
    results = duckdb_shop.publish(**write(duckdb_shop, suffix, (), **sheets))
    assert duckdb_shop.reasons(results) == ["invalid_unit_price", "invalid_text"]
    assert all("#N/A" in row["_detail"] for row in duckdb_shop.rejects(results))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_workbook_that_is_cut_off_is_told(
    share: float, suffix: str, duckdb_shop: Retailer
) -> None:
    settings = write(duckdb_shop, suffix, Sales=[*SALES] * 50)
    path = settings["TRANSACTIONS__PATH"]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    (error,) = duckdb_shop.run(**settings)["errors"]
    assert path.name in error
    assert "damaged" in error or "not a whole" in error or "cut off" in error


def test_a_document_that_is_no_workbook_is_told(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "letter.doc"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le") * 99)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "a document of Office with no workbook in it" in error
    path = duckdb_shop.folder / "letter.odt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", "<x/>")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "an OpenDocument file, and no table" in error


def test_a_protected_open_document_is_told(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "book.ods"
    path.write_bytes(ods({"Sales": SALES}, encryption="<encryption-data/>"))
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "protected by a password; save it without one" in error


@pytest.mark.parametrize("suffix", ["xlsb", "ods"])
def test_a_workbook_that_grows_beyond_measure_is_refused(
    suffix: str, duckdb_shop: Retailer
) -> None:
    path = write(duckdb_shop, suffix, Sales=SALES)["TRANSACTIONS__PATH"]
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(300 << 20))
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "grows beyond 300 times its size" in error


def test_cells_of_open_documents_are_read_as_they_are_shown(duckdb_shop: Retailer) -> None:
    content = ods({"Sales": [HEADER, ["T1", DAY, "C1", "P1", 1, 5], ["T2", DAY, "C2", "P1", 1, 5]]})
    archive = zipfile.ZipFile(io.BytesIO(content))
    text = archive.read("content.xml").decode()
    for old, new in (
        ("<text:p>C1</text:p>", "<office:annotation><text:p>a comment</text:p></office:annotation>"
         '<text:p>C<text:s text:c="2"/>1</text:p>'),
        ('office:value-type="string"><text:p>C2</text:p>',
         'office:value-type="float" office:value="7"><text:p>0007</text:p>'),
        ('<table:table-cell office:value-type="string"><text:p>T2</text:p>',
         '<table:table-cell table:number-columns-repeated="1" table:number-rows-spanned="2" '
         'office:value-type="string"><text:p>T2</text:p>'),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path = duckdb_shop.folder / "book.ods"
    with zipfile.ZipFile(path, "w") as changed:
        for name in ("mimetype", "META-INF/manifest.xml"):
            changed.writestr(name, archive.read(name))
        changed.writestr("content.xml", text)
    told = " ".join(duckdb_shop.publish(TRANSACTIONS__PATH=path)["warnings"])
    assert "1 groups of cells are merged" in told
    assert [row[2] for row in loaded(duckdb_shop)] == ["C  1", "0007"]


def test_a_workbook_that_ends_its_reader_is_damaged(duckdb_shop: Retailer) -> None:
    """With these bytes changed, the library asks for a terabyte of memory, and aborts."""
    given = write(duckdb_shop, "xls", Sales=[HEADER[:6], [1, DAY, "C1", "P1", 2, 19.99]])
    path = duckdb_shop.folder / "book.xls"
    content, chance = bytearray(path.read_bytes()), random.Random(196)  # noqa: S311
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    (error,) = duckdb_shop.run(**given)["errors"]
    assert "book.xls: damaged" in error

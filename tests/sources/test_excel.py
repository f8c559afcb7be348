"""Excel workbooks: their cells have types, and what is no value in one is never taken for one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from html import escape
from pathlib import Path
from string import ascii_uppercase

import openpyxl
import pytest

from common.values import UNREADABLE
from support.commands import in_a_child
from support.formats import (
    excel,
)
from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row, csv_rows, to_csv

Cell = tuple[str, str]
"""A cell's attributes, and what is inside it: `<c {attributes}>{inside}</c>`."""

PLAIN, STRICT = (
    ("http://schemas.openxmlformats.org/spreadsheetml/2006/main",
     "http://schemas.openxmlformats.org/officeDocument/2006/relationships"),
    ("http://purl.oclc.org/ooxml/spreadsheetml/main",
     "http://purl.oclc.org/ooxml/officeDocument/relationships"),
)  # fmt: skip
FORMATS = ["General", "yyyy-mm-dd", "h:mm:ss", "[h]:mm", "00000", "0.00%"]
DATE, TIME, DURATION, ZEROS, PERCENT = range(1, len(FORMATS))
COLUMNS = ("transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
           "unit_price")  # fmt: skip


def number(value: object, style: int = 0) -> Cell:
    return f's="{style}"', f"<v>{value}</v>"


def day(serial: object) -> Cell:
    return number(serial, DATE)


def text(value: str) -> Cell:
    return 't="inlineStr"', f"<is><t>{escape(value)}</t></is>"


def formula(stored: str = "", kind: str = "n") -> Cell:
    return f't="{kind}"', f"<f>A1</f>{stored}"


def error(shown: str) -> Cell:
    return 't="e"', f"<v>{shown}</v>"


def cell(value: Cell | str | int | None) -> Cell:
    """A text is a text cell, a number a number cell."""
    if isinstance(value, tuple):
        return value
    if value is None:
        return "", ""
    return text(value) if isinstance(value, str) else number(value)


def sheet_xml(rows: Sequence[Sequence[Cell | str | int | None]], namespace: str, rest: str) -> str:
    made = []
    for line, values in enumerate(rows, 1):
        cells = [
            f'<c r="{ascii_uppercase[place]}{line}" {attributes}>{inside}</c>'
            for place, (attributes, inside) in enumerate(map(cell, values))
            if attributes or inside
        ]
        made.append(f'<row r="{line}">{"".join(cells)}</row>')
    rows_xml = "".join(made)
    return f'<worksheet xmlns="{namespace}"><sheetData>{rows_xml}</sheetData>{rest}</worksheet>'


def workbook(
    *rows: Sequence[Cell | str | int | None],
    names: tuple[str, str] = PLAIN,
    shared: Sequence[str] = (),
    settings: str = "",
    calculation: str = "",
    rest: str = "",
) -> bytes:
    """A workbook of one sheet. `shared` are the shared texts, as XML; `rest` follows the rows."""
    main, relations = names
    parts = {"worksheet": "worksheets/sheet1.xml", "styles": "/xl/styles.xml",
             "sharedStrings": "sharedStrings.xml"}  # fmt: skip
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{relations}/{kind}" Target="{part}"/>'
        for n, (kind, part) in enumerate(parts.items(), 1)
    )
    formats = "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{escape(code)}"/>'
        for n, code in enumerate(FORMATS)
    )
    styles = "".join(f'<xf numFmtId="{164 + n}"/>' for n in range(len(FORMATS)))
    texts = "".join(f"<si>{inside}</si>" for inside in shared)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{relations}"><workbookPr {settings}/>'
            f'<sheets><sheet name="Sales" sheetId="1" r:id="rId1"/></sheets>'
            f"<calcPr {calculation}/></workbook>",
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{related}</Relationships>")
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{main}"><numFmts>{formats}</numFmts>'
            f"<cellXfs>{styles}</cellXfs></styleSheet>",
        )
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{texts}</sst>')
        archive.writestr("xl/worksheets/sheet1.xml", sheet_xml(rows, main, rest))
    return file.getvalue()


def sale(number: int, **changed: Cell | str | int | None) -> list[Cell | str | int | None]:
    """A sale that is whole, but for what is changed."""
    whole: dict[str, Cell | str | int | None] = {
        "transaction_id": f"T{number}", "transaction_date": day(45366), "customer_id": "C1",
        "product_id": "P1", "quantity": 1, "unit_price": 10,
    }  # fmt: skip
    return [*(whole | changed).values()]


def load(shop: Retailer, content: bytes, **settings: object) -> Row:
    """Publish the sales of a workbook."""
    path = shop.folder / "sales.xlsx"
    path.write_bytes(content)
    return shop.publish(TRANSACTIONS__PATH=path, **settings)


def refusal(shop: Retailer, content: bytes, name: str = "sales.xlsx") -> str:
    """What is said of a workbook that is not loaded."""
    path = shop.folder / name
    path.write_bytes(content)
    (problem,) = shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert name in problem
    return str(problem)


def loaded(shop: Retailer, columns: str = "transaction_id") -> list[tuple[object, ...]]:
    """What the star holds of the sales."""
    return shop.star.rows(
        f"SELECT {columns} FROM fact_sales JOIN dim_customer USING (customer_key) "
        "JOIN dim_product USING (product_key) JOIN dim_date USING (date_key) "
        "ORDER BY transaction_id"
    )


# --- what is no value ------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["#N/A", "#REF!", "#DIV/0!", "#NAME?", "#NULL!", "#SPILL!"])
def test_an_error_cell_is_no_number_and_no_date(shown: str, duckdb_shop: Retailer) -> None:
    rows = [
        sale(1, unit_price=error(shown)),
        sale(2, quantity=error(shown)),
        sale(3, transaction_date=error(shown)),
        sale(4),
    ]
    results = load(duckdb_shop, workbook(COLUMNS, *rows))
    reasons = ["invalid_unit_price", "invalid_quantity", "invalid_date"]
    assert duckdb_shop.reasons(results) == reasons
    assert loaded(duckdb_shop) == [("T4",)]


@pytest.mark.parametrize("stored", ["", "<v/>", "<v></v>"])
def test_a_formula_that_nobody_calculated_takes_no_default(
    stored: str, duckdb_shop: Retailer
) -> None:
    """A library wrote the workbook, and Excel never opened it."""
    columns = (*COLUMNS, "discount_amount")
    rows = [
        [*sale(1), formula(stored)],
        [*sale(2), formula("<v>2.5</v>")],
        [*sale(3), formula("<v></v>", "str")],  # ="" is blank
        [*sale(4), None],
    ]
    results = load(duckdb_shop, workbook(columns, *rows))
    (reject,) = duckdb_shop.rejects(results)
    assert (reject["transaction_id"], reject["_reason"]) == ("T1", "invalid_discount")
    assert "open the file in Excel and save it" in reject["_detail"]
    kept = loaded(duckdb_shop, "transaction_id, discount_amount")
    assert kept == [("T2", Decimal("2.5")), ("T3", 0), ("T4", 0)]


def test_a_zero_that_stands_for_a_formula_nobody_calculated_is_no_zero(
    duckdb_shop: Retailer,
) -> None:
    """XlsxWriter stores 0 for every formula, and leaves it to Excel to calculate."""
    columns = (*COLUMNS, "discount_amount")
    rows = [[*sale(1), formula("<v>0</v>")], [*sale(2), 0], [*sale(3), formula("<v>1</v>")]]
    book = workbook(columns, *rows, calculation='fullCalcOnLoad="1"')
    assert duckdb_shop.reasons(load(duckdb_shop, book)) == ["invalid_discount"]
    assert loaded(duckdb_shop) == [("T2",), ("T3",)]


def test_a_zero_that_excel_calculated_is_a_zero(duckdb_shop: Retailer) -> None:
    book = workbook((*COLUMNS, "discount_amount"), [*sale(1), formula("<v>0</v>")])
    load(duckdb_shop, book)
    assert loaded(duckdb_shop) == [("T1",)]


def test_a_header_that_is_no_name_is_told(duckdb_shop: Retailer) -> None:
    header: list[Cell | str | int | None] = [*COLUMNS[:-1], formula()]
    told = refusal(duckdb_shop, workbook(header, sale(1)))
    assert "the header's cell 6 has no name, but formula without a stored value" in told


def test_text_that_looks_like_an_error_is_text(duckdb_shop: Retailer) -> None:
    load(duckdb_shop, workbook(COLUMNS, sale(1, product_id="#N/A")))
    assert loaded(duckdb_shop, "product_id") == [("#N/A",)]


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "key"),
    [
        ("1001", "1001"),
        ("1001.0", "1001"),
        ("1.001E3", "1001"),
        ("12.5", "12.5"),
        ("0.30000000000000004", "0.3"),
        ("999999999999999", "999999999999999"),
    ],
)
def test_a_number_is_a_key_as_excel_shows_it(stored: str, key: str, duckdb_shop: Retailer) -> None:
    load(duckdb_shop, workbook(COLUMNS, sale(1, customer_id=number(stored))))
    assert loaded(duckdb_shop, "customer_id") == [(key,)]


def test_truth_values_are_keys_as_excel_shows_them(duckdb_shop: Retailer) -> None:
    rows = [sale(1, product_id=('t="b"', "<v>1</v>")), sale(2, product_id=('t="b"', "<v>0</v>"))]
    load(duckdb_shop, workbook(COLUMNS, *rows))
    assert loaded(duckdb_shop, "product_id") == [("TRUE",), ("FALSE",)]


@pytest.mark.parametrize(
    ("stored", "price"),
    [
        ("19.990000000000002", "19.9900"),
        ("84.73999999999999", "84.7400"),
        ("1E+2", "100.0000"),
        ("123456789012.3456", "123456789012.3456"),
        ("1.2345E-2", "0.0123"),
    ],
)
def test_an_amount_is_the_number_that_excel_shows(
    stored: str, price: str, duckdb_shop: Retailer
) -> None:
    load(duckdb_shop, workbook(COLUMNS, sale(1, unit_price=number(stored))))
    assert [(str(kept),) for (kept,) in loaded(duckdb_shop, "unit_price")] == [(price,)]


@pytest.mark.parametrize("stored", ["NaN", "INF", "1,5", "abc"])
def test_what_is_no_number_in_a_number_cell_is_told(stored: str, duckdb_shop: Retailer) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, sale(1, unit_price=number(stored)), sale(2)))
    assert duckdb_shop.reasons(results) == ["invalid_unit_price"]


def test_a_percentage_is_the_fraction_that_it_is(duckdb_shop: Retailer) -> None:
    book = workbook((*COLUMNS, "discount_rate"), [*sale(1), number("0.1", PERCENT)])
    load(duckdb_shop, book)
    assert [str(kept) for (kept,) in loaded(duckdb_shop, "net_amount")] == ["9.0000"]


def test_numbers_of_a_workbook_keep_the_leading_zeros_that_they_are_shown_with(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["customer_id", "postal_code", "company"])
    for number, form in ((7, "00000"), (8, "General"), (123456, "00000"), (9, "[$-407]000"),
                         (1.5, "00"), (-3, "00"), (10, "0"), (11, "0000-00")):  # fmt: skip
        sheet.append([number, 1067, True])
        sheet.cell(sheet.max_row, 1).number_format = form
        sheet.cell(sheet.max_row, 2).number_format = "00000"
    book.save(tmp_path / "customers.xlsx")
    duckdb_shop.publish(CUSTOMERS__PATH=tmp_path / "customers.xlsx", ORPHAN_POLICY="reject")
    kept = duckdb_shop.star.rows(
        "SELECT customer_id, postal_code FROM dim_customer WHERE customer_key > 0"
    )
    ids = {"00007", "8", "123456", "009", "1.5", "-3", "10", "11"}
    assert set(kept) == {(customer, "01067") for customer in ids}


# --- dates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "settings", "date_key"),
    [
        (day(45366), "", 20240315),
        (day(45366.75), "", 20240315),
        (day(43904), 'date1904="1"', 20240315),
        (day(43904), 'date1904="true"', 20240315),
        (day(59), "", 19000228),
        (day(61), "", 19000301),
        (('t="d"', "<v>2024-03-15</v>"), "", 20240315),
        (('t="d"', "<v>2024-03-15T23:30:00.000</v>"), "", 20240315),
        (('t="d"', "<v>2024-03-15T23:30:00Z</v>"), "", 20240315),
    ],
)
def test_a_date_cell_is_the_day_that_excel_shows(
    stored: Cell, settings: str, date_key: int, duckdb_shop: Retailer
) -> None:
    book = workbook(COLUMNS, sale(1, transaction_date=stored), settings=settings)
    load(duckdb_shop, book)
    assert loaded(duckdb_shop, "date_key") == [(date_key,)]


@pytest.mark.parametrize(
    "stored",
    [
        day(0),  # 1900-01-00, what a formula makes of a blank date
        day(60),  # 1900-02-29
        day(-5),
        day("1E+9"),
        day(0.5),
        number(0.5, TIME),
        number(26.5, DURATION),
        ('t="d"', "<v>12:30:00</v>"),
    ],
)
def test_what_is_no_day_in_a_date_cell_is_rejected(stored: Cell, duckdb_shop: Retailer) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, sale(1, transaction_date=stored), sale(2)))
    assert duckdb_shop.reasons(results) == ["invalid_date"]
    assert loaded(duckdb_shop) == [("T2",)]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ((), "1 are text with a day over 12: Excel has swapped day and month in the others"),
        ((day(45376),), "Excel may have read the dates with day and month swapped"),
        (("02/03/2024",), "Excel may have read the dates with day and month swapped"),
    ],
)
def test_date_cells_among_text_dates_are_told_over_all_rows(
    others: Sequence[Cell | str], words: str, duckdb_shop: Retailer
) -> None:
    rows = [sale(n, transaction_date=day(45385)) for n in range(1, 40)]
    rows += [sale(40 + n, transaction_date=value) for n, value in enumerate(others)]
    rows += [sale(90, transaction_date="25/03/2024")]
    results = load(
        duckdb_shop,
        workbook(COLUMNS, *rows),
        TRANSACTIONS__DATE_FORMATS='["%d/%m/%Y"]',
        BATCH_ROWS=10,
    )
    (warning,) = surprises(results)
    assert "of transaction_date" in warning
    assert words in warning


def test_date_cells_beside_iso_text_are_no_cause_for_a_warning(duckdb_shop: Retailer) -> None:
    rows = [sale(1), sale(2, transaction_date="2024-03-25"), sale(3, transaction_date=" ")]
    warnings = load(duckdb_shop, workbook(COLUMNS, *rows))["warnings"]
    assert not [warning for warning in warnings if "transaction_date" in warning]


@pytest.mark.parametrize("stored", [number(45366), number("45366.75"), text("45366")])
def test_numbers_among_dates_are_told_with_the_way_forward(
    stored: Cell, duckdb_shop: Retailer
) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, sale(1, transaction_date=stored), sale(2)))
    assert duckdb_shop.reasons(results) == ["invalid_date"]
    told = " ".join(results["warnings"])
    assert "of transaction_date, 1 cells are numbers such as Excel has for days" in told
    assert "give the column a date format in Excel" in told


# --- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("_x0041_da", "Ada"),
        ("A_x005F_x0041_", "A_x0041_"),
        ("_xD83D__xDE00_ Lamp", "😀 Lamp"),
        ("up_x000D_\ndown", "up\ndown"),
        ("fox_x_", "fox_x_"),
        ("_x41_", "_x41_"),
    ],
)
@pytest.mark.parametrize("is_shared", [True, False])
def test_escaped_characters_are_read_as_excel_shows_them(
    stored: str, name: str, is_shared: bool, duckdb_shop: Retailer
) -> None:
    where = ('t="s"', "<v>0</v>") if is_shared else text(stored)
    book = workbook(
        ("product_id", "name"), ("P1", where), shared=[f"<t>{stored}</t>"] if is_shared else ()
    )
    path = duckdb_shop.folder / "products.xlsx"
    path.write_bytes(book)
    duckdb_shop.publish(PRODUCTS__PATH=path)
    assert duckdb_shop.star.member("dim_product", "P1")["product_name"] == name


def test_an_escaped_nul_makes_its_row_a_reject(duckdb_shop: Retailer) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, sale(1, customer_id="C_x0000_1"), sale(2)))
    assert duckdb_shop.reasons(results) == ["invalid_text"]


def test_text_in_pieces_is_one_without_how_it_is_spoken(duckdb_shop: Retailer) -> None:
    pieces = "<r><t>P</t></r><r><rPr><b/></rPr><t>1</t></r><rPh sb='0' eb='1'><t>pii</t></rPh>"
    load(
        duckdb_shop,
        workbook(COLUMNS, sale(1, product_id=('t="s"', "<v>0</v>")), shared=[pieces]),
    )
    assert loaded(duckdb_shop, "product_id") == [("P1",)]


# --- the sheet -------------------------------------------------------------------------------


def test_blank_cells_beside_and_below_the_table_are_no_values(duckdb_shop: Retailer) -> None:
    blank: list[Cell | str | int | None] = [" ", None, "\u00a0", None, "\t"]
    rows = [[*sale(1), None, " "], blank, [*sale(2), "", "\u00a0"], sale(3), blank]
    results = load(duckdb_shop, workbook(COLUMNS, *rows))
    assert duckdb_shop.rejects(results) == []
    assert results["extraction_results"]["transactions"]["records"] == 3
    assert loaded(duckdb_shop) == [("T1",), ("T2",), ("T3",)]


def test_a_cell_beyond_the_header_makes_a_reject_that_shows_the_row(
    duckdb_shop: Retailer,
) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, [*sale(1), None, "late"], sale(2)))
    (reject,) = duckdb_shop.rejects(results)
    assert (reject["_reason"], reject["_line"]) == ("malformed_row", "2")
    assert reject["_raw"] == "T1; 2024-03-15T00:00:00; C1; P1; 1; 10; ; late"


def test_rows_and_cells_that_have_no_name_are_counted(duckdb_shop: Retailer) -> None:
    """Some programs leave out which row and column it is."""
    book = workbook(COLUMNS, sale(1), sale(2, unit_price=error("#N/A")))
    source, bare = zipfile.ZipFile(io.BytesIO(book)), io.BytesIO()
    with zipfile.ZipFile(bare, "w") as archive:
        for name in source.namelist():
            content = source.read(name).decode()
            for row in (1, 2, 3):
                content = content.replace(f' r="{row}"', "")
                for letter in "ABCDEF":
                    content = content.replace(f' r="{letter}{row}"', "")
            archive.writestr(name, content)
    results = load(duckdb_shop, bare.getvalue())
    (reject,) = duckdb_shop.rejects(results)
    assert (reject["_line"], reject["_reason"]) == ("3", "invalid_unit_price")
    assert loaded(duckdb_shop) == [("T1",)]


def test_merged_cells_among_the_rows_are_told(duckdb_shop: Retailer) -> None:
    merged = '<mergeCells><mergeCell ref="A1:B1"/><mergeCell ref="C2:C3"/></mergeCells>'
    rows = [sale(1), sale(2, customer_id=None)]
    told = " ".join(load(duckdb_shop, workbook(COLUMNS, *rows, rest=merged))["warnings"])
    assert "1 groups of cells are merged" in told


def test_strict_open_xml_is_read_and_nothing_is_said_past_us(shop: Retailer) -> None:
    path = shop.folder / "sales.xlsx"
    stored = ('t="d"', "<v>2024-03-16</v>")
    shared = ["<t>C1</t>"]
    rows = [sale(1, customer_id=('t="s"', "<v>0</v>")), sale(2, transaction_date=stored)]
    path.write_bytes(workbook(COLUMNS, *rows, names=STRICT, shared=shared))
    env = shop.env_file(TRANSACTIONS__PATH=path)
    ended = in_a_child("--env-file", env, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert loaded(shop, "customer_id, date_key") == [("C1", 20240315), ("C1", 20240316)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda book: book[: len(book) // 2],
        lambda book: book.replace(b"xl/_rels/workbook.xml.rels", b"xl/_rels/workbook.xml.relz"),
    ],
)
def test_a_damaged_workbook_is_told(
    damage: Callable[[bytes], bytes], duckdb_shop: Retailer
) -> None:
    told = refusal(duckdb_shop, damage(workbook(COLUMNS, sale(1))))
    assert "damaged" in told or "not a whole Excel file" in told


def test_a_sheet_that_ends_in_the_middle_is_told(duckdb_shop: Retailer, tmp_path: Path) -> None:
    whole = workbook(COLUMNS, *(sale(n) for n in range(50)))
    source, cut = zipfile.ZipFile(io.BytesIO(whole)), io.BytesIO()
    with zipfile.ZipFile(cut, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            archive.writestr(name, content[:-3000] if "sheet1" in name else content)
    assert "damaged" in refusal(duckdb_shop, cut.getvalue())


def test_of_several_sheets_the_first_is_read_and_the_others_are_told(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    book = openpyxl.load_workbook(io.BytesIO(excel(duckdb_shop.sales)))
    book.create_sheet("hidden", 0).sheet_state = "hidden"
    book.create_sheet("March").append(["transaction_id"])
    book.save(tmp_path / "sales.xlsx")
    results = duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "sales.xlsx")
    (warning,) = surprises(results)
    assert "only its first sheet, 'Sheet', is read; not read: 'March'" in warning
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == len(duckdb_shop.sales)


def test_a_header_in_another_sheet_or_row_is_told(duckdb_shop: Retailer, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Sales of the year"])
    book.create_sheet("March").append(list(duckdb_shop.sales[0]))
    book.save(tmp_path / "sales.xlsx")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "sales.xlsx")["errors"]
    assert "the sheet 'March' has the required names: set TRANSACTIONS__SHEET=March" in error
    assert "not read: 'March'" in error


# --- what is no value, in keys ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (error("#N/A"), "#N/A"),
        (formula(), "open the file in Excel and save it"),
        (number("1.123456789012346E+17"), "its last digits are gone; format the column as text"),
        (number("1234567890123456"), "a number of more than 15 digits"),
        (day(45352), "2024-03-01T00:00:00, a date: Excel may have read an id as one"),
        (number(0.5, TIME), "12:00:00, a date"),
    ],
)
@pytest.mark.parametrize("column", ["transaction_id", "customer_id", "product_id"])
def test_what_is_no_value_in_a_key_makes_a_reject_and_no_member(
    stored: Cell, words: str, column: str, duckdb_shop: Retailer
) -> None:
    results = load(duckdb_shop, workbook(COLUMNS, sale(1, **{column: stored}), sale(2)))
    (reject,) = duckdb_shop.rejects(results)
    assert reject["_reason"] == "invalid_text"
    assert words in reject["_detail"]
    assert loaded(duckdb_shop) == [("T2",)]
    assert duckdb_shop.star.column("SELECT customer_id FROM dim_customer WHERE is_inferred") == []


def test_what_is_no_value_makes_a_reject_on_any_warehouse(shop: Retailer) -> None:
    rows = [sale(1, customer_id=error("#REF!")), sale(2, unit_price=formula()), sale(3)]
    results = load(shop, workbook(COLUMNS, *rows))
    assert shop.reasons(results) == ["invalid_text", "invalid_unit_price"]
    assert loaded(shop) == [("T3",)]


def test_rejects_of_error_cells_hold_no_mark_and_load_again_once_corrected(shop: Retailer) -> None:
    rows = [sale(1, transaction_id=error("#N/A")), sale(2, customer_id=formula()), sale(3)]
    results = load(shop, workbook(COLUMNS, *rows), ORPHAN_POLICY="reject")
    path = Path(results["rejects_dir"]) / "transactions.csv"
    rejects = csv_rows(path)
    assert [row["_reason"] for row in rejects] == ["invalid_text", "invalid_text"]
    assert "#N/A" in rejects[0]["_detail"]
    assert UNREADABLE not in path.read_text(encoding="utf-8")

    corrected = [
        row | {"transaction_id": key, "customer_id": "C1"}
        for row, key in zip(rejects, ("T1", "T2"), strict=True)
    ]
    path.write_text(to_csv(corrected), encoding="utf-8")
    assert surprises(shop.publish(TRANSACTIONS__PATH=path)) == []
    assert loaded(shop, "transaction_id, customer_id") == [(f"T{n}", "C1") for n in (1, 2, 3)]


def test_an_error_in_an_attribute_leaves_it_empty_and_is_counted(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "customers.xlsx"
    path.write_bytes(workbook(("customer_id", "city"), ("C1", error("#N/A")), ("C2", "#N/A")))
    results = duckdb_shop.publish(CUSTOMERS__PATH=path)
    assert duckdb_shop.star.member("dim_customer", "C1")["city"] is None
    assert duckdb_shop.star.member("dim_customer", "C2")["city"] == "#N/A"
    assert results["transformation_results"]["dim_customer"]["attribute_issues"] == {"city": 1}


def test_the_date_of_a_composite_key_is_a_date(duckdb_shop: Retailer) -> None:
    key = '{"transaction_id": ["transaction_date", "transaction_id"]}'
    load(duckdb_shop, workbook(COLUMNS, sale(1)), TRANSACTIONS__COLUMNS=key)
    assert loaded(duckdb_shop) == [("2024-03-15T00:00:00-T1",)]

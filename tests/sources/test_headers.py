"""Where the header of a table is: below a title, in a line that is set, or nowhere in the file."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pytest

from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row

HEADER = ["transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
          "unit_price"]  # fmt: skip
SALES = [
    ["T1", "2024-03-15", "C1", "P1", "1", "10.00"],
    ["T2", "2024-03-16", "C2", "P2", "2", "20.50"],
]
TITLE = [["Monthly report"], [], ["Shop:", "North"], ["", "", "Who", "", "How much"]]

Lines = Sequence[Sequence[str]]


def comma(lines: Lines) -> bytes:
    return "".join(",".join(cells) + "\n" for cells in lines).encode()


def semicolon(lines: Lines) -> bytes:
    return "".join(";".join(f'"{cell}"' for cell in cells) + "\r\n" for cells in lines).encode()


def tabs_in_utf16(lines: Lines) -> bytes:
    return "".join("\t".join(cells) + "\n" for cells in lines).encode("utf-16")


def zipped(lines: Lines) -> bytes:
    return gzip.compress(comma(lines))


def excel(lines: Lines) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for number, cells in enumerate(lines, 1):
        for place, value in enumerate(cells, 1):
            if value:
                book.worksheets[0].cell(number, place, value)
    book.save(file)
    return file.getvalue()


Form = tuple[str, Callable[[Lines], bytes], Row]
FORMS: dict[str, Form] = {
    "comma": ("csv", comma, {}),
    "semicolon": ("csv", semicolon, {}),
    "tabs in UTF-16": ("txt", tabs_in_utf16, {"TRANSACTIONS__ENCODING": "utf-16"}),
    "gzip": ("csv.gz", zipped, {}),
    "excel": ("xlsx", excel, {}),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def settings_for(shop: Retailer, form: Form, lines: Lines, **settings: object) -> Row:
    suffix, write, own = form
    path = shop.folder / f"export.{suffix}"
    path.write_bytes(write(lines))
    return {"TRANSACTIONS__PATH": path, **own, **settings}


def loaded(shop: Retailer) -> list[str]:
    return shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY transaction_id")


def test_the_header_below_a_title_is_found_by_the_required_names(
    form: Form, duckdb_shop: Retailer
) -> None:
    lines = [*TITLE, HEADER, *SALES, ["T3", "no date", "C1", "P1", "1", "1"]]
    results = duckdb_shop.publish(**settings_for(duckdb_shop, form, lines))
    (warning,) = surprises(results)
    assert "s 1 to 4, above the header, are passed over" in warning
    assert loaded(duckdb_shop) == ["T1", "T2"]
    encoding = form[2].get("TRANSACTIONS__ENCODING", "utf-8")
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    (row,) = csv.DictReader(rejects.read_text(encoding=encoding).splitlines())
    assert row["_line"] == "8"


def test_the_header_is_found_under_the_names_that_are_mapped(
    form: Form, duckdb_shop: Retailer
) -> None:
    lines = [["Sales"], ["Bon", *HEADER[1:]], *SALES]
    settings = settings_for(
        duckdb_shop, form, lines, TRANSACTIONS__COLUMNS='{"transaction_id": "bon"}'
    )
    (warning,) = surprises(duckdb_shop.publish(**settings))
    assert " 1, above the header, is passed over" in warning
    assert loaded(duckdb_shop) == ["T1", "T2"]


def test_a_row_that_is_set_is_the_header(form: Form, duckdb_shop: Retailer) -> None:
    old = [name.upper() for name in HEADER]
    lines = [old, ["old", *SALES[0][1:]], [], HEADER, *SALES]
    results = duckdb_shop.publish(
        **settings_for(duckdb_shop, form, lines, TRANSACTIONS__HEADER_ROW=4)
    )
    assert (surprises(results), loaded(duckdb_shop)) == ([], ["T1", "T2"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (1, "3 has the required names: set TRANSACTIONS__HEADER_ROW=3, or leave it out"),
        (2, "TRANSACTIONS__HEADER_ROW=2, but {what} 2 is blank or not there, and {what} 1 is not"),
        (99, "TRANSACTIONS__HEADER_ROW=99, but {what} 99 is blank or not there"),
    ],
)
def test_a_wrong_row_is_told_with_the_right_one(
    row: int, words: str, form: Form, duckdb_shop: Retailer
) -> None:
    settings = settings_for(
        duckdb_shop, form, [["Sales"], [], HEADER, *SALES], TRANSACTIONS__HEADER_ROW=row
    )
    (error,) = duckdb_shop.run(**settings)["errors"]
    assert words.format(what="row" if form[0] == "xlsx" else "line") in error


def test_a_header_far_below_is_asked_for(form: Form, duckdb_shop: Retailer) -> None:
    lines = [["Sales"], *([["text"]] * 30), HEADER, *SALES]
    (error,) = duckdb_shop.run(**settings_for(duckdb_shop, form, lines))["errors"]
    assert "if the header comes further down, set TRANSACTIONS__HEADER_ROW to its" in error
    settings = settings_for(duckdb_shop, form, lines, TRANSACTIONS__HEADER_ROW=32)
    duckdb_shop.publish(**settings)
    assert loaded(duckdb_shop) == ["T1", "T2"]


def test_names_that_are_set_make_a_table_of_a_file_without_header(
    form: Form, duckdb_shop: Retailer
) -> None:
    settings = settings_for(
        duckdb_shop, form, [[], *SALES], TRANSACTIONS__HEADER=str(HEADER).replace("'", '"')
    )
    results = duckdb_shop.publish(**settings)
    assert (surprises(results), loaded(duckdb_shop)) == ([], ["T1", "T2"])


def test_of_several_parts_the_first_may_have_the_header(form: Form, duckdb_shop: Retailer) -> None:
    suffix, write, own = form
    parts = duckdb_shop.folder / "parts"
    parts.mkdir()
    header = [f" {name.upper()}" for name in HEADER]
    for number, lines in enumerate([[header, SALES[0]], [SALES[1]]]):
        (parts / f"part-{number:04}.{suffix}").write_bytes(write(lines))
    names = str(HEADER).replace("'", '"')
    settings = {"TRANSACTIONS__PATH": parts, "TRANSACTIONS__HEADER": names}
    results = duckdb_shop.publish(**own, **settings)
    assert results["extraction_results"]["transactions"]["records"] == 2
    assert loaded(duckdb_shop) == ["T1", "T2"]


def test_names_of_another_number_than_the_fields_are_refused(
    form: Form, duckdb_shop: Retailer
) -> None:
    names = str(HEADER[:-1]).replace("'", '"')
    settings = settings_for(duckdb_shop, form, SALES, TRANSACTIONS__HEADER=names)
    (error,) = duckdb_shop.run(**settings)["errors"]
    assert "it has 6 fields, and TRANSACTIONS__HEADER has 5 names" in error


def test_a_file_without_header_is_told_how_to_name_its_columns(
    form: Form, duckdb_shop: Retailer
) -> None:
    (error,) = duckdb_shop.run(**settings_for(duckdb_shop, form, SALES))["errors"]
    assert "or set TRANSACTIONS__HEADER to the names of its 6 columns" in error


def test_a_sep_line_comes_before_a_title_and_before_rows(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "export.csv"
    rows = "".join(f"{';'.join(cells)}\n" for cells in SALES)
    path.write_text(f"sep=;\nA, title, with, commas\n{';'.join(HEADER)}\n{rows}")
    duckdb_shop.publish(TRANSACTIONS__PATH=path)
    assert loaded(duckdb_shop) == ["T1", "T2"]
    path.write_text(f"sep=;\n{rows.replace('T2', 'T3')}")
    names = str(HEADER).replace("'", '"')
    duckdb_shop.publish(TRANSACTIONS__PATH=path, TRANSACTIONS__HEADER=names)
    assert loaded(duckdb_shop) == ["T1", "T2", "T3"]


@pytest.mark.parametrize(
    "blank", ["\x1f", "\x1c\n\x1d\n", "\u2003\n\u00a0\n", "sep=;\n\n \n", "\u00a0" * 3 + "\r\n"]
)
def test_a_file_of_space_alone_is_refused_with_its_name(blank: str, duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = blank.encode()
    (error,) = duckdb_shop.run()["errors"]
    assert "sales.csv" in error
    assert "a source needs at least a header line" in error

"""The same retailer in every format and place: the same star, digest for digest."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from config import StarSchemaConfig, load_config
from errors import ConfigError
from extract import DataExtractor
from main import StarSchemaETLPipeline
from support.absent import shared_data
from support.corpus import READ, SOURCE_OF, VALUES, settings_of
from support.formats import (
    FORMS,
    Rows,
    csv_text,
    excel,
    gzipped,
    records_of,
    write_duckdb,
    write_files,
    write_postgresql,
    write_sqlite,
    zipped,
)
from support.retailer import Retailer
from support.star import Star
from support.tables import Row, csv_rows, to_csv
from transform import StarSchemaTransformer

ORIGINAL = {
    "customers": "customers.csv",
    "products": "products.json",
    "transactions": "sales.csv",
    "sales_reps": "sales_reps.csv",
}


# --- how rows are written ------------------------------------------------------------------


# --- Chinook -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chinook() -> Rows:
    """The real data set, typed as a program would have it."""
    folder = shared_data("chinook")
    products = (folder / "products.json").read_text(encoding="utf-8")
    sales = [
        {
            "transaction_id": int(row["transaction_id"]),
            "transaction_date": date.fromisoformat(row["transaction_date"]),
            "customer_id": int(row["customer_id"]),
            "product_id": int(row["product_id"]),
            "sales_rep_id": int(row["sales_rep_id"]),
            "quantity": int(row["quantity"]),
            "unit_price": Decimal(row["unit_price"]),
            "discount_amount": Decimal(row["discount_amount"]),
        }
        for row in csv_rows(folder / "sales.csv")
    ]
    return {
        "customers": [dict(row) for row in csv_rows(folder / "customers.csv")],
        "products": json.loads(products, parse_float=Decimal),
        "transactions": sales,
        "sales_reps": [dict(row) for row in csv_rows(folder / "sales_reps.csv")],
    }


@pytest.fixture(scope="module")
def the_star(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the star that the original files make."""
    source = shared_data("chinook")
    paths = {f"{name.upper()}__PATH": source / file for name, file in ORIGINAL.items()}
    return digest_of(tmp_path_factory.mktemp("original"), paths)


def digest_of(folder: Path, settings: Row) -> str:
    """Load an empty DuckDB warehouse, and tell the digest of the star in it."""
    star = Star(f"duckdb:///{folder / 'warehouse.duckdb'}")
    own = {
        "LOG_FILE": folder / "etl.log",
        "REJECTS_DIR": folder / "rejects",
        "WORK_DIR": folder / "work",
        "MAX_REJECT_RATE": 0,
    }
    all_settings = {**star.settings, **own, **settings}
    config = load_config(None, {name: str(value) for name, value in all_settings.items()})
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert results["errors"] == []
    assert results["fact_loading_results"]["records_inserted"] == 2240
    return star.digest(with_runs=False)


@pytest.mark.parametrize("form", FORMS)
def test_every_file_format_gives_the_same_star(
    form: str, chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    assert digest_of(tmp_path, write_files(tmp_path, chinook, form)) == the_star


def test_fifty_files_in_a_directory_give_the_same_star(
    chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    settings = write_files(tmp_path, chinook, "csv")
    settings["TRANSACTIONS__PATH"] = write_parts(tmp_path / "days", chinook["transactions"])
    assert digest_of(tmp_path, settings) == the_star


def test_files_that_a_pattern_matches_give_the_same_star(
    chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    settings = write_files(tmp_path, chinook, "csv")
    days = write_parts(tmp_path / "days", chinook["transactions"])
    (days / "sales-notes.txt").write_text("not a sale", encoding="utf-8")
    settings["TRANSACTIONS__PATH"] = tmp_path / "d*s" / "sales-??.csv"
    assert digest_of(tmp_path, settings) == the_star


def write_parts(folder: Path, sales: list[Row], files: int = 50) -> Path:
    """The sales in many files, whose order by name is that of the rows; some are compressed."""
    folder.mkdir()
    size = -(-len(sales) // files)
    for number in range(files):
        part = sales[number * size : (number + 1) * size]
        path = folder / f"sales-{number:02}.csv"
        path.write_bytes(gzipped(part) if number % 10 == 3 else csv_text(part))
    return folder


def test_tables_of_sqlite_give_the_same_star(chinook: Rows, the_star: str, tmp_path: Path) -> None:
    assert digest_of(tmp_path, write_sqlite(tmp_path, chinook)) == the_star


def test_tables_of_duckdb_give_the_same_star(chinook: Rows, the_star: str, tmp_path: Path) -> None:
    assert digest_of(tmp_path, write_duckdb(tmp_path, chinook)) == the_star


def test_tables_of_postgresql_give_the_same_star(
    chinook: Rows, the_star: str, tmp_path: Path, postgresql_star: Star
) -> None:
    schema = str(postgresql_star.schema)
    assert digest_of(tmp_path, write_postgresql(postgresql_star.url, schema, chinook)) == the_star


# --- object storage and the web ------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket on an S3 server of our own, on this machine; the environment points at it."""
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-s3")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="shop")
        S3FileSystem.clear_instance_cache()
        yield "s3://shop"
    S3FileSystem.clear_instance_cache()
    server.stop()


def upload(folder: Path, *, under: str) -> None:
    """Every file of `folder` into the bucket."""
    import boto3

    client = boto3.client("s3")
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "shop", f"{under}/{path.relative_to(folder)}")


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a web server on this machine, and the folder that it serves.

    It knows no ranges, as many do not, so that nothing can be read but from start to end.
    """
    folder = tmp_path / "web"
    folder.mkdir()
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def at_place(settings: Row, place: str) -> Row:
    """The settings of `write_files`, for its files at another place."""
    return {name: f"{place}/{path.name}" for name, path in settings.items()}


@pytest.mark.parametrize("form", ["csv", "parquet", "zip"])
def test_objects_of_s3_give_the_same_star(
    form: str, s3: str, chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    settings = write_files(files, chinook, form)
    upload(files, under=form)
    assert digest_of(tmp_path, at_place(settings, f"{s3}/{form}")) == the_star


def test_objects_under_a_prefix_and_by_a_pattern_give_the_same_star(
    s3: str, chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    settings = write_files(tmp_path, chinook, "gzip")
    upload(write_parts(tmp_path / "days", chinook["transactions"], files=5), under="days")
    for path in ("days", "days/sales-*.csv"):
        folder = tmp_path / path.replace("/", "-").replace("*", "x")
        folder.mkdir(exist_ok=True)
        settings["TRANSACTIONS__PATH"] = f"{s3}/{path}"
        assert digest_of(folder, settings) == the_star


@pytest.mark.parametrize("form", ["csv", "excel", "zip"])
def test_files_of_a_web_server_give_the_same_star(
    form: str, web: tuple[str, Path], chinook: Rows, the_star: str, tmp_path: Path
) -> None:
    address, folder = web
    settings = at_place(write_files(folder, chinook, form), address)
    settings["TRANSACTIONS__PATH"] += "?signature=a%2Fb&expires=1"
    assert digest_of(tmp_path, settings) == the_star


def test_a_large_file_of_a_web_server_is_read_to_its_end(
    web: tuple[str, Path], duckdb_shop: Retailer
) -> None:
    address, folder = web
    rows = [{"customer_id": f"C{n}", "company": f"No. {n}", "x": "x" * 100_000} for n in range(70)]
    (folder / "customers.csv").write_text(to_csv(rows), encoding="utf-8")
    config = duckdb_shop.config(CUSTOMERS__PATH=f"{address}/customers.csv")
    assert [row["company"] for row in records_in(config, "customers")] == [
        row["company"] for row in rows
    ]


# --- the same rows in every format ---------------------------------------------------------


OTHER_FORMS = ("json_lines", "json_array", "parquet", "excel", "sqlite", "duckdb")


@pytest.mark.parametrize("form", OTHER_FORMS)
@pytest.mark.parametrize("oddity", VALUES)
def test_odd_values_are_read_the_same_from_every_format(
    oddity: str, form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    given = settings_of(oddity, tmp_path)
    rows = {
        SOURCE_OF[path.stem]: rows_of(path, storable_in_excel=form == "excel")
        for path in (tmp_path / oddity).iterdir()
    }
    as_csv = duckdb_shop.config(**{**given, **write_files(tmp_path, rows, "csv")})
    as_form = duckdb_shop.config(**{**given, **write(tmp_path, rows, form)})
    for source, content in rows.items():
        expected = records_in(as_csv, source)
        assert len(expected) == len(content) > 0
        assert records_in(as_form, source) == expected


def write(folder: Path, rows: Rows, form: str) -> Row:
    """Each source in one of `OTHER_FORMS`; returns the settings that name them."""
    tables = {"sqlite": write_sqlite, "duckdb": write_duckdb}
    return tables[form](folder, rows) if form in tables else write_files(folder, rows, form)


def rows_of(path: Path, *, storable_in_excel: bool) -> list[Row]:
    """The rows of a CSV file by Python's own parser."""
    text = path.read_text(encoding="utf-8")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    if storable_in_excel:  # XML knows neither most control characters nor noncharacters
        return [row for row in rows if not _NOT_IN_XML.search("".join(row.values()))]
    return rows


_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def records_in(config: StarSchemaConfig, source: str) -> list[dict[Any, Any]]:
    """A source as everything after its extraction sees it; no value and blank are the same."""
    frame: pd.DataFrame = DataExtractor(config).extract_all_sources()[source]
    records: list[dict[Any, Any]] = frame.fillna("").to_dict("records")
    return records


@pytest.mark.parametrize("oddity", READ)
def test_the_size_of_a_batch_decides_nothing(
    oddity: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    settings = settings_of(oddity, tmp_path)
    whole = records_of(duckdb_shop.config(**settings))
    assert whole["transactions"] or oddity.startswith(("header_only", "json_empty"))
    for size in (1, 2, 3):
        assert records_of(duckdb_shop.config(**{**settings, "BATCH_ROWS": size})) == whole


# --- what else is in a file ----------------------------------------------------------------


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_numbers_have_a_point_whatever_the_texts_beside_them_have(
    form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """A price of 1.234 is not 1234 because texts of the source have decimal commas."""
    price: Any = {"parquet": Decimal("1.234"), "duckdb": Decimal("1.234")}.get(form, 1.234)
    rows = [{**sale, "unit_price": price, "discount_amount": "0,5"} for sale in duckdb_shop.sales]
    settings = write(tmp_path, {"transactions": rows}, form)
    duckdb_shop.publish(**settings, TRANSACTIONS__DECIMAL_SEPARATOR=",")
    kept = duckdb_shop.star.rows("SELECT DISTINCT unit_price, discount_amount FROM fact_sales")
    assert kept == [(Decimal("1.2340"), Decimal("0.5000"))]


def test_numbers_of_a_frame_have_a_point_as_well(duckdb_shop: Retailer) -> None:
    config = duckdb_shop.config(TRANSACTIONS__DECIMAL_SEPARATOR=",")
    sales = pd.DataFrame([{**sale, "unit_price": 1.234} for sale in duckdb_shop.sales[:1]])
    (fact,) = StarSchemaTransformer(config).prepare_sales_facts(sales).to_dict("records")
    assert fact["unit_price"] == Decimal("1.2340")


def test_of_several_sheets_the_first_is_read_and_the_others_are_told(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    book = openpyxl.load_workbook(io.BytesIO(excel(duckdb_shop.sales)))
    book.create_sheet("hidden", 0).sheet_state = "hidden"
    book.create_sheet("March").append(["transaction_id"])
    book.save(tmp_path / "sales.xlsx")
    results = duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "sales.xlsx")
    (warning,) = results["warnings"]
    assert "only its first sheet, 'Sheet', is read; not read: 'March'" in warning
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == len(duckdb_shop.sales)


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


def test_a_header_in_another_sheet_or_row_is_told(duckdb_shop: Retailer, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Sales of the year"])
    book.create_sheet("March").append(list(duckdb_shop.sales[0]))
    book.save(tmp_path / "sales.xlsx")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "sales.xlsx")["errors"]
    assert "if the header comes further down, remove the rows above it" in error
    assert "not read: 'March'" in error


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"[Content_Types].xml": b"<x/>", "xl/workbook.bin": b"x"}, "save it as .xlsx"),
        ({"mimetype": b"application/x", "content.xml": b"<x/>"}, "save it as .xlsx"),
        ({"inner.zip": zipped([{"a": 1}])}, "an archive inside another one"),
    ],
)
def test_other_archives_are_told_for_what_they_are(
    members: dict[str, bytes], words: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    path = tmp_path / "sales.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert words in error


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_link_to("nowhere"), "there is no such file"),
        (_link_to("sales.csv"), "there is no such file"),  # to itself
        (_link_to("/dev/null"), "the file is empty"),
        (_link_to("/dev/zero"), "the line exceeds the limit"),
        (Path.mkdir, "the directory holds no files"),
        (os.mkfifo, "it is a pipe"),
    ],
)
def test_a_place_without_a_file_is_told_for_what_it_is(
    make: Callable[[Path], None], words: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """Nobody waits for what never comes, or never ends."""
    make(path := tmp_path / "sales.csv")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert error.startswith(f"Extraction phase failed: transactions: {path}")
    assert words in error


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"ARROW1\0\0", "an Arrow file; write it as Parquet"),
        (b"Obj\x01\x04", "an Avro file"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook; save it as .xlsx"),
    ],
)
def test_files_that_are_no_source_are_told_for_what_they_are(
    head: bytes, words: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["transactions"] = head + bytes(100)
    (error,) = duckdb_shop.run()["errors"]
    assert words in error


def test_an_address_that_is_no_path_is_told(duckdb_shop: Retailer) -> None:
    with pytest.raises(ConfigError) as raised:
        duckdb_shop.run(TRANSACTIONS__PATH="ftp://etl:s3cret@host/sales.csv")
    (problem,) = raised.value.problems
    assert "ftp:// in TRANSACTIONS__PATH is taken for a database" in problem
    assert "s3," in problem
    assert "s3cret" not in problem


def test_a_directory_of_directories_is_told_with_the_pattern_for_it(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    (tmp_path / "in" / "2024").mkdir(parents=True)
    (tmp_path / "in" / "2024" / "sales.csv").write_text(to_csv(duckdb_shop.sales), encoding="utf-8")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "in")["errors"]
    pattern = f"{tmp_path}/in/**/*"
    assert f"TRANSACTIONS__PATH={pattern}" in error
    duckdb_shop.publish(TRANSACTIONS__PATH=pattern)


# --- faults and oddities of many files -----------------------------------------------------


def test_a_fault_of_many_files_is_told_once(duckdb_shop: Retailer, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"day{number:02}.csv").write_text("id\n1\n", encoding="utf-8")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "day*.csv")["errors"]
    assert error.count("the required columns transaction_id") == 1
    assert error.count("day0") == 5
    assert "day04.csv and 7 more files: the required columns" in error


def test_faults_at_the_end_of_files_are_told_with_those_at_their_beginning(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    many = to_csv(duckdb_shop.sales * 10_000).encode()
    for name, content in {
        "1.csv": many + b"\xff\n" * 20,
        "2.csv": b"\n",
        "3.csv": b"\n" + many + b"\xff\n" * 20,
    }.items():
        (tmp_path / name).write_bytes(content)
    duckdb_shop.files["customers"] = "name\nAda\n"
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "?.csv")["errors"]
    for words in (
        "customers.csv: the required column customer_id is missing",
        f"1.csv: byte {len(many)} is not valid utf-8",
        "2.csv: the file is empty",
        f"3.csv: byte {len(many) + 1} is not valid utf-8",
    ):
        assert words in error


def test_a_column_that_some_files_lack_is_told(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """Under another name there, it would be taken as absent without a word."""
    first, second, third = duckdb_shop.sales
    renamed = [{"discount" if k == "discount_amount" else k: v for k, v in second.items()}]
    for name, rows in {"a.csv": [first], "b.csv": renamed, "c.csv": [third]}.items():
        (tmp_path / name).write_text(to_csv(rows), encoding="utf-8")
    warnings = duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "?.csv")["warnings"]
    ignored, partly = warnings
    assert ignored.endswith("ignored: discount")
    assert partly == f"transactions: discount_amount is in other files, not in {tmp_path / 'b.csv'}"


@pytest.mark.parametrize(
    "header",
    [
        "transaction_id transaction_date customer_id product_id quantity unit_price",
        "Order        Sold on     Customer",
    ],
)
def test_columns_that_spaces_align_are_told_not_to_be_read(
    duckdb_shop: Retailer, header: str
) -> None:
    duckdb_shop.files["transactions"] = f"{header}\nT1             2024-03-15  C1\n"
    (error,) = duckdb_shop.run()["errors"]
    assert "sales.csv" in error
    assert "fixed width, which is not read yet: export it with a delimiter" in error


def test_words_of_a_title_are_not_taken_for_columns_of_fixed_width(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = "Sales of March\nid;when\n"
    (error,) = duckdb_shop.run()["errors"]
    assert "fixed width" not in error

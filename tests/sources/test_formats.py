"""The same retailer in every format and place: the same star, digest for digest."""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from config import StarSchemaConfig, load_config
from extract import DataExtractor
from main import StarSchemaETLPipeline
from support.absent import shared_data
from support.corpus import READ, SOURCE_OF, VALUES, settings_of
from support.formats import (
    FORMS,
    Rows,
    csv_text,
    gzipped,
    records_of,
    write_duckdb,
    write_files,
    write_postgresql,
    write_sqlite,
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


def test_objects_are_chosen_and_in_order_as_files_are(s3: str, duckdb_shop: Retailer) -> None:
    """By numbers, without what is no table; members of archives, and folders that name columns."""
    shop, folder = duckdb_shop, duckdb_shop.folder / "mixed"
    sale = {k: v for k, v in shop.sales[0].items() if k != "sales_rep_id"}
    for number in (9, 10):
        day = folder / f"sales_rep_id=rep%20{number}"
        day.mkdir(parents=True)
        (day / "part-0.csv").write_bytes(csv_text([{**sale, "quantity": str(number)}]))
    (folder / "old").mkdir()
    for name in ("_SUCCESS", "README.md", "notes.txt", ".part.csv", "empty.csv", "old/a.csv"):
        (folder / name).write_bytes(b"" if name == "empty.csv" else b"about\n")
    members = {f"day/{s['transaction_id']}.csv": csv_text([s]) for s in shop.sales[1:]}
    with tarfile.open(folder / "more.tgz", "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    upload(folder, under="mixed")
    warnings = shop.publish(TRANSACTIONS__PATH=f"{s3}/mixed")["warnings"]
    (told,) = (warning for warning in warnings if "passed over" in warning)
    assert told.startswith("transactions: passed over: s3://shop/mixed/old (a folder; ")
    assert "mixed/.part.csv (hidden), s3://shop/mixed/README.md (no table)" in told
    assert told.endswith(" and 1 more")
    shop.publish(TRANSACTIONS__PATH=f"{s3}/mixed/**/part-*.csv")
    shop.publish(TRANSACTIONS__PATH=f"{s3}/mixed/*.tgz!T2.csv")
    assert shop.star.rows(
        "SELECT transaction_id, quantity, sales_rep_id FROM fact_sales "
        "JOIN dim_sales_rep USING (sales_rep_key) ORDER BY 1"
    ) == [("T1", 10, "rep 10"), ("T2", 3, "grace_hopper"), ("T3", 1, "john_backus")]


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


# --- numbers beside texts ----------------------------------------------------------------


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

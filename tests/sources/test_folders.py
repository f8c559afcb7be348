"""Folders, archives and compressed files as sources: what is read of them, and what is told."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.retailer import Retailer, counts
from support.summary import surprises
from support.tables import Row, to_csv


def zipped(members: dict[str, str]) -> bytes:
    """A zip archive of texts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(content: bytes) -> bytes:
    """A tar archive of one file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("sales.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def ids(shop: Retailer) -> list[str]:
    """The sales that the star has."""
    return [
        str(key)
        for key in shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY transaction_id")
    ]


def folder_of(shop: Retailer, **beside: bytes) -> Path:
    """A folder with all sales, and what else is in it."""
    folder = shop.folder / "in"
    folder.mkdir()
    (folder / "sales.csv").write_text(to_csv(shop.sales), encoding="utf-8")
    for name, content in beside.items():
        (folder / name).write_bytes(content)
    return folder


def warning_of(results: Row) -> str:
    """The one warning of a run."""
    (warning,) = surprises(results)
    return str(warning)


@pytest.mark.parametrize(
    "name", ["~$sales.xlsx", "_SUCCESS", "_metadata", ".part-0.crc", "Thumbs.db", "DESKTOP.INI"]
)
@pytest.mark.parametrize("pattern", ["", "/*", "/**/*"])
def test_what_programs_leave_beside_files_is_passed_over_and_told(
    name: str, pattern: str, duckdb_shop: Retailer
) -> None:
    folder = folder_of(duckdb_shop, **{name: b"\x05user of the workbook"})
    results = duckdb_shop.publish(TRANSACTIONS__PATH=f"{folder}{pattern}")
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]
    told = (
        [] if name.startswith(".") else [f"transactions: passed over: {folder / name} (no table)"]
    )
    assert surprises(results) == told


def test_files_whose_names_begin_so_are_read_when_they_are_asked_for(
    duckdb_shop: Retailer,
) -> None:
    folder = folder_of(duckdb_shop)
    (folder / "sales.csv").rename(folder / "_sales.csv")
    assert surprises(duckdb_shop.publish(TRANSACTIONS__PATH=folder / "_*.csv")) == []
    duckdb_shop.publish_in_full(TRANSACTIONS__PATH=folder)  # it is all there is
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("2024-03-17.csv", b""), ("2024-03-17.xlsx", b""), ("2024-03-17.csv.gz", gzip.compress(b""))],
    ids=["csv", "xlsx", "gzip"],
)
def test_one_day_of_zero_bytes_does_not_stop_the_others(
    name: str, content: bytes, duckdb_shop: Retailer
) -> None:
    folder = folder_of(duckdb_shop, **{name: content})
    told = warning_of(duckdb_shop.publish(TRANSACTIONS__PATH=folder))
    assert told == f"transactions: passed over: {folder / name} (zero bytes)"
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]


def test_a_source_of_nothing_but_zero_bytes_is_refused(duckdb_shop: Retailer) -> None:
    folder = folder_of(duckdb_shop, **{"a.csv": b""})
    (folder / "sales.csv").write_bytes(b"")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=folder)["errors"]
    assert "the file is empty" in error


@pytest.mark.parametrize("name", ["README.txt", "README", "docs/notes.md", "LICENSE", "plan.png"])
def test_what_people_read_in_an_archive_is_passed_over_and_told(name: str, shop: Retailer) -> None:
    path = shop.folder / "sales.zip"
    path.write_bytes(zipped({name: "about\n", "sales.csv": to_csv(shop.sales)}))
    told = warning_of(shop.publish(TRANSACTIONS__PATH=path))
    assert told == f"transactions: passed over: {path}!{name} (no table)"
    assert ids(shop) == ["T1", "T2", "T3"]


def test_a_text_is_a_table_where_nothing_else_is(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "sales.zip"
    path.write_bytes(zipped({"sales.txt": to_csv(duckdb_shop.sales)}))
    assert surprises(duckdb_shop.publish(TRANSACTIONS__PATH=path)) == []
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]


def test_one_file_of_an_archive_is_named_behind_an_exclamation_mark(
    duckdb_shop: Retailer,
) -> None:
    path = duckdb_shop.folder / "export.zip"
    path.write_bytes(
        zipped(
            {
                "day/customers.csv": to_csv(duckdb_shop.customers),
                "day/orders.csv": to_csv(duckdb_shop.sales),
            }
        )
    )
    results = duckdb_shop.publish(
        TRANSACTIONS__PATH=f"{path}!orders*.csv", CUSTOMERS__PATH=f"{path}!day/customers.csv"
    )
    assert surprises(results) == []
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=f"{path}!lines.csv")["errors"]
    assert "no file in it matches lines.csv; it has day/customers.csv, day/orders.csv" in error


@pytest.mark.parametrize(("suffix", "compress"), [(".bz2", bz2.compress), (".xz", lzma.compress)])
def test_files_of_bzip2_and_xz_are_read(
    suffix: str, compress: Callable[[bytes], bytes], duckdb_shop: Retailer
) -> None:
    text = to_csv(duckdb_shop.sales).encode()
    path = duckdb_shop.folder / f"sales.csv{suffix}"
    path.write_bytes(compress(text[:150]) + compress(text[150:]))  # two parts, one after the other
    duckdb_shop.publish(TRANSACTIONS__PATH=path)
    assert ids(duckdb_shop) == ["T1", "T2", "T3"]
    path.write_bytes(compress(os.urandom(5000))[:-200])
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert f"{path}: damaged or cut off" in error


def test_a_bomb_of_bzip2_is_refused(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "sales.csv.bz2"
    blank = bz2.compress(b"\n" * (16 << 20))
    path.write_bytes(bz2.compress(to_csv(duckdb_shop.sales).encode()) + blank * 17)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "the limit for a compressed source" in error


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("sales.csv.gz", gzip.compress(tarred(b"a,b\n1,2\n")), "a tar archive; call it"),
        ("sales.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        ("sales.doc", OLE + "WordDocument".encode("utf-16-le"), "no workbook in it"),
        ("sales.ods", zipped({"mimetype": "", "content.xml": ""}), "OpenDocument"),
        ("sales.numbers", zipped({"Index/Document.iwa": "", "preview.jpg": ""}), "Numbers"),
        ("sales.docx", zipped({"[Content_Types].xml": "", "word/d.xml": ""}), "another kind"),
        ("sales.csv.lz4", b"\x04\x22\x4d\x18" + bytes(50), "compressed by lz4"),
        ("sales.csv.Z", b"\x1f\x9d\x90" + bytes(50), "compressed by compress"),
        ("sales.orc", b"ORC" + bytes(50), "an ORC file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_a_file_that_is_no_source_is_told_for_what_it_is(
    name: str, content: bytes, words: str, duckdb_shop: Retailer
) -> None:
    path = duckdb_shop.folder / name
    path.write_bytes(content)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert f"{path}: it is " in error
    assert words in error
    assert "ENCODING" not in error


# --- faults of many files -------------------------------------------------------------------


def test_a_directory_of_directories_is_told_with_the_pattern_for_it(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    (tmp_path / "in" / "2024").mkdir(parents=True)
    (tmp_path / "in" / "2024" / "sales.csv").write_text(to_csv(duckdb_shop.sales), encoding="utf-8")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / "in")["errors"]
    pattern = f"{tmp_path}/in/**/*"
    assert f"TRANSACTIONS__PATH={pattern}" in error
    duckdb_shop.publish(TRANSACTIONS__PATH=pattern)


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


# --- columns in the names of folders ---------------------------------------------------------


def parquet(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def excel(rows: list[Row]) -> bytes:
    book = openpyxl.Workbook()
    for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
        book.worksheets[0].append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


FORMS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: to_csv(rows).encode(),
    "jsonl": lambda rows: "".join(f"{json.dumps(row)}\n" for row in rows).encode(),
    "parquet": parquet,
    "xlsx": excel,
}


@pytest.mark.parametrize("form", FORMS)
def test_folders_that_name_a_column_are_read_and_give_it(form: str, shop: Retailer) -> None:
    folder = shop.folder / "sales"
    for number, (day, rep) in enumerate(
        [("2024-03-15", "EMEA%2FNorth"), ("2024-03-16", "__HIVE_DEFAULT_PARTITION__")], 1
    ):
        inner = folder / f"transaction_date={day}" / f"sales_rep_id={rep}"
        inner.mkdir(parents=True)
        row = {"transaction_id": f"T{number}", "customer_id": "C1", "product_id": "P1",
               "quantity": number, "unit_price": 10}  # fmt: skip
        (inner / f"part-0.{form}").write_bytes(FORMS[form]([row]))
    (folder / "_SUCCESS").write_bytes(b"")
    shop.publish(TRANSACTIONS__PATH=folder)
    assert shop.star.rows(
        "SELECT transaction_id, date_key, sales_rep_id, quantity FROM fact_sales "
        "JOIN dim_sales_rep USING (sales_rep_key) ORDER BY 1"
    ) == [("T1", 20240315, "EMEA/North", 1), ("T2", 20240316, "", 2)]
    again = shop.publish_in_full(TRANSACTIONS__PATH=f"{folder}/**/*.{form}")
    assert counts(again, "fact_sales") == (0, 0, 2)


@pytest.mark.parametrize("form", FORMS)
def test_a_column_that_the_file_has_as_well_is_read_from_the_file_and_told(
    form: str, duckdb_shop: Retailer
) -> None:
    folder = duckdb_shop.folder / "sales" / "customer_id=C2"
    folder.mkdir(parents=True)
    (folder / f"part-0.{form}").write_bytes(FORMS[form](duckdb_shop.sales[:1]))
    told = warning_of(duckdb_shop.publish(TRANSACTIONS__PATH=duckdb_shop.folder / "sales"))
    assert "of customer_id the file's own values are read" in told
    kept = "SELECT customer_id FROM fact_sales JOIN dim_customer USING (customer_key)"
    assert duckdb_shop.star.column(kept) == ["C1"]


def test_the_same_bytes_in_a_folder_of_another_name_are_other_sales(
    duckdb_shop: Retailer,
) -> None:
    folder = duckdb_shop.folder / "sales"
    (folder / "transaction_date=2024-03-15").mkdir(parents=True)
    rows = [
        {k: v for k, v in sale.items() if k != "transaction_date"} for sale in duckdb_shop.sales
    ]
    (folder / "transaction_date=2024-03-15" / "a.csv").write_text(to_csv(rows), encoding="utf-8")
    duckdb_shop.publish(TRANSACTIONS__PATH=folder)
    (folder / "transaction_date=2024-03-15").rename(folder / "transaction_date=2024-03-16")
    results = duckdb_shop.publish(TRANSACTIONS__PATH=folder)
    assert counts(results, "fact_sales") == (0, 3, 0)
    assert set(duckdb_shop.star.column("SELECT date_key FROM fact_sales")) == {20240316}

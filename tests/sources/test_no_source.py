"""What is no source is told for what it is."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ConfigError
from support.formats import (
    zipped,
)
from support.retailer import Retailer


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"[Content_Types].xml": b"<x/>", "xl/workbook.bin": b"x"}, "not a whole"),
        ({"[Content_Types].xml": b"<x/>", "word/document.xml": b"x"}, "save it as .xlsx"),
        ({"mimetype": b"application/x", "content.xml": b"<x/>"}, "an OpenDocument file, and no"),
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


@pytest.mark.parametrize(
    ("field", "damage"),
    [(6, b"\xbf"), (16, b"\xff" * 12)],
    ids=["version", "sizes"],
)
@pytest.mark.parametrize("name", ["sales.zip", "sales.xlsx"])
def test_a_damaged_directory_of_an_archive_is_told(
    name: str, field: int, damage: bytes, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """Whatever it is that Python cannot read of the entry of its first file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("sales.csv", "transaction_id\nT1\n")
    raw = bytearray(content.getvalue())
    at = raw.index(b"PK\x01\x02") + field
    raw[at : at + len(damage)] = damage
    (tmp_path / name).write_bytes(raw)
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=tmp_path / name)["errors"]
    assert error.startswith(f"Extraction phase failed: transactions: {tmp_path / name}")
    assert "fetch it again" in error or "unpack" in error


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
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Office with no workbook in it"),
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


@pytest.mark.parametrize(
    "header",
    [
        "transaction_id transaction_date customer_id product_id quantity unit_price",
        "Order        Sold on     Customer",
    ],
)
def test_columns_that_spaces_align_are_told_with_their_widths(
    duckdb_shop: Retailer, header: str
) -> None:
    duckdb_shop.files["transactions"] = f"{header}\nT1             2024-03-15  C1\n"
    (error,) = duckdb_shop.run()["errors"]
    assert "sales.csv" in error
    assert "it looks like fixed width; set TRANSACTIONS__WIDTHS=[" in error


def test_words_of_a_title_are_not_taken_for_columns_of_fixed_width(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = "Sales of March\nid;when\n"
    (error,) = duckdb_shop.run()["errors"]
    assert "fixed width" not in error

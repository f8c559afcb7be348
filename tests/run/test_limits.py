"""What is too large is refused soon, by name, and in little memory: bombs, depth, numbers."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.rejects import REASONS
from support.application import ROOT
from support.commands import in_a_child
from support.failures import as_sentences
from support.retailer import Retailer
from support.tables import Row

SALES = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price"
MIB = 1 << 20
CPU_SECONDS = 120
"""Far more than any of these takes, and far less than a hang."""
BLANKS = (b"," * 5 + b" " * 8186 + b"\n") * (MIB // 8192)
"""A MiB of sales without a value: a bomb is of bytes, not of rows that take their time."""


def _field_of_300_mb(path: Path) -> None:
    with path.open("w") as file:
        file.write(f"{SALES}\nT1,2024-03-02,C1,P1,1,")
        for _ in range(300):
            file.write("9" * MIB)
        file.write("\nT2,2024-03-02,C1,P1,1,5\n")


def _quoted_field_of_100_mb(path: Path) -> None:
    """With line ends inside, so that no line of it is long."""
    with path.open("w") as file:
        file.write(f'{SALES}\nT1,2024-03-02,C1,P1,1,"')
        for _ in range(100):
            file.write(("9" * 1023 + "\n") * 1024)
        file.write('"\nT2,2024-03-02,C1,P1,1,5\n')


def _header_of_many_columns(path: Path) -> None:
    # Short names, so that the line as such is below its own limit.
    names = ",".join(f"{number:x}" for number in range(600_000))
    path.write_text(f"{names}\n")


def _row_of_a_million_columns(path: Path) -> None:
    path.write_text(f"{SALES}\nT1,2024-03-02,C1,P1,1,5\n{'1,' * 1_000_000}1\n")


def _keys_without_end(path: Path) -> None:
    keys = ", ".join(f'"{number}": 1' for number in range(20_000))
    path.write_text(f"[{{{keys}}}]")


def _string_of_300_mb(path: Path) -> None:
    with path.open("w") as file:
        file.write('[{"transaction_id": "')
        for _ in range(300):
            file.write("9" * MIB)
        file.write('"}]')


def _deep(path: Path) -> None:
    path.write_text('[{"transaction_id": ' + "[" * 100_000 + "]" * 100_000 + "}]")


def _deep_and_open(path: Path) -> None:
    path.write_text("[" * 100_000)


def _gzip_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(f"{SALES}\n".encode()) + gzip.compress(BLANKS) * 300)


def _zstd_bomb(path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(f"{SALES}\n".encode())
        for _ in range(300):
            file.write(BLANKS)


def _zip_bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
        archive.open("sales.csv", "w", force_zip64=True) as file,
    ):
        file.write(f"{SALES}\n".encode())
        for _ in range(300):
            file.write(BLANKS)


def _workbook_bomb(path: Path) -> None:
    """A sheet of 300 MB out of 1: a workbook is a zip archive, too."""
    from openpyxl import Workbook

    small, book = io.BytesIO(), Workbook()
    book.active.append(SALES.split(","))
    book.save(small)
    with (
        zipfile.ZipFile(small) as given,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for part in given.infolist():
            with archive.open(part.filename, "w", force_zip64=True) as file:
                file.write(given.read(part))
                if "sheet1" in part.filename:
                    for _ in range(300):
                        file.write(b" " * MIB)


REFUSED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a field of 300 MB": ("sales.csv", _field_of_300_mb, "line 2: a line exceeds the limit of"),
    "a header of many columns": (
        "sales.csv",
        _header_of_many_columns,
        "header: 600000 columns exceed the limit of 10000",
    ),
    "many keys": ("sales.json", _keys_without_end, "20000 keys exceed the limit of 10000 columns"),
    "a string of 300 MB": ("sales.json", _string_of_300_mb, "above the limit of 4194304 bytes"),
    "depth without end": ("sales.json", _deep_and_open, "record 1"),
    "gzip": ("sales.csv.gz", _gzip_bomb, "the limit for a compressed source"),
    "zstd": ("sales.csv.zst", _zstd_bomb, "the limit for a compressed source"),
    "zip": ("sales.zip", _zip_bomb, "the limit for a compressed source"),
    "Excel": ("sales.xlsx", _workbook_bomb, "the limit for a compressed source"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_end_is_refused_with_file_place_and_limit(
    duckdb_shop: Retailer, tmp_path: Path, name: str
) -> None:
    """Within seconds, under 1 GiB, nothing published, nothing left in the working folder."""
    shop = duckdb_shop
    file, write, told = REFUSED[name]
    path = tmp_path / file
    write(path)
    ended = in_a_child(
        "--env-file", shop.env_file(TRANSACTIONS__PATH=path), cpu_seconds=CPU_SECONDS
    )
    assert ended.code == 1
    assert file in ended.err
    assert told in as_sentences(ended.err)
    assert "Traceback" not in ended.err
    assert ended.peak_mib < 1024
    assert "fact_sales" not in shop.star.tables()
    assert not list((shop.folder / "work").rglob("run-*"))
    path.unlink()


MALFORMED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a quoted field of 100 MB": ("sales.csv", _quoted_field_of_100_mb),
    "a row of a million columns": ("sales.csv", _row_of_a_million_columns),
    "depth": ("sales.json", _deep),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_one_record_beyond_all_measure_is_refused_or_a_reject(
    duckdb_shop: Retailer, tmp_path: Path, name: str
) -> None:
    """The file is refused, or that record is in the rejects and the good ones are loaded."""
    shop = duckdb_shop
    file, write = MALFORMED[name]
    path = tmp_path / file
    write(path)
    ended = in_a_child(
        "--env-file", shop.env_file(TRANSACTIONS__PATH=path), "--json", cpu_seconds=CPU_SECONDS
    )
    assert ended.code in (0, 1)
    assert ended.peak_mib < 1024
    if ended.code == 1:
        assert file in ended.err
        assert "record 1" in ended.err or "line 2" in ended.err
        assert "fact_sales" not in shop.star.tables()
    else:
        assert ended.results["transformation_results"]["fact_sales"]["rejected"]
        size = sum(f.stat().st_size for f in (shop.folder / "rejects").rglob("*.csv"))
        assert 0 < size <= 2 * path.stat().st_size  # the text stands in _detail and in _raw
    path.unlink()


def test_a_parquet_bomb_is_read_in_little_memory(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """A gigabyte of the same text over and over is next to nothing on disk."""
    path, rows = tmp_path / "sales.parquet", 600_000
    piece = pa.repeat(pa.scalar("x" * 1_800), 50_000)
    sale = {"transaction_date": "2024-03-02", "customer_id": "C1", "product_id": "P1",
            "quantity": "1", "unit_price": "5"}  # fmt: skip
    columns = {
        "transaction_id": pa.array(map(str, range(rows))),
        **{name: pa.repeat(pa.scalar(text), rows) for name, text in sale.items()},
        "note": pa.chunked_array([piece] * (rows // 50_000)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    del columns
    assert path.stat().st_size < 4 * MIB
    settings = duckdb_shop.env_file(TRANSACTIONS__PATH=path)
    ended = in_a_child("--env-file", settings, "--json", cpu_seconds=CPU_SECONDS)
    assert ended.code == 0, ended.err
    assert ended.peak_mib < 1024
    assert ended.results["fact_loading_results"]["records_inserted"] == rows


def test_an_archive_of_thousands_of_files_is_read_like_a_folder(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """Its directory is read once, and not kept once for each file. Most days have no sale."""
    path, days = tmp_path / "sales.zip", range(3_000)
    with zipfile.ZipFile(path, "w") as archive:
        for day in days:
            sale = "" if day % 100 else f"T{day},2024-03-02,C1,P1,1,5\n"
            archive.writestr(f"{day}.csv", f"{SALES}\n{sale}")
    settings = duckdb_shop.env_file(TRANSACTIONS__PATH=path)
    ended = in_a_child("--env-file", settings, "--json", cpu_seconds=CPU_SECONDS)
    assert ended.code == 0, ended.err
    assert ended.peak_mib < 1024
    assert len(ended.results["extraction_results"]["transactions"]["files"]) == len(days)
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == len(days) // 100


def _many_sales(path: Path, rows: int) -> Row:
    with path.open("w") as file:
        file.write(f"{SALES}\n")
        file.writelines(f"T{n},2024-03-02,C{n % 500},P{n % 50},1,5\n" for n in range(rows))
    return {"TRANSACTIONS__PATH": path}


def _query_of_many_sales(url: str, rows: int) -> Row:
    query = (
        "SELECT $$T$$ || n AS transaction_id, $$2024-03-02$$ AS transaction_date, "
        "$$C$$ || n % 500 AS customer_id, $$P$$ || n % 50 AS product_id, 1 AS quantity, "
        f"5.00 AS unit_price FROM generate_series(1, {rows}) AS n"
    )
    return {"TRANSACTIONS__PATH": url, "TRANSACTIONS__QUERY": query}


@pytest.mark.parametrize("source", ["a file", "a database"])
def test_memory_does_not_grow_with_the_input(
    duckdb_shop: Retailer, postgresql_url: str, tmp_path: Path, source: str
) -> None:
    """Four times the rows in as much memory. What differs is which workers work at once."""
    peaks = []
    for rows in (100_000, 400_000):
        settings = (
            _many_sales(tmp_path / "sales.csv", rows)
            if source == "a file"
            else _query_of_many_sales(postgresql_url, rows)
        )
        place = f"duckdb:///{tmp_path}/{rows}.duckdb"
        env = duckdb_shop.env_file(**settings, BATCH_ROWS=20_000, WAREHOUSE_URL=place)
        ended = in_a_child("--env-file", env, "--json", cpu_seconds=CPU_SECONDS)
        assert ended.code == 0, ended.err
        assert ended.results["fact_loading_results"]["records_inserted"] == rows
        peaks.append(ended.peak_mib)
    assert peaks[1] < 1.3 * peaks[0]
    assert max(peaks) < 512


ABSURD = [
    "1E+200000000",
    "1e400",
    "9" * 5_000,
    "-" + "9" * 5_000,
    "1e-200000000",
    "0." + "1" * 5_000,
]


def test_absurd_numbers_are_rejects_or_exact(shop: Retailer) -> None:
    """No hang, no overflow, no stop: such a number is no price and no quantity."""
    good = shop.sales[0]
    shop.sales = [
        good,
        *({**good, "transaction_id": f"Q{n}", "quantity": text} for n, text in enumerate(ABSURD)),
        *({**good, "transaction_id": f"P{n}", "unit_price": text} for n, text in enumerate(ABSURD)),
        *(
            {**good, "transaction_id": f"D{n}", "discount_amount": text}
            for n, text in enumerate(ABSURD[:4])
        ),
    ]
    results = shop.publish()
    reasons = shop.reasons(results)
    assert set(reasons) <= set(REASONS)
    loaded = shop.star.column("SELECT transaction_id FROM fact_sales")
    assert "T1" in loaded
    assert not {f"{kind}{n}" for kind in "QPD" for n in range(4)} & set(loaded)
    assert len(loaded) + len(reasons) == len(shop.sales)


def test_nothing_but_bad_rows_is_a_gate_and_not_a_hang(duckdb_shop: Retailer) -> None:
    """All of 200,000 rows are bad; each is in the reject file, and none published."""
    shop = duckdb_shop
    shop.publish()
    before = shop.star.digest()
    line = "T1,2024-03-02,C1,P1,x,1\n"
    shop.files["transactions"] = f"{SALES}\n" + line * 200_000
    ended = in_a_child("--env-file", shop.env_file(MAX_REJECT_RATE="0.05"), cpu_seconds=CPU_SECONDS)
    assert ended.code == 3
    assert "MAX_REJECT_RATE" in ended.err
    assert ended.peak_mib < 1024
    assert shop.star.digest() == before


def test_too_little_address_space_is_told_before_anything_is_opened(duckdb_shop: Retailer) -> None:
    """Arrow's threads would end the process without a word. `--help` needs no room."""
    limited = 'ulimit -v 800000; exec "$0" "$@"'
    command = ["bash", "-c", limited, sys.executable, str(ROOT / "main.py")]
    ended = subprocess.run(
        [*command, "--env-file", duckdb_shop.env_file()],
        capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "limited to 781 MiB" in ended.stderr
    assert "ulimit -v unlimited" in ended.stderr
    assert duckdb_shop.star.runs() == []
    helped = subprocess.run([*command, "--help"], capture_output=True, timeout=120, check=False)
    assert helped.returncode == 0

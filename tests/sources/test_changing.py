"""A file that somebody writes to while it is read is not loaded: half of it may be yesterday's."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.disturbances import meanwhile
from support.retailer import Retailer
from support.tables import Row, to_csv
from support.waiting import wait_until


def sales(count: int) -> list[Row]:
    """So many good sales."""
    return [
        {"transaction_id": f"T{n}", "transaction_date": "2024-02-29", "customer_id": "C1",
         "product_id": "P1", "quantity": 1, "unit_price": 9.99}
        for n in range(count)
    ]  # fmt: skip


@contextmanager
def while_reading(shop: Retailer, source: str, change: Callable[[], object]) -> Iterator[None]:
    """Have `change` happen as soon as the first batch of `source` lies in the working folder."""

    def wait_and_change() -> None:
        first = f"work/run-*/*{source}*"
        wait_until(lambda: any(shop.folder.glob(first)), "a batch is read")
        change()

    with meanwhile(wait_and_change):
        yield


SMALL_BATCHES = {"BATCH_ROWS": 20}
"""So that a file is read for longer than the change takes."""


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"T9999,2024-02-29,C1,P1,1,9.99\n")


def replace(path: Path) -> None:
    """Another file of the same size and time under the same name, as a careful copy makes it."""
    other, status = path.with_name("new.csv"), path.stat()
    other.write_bytes(path.read_bytes().replace(b"9.99", b"8.88"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def overwrite(path: Path) -> None:
    """Other bytes in the same file, which has the same size."""
    content = path.read_bytes().replace(b"9.99", b"8.88")
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


CHANGES: dict[str, Callable[[Path], object]] = {
    "appended to": append,
    "replaced": replace,
    "overwritten": overwrite,
    "cut short": truncate,
    "removed": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest()
    shop.files["transactions"] = to_csv(sales(3000))
    path = shop.path("transactions")
    with while_reading(shop, "transactions", lambda: CHANGES[change](path)):
        results = shop.run(**SMALL_BATCHES)
    assert results["errors"] == [
        f"Extraction phase failed: transactions: {path}: the file changed while it was read; "
        "run again when it is complete"
    ]
    assert (results["status"], results["success"]) == ("failed", False)
    assert shop.star.digest() == before
    assert [status for _, status in shop.star.runs()] == ["published", "failed"]
    shop.publish()
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 3000


@pytest.mark.parametrize("change", CHANGES)
def test_a_parquet_file_that_changes_while_it_is_read_is_refused(
    change: str, duckdb_shop: Retailer
) -> None:
    path = duckdb_shop.folder / "sales.parquet"
    table = pa.Table.from_pylist(sales(3000))
    pq.write_table(table, path, row_group_size=20, compression="none", use_dictionary=False)
    with while_reading(duckdb_shop, "transactions", lambda: CHANGES[change](path)):
        results = duckdb_shop.run(TRANSACTIONS__PATH=path, **SMALL_BATCHES)
    assert results["errors"] == [
        f"Extraction phase failed: transactions: {path}: the file changed while it was read; "
        "run again when it is complete"
    ]
    assert duckdb_shop.star.tables() == {"etl_run"}


def test_a_later_file_of_a_source_that_changes_before_its_turn_is_refused(
    duckdb_shop: Retailer,
) -> None:
    days = duckdb_shop.folder / "days"
    days.mkdir()
    for day, count in ((1, 3000), (2, 2), (3, 3)):
        (days / f"{day}.csv").write_text(to_csv(sales(count)), encoding="utf-8")
    with while_reading(duckdb_shop, "transactions", lambda: append(days / "2.csv")):
        (error,) = duckdb_shop.run(TRANSACTIONS__PATH=days, **SMALL_BATCHES)["errors"]
    assert f"{days / '2.csv'}: the file changed while it was read" in error
    assert duckdb_shop.star.tables() == {"etl_run"}


def test_a_compressed_file_that_grows_while_it_is_read_is_refused(
    duckdb_shop: Retailer,
) -> None:
    path = duckdb_shop.folder / "sales.csv.gz"
    path.write_bytes(gzip.compress(to_csv(sales(3000)).encode()))

    def grow() -> None:
        with path.open("ab") as file:
            file.write(gzip.compress(b"T9999,2024-02-29,C1,P1,1,9.99\n"))

    with while_reading(duckdb_shop, "transactions", grow):
        (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path, **SMALL_BATCHES)["errors"]
    assert f"{path}: the file changed while it was read" in error
    assert duckdb_shop.star.tables() == {"etl_run"}

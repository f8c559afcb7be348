"""Parquet files are read by row groups: however these are made, the rows and their numbers stay."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.parallel import Workers
from extract import DataExtractor
from support.retailer import Retailer
from support.tables import Row

COUNT = 3_000
GROUPS = {
    "one of all rows": [COUNT],
    "many small ones": [7] * (COUNT // 7) + [COUNT % 7],
    "small and large ones": [1, 900, 2, 3, 1_500, 94, 500],
    "empty ones among them": [0, 0, 1_000, 0, 1_999, 0, 1, 0],
}


def sales(rows: int = COUNT) -> pa.Table:
    """So many sales, with values that are nested."""
    return pa.table(
        {
            "transaction_id": [f"T{n}" for n in range(rows)],
            "transaction_date": ["2024-03-02"] * rows,
            "customer_id": [f"C{n % 5}" for n in range(rows)],
            "product_id": ["P1"] * rows,
            "quantity": [n % 9 + 1 for n in range(rows)],
            "unit_price": [n / 4 + 1 for n in range(rows)],
            "more": [{"tags": [str(n)] * (n % 3), "by": None} for n in range(rows)],
        }
    )


def write(path: Path, table: pa.Table, groups: Sequence[int], **options: Any) -> Row:
    """The table as a file with row groups of so many rows; returns the settings to read it."""
    with pq.ParquetWriter(path, table.schema, **options) as writer:
        begin = 0
        for rows in groups:
            writer.write_table(table.slice(begin, rows))
            begin += rows
    assert begin == len(table)
    assert pq.ParquetFile(path).metadata.num_row_groups == len(groups)
    return {"TRANSACTIONS__PATH": path}


def read(shop: Retailer, anywhere: Executor | None = None, **settings: object) -> list[Row]:
    """All rows of the sales as they were read, with their numbers."""
    folder = shop.folder / "read"
    folder.mkdir(exist_ok=True)
    config = shop.config(**settings)
    with Workers(2, anywhere) as workers:
        sold = DataExtractor(config).extract(folder, workers=workers)["transactions"]
    return [row for batch in sold.batches for row in batch.originals().to_pylist()]


def expected(path: Path) -> list[Row]:
    return [
        {
            **row,
            "quantity": str(row["quantity"]),
            "unit_price": f"{row['unit_price']:g}",
            "more": '{{"by":null,"tags":[{}]}}'.format(
                ",".join(f'"{tag}"' for tag in row["more"]["tags"])
            ),
            "_file": str(path),
            "_line": number,
        }
        for number, row in enumerate(sales().to_pylist(), 1)
    ]


@pytest.mark.parametrize("batch_rows", [100, 1_000, 10_000])
@pytest.mark.parametrize("groups", GROUPS)
def test_rows_and_their_numbers_do_not_depend_on_row_groups(
    groups: str, batch_rows: int, duckdb_shop: Retailer
) -> None:
    path = duckdb_shop.folder / "sales.parquet"
    settings = write(path, sales(), GROUPS[groups])
    assert read(duckdb_shop, BATCH_ROWS=batch_rows, **settings) == expected(path)


@pytest.mark.parametrize("groups", GROUPS)
def test_other_processes_can_read_the_pieces(groups: str, duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "sales.parquet"
    settings = write(path, sales(), GROUPS[groups])
    with ProcessPoolExecutor(1, get_context("spawn")) as others:
        rows = read(duckdb_shop, others, BATCH_ROWS=700, **settings)
    assert rows == expected(path)


@pytest.mark.parametrize("groups", [[], [0], [0, 0]])
def test_a_file_without_rows_is_an_empty_source(groups: list[int], duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish(**write(duckdb_shop.folder / "sales.parquet", sales(0), groups))
    assert results["extraction_results"]["transactions"]["records"] == 0
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 0


@pytest.mark.parametrize("groups", GROUPS)
def test_a_look_reads_no_more_than_it_was_told(groups: str, duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "sales.parquet"
    config = duckdb_shop.config(**write(path, sales(), GROUPS[groups]))
    looked = DataExtractor(config).look(duckdb_shop.folder, rows=1_100)["transactions"]
    assert looked.extracted is not None
    assert looked.extracted.records == 1_100


def test_a_key_of_bytes_is_told_wherever_it_has_a_value(duckdb_shop: Retailer) -> None:
    reps = pa.array([None] * (COUNT - 1) + [b"\x01\xff"], pa.binary())
    table = sales().append_column("sales_rep_id", reps)
    settings = write(duckdb_shop.folder / "sales.parquet", table, GROUPS["many small ones"])
    results = duckdb_shop.publish(BATCH_ROWS=500, **settings)
    assert [w for w in results["warnings"] if "sales_rep_id holds bytes" in w]
    assert "01FF" in duckdb_shop.star.column("SELECT sales_rep_id FROM dim_sales_rep")


@pytest.mark.parametrize("groups", GROUPS)
def test_a_damaged_page_in_the_middle_is_told_with_its_place(
    groups: str, duckdb_shop: Retailer
) -> None:
    path = duckdb_shop.folder / "sales.parquet"
    settings = write(
        path, sales(), GROUPS[groups], compression="zstd", use_dictionary=False, data_page_size=500
    )
    content = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata
    hit = metadata.row_group(place_of_row(COUNT // 2, GROUPS[groups])).column(0)
    middle = hit.data_page_offset + hit.total_compressed_size // 2
    content[middle : middle + 60] = bytes(60)
    path.write_bytes(content)
    results = duckdb_shop.run(BATCH_ROWS=100, **settings)
    (error,) = results["errors"]
    assert error.startswith(f"Extraction phase failed: transactions: {path}, after record ")
    assert ": damaged (" in error
    told = int(error.partition("after record ")[2].partition(":")[0])
    assert told <= COUNT // 2 + 10
    assert duckdb_shop.star.tables() == {"etl_run"}


def place_of_row(row: int, groups: Sequence[int]) -> int:
    """The row group that has a row."""
    return next(n for n in count() if sum(islice(groups, n + 1)) > row)

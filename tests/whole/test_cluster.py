"""A run whose sources are read and cleaned by a Dask cluster, beside the same run without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.commands import run_command
from support.dask_cluster import DaskCluster
from support.formats import csv_text, json_lines
from support.retailer import Retailer
from support.star import Star
from support.tables import Row

WHERE = "SELECT transaction_id, file_number, line_number FROM fact_sales ORDER BY transaction_id"
BATCH_ROWS = 25
SMALL = {"BATCH_ROWS": BATCH_ROWS}


def many_sales(shop: Retailer) -> None:
    """Four hundred sales: some are refused, come twice, or name members without a source."""
    base = shop.sales[0]
    sales: list[Row] = []
    for number in range(400):
        sale: Row = dict(base, transaction_id=f"S{number}", quantity=str(1 + number % 7))
        sale["customer_id"] = f"C{number % 5}"
        sale["sales_rep_id"] = f"rep_{number % 3}"
        sale["unit_price"] = str(Decimal(number * 7 + 1) / 100)
        if number % 19 == 0:
            sale["transaction_date"] = "yesterday"
        if number % 23 == 0:
            sale["note"] = 'over "two"\nlines, and a comma'
        sales.append(sale)
    sales += [dict(sale) for sale in sales[10:20]]  # once more, and by another worker
    sales += [dict(sale, quantity="99") for sale in sales[30:35]]  # these conflict
    columns = dict.fromkeys(name for sale in sales for name in sale)
    shop.sales = [{name: sale.get(name, "") for name in columns} for sale in sales]


def parquet(rows: list[Row]) -> bytes:
    """Rows as a Parquet file of several row groups."""
    out = pa.BufferOutputStream()
    texts = [
        {name: json.dumps(v) if isinstance(v, dict) else v and str(v) for name, v in row.items()}
        for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(texts), out, row_group_size=BATCH_ROWS)
    return bytes(out.getvalue())


FORMATS: dict[str, tuple[str, Callable[[list[Row]], bytes]]] = {
    "csv": ("csv", csv_text),
    "jsonl": ("jsonl", json_lines),
    "parquet": ("parquet", parquet),
}


def as_format(shop: Retailer, name: str) -> dict[str, str]:
    """Write all sources in a format; returns their settings."""
    suffix, write = FORMATS[name]
    sources = {"customers": shop.customers, "products": shop.products, "transactions": shop.sales}
    settings = {}
    for source, rows in sources.items():
        path = shop.folder / f"{source}.{suffix}"
        path.write_bytes(write(rows))
        settings[f"{source.upper()}__PATH"] = str(path)
    return settings


def outcome(shop: Retailer, results: Row) -> Row:
    """All that a run leaves and tells, but when it was and how long it took."""
    told = {
        name: part
        for name, part in results.items()
        if name.endswith("_results") or name in ("status", "success", "warnings", "errors")
    }
    told["fact_loading_results"] = {
        k: v for k, v in told["fact_loading_results"].items() if k != "processing_time"
    }
    folder = Path(results["rejects_dir"])
    told["rejects"] = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    told["star"] = shop.star.content(with_runs=False)
    told["where"] = shop.star.rows(WHERE)
    return told


def emptied(star: Star) -> None:
    """Take all out of a warehouse."""
    if star.schema:
        star.execute(f'DROP SCHEMA "{star.schema}" CASCADE')
    else:
        Path(star.url.removeprefix("duckdb:///")).unlink()


def alone(shop: Retailer, **settings: object) -> Row:
    """The outcome of a run without a cluster; the warehouse is empty again then."""
    found = outcome(shop, shop.publish(**settings))
    emptied(shop.star)
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_a_cluster_makes_the_same_star_accounts_and_rejects(
    form: str, shop: Retailer, dask_cluster: DaskCluster
) -> None:
    many_sales(shop)
    settings = {**as_format(shop, form), **SMALL}
    expected = alone(shop, **settings)
    results = shop.publish(DASK_SCHEDULER=dask_cluster.address, **settings)
    assert outcome(shop, results) == expected
    assert not list((shop.folder / "work").iterdir())
    assert expected["rejects"]["transactions.csv"]
    assert_shared(dask_cluster)


def assert_shared(cluster: DaskCluster) -> None:
    """Every worker has written batches, and together they have read and cleaned all the sales."""
    written = cluster.written()
    assert len(written) == 2
    every = set.union(*written)
    numbers = range(415 // BATCH_ROWS)
    assert {f"transactions-cleaned-{number:06}" for number in numbers} <= every
    assert sum(name.startswith("transactions-0") for name in every) >= len(numbers) - 1


def test_what_is_the_same_again_is_recognised_with_a_cluster_and_without(
    duckdb_shop: Retailer, dask_cluster: DaskCluster
) -> None:
    first = duckdb_shop.publish()
    again = duckdb_shop.publish(DASK_SCHEDULER=dask_cluster.address)
    assert again["repeats_run"] == first["run_id"]


@pytest.mark.parametrize("word", ["transactions-0", "transactions-cleaned"])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_worker_that_dies_changes_nothing(
    moment: str, word: str, duckdb_shop: Retailer, dask_cluster: DaskCluster
) -> None:
    """Before it spills a batch, with half of it written, and with all of it, but nothing told."""
    shop = duckdb_shop
    many_sales(shop)
    expected = alone(shop, **SMALL)
    dask_cluster.hook(f"kill-{moment}", word)
    results = shop.publish(DASK_SCHEDULER=dask_cluster.address, **SMALL)
    assert outcome(shop, results) == expected
    dask_cluster.reached(f"kill-{moment}")
    assert dask_cluster.alive() == 1


def test_a_check_says_the_same_with_a_cluster(
    duckdb_shop: Retailer, dask_cluster: DaskCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    many_sales(duckdb_shop)
    code, expected, _ = run_command(duckdb_shop, capsys, "check", **SMALL)
    settings = {**SMALL, "DASK_SCHEDULER": dask_cluster.address}
    assert run_command(duckdb_shop, capsys, "check", **settings)[:2] == (code, expected)
    assert "a run would publish" in expected
    assert_shared(dask_cluster)

"""`make bench-json`: what JSON of any size and shape costs.

A small and a large document, each one object with the list of orders somewhere inside, show whether
memory depends on the size. The same sales as flat JSON Lines and inside of orders show what a row
costs that is an element of a list. Whole processes are measured, `python main.py` into an empty
DuckDB, one after the other in rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from benchmarks.data import ROOT
from benchmarks.measure import FailedError, Usage, run
from benchmarks.report import table

FOLDER = ROOT / "data" / "bench" / "json"
_MEMBERS = 1000
_LINES = 3
_NOTE = "x" * 1500
"""What an order says beside what is read; with it a sale of a document has about 800 bytes."""
_COLUMNS = {
    "transaction_id": "line_items.id", "transaction_date": "created_at",
    "customer_id": "customer.id", "product_id": "line_items.sku",
    "quantity": "line_items.quantity", "unit_price": "line_items.price",
}  # fmt: skip
_EXPLODED = {
    "TRANSACTIONS__EXPLODE": "line_items",
    "TRANSACTIONS__COLUMNS": json.dumps(_COLUMNS),
}


@dataclass
class Work:
    """A file to load, and what became of it."""

    name: str
    path: Path
    settings: dict[str, str]
    sales: int = 0
    usages: list[Usage] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Measure and print. Exit code 1 when a run fails or loads something else than was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.json_documents", description=__doc__
    )
    parser.add_argument("--small", type=int, default=100, help="MB of the small document")
    parser.add_argument("--large", type=int, default=1000, help="MB of the large one")
    parser.add_argument("--rows", type=int, default=1_000_000, help="sales in JSON Lines")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; medians are shown")
    args = parser.parse_args(argv)
    folder = FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _write_members(folder)
        works = [
            _document(folder, f"document, {args.small:,} MB", args.small),
            _document(folder, f"document, {args.large:,} MB", args.large),
            _lines(folder, "JSON Lines, flat", args.rows, is_flat=True),
            _lines(folder, "JSON Lines, exploded", args.rows, is_flat=False),
        ]
        for _ in range(args.runs):
            for work in works:
                _load(work, folder)
    except FailedError as error:
        sys.stderr.write(f"stopped: {error}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(render(works))
    return 0


def render(works: list[Work]) -> str:
    """The figures as a table, and the two ratios that matter."""
    rows, seconds, peaks = [], {}, {}
    for work in works:
        millions = work.sales / 1e6
        seconds[work.name] = median(usage.client_cpu_seconds for usage in work.usages) / millions
        peaks[work.name] = median(usage.peak_mib for usage in work.usages)
        wall = median(usage.wall_seconds for usage in work.usages)
        rows.append([
            work.name, f"{work.sales:,}", f"{wall:.1f}", f"{wall / millions:.1f}",
            f"{seconds[work.name]:.1f}", f"{peaks[work.name]:.0f}",
        ])  # fmt: skip
    small, large, flat, exploded = (work.name for work in works)
    head = ("file", "sales", "s", "s per million", "CPU s per million", "peak MiB")
    return (
        f"{table(head, rows)}\n\n"
        f"large document : small one, peak {peaks[large] / peaks[small]:.2f}\n"
        f"exploded : flat, CPU s per million {seconds[exploded] / seconds[flat]:.2f}\n"
    )


def _write_members(folder: Path) -> None:
    names = {
        "customers": ("customer_id", "C", "first_name"),
        "products": ("product_id", "P", "name"),
    }
    for source, (key, letter, name) in names.items():
        rows = "".join(f"{letter}{n},{letter} {n}\n" for n in range(_MEMBERS))
        (folder / f"{source}.csv").write_text(f"{key},{name}\n{rows}", encoding="utf-8")


def _orders(first: int = 0) -> Iterator[dict[str, Any]]:
    """Orders without end, each with so many lines."""
    number = first
    while True:
        yield {
            "id": number,
            "created_at": f"{date(2024, 1, 1) + timedelta(number % 700)}T10:00:00Z",
            "customer": {"id": f"C{number % _MEMBERS}"},
            "line_items": [
                {"id": number * _LINES + line, "sku": f"P{(number + line) % _MEMBERS}",
                 "quantity": 1 + line, "price": f"{number % 90 + 1}.25"}
                for line in range(_LINES)
            ],
        }  # fmt: skip
        number += 1


def _document(folder: Path, name: str, megabytes: int) -> Work:
    path, orders = folder / f"{megabytes}.json", 0
    with path.open("w", encoding="utf-8") as file:
        file.write('{"meta": {"page": 1}, "errors": [{"code": 7}], "result": {"orders": [\n')
        for order in _orders():
            if orders:
                file.write(",\n")
            file.write(json.dumps({**order, "note": _NOTE}, indent=1))
            orders += 1
            if file.tell() > megabytes * 1_000_000:
                break
        file.write('\n], "next": null}}\n')
    return Work(name, path, _EXPLODED, orders * _LINES)


def _lines(folder: Path, name: str, rows: int, *, is_flat: bool) -> Work:
    path, orders = folder / f"{'flat' if is_flat else 'orders'}.jsonl", -(-rows // _LINES)
    with path.open("w", encoding="utf-8") as file:
        for _, order in zip(range(orders), _orders(), strict=False):
            given = _flat(order) if is_flat else [order]
            file.writelines(f"{json.dumps(record)}\n" for record in given)
    settings = {} if is_flat else _EXPLODED
    return Work(name, path, settings, orders * _LINES)


def _flat(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for line in order["line_items"]:
        yield {
            "order": order["id"], "transaction_date": order["created_at"],
            "customer_id": order["customer"]["id"], "transaction_id": line["id"],
            "product_id": line["sku"], "quantity": line["quantity"], "unit_price": line["price"],
        }  # fmt: skip


def _load(work: Work, folder: Path) -> None:
    place = folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    settings = {
        "WAREHOUSE_URL": f"duckdb:///{place / 'star.duckdb'}",
        "CUSTOMERS__PATH": str(folder / "customers.csv"),
        "PRODUCTS__PATH": str(folder / "products.csv"),
        "TRANSACTIONS__PATH": str(work.path),
        "LOG_FILE": str(place / "etl.log"),
        "REJECTS_DIR": str(place / "rejects"),
        "REPORTS_DIR": "",
        "WORK_DIR": str(place / "work"),
        **work.settings,
    }
    usage = run([sys.executable, ROOT / "main.py", "--quiet"], place, settings)
    with duckdb.connect(str(place / "star.duckdb"), read_only=True) as star:
        (found,) = star.sql("SELECT count(*), sum(quantity)::BIGINT FROM fact_sales").fetchall()
    orders = work.sales // _LINES
    if found != (work.sales, orders * _LINES * (_LINES + 1) // 2):
        raise FailedError(f"{work.name}: {found[0]:,} of {work.sales:,} sales were loaded")
    work.usages.append(usage)
    sys.stderr.write(f"{work.name}: {usage.wall_seconds} s, {usage.peak_mib} MiB\n")


if __name__ == "__main__":
    sys.exit(main())

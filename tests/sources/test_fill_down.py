"""Order exports: cells that take the value above, and keys that count the lines of an order."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from common import spool
from common.results import FILE, LINE, LOST, NUMBER, RAW
from common.values import UNREADABLE
from errors import ConfigError
from sources.continued import Continuation, continue_rows
from sources.source_files import RawBatch
from support.retailer import Retailer
from support.star import Star
from support.tables import Row

SEEDS = range(int(os.environ.get("FILL_SEEDS", "150")))

Record = dict[str, str] | str
"""A row, or the text of a record that is none."""
COUNTED = {
    "transaction_id": ["order", "#"],
    "transaction_date": "date",
    "customer_id": "customer",
    "product_id": "sku",
    "quantity": "pieces",
    "unit_price": "price",
    "discount_amount": "off",
}


def settings(columns: object = COUNTED, fill: Sequence[str] = ("order", "date")) -> dict[str, str]:
    return {
        "TRANSACTIONS__COLUMNS": json.dumps(columns),
        "TRANSACTIONS__FILL_DOWN": json.dumps(fill),
    }


def loaded(star: Star) -> list[tuple[object, ...]]:
    """The sales of a star: key, day, customer, pieces as a whole number, and net amount."""
    rows = star.rows(
        "select f.transaction_id, f.date_key, c.customer_id, f.quantity, f.net_amount "
        "from fact_sales f join dim_customer c using (customer_key) order by 1"
    )
    return [(r[0], r[1], r[2], int(r[3]), str(r[4].normalize())) for r in rows]


# --- row by row: what the batches must find --------------------------------------------------


def in_a_row(records: Sequence[Record], *, fills: bool) -> Iterator[tuple[str, str, str, bool]]:
    """The group, the filled cell, the number and whether it is lost, of each row: slowly."""
    group, cell, lost, cut_group = "", "", True, False
    cut, begun, number, last = False, False, 0, ""
    skipped: list[str] = []
    for record in records:
        if isinstance(record, str):
            cut = True
            skipped.append(record)
            continue
        own_group, own_cell = record["order"], record["customer"]
        if fills and not own_group and (cut or lost):
            group, cell, now_lost = "", own_cell, True
        elif fills:
            named = own_group or group
            is_new = lost or named != group
            if is_new:
                cut_group, cell = cut or (begun and lost), ""
            cell = own_cell or cell or (UNREADABLE if cut_group else "")
            group, now_lost = named, False
        else:
            group, cell, now_lost = own_group, own_cell, False
        number = counted(group, last, number, skipped, fills=fills, is_first=not begun)
        yield group, cell, str(number) if number else "", now_lost
        if cell == UNREADABLE:
            cell = ""
        lost, last, begun, cut, skipped = now_lost, group, True, False, []


def counted(
    group: str, last: str, number: int, skipped: list[str], *, fills: bool, is_first: bool
) -> int:
    """The number of a row; 0 where nobody can tell."""
    if not is_first and group == last:
        return number + 1 + len(skipped) if number else 0
    if fills:
        return 1
    own = [group in raw.split(",") and bool(group) for raw in skipped]
    theirs = [last in raw.split(",") and not is_first and bool(last) for raw in skipped]
    if not group:
        own = [True] * len(skipped)
    if not last and not is_first:
        theirs = [True] * len(skipped)
    if any(mine == other for mine, other in zip(own, theirs, strict=True)) or own != sorted(own):
        return 0
    return 1 + sum(own)


@pytest.mark.parametrize("fills", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_batches_find_what_one_reader_finds(tmp_path: Path, seed: int, fills: bool) -> None:
    chance = random.Random(seed)  # noqa: S311
    records: list[Record] = []
    for _ in range(chance.randint(0, 25)):
        order = chance.choice(["", "", "A", "B", "C"])
        if chance.random() < 0.2:
            records.append(chance.choice([f"{order},x", "?,x", "A,B"]))
        else:
            records.append({"order": order, "customer": chance.choice(["", "", "K1", "K2"])})
    batches = list(in_batches(tmp_path, records, chance))
    fill = ("order", "customer") if fills else ()
    continue_rows(batches, Continuation(fill, ("order",), True), tmp_path)
    found = []
    for batch in batches:
        if not batch.beside:
            continue
        beside, rows = spool.read(batch.beside[0]), spool.read(batch.rows)
        names = beside.column_names
        groups = (beside if "order" in names else rows)["order"].to_pylist()
        cells = (beside if "customer" in names else rows)["customer"].to_pylist()
        lost = beside[LOST].to_pylist() if LOST in names else [False] * len(rows)
        numbers = beside[NUMBER].to_pylist()
        found += [
            (group or "", cell or "", number or "", is_lost)
            for group, cell, number, is_lost in zip(groups, cells, numbers, lost, strict=True)
        ]
    expected = list(in_a_row(records, fills=fills))
    assert [row[:2] + row[3:] for row in found] == [row[:2] + row[3:] for row in expected]
    told = [(f[0], f[2]) for f, e in zip(found, expected, strict=True) if not e[3]]
    assert told == [(e[0], e[2]) for e in expected if not e[3]]


def in_batches(
    folder: Path, records: Sequence[Record], chance: random.Random
) -> Iterator[RawBatch]:
    """The records as batches of the spool, cut anywhere."""
    line = 1
    while line <= len(records):
        part = records[line - 1 : line - 1 + chance.randint(1, 6)]
        rows = [(line + n, r) for n, r in enumerate(part) if isinstance(r, dict)]
        refused = [(line + n, r) for n, r in enumerate(part) if isinstance(r, str)]
        table = pa.table(
            {
                "order": pa.array([r["order"] for _, r in rows], pa.string()),
                "customer": pa.array([r["customer"] for _, r in rows], pa.string()),
                FILE: pa.array(["f"] * len(rows), pa.string()),
                LINE: pa.array([n for n, _ in rows], pa.int64()),
            }
        )
        no_rows = pa.table({LINE: [n for n, _ in refused], RAW: [r for _, r in refused]})
        path = spool.write(folder, "refused", no_rows) if refused else None
        yield RawBatch(spool.write(folder, "rows", table), path, len(part))
        line += len(part)


# --- through a run ---------------------------------------------------------------------------

ORDERS = """\
order,date,customer,sku,pieces,price,off
1001,2024-03-15,C1,P1,1,10.00,4.00
,,,P2,2,20.00,
,,,P1,1,10.00,
1002,2024-03-16,C2,P2,1,20.00,0
1003,2024-03-17,,P2,1,20.00,0
,,,P1,1,10.00,0
"""


@pytest.mark.parametrize("rows", [1, 2, 250_000])
def test_order_cells_are_on_the_first_line_only(shop: Retailer, rows: int) -> None:
    shop.files["transactions"] = ORDERS
    fill = ["order", "date", "customer"]
    results = shop.run(**settings(fill=fill), BATCH_ROWS=rows)
    assert results["success"], results["errors"]
    assert loaded(shop.star) == [
        ("1001-1", 20240315, "C1", 1, "6"),
        ("1001-2", 20240315, "C1", 2, "4E+1"),
        ("1001-3", 20240315, "C1", 1, "1E+1"),
        ("1002-1", 20240316, "C2", 1, "2E+1"),
        ("1003-1", 20240317, "", 1, "2E+1"),  # a guest: its group has no customer
        ("1003-2", 20240317, "", 1, "1E+1"),
    ]
    again = shop.run(**settings(fill=fill), BATCH_ROWS=3)
    assert again["fact_loading_results"]["records_unchanged"] == 6 or "repeats_run" in again


def test_a_file_begins_with_no_order(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.files["transactions"] = None
    folder = shop.folder / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "b.csv").write_text(
        "order,date,customer,sku,pieces,price,off\n,,,P1,1,5.00,\n1004,2024-03-18,C1,P1,1,7.00,\n",
        encoding="utf-8",
    )
    fill = settings(fill=["order", "date", "customer"])
    results = shop.run(**fill, TRANSACTIONS__PATH=folder)
    assert [row[0] for row in loaded(shop.star)][-1] == "1004-1"
    assert [(r["_reason"], r["_line"]) for r in shop.rejects(results)] == [("missing_key", "2")]


BROKEN = """\
order,date,customer,sku,pieces,price,off
1001,2024-03-15,C1,P1,1,10.00,
,,,P2,too,many,cells,here,,,
,,,P1,1,10.00,
,,,P2,1,11.00,
1002,2024-03-16,C2,P2,1,20.00,0
,,,P2,none,20.00,0
,,,P1,1,5.00,0
"""


def test_lines_after_a_malformed_one_wait_for_the_next_order(shop: Retailer) -> None:
    shop.files["transactions"] = BROKEN
    results = shop.run(**settings(fill=["order", "date", "customer"]))
    assert results["success"], results["errors"]
    assert [row[0] for row in loaded(shop.star)] == ["1001-1", "1002-1", "1002-3"]
    rejects = [(r["_line"], r["_reason"], r["_number"]) for r in shop.rejects(results)]
    assert [r[:2] for r in rejects] == [
        ("3", "malformed_row"),
        ("4", "missing_key"),
        ("5", "missing_key"),
        ("7", "invalid_quantity"),
    ]
    assert rejects[3][2] == "2"  # of its order, the refused line counted


def test_a_corrected_reject_file_is_neither_filled_nor_counted_again(shop: Retailer) -> None:
    shop.files["transactions"] = ORDERS.replace("P2,2,", "P2,two,")
    results = shop.run(**settings(fill=["order", "date", "customer"]))
    (refused,) = shop.rejects(results)
    assert (refused["order"], refused["customer"], refused["_number"]) == ("1001", "C1", "2")
    path = Path(results["rejects_dir"]) / "transactions.csv"
    path.write_text(path.read_text("utf-8").replace('"two"', '"2"', 1), encoding="utf-8")
    results = shop.run(**settings(fill=["order", "date", "customer"]), TRANSACTIONS__PATH=path)
    assert results["success"], results["errors"]
    assert results["fact_loading_results"]["records_inserted"] == 1
    assert loaded(shop.star)[1] == ("1001-2", 20240315, "C1", 2, "4E+1")


def test_a_misspelt_column_to_fill_is_named(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = ORDERS
    results = duckdb_shop.run(**settings(fill=["Ordr"]))
    assert "TRANSACTIONS__FILL_DOWN names 'Ordr'" in str(results["errors"])
    assert "nearest: 'order'" in str(results["errors"])


def test_the_lines_of_an_order_are_counted_in_json_too(shop: Retailer) -> None:
    rows: list[Row] = [
        {"order": {"id": 7}, "date": "2024-03-15", "customer": "C1", "sku": "P1", "pieces": 1,
         "price": 10, "off": 0},
        {"order": {"id": 7}, "date": "2024-03-15", "customer": "C1", "sku": "P1", "pieces": 2,
         "price": 10, "off": 0},
        {"order": {"id": 8}, "date": "2024-03-15", "customer": "C1", "sku": "P1", "pieces": 3,
         "price": 10, "off": 0},
    ]  # fmt: skip
    shop.files["transactions"] = "".join(json.dumps(row) + "\n" for row in rows)
    path = shop.folder / "sales.jsonl"
    columns = {**COUNTED, "transaction_id": ["order.id", "#"]}
    shop.files["transactions"] = None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shop.run(TRANSACTIONS__COLUMNS=json.dumps(columns), TRANSACTIONS__PATH=path, BATCH_ROWS=1)
    assert [row[:1] + row[3:4] for row in loaded(shop.star)] == [("7-1", 1), ("7-2", 2), ("8-1", 3)]


def test_a_column_called_as_the_sign_wins(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = (
        "order,#,date,customer,sku,pieces,price,off\n7,b,2024-03-15,C1,P1,1,1,0\n"
    )
    duckdb_shop.run(TRANSACTIONS__COLUMNS=json.dumps(COUNTED))
    assert [row[0] for row in loaded(duckdb_shop.star)] == ["7-b"]


def test_a_database_must_give_its_rows_in_order(shop: Retailer) -> None:
    path = shop.folder / "orders.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute('create table lines ("order", date, customer, sku, pieces, price, off, n)')
        rows = [tuple(line.split(",")) for line in ORDERS.splitlines()[1:]]
        numbered = [(*row, n) for n, row in enumerate(rows)]
        database.executemany("insert into lines values (?,?,?,?,?,?,?,?)", numbered[::-1])
        database.commit()
    source = {"TRANSACTIONS__PATH": f"sqlite:///{path}", **settings(fill=["order", "date"])}
    with pytest.raises(ConfigError, match="end TRANSACTIONS__QUERY with ORDER BY"):
        shop.run(**source, TRANSACTIONS__QUERY="select * from lines")
    shop.run(**source, TRANSACTIONS__QUERY="select * from lines order by n")
    assert [row[0] for row in loaded(shop.star)] == [
        "1001-1", "1001-2", "1001-3", "1002-1", "1003-1", "1003-2",
    ]  # fmt: skip

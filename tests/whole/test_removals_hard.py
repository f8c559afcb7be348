"""Traps around what goes away: nothing is removed because it was not read, or read wrongly."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schema
from main import StarSchemaETLPipeline
from support.retailer import Retailer, counts
from support.tables import Row

FULL = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}


def sales(shop: Retailer) -> set[str]:
    """The sales that the star has."""
    return set(shop.star.column("SELECT transaction_id FROM fact_sales"))


def removed(results: Row) -> tuple[int, int]:
    """How many sales a run has removed, by flag and by absence."""
    told = results["fact_loading_results"]["records_deleted"]
    return told["by_flag"], told["by_absence"]


def flags(shop: Retailer) -> dict[str, bool | None]:
    """Which customers are flagged as deleted."""
    rows = "SELECT customer_id, is_deleted FROM dim_customer WHERE customer_key > 0"
    return dict(shop.star.rows(rows))


def files(shop: Retailer, **contents: bytes) -> dict[str, object]:
    """The setting for a folder with these files of sales."""
    folder = shop.folder / "parts"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in contents.items():
        (folder / f"{name}.csv").write_bytes(content)
    return {"TRANSACTIONS__PATH": folder}


def records(shop: Retailer, rows: list[Row], form: str = "json") -> dict[str, object]:
    """The setting for sales with types: a file of this form."""
    path: Path = shop.folder / f"typed.{form}"
    path.unlink(missing_ok=True)
    if form == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
            sheet.append(row)
        book.save(path)
    return {"TRANSACTIONS__PATH": path}


def lines(*sales: str) -> bytes:
    """Sales as CSV with a flag: each given as `T1 flag` or `T1`."""
    header = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price,is_deleted"
    rows = [f"{sale.split()[0]},2024-03-01,C1,P1,1,10,{sale[3:]}" for sale in sales]
    return "\n".join([header, *rows, ""]).encode()


# --- how much may go ------------------------------------------------------------------------


def test_new_rows_do_not_make_room_for_more_removals(shop: Retailer) -> None:
    """The limit is a share of what the star has, not of what it would have."""
    shop.publish()
    shop.sales = [{**sale, "transaction_id": f"N{n}"} for n in range(100) for sale in shop.sales]
    results = shop.run(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="0.5")
    assert results["status"] == "gate_failed"
    assert "3 of 3 rows of fact_sales" in results["errors"][0]
    assert sales(shop) == {"T1", "T2", "T3"}


def test_new_members_do_not_make_room_for_more_removals(shop: Retailer) -> None:
    shop.publish()
    shop.customers = [{**shop.customers[0], "customer_id": f"N{n}"} for n in range(100)]
    results = shop.run(CUSTOMERS__EXTRACT="full", MAX_DELETE_RATE="0.5")
    assert results["status"] == "gate_failed"
    assert "2 of 2 rows of dim_customer" in results["errors"][0]


def test_a_share_just_as_large_as_the_limit_may_go(shop: Retailer) -> None:
    shop.sales = [{**shop.sales[0], "transaction_id": f"T{n}"} for n in range(20)]
    shop.publish()
    del shop.sales[0]
    assert removed(shop.publish(TRANSACTIONS__EXTRACT="full")) == (0, 1)  # 5 %
    del shop.sales[0]
    assert shop.run(TRANSACTIONS__EXTRACT="full")["status"] == "gate_failed"


def test_what_a_flag_removes_does_not_count_against_the_limit(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [{**sale, "is_deleted": "yes"} for sale in shop.sales]
    shop.sales[0]["is_deleted"] = "no"
    assert removed(shop.publish(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="0")) == (2, 0)


def test_the_limit_of_a_period_is_a_share_of_the_period(shop: Retailer) -> None:
    """T1 is of another month; of the two of March one is gone."""
    shop.publish()
    shop.sales = shop.sales[:2]
    period = {"TRANSACTIONS__EXTRACT": "period", "TRANSACTIONS__PERIOD": "2024-03-01/2024-03-31"}
    assert shop.run(**period, MAX_DELETE_RATE="0.4")["status"] == "gate_failed"
    assert removed(shop.publish(**period, MAX_DELETE_RATE="0.5")) == (0, 1)


def test_a_full_refresh_has_no_limit_and_still_removes_nothing_of_what_was_not_read(
    shop: Retailer,
) -> None:
    shop.publish()
    shop.sales = [*shop.sales[:1], {**shop.sales[1], "transaction_id": ""}]
    pipeline = StarSchemaETLPipeline(shop.config(), quiet=True, full_refresh=True)
    assert removed(pipeline.run_full_pipeline()) == (0, 0)
    del shop.sales[1]
    pipeline = StarSchemaETLPipeline(
        shop.config(MAX_DELETE_RATE="0"), quiet=True, full_refresh=True
    )
    assert removed(pipeline.run_full_pipeline()) == (0, 2)
    assert sales(shop) == {"T1"}


# --- what is whole --------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [b"", b"\xef\xbb\xbf", b"\n\n", b" \n"])
def test_a_file_without_a_header_removes_nothing(empty: bytes, duckdb_shop: Retailer) -> None:
    """Whether it is passed over or fails the run: it may be what is left of another file."""
    shop = duckdb_shop
    shop.publish()
    results = shop.run(**FULL, **files(shop, a=lines("T1"), b=empty))
    assert sales(shop) == {"T1", "T2", "T3"}
    assert results["status"] == "failed" or removed(results) == (0, 0)


def test_an_input_of_removals_only_removes_nothing_by_absence(shop: Retailer) -> None:
    shop.publish()
    results = shop.publish(**FULL, **files(shop, a=lines("T1 yes")))
    assert removed(results) == (1, 0)
    assert sales(shop) == {"T2", "T3"}


def test_an_input_of_orphans_only_removes_nothing(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [{**shop.sales[0], "product_id": "P404"}]
    assert removed(shop.publish(**FULL, ORPHAN_POLICY="reject")) == (0, 0)


@pytest.mark.parametrize("full_refresh", [False, True])
def test_a_corrected_reject_file_is_no_full_extract(full_refresh: bool, shop: Retailer) -> None:
    """It has the rows that were refused and no other."""
    shop.sales[1]["quantity"] = "many"
    refused = shop.publish(**FULL)
    rejects = Path(refused["rejects_dir"]) / "transactions.csv"
    corrected = rejects.read_text(encoding="utf-8").replace("many", "4")
    path = shop.folder / "corrected.csv"
    path.write_text(corrected, encoding="utf-8")
    config = shop.config(**FULL, TRANSACTIONS__PATH=path)
    pipeline = StarSchemaETLPipeline(config, quiet=True, full_refresh=full_refresh)
    results = pipeline.run_full_pipeline()
    assert (results["errors"], removed(results)) == ([], (0, 0))
    assert sales(shop) == {"T1", "T2", "T3"}


def test_a_sale_that_somebody_has_put_into_the_star_goes(shop: Retailer) -> None:
    """The same files again are not taken for a repetition, as the star is another one."""
    shop.publish(**FULL)
    columns = [column.name for column in schema.fact_sales.columns]
    values = ["'T99'" if name == "transaction_id" else name for name in columns]
    shop.star.execute(
        f"INSERT INTO fact_sales ({', '.join(columns)}) SELECT {', '.join(values)}"
        " FROM fact_sales WHERE transaction_id = 'T1'"
    )
    results = shop.publish(**FULL)
    assert (removed(results), sales(shop)) == ((0, 1), {"T1", "T2", "T3"})


def test_a_sale_without_a_key_in_a_database_removes_nothing(duckdb_shop: Retailer) -> None:
    shop, path = duckdb_shop, duckdb_shop.folder / "till.sqlite"
    shop.publish()
    with sqlite3.connect(path) as till:
        till.execute(
            "CREATE TABLE sales AS SELECT 'T1' AS transaction_id, '2024-03-01' AS transaction_date,"
            " 'C1' AS customer_id, 'P1' AS product_id, 1 AS quantity, 10 AS unit_price"
        )
        till.execute("INSERT INTO sales SELECT NULL, '2024-03-01', 'C1', 'P1', 1, 10")
    source = {"TRANSACTIONS__PATH": f"sqlite:///{path}", "TRANSACTIONS__QUERY": "sales"}
    assert removed(shop.publish(**FULL, **source)) == (0, 0)
    with sqlite3.connect(path) as till:
        till.execute("DELETE FROM sales WHERE transaction_id IS NULL")
    assert removed(shop.publish(**FULL, **source)) == (0, 2)


def test_a_member_without_a_key_flags_nobody(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.publish()
    shop.customers = [shop.customers[0], {**shop.customers[1], "customer_id": "\u200b"}]
    full = {"CUSTOMERS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}
    results = shop.publish(**full)
    assert flags(shop) == {"C1": False, "C2": False}
    assert any("look gone and stay" in warning for warning in results["warnings"])
    shop.customers[1] = {**shop.customers[0], "customer_id": "C3"}
    shop.publish(**full)
    assert flags(shop) == {"C1": False, "C2": True, "C3": False}


def test_a_member_that_is_only_skipped_is_there(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.publish()
    shop.customers = [{**row, "kind": "x"} for row in shop.customers]
    shop.customers[0] |= {"kind": "test", "city": "Oslo"}
    full = {"CUSTOMERS__EXTRACT": "full", "CUSTOMERS__SKIP_WHEN": '{"kind": "test"}'}
    shop.publish(**full)
    assert flags(shop) == {"C1": False, "C2": False}


@pytest.mark.parametrize("own", ["T2\0", "\0"])
def test_a_key_that_cannot_be_decoded_removes_nothing(own: str, shop: Retailer) -> None:
    shop.publish()
    rows = [shop.sales[0], {**shop.sales[1], "transaction_id": own}]
    results = shop.publish(**FULL, **records(shop, rows))
    assert (removed(results), shop.reasons(results)) == ((0, 0), ["invalid_text"])
    assert sales(shop) == {"T1", "T2", "T3"}


def test_a_reference_that_cannot_be_decoded_keeps_its_sale(shop: Retailer) -> None:
    shop.publish()
    rows = [{**shop.sales[0], "customer_id": "C1\0"}, shop.sales[1]]
    assert removed(shop.publish(**FULL, **records(shop, rows))) == (0, 1)
    assert sales(shop) == {"T1", "T2"}


# --- whose key it is ------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["\u200bT1", "T1\u3000", "\ufeff T1 \u2060"])
def test_a_key_in_other_dress_is_the_same_key(own: str, shop: Retailer) -> None:
    shop.publish()
    shop.sales = [{**shop.sales[0], "transaction_id": own, "quantity": "x"}, shop.sales[1]]
    assert removed(shop.publish(**FULL)) == (0, 1)
    assert sales(shop) == {"T1", "T2"}
    shop.sales[0] |= {"is_deleted": "yes"}
    shop.sales[1] |= {"is_deleted": ""}
    assert removed(shop.publish()) == (1, 0)
    assert sales(shop) == {"T2"}


@pytest.mark.parametrize("form", ["json", "parquet", "xlsx"])
def test_a_number_is_the_same_key_with_and_without_decimals(
    form: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    shop.sales = [{**sale, "transaction_id": n} for n, sale in enumerate(shop.sales, 1)]
    shop.publish()
    rows: list[Row] = [{**sale, "transaction_id": float(n), "is_deleted": n == 1}
                       for n, sale in enumerate(shop.sales[:2], 1)]  # fmt: skip
    assert removed(shop.publish(**FULL, **records(shop, rows, form))) == (1, 1)
    assert sales(shop) == {"2"}


def test_a_composite_key_removes_its_line_only(shop: Retailer) -> None:
    own = {"TRANSACTIONS__COLUMNS": '{"transaction_id": ["receipt", "line"]}'}
    shop.sales = [
        {**sale, "receipt": "R1", "line": str(n), "transaction_id": "", "is_deleted": ""}
        for n, sale in enumerate(shop.sales)
    ]
    shop.publish(**own)
    shop.sales[1]["is_deleted"] = "1"
    del shop.sales[0]
    assert removed(shop.publish(**own)) == (1, 0)
    assert sales(shop) == {"R1-0", "R1-2"}
    shop.sales[0] |= {"line": ""}  # half a key is none
    results = shop.publish(**own, **FULL)
    assert (removed(results), shop.reasons(results)) == ((0, 0), ["missing_key"])
    assert sales(shop) == {"R1-0", "R1-2"}


# --- which row counts -----------------------------------------------------------------------


def test_the_last_row_counts_across_files(shop: Retailer) -> None:
    shop.publish()
    first, second = lines("T1", "T2 yes"), lines("T1 yes", "T2", "T3")
    results = shop.publish(**files(shop, a=first, b=second))
    assert removed(results) == (1, 0)
    assert sales(shop) == {"T2", "T3"}
    told = results["validation_results"]["reconciliation"]["sources"]["transactions"]
    assert (told["duplicate"], told["rejected"]) == (1, 1)


def test_a_rejected_row_does_not_take_a_removal_back(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [
        {**shop.sales[0], "is_deleted": "yes"},
        {**shop.sales[0], "is_deleted": "", "quantity": "x"},
    ]
    results = shop.publish()
    assert (removed(results), shop.reasons(results)) == ((1, 0), ["invalid_quantity"])


def test_a_removal_is_judged_by_nothing_but_its_key_and_flag(shop: Retailer) -> None:
    shop.publish()
    broken = {"transaction_date": "?", "product_id": "", "quantity": "x", "customer_id": "C99"}
    shop.sales = [{**shop.sales[0], **broken, "is_deleted": "yes"}]
    results = shop.publish(ORPHAN_POLICY="reject")
    assert (removed(results), shop.reasons(results)) == ((1, 0), [])
    assert "C99" not in flags(shop)


def test_a_sale_that_was_removed_may_come_again(shop: Retailer) -> None:
    before = shop.publish()["validation_results"]["reconciliation"]["balance"]["after"]
    sold = shop.sales
    shop.sales = [{**sold[0], "is_deleted": "yes"}]
    shop.publish()
    shop.sales = sold
    results = shop.publish()
    assert counts(results, "fact_sales") == (1, 0, 2)
    assert results["validation_results"]["reconciliation"]["balance"]["after"] == before


@pytest.mark.parametrize(
    ("form", "yes", "no"),
    [("json", True, False), ("json", 1, 0), ("json", "2024-05-01T10:00:00Z", None),
     ("parquet", True, None), ("parquet", 1.0, 0.0), ("xlsx", True, False), ("xlsx", 1, None)],
)  # fmt: skip
def test_a_flag_may_have_a_type(form: str, yes: Any, no: Any, duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.publish()
    rows = [{**sale, "is_deleted": no} for sale in shop.sales]
    rows[1]["is_deleted"] = yes
    assert removed(shop.publish(**records(shop, rows, form))) == (1, 0)
    assert sales(shop) == {"T1", "T3"}


@pytest.mark.parametrize(
    ("cell", "text"), [(0, '"0"'), (True, "true"), (None, '""'), ("", "[null]")]
)
def test_a_status_may_have_a_type(cell: Any, text: str, duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.publish()
    rows = [{**sale, "status": 7} for sale in shop.sales]
    rows[1]["status"] = cell
    skip = {"TRANSACTIONS__SKIP_WHEN": f'{{"status": {text}}}'}
    assert removed(shop.publish(**records(shop, rows), **skip)) == (1, 0)
    assert sales(shop) == {"T1", "T3"}


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_status_that_cannot_be_read_is_neither_skipped_nor_loaded(
    form: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    path = shop.folder / f"sales.{form}"
    rows = [{**sale, "status": "void\0ed"} for sale in shop.sales]
    if form == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    skip = {"TRANSACTIONS__SKIP_WHEN": '{"status": ["voided"]}', "TRANSACTIONS__PATH": path}
    results = shop.publish(**skip)
    assert shop.reasons(results) == ["invalid_text"] * 3
    assert counts(results, "fact_sales") == (0, 0, 0)

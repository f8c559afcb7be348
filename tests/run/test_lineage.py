"""Every fact says where it was read: the run, the file and the line, whatever the file is."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.formats import csv_text, json_lines
from support.retailer import Retailer
from support.star import Star
from support.tables import Row, csv_rows, to_csv

Where = dict[str, tuple[str | None, int | None]]
"""By the key of a fact: its file, as people know it, and its line there."""


def where(star: Star) -> Where:
    """Where each fact of a star was read, by its run, its file number and its line."""
    files = {run: json.loads(files) if files else [] for run, files in star.rows(
        "SELECT run_id, files FROM etl_run"
    )}  # fmt: skip
    facts = star.rows("SELECT transaction_id, run_id, file_number, line_number FROM fact_sales")
    return {
        key: (None if number is None else Path(files[run][number - 1]).name, line)
        for key, run, number, line in facts
    }


def sale(key: str, **changed: object) -> Row:
    return {
        "transaction_id": key, "transaction_date": "2024-03-01", "customer_id": "C1",
        "product_id": "P1", "quantity": "1", "unit_price": "2.50", **changed,
    }  # fmt: skip


def sales(*keys: object) -> list[Row]:
    return [sale(str(key)) for key in keys]


def test_each_fact_names_the_line_of_its_file(shop: Retailer) -> None:
    """Lines are counted as an editor counts them: after the header, over cells of several lines and
    rows that are refused.
    """
    note = '"over\nthree\nlines"'
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price,note\n"
        "L2,2024-03-01,C1,P1,1,2.50,\n"
        f"L3,2024-03-01,C1,P1,1,2.50,{note}\n"
        "L6,2024-03-01,C1,P1,two,2.50,\n"
        "L7,2024-03-01,C1,P1,1,2.50,too,many\n"
        "L8,2024-03-01,C1,P1,1,2.50,\n"
    )
    shop.publish()
    assert where(shop.star) == {f"L{line}": ("sales.csv", line) for line in (2, 3, 8)}


def test_each_fact_names_its_line_however_a_file_is_cut(shop: Retailer) -> None:
    """Each key says its line, in batches of a few rows."""
    shop.sales = sales(*range(2, 700))
    shop.publish(BATCH_ROWS=50)
    assert where(shop.star) == {str(line): ("sales.csv", line) for line in range(2, 700)}


def test_files_are_numbered_in_the_order_of_the_run(shop: Retailer, tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for day in (1, 2, 11):
        (folder / f"day{day}.csv").write_bytes(csv_text(sales(f"{day}-2", f"{day}-3")))
    shop.publish(TRANSACTIONS__PATH=folder / "day*.csv")
    assert where(shop.star) == {
        f"{day}-{line}": (f"day{day}.csv", line) for day in (1, 2, 11) for line in (2, 3)
    }
    (listed,) = shop.star.column("SELECT files FROM etl_run")
    assert json.loads(listed) == [str(folder / f"day{day}.csv") for day in (1, 2, 11)]


def _json_lines(rows: list[Row], path: Path) -> None:
    path.write_bytes(json_lines(rows))


def _json(rows: list[Row], path: Path) -> None:
    path.write_text(json.dumps({"sales": rows}))


def _parquet(rows: list[Row], path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)


def _excel(rows: list[Row], path: Path) -> None:
    book = openpyxl.Workbook()
    cells = book.worksheets[0]
    cells.title = "June"
    cells.append(list(rows[0]))
    for row in rows:
        cells.append(list(row.values()))
    book.save(path)


def _zip(rows: list[Row], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("till.csv", csv_text(rows))


@pytest.mark.parametrize(
    ("name", "write", "first", "known_as"),
    [
        ("sales.jsonl", _json_lines, 1, "sales.jsonl"),
        ("sales.json", _json, 1, "sales.json"),
        ("sales.parquet", _parquet, 1, "sales.parquet"),
        ("sales.xlsx", _excel, 2, "sales.xlsx"),
        ("sales.zip", _zip, 2, "sales.zip!till.csv"),
    ],
)
def test_each_format_counts_as_its_messages_do(
    duckdb_shop: Retailer,
    tmp_path: Path,
    name: str,
    write: Callable[[list[Row], Path], None],
    first: int,
    known_as: str,
) -> None:
    """The records of JSON and Parquet from 1, the rows of a sheet as a spreadsheet shows them."""
    rows = [sale(str(n)) for n in range(10)]
    rows[4]["quantity"] = "none"
    write(rows, tmp_path / name)
    results = duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / name)
    found = where(duckdb_shop.star)
    assert found == {str(n): (known_as, first + n) for n in range(10) if n != 4}
    (rejected,) = duckdb_shop.rejects(results)
    assert int(rejected["_line"]) == first + 4


def test_several_sheets_are_several_files(duckdb_shop: Retailer, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "May"
    book.create_sheet("June")
    for cells in book.worksheets:
        cells.append(list(sale("")))
        for line in (2, 3):
            cells.append(list(sale(f"{cells.title}{line}").values()))
    book.save(tmp_path / "year.xlsx")
    duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "year.xlsx", TRANSACTIONS__SHEET="*")
    found = where(duckdb_shop.star)
    assert {key: line for key, (_, line) in found.items()} == {
        "May2": 2, "May3": 3, "June2": 2, "June3": 3,
    }  # fmt: skip
    assert "May" in str(found["May2"][0])
    assert "June" in str(found["June3"][0])


def test_an_element_of_a_list_names_its_record(duckdb_shop: Retailer, tmp_path: Path) -> None:
    orders = [
        {"day": "2024-03-01", "buyer": "C1", "items": [
            {"id": f"{n}-{place}", "sku": "P1", "quantity": 1, "price": "2.50"} for place in (1, 2)
        ]} for n in (1, 2, 3)
    ]  # fmt: skip
    path = tmp_path / "orders.jsonl"
    path.write_bytes(json_lines(orders))
    columns = {
        "transaction_id": "items.id", "transaction_date": "day", "customer_id": "buyer",
        "product_id": "items.sku", "quantity": "items.quantity", "unit_price": "items.price",
    }  # fmt: skip
    duckdb_shop.publish(
        TRANSACTIONS__PATH=path,
        TRANSACTIONS__EXPLODE="items",
        TRANSACTIONS__COLUMNS=json.dumps(columns),
    )
    assert where(duckdb_shop.star) == {
        f"{n}-{place}": ("orders.jsonl", n) for n in (1, 2, 3) for place in (1, 2)
    }


def test_a_filled_line_of_an_order_names_itself(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = (
        "order,date,customer,sku,pieces,price\n"
        "A,2024-03-01,C1,P1,1,2\n,,C1,P2,1,2\n,,C1,P1,3,2\nB,2024-03-02,C2,P1,1,2\n"
    )
    columns = {
        "transaction_id": ["order", "#"], "transaction_date": "date", "customer_id": "customer",
        "product_id": "sku", "quantity": "pieces", "unit_price": "price",
    }  # fmt: skip
    duckdb_shop.publish(
        TRANSACTIONS__COLUMNS=json.dumps(columns),
        TRANSACTIONS__FILL_DOWN='["order", "date"]',
        BATCH_ROWS=2,
    )
    assert where(duckdb_shop.star) == {
        "A-1": ("sales.csv", 2), "A-2": ("sales.csv", 3), "A-3": ("sales.csv", 4),
        "B-1": ("sales.csv", 5),
    }  # fmt: skip


def test_a_joined_line_names_the_file_of_the_lines(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = (
        "order,pos,sku,n,price\n1,1,P1,1,2\n2,1,P1,1,2\n1,2,P2,1,2\n"
    )
    orders = duckdb_shop.folder / "orders.csv"
    orders.write_text("order,day,buyer\n2,2024-03-02,C2\n\n1,2024-03-01,C1\n")
    duckdb_shop.publish(
        ORDERS__PATH=orders,
        TRANSACTIONS__JOIN='{"source": "orders", "key": "order_id"}',
        TRANSACTIONS__COLUMNS=json.dumps(
            {"order_id": "order", "transaction_id": ["order", "pos"], "product_id": "sku",
             "quantity": "n", "unit_price": "price"}
        ),
        ORDERS__COLUMNS=json.dumps(
            {"order_id": "order", "transaction_date": "day", "customer_id": "buyer"}
        ),
    )  # fmt: skip
    assert where(duckdb_shop.star) == {
        "1-1": ("sales.csv", 2), "2-1": ("sales.csv", 3), "1-2": ("sales.csv", 4),
    }  # fmt: skip


def test_a_partition_names_its_own_file(duckdb_shop: Retailer, tmp_path: Path) -> None:
    rows = [{n: v for n, v in row.items() if n != "transaction_date"} for row in sales("a", "b")]
    for day in ("2024-03-01", "2024-03-02"):
        folder = tmp_path / "lake" / f"transaction_date={day}"
        folder.mkdir(parents=True)
        named = [{**row, "transaction_id": f"{row['transaction_id']}{day[-1]}"} for row in rows]
        pq.write_table(pa.Table.from_pylist(named), folder / f"part{day[-1]}.parquet")
    duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "lake" / "**" / "*.parquet")
    assert where(duckdb_shop.star) == {
        f"{row}{day}": (f"part{day}.parquet", line)
        for day in (1, 2) for line, row in enumerate("ab", 1)
    }  # fmt: skip


def test_a_row_of_a_database_names_its_place_in_the_answer(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "till.db")) as database:
        rows = sales("A", "B", "C")
        database.execute(f"CREATE TABLE sold ({', '.join(rows[0])})")
        database.executemany(
            f"INSERT INTO sold VALUES ({', '.join('?' * len(rows[0]))})",
            [list(row.values()) for row in rows],
        )
        database.commit()
    duckdb_shop.publish(
        TRANSACTIONS__PATH=f"sqlite:///{tmp_path / 'till.db'}",
        TRANSACTIONS__QUERY="SELECT * FROM sold ORDER BY transaction_id DESC",
    )
    known_as = "till.db (transactions)"
    assert where(duckdb_shop.star) == {
        "C": (known_as, 1), "B": (known_as, 2), "A": (known_as, 3),
    }  # fmt: skip


def test_a_database_is_named_without_its_password(
    duckdb_shop: Retailer, postgresql_url: str, postgresql_star: Star
) -> None:
    import sqlalchemy as sa

    schema = postgresql_star.schema
    postgresql_star.execute(
        f'CREATE SCHEMA "{schema}"',
        f"CREATE TABLE \"{schema}\".sold AS SELECT 'A' AS transaction_id, "
        "date '2024-03-01' AS transaction_date, 'C1' AS customer_id, 'P1' AS product_id, "
        "1 AS quantity, 2.5 AS unit_price",
    )
    url = sa.make_url(postgresql_url).set(password="s3cret-canary")  # noqa: S106
    duckdb_shop.publish(
        TRANSACTIONS__PATH=url.render_as_string(hide_password=False),
        TRANSACTIONS__QUERY=f'SELECT * FROM "{schema}".sold',
    )
    (files,) = duckdb_shop.star.column("SELECT files FROM etl_run")
    assert "canary" not in files
    assert "(transactions)" in files
    assert where(duckdb_shop.star)["A"][1] == 1


def test_a_corrected_reject_names_the_reject_file(shop: Retailer) -> None:
    shop.sales[0]["quantity"], shop.sales[2]["quantity"] = "none", "many"
    results = shop.publish()
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    corrected = shop.folder / "corrected.csv"
    corrected.write_text(to_csv([{**row, "quantity": "2"} for row in csv_rows(rejects)]))
    shop.publish(TRANSACTIONS__PATH=corrected)
    assert where(shop.star) == {
        "T1": ("corrected.csv", 2), "T2": ("sales.csv", 3), "T3": ("corrected.csv", 3),
    }  # fmt: skip


def test_an_unchanged_fact_keeps_where_it_was_read(shop: Retailer) -> None:
    """A fact that comes again on another line is the same fact; a changed one was read anew."""
    shop.publish()
    before = where(shop.star)
    runs = dict(shop.star.rows("SELECT transaction_id, run_id FROM fact_sales"))
    shop.sales.reverse()
    shop.sales[2]["quantity"] = "9"
    results = shop.publish()
    assert where(shop.star) == {**before, "T1": ("sales.csv", 4)}
    now = dict(shop.star.rows("SELECT transaction_id, run_id FROM fact_sales"))
    assert now == {**runs, "T1": results["run_id"]}


def test_of_rows_with_one_key_the_place_is_that_of_the_row_that_counts(shop: Retailer) -> None:
    """Where a row was read makes no two rows different."""
    shop.sales = [*sales("A", "B", "A"), sale("B", quantity="7"), *sales("A")]
    results = shop.publish()
    assert where(shop.star) == {"A": ("sales.csv", 6), "B": ("sales.csv", 5)}
    assert results["transformation_results"]["fact_sales"]["duplicates"] == 2
    assert shop.reasons(results) == ["conflicting_duplicate"]


def test_rows_that_remove_facts_are_no_facts(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [{**shop.sales[0], "is_deleted": "yes"}, {**shop.sales[1], "is_deleted": "no"},
                  {**sale("T9"), "is_deleted": ""}]  # fmt: skip
    shop.publish()
    assert where(shop.star) == {
        "T2": ("sales.csv", 3), "T3": ("sales.csv", 4), "T9": ("sales.csv", 4),
    }  # fmt: skip


def test_a_run_that_writes_no_fact_lists_no_file(shop: Retailer) -> None:
    shop.publish()
    shop.customers[0]["city"] = "Paris"
    shop.publish()
    shop.publish_in_full()
    lists = shop.star.column("SELECT files FROM etl_run ORDER BY sequence")
    assert [listed is not None for listed in lists] == [True, False, False]


def test_a_failed_run_lists_no_file(shop: Retailer) -> None:
    shop.sales[0]["quantity"] = "none"
    assert shop.run(MAX_REJECT_RATE="0.1")["status"] == "gate_failed"
    assert shop.star.column("SELECT files FROM etl_run") == [None]


def test_a_number_without_room_is_empty(
    duckdb_shop: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller numbers stand for the largest that the columns hold."""
    from run import frame, lineage

    monkeypatch.setattr(lineage, "MOST_FILES", 2)
    monkeypatch.setattr(lineage, "MOST_LINES", 3)
    monkeypatch.setattr(frame, "MOST_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.csv").write_bytes(csv_text(sales(*(f"{name}{n}" for n in (2, 3, 4)))))
    duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / "[abc].csv")
    found = where(duckdb_shop.star)
    assert {key: found[key] for key in ("a2", "b3", "b4", "c2")} == {
        "a2": ("a.csv", 2), "b3": ("b.csv", 3), "b4": ("b.csv", None), "c2": (None, None),
    }  # fmt: skip


def test_frames_of_people_have_no_place(shop: Retailer) -> None:
    from load_dimensions import DimensionLoader
    from load_facts import FactLoader
    from transform import StarSchemaTransformer

    config = shop.config()
    rules = StarSchemaTransformer(config)
    members = {
        "dim_customer": rules.prepare_customer_dimension(shop.customers),
        "dim_product": rules.prepare_product_dimension(shop.products),
        "dim_sales_rep": rules.prepare_sales_rep_dimension(shop.sales),
        "dim_date": rules.prepare_date_dimension_keys(shop.sales),
    }
    with DimensionLoader(config) as loader:
        keys = loader.load_all_dimensions(members)
    with FactLoader(config) as facts:
        facts.load_sales_facts(rules.prepare_sales_facts(shop.sales), keys)
    found = shop.star.rows("SELECT DISTINCT file_number, line_number FROM fact_sales")
    assert found == [(None, None)]


def test_facts_of_an_older_star_have_no_place_until_they_change(shop: Retailer) -> None:
    shop.publish()
    shop.star.execute(
        "ALTER TABLE fact_sales DROP COLUMN file_number",
        "ALTER TABLE fact_sales DROP COLUMN line_number",
        "ALTER TABLE etl_run DROP COLUMN files",
    )
    shop.sales[1]["quantity"] = "4"
    shop.publish()
    assert where(shop.star) == {"T1": (None, None), "T2": ("sales.csv", 3), "T3": (None, None)}

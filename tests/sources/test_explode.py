"""Lists inside records: each element is a sale, beside the values of its record."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from cli import main
from support.formats import csv_text, excel, in_database, write_postgresql, write_sqlite
from support.retailer import Retailer
from support.tables import Row, csv_rows

COLUMNS = {
    "transaction_id": "line_items.id",
    "transaction_date": "created_at",
    "customer_id": "customer.id",
    "product_id": "line_items.product.sku",
    "quantity": "line_items.quantity",
    "unit_price": "line_items.price",
}
SETTINGS = {
    "TRANSACTIONS__EXPLODE": "line_items",
    "TRANSACTIONS__COLUMNS": json.dumps(COLUMNS),
}


def line(number: int, quantity: int = 1, price: str = "10.25") -> Row:
    return {"id": number, "product": {"sku": "P1"}, "quantity": quantity, "price": price}


def order(number: int, lines: Any) -> Row:
    return {
        "id": number, "created_at": f"2024-03-{number:02}T10:00:00Z",
        "customer": {"id": f"C{number}"}, "line_items": lines,
    }  # fmt: skip


ORDERS = [
    order(1, [line(11), line(12, 2, "20.50")]),
    order(2, []),
    order(3, [line(31, 3)]),
    order(4, None),
]
SALES = [
    ("11", "2024-03-01", "C1", "P1", 1, Decimal("10.25")),
    ("12", "2024-03-01", "C1", "P1", 2, Decimal("20.50")),
    ("31", "2024-03-03", "C3", "P1", 3, Decimal("10.25")),
]


def sales(shop: Retailer) -> list[tuple[Any, ...]]:
    found = shop.star.rows(
        "SELECT transaction_id, CAST(full_date AS VARCHAR), customer_id, product_id, "
        "CAST(quantity AS INTEGER), unit_price FROM fact_sales JOIN dim_date USING (date_key) "
        "JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key) ORDER BY 1"
    )
    return [tuple(row) for row in found]


def account(results: Row) -> dict[str, Any]:
    accounts = results["validation_results"]["reconciliation"]
    assert accounts["money"]["closed"]
    found: dict[str, Any] = accounts["sources"]["transactions"]
    assert found["closed"]
    return found


def as_array(orders: list[Row]) -> bytes:
    return json.dumps(orders).encode()


def as_lines(orders: list[Row]) -> bytes:
    return "".join(f"{json.dumps(one)}\n" for one in orders).encode()


def spread(orders: list[Row]) -> bytes:
    return "\n".join(json.dumps(one, indent=2) for one in orders).encode()


def document(orders: list[Row]) -> bytes:
    return json.dumps({"page": 1, "orders": orders, "next": None}, indent=1).encode()


def parquet(orders: list[Row]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(orders), file, row_group_size=2)
    return file.getvalue()


def text(orders: list[Row]) -> list[Row]:
    return [
        {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in one.items()}
        for one in orders
    ]


def parquet_of_text(orders: list[Row]) -> bytes:
    return parquet(text(orders))


def zipped(orders: list[Row]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("orders.jsonl", as_lines(orders))
    return file.getvalue()


FORMS: dict[str, tuple[str, Callable[[list[Row]], bytes]]] = {
    "array": ("json", as_array),
    "lines": ("jsonl", as_lines),
    "spread": ("json", spread),
    "document": ("json", document),
    "gzip": ("json.gz", lambda orders: gzip.compress(as_array(orders))),
    "zip": ("zip", zipped),
    "utf16": ("json", lambda orders: as_lines(orders).decode().encode("utf-16")),
    "parquet": ("parquet", parquet),
    "parquet of text": ("parquet", parquet_of_text),
    "csv": ("csv", lambda orders: csv_text(text(orders))),
    "excel": ("xlsx", lambda orders: excel(text(orders))),
}


def written(shop: Retailer, form: str, orders: list[Row]) -> Row:
    suffix, write = FORMS[form]
    path = shop.folder / f"orders.{suffix}"
    path.write_bytes(write(orders))
    encoding = {"TRANSACTIONS__ENCODING": "utf-16"} if form == "utf16" else {}
    return {**SETTINGS, **encoding, "TRANSACTIONS__PATH": path}


@pytest.mark.parametrize("form", FORMS)
def test_each_line_of_an_order_is_a_sale_in_every_format(form: str, duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish(**written(duckdb_shop, form, ORDERS))
    assert sales(duckdb_shop) == SALES
    found = account(results)
    assert (found["read"], found["inserted"], found["skipped"]) == (5, 3, 2)


@pytest.mark.usefixtures("unfolded")
def test_check_tells_of_orders_without_lines(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(duckdb_shop, "csv", ORDERS)
    assert main(["--env-file", duckdb_shop.env_file(**given), "check"]) == 0
    told = capsys.readouterr().out
    assert "transactions 3 of 5 rows" in told
    assert "(or have nothing in 'line_items', and make no row)" in told


def test_postgresql_has_them_as_jsonb(shop: Retailer, postgresql_url: str) -> None:
    schema = f"source_{shop.folder.parent.name.replace('-', '_')[:40]}".lower()
    rows = {"transactions": text(ORDERS)}
    given = write_postgresql(postgresql_url, schema, rows)
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name in ("customer", "line_items"):
            connection.exec_driver_sql(
                f'ALTER TABLE "{schema}".transactions ALTER {name} TYPE jsonb USING {name}::jsonb'
            )
    try:
        for split in ({}, {"TRANSACTIONS__SPLIT_BY": "id"}):
            results = shop.publish_in_full(**{**SETTINGS, **given, **split})
            assert sales(shop) == SALES
            found = account(results)
            assert (found["read"], found["skipped"]) == (5, 2)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')


def test_duckdb_has_them_as_lists_of_structs(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "orders.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("content", pa.Table.from_pylist(ORDERS))
        connection.execute("CREATE TABLE transactions AS SELECT * FROM content")
    given = in_database(f"duckdb:///{path}", ["transactions"])
    results = duckdb_shop.publish(**{**SETTINGS, **given})
    assert sales(duckdb_shop) == SALES
    assert account(results)["skipped"] == 2


def test_sqlite_has_them_as_text(duckdb_shop: Retailer) -> None:
    given = write_sqlite(duckdb_shop.folder, {"transactions": text(ORDERS)})
    results = duckdb_shop.publish(**{**SETTINGS, **given})
    assert sales(duckdb_shop) == SALES
    assert account(results)["skipped"] == 2


NESTED = [
    {"id": 1, "at": "2024-03-01", "shop": {"name": "x", "sent": [
        {"rep": "r1", "lines": [{"id": 11, "n": 1}, {"id": 12, "n": 2}]},
        {"rep": "r2", "lines": []},
        {"rep": "r3", "lines": [{"id": 13, "n": 3}]},
    ]}},
    {"id": 2, "at": "2024-03-02", "shop": {"name": "y", "sent": []}},
]  # fmt: skip
THROUGH = {
    "TRANSACTIONS__EXPLODE": "shop.sent.lines",
    "TRANSACTIONS__COLUMNS": json.dumps({
        "transaction_id": ["id", "shop.sent.lines.id"], "transaction_date": "at",
        "customer_id": "shop.name", "product_id": "shop.name", "quantity": "shop.sent.lines.n",
        "unit_price": {"value": "2"}, "sales_rep_id": "shop.sent.rep",
    }),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_list_is_reached_through_objects_and_lists(form: str, duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish(**{**written(duckdb_shop, form, NESTED), **THROUGH})
    rows = duckdb_shop.star.rows(
        "SELECT transaction_id, CAST(quantity AS INTEGER), sales_rep_id, customer_id FROM "
        "fact_sales JOIN dim_sales_rep USING (sales_rep_key) JOIN dim_customer "
        "USING (customer_key) ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [
        ("1-11", 1, "r1", "x"), ("1-12", 2, "r1", "x"), ("1-13", 3, "r3", "x"),
    ]  # fmt: skip
    assert account(results)["skipped"] == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_plain_values_is_a_column(form: str, duckdb_shop: Retailer) -> None:
    orders = [{"id": 1, "at": "2024-03-01", "codes": ["P1", "P2"]}]
    columns = {
        "transaction_id": ["id", "codes"], "transaction_date": "at", "customer_id": "id",
        "product_id": "codes", "quantity": {"value": "1"}, "unit_price": {"value": "2"},
    }  # fmt: skip
    given = written(duckdb_shop, form, orders)
    given |= {"TRANSACTIONS__EXPLODE": "codes", "TRANSACTIONS__COLUMNS": json.dumps(columns)}
    duckdb_shop.publish(**given)
    ids = duckdb_shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1")
    assert ids == ["1-P1", "1-P2"]


ODD = [order(1, [line(11)]), order(2, "two"), order(3, {"id": 1}), order(4, [line(41)])]


@pytest.mark.parametrize("form", ["array", "lines", "spread", "document", "csv"])
def test_what_is_no_list_is_a_reject_with_its_record(form: str, duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish(**written(duckdb_shop, form, ODD))
    assert [row[0] for row in sales(duckdb_shop)] == ["11", "41"]
    assert account(results)["read"] == 4
    rejects = duckdb_shop.rejects(results)
    assert [row["_reason"] for row in rejects] == ["malformed_row"] * 2
    assert "an object, where a list is expected" in rejects[1]["_detail"]
    assert '"id"' in rejects[1]["_raw"]
    if form != "csv":
        assert "'two'" in rejects[0]["_detail"]


@pytest.mark.parametrize("form", FORMS)
def test_a_path_that_is_not_there_is_told_with_those_that_are(
    form: str, duckdb_shop: Retailer
) -> None:
    given = written(duckdb_shop, form, ORDERS)
    (error,) = duckdb_shop.run(**{**given, "TRANSACTIONS__EXPLODE": "lines"})["errors"]
    assert "TRANSACTIONS__EXPLODE is lines" in error
    assert "line_items" in error


@pytest.mark.parametrize("form", ["array", "lines", "parquet", "csv"])
def test_rejects_load_back_with_the_same_settings(form: str, duckdb_shop: Retailer) -> None:
    orders = [order(1, [line(11), line(12, 5, "x")]), order(2, [line(21), line(22, 1, "y")])]
    given = written(duckdb_shop, form, orders)
    results = duckdb_shop.publish(**given)
    assert [row[0] for row in sales(duckdb_shop)] == ["11", "21"]
    path = Path(results["rejects_dir"]) / "transactions.csv"
    rows = csv_rows(path)
    assert {"line_items.id", "line_items.price", "created_at"} <= rows[0].keys()
    assert "line_items" not in rows[0]
    corrected = path.read_text(encoding="utf-8")
    for old, new in (('"x","', '"7.5","'), ('"y","', '"8.5","')):
        corrected = corrected.replace(old, new)
    copy = duckdb_shop.folder / "corrected.csv"
    copy.write_text(corrected, encoding="utf-8")
    again = {**given, "TRANSACTIONS__PATH": copy, "TRANSACTIONS__RECORDS": "orders"}
    again.pop("TRANSACTIONS__ENCODING", None)
    duckdb_shop.publish(**again)
    assert sales(duckdb_shop) == [
        ("11", "2024-03-01", "C1", "P1", 1, Decimal("10.25")),
        ("12", "2024-03-01", "C1", "P1", 5, Decimal("7.5")),
        ("21", "2024-03-02", "C2", "P1", 1, Decimal("10.25")),
        ("22", "2024-03-02", "C2", "P1", 1, Decimal("8.5")),
    ]


@pytest.mark.parametrize("mapped", ["line_items.0.id", "line_items.id"])
def test_without_the_setting_the_run_is_refused_with_it(mapped: str, duckdb_shop: Retailer) -> None:
    columns = {**COLUMNS, "transaction_id": mapped}
    given = written(duckdb_shop, "array", ORDERS)
    given |= {"TRANSACTIONS__EXPLODE": "", "TRANSACTIONS__COLUMNS": json.dumps(columns)}
    given.pop("TRANSACTIONS__EXPLODE")
    (error,) = duckdb_shop.run(**given)["errors"]
    assert "set TRANSACTIONS__EXPLODE=line_items" in error
    assert '{"transaction_id": "line_items.id"}' in error


def test_columns_that_are_partly_in_a_list_are_told_with_the_setting(
    duckdb_shop: Retailer,
) -> None:
    lines = [{"transaction_id": 1, "product_id": "P1", "quantity": 1, "unit_price": 2}]
    order = {"transaction_date": "2024-03-01", "customer_id": "C1", "order": {"lines": lines}}
    path = duckdb_shop.folder / "orders.json"
    for content in (as_array([order]), as_lines([order])):
        path.write_bytes(content)
        (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
        assert "product_id, quantity are in the list 'order.lines' of each record" in error
        assert "set TRANSACTIONS__EXPLODE=order.lines, and map order.lines.transaction_id" in error


def test_a_key_of_the_order_that_is_called_like_one_of_its_lines_is_told(
    duckdb_shop: Retailer,
) -> None:
    orders = [{**order(1, [line(11)]), "line_items.price": 7}]
    (error,) = duckdb_shop.run(**written(duckdb_shop, "lines", orders))["errors"]
    assert "two columns are called 'line_items.price'" in error


def test_lines_keep_the_digits_and_keys_of_their_numbers(duckdb_shop: Retailer) -> None:
    lines = '[{"id": 11.0, "product": {"sku": 1e3}, "quantity": 1, "price": 0.12345678901234567}]'
    orders = as_lines([order(1, [])]).decode().replace("[]", lines)
    given = written(duckdb_shop, "lines", [])
    Path(given["TRANSACTIONS__PATH"]).write_text(orders, encoding="utf-8")
    results = duckdb_shop.publish(**given)
    ((number, _, _, product, _, _),) = sales(duckdb_shop)
    assert (number, product) == ("11", "1000")
    assert account(results)["read"] == 1


@pytest.mark.parametrize(("path", "doubt"), [("items", False), ("item.lines", True)])
def test_records_without_an_element_are_warned_of(
    duckdb_shop: Retailer, path: str, doubt: bool
) -> None:
    header = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price,item,items\n"
    )
    full = '"{""x"": [1]}","[1]"'
    duckdb_shop.files["transactions"] = (
        f"{header}T1,2024-03-15,C1,P1,1,10,{full}\nT2,2024-03-15,C1,P1,1,10,{{}},[]\n"
    )
    results = duckdb_shop.publish(TRANSACTIONS__EXPLODE=path)
    (told,) = (w for w in results["warnings"] if "without an element" in w)
    count = 2 if doubt else 1
    assert told.startswith(f"transactions: {count} of 2 rows are records without an element at")
    assert ("is that where the list is?" in told) is doubt

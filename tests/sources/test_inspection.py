"""What no row would be made of is looked for in all records, wherever the values stand."""

from __future__ import annotations

import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row, to_csv

MAPPING = {
    "transaction_id": "lines.0.id", "product_id": "lines.0.sku", "quantity": "lines.0.quantity",
    "customer_id": "customer.id", "unit_price": "price", "transaction_date": "day",
}  # fmt: skip
COUNT = 1500


def orders(*others: object) -> list[Row]:
    """Orders of one line, and after them one for each of `others`, which is its lines."""
    lines = [
        *([{"id": f"L{n}", "sku": "P1", "quantity": 1}] for n in range(COUNT)), *others
    ]  # fmt: skip
    return [
        {"lines": held, "customer": {"id": "C1"}, "price": "10", "day": "2024-03-15"}
        for held in lines
    ]


TWO = [{"id": "A", "sku": "P1", "quantity": 1}, {"id": "B", "sku": "P1", "quantity": 5}]


def settings(**more: object) -> Row:
    return {"TRANSACTIONS__COLUMNS": json.dumps({**MAPPING, **more}), "BATCH_ROWS": 400}


@pytest.mark.parametrize("form", ["json array", "json lines", "csv", "parquet", "duckdb"])
def test_a_sale_with_more_lines_than_are_mapped_fails_in_any_record_of_any_form(
    form: str, duckdb_shop: Retailer
) -> None:
    rows, shop = orders(TWO, TWO), duckdb_shop
    path, place = shop.folder / "orders", COUNT + 1
    as_json = [
        row | {name: json.dumps(row[name]) for name in ("lines", "customer")} for row in rows
    ]
    if form == "json array":
        path.write_text(json.dumps(rows))
    elif form == "json lines":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif form == "csv":
        path, place = path.with_suffix(".csv"), COUNT + 2
        path.write_text(to_csv(as_json))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with duckdb.connect(str(path)) as connection:
            table = pa.Table.from_pylist(as_json)
            connection.register("given", table)
            connection.execute("CREATE TABLE orders AS SELECT * FROM given")
    chosen = settings()
    if form == "duckdb":
        chosen |= {
            "TRANSACTIONS__PATH": f"duckdb:///{path}",
            "TRANSACTIONS__QUERY": "SELECT * FROM orders",
        }
    else:
        chosen["TRANSACTIONS__PATH"] = str(path)
    results = shop.run(**chosen)
    (error,) = results["errors"]
    assert results["status"] == "failed"
    assert "'lines' holds up to 2 values, of which 1 are mapped (2 records, the first at" in error
    assert f"line or number {place})" in error or form == "duckdb"
    assert "set TRANSACTIONS__EXPLODE=lines, and map the columns of its elements" in error


def test_lines_that_are_all_mapped_are_loaded(shop: Retailer) -> None:
    shop.files["transactions"] = json.dumps(orders([TWO[0]], [TWO[0] | {"id": "C"}, None]))
    results = shop.publish(**settings())
    assert surprises(results) == []
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == COUNT + 2


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"quantity": "lines.quantity"}, "'lines.quantity' names no place among them"),
        ({"sales_rep_id": "lines"}, "'lines' holds up to 1 values, of which none is mapped"),
        ({"discount_amount": "lines.0.offs"}, "'lines.0.offs' holds up to 2 values"),
    ],
)
def test_a_list_that_no_place_of_is_mapped_fails(
    mapping: Row, told: str, duckdb_shop: Retailer
) -> None:
    last = [{"id": "A", "sku": "P1", "quantity": 1, "offs": ["1", "2"]}]
    duckdb_shop.files["transactions"] = json.dumps(orders(last))
    (error,) = duckdb_shop.run(**settings(**mapping))["errors"]
    assert told in error


def test_in_a_dimension_it_is_a_warning_with_the_count(duckdb_shop: Retailer) -> None:
    tags = [["a"]] * 1200 + [["a", "b"]] * 3
    duckdb_shop.files["products"] = json.dumps(
        [{"product_id": f"P{n}", "tags": held} for n, held in enumerate(tags)]
    )
    chosen = json.dumps({"category": "tags.0"})
    results = duckdb_shop.publish(PRODUCTS__COLUMNS=chosen, BATCH_ROWS=500)
    told = [warning for warning in results["warnings"] if "tags" in warning]
    assert told == [
        "products: 'tags' holds up to 2 values, of which 1 are mapped (3 records, the first at "
        "line or number 1201): one record is one row"
    ]


def test_a_key_that_only_late_records_have_is_found(duckdb_shop: Retailer) -> None:
    rows: list[Row] = [{"product_id": f"P{n}", "name": "x"} for n in range(1100)]
    rows.append({"product_id": "P2000", "name": "y", "brand": "Lux", "specs": {"ean": "7"}})
    duckdb_shop.files["products"] = "\n".join(map(json.dumps, rows))
    chosen = json.dumps({"category": "specs.ean"})
    results = duckdb_shop.publish(PRODUCTS__COLUMNS=chosen, BATCH_ROWS=300)
    assert not [warning for warning in results["warnings"] if warning.startswith("products")]
    member = duckdb_shop.star.member("dim_product", "P2000")
    assert (member["brand"], member["category"]) == ("Lux", "7")


def test_json_in_a_column_that_cannot_be_read_is_no_missing_value(shop: Retailer) -> None:
    shop.sales = [
        row | {"more": more}
        for row, more in zip(
            shop.sales, ('{"off": 1}', '{"off": 1', '{"off": 1, "off": 2}'), strict=True
        )
    ]
    results = shop.publish(TRANSACTIONS__COLUMNS='{"discount_amount": "more.off"}')
    assert shop.reasons(results) == ["invalid_discount", "invalid_discount"]
    assert shop.star.scalar("SELECT discount_amount FROM fact_sales") == 1

"""Orders in one file, their lines in another: each sale has what both say."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli import main
from errors import ConfigError
from support.retailer import Retailer
from support.star import Star
from support.tables import Row, csv_rows

LINES = """\
Order No,Pos,SKU,Pieces,Price
1001,1,P1,1,10.00
1001,2,P2,2,20.00
1002,1,P1,3,10.00
1009,1,P1,1,99.00
"""
ORDERS = """\
id;placed;buyer;rep;state
1002;16.03.2024;C2;grace_hopper;paid
1001;15.03.2024;C1;;paid
1003;17.03.2024;C1;;paid
"""
SETTINGS = {
    "TRANSACTIONS__JOIN": '{"source": "orders", "key": "order_id"}',
    "TRANSACTIONS__COLUMNS": json.dumps(
        {
            "order_id": "Order No",
            "transaction_id": ["Order No", "Pos"],
            "product_id": "SKU",
            "quantity": "Pieces",
            "unit_price": "Price",
        }
    ),
    "TRANSACTIONS__DATE_FORMATS": "%d.%m.%Y",
    "ORDERS__COLUMNS": json.dumps(
        {
            "order_id": "id",
            "transaction_date": "placed",
            "customer_id": "buyer",
            "sales_rep_id": "rep",
        }
    ),
}


def joined(shop: Retailer, orders: str = ORDERS, lines: str = LINES) -> dict[str, object]:
    """The settings of a shop whose orders are in a file beside the lines."""
    shop.files["transactions"] = lines
    path = shop.folder / "orders.csv"
    path.write_text(orders, encoding="utf-8")
    return {**SETTINGS, "ORDERS__PATH": path}


def loaded(star: Star) -> list[tuple[object, ...]]:
    """The sales of a star: key, day, customer, rep, and the net amount."""
    rows = star.rows(
        "select f.transaction_id, f.date_key, c.customer_id, r.sales_rep_id, f.net_amount "
        "from fact_sales f join dim_customer c using (customer_key) "
        "join dim_sales_rep r using (sales_rep_key) order by 1"
    )
    return [(*row[:4], int(row[4])) for row in rows]


STAR = [
    ("1001-1", 20240315, "C1", "", 10),
    ("1001-2", 20240315, "C1", "", 40),
    ("1002-1", 20240316, "C2", "grace_hopper", 30),
]


@pytest.mark.parametrize("rows", [1, 2, 250_000])
def test_lines_have_what_their_orders_say(shop: Retailer, rows: int) -> None:
    results = shop.publish(**joined(shop), BATCH_ROWS=rows)
    assert loaded(shop.star) == STAR
    assert [(r["_reason"], r["_line"]) for r in shop.rejects(results)] == [("unknown_order", "5")]
    assert "1009" in shop.rejects(results)[0]["_detail"]
    assert "orders: 1 of 3 orders have no line" in str(results["warnings"])
    assert results["extraction_results"]["orders"]["records"] == 3
    again = shop.publish(**joined(shop), BATCH_ROWS=rows)
    assert again["fact_loading_results"]["records_unchanged"] == 3


def test_a_changed_order_changes_its_lines(shop: Retailer) -> None:
    shop.publish(**joined(shop))
    results = shop.publish(**joined(shop, ORDERS.replace("16.03.2024", "18.03.2024")))
    assert results["fact_loading_results"]["records_updated"] == 1
    assert loaded(shop.star)[2][1] == 20240318


def test_of_orders_with_one_key_the_last_counts(shop: Retailer) -> None:
    more = "1001;19.03.2024;C2;;paid\n1002;16.03.2024;C2;grace_hopper;paid\n;20.03.2024;C1;;paid\n"
    results = shop.publish(**joined(shop, ORDERS + more))
    assert loaded(shop.star)[0] == ("1001-1", 20240319, "C2", "", 10)
    rejects = csv_rows(Path(results["rejects_dir"]) / "orders.csv")
    assert [(r["_reason"], r["_line"], r["id"]) for r in rejects] == [
        ("conflicting_duplicate", "3", "1001"),
        ("missing_key", "7", ""),
    ]
    warnings = str(results["warnings"])
    assert "orders: 1 rows are there twice" in warnings
    assert "2 of 6 rows rejected: missing_key 1, conflicting_duplicate 1" in warnings


def test_an_order_that_is_no_row_leaves_its_lines_without(shop: Retailer) -> None:
    orders = ORDERS.replace("C2;grace_hopper;paid", "C2;grace;hopper;paid;more")
    results = shop.publish(**joined(shop, orders))
    assert [row[0] for row in loaded(shop.star)] == ["1001-1", "1001-2"]
    assert shop.reasons(results) == ["unknown_order", "unknown_order"]
    (refused,) = csv_rows(Path(results["rejects_dir"]) / "orders.csv")
    assert refused["_reason"] == "malformed_row"


def test_orders_may_be_left_out(shop: Retailer) -> None:
    skip = {"ORDERS__SKIP_WHEN": '{"state": ["void"]}'}
    shop.publish(**joined(shop), **skip)
    results = shop.publish(**joined(shop, ORDERS.replace("rep;paid", "x").replace(
        "grace_hopper;paid", "grace_hopper;void")), **skip)  # fmt: skip
    assert results["fact_loading_results"]["records_deleted"]["by_flag"] == 1
    assert loaded(shop.star) == STAR[:2]


def test_what_a_line_says_itself_counts(duckdb_shop: Retailer) -> None:
    lines = LINES.replace("Price\n", "Price,customer_id\n").replace("1,10.00\n", "1,10.00,C2\n")
    lines = lines.replace("20.00\n", "20.00,\n").replace("3,10.00\n", "3,10.00,\n")
    duckdb_shop.publish(**joined(duckdb_shop, lines=lines.replace("99.00\n", "99.00,\n")))
    assert [row[2] for row in loaded(duckdb_shop.star)] == ["C2", "C1", "C2"]


def test_a_reject_file_of_lines_is_joined_again(shop: Retailer) -> None:
    results = shop.publish(**joined(shop))
    path = Path(results["rejects_dir"]) / "transactions.csv"
    path.write_text(path.read_text("utf-8").replace('"1009"', '"1003"', 1), encoding="utf-8")
    shop.publish(**{**joined(shop), "TRANSACTIONS__PATH": path})
    assert loaded(shop.star)[-1] == ("1003-1", 20240317, "C1", "", 99)


def test_orders_and_lines_in_other_formats(shop: Retailer) -> None:
    settings = joined(shop)
    orders = [
        {"id": 1001, "placed": "2024-03-15", "buyer": {"id": "C1"}, "rep": None},
        {"id": 1002, "placed": "2024-03-16", "buyer": {"id": "C2"}, "rep": "grace_hopper"},
    ]
    path = shop.folder / "orders.json"
    path.write_text(json.dumps(orders), encoding="utf-8")
    rows = [line.split(",") for line in LINES.splitlines()]
    columns = [pa.array(column) for column in zip(*rows[1:], strict=True)]
    columns[0] = columns[0].cast(pa.float64())  # as pandas writes ids with a gap among them
    lines = shop.folder / "lines.parquet"
    pq.write_table(pa.table(columns, rows[0]), lines)
    mapped = json.loads(SETTINGS["ORDERS__COLUMNS"]) | {"customer_id": "buyer.id"}
    settings |= {
        "ORDERS__PATH": path,
        "ORDERS__COLUMNS": json.dumps(mapped),
        "TRANSACTIONS__PATH": lines,
        "TRANSACTIONS__DATE_FORMATS": "ISO8601",
    }
    shop.publish(**settings)
    assert loaded(shop.star) == STAR


def test_orders_in_a_database(shop: Retailer) -> None:
    path = shop.folder / "shop.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute("create table orders (id int, placed date, buyer text, rep text)")
        database.execute(
            "insert into orders values (1001, '2024-03-15', 'C1', null), "
            "(1002, '2024-03-16', 'C2', 'grace_hopper')"
        )
    settings = joined(shop) | {"TRANSACTIONS__DATE_FORMATS": "ISO8601"}
    shop.publish(**{**settings, "ORDERS__PATH": f"duckdb:///{path}", "ORDERS__QUERY": "orders"})
    assert loaded(shop.star) == STAR


def test_what_neither_has_is_named(duckdb_shop: Retailer) -> None:
    settings = joined(duckdb_shop, ORDERS.replace("buyer", "who"))
    settings["ORDERS__COLUMNS"] = '{"order_id": "id", "transaction_date": "placed"}'
    errors = str(duckdb_shop.run(**settings)["errors"])
    assert "neither the lines nor their orders have customer_id" in errors
    assert "id, placed, who, rep, state" in errors


def test_a_column_that_orders_lack_is_told(duckdb_shop: Retailer) -> None:
    results = duckdb_shop.run(**joined(duckdb_shop, ORDERS.replace("buyer", "byer")))
    errors = results["errors"][0]
    assert "ORDERS__COLUMNS maps customer_id to 'buyer'" in errors
    assert "nearest: 'byer'" in errors


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ORDERS__PATH": ""}, "ORDERS__PATH is missing"),
        ({"ORDERS__CURRENCY": "EUR"}, "ORDERS__CURRENCY is of sales, not of their orders"),
        ({"ORDERS__DATE_FORMATS": "%d/%m/%Y"}, "read by TRANSACTIONS__DATE_FORMATS"),
        ({"ORDERS__DELIMTER": ";"}, "did you mean ORDERS__DELIMITER?"),
        ({"TRANSACTIONS__JOIN": '{"source": "customers", "key": "x"}'}, "is a source of its own"),
        ({"TRANSACTIONS__JOIN": '{"source": "orders"}'}, "TRANSACTIONS__JOIN"),
        ({"TRANSACTIONS__JOIN": "orders"}, "TRANSACTIONS__JOIN"),
    ],
)
def test_wrong_settings_of_orders_are_told(duckdb_shop: Retailer, wrong: Row, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        duckdb_shop.run(**{**joined(duckdb_shop), **wrong})
    assert told in str(error.value)


def test_the_rejects_of_orders_stay_on_a_repeated_night(shop: Retailer) -> None:
    orders = ORDERS + "1001;19.03.2024;C2;;paid\n"
    shop.publish(**joined(shop, orders))
    results = shop.publish(**joined(shop, orders))
    assert results["repeats_run"]
    (refused,) = csv_rows(Path(results["rejects_dir"]) / "orders.csv")
    assert refused["_reason"] == "conflicting_duplicate"


def test_a_customer_is_erased_from_the_rejects_of_orders(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    settings = joined(shop, ORDERS + "1001;19.03.2024;C2;;paid\n")
    results = shop.publish(**settings)
    assert main(["--env-file", shop.env_file(**settings), "forget", "C1"]) == 0
    assert not (Path(results["rejects_dir"]) / "orders.csv").exists()
    assert len(shop.rejects(results)) == 1


@pytest.mark.usefixtures("unfolded")
def test_check_shows_the_orders(duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    settings = joined(duckdb_shop)
    assert main(["--env-file", duckdb_shop.env_file(**settings), "check"]) == 0
    told = capsys.readouterr().out
    assert "orders" in told
    assert "order_id from id, which is required" in told
    assert "unknown_order" in told
    assert "a run would publish" in told

"""A real MariaDB as the source, by each driver that is installed: the same star."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from sources import mysql
from sources.databases import Databases
from support.absent import not_here
from support.mariadb_server import DRIVERS, MariaDb
from support.proxy import Hushed
from support.retailer import Retailer


def driver_of(begins: str) -> str:
    """A URL's beginning, if its driver is installed; otherwise the test is not run here."""
    module = DRIVERS[begins]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        not_here(f"the driver {module}")
    return begins


@pytest.fixture(params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    return driver_of(request.param)


SHOP = (
    """CREATE TABLE people (
        customer_id DECIMAL(9, 1) PRIMARY KEY, first_name VARCHAR(20) COLLATE utf8mb4_bin,
        company SET('c', 'a', 'b'), city ENUM('Bonn', 'Ulm'), postal_code BIT(10),
        state YEAR, segment JSON)""",
    "INSERT INTO people VALUES (1, 'Zoë', 'a,c', 'Ulm', 513, 2024, '[1.50]'), "
    "(2, 'Bob', '', NULL, 0, NULL, NULL)",
    "CREATE TABLE goods (product_id DOUBLE PRIMARY KEY, name TEXT, price DOUBLE)",
    "INSERT INTO goods VALUES (7, 'Cup', 10.25), (8, 'Pan', 20)",
    """CREATE TABLE sales (
        transaction_id BINARY(4) PRIMARY KEY, transaction_date DATETIME(3), customer_id INT,
        product_id INT, quantity INT, unit_price DECIMAL(10, 2), changed TIMESTAMP)""",
)
SALE = "INSERT INTO sales VALUES (x'{}', '{}', 1, 7, 1, 9.99, '2026-01-05 23:30:00')"


def settings(database: MariaDb, driver: str, **changed: object) -> dict[str, object]:
    """All three tables come from the database."""
    tables = {"CUSTOMERS": "people", "PRODUCTS": "goods", "TRANSACTIONS": "sales"}
    url = database.url(driver)
    paths = {f"{source}__PATH": url for source in tables}
    return {**paths, **{f"{s}__QUERY": table for s, table in tables.items()}, **changed}


@pytest.fixture
def shop_database(database: MariaDb) -> MariaDb:
    """Tables of a shop, whose sales the test puts in."""
    database.execute("SET time_zone = '+00:00'", *SHOP)
    return database


def test_each_type_is_read_as_what_it_means(
    driver: str, shop_database: MariaDb, shop: Retailer
) -> None:
    shop_database.execute(
        "SET time_zone = '+00:00'",
        SALE.format("00FF1122", "2026-01-05 10:00:00.250"),
        SALE.format("41424344", "2026-01-06"),  # bytes that are letters as well
    )
    results = shop.publish(**settings(shop_database, driver))
    bytes_in = [warning for warning in results["warnings"] if "holds bytes" in warning]
    assert [warning.count("key column transaction_id") for warning in bytes_in] == [1]
    star = shop.star
    sql = "SELECT transaction_id, full_date FROM fact_sales JOIN dim_date USING (date_key)"
    facts = sorted((key, str(day)) for key, day in star.rows(sql))
    assert facts == [("00FF1122", "2026-01-05"), ("41424344", "2026-01-06")]
    ann, bob = star.member("dim_customer", "1"), star.member("dim_customer", "2")
    told = ("first_name", "company", "city", "postal_code", "state", "segment")
    assert [ann[name] for name in told] == ["Zoë", "c,a", "Ulm", "513", "2024", "[1.50]"]
    assert [bob[name] for name in told[1:5]] == [None, None, "0", None]
    assert str(star.member("dim_product", "7")["price"]) == "10.2500"
    assert star.scalar("SELECT count(*) FROM dim_customer WHERE is_inferred") == 0
    again = shop.publish(**settings(shop_database, driver))
    assert again["dimension_loading_results"]["dim_customer"]["unchanged"] == 2


def test_a_timestamp_is_a_moment_and_a_datetime_is_not(
    driver: str, shop_database: MariaDb, duckdb_shop: Retailer
) -> None:
    shop_database.execute("SET time_zone = '+00:00'", SALE.format("01", "2026-01-05 23:30:00"))
    days = []
    for column in ("changed", "transaction_date"):
        changed = {
            "TRANSACTIONS__COLUMNS": f'{{"transaction_date": "{column}"}}',
            "BUSINESS_TIMEZONE": "Asia/Tokyo",
        }
        duckdb_shop.publish(**settings(shop_database, driver, **changed))
        days += duckdb_shop.star.column("SELECT date_key FROM fact_sales")
    assert days == [20260106, 20260105]


def test_a_date_of_zeros_is_a_reject_that_shows_it(
    driver: str, shop_database: MariaDb, duckdb_shop: Retailer
) -> None:
    shop_database.execute(
        SALE.format("01", "0000-00-00"), SALE.format("02", "2026-02-00"),
        SALE.format("03", "2026-02-01"),
        "CREATE TABLE reps (sales_rep_id INT, hire_date DATE)",
        "INSERT INTO reps VALUES (1, '0000-00-00'), (2, NULL), (3, '2026-02-01')",
    )  # fmt: skip
    reps = {"SALES_REPS__PATH": shop_database.url(driver), "SALES_REPS__QUERY": "reps"}
    results = duckdb_shop.publish(**settings(shop_database, driver, **reps))
    rejects = duckdb_shop.rejects(results)
    assert [row["_reason"] for row in rejects] == ["invalid_date"] * 2
    assert [row["transaction_date"][:10] for row in rejects] == ["0000-00-00", "2026-02-00"]
    assert ["0000-00-00" in row["_detail"] for row in rejects] == [True, False]
    part = results["transformation_results"]["dim_sales_rep"]
    assert sum(part["attribute_issues"].values()) == 1


def test_the_driver_that_loses_rows_is_told(database: MariaDb, duckdb_shop: Retailer) -> None:
    """After a cut it says that there are no more rows, and it takes a date of zeros for none."""
    results = duckdb_shop.run(**settings(database, "mariadb+mariadbconnector"))
    (error,) = results["errors"]
    assert error.count("write mysql+pymysql://, after pip install PyMySQL") == 3


MISTAKES: dict[str, tuple[dict[str, str], str, str]] = {
    "the password": ({"password": "wrong"}, "sales", "Access denied for user 'shop'@"),
    "the database": ({"name": "nix"}, "sales", "Unknown database 'nix'"),
    "the port": ({"port": "1"}, "sales", "Can't connect to"),
    "the table": ({}, "sale", "nearest table: sales"),
    "a column": ({}, "SELECT form FROM sales", "Unknown column 'form'"),
    "the syntax": ({}, "SELECT * FORM sales", "near 'FORM sales'"),
    "two statements": ({}, "SELECT 1; DROP TABLE sales", "near 'DROP TABLE sales'"),
    "one that writes": ({}, "DELETE FROM sales", "READ ONLY transaction"),
    "one that writes a file": (
        {}, "SELECT 1 FROM sales INTO OUTFILE '/nix/nix'", "TRANSACTIONS__QUERY"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_the_server_s_own_words(
    mistake: str, driver: str, shop_database: MariaDb, duckdb_shop: Retailer
) -> None:
    shop_database.execute(SALE.format("01", "2026-01-05"))
    changed, query, words = MISTAKES[mistake]
    password = changed.get("password", "s3cret")
    port = int(changed.get("port", shop_database.port))
    place = MariaDb(port, changed.get("name", shop_database.name))
    results = duckdb_shop.run(
        TRANSACTIONS__PATH=place.url(driver, password), TRANSACTIONS__QUERY=query
    )
    (error,) = results["errors"]
    assert words in error
    assert error.startswith("Extraction phase failed: transactions: ")
    assert password not in error
    duckdb_shop.publish(**settings(shop_database, driver))  # nothing was changed
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 1


def test_values_of_rows_are_in_no_message(
    driver: str, shop_database: MariaDb, duckdb_shop: Retailer
) -> None:
    query = "SELECT UPDATEXML('<a/>', CONCAT('~', first_name), '') FROM people"
    results = duckdb_shop.run(**settings(shop_database, driver, CUSTOMERS__QUERY=query))
    (error,) = results["errors"]
    assert "Zoë" not in error + duckdb_shop.log


def test_a_sale_never_lacks_the_customer_that_came_with_it(
    driver: str,
    shop_database: MariaDb,
    duckdb_shop: Retailer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever source is opened, the shop sells to somebody new right after it."""
    opened: list[str] = []
    usual = Databases.open

    def open_and_sell(databases: Databases, name: str, *others: Any) -> Any:
        result = usual(databases, name, *others)
        number = 10 + len(opened)
        opened.append(name)
        shop_database.execute(
            f"INSERT INTO people (customer_id) VALUES ({number})",
            f"INSERT INTO sales VALUES ('N{number}', '2026-01-05', {number}, 7, 1, 1, NULL)",
        )
        return result

    shop_database.execute(SALE.format("01", "2026-01-05"))
    monkeypatch.setattr(Databases, "open", open_and_sell)
    duckdb_shop.publish(**settings(shop_database, driver))
    assert len(opened) == 3
    assert duckdb_shop.star.scalar("SELECT count(*) FROM dim_customer WHERE is_inferred") == 0


MANY = (
    'SELECT HEX(seq) AS transaction_id, "2026-01-05" AS transaction_date, 1 AS customer_id, '
    '7 AS product_id, 1 AS quantity, 1 AS unit_price, REPEAT("x", 4000) AS unused '
    "FROM seq_1_to_20000"
)


MIDDLE = 20_000_000
"""Bytes, of eighty million, after which a read is cut off. Buffers hold some ten million: at the
beginning, while other sources are opened, and again behind the cut.
"""


@pytest.fixture
def proxy(shop_database: MariaDb) -> Iterator[Hushed]:
    """A proxy to MariaDB that can fall silent."""
    with closing(Hushed(("127.0.0.1", shop_database.port))) as made:
        yield made


@pytest.fixture
def lost_once(shop_database: MariaDb, proxy: Hushed) -> Iterator[MariaDb]:
    """The database, which ends the connections of the readers once, in the middle of a read."""
    ended: list[int] = []
    proxy.when(MIDDLE, lambda: ended.append(shop_database.disconnect_readers()))
    yield replace(shop_database, port=proxy.port)
    assert ended
    assert ended[0] > 0


def test_a_source_that_was_lost_is_read_again(
    driver: str, lost_once: MariaDb, duckdb_shop: Retailer
) -> None:
    results = duckdb_shop.publish(
        **settings(lost_once, driver, TRANSACTIONS__QUERY=MANY, BATCH_ROWS=500)
    )
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 20_000
    assert results["extraction_results"]["transactions"]["records"] == 20_000
    assert duckdb_shop.star.scalar("SELECT count(*) FROM dim_customer WHERE is_inferred") == 0
    assert any("the connection was lost" in warning for warning in results["warnings"])


def test_a_source_that_stays_lost_is_named_and_not_the_warehouse(
    driver: str, lost_once: MariaDb, duckdb_shop: Retailer
) -> None:
    results = duckdb_shop.run(
        **settings(lost_once, driver, TRANSACTIONS__QUERY=MANY, BATCH_ROWS=500, RETRY_SECONDS=0)
    )
    (error,) = results["errors"]
    assert "the connection was lost" in error
    assert "(transactions)" in error
    assert "warehouse" not in error.replace("warehouse.duckdb", "")


def test_a_source_that_falls_silent_is_given_up_and_named(
    driver: str,
    shop_database: MariaDb,
    proxy: Hushed,
    duckdb_shop: Retailer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mysql, "SILENT_SECONDS", 1)
    proxy.when(MIDDLE, proxy.quiet.set)
    sales = {
        "TRANSACTIONS__PATH": replace(shop_database, port=proxy.port).url(driver),
        "TRANSACTIONS__QUERY": MANY,
    }
    results = duckdb_shop.run(**sales, BATCH_ROWS=500, RETRY_SECONDS=0)
    (error,) = results["errors"]
    assert "(transactions), after record" in error
    assert "the connection was lost" in error


def test_check_leaves_the_rest_of_a_large_table_unread(
    driver: str, shop_database: MariaDb, duckdb_shop: Retailer
) -> None:
    from cli import main

    shop_database.execute(SALE.format("01", "2026-01-05"))
    endless = MANY.replace("seq_1_to_20000", "seq_1_to_1000000000")
    changed = settings(shop_database, driver, TRANSACTIONS__QUERY=endless)
    look = ["check", "--rows", "1000"]
    assert main(["--env-file", duckdb_shop.env_file(**changed), *look]) == 0

"""A source in PostgreSQL that is read by ranges of a column is the same source."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from config import load_config
from errors import ConfigError
from main import StarSchemaETLPipeline
from sources import splits
from sources.databases import Databases
from support.mariadb_server import MariaDb
from support.proxy import Hushed, Proxy, via
from support.retailer import Retailer
from support.star import Star
from support.tables import Row

COUNT = 1_000
SALE = (
    "SELECT 'T' || m AS transaction_id, date '2024-01-01' + m % 300 AS transaction_date, "
    "'C' || m % 7 AS customer_id, 'P' || m % 3 AS product_id, m % 5 AS quantity, "
    "m % 11 + 0.25 AS unit_price, 'rep_' || m % 13 AS sales_rep_id, n AS place"
)
"""Some are there twice, and some have no quantity."""
SPLITS = {
    "integers": "n",
    "small integers": "n::smallint",
    "negative numbers": "-n * 3",
    "the largest integers": "CASE WHEN n % 2 = 0 THEN 9223372036854775807 "
    "WHEN n = 7 THEN -9223372036854775808 ELSE n END",
    "decimals": "n * 1.37 - 500",
    "decimals that are no numbers": "CASE WHEN n % 9 = 0 THEN 'NaN' ELSE n / 7.0 END",
    "decimals close together": "1 + n * 1e-40",
    "dates": "date '2020-02-29' + n",
    "dates of all times": "CASE n % 9 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' "
    "WHEN 2 THEN '0044-03-15 BC' WHEN 3 THEN '9999-12-31' ELSE date '2024-01-01' + n END",
    "timestamps": "timestamp '2024-01-01' + n * interval '0.7 seconds'",
    "timestamps with a zone": "timestamptz '2024-03-30 00:00+01' + n * interval '10 minutes'",
    "moments of all times": "CASE n % 9 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' "
    "WHEN 2 THEN '0044-03-15 BC' ELSE timestamptz '2024-01-01' + n * interval '1 day' END",
    "a value or none": "nullif(n % 4, 3)",
    "none": "NULL::int",
    "one value": "7",
    "two values": "n % 2",
    "one that is far away": "CASE n WHEN 500 THEN 1000000000000 ELSE n END",
}


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that some sales are several ranges."""
    monkeypatch.setattr(splits, "_ROWS", 100)


@pytest.fixture
def source(postgresql_star: Star) -> Star:
    """A PostgreSQL in which a table can be made."""
    postgresql_star.execute(f'CREATE SCHEMA "{postgresql_star.schema}"')
    return postgresql_star


def table_of(source: Star, column: str, rows: int = COUNT) -> Row:
    """Make a table of sales with this column to split by; returns the settings that name it."""
    table = f'"{source.schema}"."Sales"'
    source.execute(
        f'CREATE TABLE {table} AS {SALE}, {column} AS "Part" '
        f"FROM (SELECT n, n % {rows - 10} AS m FROM generate_series(1, {rows}) AS n) AS numbers"
    )
    return {"TRANSACTIONS__PATH": source.url, "TRANSACTIONS__QUERY": table}


def loaded(folder: Path, settings: Row) -> tuple[Row, Star, dict[str, set[tuple[str, ...]]]]:
    """What becomes of a load of an empty warehouse: the summary, the star, and the reject rows
    without their numbers, which follow the order of reading.
    """
    folder.mkdir()
    shop = Retailer(folder, Star(f"duckdb:///{folder / 'warehouse.duckdb'}"))
    results = shop.publish(ACCEPT_FREE_ITEMS=True, **settings)
    rejects = {
        source: {
            tuple(value for name, value in row.items() if name != "_line")
            for row in shop.rejects(results, source)
        }
        for source in ("customers", "transactions")
    }
    return results, shop.star, rejects


def facts(star: Star) -> list[tuple[Any, ...]]:
    return star.rows(
        "SELECT transaction_id, date_key, customer_id, product_id, sales_rep_id, quantity, "
        "unit_price, gross_amount FROM fact_sales JOIN dim_customer USING (customer_key) "
        "JOIN dim_product USING (product_key) JOIN dim_sales_rep USING (sales_rep_key) "
        "ORDER BY transaction_id"
    )


def lasting(found: Row) -> Row:
    """Results without times, and without the places of examples: of ranges another row may come
    first.
    """
    return {
        name: lasting(value) if isinstance(value, dict) else value
        for name, value in found.items()
        if name not in ("processing_time", "first")
    }


def without_examples(results: Row) -> list[str]:
    return [warning.partition(", such as ")[0] for warning in results["warnings"]]


@pytest.mark.parametrize("split", SPLITS)
def test_the_star_accounts_and_rejects_are_those_of_one_connection(
    split: str, source: Star, tmp_path: Path
) -> None:
    settings = table_of(source, SPLITS[split])
    one, whole, refused = loaded(tmp_path / "one", settings)
    assert refused["transactions"]
    for workers in (1, 4):
        several, star, others = loaded(
            tmp_path / str(workers),
            {**settings, "TRANSACTIONS__SPLIT_BY": "part", "WORKERS": workers},
        )
        assert facts(star) == facts(whole)
        assert others == refused
        for part in ("transformation_results", "fact_loading_results", "validation_results"):
            assert lasting(several[part]) == lasting(one[part])
        read = (found["extraction_results"]["transactions"] for found in (one, several))
        assert next(read) == next(read)
        assert without_examples(several) == without_examples(one)


def test_rows_come_in_the_order_of_the_ranges_and_are_numbered_in_it(
    source: Star, duckdb_shop: Retailer
) -> None:
    settings = table_of(source, "nullif(-n, -10)")
    results = duckdb_shop.publish(
        **settings, TRANSACTIONS__SPLIT_BY="Part", WORKERS=3, BATCH_ROWS=30
    )
    lines = {int(row["place"]): int(row["_line"]) for row in duckdb_shop.rejects(results)}
    assert len(set(lines.values())) == len(lines)
    assert max(lines, key=lambda place: lines[place]) == 10  # which has no value
    far = [place for place in lines if place > 905]
    near = [place for place in lines if place < 95 and place != 10]
    assert max(lines[place] for place in far) < min(lines[place] for place in near)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_of_a_sale_that_is_there_twice_the_one_of_the_last_range_counts(
    workers: int, source: Star, duckdb_shop: Retailer
) -> None:
    settings = table_of(source, "-n")
    source.execute(f'UPDATE "{source.schema}"."Sales" SET unit_price = place')
    duckdb_shop.publish(**settings, TRANSACTIONS__SPLIT_BY="Part", WORKERS=workers)
    sql = "SELECT unit_price FROM fact_sales WHERE transaction_id IN ('T1', 'T2', 'T3')"
    assert sorted(map(int, duckdb_shop.star.column(sql))) == [1, 2, 3]


def test_an_empty_table_is_an_empty_source(source: Star, duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish(**table_of(source, "n", 0), TRANSACTIONS__SPLIT_BY="Part")
    assert results["extraction_results"]["transactions"]["records"] == 0


QUERIES = {
    "as it is": "SELECT * FROM {table}",
    "with an end and a comment": "SELECT * FROM {table} ; -- that is all; really",
    "with a comment at its end": "SELECT * FROM {table} -- all of it",
    "with a colon and a per cent sign": "SELECT *, ':x %s'::text AS \"50%\" FROM {table}",
    "in order": "SELECT * FROM {table} ORDER BY place DESC",
    "with a table of its own": "WITH sold AS (SELECT * FROM {table}) SELECT * FROM sold",
    "with a column twice": "SELECT *, 1 AS note, 2 AS note FROM {table}",
}


@pytest.mark.parametrize("query", QUERIES)
def test_any_query_can_be_split(query: str, source: Star, duckdb_shop: Retailer) -> None:
    settings = table_of(source, "n")
    text = QUERIES[query].format(table=settings["TRANSACTIONS__QUERY"])
    settings["TRANSACTIONS__QUERY"] = text
    results = duckdb_shop.publish(**settings, TRANSACTIONS__SPLIT_BY="Part")
    assert results["extraction_results"]["transactions"]["records"] == COUNT


@pytest.mark.parametrize("by_name", [False, True])
def test_only_new_rows_are_read_by_ranges_too(
    by_name: bool, source: Star, duckdb_shop: Retailer
) -> None:
    settings = table_of(source, "n")
    if not by_name:
        table = settings["TRANSACTIONS__QUERY"]
        settings["TRANSACTIONS__QUERY"] = f"SELECT * FROM {table} WHERE place >= :since"
    config = duckdb_shop.config(
        **settings, TRANSACTIONS__SPLIT_BY="Part", TRANSACTIONS__WATERMARK="place"
    )
    for since, count in ((801, 200), (None, 1)):
        pipeline = StarSchemaETLPipeline(config, since=since, quiet=True)
        results = pipeline.run_full_pipeline()
        assert results["errors"] == []
        assert results["extraction_results"]["transactions"]["records"] == count


def test_a_full_extract_by_ranges_removes_what_is_gone(source: Star, duckdb_shop: Retailer) -> None:
    settings = table_of(source, "n") | {"TRANSACTIONS__SPLIT_BY": "Part", "MAX_DELETE_RATE": "1"}
    duckdb_shop.publish(TRANSACTIONS__EXTRACT="full", **settings)
    before = duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales")
    source.execute(f'DELETE FROM "{source.schema}"."Sales" WHERE place > 500')
    results = duckdb_shop.publish(TRANSACTIONS__EXTRACT="full", **settings)
    after = duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales")
    assert results["fact_loading_results"]["records_deleted"]["by_absence"] == before - after > 0


def test_all_ranges_are_of_one_moment(
    source: Star, duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the other sources: as soon as they are counted, all is changed."""
    settings = table_of(source, "n")
    source.execute(f"CREATE TABLE \"{source.schema}\".people AS SELECT 'C1' AS customer_id")
    settings |= {
        "CUSTOMERS__PATH": source.url,
        "CUSTOMERS__QUERY": f'"{source.schema}".people',
    }
    usual = Databases.open

    def open_and_change(databases: Databases, name: str, *others: Any) -> Any:
        opened = usual(databases, name, *others)
        if name == "transactions":
            source.execute(
                f'DELETE FROM "{source.schema}"."Sales" WHERE place % 3 = 0',
                f'UPDATE "{source.schema}"."Sales" SET "Part" = 1',
                f'INSERT INTO "{source.schema}"."Sales" SELECT * FROM "{source.schema}"."Sales"',
                f"INSERT INTO \"{source.schema}\".people VALUES ('later')",
            )
        return opened

    monkeypatch.setattr(Databases, "open", open_and_change)
    results = duckdb_shop.publish(**settings, TRANSACTIONS__SPLIT_BY="Part", WORKERS=3)
    assert results["extraction_results"]["transactions"]["records"] == COUNT
    assert results["extraction_results"]["customers"]["records"] == 1


# --- what cannot be split -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("prat", "names 'prat', which is no column of the result (nearest: 'Part')"),
        ("customer_id", "names 'customer_id', which cannot be split: it holds no integers, "),
        ("prat", "these can be: transaction_date, quantity, unit_price, place, Part"),
        ("customer_id", "these can be: transaction_date, quantity, unit_price, place, Part"),
    ],
)
def test_a_column_that_cannot_be_split_is_told(
    column: str, words: str, source: Star, duckdb_shop: Retailer
) -> None:
    settings = table_of(source, "n")
    results = duckdb_shop.run(**settings, TRANSACTIONS__SPLIT_BY=column)
    (error,) = results["errors"]
    assert "TRANSACTIONS__SPLIT_BY " in error
    assert words in error
    assert duckdb_shop.star.tables() == {"etl_run"}


def test_files_are_not_split_by_a_column(duckdb_shop: Retailer) -> None:
    with pytest.raises(ConfigError, match="TRANSACTIONS__SPLIT_BY: TRANSACTIONS__PATH is no data"):
        load_config(None, duckdb_shop.settings(TRANSACTIONS__SPLIT_BY="quantity"))


SALES = (
    "CREATE TABLE sales AS SELECT 1 AS transaction_id, '2024-02-01' AS transaction_date, "
    "1 AS customer_id, 1 AS product_id, 1 AS quantity, 9.99 AS unit_price"
)


def told_to_have_no_effect(shop: Retailer, url: str) -> None:
    results = shop.publish(
        TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY="sales", TRANSACTIONS__SPLIT_BY="quantity"
    )
    begins = url.partition(":")[0]
    told = f"transactions: TRANSACTIONS__SPLIT_BY has no effect with {begins}://, where other "
    assert [w for w in results["warnings"] if w.startswith(told)]
    assert results["extraction_results"]["transactions"]["records"] == 1


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_of_a_database_is_read_whole_and_that_is_told(
    engine: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    url = f"{engine}:///{tmp_path / 'till.db'}"
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql(SALES)
    told_to_have_no_effect(duckdb_shop, url)


def test_mariadb_is_read_whole_and_that_is_told(database: MariaDb, duckdb_shop: Retailer) -> None:
    database.execute(SALES)
    told_to_have_no_effect(duckdb_shop, database.url("mysql+pymysql"))


def test_a_query_that_gives_other_rows_to_each_connection_is_refused(
    source: Star, duckdb_shop: Retailer
) -> None:
    settings = table_of(source, "n")
    settings["TRANSACTIONS__QUERY"] = (
        f"SELECT * FROM {settings['TRANSACTIONS__QUERY']} "
        "WHERE place > 10 OR current_setting('synchronize_seqscans') = 'on'"
    )
    results = duckdb_shop.run(**settings, TRANSACTIONS__SPLIT_BY="Part")
    (error,) = results["errors"]
    assert "it has 1,000 records, and its ranges have 990: it gives others each time" in error
    assert duckdb_shop.star.tables() == {"etl_run"}


# --- connections ----------------------------------------------------------------------------


@pytest.mark.parametrize(("refused", "told"), [(2, "1 instead of 3"), (3, "1 instead of 3")])
def test_fewer_connections_than_wanted_do_and_that_is_told(
    refused: int, told: str, source: Star, duckdb_shop: Retailer, proxy: Proxy
) -> None:
    settings = table_of(source, "n") | {"TRANSACTIONS__PATH": via(source, proxy)}
    proxy.refuses = lambda number: number >= refused
    results = duckdb_shop.publish(**settings, TRANSACTIONS__SPLIT_BY="Part", WORKERS=3)
    begins = f"transactions: TRANSACTIONS__SPLIT_BY: {told} connections read it ("
    assert [warning for warning in results["warnings"] if warning.startswith(begins)]
    assert results["extraction_results"]["transactions"]["records"] == COUNT


def test_an_error_in_one_range_is_told_with_its_place_and_all_others_are_well(
    source: Star, duckdb_shop: Retailer
) -> None:
    """The customers are in the same database, and are not found fault with."""
    settings = table_of(source, "n")
    settings["TRANSACTIONS__QUERY"] = (
        f"SELECT *, 1 / (place - 333) AS ratio FROM {settings['TRANSACTIONS__QUERY']}"
    )
    settings |= {
        "CUSTOMERS__PATH": source.url,
        "CUSTOMERS__QUERY": f'SELECT DISTINCT customer_id FROM "{source.schema}"."Sales"',
    }
    results = duckdb_shop.run(**settings, TRANSACTIONS__SPLIT_BY="Part", WORKERS=3, BATCH_ROWS=10)
    (error,) = results["errors"]
    assert error.count("the read failed (division by zero") == 1
    assert ", after record 30 of range 4 of 11 of Part: " in error
    assert "; " not in error.partition("; correct that record")[0]


@pytest.mark.parametrize("seconds", [60, 0])
def test_a_connection_that_is_lost_has_all_of_its_server_read_again(
    seconds: int, source: Star, duckdb_shop: Retailer, hushed: Hushed
) -> None:
    settings = table_of(source, "n", 30_000)
    name = f"etl_{uuid.uuid4().hex[:8]}"
    url = sa.make_url(via(source, hushed)).update_query_dict({"application_name": name})
    path = url.render_as_string(hide_password=False)
    ended: list[object] = []
    ours = f"FROM pg_stat_activity WHERE application_name = '{name}'"

    def end() -> None:
        ended.append(source.scalar(f"SELECT count(pg_terminate_backend(pid)) {ours}"))

    hushed.when(400_000, end)
    results = duckdb_shop.run(
        **settings | {"TRANSACTIONS__PATH": path}, TRANSACTIONS__SPLIT_BY="Part", BATCH_ROWS=100,
        CUSTOMERS__PATH=path, CUSTOMERS__QUERY="SELECT 'C1' AS customer_id",
        RETRY_SECONDS=seconds, WORKERS=2,
    )  # fmt: skip
    assert ended == [3]
    told = "\n".join(results["warnings"] if seconds else results["errors"])
    assert "transactions: " in told
    assert "the connection was lost (" in told
    assert results["status"] == ("published" if seconds else "failed")
    if seconds:
        assert results["extraction_results"]["transactions"]["records"] == 30_000
    assert source.scalar(f"SELECT count(*) {ours}") == 0

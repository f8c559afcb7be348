"""Files of DuckDB and SQLite as sources read themselves and nothing else; DuckDB as a tool may read
the files that its query names, and does no more than read.
"""

from __future__ import annotations

import sqlite3
import uuid
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from common.spool import Spool
from common.values import UNREADABLE
from extract import DataExtractor
from support.retailer import Retailer
from support.star import Star
from support.tables import csv_rows

SECRET = "a secret of this machine"  # noqa: S105
SALES = (
    "CREATE TABLE sales AS SELECT 'T1' AS transaction_id, '2024-02-01' AS transaction_date, "
    "'C1' AS customer_id, 'P1' AS product_id, 1 AS quantity, 9.99 AS unit_price"
)
TOOL = "duckdb:///:memory:"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file that is no business of a source."""
    path = tmp_path / "elsewhere.csv"
    path.write_text(f"transaction_id,note\nT1,{SECRET}\n", encoding="utf-8")
    return path


REACHING = {
    "a view on a CSV file": "CREATE VIEW bait AS SELECT * FROM read_csv('{path}')",
    "a view on any text": "CREATE VIEW bait AS SELECT content AS transaction_id "
    "FROM read_text('{path}')",
    "a view on bytes": "CREATE VIEW bait AS SELECT * FROM read_blob('{path}')",
    "a view on a list of files": "CREATE VIEW bait AS SELECT file AS transaction_id "
    "FROM glob('{path}')",
    "a view on a name": "CREATE VIEW bait AS SELECT * FROM '{path}'",
}


@pytest.mark.parametrize("is_warehouse", [False, True])
@pytest.mark.parametrize("what", REACHING)
def test_a_duckdb_file_reaches_no_other_file(
    what: str, is_warehouse: bool, elsewhere: Path, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.duckdb"
    if is_warehouse:
        path = Path(str(sa.make_url(duckdb_shop.star.url).database))
    with duckdb.connect(str(path)) as made:
        made.execute(REACHING[what].format(path=elsewhere))
    results = duckdb_shop.run(
        TRANSACTIONS__PATH=f"duckdb:///{path}", TRANSACTIONS__QUERY="bait",
        TRANSACTIONS__COLUMNS='{"transaction_id": "transaction_id"}',
    )  # fmt: skip
    (error,) = results["errors"]
    assert "file system operations are disabled" in error
    assert SECRET not in error


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{path}')",
        "FROM '{path}'",
        "SELECT * FROM read_parquet('https://example.org/sales.parquet')",
        "ATTACH '{path}.duckdb' AS other",
        "COPY sales TO '{path}.copy'",
        "INSTALL httpfs",
        "SET threads = 1",
        "SELECT * FROM columns",
    ],
)
def test_nor_does_a_query_of_it(
    query: str, elsewhere: Path, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(path)) as made:
        made.execute(SALES)
    results = duckdb_shop.run(
        TRANSACTIONS__PATH=f"duckdb:///{path}",
        TRANSACTIONS__QUERY=query.format(path=elsewhere),
    )
    (error,) = results["errors"]
    assert "TRANSACTIONS__QUERY" in error
    assert SECRET not in error
    assert sorted(p.name for p in tmp_path.iterdir() if "elsewhere" in p.name) == ["elsewhere.csv"]


@pytest.mark.parametrize(
    "query",
    [
        "attach database '{path}' as p",
        "ATTACH '{path}' AS p; SELECT 1",
        "vacuum into '{path}'",
        "pragma journal_mode = wal",
        "pragma query_only = off",
        "select * from pragma_journal_mode('wal')",
        "select load_extension('{path}')",
        "delete from sales returning *",
        "select writefile('{path}', 'x')",
    ],
)
def test_a_query_of_a_sqlite_file_makes_and_reaches_nothing(
    query: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    path, made = tmp_path / "theirs.sqlite", tmp_path / "made.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(SALES)
    connection.close()
    before = path.read_bytes()
    results = duckdb_shop.run(
        TRANSACTIONS__PATH=f"sqlite:///{path}", TRANSACTIONS__QUERY=query.format(path=made)
    )
    (error,) = results["errors"]
    assert "TRANSACTIONS__QUERY" in error
    assert not made.exists()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.glob("theirs*")) == ["theirs.sqlite"]


def test_a_sqlite_file_has_views_and_its_blobs_are_keys_in_hexadecimal(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(SALES)
        connection.execute(
            "CREATE VIEW more AS SELECT x'41424344' AS transaction_id, transaction_date, "
            "customer_id, 1001.0 AS product_id, quantity, unit_price FROM sales "
            "UNION ALL SELECT 'ABCD', transaction_date, customer_id, 1e16, quantity, unit_price "
            "FROM sales"
        )
    connection.close()
    config = duckdb_shop.config(TRANSACTIONS__PATH=f"sqlite:///{path}", TRANSACTIONS__QUERY="more")
    sold = DataExtractor(config).extract_all_sources()["transactions"]
    assert list(sold["transaction_id"]) == ["41424344", "ABCD"]
    # A float of that size has lost its last digits.
    assert list(sold["product_id"]) == ["1001", f"{UNREADABLE}1e+16"]


# --- DuckDB as a tool -----------------------------------------------------------------------------


@pytest.mark.parametrize("url", [TOOL, "duckdb://", "DUCKDB:///:memory:"])
def test_the_tool_reads_files_by_paths_from_where_it_is_run(
    url: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    (tmp_path / "sold.csv").write_text(
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
        "007,2024-02-01,C1,P1,1,10.10\n",
        encoding="utf-8",
    )
    duckdb_shop.publish(
        TRANSACTIONS__PATH=url,
        TRANSACTIONS__QUERY="FROM read_csv('sold.csv', all_varchar = true)",
    )
    assert duckdb_shop.star.column("SELECT transaction_id FROM fact_sales") == ["007"]


def test_the_tool_is_asked_again_when_a_file_of_it_changes(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    settings = {
        "TRANSACTIONS__PATH": TOOL,
        "TRANSACTIONS__QUERY": "FROM read_csv('sold.csv', all_varchar = true)",
    }
    for price in ("10.10", "10.20"):
        (tmp_path / "sold.csv").write_text(
            "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
            f"T1,2024-02-01,C1,P1,1,{price}\n",
            encoding="utf-8",
        )
        results = duckdb_shop.publish(**settings)
        assert results["repeats_run"] is None
    assert [str(p) for p in duckdb_shop.star.column("SELECT unit_price FROM fact_sales")] == [
        "10.2000"
    ]


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{path}'",
        "ATTACH '{path}' AS p",
        "SELECT 1; COPY (SELECT 1) TO '{path}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{path}''')",
        "CREATE TABLE x AS SELECT 1",
        "EXPORT DATABASE '{path}'",
        "SELECT * FROM 'https://example.org/sales.csv'",
        "SELECT * FROM 's3://example/sales.parquet'",
    ],
)
def test_the_tool_does_no_more_than_read(query: str, duckdb_shop: Retailer, tmp_path: Path) -> None:
    made = tmp_path / "made"
    results = duckdb_shop.run(TRANSACTIONS__PATH=TOOL, TRANSACTIONS__QUERY=query.format(path=made))
    (error,) = results["errors"]
    assert "correct TRANSACTIONS__QUERY" in error or "TRANSACTIONS__QUERY must be" in error
    assert not made.exists()


def test_the_reject_file_of_the_tool_counts_the_rows_of_its_result(
    duckdb_shop: Retailer,
) -> None:
    query = (
        "SELECT 'T' || n AS transaction_id, '2024-02-01' AS transaction_date, 'C1' AS customer_id, "
        "'P1' AS product_id, CASE n WHEN 2 THEN 'many' ELSE '1' END AS quantity, 1 AS unit_price "
        "FROM range(3) AS t(n)"
    )
    results = duckdb_shop.publish(TRANSACTIONS__PATH=TOOL, TRANSACTIONS__QUERY=query)
    (path,) = Path(results["rejects_dir"]).iterdir()
    (reject,) = csv_rows(path)
    assert (reject["_line"], reject["_reason"]) == ("3", "invalid_quantity")


# --- keys in columns with types -------------------------------------------------------------------


BYTES = "key column transaction_id holds bytes, written as hexadecimal digits; cast it to text in "


def warnings_of(shop: Retailer, **changed: object) -> list[str]:
    """What a reader of the sales has warned of that bytes in keys are about."""
    config = shop.config(**changed)
    with Spool(config.work_dir) as spool:
        sales = DataExtractor(config).extract(spool.folder)["transactions"]
    return [warning for warning in sales.warnings if "bytes" in warning]


def test_bytes_in_a_key_are_warned_of_by_every_reader(
    duckdb_shop: Retailer, postgresql_star: Star, tmp_path: Path
) -> None:
    rest = "'2024-02-01' AS transaction_date, 'C1' AS customer_id, 'P1' AS product_id"
    query = f"SELECT {{}} AS transaction_id, {rest}, 1 AS quantity, 9 AS unit_price"
    blob = query.format("'AB'::BLOB")
    duckdb.sql(f"COPY ({blob}) TO '{tmp_path}/sold.parquet'")
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    mixed = query.format(1) + " UNION ALL " + query.format("x'4142'")
    readers = [
        (str(tmp_path / "sold.parquet"), "", "export"),
        (TOOL, blob, "query"),
        (f"sqlite:///{tmp_path}/empty.sqlite", mixed, "query"),
        (postgresql_star.url, query.format("'AB'::bytea"), "query"),
    ]
    for path, sql, where in readers:
        found = warnings_of(duckdb_shop, TRANSACTIONS__PATH=path, TRANSACTIONS__QUERY=sql)
        assert [warning.count(f"{BYTES}the {where}") for warning in found] == [1], path
    text = query.format("'AB'")
    assert warnings_of(duckdb_shop, TRANSACTIONS__PATH=TOOL, TRANSACTIONS__QUERY=text) == []


def test_keys_in_parquet_are_what_their_types_mean(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """Bytes are hexadecimal for every row alike, a UUID is itself, whole numbers have no `.0`."""
    number = uuid.uuid4()
    columns = {
        "transaction_id": pa.array([b"\x00\xffAB", b"ABCD", b"    "], pa.binary(4)),
        "transaction_date": pa.array([date(2024, 2, 1)] * 3),
        "customer_id": pa.array([number.bytes] * 3, pa.uuid()),
        "product_id": pa.array([1001.0, 1002.5, 1e16]),
        "quantity": pa.array([1, 1, 1]),
        "unit_price": pa.array([Decimal("9.90")] * 3),
        "sales_rep_id": pa.array([Decimal("7.00"), Decimal("7.50"), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "sold.parquet")
    for path, query in (
        (str(tmp_path / "sold.parquet"), ""),
        (TOOL, "FROM read_parquet('sold.parquet')"),
    ):
        config = duckdb_shop.config(TRANSACTIONS__PATH=path, TRANSACTIONS__QUERY=query)
        sold = DataExtractor(config).extract_all_sources()["transactions"]
        assert list(sold["transaction_id"]) == ["00FF4142", "41424344", "20202020"]
        assert set(sold["customer_id"]) == {str(number)}
        assert list(sold["product_id"]) == ["1001", "1002.5", f"{UNREADABLE}1e+16"]
        assert list(sold["sales_rep_id"][:2]) == ["7", "7.50"]
        assert set(sold["unit_price"]) == {"9.90"}

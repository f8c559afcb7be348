"""Databases as sources: what they refuse is told in full, and their passwords never are."""

from __future__ import annotations

import shutil
import sqlite3
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from cli import main
from common.driver_words import explain
from config import load_config
from errors import ConfigError, ExtractionError
from extract import DataExtractor
from sources.databases import Databases
from support.commands import in_a_child
from support.proxy import Hushed, Proxy, via
from support.retailer import Retailer
from support.star import Star

PASSWORD = "s3cr@t/p#w%d: x"  # noqa: S105  # a canary
PIECE = 4
"""Characters of a password that tell too much of it."""


@dataclass
class Database:
    """A PostgreSQL that lets a user of ours in with a password and nobody without."""

    star: Star
    user: str

    def url(self, password: str = PASSWORD) -> str:
        """The address of the database for our user."""
        url = sa.make_url(self.star.url).set(username=self.user, password=password)
        text = url.render_as_string(hide_password=False)
        # SQLAlchemy leaves a space as it is, and so do people.
        assert quote(password, safe=" ") in text or quote(password, safe=" +") in text
        return text


@pytest.fixture
def database(postgresql_star: Star) -> Iterator[Database]:
    """Access is by password also where a server of our own trusts everybody."""
    star = postgresql_star
    found = Database(star, f"canary_{uuid.uuid4().hex[:8]}")
    literal = PASSWORD.replace("'", "''").replace(":", "\\:")
    star.execute(
        f'CREATE SCHEMA "{star.schema}"',
        f'CREATE TABLE "{star.schema}".people AS SELECT n AS customer_id, 10 - n AS ten '
        "FROM generate_series(1, 20000) AS n",
        f"CREATE ROLE {found.user} LOGIN PASSWORD '{literal}'",
        f'GRANT USAGE ON SCHEMA "{star.schema}" TO {found.user}',
        f'GRANT SELECT ON "{star.schema}".people TO {found.user}',
    )
    before = None if _is_refused(found.url("wrong")) else _demand_passwords(found)
    yield found
    if before is not None:
        _write_rules(star, before)
    star.execute(f'DROP SCHEMA "{star.schema}" CASCADE', f"DROP ROLE {found.user}")


def _is_refused(url: str) -> bool:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        return True
    return False


def _demand_passwords(database: Database) -> list[str]:
    star = database.star
    rules = str(star.scalar("SELECT pg_read_file(current_setting('hba_file'))")).splitlines()
    ours = [
        f"local all {database.user} scram-sha-256",
        f"host all {database.user} all scram-sha-256",
    ]
    _write_rules(star, [*ours, *rules])
    return rules


def _write_rules(star: Star, rules: list[str]) -> None:
    path = star.scalar("SHOW hba_file")
    with star.connection() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE rules (number serial, rule text)")
        for rule in rules:
            connection.execute(sa.text("INSERT INTO rules (rule) VALUES (:rule)"), {"rule": rule})
        connection.exec_driver_sql(
            f"COPY (SELECT rule FROM rules ORDER BY number) TO '{path}' (DELIMITER E'\\x01')"
        )
        connection.commit()
    star.reload_settings()


def pieces(password: str) -> set[str]:
    """What of a password may be seen nowhere, plain or percent-encoded."""
    return {
        text[at : at + PIECE]
        for text in (password, quote(password, safe=""), quote(password, safe=" +"))
        for at in range(len(text) - PIECE + 1)
    }


CASES = {
    "the host is unreachable": ("127.0.0.1:1", "people", PASSWORD, "cannot be opened"),
    "the password is wrong": (None, "people", f"{PASSWORD}!", "password authentication failed"),
    "there is no such table": (None, "nobody", PASSWORD, 'relation "'),
    "the query is wrong": (None, "SELECT nonsense", PASSWORD, 'column "nonsense" does not exist'),
    "the read fails on the way": (
        None, "SELECT customer_id, 1 / (customer_id - 15000) FROM {schema}.people", PASSWORD,
        "after record 10000: the read failed (division by zero",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("unfolded")
def test_a_password_is_told_nowhere(
    case: str, database: Database, duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    host, query, password, words = CASES[case]
    url = database.url(password)
    if host:
        url = f"postgresql+psycopg2://{database.user}:{quote(password, safe='')}@{host}/sales"
    settings = {
        "CUSTOMERS__PATH": url,
        "CUSTOMERS__QUERY": query.format(schema=database.star.schema),
        "BATCH_ROWS": 5000,
        "LOG_LEVEL": "DEBUG",
    }
    shop = duckdb_shop
    environment = ["--env-file", shop.env_file(**settings)]
    told = [repr(shop.config(**settings)), str(shop.config(**settings))]
    for command, code in (([], 1), (["--json"], 1), (["--quiet"], 1), (["check"], 2)):
        if command == ["check"] and "on the way" in case:
            continue  # it does not read that far
        assert main([*environment, *command]) == code
        told += capsys.readouterr()
        assert words in "".join(told[-2:])
    with pytest.raises(ExtractionError) as raised:
        DataExtractor(shop.config(**settings)).extract_all_sources()
    told += traceback.format_exception(raised.value)
    told += [_text(path) for path in shop.folder.rglob("*") if path.name != "shop.env"]
    assert words in shop.log
    shown = "\n".join(told)
    harmless = f"{sa.make_url(url)} {shop.folder} {words}"
    leaked = {piece for piece in pieces(password) if piece in shown and piece not in harmless}
    assert leaked == set()


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.is_file() else str(path)


def test_a_password_of_any_characters_opens_the_database(
    database: Database, duckdb_shop: Retailer
) -> None:
    config = duckdb_shop.config(
        CUSTOMERS__PATH=database.url(), CUSTOMERS__QUERY=f"{database.star.schema}.people"
    )
    assert len(DataExtractor(config).extract_all_sources()["customers"]) == 20_000


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://etl:s3cr@t/p@127.0.0.1:1/sales",
        "postgresql://etl:s3cr@t@127.0.0.1:1/sales",
        "postgresql://etl@127.0.0.1:1/sales?password=s3cr@t",
        "postgresql://etl:s3cr@127.0.0.1:port/sales",
    ],
)
def test_a_password_in_a_faulty_address_is_not_told(url: str) -> None:
    with pytest.raises(Exception, match="CUSTOMERS__PATH") as raised:
        load_config(None, {"CUSTOMERS__PATH": url, "CUSTOMERS__QUERY": "people"})
    assert "s3cr" not in "".join(traceback.format_exception(raised.value))
    assert "t/p" not in str(raised.value)


@pytest.mark.parametrize(
    ("begins", "words"),
    [
        ("postgresql+psycopg", "the driver psycopg is not installed"),
        ("postgresql+psycopg", "write postgresql+psycopg2://"),
        ("mssql", "the driver pyodbc is not installed"),
        ("sqlserver", "write mssql+pymssql://, after pip install pymssql"),
        ("oracle", "the driver oracledb is not installed"),
        ("mysql+nosuchdriver", "write mysql+pymysql://"),
        ("snowflake", "SQLAlchemy has no driver snowflake; pip install its dialect"),
    ],
)
def test_a_database_without_a_driver_is_told(
    begins: str, words: str, duckdb_shop: Retailer
) -> None:
    results = duckdb_shop.run(
        CUSTOMERS__PATH=f"{begins}://etl:s3cret@127.0.0.1/sales", CUSTOMERS__QUERY="people"
    )
    (error,) = results["errors"]
    assert words in error
    assert "s3cret" not in error


def test_mysql_without_a_driver_s_name_is_read_by_one_that_is_installed(
    duckdb_shop: Retailer,
) -> None:
    results = duckdb_shop.run(
        CUSTOMERS__PATH="mysql://etl:s3cret@127.0.0.1:1/sales", CUSTOMERS__QUERY="people"
    )
    (error,) = results["errors"]
    assert "Can't connect to" in error
    assert "s3cret" not in error


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("postgres://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("POSTGRESQL://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("Postgres+Psycopg2://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("pgsql://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("MySQL+PyMySQL://u@h/d", "mysql+pymysql://u@h/d"),
        ("SQLITE:////abs/Shop.db", "sqlite:////abs/Shop.db"),
        ("sqlite3:///Shop.db", "sqlite:///Shop.db"),
        ("DuckDB:///Shop.db", "duckdb:///Shop.db"),
    ],
)
def test_an_address_may_be_spelled_as_other_tools_do(given: str, meant: str) -> None:
    config = load_config(None, {"CUSTOMERS__PATH": given, "CUSTOMERS__QUERY": "people"})
    assert str(config.sources["customers"].path) == meant


@pytest.mark.parametrize("given", ["postgres://u:p@h/d", "POSTGRESQL://u:p@h/d", "DUCKDB:///x.db"])
def test_the_warehouse_s_address_may_be_as_well(given: str) -> None:
    url = load_config(None, {"WAREHOUSE_URL": given}).warehouse_url
    assert url.drivername in ("postgresql+psycopg2", "duckdb")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("sqlite://shop.db", "write sqlite:///shop.db with three slashes"),
        ("duckdb://data/shop.duckdb", "write duckdb:///data/shop.duckdb with three slashes"),
        ("jdbc:postgresql://h/d?user=u&password=s3cret", "write it as postgresql+psycopg2://user"),
        ("jdbc:oracle:thin:u/s3cret@h:1521/x", "write it as oracle+oracledb://"),
        ("JDBC:sqlserver://h;databaseName=d;password=s3cret", "write it as mssql+pymssql://"),
        ("jdbc:sqlite:shop.db", "write it as sqlite:///"),
        ("jdbc:h2:mem", "write it as engine+driver://"),
    ],
)
def test_an_address_of_another_kind_is_told_how_to_write(given: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(None, {"CUSTOMERS__PATH": given, "CUSTOMERS__QUERY": "people"})
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)


# --- what drivers say -----------------------------------------------------------------------------


class DriverError(Exception):
    """An error as drivers make them whose servers no test has."""

    __module__ = "pymssql.exceptions"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ((20009, b"DB-Lib error message 20009, severity 9:\nUnable to connect: the server is "
              b"unavailable or does not exist (127.0.0.1)\n"),),
            "DB-Lib error message 20009, severity 9: Unable to connect: the server is unavailable "
            "or does not exist (127.0.0.1)",
        ),
        (((18456, b"Login failed for user 'r'."),), "Login failed for user 'r'. (error 18456)"),
        ((208, b"Invalid object name 'sale'."), "Invalid object name 'sale'. (error 208)"),
        (
            (245, b"Conversion failed when converting the varchar value 'ann@x.org' to int."),
            "Conversion failed when converting the varchar value '...' to int. (error 245)",
        ),
        (
            ("42S22", "[42S22] [Microsoft][ODBC Driver 18]Invalid column name 'form'. (207)"),
            "[42S22] [Microsoft][ODBC Driver 18]Invalid column name 'form'. (207)",
        ),
        (
            ("22018", "[22018] Conversion failed when converting the value 'ann@x.org'. (245)"),
            "[22018] Conversion failed when converting the value '...'. (245)",
        ),
        (
            ('ORA-00904: "FORM": invalid identifier',),
            'ORA-00904: "FORM": invalid identifier',
        ),
        (
            ('ORA-01722: unable to convert string value containing "ann@x.org" to a number',),
            'ORA-01722: unable to convert string value containing "..." to a number',
        ),
        ((1062, "Duplicate entry 'ann@x.org' for key 'email'"),
         "Duplicate entry '...' for key '...' (error 1062)"),
        ((1146, b"Table 'shop.sale' doesn't exist"),
         "Table 'shop.sale' doesn't exist (error 1146)"),
    ],
)  # fmt: skip
def test_a_driver_s_own_words_are_told_without_the_values_of_rows(
    arguments: tuple[object, ...], told: str
) -> None:
    assert explain(sa.exc.DBAPIError("SELECT", {}, DriverError(*arguments))) == told


# --- a connection that is lost -------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [60, 0])
def test_a_lost_server_is_named_and_its_tables_are_read_again_together(
    seconds: int, duckdb_shop: Retailer, postgresql_star: Star, hushed: Hushed
) -> None:
    star, table = postgresql_star, f'"{postgresql_star.schema}".sales'
    star.execute(f'CREATE SCHEMA "{star.schema}"', SALES.replace("sales", table))
    name = f"etl_{uuid.uuid4().hex[:8]}"
    url = sa.make_url(via(star, hushed)).update_query_dict({"application_name": name})
    ended: list[object] = []

    def end() -> None:
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        ended.append(star.scalar(f"{sql} WHERE application_name = '{name}'"))

    hushed.when(30_000, end)
    people = "SELECT 'C' || n AS customer_id FROM generate_series(1, 5000) AS n"
    path = url.render_as_string(hide_password=False)
    results = duckdb_shop.run(
        TRANSACTIONS__PATH=path, TRANSACTIONS__QUERY=table, BATCH_ROWS=100, WORKERS=1,
        CUSTOMERS__PATH=path, CUSTOMERS__QUERY=people, RETRY_SECONDS=seconds,
    )  # fmt: skip
    assert ended == [1]
    told = "\n".join(results["warnings"] if seconds else results["errors"])
    assert "customers: " in told
    assert "the connection was lost (" in told
    assert "the warehouse" not in told
    assert results["status"] == ("published" if seconds else "failed")
    if seconds:
        assert results["extraction_results"]["customers"]["records"] == 5000
        assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 1


def test_a_connection_that_is_cut_while_it_is_made_is_made_again(
    duckdb_shop: Retailer, postgresql_star: Star, proxy: Proxy
) -> None:
    """As by a server that goes down just then."""
    star, table = postgresql_star, f'"{postgresql_star.schema}".sales'
    star.execute(f'CREATE SCHEMA "{star.schema}"', SALES.replace("sales", table))
    proxy.refuses = lambda number: number <= 1
    source = {"TRANSACTIONS__PATH": via(star, proxy), "TRANSACTIONS__QUERY": table}
    results = duckdb_shop.publish(**source)
    assert "the connection was lost (" in "".join(results["warnings"])
    assert proxy.connections > 1
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 1


def test_a_sale_in_postgresql_never_lacks_the_customer_that_came_with_it(
    duckdb_shop: Retailer, postgresql_star: Star, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the two are not read by one connection: whenever one is opened, the shop sells to
    somebody new.
    """
    star, schema = postgresql_star, postgresql_star.schema
    star.execute(
        f'CREATE SCHEMA "{schema}"',
        SALES.replace("sales", f'"{schema}".sales'),
        f"CREATE TABLE \"{schema}\".people AS SELECT 'C1' AS customer_id",
    )
    opened: list[str] = []
    usual = Databases.open

    def open_and_sell(databases: Databases, name: str, *others: Any) -> Any:
        result = usual(databases, name, *others)
        opened.append(name)
        star.execute(
            f"INSERT INTO \"{schema}\".people VALUES ('new {name}')",
            f"INSERT INTO \"{schema}\".sales VALUES ('new {name}', '2024-02-01', 'new {name}', "
            "'P1', 1, 1)",
        )
        return result

    monkeypatch.setattr(Databases, "open", open_and_sell)
    other = sa.make_url(star.url).update_query_dict({"application_name": "another"})
    duckdb_shop.publish(
        TRANSACTIONS__PATH=star.url, TRANSACTIONS__QUERY=f'"{schema}".sales',
        CUSTOMERS__PATH=other.render_as_string(hide_password=False),
        CUSTOMERS__QUERY=f'"{schema}".people',
    )  # fmt: skip
    assert opened == ["transactions", "customers"]
    assert duckdb_shop.star.scalar("SELECT count(*) FROM dim_customer WHERE is_inferred") == 0


# --- what databases hold --------------------------------------------------------------------------


def made(path: Path, *statements: str) -> str:
    """The address of a SQLite or DuckDB file that these statements made."""
    url = f"{path.suffix[1:]}:///{path}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()
    return url


SALES = """
    CREATE TABLE sales AS SELECT 'T1' AS transaction_id, '2024-02-01' AS transaction_date,
    'C1' AS customer_id, 'P1' AS product_id, 1 AS quantity, 9.99 AS unit_price
"""
KEPT = "SELECT transaction_id, full_date, unit_price FROM fact_sales JOIN dim_date USING (date_key)"


def test_types_that_python_has_no_like_of_are_read_from_duckdb(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    url = made(
        tmp_path / "shop.duckdb",
        "CREATE TABLE sales AS SELECT 170141183460469231731687303715884105727 AS transaction_id, "
        "TIMESTAMPTZ '2024-02-01 23:30:00-05' AS transaction_date, 'C1' AS customer_id, "
        "'P1' AS product_id, 1 AS quantity, 9.99::DECIMAL(38, 10) AS unit_price",
        "INSERT INTO sales SELECT 2, 'infinity', customer_id, product_id, 1, 1 FROM sales",
        "CREATE TABLE products AS SELECT 'P1' AS product_id, MAP {'watt': 9.50} AS specifications",
    )
    results = duckdb_shop.publish(
        TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY="sales",
        PRODUCTS__PATH=url, PRODUCTS__QUERY="products",
    )  # fmt: skip
    (kept,) = duckdb_shop.star.rows(KEPT)
    assert [str(value) for value in kept] == [
        "170141183460469231731687303715884105727", "2024-02-02", "9.9900",
    ]  # fmt: skip
    assert duckdb_shop.reasons(results) == ["invalid_date"]
    assert duckdb_shop.star.member("dim_product", "P1")["specifications"] == '{"watt":9.50}'


def test_a_duckdb_file_can_be_source_and_warehouse_at_once(duckdb_shop: Retailer) -> None:
    path = sa.make_url(duckdb_shop.star.url).database
    url = made(Path(str(path)), "CREATE SCHEMA raw", SALES.replace("sales", "raw.sales"))
    settings = {"TRANSACTIONS__PATH": url, "TRANSACTIONS__QUERY": "raw.sales"}
    assert main(["--env-file", duckdb_shop.env_file(**settings), "check"]) == 0
    duckdb_shop.publish(**settings)
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 1


@pytest.mark.parametrize(
    "kind_and_name",
    [
        ("sqlite", "order"),
        ("sqlite", '"Order ""Lines"""'),
        ("sqlite", 'main."select"'),
        ("duckdb", "order"),
        ("duckdb", '"Order ""Lines"""'),
        ("duckdb", 'main."select"'),
    ],
)
def test_a_table_may_have_any_name(
    kind_and_name: tuple[str, str], duckdb_shop: Retailer, tmp_path: Path
) -> None:
    kind, name = kind_and_name
    quoted = name if '"' in name else f'"{name}"'
    url = made(tmp_path / f"shop.{kind}", SALES.replace("sales", quoted, 1))
    duckdb_shop.publish(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY=name)
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 1


WRITING = (
    "DELETE FROM {sales} RETURNING *",
    "SELECT 1; DROP TABLE {sales}",
    "SELECT * FROM {sales}; COMMIT; DROP TABLE {sales}",
    "SELECT 1; COMMIT; BEGIN; SET TRANSACTION READ WRITE; DELETE FROM {sales}; COMMIT",
    "WITH gone AS (DELETE FROM {sales} RETURNING *) SELECT * FROM gone",
    "COPY (SELECT 1) TO '{file}'",
)
"""Queries that would change something, were they let to."""


def written_by(query: str, shop: Retailer, url: str, sales: str) -> None:
    """Run with a query that is to be refused, and see that its table is as it was."""
    file = shop.folder / "written.csv"
    results = shop.run(
        TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY=query.format(sales=sales, file=file)
    )
    (error,) = results["errors"]
    assert "TRANSACTIONS__QUERY" in error
    assert not file.exists()
    shop.publish(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY=sales)
    assert len(shop.star.rows(KEPT)) == 1


@pytest.mark.parametrize("query", WRITING)
@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_query_changes_nothing_in_its_file(
    kind: str, query: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    url = made(tmp_path / f"shop.{kind}", SALES)
    before = (tmp_path / f"shop.{kind}").read_bytes()
    written_by(query, duckdb_shop, url, "sales")
    assert (tmp_path / f"shop.{kind}").read_bytes() == before


@pytest.mark.parametrize("query", WRITING)
def test_a_query_changes_nothing_in_its_server(
    query: str, duckdb_shop: Retailer, postgresql_star: Star
) -> None:
    star = postgresql_star
    table = f'"{star.schema}".sales'
    star.execute(f'CREATE SCHEMA "{star.schema}"', SALES.replace("sales", table))
    written_by(query, duckdb_shop, star.url, table)


@pytest.mark.parametrize("query", WRITING)
def test_a_query_changes_nothing_in_a_file_that_is_the_warehouse_as_well(
    query: str, duckdb_shop: Retailer
) -> None:
    """There the file is open for writing, and only the transaction is not."""
    path = Path(str(sa.make_url(duckdb_shop.star.url).database))
    url = made(path, "CREATE SCHEMA raw", SALES.replace("sales", "raw.sales"))
    written_by(query, duckdb_shop, url, "raw.sales")


def crashed(folder: Path, mode: str, statement: str) -> list[Path]:
    """A file of SQLite, and what lies beside it, as a crash within or after `statement` leaves
    them.
    """
    live, beside = folder / "live.sqlite", {"WAL": "-wal", "DELETE": "-journal"}[mode]
    made(live, SALES, f"PRAGMA journal_mode = {mode}")
    writer = sqlite3.connect(live)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    writer.execute(statement)
    if mode == "WAL":
        writer.commit()
    copies = [folder / f"as it was? #1.sqlite{end}" for end in ("", beside)]
    for end, copy in zip(("", beside), copies, strict=True):
        shutil.copy(f"{live}{end}", copy)
    writer.close()
    return copies


def test_what_a_crash_left_beside_a_file_of_sqlite_is_read_and_left_alone(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """A reader who may write would move the log into the file when it leaves."""
    files = crashed(tmp_path, "WAL", "UPDATE sales SET quantity = 2")
    before = [file.read_bytes() for file in files]
    url = sa.URL.create("sqlite", database=str(files[0])).render_as_string()
    duckdb_shop.publish(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY="sales")
    assert duckdb_shop.star.column("SELECT quantity FROM fact_sales") == [2]
    assert [file.read_bytes() for file in files] == before


def test_half_of_a_transaction_in_a_file_of_sqlite_is_neither_read_nor_undone(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    files = crashed(
        tmp_path, "DELETE", "CREATE TABLE x AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n WHERE i < 5000) SELECT i, hex(randomblob(200)) FROM n",
    )  # fmt: skip
    before = [file.read_bytes() for file in files]
    url = sa.URL.create("sqlite", database=str(files[0])).render_as_string()
    results = duckdb_shop.run(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY="sales")
    (error,) = results["errors"]
    assert "let the application that broke off while it wrote open the file once" in error
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("query", ["SELECT * FROM sales;", "/* ; */ SELECT *, ';' AS x FROM sales"])
def test_a_semicolon_alone_is_no_second_statement(
    query: str, duckdb_shop: Retailer, postgresql_star: Star, tmp_path: Path
) -> None:
    star = postgresql_star
    table = f'"{star.schema}".sales'
    star.execute(f'CREATE SCHEMA "{star.schema}"', SALES.replace("sales", table))
    files = [made(tmp_path / f"shop.{kind}", SALES) for kind in ("sqlite", "duckdb")]
    for url, name in ((star.url, table), *((file, "sales") for file in files)):
        shop = duckdb_shop
        asked = query.replace("sales", name)
        shop.publish_in_full(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY=asked)
        assert len(shop.star.rows(KEPT)) == 1


def test_text_that_is_no_utf8_is_the_fault_of_its_row(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    url = made(
        tmp_path / "shop.sqlite",
        "CREATE TABLE people (customer_id, city)",
        "INSERT INTO people VALUES ('C1', 'Köln'), ('C2', CAST(x'4bf66c6e' AS TEXT)), (7, NULL)",
    )
    results = duckdb_shop.publish(CUSTOMERS__PATH=url, CUSTOMERS__QUERY="people")
    (reject,) = duckdb_shop.rejects(results, "customers")
    assert (reject["_line"], reject["_reason"]) == ("2", "invalid_text")
    assert duckdb_shop.star.member("dim_customer", "C1")["city"] == "Köln"
    assert duckdb_shop.star.member("dim_customer", "7")["city"] is None


def test_wrong_queries_of_one_database_are_each_told_and_the_right_one_is_not(
    database: Database, duckdb_shop: Retailer
) -> None:
    people = f"{database.star.schema}.people"
    results = duckdb_shop.run(
        CUSTOMERS__PATH=database.url(), CUSTOMERS__QUERY=people,
        PRODUCTS__PATH=database.url(), PRODUCTS__QUERY="SELECT nonsense",
        TRANSACTIONS__PATH=database.url(), TRANSACTIONS__QUERY=f"{people[:-1]}",
    )  # fmt: skip
    (error,) = results["errors"]
    assert 'column "nonsense" does not exist' in error
    assert "correct PRODUCTS__QUERY" in error
    assert f"(nearest table: {people})" in error
    assert "(customers)" not in error


def test_rows_of_a_database_are_fetched_as_they_are_needed(
    postgresql_shop: Retailer, tmp_path: Path
) -> None:
    """The result alone is larger than the memory that the run may have."""
    wide = (
        "SELECT 'C' || n AS customer_id, repeat(md5(n::text), 400) AS unused "
        "FROM generate_series(1, 50000) AS n"
    )
    settings = postgresql_shop.settings(
        CUSTOMERS__PATH=postgresql_shop.star.url, CUSTOMERS__QUERY=wide, BATCH_ROWS=2000
    )
    ended = in_a_child("--json", environment=settings)
    assert ended.code == 0
    assert ended.results["extraction_results"]["customers"]["records"] == 50_000
    assert ended.peak_mib < 500

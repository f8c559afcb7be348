"""What is asked of engines whose servers no test can have: a stub driver keeps a list of it, and
answers from SQLite.
"""

from __future__ import annotations

import sqlite3
import sys
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry

from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row

SALES = (
    "CREATE TABLE sales AS SELECT 'T1' AS transaction_id, '2024-02-01' AS transaction_date, "
    "'C1' AS customer_id, 'P1' AS product_id, 1 AS quantity, 9.99 AS unit_price"
)


class Cursor:
    """A cursor of SQLite that knows a few words of other engines."""

    def __init__(self, driver: StubDriver, connection: sqlite3.Connection) -> None:
        self.driver, self.cursor = driver, connection.cursor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)

    @property
    def description(self) -> Any:
        told = self.cursor.description
        return told and [(name, self.driver.types.get(name), *more) for name, _, *more in told]

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.cursor.close()

    def execute(self, statement: str, *_: Any) -> Any:
        self.driver.asked.append(statement)
        known = {words: row for words, row in self.driver.answers.items() if words in statement}
        if known:
            return self.cursor.execute("SELECT ?", [next(iter(known.values()))])
        if statement.startswith(("SET ", "ALTER SESSION")):
            return self.cursor.execute("SELECT 1")
        return self.cursor.execute(statement)


class Connection:
    """A connection of the stub driver."""

    version = "19.0.0"
    max_identifier_length = 128

    def __init__(self, driver: StubDriver) -> None:
        self.driver = driver
        self.sqlite = sqlite3.connect(":memory:", check_same_thread=False)
        self.sqlite.execute(SALES)

    def cursor(self, *_: object, **__: object) -> Cursor:
        return Cursor(self.driver, self.sqlite)

    def autocommit(self, _: bool) -> None:
        """Nothing to do: as of `pymssql`, whose method it is."""

    def rollback(self) -> None:
        self.sqlite.rollback()

    commit = rollback

    def close(self) -> None:
        self.sqlite.close()


class StubDriver(ModuleType):
    """A module that passes for a driver."""

    paramstyle = "qmark"
    __version__ = version = "9.9.9"
    threadsafety = 1
    Error = sqlite3.Error
    DatabaseError = OperationalError = InterfaceError = ProgrammingError = sqlite3.DatabaseError

    def __init__(self, name: str, answers: dict[str, Any]) -> None:
        super().__init__(name)
        self.asked: list[str] = []
        self.answers = answers
        self.types: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

    def makedsn(self, *_: object, **__: object) -> str:
        return "a data source"

    def connect(self, *_: object, **__: object) -> Connection:
        return Connection(self)

    def settings(self) -> list[str]:
        """The statements that ask for a way to see, or for no more than reading."""
        return [asked for asked in self.asked if asked.startswith(("SET ", "ALTER "))]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a stub driver under a name."""

    def made(name: str, **answers: Any) -> StubDriver:
        driver = StubDriver(name, answers)
        monkeypatch.setitem(sys.modules, name, driver)
        return driver

    return made


def read(shop: Retailer, url: str) -> Row:
    """Publish a sale out of a database at this address."""
    results = shop.publish(TRANSACTIONS__PATH=url, TRANSACTIONS__QUERY="SELECT * FROM sales")
    assert shop.star.column("SELECT transaction_id FROM fact_sales") == ["T1"]
    return results


def test_oracle_is_asked_for_a_transaction_that_reads_only(
    stub: Any, duckdb_shop: Retailer
) -> None:
    driver: StubDriver = stub("oracledb", **{"from dual": "SHOP", "FROM DUAL": "1.1"})
    driver.types["transaction_date"] = "<DbType DB_TYPE_TIMESTAMP_TZ>"
    results = read(duckdb_shop, "oracle+oracledb://u:p@127.0.0.1:1521/?service_name=x")
    assert driver.settings() == ["SET TRANSACTION READ ONLY"]
    (warning,) = surprises(results)
    assert warning.startswith("transactions: transaction_date: the driver drops the offset")


@pytest.mark.parametrize(("is_allowed", "level"), [(1, "SNAPSHOT"), (0, None)])
def test_sql_server_is_asked_for_a_snapshot_where_it_allows_one(
    is_allowed: int, level: str | None, stub: Any, duckdb_shop: Retailer
) -> None:
    """Never for REPEATABLE READ, which keeps locks on all that was read."""
    answers = {
        "snapshot_isolation_state": is_allowed,
        "@@version": "Microsoft SQL Server 2022 - 16.0.1000.6",
        "schema_name()": "dbo",
        "dm_exec_sessions": "READ COMMITTED",
    }
    driver = stub("pymssql", **answers)
    read(duckdb_shop, "mssql+pymssql://u:p@127.0.0.1/shop")
    assert driver.settings() == ([f"SET TRANSACTION ISOLATION LEVEL {level}"] if level else [])


class OtherDialect(sa.engine.default.DefaultDialect):
    """A dialect of nobody's, which has no levels."""

    name, driver = "otherdb", "otherdriver"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return sys.modules["otherdriver"]

    def get_isolation_level_values(self, dbapi_conn: object) -> Any:
        raise NotImplementedError


def test_an_unknown_engine_is_asked_for_nothing(stub: Any, duckdb_shop: Retailer) -> None:
    registry.register("otherdb", __name__, "OtherDialect")
    driver = stub("otherdriver")
    read(duckdb_shop, "otherdb://u:p@127.0.0.1/shop")
    assert driver.settings() == []

"""SQLite and DuckDB as sources.

A database file may come from somebody else, so its views and triggers are not trusted: reading it
must not read, write or load anything else on this machine.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from common.duck import without_progress_bar

MEMORY = ":memory:"
_ALONE = {
    "python_enable_replacements": False,  # a name in a query must not find a Python variable
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_ALLOWED = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
)
_PRAGMAS = ("database_list", "table_info", "table_xinfo", "table_list")
"""PRAGMAs that only list tables and columns."""


def connect_sqlite(url: sa.URL) -> tuple[sa.Engine, sa.Connection]:
    """Open a SQLite file read-only, as of one moment.

    Text comes as `bytearray`, so that invalid UTF-8 in a row makes that row a reject instead of
    failing the read. Raises `ArgumentError` where there is no such file.
    """
    engine = _engine(_read_only(url))
    connection = engine.connect()
    driver: Any = connection.connection.driver_connection
    driver.text_factory = bytearray  # of text alone: a BLOB is bytes
    connection.exec_driver_sql("PRAGMA query_only = ON")
    connection.exec_driver_sql("PRAGMA trusted_schema = OFF")
    connection.exec_driver_sql("BEGIN")
    driver.set_authorizer(_may_only_read)
    return engine, connection


def _may_only_read(action: int, argument: str | None, *_: str | None) -> int:
    """SQLite's authorizer: it is called for each action of a statement before that is prepared."""
    is_allowed = action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and argument in _PRAGMAS)
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def _read_only(url: sa.URL) -> sa.URL:
    """The URL with `mode=ro`: SQLite then does not even roll back another program's transaction."""
    path = Path(url.database or "")
    if not path.is_file():
        raise sa.exc.ArgumentError("there is no such file")
    if url.get_dialect().driver != "pysqlite":
        return url
    return url.set(database=path.resolve().as_uri()).update_query_dict(
        {"mode": "ro", "uri": "true"}
    )


def connect_duckdb(url: sa.URL) -> tuple[sa.Engine, sa.Connection]:
    """Open a DuckDB file, which can reach no other file; or DuckDB as a tool (`is_tool`), which
    reads the files that its query names. Raises `ArgumentError` where there is no such file.
    """
    if is_tool(url):
        folder = Path(tempfile.gettempdir()) / f"star-etl-duckdb-{os.getpid()}"
        return _connected(_engine(url, config={**_ALONE, "temp_directory": str(folder)}))
    if not Path(url.database or "").is_file():
        raise sa.exc.ArgumentError("there is no such file")
    config = {**_ALONE, "enable_external_access": False}
    try:
        return _connected(_engine(url, read_only=True, config=config))
    except sa.exc.DBAPIError as error:
        if "different configuration" not in str(error.orig):
            raise
    engine = _engine(url)
    return engine, _beside_the_warehouse(engine)


def _connected(engine: sa.Engine) -> tuple[sa.Engine, sa.Connection]:
    connection = engine.connect()
    without_progress_bar(connection.connection.driver_connection)
    return engine, connection


def is_tool(url: sa.URL) -> bool:
    """Whether `url` is DuckDB without a file: its query is the user's own, and may name files."""
    return url.get_backend_name() == "duckdb" and url.database in (None, "", MEMORY)


def _beside_the_warehouse(engine: sa.Engine) -> sa.Connection:
    """A read-only transaction in a DuckDB file that this process has open as its warehouse.

    The settings apply to all connections to the file: the warehouse, too, reads no other files from
    now on, which it does not need.
    """
    connection = engine.connect()
    driver: Any = without_progress_bar(connection.connection.driver_connection)
    driver.execute("SET enable_external_access = false")
    driver.execute("SET python_enable_replacements = false")
    driver.execute("BEGIN TRANSACTION READ ONLY")
    return connection


def _engine(url: sa.URL, **options: Any) -> sa.Engine:
    return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)

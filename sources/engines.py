"""Connections to source databases: read-only, and as of one moment, as far as the engine can.

No lock is taken that would keep the shop from writing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from psycopg2 import extensions
from sqlalchemy.pool import NullPool

from common import libpq, watchdog
from sources import file_databases, mysql

SHARED = ("postgresql", "sqlite")
"""Engines on which one connection, and so one snapshot, streams several results at a time."""
_MYSQL_DRIVERS = {"mysqldb": "MySQLdb", "pymysql": "pymysql", "mysqlconnector": "mysql"}
"""The drivers for a URL without one, and their modules; the first that is installed is used."""
_BETTER = {
    "postgresql": "postgresql+psycopg2://",
    "mysql": "mysql+pymysql://, after pip install PyMySQL",
    "mariadb": "mysql+pymysql://, after pip install PyMySQL",
    "oracle": "oracle+oracledb://, after pip install oracledb",
    "mssql": "mssql+pymssql://, after pip install pymssql",
}
"""What to write in a URL whose driver is not installed."""
_DIAL_SECONDS = 60  # for a server that accepts the connection and then sends nothing
_CANCEL_SECONDS = 2
FAILURES = (
    sa.exc.SQLAlchemyError,
    duckdb.Error,
    pa.ArrowException,
    OSError,
    EOFError,
    ValueError,  # a value that Python cannot hold
)
"""The errors that drivers raise: SQLAlchemy's, which wrap the driver's own, DuckDB's while it makes
Arrow batches, and Python's inside of a driver.
"""


@dataclass
class Connected:
    """A source database that is open."""

    engine: sa.Engine
    connection: sa.Connection
    is_snapshot: bool = True
    """Whether everything is read as of the moment of the connection."""
    watchdog: watchdog.Watchdog | None = None
    """Ends the driver's wait for a silent server, where the driver has no time limit of its own."""
    driver: Any = field(init=False)
    """The driver's own connection; SQLAlchemy drops its reference when it is lost."""

    def __post_init__(self) -> None:
        self.driver = self.connection.connection.driver_connection

    @property
    def driver_error(self) -> type[Exception]:
        """The class of the driver's errors, for those that SQLAlchemy does not wrap."""
        driver: Any = self.engine.dialect.loaded_dbapi
        error: type[Exception] = driver.Error
        return error

    def close(self) -> None:
        """Discard the connection. For an orderly end some drivers would first read the rest of the
        result, and others raise an error.
        """
        if self.driver_waits():
            self.cut()  # or it would be waited for, however long it takes
        if self.watchdog is not None:
            self.watchdog.close()
        mysql.abandon(self.driver)
        with suppress(*FAILURES, self.driver_error):
            self.connection.invalidate()
            self.connection.close()
        self.engine.dispose()

    def driver_waits(self) -> bool:
        """Whether psycopg2 waits for its server, in whatever thread."""
        if self.watchdog is None:
            return False
        waits: bool = self.driver.get_transaction_status() == extensions.TRANSACTION_STATUS_ACTIVE
        return waits

    def cut(self) -> None:
        """End what psycopg2 waits for, in whatever thread: it fails, within seconds. The server is
        asked to end its statement, which it might otherwise work on for hours.
        """
        if self.watchdog is not None:
            with suppress(TimeoutError, self.driver_error):
                watchdog.in_a_thread(self.driver.cancel, lambda _: None, _CANCEL_SECONDS)
            self.watchdog.cut()

    def is_cut(self, error: Exception) -> bool:
        """Whether `error` was raised because the connection is lost."""
        if self.connection.invalidated or getattr(error, "connection_invalidated", False):
            return True
        if mysql.is_timeout(error):
            return True
        dialect: Any = self.engine.dialect
        return isinstance(error, self.driver_error) and dialect.is_disconnect(error, None, None)


def connect(url: sa.URL) -> Connected:
    """Connect, and begin a read-only transaction.

    Raises ImportError when the driver is not installed, and one of `FAILURES` when the database
    cannot be reached.
    """
    url = _with_driver(url)
    return _KINDS.get(url.get_backend_name(), _other)(url)


def export(connected: Connected) -> str:
    """The name by which other connections to a PostgreSQL can see what this one sees, as long as it
    is open. Raises one of `FAILURES`.
    """
    sql = "SELECT pg_catalog.pg_export_snapshot()"
    name: str = connected.connection.exec_driver_sql(sql).scalar_one()
    return name


def join(url: sa.URL, snapshot: str) -> Connected:
    """Connect to a PostgreSQL once more, and see what the connection sees that has exported
    `snapshot`. Raises one of `FAILURES`.
    """
    return _postgresql(_with_driver(url), snapshot)


def without_driver(url: sa.URL, error: ImportError | sa.exc.NoSuchModuleError) -> str:
    """What to do when the driver in `url` is not installed, or does not exist."""
    better = _BETTER.get(url.get_backend_name())
    other = f", or write {better}" if better else ""
    if isinstance(error, ImportError):
        return f"the driver {error.name} is not installed; pip install it{other}"
    return f"SQLAlchemy has no driver {url.drivername}; pip install its dialect{other}"


def _with_driver(url: sa.URL) -> sa.URL:
    """`url`, with an installed driver if it is of MySQL and names none."""
    if url.drivername not in mysql.BACKENDS:
        return url
    for driver, module in _MYSQL_DRIVERS.items():
        if importlib.util.find_spec(module) is not None:
            return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _postgresql(url: sa.URL, snapshot: str | None = None) -> Connected:
    options: dict[str, Any] = {}
    if url.get_dialect().driver in libpq.DRIVERS:
        options = libpq.connection_options(url)
    engine = _engine(
        url,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
        connect_args=options,
    )
    connection = _dial(engine)
    if engine.driver != "psycopg2":
        return Connected(engine, connection)
    if snapshot is not None:
        _see(connection, snapshot)
    _keep_text(connection)
    driver = connection.connection.driver_connection
    pid = connection.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar_one()
    return Connected(
        engine, connection, watchdog=watchdog.Watchdog(driver, pid, engine.raw_connection)
    )


def _see(connection: sa.Connection, snapshot: str) -> None:
    """Begin the connection's transaction at a snapshot, and have each scan of a table begin at its
    first row, whatever other connections are at: so the same rows come in the same order.
    """
    try:
        connection.exec_driver_sql("SET TRANSACTION SNAPSHOT %s", (snapshot,))
        connection.exec_driver_sql("SET LOCAL synchronize_seqscans = off")
    except BaseException:
        connection.close()
        raise


def _dial(engine: sa.Engine) -> sa.Connection:
    """Connect within `_DIAL_SECONDS`; libpq's own limit does not cover all of it."""
    try:
        return watchdog.in_a_thread(engine.connect, sa.Connection.close, _DIAL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"no answer within {_DIAL_SECONDS} s") from None


def _keep_text(connection: sa.Connection) -> None:
    """Have psycopg2 return dates and JSON as the text that PostgreSQL sends.

    Python has no dates BC and no infinite ones, and would read numbers in JSON as floats.
    """
    json, jsonb, date, timestamp, timestamptz = 114, 3802, 1082, 1114, 1184
    oids = (json, jsonb, date, timestamp, timestamptz)
    text = extensions.new_type(oids, "TEXT", lambda value, cursor: value)
    extensions.register_type(text, connection.connection.driver_connection)


def _mysql(url: sa.URL) -> Connected:
    options = mysql.connect_options(url)
    engine = _engine(url, isolation_level="REPEATABLE READ", connect_args=options)
    if engine.driver == "mysqlconnector":  # it supports them; SQLAlchemy's dialect says no
        engine.dialect.supports_server_side_cursors = True
    connection = engine.connect()
    mysql.prepare(connection)
    return Connected(engine, connection)


def _oracle(url: sa.URL) -> Connected:
    """Oracle has no REPEATABLE READ, but a READ ONLY transaction sees one moment."""
    engine = _engine(url)
    connection = engine.connect()
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    return Connected(engine, connection)


def _mssql(url: sa.URL) -> Connected:
    """SQL Server: SNAPSHOT isolation where the database allows it, otherwise its default level.

    REPEATABLE READ is no choice: its locks would keep the shop from changing what was read.
    """
    engine = _engine(url)
    connection = engine.connect()
    state = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
    is_snapshot = connection.exec_driver_sql(state).scalar() == 1
    connection.rollback()
    if is_snapshot:
        connection = connection.execution_options(isolation_level="SNAPSHOT")
    return Connected(engine, connection, is_snapshot)


def _other(url: sa.URL) -> Connected:
    """Any other engine, at its default isolation level."""
    engine = _engine(url)
    return Connected(engine, engine.connect(), is_snapshot=False)


_KINDS: dict[str, Callable[[sa.URL], Connected]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "oracle": _oracle,
    "mssql": _mssql,
    "sqlite": lambda url: Connected(*file_databases.connect_sqlite(url)),
    "duckdb": lambda url: Connected(*file_databases.connect_duckdb(url)),
}


def _engine(url: sa.URL, **options: Any) -> sa.Engine:
    return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, **options)

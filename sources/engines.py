"""How a source database is connected to: to read only, and as of one moment, by what its engine
offers. Nothing is asked for that would keep the shop from writing.
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
"""Engines on which one connection, so one snapshot, can stream several results at once."""
_MYSQL_DRIVERS = {"mysqldb": "MySQLdb", "pymysql": "pymysql", "mysqlconnector": "mysql"}
"""Drivers for a URL that names none, and the module of each; the first installed is taken."""
_BETTER = {
    "postgresql": "postgresql+psycopg2://",
    "mysql": "mysql+pymysql://, after pip install PyMySQL",
    "mariadb": "mysql+pymysql://, after pip install PyMySQL",
    "oracle": "oracle+oracledb://, after pip install oracledb",
    "mssql": "mssql+pymssql://, after pip install pymssql",
}
"""What to write in a URL whose driver is not there."""
_DIAL_SECONDS = 60  # for a server that lets us in and then says nothing
FAILURES = (
    sa.exc.SQLAlchemyError,
    duckdb.Error,
    pa.ArrowException,
    OSError,
    EOFError,
    ValueError,  # a value that Python cannot hold
)
"""What drivers raise: SQLAlchemy's errors around their own, DuckDB's on the way to Arrow, and what
is raised inside a driver.
"""


@dataclass
class Connected:
    """A source database that is open."""

    engine: sa.Engine
    connection: sa.Connection
    is_snapshot: bool = True
    """Whether all that is read is as of the moment at which it was connected to."""
    watchdog: watchdog.Watchdog | None = None
    """Ends the driver's wait for a silent server, where the driver has no time limit of its own."""
    driver: Any = field(init=False)
    """The driver's own connection, which SQLAlchemy forgets when it is lost."""

    def __post_init__(self) -> None:
        self.driver = self.connection.connection.driver_connection

    @property
    def driver_error(self) -> type[Exception]:
        """What the driver raises, where SQLAlchemy does not make an error of its own of it."""
        driver: Any = self.engine.dialect.loaded_dbapi
        error: type[Exception] = driver.Error
        return error

    def close(self) -> None:
        """Throw the connection away. To end it in good order, some drivers would first read to its
        end a result that nobody wants, and others refuse.
        """
        if self.watchdog is not None:
            self.watchdog.close()
        mysql.abandon(self.driver)
        with suppress(*FAILURES, self.driver_error):
            self.connection.invalidate()
            self.connection.close()
        self.engine.dispose()

    def is_cut(self, error: Exception) -> bool:
        """Whether the connection is gone, for which `error` was raised."""
        if self.connection.invalidated or getattr(error, "connection_invalidated", False):
            return True
        if mysql.is_timeout(error):
            return True
        dialect: Any = self.engine.dialect
        return isinstance(error, self.driver_error) and dialect.is_disconnect(error, None, None)


def connect(url: sa.URL) -> Connected:
    """Connect, and begin a transaction that only reads.

    Raises ImportError when the driver is not installed, `SQLAlchemyError` when the database is
    not reached.
    """
    url = _with_driver(url)
    return _KINDS.get(url.get_backend_name(), _other)(url)


def without_driver(url: sa.URL, error: ImportError | sa.exc.NoSuchModuleError) -> str:
    """What to do when the driver that `url` asks for is not installed, or there is none."""
    better = _BETTER.get(url.get_backend_name())
    other = f", or write {better}" if better else ""
    if isinstance(error, ImportError):
        return f"the driver {error.name} is not installed; pip install it{other}"
    return f"SQLAlchemy has no driver {url.drivername}; pip install its dialect{other}"


def _with_driver(url: sa.URL) -> sa.URL:
    """A URL of MySQL that names no driver gets one that is installed."""
    if url.drivername not in mysql.BACKENDS:
        return url
    for driver, module in _MYSQL_DRIVERS.items():
        if importlib.util.find_spec(module) is not None:
            return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _postgresql(url: sa.URL) -> Connected:
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
    _keep_text(connection)
    driver = connection.connection.driver_connection
    pid = connection.exec_driver_sql("SELECT pg_catalog.pg_backend_pid()").scalar_one()
    return Connected(
        engine, connection, watchdog=watchdog.Watchdog(driver, pid, engine.raw_connection)
    )


def _dial(engine: sa.Engine) -> sa.Connection:
    """Connect, where libpq limits only the time of a part of that."""
    try:
        return watchdog.in_a_thread(engine.connect, sa.Connection.close, _DIAL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"no answer within {_DIAL_SECONDS} s") from None


def _keep_text(connection: sa.Connection) -> None:
    """Have dates and JSON as PostgreSQL writes them.

    Python knows no date before Christ and no infinity, and reads JSON numbers as floats.
    """
    json, jsonb, date, timestamp, timestamptz = 114, 3802, 1082, 1114, 1184
    oids = (json, jsonb, date, timestamp, timestamptz)
    text = extensions.new_type(oids, "TEXT", lambda value, cursor: value)
    extensions.register_type(text, connection.connection.driver_connection)


def _mysql(url: sa.URL) -> Connected:
    options = mysql.connect_options(url)
    engine = _engine(url, isolation_level="REPEATABLE READ", connect_args=options)
    if engine.driver == "mysqlconnector":  # it can, but SQLAlchemy does not ask it to
        engine.dialect.supports_server_side_cursors = True
    connection = engine.connect()
    mysql.prepare(connection)
    return Connected(engine, connection)


def _oracle(url: sa.URL) -> Connected:
    """It has no REPEATABLE READ; a transaction that only reads sees one moment at any level."""
    engine = _engine(url)
    connection = engine.connect()
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    return Connected(engine, connection)


def _mssql(url: sa.URL) -> Connected:
    """A snapshot where the database allows it. Otherwise each row as it is when it is read: what
    REPEATABLE READ has read, nobody could change until the end.
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
    """An engine of which nothing is known, at the level that its makers chose."""
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

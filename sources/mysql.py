"""MySQL and MariaDB as sources: the options of each driver, and what some of its values mean.

Dates are taken as the text that the server sends. The drivers would return None for 0000-00-00 and
2026-02-00, which are unreadable, not missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

BACKENDS = ("mysql", "mariadb")
SILENT_SECONDS = 900
"""A server that sends nothing for so long is given up. A query may work as long before its first
row comes; `?read_timeout=` in the URL allows it more.
"""
READ_ONLY_SNAPSHOT = (
    "SET time_zone = '+00:00'",  # a TIMESTAMP is a moment, and is sent in the session's zone
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
"""The statements that begin the one transaction of a connection."""
_TIMESTAMP, _DATE, _TIME, _DATETIME, _BIT = 7, 10, 11, 12, 16
_AS_WRITTEN = (_TIMESTAMP, _DATE, _TIME, _DATETIME)
"""Types, by their numbers in the protocol, whose values are kept as the server's text."""

Cells = Callable[[Sequence[Any]], Sequence[Any]]
"""Converts the values of a column before they become text."""


def connect_options(url: sa.URL) -> dict[str, Any]:
    """The driver's options: dates as text, one statement at a time, a time limit.

    What `url` itself sets wins. Raises ImportError when the driver is not installed, and
    `ArgumentError` for MariaDB's own driver, which loses rows.
    """
    driver = url.get_dialect().driver
    if driver == "mariadbconnector":
        raise sa.exc.ArgumentError(
            "MariaDB's own driver ends a result without a word when the connection is lost, and "
            "takes a date of zeros for none; write mysql+pymysql://, after pip install PyMySQL"
        )
    options = _OPTIONS[driver]() if driver in _OPTIONS else {}
    own = {name: value for name, value in options.items() if name not in url.query}
    if "read_timeout" in url.query:  # SQLAlchemy passes it to one of the drivers as text
        own["read_timeout"] = int(str(url.query["read_timeout"]))
    return own


def _pymysql() -> dict[str, Any]:
    from pymysql.converters import conversions  # noqa: PLC0415  # an optional driver

    kept = {kind: call for kind, call in conversions.items() if kind not in _AS_WRITTEN}
    return {"conv": kept, "charset": "utf8mb4", "read_timeout": SILENT_SECONDS}


def _mysqldb() -> dict[str, Any]:
    from MySQLdb.converters import conversions  # noqa: PLC0415  # an optional driver

    as_written = dict.fromkeys(_AS_WRITTEN, str)
    return {
        "conv": {**conversions, **as_written},
        "charset": "utf8mb4",
        "connect_timeout": 10,  # the default of the other drivers
        "read_timeout": SILENT_SECONDS,
        "multi_statements": False,
    }


def _mysqlconnector() -> dict[str, Any]:
    # An optional driver.
    from mysql.connector.constants import DEFAULT_CONFIGURATION, ClientFlag  # noqa: PLC0415
    from mysql.connector.conversion import MySQLConverter  # noqa: PLC0415

    kinds = (
        "date",
        "datetime",
        "timestamp",
        "time",
        "set",
    )  # a SET in the order of its declaration
    as_written = type(
        "AsWritten", (MySQLConverter,), {f"_{kind}_to_python": _decoded for kind in kinds}
    )
    return {
        "converter_class": as_written,
        "client_flags": [-ClientFlag.MULTI_STATEMENTS],
        **({"read_timeout": SILENT_SECONDS} if "read_timeout" in DEFAULT_CONFIGURATION else {}),
    }


def _decoded(_: object, value: bytes, __: object = None) -> str:
    return bytes(value).decode()


_OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "pymysql": _pymysql,
    "mysqldb": _mysqldb,
    "mysqlconnector": _mysqlconnector,
}


def prepare(connection: sa.Connection) -> None:
    """Begin the transaction in which everything is read: read-only, and as of this moment."""
    for statement in READ_ONLY_SNAPSHOT:
        connection.exec_driver_sql(statement)


def is_timeout(error: Exception) -> bool:
    """Whether the driver has closed the connection after `SILENT_SECONDS`.

    The other drivers raise what they raise for a lost connection; mysql-connector has a class of
    its own, with the number of another error of the server.
    """
    return type(getattr(error, "orig", error)).__name__ == "ReadTimeoutError"


def abandon(driver: Any) -> None:
    """Have PyMySQL drop the rest of a result. On closing, it would read all of it, or print an
    error where it cannot.
    """
    result = getattr(driver, "_result", None)
    if result is not None and hasattr(result, "unbuffered_active"):
        result.unbuffered_active = False


def cells(description: Sequence[Sequence[Any]]) -> dict[int, Cells]:
    """By position, how to convert the columns whose type in the cursor's description says more than
    the value: TIMESTAMP and BIT.
    """
    readers: dict[int, Cells] = {_TIMESTAMP: _moments, _BIT: _numbers}
    return {
        place: readers[column[1]]
        for place, column in enumerate(description)
        if column[1] in readers
    }


def _moments(values: Sequence[Any]) -> Sequence[Any]:
    """TIMESTAMPs with the offset of the session's zone, which is UTC: see `READ_ONLY_SNAPSHOT`."""
    return [
        value if value is None or str(value).startswith("0000") else f"{value}+00:00"
        for value in values
    ]


def _numbers(values: Sequence[Any]) -> Sequence[Any]:
    """BIT values, which drivers return as bytes, as integers."""
    return [int.from_bytes(v) if isinstance(v, bytes | bytearray) else v for v in values]

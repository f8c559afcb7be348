"""Databases as sources: one snapshot, streamed, and only read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

import libpq
from arrow_batches import gathered, parse_arrow
from blocks import Block, Opened, Piece, Reading, column_names, rows_as_table
from duck import without_progress_bar
from errors import SourceError, explain

_TABLE_NAME = re.compile(r"""(?:(\w+|"(?:[^"]|"")+")\.)?(\w+|"(?:[^"]|"")+")""")

_IS_QUERY = re.compile(r"[\s(]*(select|with)\b", re.IGNORECASE)
_MOST_ROWS = 50_000  # of a database in one piece: as Python's objects they are large
_BROKEN_OFF = "SQLITE_READONLY_ROLLBACK"  # what is in the file is half of a transaction
_ABORTED = "25P02"  # an earlier statement of the transaction has failed


_SEVERAL_CURSORS = ("postgresql", "sqlite")
"""Engines on which one connection, so one snapshot, can stream several results at once."""


class Databases:
    """Source databases of one extraction: for each URL one snapshot, where the engine can."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[sa.Engine, sa.Connection]] = {}

    @staticmethod
    def shown(name: str, url: sa.URL) -> str:
        """The database's name for messages and reject files."""
        return f"{url.render_as_string(hide_password=True)} ({name})"

    def open(self, name: str, url: sa.URL, query: str, reading: Reading) -> Opened:
        """A table or query, streamed through a server-side cursor. Raises `SourceError`."""
        shown, setting = self.shown(name, url), f"{name.upper()}__QUERY"
        try:
            connection = self._connect(url, name)
        except ImportError as error:
            raise SourceError(
                f"{shown}: the driver {error.name} is not installed; pip install it, or name "
                "another driver in the URL, such as mysql+pymysql://"
            ) from None
        except sa.exc.SQLAlchemyError as error:
            hint = libpq.hint(str(error)) or f"check {name.upper()}__PATH"
            raise SourceError(f"{shown}: cannot be opened ({explain(error)}); {hint}") from None
        stream = _arrow_rows if url.get_backend_name() == "duckdb" else _driver_rows
        try:
            columns, batches = stream(connection, query, reading)
        except _FAILURES as error:
            near = _table_like(connection, query)
            wanted = _remedy(query, setting, error)
            raise SourceError(
                f"{shown}: cannot be read ({explain(error)}); {wanted}"
                + (f" (nearest table: {near})" if near else "")
            ) from None
        names = column_names(shown, columns)

        def pieces() -> Iterator[Piece]:
            count = 0
            try:
                for batch in batches:
                    yield partial(_parse_database, batch, names, count + 1, reading)
                    count += len(batch)
            except (*_FAILURES, ValueError) as error:  # or a value that Python cannot hold
                if getattr(getattr(error, "orig", None), "pgcode", "") == _ABORTED:
                    raise SourceError(
                        f"{shown}: not read to its end, because another source in this database "
                        "was not; correct that one"
                    ) from None
                raise SourceError(
                    f"{shown}, after record {count}: the read failed ({explain(error)}); "
                    f"correct that record, or leave it out by {setting}"
                ) from None

        kind = url.get_backend_name()
        note = libpq.doubt(url, f"{name.upper()}__PATH") if kind == "postgresql" else ""
        return Opened(shown, f"database {kind}", names, pieces(), note=note)

    def close(self) -> None:
        """End the snapshots."""
        for engine, connection in self._open.values():
            connection.close()
            engine.dispose()
        self._open = {}

    def _connect(self, url: sa.URL, name: str) -> sa.Connection:
        """The connection for `url`; its transaction sees the database as of one moment."""
        backend = url.get_backend_name()
        key = url.render_as_string(hide_password=False), ""
        if backend not in _SEVERAL_CURSORS:
            key = key[0], name
        if key not in self._open:
            options: dict[str, Any] = {}
            if backend == "duckdb":
                options["connect_args"] = {"read_only": True}
            elif backend != "sqlite":
                options["isolation_level"] = "REPEATABLE READ"
            if backend == "postgresql":
                options["execution_options"] = {"postgresql_readonly": True}
                if url.get_dialect().driver in libpq.DRIVERS:
                    options["connect_args"] = libpq.connection_options(url)
            if backend == "sqlite":
                url = _read_only(url)
            engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True, **options)
            try:
                connection = engine.connect()
            except sa.exc.DBAPIError as error:
                if backend != "duckdb" or "different configuration" not in str(error.orig):
                    raise
                engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
                connection = _beside_the_warehouse(engine)
            if backend == "sqlite":
                _prepare_sqlite(connection)
            elif engine.driver == "psycopg2":
                _keep_text(connection)
            self._open[key] = engine, connection
        return self._open[key][1]


_FAILURES = (sa.exc.SQLAlchemyError, duckdb.Error, pa.ArrowException, OSError)
"""What drivers raise: SQLAlchemy's errors around their own, and DuckDB's on the way to Arrow."""


def _remedy(query: str, setting: str, error: Exception) -> str:
    """What is to be done when a database refuses a table or query."""
    if getattr(getattr(error, "orig", None), "sqlite_errorname", "") == _BROKEN_OFF:
        return "let the application that broke off while it wrote open the file once"
    if _IS_QUERY.match(query):
        return f"correct {setting}"
    return (
        f"{setting} must be a query, or the name of a table, with each part in "
        '"double quotes" where it is no plain word'
    )


def _driver_rows(
    connection: sa.Connection, query: str, reading: Reading
) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """The columns of a result, and its rows in batches, fetched as they are asked for."""
    options = {"stream_results": True, "max_row_buffer": min(reading.batch_rows, 10_000)}
    statement = _statement(query)
    # A statement that fails must not end the snapshot that other sources are read from.
    is_shared = connection.dialect.name == "postgresql"
    with connection.begin_nested() if is_shared else nullcontext():
        if is_shared and isinstance(statement, sa.TextClause):
            _refuse_several(connection, query)
        result = connection.execute(statement, execution_options=options)

    def batches() -> Iterator[Sequence[Any]]:
        with result:
            while rows := result.fetchmany(min(reading.batch_rows, _MOST_ROWS)):
                yield rows

    return list(result.keys()), batches()


def _refuse_several(connection: sa.Connection, query: str) -> None:
    """Have PostgreSQL itself say whether it is one query, which several statements are not.

    It would take them all at once, and a COMMIT among them would end the transaction that reads
    only.
    """
    connection.execute(
        sa.text("SELECT pg_catalog.set_config('star_etl.query', :query, true)"), {"query": query}
    )
    connection.exec_driver_sql(
        "DO $$ DECLARE one refcursor; BEGIN "
        "OPEN one FOR EXECUTE pg_catalog.current_setting('star_etl.query'); CLOSE one; END $$"
    )


def _arrow_rows(
    connection: sa.Connection, query: str, reading: Reading
) -> tuple[list[str], Iterator[pa.RecordBatch]]:
    """The same from DuckDB, whose values are exact in Arrow; some have no like in Python."""
    driver: Any = without_progress_bar(connection.connection.driver_connection)
    named = _statement(query)
    text = str(named.compile(connection)) if isinstance(named, sa.Select) else query
    if [found.type for found in driver.extract_statements(text)] != [duckdb.StatementType.SELECT]:
        raise sa.exc.ArgumentError("it is not one query that only reads")
    relation = driver.sql(text)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from gathered(relation.to_arrow_reader(min(reading.batch_rows, 8_192)), reading)

    return relation.columns, batches()


def _table_like(connection: sa.Connection, query: str) -> str | None:
    """The table or view with the name that is most like the one asked for."""
    if not _TABLE_NAME.fullmatch(query.strip()):
        return None
    wanted, schema = query.strip(), None
    try:
        inspector = sa.inspect(connection)
        schema = wanted.rpartition(".")[0].strip('"') or None
        if schema is not None and schema not in inspector.get_schema_names():
            schema = _most_like(schema, inspector.get_schema_names())
        tables = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    except (sa.exc.SQLAlchemyError, duckdb.Error, NotImplementedError):
        return None
    table = _most_like(wanted.rpartition(".")[2].strip('"'), tables)
    return f"{schema}.{table}" if schema and table else table


def _most_like(name: str, names: Iterable[str]) -> str | None:
    by_case = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), by_case, 1)
    return by_case[close[0]] if close else None


def _beside_the_warehouse(engine: sa.Engine) -> sa.Connection:
    """A reader in a DuckDB file that the run has open already, as its warehouse."""
    connection = engine.connect()
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN TRANSACTION READ ONLY")
    return connection


def _prepare_sqlite(connection: sa.Connection) -> None:
    """Read only, as of one moment, and text that is no UTF-8 is the row's fault alone."""
    driver: Any = connection.connection.driver_connection
    driver.text_factory = bytes
    connection.exec_driver_sql("PRAGMA query_only = ON")
    connection.exec_driver_sql("BEGIN")


def _keep_text(connection: sa.Connection) -> None:
    """Have dates and JSON as PostgreSQL writes them.

    Python knows no date before Christ and no infinity, and reads JSON numbers as floats.
    """
    from psycopg2 import extensions

    json, jsonb, date, timestamp, timestamptz = 114, 3802, 1082, 1114, 1184
    oids = (json, jsonb, date, timestamp, timestamptz)
    text = extensions.new_type(oids, "TEXT", lambda value, cursor: value)
    extensions.register_type(text, connection.connection.driver_connection)


def _read_only(url: sa.URL) -> sa.URL:
    """A SQLite file as one that is not even tidied up after others."""
    path = Path(url.database or "")
    if not path.is_file():
        raise sa.exc.ArgumentError("there is no such file")
    if url.get_dialect().driver != "pysqlite":
        return url
    return url.set(database=path.resolve().as_uri()).update_query_dict(
        {"mode": "ro", "uri": "true"}
    )


def _statement(query: str) -> sa.Select[Any] | sa.TextClause:
    """The setting as a statement: a name is a table, anything else is SQL."""
    name = _TABLE_NAME.fullmatch(query.strip())
    if name is None:
        return sa.text(query.replace(":", "\\:"))
    schema, table = (_unquoted(part) for part in name.groups())
    return sa.select(sa.literal_column("*")).select_from(sa.table(table or "", schema=schema))


def _unquoted(name: str | None) -> str | None:
    """A name as it is; in double quotes it may hold whatever it likes."""
    if name is None or not name.startswith('"'):
        return name
    return sa.quoted_name(name[1:-1].replace('""', '"'), quote=True)


def _parse_database(
    rows: Sequence[Sequence[Any]] | pa.RecordBatch, columns: list[str], first: int, reading: Reading
) -> Block:
    if isinstance(rows, pa.RecordBatch):
        return parse_arrow(rows, columns, first, reading)
    table = rows_as_table(rows, columns, reading.commas)
    for place, name in enumerate(columns):
        if name in reading.encoded:
            table = table.set_column(place, name, table[name].dictionary_encode())
    lines = np.arange(first, first + len(rows), dtype=np.int64)
    return Block(table, lines, records=len(rows))

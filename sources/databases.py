"""Databases as sources: tables and queries, streamed in a transaction that only reads.

All sources on one server are read as of the same moment, where the engine can do that.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from common import libpq
from common.driver_words import explain
from common.since import TABLE_NAME
from common.values import comma_text, key_text, text_array
from errors import SourceError, SourceLostError
from sources import mysql
from sources.arrow_batches import gathered, parse_arrow
from sources.batches import ReadOptions, TextBatch, column_names
from sources.engines import FAILURES, SHARED, Connected, connect, without_driver
from sources.file_databases import MEMORY
from sources.pieces import Findings, OpenSource, Piece
from sources.statements import duckdb_text, statement, without_since

_IS_QUERY = re.compile(r"[\s(]*(select|with|from)\b", re.IGNORECASE)
_MOST_ROWS = 50_000  # in one piece, since Python's objects are large
_BROKEN_OFF = "SQLITE_READONLY_ROLLBACK"  # the file contains half of a transaction
_ABORTED = "25P02"  # an earlier statement of the transaction has failed
_PASSING = ("40001", "40P01", "53300", "57P01", "57P03")
"""SQLSTATEs of conditions that pass: a standby's conflict, a server that is starting or full."""
_HINTS = {
    "42P11": "give one query that only reads",
    "53100": "the disk of the database server is full: make room there, trying again cannot help",
    "53200": "the database server has run out of memory",
    "57014": "the server's statement_timeout, or somebody, ended the statement: "
    "raise it for this role with ALTER ROLE ... SET statement_timeout",
}
"""What to do about an SQLSTATE."""
_PASSING_WORDS = (
    "starting up", "too many clients", "remaining connection slots", "Too many connections",
    "closed the connection unexpectedly", "Lost connection",
)  # fmt: skip
"""Their messages, and those of a connection that is cut while it is made: drivers give no SQLSTATE
then.
"""


class Databases:
    """The source databases of one extraction, each open once: one snapshot, where possible."""

    def __init__(self) -> None:
        self._open: dict[tuple[object, ...], Connected] = {}
        # SQLAlchemy logs to stderr when it cannot close a cursor; the run itself says why it failed
        self._hushed = logging.NullHandler()
        logging.getLogger("sqlalchemy").addHandler(self._hushed)

    @staticmethod
    def label(name: str, url: sa.URL) -> str:
        """The name of a table in messages and reject files, without the password."""
        text = url.render_as_string(hide_password=True).replace("%3Amemory%3A", MEMORY)
        return f"{text} ({name})"

    def open(self, name: str, url: sa.URL, query: str, options: ReadOptions) -> OpenSource:
        """Open a table or query, to be streamed through a server-side cursor.

        Raises `SourceError`; as `SourceLostError` where reading again can help.
        """
        source = _Source(self.label(name, url), url, query, f"{name.upper()}__QUERY", options)
        connected = self._connected(source, name)
        stream = _arrow_rows if url.get_backend_name() == "duckdb" else _driver_rows
        try:
            result = stream(connected.connection, query, options)
        except (*FAILURES, connected.driver_error) as error:
            raise source.unreadable(connected, error) from None
        columns = column_names(source.label, result.columns, options)
        kind = url.get_backend_name()
        doubt = libpq.doubt(url, f"{name.upper()}__PATH") if kind == "postgresql" else ""
        return OpenSource(
            source.label,
            f"database {kind}",
            columns,
            _pieces(source, connected, result, columns),
            note=doubt or result.note,
            opens_later=not connected.is_snapshot,
            close=lambda: None if kind in SHARED else self._drop(_key(url, name)),
        )

    def close(self) -> None:
        """Close all connections, and with them the snapshots."""
        for key in list(self._open):
            self._drop(key)
        logging.getLogger("sqlalchemy").removeHandler(self._hushed)

    def _connected(self, source: _Source, name: str) -> Connected:
        """The connection for a source, shared with others on the same server if the engine can."""
        key = _key(source.url, name)
        if key not in self._open:
            try:
                self._open[key] = connect(source.url)
            except (ImportError, sa.exc.NoSuchModuleError) as error:
                problem = without_driver(source.url, error)
                raise SourceError(
                    f"{source.label}: {problem}; check {name.upper()}__PATH"
                ) from None
            except FAILURES as error:
                hint = libpq.hint(str(error)) or f"check {name.upper()}__PATH"
                raise source.fault(None, error, "cannot be opened", hint) from None
        return self._open[key]

    def _drop(self, key: tuple[object, ...]) -> None:
        connected = self._open.pop(key, None)
        if connected is not None:
            connected.close()


def _key(url: sa.URL, name: str) -> tuple[object, ...]:
    """Equal for sources that share a connection: those of one database, however its URL is spelled,
    on an engine that streams several results at once.
    """
    backend = url.get_backend_name()
    port = url.port or (5432 if backend == "postgresql" else None)
    same = url.set(drivername=backend, host=url.host and url.host.lower(), port=port, query={})
    query = frozenset((option, str(value)) for option, value in url.query.items())
    return same, query, "" if backend in SHARED else name


@dataclass(frozen=True)
class _Source:
    """A table or query of a database, and the errors to raise for it. `setting` names its query."""

    label: str
    url: sa.URL
    query: str
    setting: str
    options: ReadOptions

    def fault(
        self, connected: Connected | None, error: Exception, what: str, remedy: str, at: str = ""
    ) -> SourceError:
        """The error to raise when a driver raised `error`. It never contains the password."""
        reason = explain(error, _HINTS)
        if self.url.password:
            reason = reason.replace(str(self.url.password), "***")
        if _is_lost(connected, error, reason):
            return SourceLostError(f"{self.label}{at}: the connection was lost ({reason})")
        return SourceError(f"{self.label}{at}: {what} ({reason}); {remedy}")

    def unreadable(self, connected: Connected, error: Exception) -> SourceError:
        """The error to raise when the database refuses the table or query."""
        fault = self.fault(connected, error, "cannot be read", self._remedy(error))
        near = None
        if not isinstance(fault, SourceLostError):
            near = _table_like(connected.connection, self.query)
        return type(fault)(f"{fault} (nearest table: {near})") if near else fault

    def broken_off(self, connected: Connected, error: Exception, count: int) -> SourceError:
        """The error to raise when the read fails after `count` records."""
        if getattr(getattr(error, "orig", None), "pgcode", "") == _ABORTED:
            return SourceError(
                f"{self.label}: not read to its end, because another source in this database "
                "was not; correct that one"
            )
        remedy = f"correct that record, or leave it out by {self.setting}"
        return self.fault(connected, error, "the read failed", remedy, f", after record {count}")

    def _remedy(self, error: Exception) -> str:
        """What to do when a database refuses a table or query, as the end of a message."""
        if getattr(getattr(error, "orig", None), "sqlite_errorname", "") == _BROKEN_OFF:
            return "let the application that broke off while it wrote open the file once"
        if _IS_QUERY.match(self.query):
            return f"correct {self.setting}"
        return (
            f"{self.setting} must be a query, or the name of a table, with each part in "
            '"double quotes" where it is no plain word'
        )


def _is_lost(connected: Connected | None, error: Exception, reason: str) -> bool:
    """Whether the connection was the cause of `error`, and not the query or the data."""
    state = getattr(getattr(error, "orig", None), "pgcode", None) or ""
    is_cut = connected is not None and connected.is_cut(error)
    return is_cut or state in _PASSING or any(words in reason for words in _PASSING_WORDS)


@dataclass
class _Result:
    """The columns of a query's result, and its rows in batches that are fetched on demand."""

    columns: list[str]
    batches: Iterator[Any]
    cells: dict[int, mysql.Cells] = field(default_factory=dict)
    """By a column's position, how its values are converted before they become text."""
    note: str = ""
    """A warning about what the driver loses; or ''."""


@dataclass(frozen=True)
class _Rows(Piece):
    """Rows that were fetched, to be made text; they are numbered from `first`."""

    rows: Sequence[Sequence[Any]] | pa.RecordBatch
    columns: list[str]
    first: int
    options: ReadOptions
    cells: dict[int, mysql.Cells]

    @property
    def is_portable(self) -> bool:
        return False

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        yield _parse(
            self.rows, self.columns, self.first, self.options, self.cells, found.binary_keys
        )


def _pieces(
    source: _Source, connected: Connected, result: _Result, columns: list[str]
) -> Iterator[Piece]:
    count = 0
    while True:
        try:
            batch = next(result.batches, None)
        except (*FAILURES, connected.driver_error) as error:
            raise source.broken_off(connected, error, count) from None
        if batch is None:
            return
        yield _Rows(batch, columns, count + 1, source.options, result.cells)
        count += len(batch)


def _driver_rows(connection: sa.Connection, query: str, options: ReadOptions) -> _Result:
    """Execute a table or query; its rows come as Python objects, as all drivers but DuckDB's do."""
    streaming = {"stream_results": True, "max_row_buffer": min(options.batch_rows, 10_000)}
    given = statement(query, options, connection.dialect.name)
    # A savepoint: if the statement fails, the snapshot that other sources are read from stays.
    is_shared = connection.dialect.name == "postgresql"
    with connection.begin_nested() if is_shared else nullcontext():
        if is_shared and isinstance(given, sa.TextClause):
            _refuse_several(connection, without_since(query, options.since))
        result = connection.execute(given, execution_options=streaming)

    cursor: Any = result.cursor
    is_mysql = connection.dialect.name in mysql.BACKENDS
    cells = mysql.cells(cursor.description) if is_mysql else {}

    def batches() -> Iterator[Sequence[Any]]:
        while rows := result.fetchmany(min(options.batch_rows, _MOST_ROWS)):
            yield rows

    note = _without_offset(cursor.description) if connection.dialect.name == "oracle" else ""
    return _Result(list(result.keys()), batches(), cells, note)


def _without_offset(description: Sequence[Sequence[Any]]) -> str:
    """A warning when there are columns whose offset Oracle's driver drops; or ''."""
    moments = [str(name) for name, kind, *_ in description if str(kind).endswith(("_TZ>", "_LTZ>"))]
    if not moments:
        return ""
    return (
        f"{', '.join(moments)}: the driver drops the offset of a TIMESTAMP WITH TIME ZONE; keep it "
        """by TO_CHAR(..., 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM') in the query"""
    )


def _refuse_several(connection: sa.Connection, query: str) -> None:
    """Raise an error where `query` is not a single query, by PostgreSQL's own parser.

    psycopg2 executes several statements at once, and a COMMIT among them would end the read-only
    transaction. OPEN ... FOR EXECUTE accepts exactly one query.
    """
    connection.execute(
        sa.text("SELECT pg_catalog.set_config('star_etl.query', :query, true)"), {"query": query}
    )
    connection.exec_driver_sql(
        "DO $$ DECLARE one refcursor; BEGIN "
        "OPEN one FOR EXECUTE pg_catalog.current_setting('star_etl.query'); CLOSE one; END $$"
    )


def _arrow_rows(connection: sa.Connection, query: str, options: ReadOptions) -> _Result:
    """Execute a table or query in DuckDB; its rows come as Arrow batches, which keep every value
    exactly. Some of DuckDB's values have no Python type.
    """
    driver: Any = connection.connection.driver_connection
    text = duckdb_text(query, options, connection.dialect)
    if [found.type for found in driver.extract_statements(text)] != [duckdb.StatementType.SELECT]:
        raise sa.exc.ArgumentError("it is not one query that only reads")
    since = None if options.since is None else {"since": options.since}
    relation = driver.sql(text, params=since)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from gathered(relation.to_arrow_reader(min(options.batch_rows, 8_192)), options)

    return _Result(relation.columns, batches())


def _table_like(connection: sa.Connection, query: str) -> str | None:
    """The existing table or view whose name is most like the table asked for; or None."""
    if not TABLE_NAME.fullmatch(query.strip()):
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


def _parse(
    rows: Sequence[Sequence[Any]] | pa.RecordBatch,
    columns: list[str],
    first: int,
    options: ReadOptions,
    cells: dict[int, mysql.Cells],
    binary: set[str],
) -> TextBatch:
    """A batch as text under the names `columns`; its rows are numbered from `first`.

    `cells` converts the values of some columns, by position. The names of key columns that hold
    bytes are added to `binary`.
    """
    if isinstance(rows, pa.RecordBatch):
        return parse_arrow(rows, columns, first, options, binary)
    texts = []
    for place, (name, values) in enumerate(zip(columns, zip(*rows, strict=True), strict=True)):
        read: Callable[[Sequence[Any]], Sequence[Any]] = cells.get(place, _as_they_are)
        text = _text(read(values), name, options, binary)
        texts.append(text.dictionary_encode() if name in options.encoded else text)
    lines = np.arange(first, first + len(rows), dtype=np.int64)
    return TextBatch(pa.table(texts, names=columns), lines, records=len(rows))


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _text(values: Sequence[Any], name: str, options: ReadOptions, binary: set[str]) -> pa.Array:
    """The values of a column as text; see `_parse` for `binary`."""
    if name.lower() in options.commas:
        return text_array(values, comma_text)
    kinds = set(map(type, values)) if name.lower() in options.keys else set()
    if not kinds <= {str, bytearray, type(None)}:
        if kinds & {bytes, memoryview}:
            binary.add(name)
        return pa.array([key_text(value) for value in values], pa.string())
    return text_array(values)

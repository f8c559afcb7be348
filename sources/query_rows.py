"""The rows of a query's result, as the drivers give them, to batches of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from common.since import TABLE_NAME
from common.values import comma_text, key_text, text_array
from sources import mysql
from sources.arrow_batches import gathered, parse_arrow
from sources.batches import ReadOptions, TextBatch
from sources.engines import FAILURES, Connected
from sources.pieces import Findings, Piece
from sources.queries import Query
from sources.statements import duckdb_text, statement, without_since

_MOST_ROWS = 50_000  # in one piece, since Python's objects are large


@dataclass
class Result:
    """The columns of a query's result, and its rows in batches that are fetched on demand."""

    columns: list[str]
    batches: Iterator[Any]
    cells: dict[int, mysql.Cells] = field(default_factory=dict)
    """By a column's position, how its values are converted before they become text."""
    note: str = ""
    """A warning about what the driver loses; or ''."""


@dataclass(frozen=True)
class Rows(Piece):
    """Rows that were fetched, to be made text; they are numbered from `first`."""

    rows: Sequence[Sequence[Any]] | pa.RecordBatch
    columns: list[str]
    first: int
    options: ReadOptions
    cells: dict[int, mysql.Cells]
    label: str = ""

    @property
    def is_portable(self) -> bool:
        return False

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        first, options, binary = self.first, self.options, found.binary_keys
        if isinstance(self.rows, pa.RecordBatch):
            yield parse_arrow(self.label, self.rows, self.columns, first, options, binary)
        else:
            yield parse(self.rows, self.columns, first, options, self.cells, binary)


def pieces(
    query: Query, connected: Connected, result: Result, columns: list[str]
) -> Iterator[Piece]:
    """The rows of a result, which one connection fetches. Raises `SourceError`."""
    count = 0
    while True:
        try:
            batch = next(result.batches, None)
        except (*FAILURES, connected.driver_error) as error:
            raise query.broken_off(connected, error, count) from None
        if batch is None:
            return
        yield Rows(batch, columns, count + 1, query.options, result.cells, query.label)
        count += len(batch)


def asked(connection: sa.Connection, query: Query) -> Result:
    """Ask for the rows of a table or query. Raises one of `FAILURES`."""
    if connection.dialect.name == "duckdb":
        return _arrow_rows(connection, query)
    given = statement(query.text, query.options, connection.dialect.name)
    if connection.dialect.name != "postgresql":
        return executed(connection, given, query.options)
    # A savepoint: if the statement fails, the snapshot that other sources are read from stays.
    with connection.begin_nested():
        refuse_several(connection, query)
        return executed(connection, given, query.options)


def executed(connection: sa.Connection, given: sa.Executable, options: ReadOptions) -> Result:
    """Execute a statement; its rows come as Python objects, as all drivers but DuckDB's do."""
    streaming = {"stream_results": True, "max_row_buffer": min(options.batch_rows, 10_000)}
    result = connection.execute(given, execution_options=streaming)
    cursor: Any = result.cursor
    is_mysql = connection.dialect.name in mysql.BACKENDS
    cells = mysql.cells(cursor.description) if is_mysql else {}

    def batches() -> Iterator[Sequence[Any]]:
        while rows := result.fetchmany(min(options.batch_rows, _MOST_ROWS)):
            yield rows

    note = _without_offset(cursor.description) if connection.dialect.name == "oracle" else ""
    return Result(list(result.keys()), batches(), cells, note)


def _without_offset(description: Sequence[Sequence[Any]]) -> str:
    """A warning when there are columns whose offset Oracle's driver drops; or ''."""
    moments = [str(name) for name, kind, *_ in description if str(kind).endswith(("_TZ>", "_LTZ>"))]
    if not moments:
        return ""
    return (
        f"{', '.join(moments)}: the driver drops the offset of a TIMESTAMP WITH TIME ZONE; keep it "
        """by TO_CHAR(..., 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM') in the query"""
    )


def refuse_several(connection: sa.Connection, query: Query) -> None:
    """Raise an error where the text is not a single query, by PostgreSQL's own parser.

    psycopg2 executes several statements at once, and a COMMIT among them would end the read-only
    transaction. OPEN ... FOR EXECUTE accepts exactly one query.
    """
    if TABLE_NAME.fullmatch(query.text.strip()):
        return
    connection.execute(
        sa.text("SELECT pg_catalog.set_config('star_etl.query', :query, true)"),
        {"query": without_since(query.text, query.options.since)},
    )
    connection.exec_driver_sql(
        "DO $$ DECLARE one refcursor; BEGIN "
        "OPEN one FOR EXECUTE pg_catalog.current_setting('star_etl.query'); CLOSE one; END $$"
    )


def _arrow_rows(connection: sa.Connection, query: Query) -> Result:
    """Execute a table or query in DuckDB; its rows come as Arrow batches, which keep every value
    exactly. Some of DuckDB's values have no Python type.
    """
    driver: Any = connection.connection.driver_connection
    options = query.options
    text = duckdb_text(query.text, options, connection.dialect)
    if [found.type for found in driver.extract_statements(text)] != [duckdb.StatementType.SELECT]:
        raise sa.exc.ArgumentError("it is not one query that only reads")
    since = None if options.since is None else {"since": options.since}
    relation = driver.sql(text, params=since)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from gathered(relation.to_arrow_reader(min(options.batch_rows, 8_192)), options)

    return Result(relation.columns, batches())


def parse(
    rows: Sequence[Sequence[Any]],
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
    """The values of a column as text; see `parse` for `binary`."""
    if name.lower() in options.commas:
        return text_array(values, comma_text)
    kinds = set(map(type, values)) if name.lower() in options.keys else set()
    if not kinds <= {str, bytearray, type(None)}:
        if kinds & {bytes, memoryview}:
            binary.add(name)
        return pa.array([key_text(value) for value in values], pa.string())
    return text_array(values)

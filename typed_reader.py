"""Parquet, Excel and databases: sources whose values already have types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from blocks import (
    MAX_PIECE_BYTES,
    SHOWN,
    Block,
    Opened,
    Piece,
    Reading,
    as_text,
    column_names,
)
from errors import SourceError, explain
from places import refuse_expansion

_TABLE_NAME = re.compile(r"\w+(\.\w+)?")


# --- Parquet -------------------------------------------------------------------------------


def open_parquet(shown: str, file: BinaryIO, reading: Reading) -> Opened:
    """A Parquet file, read in batches whatever the size of its row groups."""
    import pyarrow.parquet as pq  # brings pandas along, half a second that CSV does not need

    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{shown}: not a whole Parquet file ({_first_line(error)})") from error
    columns = column_names(shown, parquet.schema_arrow.names)

    def pieces() -> Iterator[Piece]:
        count = 0
        try:
            for batch in _gathered(parquet.iter_batches(min(reading.batch_rows, 8_192)), reading):
                yield partial(_parse_arrow, batch, columns, count + 1, reading.encoded)
                count += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{shown}, after record {count}: damaged ({_first_line(error)})"
            ) from error
        if count != parquet.metadata.num_rows:
            raise SourceError(
                f"{shown}: {count} records were read, the file says {parquet.metadata.num_rows}"
            )

    return Opened(shown, "parquet", columns, pieces())


def _gathered(few: Iterator[pa.RecordBatch], reading: Reading) -> Iterator[pa.RecordBatch]:
    """Few rows at a time made into batches, which are short where the rows are long.

    A file of kilobytes can hold gigabytes, and only decoding them tells.
    """
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in few:
        kept.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
        if rows >= reading.batch_rows or size >= MAX_PIECE_BYTES:
            yield from pa.Table.from_batches(kept).combine_chunks().to_batches()
            kept, rows, size = [], 0, 0
    if kept:
        yield from pa.Table.from_batches(kept).combine_chunks().to_batches()


def _parse_arrow(
    batch: pa.RecordBatch, columns: list[str], first: int, encoded: frozenset[str]
) -> Block:
    texts = []
    for name, column in zip(columns, batch.columns, strict=True):
        text = text_column(column)
        texts.append(text.dictionary_encode() if name in encoded else text)
    lines = np.arange(first, first + len(batch), dtype=np.int64)
    return Block(pa.table(texts, names=columns), lines, records=len(batch))


def text_column(column: pa.Array) -> pa.Array:
    """Values of any Arrow type as text, exactly."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return text_column(column.dictionary).take(column.indices)
    if pa.types.is_string(kind):
        return column
    if (
        pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    ):
        return pc.cast(column, pa.string())
    if pa.types.is_timestamp(kind):  # not by way of Python, which knows no year 10000
        moments = column.cast(pa.timestamp(kind.unit, "UTC")) if kind.tz else column
        return pc.cast(moments, pa.string())
    encoded = column if pa.types.is_nested(kind) else column.dictionary_encode()
    if pa.types.is_nested(kind):
        return pa.array([as_text(value) for value in encoded.to_pylist()], pa.string())
    values = [as_text(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)


# --- Excel ---------------------------------------------------------------------------------


def open_excel(shown: str, file: BinaryIO, reading: Reading) -> Opened:
    """The first sheet of an .xlsx workbook; its first row is the header."""
    import openpyxl  # 0.2 s that other sources do not need

    try:
        _refuse_bomb(shown, file)
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # many programs write a wrong one, which would hide cells
        rows = sheet.iter_rows(values_only=True)
        header = next(rows, ())
    except (OSError, ValueError, KeyError, IndexError, BadZipFile, SyntaxError) as error:
        raise SourceError(f"{shown}: not a whole Excel file ({_first_line(error)})") from error
    fields = [as_text(value) or "" for value in header]
    while fields and not fields[-1].strip():
        fields.pop()
    if not fields:
        raise SourceError(f"{shown}: the first sheet is empty; its first row must be a header")
    columns = column_names(shown, fields)

    def pieces() -> Iterator[Piece]:
        with closing(book):
            numbered = enumerate(rows, 2)
            try:
                while batch := list(islice(numbered, reading.batch_rows)):
                    yield partial(_parse_rows, batch, columns)
            except (ValueError, KeyError, BadZipFile, SyntaxError) as error:
                raise SourceError(f"{shown}: damaged ({_first_line(error)})") from error

    return Opened(shown, "excel", columns, pieces())


def _refuse_bomb(shown: str, file: BinaryIO) -> None:
    with ZipFile(file) as archive:
        for part in archive.infolist():
            refuse_expansion(shown, part.compress_size, part.file_size)


def _parse_rows(batch: Sequence[tuple[int, Sequence[Any]]], columns: list[str]) -> Block:
    """Rows of values; blank rows are passed over, cells beyond the header make a malformed row."""
    width, records = len(columns), 0
    good, lines, malformed = [], [], {}
    for number, values in batch:
        if all(value is None for value in values):
            continue
        records += 1
        if any(value is not None for value in values[width:]):
            shown = "; ".join(as_text(value) or "" for value in values)[:SHOWN]
            malformed[number] = f"more cells than the header's {width}: {shown}"
            continue
        good.append([*values[:width], *[None] * (width - len(values))])
        lines.append(number)
    return Block(_as_table(good, columns), np.array(lines, np.int64), malformed, records)


def _as_table(rows: Iterable[Sequence[Any]], columns: list[str]) -> pa.Table:
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(columns)
    texts = [pa.array([as_text(value) for value in column], pa.string()) for column in by_column]
    return pa.table(texts, names=columns)


# --- databases -----------------------------------------------------------------------------


_SEVERAL_CURSORS = ("postgresql", "sqlite")
"""Engines on which one connection, so one snapshot, can stream several results at once."""


class Databases:
    """Source databases of one extraction: for each URL one snapshot, where the engine can."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[sa.Engine, sa.Connection]] = {}

    def open(self, name: str, url: sa.URL, query: str, reading: Reading) -> Opened:
        """A table or query, streamed through a server-side cursor. Raises `SourceError`."""
        shown = f"{url.render_as_string(hide_password=True)} ({name})"
        try:
            connection = self._connect(url, name)
            result = connection.execution_options(
                stream_results=True, max_row_buffer=min(reading.batch_rows, 10_000)
            ).execute(_statement(query))
            columns = column_names(shown, list(result.keys()))
        except ImportError as error:
            raise SourceError(
                f"{shown}: the driver {error.name} is not installed; pip install it, or name "
                "another driver in the URL, such as mysql+pymysql://"
            ) from None
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(
                f"{shown}: cannot be read ({explain(error)}); "
                f"check {name.upper()}__PATH and __QUERY"
            ) from None

        def pieces() -> Iterator[Piece]:
            count = 0
            try:
                with result:
                    while rows := result.fetchmany(reading.batch_rows):
                        yield partial(_parse_database, rows, columns, count + 1, reading.encoded)
                        count += len(rows)
            except (sa.exc.SQLAlchemyError, ValueError) as error:  # or a value Python cannot hold
                raise SourceError(
                    f"{shown}, after record {count}: the read failed ({explain(error)})"
                ) from None

        return Opened(shown, f"database {url.get_backend_name()}", columns, pieces())

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
            engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True, **options)
            if backend == "sqlite" and not _exists(url):
                raise sa.exc.ArgumentError("there is no such file")
            connection = engine.connect()
            if backend == "sqlite":
                connection.exec_driver_sql("BEGIN")
            elif engine.driver == "psycopg2":
                _keep_text(connection)
            self._open[key] = engine, connection
        return self._open[key][1]


def _keep_text(connection: sa.Connection) -> None:
    """Have dates and JSON as PostgreSQL writes them.

    Python knows no date before Christ and no infinity, and reads JSON numbers as floats.
    """
    from psycopg2 import extensions

    json, jsonb, date, timestamp, timestamptz = 114, 3802, 1082, 1114, 1184
    oids = (json, jsonb, date, timestamp, timestamptz)
    text = extensions.new_type(oids, "TEXT", lambda value, cursor: value)
    extensions.register_type(text, connection.connection.driver_connection)


def _exists(url: sa.URL) -> bool:
    from pathlib import Path

    return bool(url.database) and Path(str(url.database)).is_file()


def _statement(query: str) -> sa.Executable:
    """The setting as a statement: a bare name is a table, anything else is SQL."""
    if not _TABLE_NAME.fullmatch(query.strip()):
        return sa.text(query.replace(":", "\\:"))
    schema, _, table = query.strip().rpartition(".")
    return sa.select(sa.literal_column("*")).select_from(sa.table(table, schema=schema or None))


def _parse_database(
    rows: Sequence[Sequence[Any]], columns: list[str], first: int, encoded: frozenset[str]
) -> Block:
    table = _as_table(rows, columns)
    for place, name in enumerate(columns):
        if name in encoded:
            table = table.set_column(place, name, table[name].dictionary_encode())
    lines = np.arange(first, first + len(rows), dtype=np.int64)
    return Block(table, lines, records=len(rows))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]

"""All that differs between engines: connecting, locking, bulk loading, constraints.

The engine is chosen once, by `open_warehouse`. No table is known here by name.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, CreateSchema, CreateTable

from config import StarSchemaConfig
from errors import BusyError, SchemaDriftError, WarehouseError
from schema import arrow_schema, arrow_type, unknown_member


def new_run_id() -> str:
    """A name for a run that sorts by time: 20260131T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


Encoded: TypeAlias = pa.Table | pa.Buffer
"""A batch as the engine's bulk load takes it."""

_LOCK_CLASS = 0x57A2  # tells this application's advisory locks from others'


def open_warehouse(config: StarSchemaConfig, run_id: str) -> Warehouse:
    """Connect to the configured warehouse and take its lock.

    Raises `BusyError` when another run holds it, `WarehouseError` when it cannot be reached.
    """
    engines: dict[str, type[Warehouse]] = {"duckdb": DuckDb, "postgresql": PostgreSql}
    return engines[config.warehouse_url.get_backend_name()](config, run_id)


def inspect_warehouse(config: StarSchemaConfig, tables: Sequence[Table]) -> tuple[list[str], bool]:
    """What `check` says of the warehouse, and whether a run could load it. Changes nothing."""
    url = config.warehouse_url
    lines = [f"warehouse: {url.render_as_string(hide_password=True)}"]
    file = Path(url.database or "")
    if url.get_backend_name() == "duckdb" and url.database != ":memory:" and not file.exists():
        return [*lines, "  the file does not exist yet; the first run creates it"], True
    try:
        with open_warehouse(config, new_run_id()) as warehouse:
            found = warehouse.drift(tables)
            lines.append(f"  reachable: {warehouse.version()}, schema {warehouse.schema}")
    except WarehouseError as error:
        return [*lines, f"  problem: {error}"], False
    if len(found.missing_tables) == len(tables):
        lines.append("  no star there yet; the first run creates it")
    else:
        missing = [f"{table.name}" for table in found.missing_tables]
        missing += [f"{table.name}.{column.name}" for table, column in found.missing_columns]
        lines += [f"  the next run adds: {', '.join(missing)}"] if missing else []
        lines += [f"  problem: {problem}" for problem in found.problems]
        lines += [] if found.problems else ["  the star there fits"]
    return lines, not found.problems


@dataclass
class Drift:
    """What the warehouse lacks, and what in it does not fit."""

    missing_tables: list[Table] = field(default_factory=list)
    missing_columns: list[tuple[Table, sa.Column[Any]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Warehouse(ABC):
    """A connection that holds the warehouse's lock, and its one transaction at a time."""

    staging_schema: str

    def __init__(self, config: StarSchemaConfig, run_id: str) -> None:
        self.config = config
        self.run_id = run_id
        self._engine = self._create_engine()
        try:
            self.connection: Connection = self._engine.connect()
        except sa.exc.DBAPIError as error:
            raise self._unreachable(error) from error
        try:
            self._prepare()
            schema = config.warehouse_schema or self.scalar(sa.select(sa.func.current_schema()))
            self.schema = str(schema)
            self._lock()
            self.connection.commit()
        except BaseException:
            self.close()
            raise
        self.connection = self.connection.execution_options(
            schema_translate_map={None: self.schema}
        )
        self._created: list[Table] = []

    # --- transaction -----------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the transaction. Nothing is published before `commit`."""
        self.connection.begin()
        self._created = []
        self._tune()

    def commit(self) -> None:
        """Publish."""
        self.connection.commit()

    def rollback(self) -> None:
        """Leave the warehouse as it was."""
        self.connection.rollback()

    def close(self) -> None:
        """Roll back what is open, release the lock, disconnect."""
        self.connection.close()
        self._engine.dispose()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- statements ------------------------------------------------------------------------

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a Core statement in the transaction."""
        return self.connection.execute(statement, parameters)

    def row(self, statement: sa.Executable) -> tuple[Any, ...]:
        """The one row of `statement`."""
        return tuple(self.connection.execute(statement).one())

    def scalar(self, statement: sa.Executable) -> Any:
        """The first value of the first row."""
        return self.connection.execute(statement).scalar()

    # --- tables ----------------------------------------------------------------------------

    def create_missing(self, tables: Iterable[Table]) -> None:
        """Create tables that are missing, add columns that an older warehouse lacks.

        Raises `SchemaDriftError` on any other difference.
        """
        self.execute(CreateSchema(self.schema, if_not_exists=True))
        found = self.drift(tables)
        if found.problems:
            raise SchemaDriftError(
                f"the warehouse's tables do not fit: {'; '.join(found.problems)}; "
                "migrate them by hand, or point WAREHOUSE_SCHEMA at an empty schema"
            )
        for table in found.missing_tables:
            self._create(table)
            self._created.append(table)
        for table, column in found.missing_columns:
            bare = sa.Column(column.name, column.type)
            definition = CreateColumn(bare).compile(dialect=self._engine.dialect)
            self.connection.exec_driver_sql(
                f"ALTER TABLE {self.qualified(table)} ADD COLUMN {definition}"
            )

    def drift(self, tables: Iterable[Table]) -> Drift:
        """How the warehouse's tables differ from the declared ones. Changes nothing."""
        found = Drift()
        for table in tables:
            present = self._present_columns(table.name)
            if not present:
                found.missing_tables.append(table)
                continue
            found.problems += [
                f"{table.name} has a column {name} that this version does not know"
                for name in present
                if name not in table.columns
            ]
            for column in table.columns:
                wanted = column.type.compile(self._engine.dialect).lower().replace(", ", ",")
                if column.name not in present:
                    found.missing_columns.append((table, column))
                elif _same_type(present[column.name]) != _same_type(wanted):
                    found.problems.append(
                        f"{table.name}.{column.name} is {present[column.name]} instead of {wanted}"
                    )
        return found

    def version(self) -> str:
        """The engine's own words for what it is."""
        return str(self.scalar(sa.select(sa.func.version()))).partition(" on ")[0]

    def complete(self, table: Table) -> None:
        """Give a table made by this run the keys and indexes that were held back for the load."""

    def is_created(self, table: Table) -> bool:
        """Whether this transaction made `table`, so that nobody else can see it."""
        return table in self._created

    def add_unknown_member(self, dimension: Table) -> None:
        """Insert the member with key -1 if it is not there; fill in what a new column lacks."""
        row = unknown_member(dimension)
        key = next(iter(dimension.primary_key.columns))
        is_unknown = key == row[key.name]
        present = self.execute(sa.select(dimension).where(is_unknown)).mappings().first()
        if present is None:
            self.execute(sa.insert(dimension), row)
        elif present != row:
            self.execute(sa.update(dimension).where(is_unknown).values(row))

    def stage(self, table: Table, columns: Sequence[str], batches: Iterable[Encoded]) -> Table:
        """Bulk load encoded batches into a new temporary table like `table` with `columns`."""
        staging = bare_copy(table, f"stage_{table.name}", columns, self.staging_schema)
        self.execute(sa.schema.DropTable(staging, if_exists=True))
        self.execute(CreateTable(staging))
        self.append(staging, batches)
        self.analyze(staging)
        return staging

    def analyze(self, table: Table) -> None:
        """Tell the planner how large `table` is."""

    def keep_changes(self, statement: sa.Select[Any], name: str) -> Table:
        """Keep the rows of `statement` in a temporary table; its columns are the statement's."""
        columns = [sa.Column(c.name, c.type) for c in statement.selected_columns]
        kept = Table(name, MetaData(), *columns, schema=self.staging_schema, prefixes=["TEMPORARY"])
        self.execute(sa.schema.DropTable(kept, if_exists=True))
        self.execute(CreateTable(kept))
        self.execute(sa.insert(kept).from_select([c.name for c in columns], statement))
        self.analyze(kept)
        return kept

    def enforces_primary_key(self, table: Table) -> bool:  # noqa: ARG002
        """Whether the engine itself guarantees that the key of `table` is unique."""
        return False

    @abstractmethod
    def mark(self, tables: Sequence[Table]) -> str:
        """A note of the tables' state, taken just before a commit."""

    @abstractmethod
    def untouched_since(self, marks: Sequence[str], tables: Sequence[Table]) -> bool:
        """Whether `tables` are as at the first of `marks`; the others are older, newest first."""

    def drop(self, table: Table) -> None:
        """Drop a temporary table."""
        self.execute(sa.schema.DropTable(table))

    def qualified(self, table: Table) -> str:
        """The quoted name of `table`, schema included."""
        quote = self._engine.dialect.identifier_preparer.quote
        return f"{quote(table.schema or self.schema)}.{quote(table.name)}"

    def binary(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """`column` ordered by code points, alike on every engine and in every locale."""
        return column

    # --- engine's part ---------------------------------------------------------------------

    @abstractmethod
    def _create_engine(self) -> sa.Engine: ...

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _lock(self) -> None: ...

    @abstractmethod
    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError: ...

    def encode(self, batch: pa.Table) -> Encoded:
        """A batch as `append` takes it. Any worker may call this."""
        return batch

    @abstractmethod
    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        """Bulk load encoded batches, whose columns are all of `table`'s, in its order."""

    @abstractmethod
    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        """The rows of `statement` as one Arrow table."""

    @abstractmethod
    def _create(self, table: Table) -> None: ...

    @abstractmethod
    def _column_type(self, row: Any) -> str: ...

    def _tune(self) -> None:
        """Settings for this transaction only."""

    def _text_of(self, statement: sa.Select[Any]) -> str:
        """A statement without parameters, as the driver takes it."""
        compiled = statement.compile(
            dialect=self._engine.dialect,
            schema_translate_map={None: self.schema},
            render_schema_translate=True,
        )
        return str(compiled)

    def _present_columns(self, table: str) -> dict[str, str]:
        """Column name -> type, of a table in the warehouse; empty when there is none."""
        catalog = sa.table(
            "columns",
            *map(sa.column, (
                "table_schema", "table_name", "column_name", "data_type", "numeric_precision",
                "numeric_scale", "ordinal_position",
            )),
            schema="information_schema",
        )  # fmt: skip
        query = (
            sa.select(catalog)
            .where(catalog.c.table_schema == self.schema, catalog.c.table_name == table)
            .order_by(catalog.c.ordinal_position)
        )
        return {row.column_name: self._column_type(row) for row in self.execute(query)}


def _same_type(name: str) -> str:
    name = name.replace("decimal(", "numeric(")
    return {"varchar": "text", "timestamptz": "timestamp with time zone"}.get(name, name)


def bare_copy(table: Table, name: str, columns: Sequence[str], schema: str | None = None) -> Table:
    """A table with the same columns and no key, index or reference; temporary with a schema."""
    copies = [sa.Column(c, table.columns[c].type, nullable=True) for c in columns]
    prefixes = ["TEMPORARY"] if schema else []
    return Table(name, MetaData(), *copies, schema=schema, prefixes=prefixes)


class DuckDb(Warehouse):
    """A DuckDB file. Its own file lock keeps other processes out."""

    staging_schema = "temp"

    def _create_engine(self) -> sa.Engine:
        url = self.config.warehouse_url
        if url.database and url.database != ":memory:":
            folder = Path(url.database).parent
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise WarehouseError(
                    f"WAREHOUSE_URL {url}: the folder {folder} cannot be made "
                    f"({error.strerror}); make it, or name another place"
                ) from error
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
        engine.dialect.supports_native_decimal = True  # else sums come by way of a float
        return engine

    def _prepare(self) -> None:
        for name, value in (
            ("threads", str(self.config.workers)),
            ("memory_limit", "'256MB'"),
            ("temp_directory", f"'{str(self.config.work_dir).replace(chr(39), chr(39) * 2)}'"),
            ("preserve_insertion_order", "false"),
        ):
            self.connection.exec_driver_sql(f"SET {name} = {value}")

    def _lock(self) -> None:
        """Nothing to do: opening the file took its lock."""

    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError:
        reason = str(error.orig).partition("\n")[0]
        if "could not set lock" in reason.lower():
            return BusyError(
                f"{self.config.warehouse_url.database} is in use by another process: {reason}; "
                "wait for it, or close the notebook that holds the file"
            )
        return WarehouseError(
            f"WAREHOUSE_URL {self.config.warehouse_url}: {reason}; name another file, or move "
            "this one away and the next run makes a new one"
        )

    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        driver: Any = self.connection.connection.driver_connection
        chunks = (chunk for batch in batches for chunk in batch.to_batches())
        schema = arrow_schema(table.columns)
        driver.register("arrow_stream", pa.RecordBatchReader.from_batches(schema, chunks))
        driver.execute(f"INSERT INTO {self.qualified(table)} SELECT * FROM arrow_stream")
        driver.unregister("arrow_stream")

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        return driver.sql(self._text_of(statement)).to_arrow_table()

    def mark(self, tables: Sequence[Table]) -> str:
        """Row count and sum of row hashes of each table."""
        return json.dumps(
            [
                [
                    str(value)
                    for value in self.connection.exec_driver_sql(
                        f"SELECT count(*), sum(hash(t)) FROM {self.qualified(table)} AS t"
                    ).one()
                ]
                for table in tables
            ]
        )

    def untouched_since(self, marks: Sequence[str], tables: Sequence[Table]) -> bool:
        return marks[0] == self.mark(tables)

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # declared keys on a fact cost 8 x, and are proven by validation
            self.execute(CreateTable(bare_copy(table, table.name, table.columns.keys())))
        else:
            self.execute(CreateTable(table))

    def _column_type(self, row: Any) -> str:
        return str(row.data_type).lower()


class PostgreSql(Warehouse):
    """A PostgreSQL database. An advisory lock, one per schema, keeps other runs out."""

    staging_schema = "pg_temp"

    def _create_engine(self) -> sa.Engine:
        name = f"star-etl {self.run_id} {socket.gethostname()[:20]}:{os.getpid()}"
        options = {
            "connect_timeout": 10,
            "application_name": name,
            "keepalives_idle": 30,
            **self.config.warehouse_url.query,
        }
        return sa.create_engine(
            self.config.warehouse_url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args=options,
        )

    def _prepare(self) -> None:
        self.connection.exec_driver_sql("SET timezone = 'UTC'")

    def _lock(self) -> None:
        number = zlib.crc32(self.schema.encode()) - (1 << 31)
        taken = self.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK_CLASS, number)))
        if not taken:
            raise BusyError(f"another run holds the warehouse: {self._holder(number)}")

    def _holder(self, number: int) -> str:
        row = self.connection.execute(
            sa.text(
                "SELECT a.application_name, a.pid, a.client_addr, a.backend_start "
                "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = :class "
                "AND l.objid::bigint = :number "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ),
            {"class": _LOCK_CLASS, "number": number % (1 << 32)},
        ).first()
        if row is None:
            return "it has just ended; try again"
        return (
            f"{row.application_name}, since {row.backend_start:%Y-%m-%d %H:%M:%S}, "
            f"server process {row.pid}"
        )

    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError:
        reason = " ".join(str(error.orig).split())
        return WarehouseError(
            f"WAREHOUSE_URL {self.config.warehouse_url}: cannot connect ({reason}); "
            "check host, port, database, user and password"
        )

    def _tune(self) -> None:
        self.connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '256MB'")
        self.connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")

    def encode(self, batch: pa.Table) -> Encoded:
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=False))
        return sink.getvalue()

    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        columns = ", ".join(
            self._engine.dialect.identifier_preparer.quote(c.name) for c in table.columns
        )
        driver: Any = self.connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {self.qualified(table)} ({columns}) FROM STDIN (FORMAT csv)",
                _CsvStream(batches),
                1 << 18,
            )

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        buffer = io.BytesIO()
        with driver.cursor() as cursor:
            cursor.copy_expert(f"COPY ({self._text_of(statement)}) TO STDOUT (FORMAT csv)", buffer)
        columns = list(statement.selected_columns)
        return pa_csv.read_csv(
            pa.BufferReader(buffer.getvalue() or b"\n"),
            read_options=pa_csv.ReadOptions(column_names=[c.name for c in columns]),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={c.name: arrow_type(cast("sa.Column[Any]", c)) for c in columns},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def mark(self, tables: Sequence[Table]) -> str:
        """This transaction's number, and each table's row count."""
        number = self.scalar(sa.text("SELECT pg_current_xact_id()::text"))
        counts = [self.scalar(sa.select(sa.func.count()).select_from(t)) for t in tables]
        return json.dumps({"xid": int(number), "rows": counts})

    def untouched_since(self, marks: Sequence[str], tables: Sequence[Table]) -> bool:
        """Every row version was written by a marked transaction, and none is gone.

        PostgreSQL keeps the writing transaction of a row version in `xmin`, also after freezing;
        a dump that was restored has others, and is looked at row by row.
        """
        known = [json.loads(mark) for mark in marks if mark]
        writers = [str(mark["xid"] % (1 << 32)) for mark in known]
        for table, rows in zip(tables, known[0]["rows"], strict=True):
            writer = sa.cast(sa.literal_column("xmin"), sa.Text)
            count, foreign = self.row(
                sa.select(
                    sa.func.count(), sa.func.count().filter(writer.not_in(writers))
                ).select_from(table)
            )
            if count != rows or foreign:
                return False
        return True

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # keys and indexes are built after the rows, five times faster
            bare = bare_copy(table, table.name, table.columns.keys())
            for column in table.columns:
                bare.columns[column.name].nullable = column.nullable
            self.execute(CreateTable(bare))
        else:
            self.execute(CreateTable(table))

    def complete(self, table: Table) -> None:
        self.execute(AddConstraint(table.primary_key))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            self.execute(CreateIndex(index))
        for constraint in sorted(table.foreign_key_constraints, key=lambda c: str(c.name)):
            self.execute(AddConstraint(constraint))

    def enforces_primary_key(self, table: Table) -> bool:
        constraints = sa.table(
            "table_constraints",
            *map(sa.column, ("table_schema", "table_name", "constraint_type")),
            schema="information_schema",
        )
        found = self.scalar(
            sa.select(sa.func.count()).where(
                constraints.c.table_schema == self.schema,
                constraints.c.table_name == table.name,
                constraints.c.constraint_type == "PRIMARY KEY",
            )
        )
        return bool(found)

    def analyze(self, table: Table) -> None:
        self.connection.exec_driver_sql(f"ANALYZE {self.qualified(table)}")

    def binary(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.collate(column, "C")

    def _column_type(self, row: Any) -> str:
        if row.data_type == "numeric" and row.numeric_precision:
            return f"numeric({row.numeric_precision},{row.numeric_scale})"
        return str(row.data_type)


class _CsvStream(io.RawIOBase):
    """Buffers of CSV as the one file that COPY reads."""

    def __init__(self, chunks: Iterable[pa.Buffer]) -> None:
        self._chunks: Iterator[pa.Buffer] = iter(chunks)
        self._current = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        while not self._current:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._current = memoryview(chunk)
        piece, self._current = self._current[:size], self._current[size:]
        return bytes(piece)

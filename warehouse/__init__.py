"""All that differs between engines: connecting, locking, bulk loading, constraints.

The engine is chosen once, by `open_warehouse`. No table is known here by name.
"""

from __future__ import annotations

import io
import json
import logging
import os
import secrets
import socket
import threading
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

import psycopg2
import psycopg2.extensions
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, CreateSchema, CreateTable
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from common import duck, libpq, vigil
from common.arrow_types import arrow_schema, arrow_type
from common.files import LockFile, private_folder
from config import StarSchemaConfig
from errors import (
    BusyError,
    LockedError,
    OutcomeUnknownError,
    TransientError,
    WarehouseError,
)
from schema import (
    ADDED_LATE,
    business_key,
    growth_value,
    plain_type,
    unknown_member,
)
from warehouse import binary_copy, copies, pools, row_versions
from warehouse.catalog import PresentTable, duckdb_tables, postgresql_tables
from warehouse.failures import explain, in_words

__all__ = ["explain", "in_words"]


def new_run_id() -> str:
    """A name for a run that sorts by time: 20260131T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


Encoded: TypeAlias = list[pa.RecordBatch] | list[bytes]
"""A batch in pieces, as the engine's bulk load takes them."""

_log = logging.getLogger("star_etl")
_LOCK_CLASS = 0x57A2  # tells this application's advisory locks from others'
_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03"}
"""SQLSTATEs after which the whole transaction can be tried again, beside class 08."""
_LOCK_NOT_AVAILABLE = "55P03"
_NO_SUCH_TABLE = "42P01"
_TRANSIENT_REASONS = (
    "is the server running", "not yet accepting connections", "no more connections allowed",
    "cannot connect to server",
    "connection refused", "timeout expired", "timed out", "temporary failure in name resolution",
    "starting up", "shutting down", "in recovery mode", "too many clients", "too many connections",
    "remaining connection slots", "server closed the connection", "connection reset",
)  # fmt: skip
"""Why a connection was not made, where it may be made a moment later: there is no SQLSTATE."""
_LASTING_REASONS = (
    "certificate", "does not support ssl", "authentication failed", "pg_hba.conf", "does not exist",
)  # fmt: skip
"""Why it will not be made later either, though another of the hosts may have been away."""
_SESSION = (
    "SET search_path = pg_catalog, pg_temp",
    "SET timezone = 'UTC'",
    "SET quote_all_identifiers = off",  # in the types that the catalog tells
    "SET row_security = off",  # rows that a policy hides are an error, not rows that are missing
)
"""What our statements rely on; a role or a database may have other defaults."""
_SOCKET_BYTES = 4 << 20
_UMASK = threading.Lock()
_open_files: dict[tuple[int, int] | None, str] = {}
"""DuckDB files that runs of this process hold, by device and inode, and who that is."""
_DUCKDB_SUFFIXES = ("", ".db", ".ddb", ".duckdb")
"""Names under which DuckDB takes an empty file for a new database, and not for a table of data."""
_DIAL_SECONDS = 60  # for a server that lets us in and then says nothing
_CANCEL_SECONDS = 3  # for a server that hears that a statement is to be ended
_PAUSE_SECONDS = 2  # at most, between two looks whether a server is there again
_SETTLE_SECONDS = 10  # for a server that is starting again, and for the end of a lost session


class _AfterTrouble(stop_base):
    """Stops so many seconds after the first failure, however long it took to come."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = 0.0

    def __call__(self, retry_state: RetryCallState) -> bool:
        if retry_state.attempt_number == 1:
            self._since = time.monotonic()
        return time.monotonic() - self._since >= self._seconds


def tries(
    count: int, seconds: float, on: type[Exception] = TransientError, **options: Any
) -> Retrying:
    """Calls a function again after an error of the kind `on`, within `seconds` of the first:
    exponential back-off with full jitter.
    """
    return Retrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_attempt(count) | _AfterTrouble(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
        **options,
    )


def open_warehouse(config: StarSchemaConfig, run_id: str) -> Warehouse:
    """Connect to the configured warehouse and take its lock.

    Raises `BusyError` when another run holds it, `WarehouseError` when it cannot be reached.
    """
    engines: dict[str, type[Warehouse]] = {"duckdb": DuckDb, "postgresql": PostgreSql}
    return engines[config.warehouse_url.get_backend_name()](config, run_id)


class Warehouse(ABC):
    """A connection that holds the warehouse's lock, and its one transaction at a time."""

    staging_schema: str
    grows_apart = False
    """Whether readers wait while a column is added, so that the load should not begin with it."""

    def __init__(self, config: StarSchemaConfig, run_id: str) -> None:
        self.config = config
        self.run_id = run_id
        self.warnings: list[str] = []
        self._created: list[Table] = []
        self._proven: list[Table] = []
        self._engine = self._create_engine()
        self._await()

    def _await(self, *, lock: bool = True, at_least: float = 0) -> None:
        """Connect. A server that is starting, or full, is waited for within RETRY_SECONDS."""
        seconds = max(self.config.retry_seconds, at_least)

        def tell(state: RetryCallState) -> None:
            if state.attempt_number == 1 and state.outcome is not None:
                reason = explain(state.outcome.exception() or TransientError())
                _log.warning("%s; it is waited for, %s seconds at most", reason, seconds)

        Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=_AfterTrouble(seconds),
            wait=wait_random_exponential(multiplier=0.25, max=_PAUSE_SECONDS),
            before_sleep=tell,
            reraise=True,
        )(self._connect, lock=lock)

    def _connect(self, *, lock: bool = True) -> None:
        try:
            self.connection: Connection = self._dial()
        except sa.exc.DBAPIError as error:
            raise self._unreachable(error) from error
        try:
            self._driver: Any = self.connection.connection.driver_connection
            self._prepare()
            self.schema = self.config.warehouse_schema or self._current_schema()
            if lock:
                self._lock()
            self.connection.commit()
        except sa.exc.DBAPIError as error:
            transient = self.transient(error)
            self.close()
            raise (transient or self._unreachable(error)) from error
        except BaseException:  # an interruption, too, must leave no connection open
            self.close()
            raise
        self.connection = self.connection.execution_options(
            schema_translate_map={None: self.schema}
        )

    def reconnect(self) -> None:
        """Drop the connection, lost or not, for a new one that holds the lock.

        Raises `BusyError` when another run was quicker, `TransientError` when it may yet succeed.
        """
        self.close()
        self._await()

    # --- transaction -----------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the transaction. Nothing is published before `commit`."""
        self.connection.begin()
        self._created, self._proven = [], []
        self._tune()

    def commit(self, proof: sa.Select[Any] | None = None) -> None:  # noqa: ARG002
        """Publish. Where the answer can get lost, `proof` is asked again: it selects a row when
        the transaction was committed, and none otherwise.

        Raises `OutcomeUnknownError` when there is no answer to that either.
        """
        self.connection.commit()

    def transient(self, error: Exception) -> TransientError | None:  # noqa: ARG002
        """What to raise for `error` if trying the whole transaction again can help."""
        return None

    def cancel(self) -> None:
        """Have the statement ended that is running, if there is one. Any thread may call this."""

    def cut(self) -> None:
        """End the connection, whatever is waited for there. Any thread may call this."""

    def spill_into(self, folder: Path) -> None:
        """Keep in `folder` what does not fit into memory here, so that it goes with the folder."""

    def rollback(self) -> None:
        """Leave the warehouse as it was."""
        self.connection.rollback()

    def close(self) -> None:
        """Roll back what is open, release the lock, disconnect."""
        with suppress(sa.exc.DBAPIError):  # the connection was lost: the server does the same
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
        rows = self.connection.execute(statement).all()  # DuckDB wants its last row taken, too
        return rows[0][0] if rows else None

    # --- tables ----------------------------------------------------------------------------

    def create_schema(self) -> None:
        """Make the schema of the star, if it is not there."""
        if not self._has_schema():
            self.execute(CreateSchema(self.schema, if_not_exists=True))

    def create(self, table: Table) -> None:
        """Create a table; keys and indexes that would slow the load are held back."""
        self._create(table)
        self._created.append(table)

    def add_columns(self, table: Table, columns: Sequence[sa.Column[Any]]) -> None:
        """Add declared columns to a table that is there. Its rows have `schema.growth_value` in
        them; where that is none, they need no value, and a comment says so.
        """
        for column in columns:
            value = growth_value(column)
            given = None if value is None else sa.literal(value, column.type)
            is_nullable = column.nullable or given is None
            added = sa.Column(column.name, column.type, nullable=is_nullable, server_default=given)
            definition = CreateColumn(added).compile(dialect=self._engine.dialect)
            place = self.qualified(table)
            self.connection.exec_driver_sql(f"ALTER TABLE {place} ADD COLUMN {definition}")
            if is_nullable and not column.nullable:
                name = self.quoted(column.name)
                self.connection.exec_driver_sql(
                    f"COMMENT ON COLUMN {place}.{name} IS '{ADDED_LATE}'"
                )

    def hurry(self) -> None:
        """In this transaction, wait for others' locks no longer than others may wait for ours."""

    def may_create(self) -> bool:
        """Whether our role may make tables here."""
        return True

    def type_name(self, kind: sa.types.TypeEngine[Any]) -> str:
        """The engine's name of a type."""
        return kind.compile(self._engine.dialect)

    @abstractmethod
    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        """Those of `tables` that are in the warehouse, by name."""

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
        if not self.is_created(table):
            self._survey(staging, business_key(table).name)
        return staging

    def keep_changes(self, statement: sa.Select[Any], table: Table) -> Table:
        """Keep the rows of `statement`, which are to change `table`, in a temporary table; its
        columns are the statement's, and by the last one it will be joined.
        """
        columns = [sa.Column(c.name, c.type) for c in statement.selected_columns]
        kept = Table(
            f"changes_{table.name}", MetaData(), *columns,
            schema=self.staging_schema, prefixes=["TEMPORARY"],
        )  # fmt: skip
        self.execute(sa.schema.DropTable(kept, if_exists=True))
        self.execute(CreateTable(kept))
        self.execute(sa.insert(kept).from_select([c.name for c in columns], statement))
        if not self.is_created(table):
            self._survey(kept, columns[-1].name)
        return kept

    def _survey(self, table: Table, key: str) -> None:
        """Let the engine know how many rows `table` has, and of how many keys, before it looks for
        them in one that has many.
        """

    def has_proven(self, table: Table) -> bool:
        """Whether this transaction made `table` and the engine has proven all that is declared of
        it: that no value is missing, and every key.
        """
        return table in self._proven

    def enforces_primary_key(self, table: Table) -> bool:  # noqa: ARG002
        """Whether the engine itself guarantees that the key of `table` is unique."""
        return False

    def unproven(self, mark: str) -> sa.ColumnElement[bool]:  # noqa: ARG002
        """Which rows of a table may be other than the transaction of `mark` left them."""
        return sa.true()

    @abstractmethod
    def mark(self, tables: Sequence[Table], counts: Mapping[str, int], last: str) -> str:
        """A note of the state of `tables`, which have `counts` rows; taken just before a commit.
        `last` is the note of the run before, or nothing.
        """

    @abstractmethod
    def untouched_since(self, mark: str, tables: Sequence[Table]) -> bool:
        """Whether `tables` are as at `mark`, the note of the run that was published last."""

    def drop(self, table: Table) -> None:
        """Drop a temporary table."""
        self.execute(sa.schema.DropTable(table))

    def qualified(self, table: Table) -> str:
        """The quoted name of `table`, schema included."""
        return f"{self.quoted(table.schema or self.schema)}.{self.quoted(table.name)}"

    def quoted(self, name: str) -> str:
        """A name as it stands in SQL."""
        return str(self._engine.dialect.identifier_preparer.quote(name))

    def binary(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """`column` ordered by code points, alike on every engine and in every locale."""
        return column

    # --- engine's part ---------------------------------------------------------------------

    @abstractmethod
    def _create_engine(self) -> sa.Engine: ...

    def _dial(self) -> Connection:
        return self._engine.connect()

    @abstractmethod
    def _prepare(self) -> None: ...

    def _current_schema(self) -> str:
        """The schema that this user's tables are made in, unless another is named."""
        return str(self.scalar(sa.select(sa.func.current_schema())))

    @abstractmethod
    def _lock(self) -> None: ...

    @abstractmethod
    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError: ...

    def encoders(self) -> int:
        """How many workers had best `encode` while `append` takes what they have done."""
        return self.config.workers

    @abstractmethod
    def encode(self, batch: pa.Table, table: Table) -> Encoded:
        """A batch as `append` takes it for `table`. Any worker may call this."""

    @abstractmethod
    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        """Bulk load encoded batches, whose columns are all of `table`'s, in its order."""

    @abstractmethod
    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        """The rows of `statement` as one Arrow table."""

    @abstractmethod
    def _create(self, table: Table) -> None: ...

    def _tune(self) -> None:
        """Settings for this transaction only."""

    def text_of(self, statement: sa.Select[Any] | sa.schema.ExecutableDDLElement) -> str:
        """A statement without parameters, as the driver takes it."""
        compiled = statement.compile(
            dialect=self._engine.dialect,
            schema_translate_map={None: self.schema},
            render_schema_translate=True,
            compile_kwargs={"literal_binds": True},
        )
        return " ".join(str(compiled).split())

    def grants(self, tables: Iterable[Table], role: str) -> list[str]:  # noqa: ARG002
        """The statements that give `role` what it needs to load `tables`, and no more."""
        return []

    @abstractmethod
    def _has_schema(self) -> bool: ...


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def bare_copy(table: Table, name: str, columns: Sequence[str], schema: str | None = None) -> Table:
    """A table with the same columns and no key, index or reference; temporary with a schema."""
    copies = [sa.Column(c, plain_type(table.columns[c]), nullable=True) for c in columns]
    prefixes = ["TEMPORARY"] if schema else []
    return Table(name, MetaData(), *copies, schema=schema, prefixes=prefixes)


def _without_keys(table: Table) -> Table:
    columns = [sa.Column(c.name, c.type, nullable=c.nullable) for c in table.columns]
    return Table(table.name, MetaData(), *columns)


class DuckDb(Warehouse):
    """A DuckDB file. Its own file lock keeps other processes out."""

    staging_schema = "temp"

    _held: LockFile | None = None
    _identity: tuple[int, int] | None = None

    def _create_engine(self) -> sa.Engine:
        url = self.config.warehouse_url
        # By another name, that of a link, there would be another lock and another journal.
        self._file = Path(str(url.database)).resolve()
        url = url.set(database=str(self._file))
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
        engine.dialect.supports_native_decimal = True  # else sums come by way of a float
        return engine

    def _dial(self) -> Connection:
        """Lock, then open the file. DuckDB's own lock keeps out other processes, but not a second
        run in this one, and does not say who holds it.
        """
        me = f"run {self.run_id} on {socket.gethostname()}, process {os.getpid()}, since {_now()}"
        try:
            private_folder(self._file.parent)
            self._held = LockFile(self._file.with_name(f"{self._file.name}.lock"), me)
        except BlockingIOError as holder:
            raise BusyError(f"another run holds the warehouse {self._file}: {holder}") from None
        except OSError as error:
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: the folder {self._file.parent} cannot "
                f"be used ({error.strerror}: {error.filename}); make it, or name another place"
            ) from error
        try:
            self._refuse_other_files(self._file)
            self._take_file(me)
            with _private_umask():
                return super()._dial()
        except BaseException:  # an interruption, too, must not keep the lock
            self._release()
            raise

    def _refuse_other_files(self, path: Path) -> None:
        """DuckDB opens a table of data, such as a CSV file, as a database in memory: what was
        published there would be gone with the run.
        """
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "no file, but a device or a named pipe"
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: it is {kind}; name a file"
            )
        try:
            with path.open("rb") as file:
                head = file.read(12)
        except FileNotFoundError:
            return
        except OSError as error:
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: cannot be opened ({error.strerror}); "
                f"{duck.remedy(str(error.strerror))}"
            ) from error
        if head[8:] != b"DUCK" and (head or path.suffix.lower() not in _DUCKDB_SUFFIXES):
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: the file is not a DuckDB database; "
                "name another, or move this one away and the next run makes a new one"
            )

    def close(self) -> None:
        super().close()
        self._release()

    def _take_file(self, me: str) -> None:
        """A file may have a second name in another folder, where no link tells of the first: to
        this process DuckDB's own lock says nothing of that.
        """
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return
        identity = found.st_dev, found.st_ino
        with _UMASK:
            if identity in _open_files:
                raise BusyError(
                    f"another run holds the warehouse {self._file}: {_open_files[identity]}"
                )
            _open_files[identity] = me
        self._identity = identity

    def _release(self) -> None:
        with _UMASK:
            _open_files.pop(self._identity, None)
        self._identity = None
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def _prepare(self) -> None:
        for name, value in (
            ("threads", str(self.config.workers)),
            ("memory_limit", "'256MB'"),
            ("temp_directory", _literal(self.config.work_dir)),
            ("preserve_insertion_order", "false"),
        ):
            self._set(name, value)
        duck.without_progress_bar(self._driver)

    def _set(self, name: str, value: str) -> None:
        self.connection.exec_driver_sql(f"SET {name} = {value}")

    def spill_into(self, folder: Path) -> None:
        self._set("temp_directory", _literal(folder))
        self.connection.commit()

    def _lock(self) -> None:
        """Nothing to do: opening the file took its lock."""

    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError:
        reason = str(error.orig).partition("\n")[0]
        if "could not set lock" in reason.lower() or "different configuration" in reason:
            return BusyError(
                f"{self.config.warehouse_url.database} is in use on {socket.gethostname()}: "
                f"{reason}; wait for it, or close the notebook that holds the file"
            )
        return WarehouseError(
            f"WAREHOUSE_URL {self.config.warehouse_url}: cannot be opened ({reason}); "
            f"{duck.remedy(reason)}"
        )

    def _has_schema(self) -> bool:
        schemata = sa.table("schemata", sa.column("schema_name"), schema="information_schema")
        query = sa.select(sa.func.count()).where(schemata.c.schema_name == self.schema)
        return bool(self.scalar(query))

    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        named = {self.qualified(table): table for table in tables}
        return duckdb_tables(self.connection, self.schema, named)

    def encode(self, batch: pa.Table, table: Table) -> Encoded:
        schema = arrow_schema(table.columns[name] for name in batch.column_names)
        pieces: list[pa.RecordBatch] = batch.cast(schema).to_batches()
        return pieces

    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        driver: Any = self.connection.connection.driver_connection
        schema, pieces = arrow_schema(table.columns), chain.from_iterable(batches)
        driver.register("arrow_stream", pa.RecordBatchReader.from_batches(schema, pieces))
        columns = ", ".join(self.quoted(c.name) for c in table.columns)
        driver.execute(
            f"INSERT INTO {self.qualified(table)} ({columns}) SELECT {columns} FROM arrow_stream"
        )
        driver.unregister("arrow_stream")

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        return driver.sql(self.text_of(statement)).to_arrow_table()

    def mark(
        self,
        tables: Sequence[Table],
        counts: Mapping[str, int],  # noqa: ARG002
        last: str,  # noqa: ARG002
    ) -> str:
        return self._fingerprint(tables)

    def _fingerprint(self, tables: Sequence[Table]) -> str:
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

    def untouched_since(self, mark: str, tables: Sequence[Table]) -> bool:
        return mark == self._fingerprint(tables)

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # declared keys on a fact cost 8 x, and are proven by validation
            self.execute(CreateTable(_without_keys(table)))
        else:
            self.execute(CreateTable(table))


class PostgreSql(Warehouse):
    """A PostgreSQL database. An advisory lock, one per schema, keeps other runs out."""

    staging_schema = "pg_temp"
    grows_apart = True

    _is_hurried = False
    _session: tuple[Any, ...] | None = None
    _vigil: vigil.Vigil | None = None
    _seen_whole = 0
    """All transactions below this number are over, and what they wrote is seen."""
    _home: str | None = None

    def _create_engine(self) -> sa.Engine:
        name = f"star-etl {self.run_id} {socket.gethostname()[:20]}:{os.getpid()}"
        url = self.config.warehouse_url
        options: dict[str, Any] = {
            "application_name": name,
            "target_session_attrs": "read-write",  # no standby, though it answers first
            **libpq.connection_options(url),
            **url.query,
            "client_encoding": "utf8",  # what we send, whatever the server or the user prefers
        }
        if doubt := libpq.doubt(url, "WAREHOUSE_URL"):
            self.warnings.append(doubt)
        return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)

    def _dial(self) -> Connection:
        try:
            return vigil.aside(super()._dial, Connection.close, _DIAL_SECONDS)
        except TimeoutError:
            raise TransientError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: no answer within {_DIAL_SECONDS} s; "
                "check host and port"
            ) from None

    def _prepare(self) -> None:
        """A killed run's session ends within a second, a lost machine's within one or two minutes;
        a waiting one is not ended for idling.

        Nobody's search_path decides which function or table a name means.
        """
        self._home = self.scalar(sa.text("SELECT pg_catalog.current_schema()"))
        for statement in _SESSION:
            self.connection.exec_driver_sql(statement)
        self.connection.exec_driver_sql(
            "SELECT set_config(s.name, v.value, false) FROM pg_catalog.pg_settings s JOIN (VALUES"
            " ('client_connection_check_interval', '500'), ('idle_session_timeout', '0'),"
            " ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),"
            " ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '60000')"
            ") AS v (name, value) USING (name)"
        )
        self._end_lost_session()
        self._widen_socket()
        self._session = self.row(
            sa.text(
                "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity "
                "WHERE pid = pg_backend_pid()"
            )
        )
        pid = self._session[0]
        self.connection.commit()  # a session in a transaction is lent to nobody
        if self._driver.info.backend_pid != pid and not pools.keep_sessions(self._engine):
            raise WarehouseError(self._mixed_sessions())
        self._vigil = vigil.Vigil(self._driver, pid, self._engine.raw_connection)

    def _mixed_sessions(self) -> str:
        return (
            f"WAREHOUSE_URL {self.config.warehouse_url}: a pooler gives each transaction another "
            "session than the one that holds the lock; name the server itself, or have the pooler "
            "keep sessions (pool_mode=session)"
        )

    def _widen_socket(self) -> None:
        """A server on this machine has read what its socket holds within a millisecond, and then
        waits: with more on the way, our pauses are not its own. The system gives what it allows.
        """
        with socket.socket(fileno=os.dup(self._driver.fileno())) as ours:
            if ours.family == socket.AF_UNIX:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)

    def _current_schema(self) -> str:
        if self._home is None:
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: no schema of this user's search_path "
                "exists; name one in WAREHOUSE_SCHEMA"
            )
        return str(self._home)

    def _end_lost_session(self) -> None:
        """Make sure that our former connection's transaction and lock are over, either way."""
        if self._session is None:
            return
        pid, since = self._session
        until = time.monotonic() + _SETTLE_SECONDS
        while self.connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                "WHERE pid = :pid AND backend_start = :since"
            ),
            {"pid": pid, "since": since},
        ).first():
            self.connection.commit()  # the view shows one moment per transaction
            if time.monotonic() > until:
                raise TransientError(f"the lost session, server process {pid}, does not end")
            time.sleep(0.02)
        self.connection.commit()

    def commit(self, proof: sa.Select[Any] | None = None) -> None:
        try:
            self.connection.commit()
        except sa.exc.DBAPIError as error:
            if not self._driver.closed:
                raise  # the server says that it did not commit
            if not self._was_committed(proof, error):
                raise WarehouseError(
                    "the connection was lost while committing; nothing was published, "
                    "so it is safe to run again"
                ) from error

    def _was_committed(self, proof: sa.Select[Any] | None, lost: sa.exc.DBAPIError) -> bool:
        """Ask on a new connection what became of a COMMIT, once its session has ended."""
        reason: Exception = lost
        if proof is not None:
            try:
                self.close()
                self._await(lock=False, at_least=_SETTLE_SECONDS)
                return self.connection.execute(proof).first() is not None
            except (WarehouseError, sa.exc.DBAPIError) as error:
                if getattr(getattr(error, "orig", None), "pgcode", None) == _NO_SUCH_TABLE:
                    return False  # the transaction would have made it: this was the first night
                reason = error
        asked = "look into the tables" if proof is None else f"ask it: {self.text_of(proof)}"
        raise OutcomeUnknownError(
            f"the connection was lost while committing run {self.run_id}, and the warehouse does "
            f"not say what became of it ({explain(reason)}); {asked}; "
            "a row means that it was published, no row that nothing was"
        ) from lost

    def cancel(self) -> None:
        with suppress(psycopg2.Error, TimeoutError):  # no connection: nothing is running
            vigil.aside(self._driver.cancel, lambda _: None, _CANCEL_SECONDS)

    def cut(self) -> None:
        if self._vigil is not None:
            self._vigil.cut()

    def close(self) -> None:
        """The lock is given up first: the server ends the session only a moment after we have left,
        and whoever comes in that moment, such as our own next run, would be told that we hold it.
        """
        try:
            self._driver.rollback()
            self._driver.autocommit = True
            with self._driver.cursor() as cursor:
                cursor.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        except psycopg2.Error:  # the connection was lost: the server does the same
            if not self.connection.closed:
                self.connection.invalidate()
        looking, self._vigil = self._vigil, None
        if looking is not None:
            looking.close()
        super().close()

    def transient(self, error: Exception) -> TransientError | None:
        original = getattr(error, "orig", None) or error
        if not isinstance(original, psycopg2.Error):
            return None
        state = original.pgcode
        if state is None:
            is_lost = self._driver.closed and not isinstance(original, psycopg2.InterfaceError)
            return TransientError(f"the connection was lost: {explain(error)}") if is_lost else None
        if state not in _TRANSIENT and not state.startswith("08"):
            return None
        if state == _LOCK_NOT_AVAILABLE:
            return LockedError(explain(error) + self._blockers())
        return TransientError(explain(error))

    def _blockers(self) -> str:
        """Who else holds locks on the tables; readers block nothing but new columns."""
        try:
            self.connection.rollback()
            found = self.connection.execute(
                sa.text(
                    "SELECT DISTINCT l.pid, a.application_name, l.mode, c.relname "
                    "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation "
                    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                    "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                    "WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND l.granted "
                    "AND l.pid <> pg_backend_pid() "
                    "AND (l.mode <> 'AccessShareLock' OR :readers)"
                ),
                {"schema": self.schema, "readers": self._is_hurried},
            ).all()
        except sa.exc.DBAPIError:
            return ""
        return "".join(
            f"; server process {row.pid} ({row.application_name or 'unnamed'}) holds {row.mode} "
            f"on {row.relname}"
            for row in found
        )

    def _lock(self) -> None:
        number = zlib.crc32(self.schema.encode()) - (1 << 31)
        until = time.monotonic() + 1
        while not self.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCK_CLASS, number))):
            holder = self._holder(number)
            if holder is not None or time.monotonic() > until:
                raise BusyError(f"another run holds the warehouse: {holder or 'it is just ending'}")
            self.connection.commit()

    def _holder(self, number: int) -> str | None:
        row = self.connection.execute(
            sa.text(
                "SELECT a.application_name, a.pid, a.backend_start "
                "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = :class "
                "AND l.objid::bigint = :number "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ),
            {"class": _LOCK_CLASS, "number": number % (1 << 32)},
        ).first()
        if row is None:
            return None
        name = str(row.application_name).removeprefix("star-etl ")
        run_id, _, place = name.partition(" ")
        host, _, pid = place.rpartition(":")
        since = f"since {row.backend_start:%Y-%m-%d %H:%M:%S} UTC" if row.backend_start else ""
        return f"run {run_id} on {host}, process {pid}, {since} (server process {row.pid})"

    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError:
        reason = " ".join(str(error.orig).split())
        hint = libpq.hint(reason) or "check host, port, database, user and password"
        if "read-only" in reason:
            hint = "name a server and a role that may write: a standby cannot be loaded"
        told, kind = reason.lower(), WarehouseError
        if any(passing in told for passing in _TRANSIENT_REASONS):
            kind = TransientError
        if any(lasting in told for lasting in _LASTING_REASONS):
            kind = WarehouseError
        return kind(f"WAREHOUSE_URL {self.config.warehouse_url}: cannot connect ({reason}); {hint}")

    def _tune(self) -> None:
        self._is_hurried = False
        told = self.execute(
            sa.text(
                "SELECT pg_backend_pid() AS pid, "
                "pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, "
                "set_config('lock_timeout', :limit, true)"
            ),
            {"limit": f"{self.config.lock_timeout_seconds}s"},
        ).one()
        self._seen_whole = int(told.oldest)
        if self._session is not None and told.pid != self._session[0]:
            raise WarehouseError(self._mixed_sessions())
        self.connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")
        # What a deferred trigger does is done before the star is validated, not by the commit.
        self.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        self.connection.exec_driver_sql(  # an acknowledged commit must survive a crash
            "SELECT set_config(name, 'on', true) FROM pg_settings"
            " WHERE name = 'synchronous_commit' AND setting = 'off'"
        )

    def _has_schema(self) -> bool:
        """Asked of pg_catalog, as all else: information_schema hides what we do not own."""
        query = sa.text("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = :schema")
        return bool(self.execute(query, {"schema": self.schema}).scalar())

    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        return postgresql_tables(self.connection, self.schema, tables)

    def may_create(self) -> bool:
        query = sa.text(
            "SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace "
            "WHERE nspname = :schema), has_database_privilege(current_database(), 'CREATE'))"
        )
        return bool(self.execute(query, {"schema": self.schema}).scalar())

    def hurry(self) -> None:
        self._is_hurried = True
        self.connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")

    def add_columns(self, table: Table, columns: Sequence[sa.Column[Any]]) -> None:
        """References are declared with them, and proven of older rows by the load."""
        super().add_columns(table, columns)
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            if set(key.columns) <= set(columns):
                self.connection.exec_driver_sql(f"{self.text_of(AddConstraint(key))} NOT VALID")

    def grants(self, tables: Iterable[Table], role: str) -> list[str]:
        quoted = self._engine.dialect.identifier_preparer.quote
        grantee, names = quoted(role), ", ".join(map(self.qualified, tables))
        database = quoted(str(self.scalar(sa.select(sa.func.current_database()))))
        return [
            f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {grantee};",
            f"GRANT USAGE ON SCHEMA {quoted(self.schema)} TO {grantee};",
            f"GRANT SELECT, INSERT, UPDATE ON {names} TO {grantee};",
        ]

    def encoders(self) -> int:
        """One core is left to the server: it needs longer than they do, and may be on this one."""
        return max(1, self.config.workers - 1)

    def encode(self, batch: pa.Table, table: Table) -> Encoded:  # noqa: ARG002
        return binary_copy.encoded(batch)

    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        columns = ", ".join(self.quoted(c.name) for c in table.columns)
        # Nobody can see a table of this transaction, so its rows need no test of who may in any
        # of the ten passes that follow.
        options = "FORMAT binary, FREEZE" if self.is_created(table) else "FORMAT binary"
        stream = _Stream(batches)
        statement = f"COPY {self.qualified(table)} ({columns}) FROM STDIN ({options})"
        try:
            with self._driver.cursor() as cursor:
                copies.copy(cursor, statement, stream)
        except psycopg2.Error:
            if stream.error is not None:  # what psycopg2 tells of as a cancelled statement
                raise stream.error from None
            raise

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        buffer = io.BytesIO()
        with driver.cursor() as cursor:
            query = f"COPY ({self.text_of(statement)}) TO STDOUT (FORMAT csv)"
            copies.copy(cursor, query, buffer)
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

    def mark(self, tables: Sequence[Table], counts: Mapping[str, int], last: str) -> str:
        number = int(self.scalar(sa.text("SELECT pg_current_xact_id()::text")))
        rows = [counts[table.name] for table in tables]
        known = row_versions.parsed(last)
        return row_versions.note(self._system(), self._seen_whole, number, rows, known)

    def untouched_since(self, mark: str, tables: Sequence[Table]) -> bool:
        """Every row version was there at `mark` or is of its transaction, and none is gone."""
        known = row_versions.parsed(mark)
        if known is None or len(known.rows) != len(tables):
            return False
        for table, rows in zip(tables, known.rows, strict=True):
            foreign = sa.func.count().filter(self.unproven(mark))
            if self.row(sa.select(sa.func.count(), foreign).select_from(table)) != (rows, 0):
                return False
        return True

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # keys and indexes are built after the rows, five times faster
            self.execute(CreateTable(_without_keys(table)))
        else:
            self.execute(CreateTable(table))

    def complete(self, table: Table) -> None:
        self.execute(AddConstraint(table.primary_key))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            self.execute(CreateIndex(index))
        # A hash join reads the whole table for each of them; merged, the indexes are enough.
        self.connection.exec_driver_sql("SET LOCAL enable_hashjoin = off")
        for constraint in sorted(table.foreign_key_constraints, key=lambda c: str(c.name)):
            self.execute(AddConstraint(constraint))
        self.connection.exec_driver_sql("RESET enable_hashjoin")
        self._proven.append(table)

    def _survey(self, table: Table, key: str) -> None:
        """Else the whole fact is hashed, for a few rows to be found in it."""
        quote = self._engine.dialect.identifier_preparer.quote
        self.connection.exec_driver_sql(f"ANALYZE {self.qualified(table)} ({quote(key)})")

    def enforces_primary_key(self, table: Table) -> bool:
        found = self.execute(
            sa.text(
                "SELECT count(*) FROM pg_catalog.pg_constraint k "
                "JOIN pg_catalog.pg_class c ON c.oid = k.conrelid "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = :schema AND c.relname = :table AND k.contype = 'p'"
            ),
            {"schema": self.schema, "table": table.name},
        )
        return bool(found.scalar())

    def unproven(self, mark: str) -> sa.ColumnElement[bool]:
        known = row_versions.parsed(mark)
        if known is None or known.system != self._system():
            return sa.true()
        now = int(self.scalar(sa.text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")))
        return row_versions.foreign(known, now)

    def _system(self) -> str:
        """Which server's transactions are counted; nothing, where this role is not told."""
        told = sa.func.has_function_privilege("pg_catalog.pg_control_system()", "execute")
        if not self.scalar(sa.select(told)):
            return ""
        query = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
        return str(self.scalar(sa.text(query)))

    def binary(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.collate(column, "C")


@contextmanager
def _private_umask() -> Iterator[None]:
    """What is created in this block is for us alone. All threads of a process share one umask."""
    with _UMASK:
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


class _Stream(io.RawIOBase):
    """Encoded batches as the one file that COPY reads."""

    def __init__(self, batches: Iterable[Encoded]) -> None:
        self.error: BaseException | None = None
        pieces = chain.from_iterable(batches)
        self._chunks = chain([binary_copy.HEADER], pieces, [binary_copy.TRAILER])

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        """The next piece, however large: it is handed on as it is, and copied by libpq only."""
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            self.error = error
            raise

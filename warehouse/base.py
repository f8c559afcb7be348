"""A warehouse of any engine: connection, lock, transaction, staging. No table is known by name."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.schema import CreateColumn, CreateSchema, CreateTable
from tenacity import RetryCallState

from common.descriptions import comment_on
from common.star_model import ADDED_LATE, business_key, growth_value, plain_type, unknown_member
from config import StarSchemaConfig
from errors import TransientError, WarehouseError
from warehouse.catalog import PresentTable, Relation
from warehouse.failures import explain
from warehouse.questions import Question
from warehouse.retry import waiting

Encoded: TypeAlias = list[pa.RecordBatch] | list[bytes]
"""A batch in pieces, as the engine's bulk load takes them."""

_log = logging.getLogger("star_etl")


class Warehouse(ABC):
    """A connection that holds the warehouse's lock, and its one transaction at a time."""

    staging_schema: str
    leaves_out_joins = False
    """Whether a query of a view is spared the outer joins that it does not need."""
    has_roles = False
    """Whether several people have rights of their own here."""
    staging_grants = "", ""
    """Rights on the database and on the schema without which no row is staged."""
    grows_apart = False
    """Whether adding a column locks readers out. It is then added in a short transaction of its
    own, before the load.
    """

    def __init__(self, config: StarSchemaConfig, run_id: str, *, only_reads: bool = False) -> None:
        """`only_reads`: nothing is locked, and nothing can be written."""
        self.config = config
        self.run_id = run_id
        self.only_reads = only_reads
        self.warnings: list[str] = []
        self.grown_apart: list[sa.Column[Any]] = []
        """Columns that were added and committed before the load: a retry finds them there."""
        self._created: list[Table] = []
        self._proven: list[Table] = []
        self._engine = self._create_engine()
        self._await(lock=not only_reads)

    @classmethod
    def absent(cls, url: sa.URL) -> tuple[str, bool] | None:  # noqa: ARG003
        """What to say of a warehouse that is not there until the first run makes it, and whether it
        can be made; None of all others.
        """
        return None

    def _await(self, *, lock: bool = True, at_least: float = 0) -> None:
        """Connect. Where a server is starting, or full, it is tried again for RETRY_SECONDS, or for
        `at_least` seconds if that is longer.
        """
        seconds = max(self.config.retry_seconds, at_least)

        def warn(state: RetryCallState) -> None:
            if state.attempt_number == 1 and state.outcome is not None:
                reason = explain(state.outcome.exception() or TransientError())
                _log.warning("%s; it is waited for, %s seconds at most", reason, seconds)

        waiting(seconds, warn)(self._connect, lock=lock)

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
        self._set_transaction_options()

    def commit(self, proof: sa.Select[Any] | None = None) -> None:  # noqa: ARG002
        """Publish. If the connection is lost before the server has answered, `proof` is run on a
        new one: it selects a row if the transaction was committed, and none otherwise.

        Raises `OutcomeUnknownError` if that gets no answer either.
        """
        self.connection.commit()

    def transient(self, error: Exception) -> TransientError | None:  # noqa: ARG002
        """What to raise instead of `error` if it may help to try the whole transaction again, such
        as after a deadlock or a lost connection; None if it cannot help.
        """
        return None

    def cancel(self) -> None:
        """Ask the server to end the statement that is running. Any thread may call this."""

    def cut(self) -> None:
        """Break the connection, so that a statement that waits fails. Any thread may call this."""

    def spill_into(self, folder: Path) -> None:
        """Use `folder` for temporary files of an engine that works in this process: they are
        removed with it, also after a crash.
        """

    def aside(self) -> AbstractContextManager[None]:
        """A part of the transaction without which the rest can be published. Where the engine can
        take back a part, it raises `LeftOutError` for what is refused or locked.
        """
        return nullcontext()

    def rollback(self) -> None:
        """Leave the warehouse as it was."""
        self.connection.rollback()

    def close(self) -> None:
        """Roll back what is open, release the lock, disconnect."""
        with suppress(sa.exc.DBAPIError):  # of a lost connection the server rolls back by itself
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
        rows = self.connection.execute(statement).all()  # all: else DuckDB's query stays open
        return rows[0][0] if rows else None

    # --- tables ----------------------------------------------------------------------------

    def create_schema(self) -> None:
        """Make the schema of the star, if it is not there."""
        if not self._has_schema():
            self.execute(CreateSchema(self.schema, if_not_exists=True))

    def create(self, table: Table) -> None:
        """Create a table. Keys and indexes that would slow the load come later, by `complete`."""
        self._create(table)
        self._created.append(table)

    def add_columns(self, table: Table, columns: Sequence[sa.Column[Any]]) -> None:
        """Add declared columns to a table that is there. Its rows get `schema.growth_value`. Where
        that is None they have no value, though the column is declared NOT NULL: the comment on the
        column, which ends with `schema.ADDED_LATE`, tells later runs that these need none.
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
                late = self.literal(comment_on(column, ADDED_LATE))
                self.connection.exec_driver_sql(
                    f"COMMENT ON COLUMN {place}.{self.quoted(column.name)} IS {late}"
                )

    def hurry(self) -> None:
        """Wait only a moment for locks in this transaction: while we wait for a lock on a table,
        everybody else who wants the table waits behind us.
        """

    def may_create(self) -> bool:
        """Whether our role may make tables here."""
        return True

    def type_name(self, kind: sa.types.TypeEngine[Any]) -> str:
        """The engine's name of a type."""
        return kind.compile(self._engine.dialect)

    @abstractmethod
    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        """Those of `tables` that are in the warehouse, by name."""

    @abstractmethod
    def relations(self, names: Sequence[str], *, with_columns: bool = True) -> dict[str, Relation]:
        """What has one of `names` in the schema, and its comments; those of columns may be left out
        where they take long, unless they are wanted.
        """

    def version(self) -> str:
        """Name and version of the engine, in its own words."""
        return str(self.scalar(sa.select(sa.func.version()))).partition(" on ")[0]

    def problems(self) -> list[str]:
        """What is wrong with the engine's own setup, so that a load would fail; for `check`."""
        return []

    def complete(self, table: Table) -> None:
        """Add the keys and indexes that `create` has left out, once the rows are in."""

    def complete_created(self) -> None:
        """`complete` every table made in this transaction that was not completed yet."""
        for table in self._created:
            if table.foreign_keys and not self.is_proven(table):
                self.complete(table)

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

    def stage(
        self,
        table: Table,
        columns: Sequence[str],
        batches: Iterable[Encoded],
        purpose: str = "stage",
    ) -> Table:
        """Bulk load encoded batches into a new temporary table like `table` with `columns`; its
        name begins with `purpose`.
        """
        copies = [sa.Column(name, plain_type(table.columns[name])) for name in columns]
        staging = self.temporary(f"{purpose}_{table.name}", copies, table)
        self.append(staging, batches)
        if not self.is_created(table):
            self._analyze(staging, business_key(table).name)
        return staging

    def temporary(
        self,
        name: str,
        columns: Sequence[sa.Column[Any]],
        table: Table,  # noqa: ARG002
    ) -> Table:
        """A new, empty table of this transaction, for rows that are to change `table`."""
        made = Table(name, MetaData(), *columns, schema=self.staging_schema, prefixes=["TEMPORARY"])
        self.execute(sa.schema.DropTable(made, if_exists=True))
        self.execute(CreateTable(made))
        return made

    def keep_changes(
        self, statement: sa.Select[Any], table: Table, purpose: str = "changes"
    ) -> Table:
        """The rows of `statement`, which are to change `table`, as a new temporary table. It is
        joined to `table` by its last column; its name begins with `purpose`.
        """
        columns = [sa.Column(c.name, c.type) for c in statement.selected_columns]
        kept = self.temporary(f"{purpose}_{table.name}", columns, table)
        self.execute(sa.insert(kept).from_select([c.name for c in columns], statement))
        if not self.is_created(table):
            self._analyze(kept, columns[-1].name)
        return kept

    def make_room_for_removals(self, rows: int) -> None:
        """Rows of a table that has `rows` are about to be deleted in this transaction."""

    def overwrite(self, table: Table, changes: Table, known: sa.ColumnElement[Any]) -> None:
        """Give the rows of `table` whose business key is `known` in `changes` the values there."""
        key = business_key(table)
        values = {c.name: changes.c[c.name] for c in table.columns if c is not key}
        self.execute(sa.update(table).values(values).where(key == known))

    def rename_keys(self, table: Table, renamed: Table) -> None:
        """Give the rows of `table` whose business key is `old` in `renamed` the one that is `new`
        there. No row has a new one yet.
        """
        key = business_key(table)
        self.execute(sa.update(table).values({key.name: renamed.c.new}).where(key == renamed.c.old))

    def _analyze(self, table: Table, key: str) -> None:
        """Tell the engine's planner how many rows and how many keys a staged table has. Without
        that it may read the whole fact table to find a few rows of it.
        """

    def is_proven(self, table: Table) -> bool:
        """Whether this transaction has made `table`, and the engine has checked on all its rows
        what is declared: NOT NULL, the primary key, the foreign keys.
        """
        return table in self._proven

    def enforces_primary_key(self, table: Table) -> bool:  # noqa: ARG002
        """Whether the engine itself guarantees that the key of `table` is unique."""
        return False

    def rows_changed_since(self, snapshot: str) -> sa.ColumnElement[bool]:  # noqa: ARG002
        """A condition on rows that somebody may have changed since `snapshot`; true where the
        engine cannot tell.
        """
        return sa.true()

    @abstractmethod
    def snapshot(self, tables: Sequence[Table], counts: Mapping[str, int], last: str) -> str:
        """The state of `tables` as a text by which a later run can tell whether anybody has changed
        them. It is taken just before the commit; `counts` has the rows of each table by name,
        `last` is the snapshot of the run before, or "".
        """

    @abstractmethod
    def untouched_since(self, snapshot: str, tables: Sequence[Table]) -> bool:
        """Whether `tables` are as in `snapshot`, that of the run that was published last."""

    def drop(self, table: Table) -> None:
        """Drop a temporary table."""
        self.execute(sa.schema.DropTable(table))

    def qualified(self, table: Table) -> str:
        """The quoted name of `table`, schema included."""
        return f"{self.quoted(table.schema or self.schema)}.{self.quoted(table.name)}"

    def quoted(self, name: str) -> str:
        """A name as it stands in SQL."""
        return str(self._engine.dialect.identifier_preparer.quote(name))

    def literal(self, text: str) -> str:
        """A text as it stands in SQL, where a statement takes no parameter."""
        options = {"literal_binds": True}
        return str(sa.literal(text).compile(self._engine, compile_kwargs=options))

    def by_code_point(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Text to sort by: in the order of code points, which is the same in every locale."""
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
        """How many workers should `encode` batches while `append` loads them."""
        return self.config.workers

    @abstractmethod
    def encode(self, batch: pa.Table, table: Table) -> Encoded:
        """A batch in the form that `append` loads into `table`. Any thread may call this."""

    @abstractmethod
    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        """Bulk load encoded batches, whose columns are all of `table`'s, in its order."""

    @abstractmethod
    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        """The rows of `statement` as one Arrow table."""

    @abstractmethod
    def stream(self, statement: sa.Select[Any], write: Callable[[pa.Table], None]) -> None:
        """Hand the rows of `statement`, which are text, to `write` in pieces."""

    @abstractmethod
    def ask(self, question: Question, write: Callable[[pa.Table], None]) -> pa.Schema:
        """Hand the answer to `question` to `write` in pieces; returns their schema. Names of tables
        mean those of the star.
        """

    @abstractmethod
    def _create(self, table: Table) -> None: ...

    def _set_transaction_options(self) -> None:
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

    @abstractmethod
    def _has_schema(self) -> bool: ...

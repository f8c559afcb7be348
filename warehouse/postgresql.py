"""PostgreSQL as the warehouse: one schema, and an advisory lock that keeps other runs out."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import psycopg2
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable

from common import libpq, watchdog
from common.star_model import KeyText
from errors import (
    LeftOutError,
    LockedError,
    OutcomeUnknownError,
    TransientError,
    WarehouseError,
)
from warehouse import binary_copy, copies, pools, postgresql_answers, row_versions
from warehouse import postgresql_catalog as catalog
from warehouse import postgresql_locks as locks
from warehouse.bare_tables import without_keys
from warehouse.base import Encoded, Warehouse
from warehouse.catalog import PresentTable, Relation
from warehouse.failures import explain
from warehouse.questions import Question

_TRANSIENT = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03"}
"""SQLSTATEs after which the whole transaction can be tried again, beside class 08."""
_LOCK_NOT_AVAILABLE = "55P03"
_REFUSED = {"0A", "2B", "42"}
"""Classes of SQLSTATEs of what is not supported, would break what depends on it, or is not allowed.
"""
_NO_SUCH_TABLE = "42P01"
_TRANSIENT_REASONS = (
    "is the server running", "not yet accepting connections", "no more connections allowed",
    "cannot connect to server",
    "connection refused", "timeout expired", "timed out", "temporary failure in name resolution",
    "starting up", "shutting down", "in recovery mode", "too many clients", "too many connections",
    "remaining connection slots", "server closed the connection", "connection reset",
)  # fmt: skip
"""Words of failed connections that may succeed a moment later; these have no SQLSTATE."""
_LASTING_REASONS = (
    "certificate", "does not support ssl", "authentication failed", "pg_hba.conf", "does not exist",
)  # fmt: skip
"""Words of those that will fail again, even if another of several hosts was only away."""
_SESSION = (
    "SET search_path = pg_catalog, pg_temp",
    "SET timezone = 'UTC'",
    "SET quote_all_identifiers = off",  # in names of types that the catalog gives
    "SET row_security = off",  # rows that a policy hides are an error, not rows that are missing
)
"""What our statements rely on, whatever defaults a role or a database has."""
_READS = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SOCKET_BYTES = 4 << 20
_DIAL_SECONDS = 60  # to connect
_CANCEL_SECONDS = 3  # to tell a server that a statement is to be ended
_SETTLE_SECONDS = 10  # for a server that restarts, and for a lost session to end


@compiles(KeyText, "postgresql")
def _by_code_points(kind: KeyText, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return 'TEXT COLLATE "C"'


class PostgreSql(Warehouse):
    """A PostgreSQL database. An advisory lock, one per schema, keeps other runs out."""

    staging_schema = "pg_temp"
    has_roles = leaves_out_joins = True
    grows_apart = True

    citus = ""
    """Version of the extension Citus, if this database has it."""
    _settling = ""
    """What to say, beside, of a commit whose outcome nobody knows."""
    _stages_there = False
    """Whether staged rows are in tables of the star's schema, and not in temporary ones."""
    staging_grants = "CONNECT, TEMPORARY", "USAGE"

    _is_hurried = False
    _session: tuple[Any, ...] | None = None
    _watchdog: watchdog.Watchdog | None = None
    _seen_whole = 0
    """Transactions below this number had ended when ours began: we see all that they wrote."""
    _home: str | None = None

    def _create_engine(self) -> sa.Engine:
        name = f"star-etl {self.run_id} {socket.gethostname()[:20]}:{os.getpid()}"
        url = self.config.warehouse_url
        options: dict[str, Any] = {
            "application_name": name,
            "target_session_attrs": "any" if self.only_reads else "read-write",  # no standby
            **libpq.connection_options(url),
            **url.query,
            "client_encoding": "utf8",  # what we send, whatever the server or the user prefers
        }
        if doubt := libpq.doubt(url, "WAREHOUSE_URL"):
            self.warnings.append(doubt)
        return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)

    def _dial(self) -> Connection:
        try:
            return watchdog.in_a_thread(super()._dial, Connection.close, _DIAL_SECONDS)
        except TimeoutError:
            raise TransientError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: no answer within {_DIAL_SECONDS} s; "
                "check host and port"
            ) from None

    def _prepare(self) -> None:
        """Set what a session needs.

        The server notices within a second that our process was killed, and within one or two
        minutes that our machine is gone: only then is the lock free for the next run. It does not
        end our session while a run reads its sources and sends no statement. A search_path of our
        own makes sure that names mean the functions and tables of pg_catalog.
        """
        self._home, citus = self.row(
            sa.text(
                "SELECT pg_catalog.current_schema(), (SELECT extversion "
                "FROM pg_catalog.pg_extension WHERE extname = 'citus')"
            )
        )
        self.citus = str(citus or "")
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
        self.connection.commit()  # a pooler lends no session that is in a transaction
        if self._driver.info.backend_pid != pid and not pools.keep_sessions(self._engine):
            raise WarehouseError(self._mixed_sessions())
        self._watchdog = watchdog.Watchdog(self._driver, pid, self._engine.raw_connection)

    def _mixed_sessions(self) -> str:
        return (
            f"WAREHOUSE_URL {self.config.warehouse_url}: a pooler gives each transaction another "
            "session than the one that holds the lock; name the server itself, or have the pooler "
            "keep sessions (pool_mode=session)"
        )

    def _widen_socket(self) -> None:
        """Over a local socket the server reads faster than we encode, and waits for us. A larger
        buffer keeps it busy while we pause. The system gives as much of it as it allows.
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
        """End the session of our connection before this one, if it is still there: its transaction
        is then committed or rolled back, and its lock is free.
        """
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
            self.connection.commit()  # in one transaction the view always shows the same
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
        """Whether a COMMIT that got no answer succeeded. It is asked on a new connection, when the
        lost session has ended.
        """
        reason: Exception = lost
        if proof is not None:
            try:
                self.close()
                self._await(lock=False, at_least=_SETTLE_SECONDS)
                return self.connection.execute(proof).first() is not None
            except (WarehouseError, sa.exc.DBAPIError) as error:
                if getattr(getattr(error, "orig", None), "pgcode", None) == _NO_SUCH_TABLE:
                    return False  # the lost transaction was the first load, which makes the table
                reason = error
        asked = "look into the tables" if proof is None else f"ask it: {self.text_of(proof)}"
        raise OutcomeUnknownError(
            f"the connection was lost while committing run {self.run_id}, and the warehouse does "
            f"not say what became of it ({explain(reason)}); {asked}; "
            f"a row means that it was published, no row that nothing was{self._settling}"
        ) from lost

    def cancel(self) -> None:
        with suppress(psycopg2.Error, TimeoutError):  # without a connection nothing is running
            watchdog.in_a_thread(self._driver.cancel, lambda _: None, _CANCEL_SECONDS)

    def cut(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cut()

    def close(self) -> None:
        """The lock is released first: the server ends a session a moment after we disconnect, and a
        run that starts in that moment would find the warehouse busy.
        """
        try:
            self._driver.rollback()
            self._driver.autocommit = True
            with self._driver.cursor() as cursor:
                cursor.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        except psycopg2.Error:  # the connection was lost: the server releases the lock by itself
            if not self.connection.closed:
                self.connection.invalidate()
        watching, self._watchdog = self._watchdog, None
        if watching is not None:
            watching.close()
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
            holders = locks.holders(self.connection, self.schema, readers=self._is_hurried)
            return LockedError(explain(error) + holders)
        return TransientError(explain(error))

    def _lock(self) -> None:
        locks.take(self.connection, self.schema)

    def _unreachable(self, error: sa.exc.DBAPIError) -> WarehouseError:
        reason = " ".join(str(error.orig).split())
        hint = libpq.hint(reason) or "check host, port, database, user and password"
        if "read-only" in reason:
            hint = "name a server and a role that may write: a standby cannot be loaded"
        words, kind = reason.lower(), WarehouseError
        if any(passing in words for passing in _TRANSIENT_REASONS):
            kind = TransientError
        if any(lasting in words for lasting in _LASTING_REASONS):
            kind = WarehouseError
        return kind(f"WAREHOUSE_URL {self.config.warehouse_url}: cannot connect ({reason}); {hint}")

    def _set_transaction_options(self) -> None:
        self._is_hurried = False
        if self.only_reads:  # all that is asked is of one moment
            self.connection.exec_driver_sql(_READS)
        begun = self.execute(
            sa.text(
                "SELECT pg_backend_pid() AS pid, "
                "pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, "
                "set_config('lock_timeout', :limit, true)"
            ),
            {"limit": f"{self.config.lock_timeout_seconds}s"},
        ).one()
        self._seen_whole = int(begun.oldest)
        if self._session is not None and begun.pid != self._session[0]:
            raise WarehouseError(self._mixed_sessions())
        self.connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")
        # Deferred triggers then run before the star is validated, and not by the commit.
        self.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        self.connection.exec_driver_sql(  # a commit must survive a crash of the server
            "SELECT set_config(name, 'on', true) FROM pg_settings"
            " WHERE name = 'synchronous_commit' AND setting = 'off'"
        )

    def _has_schema(self) -> bool:
        """From pg_catalog: information_schema hides schemas that our role does not own."""
        query = sa.text("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = :schema")
        return bool(self.execute(query, {"schema": self.schema}).scalar())

    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        here = self.connection, self.schema
        return catalog.present_tables(*here, tables, stages_there=self._stages_there)

    def relations(self, names: Sequence[str], *, with_columns: bool = True) -> dict[str, Relation]:  # noqa: ARG002
        return catalog.relations(self.connection, self.schema, names)

    def may_create(self) -> bool:
        query = sa.text(
            "SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace "
            "WHERE nspname = :schema), has_database_privilege(current_database(), 'CREATE'))"
        )
        return bool(self.execute(query, {"schema": self.schema}).scalar())

    @contextmanager
    def aside(self) -> Iterator[None]:
        try:
            with self.connection.begin_nested():
                self.hurry()
                yield
                limit = f"{self.config.lock_timeout_seconds}s"
                self.execute(sa.text("SET LOCAL lock_timeout = :limit"), {"limit": limit})
        except sa.exc.DBAPIError as error:
            state = getattr(error.orig, "pgcode", None) or ""
            if state != _LOCK_NOT_AVAILABLE and state[:2] not in _REFUSED:
                raise
            raise LeftOutError(explain(self.transient(error) or error)) from error
        self._is_hurried = False

    def hurry(self) -> None:
        self._is_hurried = True
        self.connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")

    def add_columns(self, table: Table, columns: Sequence[sa.Column[Any]]) -> None:
        """With their foreign keys, checked for new rows only until the load is audited."""
        super().add_columns(table, columns)
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            if set(key.columns) <= set(columns):
                self.connection.exec_driver_sql(f"{self.text_of(AddConstraint(key))} NOT VALID")

    def encoders(self) -> int:
        """One core is left to the server: it may run on this machine, and is the slower part."""
        return max(1, self.config.workers - 1)

    def encode(self, batch: pa.Table, table: Table) -> Encoded:  # noqa: ARG002
        return binary_copy.encoded(batch)

    def append(self, table: Table, batches: Iterable[Encoded]) -> None:
        columns = ", ".join(self.quoted(c.name) for c in table.columns)
        options = self._copy_options(table)
        statement = f"COPY {self.qualified(table)} ({columns}) FROM STDIN ({options})"
        copies.copy_in(self._driver, statement, batches)

    def _copy_options(self, table: Table) -> str:
        """FREEZE is allowed where nobody else can see a table of this transaction. Each of the ten
        scans that follow then skips the check whether its rows are visible.
        """
        return "FORMAT binary, FREEZE" if self.is_created(table) else "FORMAT binary"

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        query = f"COPY ({self.text_of(statement)}) TO STDOUT (FORMAT csv)"
        columns = [cast("sa.Column[Any]", column) for column in statement.selected_columns]
        return copies.copy_out(driver, query, columns)

    def stream(self, statement: sa.Select[Any], write: Callable[[pa.Table], None]) -> None:
        query = f"COPY ({self.text_of(statement)}) TO STDOUT (FORMAT csv)"
        copies.copy_pieces(self._driver, query, statement.selected_columns.keys(), write)

    def ask(self, question: Question, write: Callable[[pa.Table], None]) -> pa.Schema:
        return postgresql_answers.ask(self._driver, question, self.schema, write)

    def snapshot(self, tables: Sequence[Table], counts: Mapping[str, int], last: str) -> str:
        number = int(self.scalar(sa.text("SELECT pg_current_xact_id()::text")))
        rows = [counts[table.name] for table in tables]
        known = row_versions.parsed(last)
        return row_versions.note(self._system(), self._seen_whole, number, rows, known)

    def untouched_since(self, snapshot: str, tables: Sequence[Table]) -> bool:
        """No row was written by another transaction since, and there are as many rows as then."""
        known = row_versions.parsed(snapshot)
        if known is None or len(known.rows) != len(tables):
            return False
        for table, rows in zip(tables, known.rows, strict=True):
            foreign = sa.func.count().filter(self.rows_changed_since(snapshot))
            if self.row(sa.select(sa.func.count(), foreign).select_from(table)) != (rows, 0):
                return False
        return True

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # keys and indexes cost a fifth once the rows are in
            self.execute(CreateTable(without_keys(table)))
        else:
            self.execute(CreateTable(table))
            self._create_indexes(table)

    def _create_indexes(self, table: Table) -> None:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            self.execute(CreateIndex(index))

    def complete(self, table: Table) -> None:
        self.execute(AddConstraint(table.primary_key))
        self._create_indexes(table)
        # Foreign keys are checked by a join. A hash join reads the whole table for each of them, a
        # merge join reads the indexes only.
        self.connection.exec_driver_sql("SET LOCAL enable_hashjoin = off")
        for constraint in sorted(table.foreign_key_constraints, key=lambda c: str(c.name)):
            self.execute(AddConstraint(constraint))
        self.connection.exec_driver_sql("RESET enable_hashjoin")
        self._proven.append(table)

    def _analyze(self, table: Table, key: str) -> None:
        """Without it PostgreSQL hashes the whole fact table to find a few rows of it."""
        quote = self._engine.dialect.identifier_preparer.quote
        self.connection.exec_driver_sql(f"ANALYZE {self.qualified(table)} ({quote(key)})")

    def enforces_primary_key(self, table: Table) -> bool:
        return catalog.has_primary_key(self.connection, self.schema, table)

    def rows_changed_since(self, snapshot: str) -> sa.ColumnElement[bool]:
        known = row_versions.parsed(snapshot)
        if known is None or known.system != self._system():
            return sa.true()
        now = int(self.scalar(sa.text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")))
        return row_versions.foreign(known, now)

    def _system(self) -> str:
        return catalog.system_identifier(self.connection)

    def by_code_point(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.collate(column, "C")

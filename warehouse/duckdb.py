"""DuckDB as the warehouse: one file, and one run at a time that has it open."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Connection, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from common import duck
from common.arrow_types import arrow_schema
from common.files import LockFile, private_folder
from common.star_model import KeyText, business_key
from errors import BusyError, RequestError, WarehouseError
from warehouse.bare_tables import without_keys
from warehouse.base import Encoded, Warehouse
from warehouse.catalog import PresentTable, Relation
from warehouse.duckdb_catalog import present_tables, relations
from warehouse.questions import Question

_UMASK = threading.Lock()
_open_files: dict[tuple[int, int] | None, str] = {}
"""DuckDB files that runs of this process hold, by device and inode, and who that is."""
_MEMORY_MB, _MEMORY_MB_A_WORKER = 128, 64
"""What DuckDB may take. A thread that loads facts holds up to 122,880 of them, some 25 MB, until it
writes them. Sixteen threads that have less than this together spill what they hold, and need two
thirds more processor time.
"""
_STREAMED_ROWS = 50_000
_ASKING = duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN
"""The statements that have an answer and change nothing, if the file is opened for reading only."""
_SUFFIXES = ("", ".db", ".ddb", ".duckdb")
"""DuckDB takes an empty file with such a suffix for a new database, with others for data."""


@compiles(KeyText, "duckdb")
def _by_code_points(kind: KeyText, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return 'TEXT COLLATE "C"'


class _DistinctText(KeyText):
    """Text of which no value comes twice, as the business key of a fact."""


@compiles(_DistinctText, "duckdb")
def _not_by_dictionary(kind: _DistinctText, compiler: Any, **options: Any) -> str:
    """DuckDB would make a dictionary of each few thousand keys, which takes four times as long as
    zstd, and two fifths of the time of a load; the whole file is a twentieth smaller for it.
    """
    return f"{_by_code_points(kind, compiler, **options)} USING COMPRESSION zstd"


class DuckDb(Warehouse):
    """A DuckDB file. Its own file lock keeps other processes out."""

    staging_schema = "temp"

    _held: LockFile | None = None
    _identity: tuple[int, int] | None = None

    @classmethod
    def absent(cls, url: sa.URL) -> tuple[str, bool] | None:
        file = Path(str(url.database))
        if file.exists():
            return None
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        if folder.is_dir() and os.access(folder, os.W_OK):
            return "the file does not exist yet; the first run creates it", True
        return f"problem: WAREHOUSE_URL {url}: nothing can be made in {folder}", False

    def _create_engine(self) -> sa.Engine:
        url = self.config.warehouse_url
        # Under the name of a link there would be a second lock and a second journal.
        self._file = Path(str(url.database)).resolve()
        url = url.set(database=str(self._file))
        engine = sa.create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"read_only": True} if self.only_reads else {},
        )
        engine.dialect.supports_native_decimal = True  # otherwise sums pass through a float
        return engine

    def _dial(self) -> Connection:
        """Lock the file, then open it. DuckDB has a lock of its own, which keeps out other
        processes, but no second run in this one, and does not say who holds it.
        """
        if self.only_reads:
            self._refuse_other_files(self._file)
            return super()._dial()
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
        """DuckDB opens a data file, such as a CSV file, as a database in memory: what a run
        published would be gone when it ends.
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
        if head[8:] != b"DUCK" and (head or path.suffix.lower() not in _SUFFIXES):
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: the file is not a DuckDB database; "
                "name another, or move this one away and the next run makes a new one"
            )

    def cut(self) -> None:
        """End the statement. What a signal raises does so at once, unless it is lost on its way
        through DuckDB.
        """
        with suppress(duckdb.Error):  # a connection that is closed runs nothing
            self._driver.interrupt()

    def close(self) -> None:
        super().close()
        self._release()

    def _take_file(self, me: str) -> None:
        """Refuse a file that a run of this process has open under another name, such as a hard
        link: neither our lock nor DuckDB's notices that.
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
            ("memory_limit", self._memory()),
            ("temp_directory", _literal(self.config.work_dir)),
            ("preserve_insertion_order", "false"),
        ):
            if name != "temp_directory" or self._spills_into() != str(self.config.work_dir):
                self._set(name, value)
        duck.without_progress_bar(self._driver)

    def _spills_into(self) -> str:
        """Where it is: of several readers in this process the first says so for all, and once it is
        in use it cannot even be set to the same.
        """
        asked = sa.func.current_setting("temp_directory")
        return str(self.scalar(sa.select(asked)))

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
        return present_tables(self.connection, self.schema, named)

    def relations(self, names: Sequence[str], *, with_columns: bool = True) -> dict[str, Relation]:
        return relations(self.connection, self.schema, names, with_columns=with_columns)

    def encoders(self) -> int:
        """Fewer than there are workers: DuckDB itself takes three quarters of the processor time,
        and a batch that waits for it takes 40 MB.
        """
        return min(self.config.workers, 2 + self.config.workers // 4)

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

    def make_room_for_removals(self, rows: int) -> None:
        """Of the 2,048 rows around each deleted one DuckDB keeps 32 KB in memory until the commit,
        beside what its statements need.
        """
        self._set("memory_limit", self._memory(rows * 16 // 1_000_000))

    def _memory(self, more: int = 0) -> str:
        workers = max(self.config.workers, 2)
        return f"'{_MEMORY_MB + _MEMORY_MB_A_WORKER * workers + more}MB'"

    def overwrite(self, table: Table, changes: Table, known: sa.ColumnElement[Any]) -> None:
        """Other rows take their place. An update would write the old and new values of the 2,048
        rows around each one, and the commit of ten million facts takes five seconds for that. The
        fact has no key here that a second row would break.
        """
        self.execute(sa.delete(table).where(business_key(table) == known))
        rows = sa.select(*(changes.c[c.name] for c in table.columns)).where(known.is_not(None))
        self.execute(sa.insert(table).from_select(table.columns.keys(), rows))

    def fetch(self, statement: sa.Select[Any]) -> pa.Table:
        driver: Any = self.connection.connection.driver_connection
        return driver.sql(self.text_of(statement)).to_arrow_table()

    def stream(self, statement: sa.Select[Any], write: Callable[[pa.Table], None]) -> None:
        driver: Any = self.connection.connection.driver_connection
        for piece in driver.sql(self.text_of(statement)).to_arrow_reader(_STREAMED_ROWS):
            write(pa.table(piece))

    def ask(self, question: Question, write: Callable[[pa.Table], None]) -> pa.Schema:
        self._set("schema", _literal(self.schema))
        values = dict(question.values)
        text = question.text_for("${}".format)
        for statement in self._driver.extract_statements(text):
            is_pivot = statement.type is duckdb.StatementType.MULTI and question.is_of_rows
            if statement.type not in _ASKING and not is_pivot:
                raise RequestError(
                    f"the star is opened for reading only, and {statement.type.name} is no question"
                )
        asked = self._driver.sql(text, params=values or None)
        with asked.to_arrow_reader(_STREAMED_ROWS) as reader:
            for piece in reader:
                write(pa.Table.from_batches([piece]))
            return reader.schema

    def snapshot(
        self,
        tables: Sequence[Table],
        counts: Mapping[str, int],  # noqa: ARG002
        last: str,  # noqa: ARG002
    ) -> str:
        """Row count and sum of row hashes of each table."""
        sums = (
            self.connection.exec_driver_sql(
                f"SELECT count(*), sum(hash(t)) FROM {self.qualified(table)} AS t"
            ).one()
            for table in tables
        )
        return json.dumps([[str(value) for value in row] for row in sums])

    def untouched_since(self, snapshot: str, tables: Sequence[Table]) -> bool:
        return snapshot == self.snapshot(tables, {}, "")

    def _create(self, table: Table) -> None:
        if table.foreign_keys:  # keys on the fact make a load 8 x slower; validation checks them
            bare = without_keys(table)
            bare.columns[business_key(table).name].type = _DistinctText()
            self.execute(CreateTable(bare))
        else:
            self.execute(CreateTable(table))


@contextmanager
def _private_umask() -> Iterator[None]:
    """Files created in this block can be read by this user only. The umask is one for all threads
    of a process, so there is a lock.
    """
    with _UMASK:
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _literal(value: Path | str) -> str:
    return "'" + str(value).replace("'", "''") + "'"

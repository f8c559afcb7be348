"""Databases as sources: tables and queries, streamed in a transaction that only reads.

All sources on one server are read as of the same moment, where the engine can do that.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa

from common import libpq
from errors import SourceError
from sources.batches import ReadOptions, column_names
from sources.engines import FAILURES, SHARED, Connected, connect, without_driver
from sources.explode import with_lists_in_text
from sources.file_databases import MEMORY
from sources.pieces import OpenSource
from sources.queries import Query
from sources.query_rows import asked, pieces
from sources.splits import Team, in_ranges


class Databases:
    """The source databases of one extraction, each open once: one snapshot, where possible."""

    def __init__(self, workers: int) -> None:
        """`workers` is how many ranges of a source are read at a time."""
        self._workers = workers
        self._open: dict[tuple[object, ...], Connected] = {}
        self._teams: dict[tuple[object, ...], Team] = {}
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
        source = Query(self.label(name, url), url, query, options)
        connected = self._connected(source, name)
        try:
            team, note = self._team(source, connected, name)
            if team is not None:
                opened = in_ranges(source, connected, team)
            else:
                opened = _streamed(source, connected)
        except (*FAILURES, connected.driver_error) as error:
            raise source.unreadable(connected, error) from None
        kind = url.get_backend_name()
        doubt = libpq.doubt(url, source.setting("PATH")) if kind == "postgresql" else ""
        opened.note = "; ".join(filter(None, [note, doubt, opened.note]))
        opened.opens_later = not connected.is_snapshot
        if kind not in SHARED:
            opened.close = lambda: self._drop(_key(url, name))
        return with_lists_in_text(opened, options)

    def close(self) -> None:
        """Close all connections, and with them the snapshots."""
        for team in self._teams.values():
            team.close()
        self._teams.clear()
        for key in list(self._open):
            self._drop(key)
        logging.getLogger("sqlalchemy").removeHandler(self._hushed)

    def _connected(self, source: Query, name: str) -> Connected:
        """The connection for a source, shared with others on the same server if the engine can."""
        key = _key(source.url, name)
        if key not in self._open:
            try:
                self._open[key] = connect(source.url)
            except (ImportError, sa.exc.NoSuchModuleError) as error:
                problem = without_driver(source.url, error)
                raise SourceError(
                    f"{source.label}: {problem}; check {source.setting('PATH')}"
                ) from None
            except FAILURES as error:
                hint = libpq.hint(str(error)) or f"check {source.setting('PATH')}"
                raise source.fault(None, error, "cannot be opened", hint) from None
        return self._open[key]

    def _team(self, source: Query, connected: Connected, name: str) -> tuple[Team | None, str]:
        """The connections that read a source by ranges, if they are asked for and can be had; and
        a warning, or ''.
        """
        setting, key = source.setting("SPLIT_BY"), _key(source.url, name)
        if not source.options.split_by or source.options.most is not None:
            return None, ""
        if connected.watchdog is None:
            return None, (
                f"{setting} has no effect with {source.url.drivername}://, where other connections "
                "cannot see the same moment: one connection reads all of it"
            )
        if key not in self._teams:
            try:
                self._teams[key] = Team(connected, source.url, self._workers)
            except FAILURES as error:
                what = f"{setting}: the server shows no other connection what this one sees"
                raise source.fault(connected, error, what, "leave the setting out") from None
        team = self._teams[key]
        if team.error is None:
            return team, ""
        return team if team.members else None, (
            f"{setting}: {len(team.members) or 1} instead of {team.wanted} connections read it "
            f"({source.reason(team.error)})"
        )

    def _drop(self, key: tuple[object, ...]) -> None:
        connected = self._open.pop(key, None)
        if connected is not None:
            connected.close()


def _streamed(source: Query, connected: Connected) -> OpenSource:
    """A table or query that one connection reads. Raises one of `FAILURES`."""
    result = asked(connected.connection, source)
    columns = column_names(source.label, result.columns, source.options)
    rows = pieces(source, connected, result, columns)
    opened = OpenSource(source.label, f"database {source.url.get_backend_name()}", columns, rows)
    opened.note = result.note
    return opened


def _key(url: sa.URL, name: str) -> tuple[object, ...]:
    """Equal for sources that share a connection: those of one database, however its URL is spelled,
    on an engine that streams several results at once.
    """
    backend = url.get_backend_name()
    port = url.port or (5432 if backend == "postgresql" else None)
    same = url.set(drivername=backend, host=url.host and url.host.lower(), port=port, query={})
    query = frozenset((option, str(value)) for option, value in url.query.items())
    return same, query, "" if backend in SHARED else name

"""Tables and queries of source databases, and what to say when they cannot be read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import sqlalchemy as sa

from common.driver_words import explain
from common.since import TABLE_NAME
from errors import SourceError, SourceLostError
from sources.batches import ReadOptions
from sources.engines import Connected

_IS_QUERY = re.compile(r"[\s(]*(select|with|from)\b", re.IGNORECASE)
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


@dataclass(frozen=True)
class Query:
    """A table or query of a database, and the errors to raise for it."""

    label: str
    url: sa.URL
    text: str
    options: ReadOptions

    def setting(self, name: str = "QUERY") -> str:
        """What a setting of its source is called."""
        return f"{self.options.source.upper()}__{name}"

    def reason(self, error: Exception) -> str:
        """Why a driver raised `error`, in its words, which never contain the password."""
        reason = explain(error, _HINTS)
        return reason.replace(str(self.url.password), "***") if self.url.password else reason

    def fault(
        self, connected: Connected | None, error: Exception, what: str, remedy: str, at: str = ""
    ) -> SourceError:
        """The error to raise when a driver raised `error`. It never contains the password."""
        reason = self.reason(error)
        if _is_lost(connected, error, reason):
            return SourceLostError(f"{self.label}{at}: the connection was lost ({reason})")
        return SourceError(f"{self.label}{at}: {what} ({reason}); {remedy}")

    def unreadable(self, connected: Connected, error: Exception) -> SourceError:
        """The error to raise when the database refuses the table or query."""
        fault = self.fault(connected, error, "cannot be read", self._remedy(error))
        near = None
        if not isinstance(fault, SourceLostError):
            near = _table_like(connected.connection, self.text)
        return type(fault)(f"{fault} (nearest table: {near})") if near else fault

    def broken_off(
        self, connected: Connected, error: Exception, count: int, of: str = ""
    ) -> SourceError:
        """The error to raise when the read fails after `count` records, `of` all or of a part."""
        if getattr(getattr(error, "orig", None), "pgcode", "") == _ABORTED:
            return SourceError(
                f"{self.label}: not read to its end, because another source in this database "
                "was not; correct that one"
            )
        remedy = f"correct that record, or leave it out by {self.setting()}"
        return self.fault(
            connected, error, "the read failed", remedy, f", after record {count}{of}"
        )

    def _remedy(self, error: Exception) -> str:
        """What to do when a database refuses a table or query, as the end of a message."""
        if getattr(getattr(error, "orig", None), "sqlite_errorname", "") == _BROKEN_OFF:
            return "let the application that broke off while it wrote open the file once"
        if _IS_QUERY.match(self.text):
            return f"correct {self.setting()}"
        return (
            f"{self.setting()} must be a query, or the name of a table, with each part in "
            '"double quotes" where it is no plain word'
        )


def _is_lost(connected: Connected | None, error: Exception, reason: str) -> bool:
    """Whether the connection was the cause of `error`, and not the query or the data."""
    state = getattr(getattr(error, "orig", None), "pgcode", None) or ""
    is_cut = connected is not None and connected.is_cut(error)
    return is_cut or state in _PASSING or any(words in reason for words in _PASSING_WORDS)


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

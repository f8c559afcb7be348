"""Tables and queries of PostgreSQL that are read by ranges of a column.

Several connections read them side by side, and all see the same moment: that of the connection
which has exported its snapshot. Which ranges there are depends on the rows alone, and their rows
come in the order of the ranges; so what is read does not depend on how many connections there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any

import sqlalchemy as sa

from common.watchdog import in_a_thread
from errors import SourceError
from sources import engines
from sources.batches import TextBatch, column_names
from sources.engines import FAILURES, Connected
from sources.mapping import own_name
from sources.mapping_errors import listed, near_name, nearest
from sources.pieces import Findings, OpenSource, Piece
from sources.queries import Query
from sources.query_rows import executed, parse, refuse_several
from sources.statements import as_table

_MOST_CONNECTIONS = 8
_MOST_RANGES = 32
_ROWS = 50_000
"""About how many rows a range has, unless there would be too many: without an index on the column,
each of them is a scan of the whole table.
"""
_SLOWEST = 24 * 3600
"""Seconds that counting the rows may take."""

Value = int | Decimal | date
_DATE = 1082
_DAYS = (date(1, 1, 3), date(9999, 12, 29))  # as Python has them, in whatever time zone
_KINDS: dict[int, tuple[Value, Value]] = {
    **dict.fromkeys((20, 21, 23), (-(1 << 62), 1 << 62)),  # bigint, smallint, integer
    1700: (Decimal("-1e30"), Decimal("1e30")),  # numeric
    **dict.fromkeys((_DATE, 1114, 1184), _DAYS),  # date, timestamp without time zone, with one
}
"""By the number of their type in PostgreSQL: columns that can be split, and between which values.
What lies beyond, as infinity and NaN do, is in the first or the last range.
"""


class Team:
    """Connections that see the same moment, and read ranges side by side."""

    def __init__(self, leader: Connected, url: sa.URL, count: int) -> None:
        """As many as can be had, up to `count`, that see what `leader` sees; `error` is why there
        are not more. Raises one of `FAILURES` when it cannot show that to others.
        """
        self.wanted = min(count, _MOST_CONNECTIONS)
        self.error: Exception | None = None
        self.members: list[Connected] = []
        self._free: SimpleQueue[Connected | None] = SimpleQueue()
        snapshot = engines.export(leader)
        try:
            for _ in range(self.wanted):
                self.members.append(engines.join(url, snapshot))
                self._free.put(self.members[-1])
        except FAILURES as error:
            self.error = error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def lent(self) -> Iterator[Connected]:
        """A connection that nobody else uses, as soon as there is one."""
        member = self._free.get()
        if member is None:
            self._free.put(None)
            raise SourceError("the connections were closed")
        try:
            yield member
        finally:
            self._free.put(member)

    def close(self) -> None:
        """Close all connections; what others still read by them fails at once."""
        left = len(self.members)
        with suppress(Empty):
            while left:
                self._closed(self._free.get_nowait())
                left -= 1
        if left:
            with ThreadPoolExecutor(left) as pool:
                list(pool.map(Connected.cut, self.members))
        with suppress(Empty):
            for _ in range(left):
                self._closed(self._free.get(timeout=_PATIENCE))
        self._free.put(None)

    @staticmethod
    def _closed(member: Connected | None) -> None:
        if member is not None:
            member.close()


_PATIENCE = 10
"""Seconds that a batch may take to be written, while the connections are closed."""


@dataclass(frozen=True)
class SplitPiece(Piece):
    """The rows of a range, the one of this number of so many."""

    query: Query
    team: Team
    statement: sa.Select[Any]
    columns: list[str]
    number: int
    count: int

    @property
    def is_portable(self) -> bool:
        return False

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        options = self.query.options
        with self.team.lent() as connected:
            for rows in self._fetched(connected, found):
                first = found.lines + 1
                yield parse(rows, self.columns, first, options, {}, found.binary_keys)
                found.lines += len(rows)

    def _fetched(self, connected: Connected, found: Findings) -> Iterator[Sequence[Any]]:
        """The rows as the driver gives them. A savepoint keeps the snapshot when they fail."""
        try:
            with connected.connection.begin_nested():
                yield from executed(
                    connected.connection, self.statement, self.query.options
                ).batches
        except (*FAILURES, connected.driver_error) as error:
            of = f" of range {self.number} of {self.count} of {self.query.options.split_by}"
            raise self.query.broken_off(connected, error, found.lines, of) from None


def in_ranges(query: Query, connected: Connected, team: Team) -> OpenSource:
    """A table or query, to be read by a team; `connected` is its leader.

    Raises `SourceError`, or one of `FAILURES` when the database refuses it.
    """
    table = as_table(query.text, query.options, "postgresql")
    every: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(table)
    try:  # a signal ends the wait
        split = in_a_thread(
            lambda: _split(connected.connection, query, every, table), lambda _: None, _SLOWEST
        )
    except BaseException:
        if connected.driver_waits():
            connected.cut()
        raise
    columns = column_names(query.label, split.names, query.options)
    count = len(split.conditions)
    pieces = (
        SplitPiece(query, team, every.where(condition), columns, number, count)
        for number, condition in enumerate(split.conditions, 1)
    )
    opened = OpenSource(query.label, "database postgresql", columns, pieces)
    opened.expected = split.rows
    return opened


@dataclass(frozen=True)
class _Split:
    """The names of all columns, how many rows there are, and the condition of each range."""

    names: list[str]
    rows: int
    conditions: list[Any]


def _split(
    connection: sa.Connection, query: Query, every: sa.Select[Any], table: sa.FromClause
) -> _Split:
    with connection.begin_nested():  # if it fails, other sources are still read
        refuse_several(connection, query)
        with connection.execute(every.limit(0)) as result:
            cursor: Any = result.cursor
            described = [(str(name), int(kind)) for name, kind, *_ in cursor.description]
        column, kind = _column(query, dict(described))
        usual = column.between(*_KINDS[kind])
        extent = sa.select(
            sa.func.min(column).filter(usual), sa.func.max(column).filter(usual), sa.func.count()
        ).select_from(table)
        low, high, rows = connection.execute(extent).one()
    ends = _ends(_value(low, kind), _value(high, kind), min(_MOST_RANGES, -(-rows // _ROWS)))
    return _Split([name for name, _ in described], rows, _conditions(column, ends))


def _column(query: Query, described: dict[str, int]) -> tuple[sa.ColumnClause[Any], int]:
    """The column by which a query is split, and the number of its type. Raises `SourceError` where
    it has no such column, or cannot be split by it.
    """
    wanted = query.options.split_by
    fitting = [name for name, kind in described.items() if kind in _KINDS]
    those = f"; these can be: {listed(fitting)}" if fitting else "; nor can any other"
    name = own_name(wanted, described)
    if name is None or name not in described:
        raise SourceError(
            f"{query.label}: {query.setting('SPLIT_BY')} names {wanted!r}, which is no column of "
            f"the result{nearest(near_name(wanted, described))}{those if fitting else ''}"
        )
    if described[name] not in _KINDS:
        raise SourceError(
            f"{query.label}: {query.setting('SPLIT_BY')} names {wanted!r}, which cannot be split: "
            f"it holds no integers, decimals, dates or timestamps{those}"
        )
    return sa.column(name), described[name]


def _value(given: Value | str | None, kind: int) -> Value | None:
    """A value as the driver gives it: dates and timestamps come as text."""
    if not isinstance(given, str):
        return given
    return date.fromisoformat(given) if kind == _DATE else datetime.fromisoformat(given)


def _ends(low: Any, high: Any, count: int) -> list[Value]:
    """Where each of `count` ranges ends and the next begins, in equal steps from `low` to `high`;
    fewer where there are not as many values.
    """
    if low is None:
        return []
    with localcontext() as context:
        context.prec = 60
        ends = [low + _part(high - low, number, count) for number in range(1, count)]
    return [end for end in dict.fromkeys(ends) if end > low]


def _part(width: Any, number: int, count: int) -> int | Decimal | timedelta:
    part: int | Decimal | timedelta = (
        width * number / count if isinstance(width, Decimal) else width * number // count
    )
    return part


def _conditions(column: sa.ColumnClause[Any], ends: Sequence[Value]) -> list[Any]:
    """The conditions of the ranges, in their order, and last that of no value. Each row fulfils one
    of them, whatever its value is.
    """
    without = column.is_(None)
    if not ends:
        return [column.is_not(None), without]
    inside = [sa.and_(column >= begin, column < end) for begin, end in pairwise(ends)]
    return [column < ends[0], *inside, column >= ends[-1], without]

"""Which rows of a PostgreSQL table were written after a certain transaction.

Each row version keeps the number of the transaction that wrote it, or 32 bits of it (`xmin`), also
after it was frozen. A run therefore notes two things: its own number, and the number below which
all other transactions had ended when it began. A row whose `xmin` is neither its own nor below that
was written later, by somebody else. No clock is read for this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

_NUMBERS = 1 << 32
"""Transaction numbers in rows are modulo this."""
_FURTHEST = 1 << 31
"""Of two such numbers that are further apart nobody can tell which is the later one."""


@dataclass(frozen=True)
class Note:
    """What a published run has noted about the tables when it committed."""

    system: str
    """Identifier of the server that gives the numbers: a dump is restored into another one."""
    seen_whole: int
    """Transactions below this had ended when the run began: it has seen all that they wrote."""
    writers: list[int]
    """The run's own transaction, and those of earlier runs at or above `seen_whole`."""
    rows: list[int]
    """How many rows each table had."""


class _Xid(sa.types.UserDefinedType[int]):
    """PostgreSQL's type of transaction numbers."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:  # noqa: ARG002
        """Its name in SQL."""
        return "xid"


def note(system: str, seen_whole: int, number: int, rows: list[int], last: Note | None) -> str:
    """The note of transaction `number` as text; "" where the server is not known.

    `last` is the note of the run before. On a busy server its number may be above `seen_whole`,
    because an older transaction of somebody else is still open.
    """
    if not system:
        return ""
    earlier = last.writers if last is not None and last.system == system else []
    writers = [writer for writer in earlier if writer >= seen_whole]
    return json.dumps(asdict(Note(system, seen_whole, [*writers, number], rows)))


def parsed(text: str) -> Note | None:
    """The note in `text`; None if it is none, such as one of an older version."""
    try:
        note = Note(**json.loads(text))
    except (ValueError, TypeError):
        return None
    numbers = [note.seen_whole, *note.writers, *note.rows]
    return note if all(isinstance(number, int) for number in numbers) else None


def foreign(note: Note, now: int) -> sa.ColumnElement[bool]:
    """A condition on rows that others have written since `note`; `now` is the number that the next
    transaction gets. It is true of all rows if `note` is too old to tell.
    """
    if not 0 <= now - note.seen_whole < _FURTHEST:
        return sa.true()
    writer: sa.ColumnElement[Any] = sa.literal_column("xmin")
    newest = sa.select(sa.text("age(pg_snapshot_xmax(pg_current_snapshot())::xid)"))
    oldest = sa.select(sa.func.age(_xid(note.seen_whole)))
    is_later = sa.func.age(writer).between(newest.scalar_subquery(), oldest.scalar_subquery())
    return sa.and_(is_later, writer != sa.all_(_xids(note.writers)))


def _xid(number: int) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal(str(number % _NUMBERS)), _Xid)


def _xids(numbers: Sequence[int]) -> sa.ColumnElement[Any]:
    texts = ",".join(str(number % _NUMBERS) for number in numbers)
    return sa.cast(sa.literal(f"{{{texts}}}"), sa.ARRAY(_Xid))

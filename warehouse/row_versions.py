"""What PostgreSQL's row versions prove: that a table is as a transaction left it.

Each row version keeps the number of the transaction that wrote it (`xmin`, 32 bits of it), also
after it was frozen. So a transaction that has seen a whole table needs to note two things: below
which number all others were over when it began, and its own number. A row that bears neither was
written later, by somebody else. Clocks have no part in this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

_NUMBERS = 1 << 32
"""Transaction numbers in a row are counted modulo this."""
_FURTHEST = 1 << 31
"""How far apart two of them can be told which is the later one."""


@dataclass(frozen=True)
class Note:
    """What a published run noted of the tables when it committed."""

    system: str
    """The server whose transactions are counted: a restored dump is in another one."""
    seen_whole: int
    """Every transaction below this was over when the run began, so it has seen all they wrote."""
    writers: list[int]
    """The run's own transaction, and those of earlier runs that are not below `seen_whole`."""
    rows: list[int]
    """How many rows each table had."""


class _Xid(sa.types.UserDefinedType[int]):
    """PostgreSQL's type of transaction numbers."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:  # noqa: ARG002
        """Its name in SQL."""
        return "xid"


def note(system: str, seen_whole: int, number: int, rows: list[int], last: Note | None) -> str:
    """The note of transaction `number` as text; nothing, where the server is not known.

    `last` is the note of the run before: in a busy server its transaction may be above
    `seen_whole`, though its rows were seen.
    """
    if not system:
        return ""
    earlier = last.writers if last is not None and last.system == system else []
    writers = [writer for writer in earlier if writer >= seen_whole]
    return json.dumps(asdict(Note(system, seen_whole, [*writers, number], rows)))


def parsed(text: str) -> Note | None:
    """The note in `text`; None of any other text, such as an older version's note."""
    try:
        note = Note(**json.loads(text))
    except (ValueError, TypeError):
        return None
    numbers = [note.seen_whole, *note.writers, *note.rows]
    return note if all(isinstance(number, int) for number in numbers) else None


def foreign(note: Note, now: int) -> sa.ColumnElement[bool]:
    """Which rows were written by others since `note`; `now` is the number of today's next
    transaction. All of them, when that is too long ago to tell.
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

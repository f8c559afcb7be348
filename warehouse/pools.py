"""Whether a pooler in front of PostgreSQL gives each client a session of its own.

A run's lock and settings belong to its session. A pooler in transaction mode lends one session to
many clients in turn, so that two runs would hold the same lock. Asking for the session's number
twice does not tell: it is often the same by chance. So a second client takes a lock and leaves:
only if the session was its own does the lock end then.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import sqlalchemy as sa

from common import watchdog

_CLASS = 0x57A3
"""Class of the advisory locks that are taken here; nobody ever waits for one."""
_WAIT_SECONDS = 5
"""For a pool to give a session, and for a session to end."""
_TRIES = 20


def keep_sessions(engine: sa.Engine) -> bool:
    """Whether a lock stays while its client is connected, and ends when the client leaves."""
    number = secrets.randbelow(1 << 31)
    try:
        client = watchdog.in_a_thread(lambda: _holding(engine, number), _close, _WAIT_SECONDS)
    except TimeoutError:  # the pool has no other session, so it cannot lend ours to others
        return True
    stays = _asked(engine, _HELD, number)
    client.close()
    if not stays:
        return False
    until = time.monotonic() + _WAIT_SECONDS
    while _asked(engine, _HELD, number):
        if time.monotonic() > until:
            _give_up(engine, number)
            return False
        time.sleep(0.05)
    return True


_HELD = (
    "SELECT count(*) > 0 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted "
    "AND classid::bigint = %s AND objid::bigint = %s"
)
_TAKE = "SELECT pg_catalog.pg_advisory_lock(%s, %s)"
_RELEASE = "SELECT pg_catalog.pg_advisory_unlock(%s, %s)"


def _holding(engine: sa.Engine, number: int) -> Any:
    """A client that has taken the lock and is in no transaction."""
    client: Any = engine.raw_connection()
    try:
        with client.cursor() as cursor:
            cursor.execute(_TAKE, (_CLASS, number))
        client.commit()
    except BaseException:
        client.close()
        raise
    return client


def _asked(engine: sa.Engine, question: str, number: int) -> bool:
    """The answer that another client gets."""
    other: Any = engine.raw_connection()
    try:
        with other.cursor() as cursor:
            cursor.execute(question, (_CLASS, number))
            (answer,) = cursor.fetchone() or (False,)
        other.commit()
        return bool(answer)
    finally:
        other.close()


def _give_up(engine: sa.Engine, number: int) -> None:
    """The session that was left with the lock may be lent to us again: then it is released."""
    for _ in range(_TRIES):
        if not _asked(engine, _HELD, number):
            return
        held = f"{_RELEASE} WHERE EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = "
        own = f"{held}'advisory' AND pid = pg_backend_pid() AND objid::bigint = {number})"
        _asked(engine, own, number)


def _close(client: Any) -> None:
    client.close()

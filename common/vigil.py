"""Silence: how long it is waited for, and how a wait that Python cannot end is ended.

A driver waits for its server in C, where no signal is heard and no time is kept. So what may wait
too long is done by a thread of its own; and beside a connection another thread looks, now and then
and on a connection of its own, whether the server still works for us. Where nothing is heard, the
socket is shut down: the driver's wait ends at once, with an error.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions

_T = TypeVar("_T")
LOOK_SECONDS = 10.0
"""So often it is looked whether a server still works on a statement."""
SILENT_SECONDS = 40.0
"""After so long without a sign of that the connection is taken for lost."""
_OF_OURS = (
    "SELECT a.state, a.state_change, a.query_start, p.bytes_processed,"
    " a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Client'"
    " FROM pg_catalog.pg_stat_activity a"
    " LEFT JOIN pg_catalog.pg_stat_progress_copy p ON p.pid = a.pid WHERE a.pid = %s"
)
"""What the server says of our session; last, whether it has work to do and does not wait for us."""


def aside(call: Callable[[], _T], late: Callable[[_T], object], seconds: float = 3600) -> _T:
    """What `call` returns or raises, from a thread of its own: signals are heard meanwhile.

    Raises TimeoutError after `seconds`. What comes after that, or after an interruption, goes to
    `late`, which puts it away.
    """
    done = threading.Event()
    outcome: list[_T] = []
    errors: list[BaseException] = []
    given_up = False

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised below, by who waits for it
            errors.append(error)
        done.set()
        if given_up and outcome:
            with suppress(Exception):
                late(outcome[0])

    threading.Thread(target=work, daemon=True).start()
    try:
        if not done.wait(seconds):
            raise TimeoutError
    except BaseException:
        given_up = True
        if done.is_set() and outcome:
            late(outcome[0])
        raise
    if errors:
        raise errors[0]
    return outcome[0]


class Vigil:
    """Looks after one connection to PostgreSQL until it is closed."""

    def __init__(self, connection: Any, pid: int, dial: Callable[[], Any]) -> None:
        """`dial` makes another psycopg2 connection, to ask about server process `pid`."""
        self._connection, self._pid, self._dial = connection, pid, dial
        self._socket = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self._over = threading.Event()
        self._closing = threading.Lock()
        self._told: tuple[Any, ...] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def cut(self) -> None:
        """End whatever the driver waits for: it finds the connection closed."""
        with self._closing, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Look no longer."""
        with self._closing:
            self._over.set()
            self._socket.close()

    def _watch(self) -> None:
        heard = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            if self._is_waiting() and not self._is_served():
                if time.monotonic() - heard > SILENT_SECONDS:
                    self.cut()
                    return
            else:
                heard = time.monotonic()

    def _is_waiting(self) -> bool:
        """Whether the driver waits for an answer, or for bytes to be taken."""
        active = psycopg2.extensions.TRANSACTION_STATUS_ACTIVE
        with self._closing:
            return not self._over.is_set() and self._connection.get_transaction_status() == active

    def _is_served(self) -> bool:
        """Whether the server works on our statement, or has come further since it was asked."""
        try:
            with_answer = aside(self._ask, lambda row: None, LOOK_SECONDS)
        except (TimeoutError, psycopg2.Error) as error:
            return _is_answer(error)
        before, self._told = self._told, with_answer
        return with_answer is not None and (with_answer[-1] or with_answer != before)

    def _ask(self) -> tuple[Any, ...] | None:
        other = self._dial()
        try:
            with other.cursor() as cursor:
                cursor.execute(_OF_OURS, (self._pid,))
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
        finally:
            other.close()


def _is_answer(error: BaseException) -> bool:
    """Whether a server has refused us, being full for example, and so is there."""
    return "FATAL" in str(error)

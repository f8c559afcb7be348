"""How a wait for a silent PostgreSQL server is ended.

psycopg2 waits for its server in C: Python runs no signal handler meanwhile, and there is no time
limit. So a call that may block runs in a thread of its own (`in_a_thread`). And for each connection
a `Watchdog` thread asks the server from time to time, over a second connection, whether it still
works on our statement. When there is no answer for too long, it shuts the socket down, and the
driver's wait ends at once with an error.
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
"""Seconds between two questions whether the server still works on a statement."""
SILENT_SECONDS = 40.0
"""Seconds without an answer after which the connection is taken for lost."""
_OUR_SESSION = (
    "SELECT a.state, a.state_change, a.query_start, p.bytes_processed,"
    " a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Client'"
    " FROM pg_catalog.pg_stat_activity a"
    " LEFT JOIN pg_catalog.pg_stat_progress_copy p ON p.pid = a.pid WHERE a.pid = %s"
)
"""The state of our session. Its last column is true while the server works and does not wait for
us.
"""


def in_a_thread(call: Callable[[], _T], late: Callable[[_T], object], seconds: float = 3600) -> _T:
    """Run `call` in a thread and return or raise what it does; signal handlers run meanwhile.

    Raises TimeoutError after `seconds`. A result that comes later than that, or after an
    interruption, is passed to `late`, which closes it.
    """
    done = threading.Event()
    outcome: list[_T] = []
    errors: list[BaseException] = []
    given_up = False

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised below, in the waiting thread
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


class Watchdog:
    """Watches one connection to PostgreSQL until `close`."""

    def __init__(self, connection: Any, pid: int, dial: Callable[[], Any]) -> None:
        """`dial` opens a second psycopg2 connection, which asks about the server process `pid`."""
        self._connection, self._pid, self._dial = connection, pid, dial
        self._socket = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self._over = threading.Event()
        self._closing = threading.Lock()
        self._last_answer: tuple[Any, ...] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def cut(self) -> None:
        """Shut the socket down; the driver's wait ends with an error."""
        with self._closing, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop watching."""
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
        """Whether the driver waits for an answer, or for the server to take bytes."""
        active = psycopg2.extensions.TRANSACTION_STATUS_ACTIVE
        with self._closing:
            return not self._over.is_set() and self._connection.get_transaction_status() == active

    def _is_served(self) -> bool:
        """Whether the server works on our statement, or has got further since the last question."""
        try:
            answer = in_a_thread(self._ask, lambda row: None, LOOK_SECONDS)
        except (TimeoutError, psycopg2.Error) as error:
            return _is_refusal(error)
        before, self._last_answer = self._last_answer, answer
        return answer is not None and (answer[-1] or answer != before)

    def _ask(self) -> tuple[Any, ...] | None:
        other = self._dial()
        try:
            with other.cursor() as cursor:
                cursor.execute(_OUR_SESSION, (self._pid,))
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
        finally:
            other.close()


def _is_refusal(error: BaseException) -> bool:
    """Whether the server refused the second connection, being full for example: it is there."""
    return "FATAL" in str(error)

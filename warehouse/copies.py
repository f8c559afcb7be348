"""COPY by psycopg2, when the server ends the session in the middle of it.

psycopg2 then raises the error that comes last, such as "invalid socket". The one before it, which
is the reason, it prints on stderr, with values of the row in it. Here it is kept from there.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import psycopg2

_lock = threading.Lock()
_printed: dict[int, list[psycopg2.Error]] = {}
"""By thread that copies, the errors that psycopg2 has had printed."""
_usual = sys.excepthook


def copy(cursor: Any, statement: str, file: io.IOBase) -> None:
    """Run a COPY from or to `file`. Raises psycopg2's error, of several the first."""
    with _listening() as printed:
        try:
            cursor.copy_expert(statement, file)
        except psycopg2.Error as last:
            raise (printed[0] if printed else last) from None


@contextmanager
def _listening() -> Iterator[list[psycopg2.Error]]:
    """Take what would be printed by this thread. All threads of a process share one hook."""
    global _usual
    thread = threading.get_ident()
    with _lock:
        if not _printed:
            _usual, sys.excepthook = sys.excepthook, _hear
        printed = _printed[thread] = []
    try:
        yield printed
    finally:
        with _lock:
            del _printed[thread]
            if not _printed and sys.excepthook is _hear:
                sys.excepthook = _usual


def _hear(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Keep an error that psycopg2 lost while it made the next one; hand on all others."""
    printed, lost = _printed.get(threading.get_ident()), error.__cause__
    if printed is not None and isinstance(lost, psycopg2.Error):
        printed.append(lost)
    else:
        _usual(kind, error, trace)

"""DuckDB as it behaves in a shell, under cron and in a notebook, and what its refusals mean."""

from __future__ import annotations

from typing import Any, TypeVar

_REMEDIES = (
    (
        ("out of memory", "bad allocation", "failed to allocate"),
        "the file is as it was: give the process more memory, or lower WORKERS",
    ),
    (
        ("permission denied", "operation not permitted", "read-only"),
        "have its owner let this user read and write the file and its folder, or name another file",
    ),
    (
        ("no space left", "disk quota", "file too large", "file size limit"),
        "the file is as it was: make room on its disk",
    ),
    (
        ("version number", "newer version", "storage version"),
        "another version of DuckDB wrote the file: install that one here, or name another file",
    ),
    (("too many open files",), "the file is as it was: raise the limit (ulimit -n)"),
    (
        (
            "corrupt", "checksum", "not a valid duckdb", "read enough bytes", "deserializ",
            "serialization error", "replaying wal",
        ),
        "the file is damaged: bring it back from a backup, or move it away and the next run makes "
        "a new one",
    ),
)  # fmt: skip
"""What DuckDB says when it cannot open a file, in small letters, and what is to be done then."""


Connection = TypeVar("Connection", bound=Any)


def without_progress_bar(connection: Connection) -> Connection:
    """A DuckDB connection, or a cursor, that draws no progress bar; returns it.

    Where Python runs no script DuckDB draws one to stdout. It refuses to switch off a bar that it
    cannot draw, as in a notebook without ipywidgets, so it is asked first.
    """
    ((is_on,),) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if is_on:
        connection.execute("SET enable_progress_bar = false")
    return connection


def remedy(reason: str) -> str:
    """What helps when DuckDB could not open a file, by its own words for why.

    Only of a file that is damaged it says that it can be moved away.
    """
    told = reason.lower()
    for signs, advice in _REMEDIES:
        if any(sign in told for sign in signs):
            return advice
    return "see that the path is right and that nothing else has changed there"

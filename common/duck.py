"""DuckDB's progress bar, and what to do when DuckDB cannot open a file."""

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
"""Words of DuckDB's message, in lower case, and the advice for it."""


Connection = TypeVar("Connection", bound=Any)


def without_progress_bar(connection: Connection) -> Connection:
    """Switch the progress bar of a connection or cursor off, and return it.

    DuckDB draws a bar on stdout when Python runs interactively. SET raises where it could not draw
    one, as in a notebook without ipywidgets, so the current setting is read first.
    """
    ((is_on,),) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if is_on:
        connection.execute("SET enable_progress_bar = false")
    return connection


def remedy(reason: str) -> str:
    """Advice for a file that DuckDB could not open, by DuckDB's message `reason`.

    Only for a damaged file does it suggest moving the file away.
    """
    message = reason.lower()
    for signs, advice in _REMEDIES:
        if any(sign in message for sign in signs):
            return advice
    return "see that the path is right and that nothing else has changed there"


def is_interruption(error: BaseException) -> bool:
    """Whether DuckDB has raised `error` because a KeyboardInterrupt came while it worked."""
    text = str(error)
    return "Query interrupted" in text or "KeyboardInterrupt" in text

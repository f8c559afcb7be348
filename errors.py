"""What can go wrong, and the exit code each kind means.

Deep code raises one of these; `main` alone turns them into one line and an exit code.
Every message names the thing, the place and the next step, and never holds a secret.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Any


class EtlError(Exception):
    """Base of all expected failures. Raised by any module; caught once, in `main`."""

    exit_code = 1
    status = "failed"


class ConfigError(EtlError):
    """Settings that cannot work. Raised by `config`, before anything is touched."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{len(self.problems)} problem(s) in the settings:{lines}")


class SourceError(EtlError):
    """A source that cannot be read as a whole. Raised by `readers` and `extract`."""


class SourceLostError(SourceError):
    """A source's connection was lost; reading again can help. Raised by `databases`."""


class ExtractionError(EtlError):
    """Every faulty source of a run, reported together. Raised by `extract`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class SpoolError(EtlError):
    """The working folder cannot be used. Raised by `spool`."""


class RejectFileError(EtlError):
    """A reject row could not be written to disk. Raised by `rejects`."""


class LogFileError(EtlError):
    """A line could not be written to the log file. Raised by `report`, before the commit."""


class WarehouseError(EtlError):
    """The warehouse refused or was lost. Raised by `warehouse`."""


class TransientError(WarehouseError):
    """Trying the whole transaction again, on a new connection, can help. Raised by `warehouse`."""


class LockedError(TransientError):
    """Somebody else keeps a table for longer than was waited. Raised by `warehouse`."""


class SchemaDriftError(WarehouseError):
    """The star in the warehouse does not fit `schema`. Raised by `growth`."""


class GateError(EtlError):
    """A data-quality gate refused the load; nothing is published. Raised by `main`, and by the
    loaders where the warehouse does not hold what it was given.
    """

    exit_code = 3
    status = "gate_failed"


class BusyError(WarehouseError):
    """Another run holds the warehouse. Raised by `warehouse`."""

    exit_code = 4
    status = "busy"


class OutcomeUnknownError(WarehouseError):
    """The connection was lost while committing. Raised by `warehouse`."""

    exit_code = 5
    status = "unknown"


_HINTS = {
    "53100": "the disk of the database server is full: make room there, trying again cannot help",
    "53200": "the database server has run out of memory",
    "22P05": "the database cannot hold every letter: make one with ENCODING 'UTF8'",
    "42P11": "give one query that only reads",
    "57014": "the server's statement_timeout, or somebody, ended the statement: "
    "raise it for this role with ALTER ROLE ... SET statement_timeout",
    "42501": "the role lacks a right: `python main.py init`, run by the owner, prints the GRANTs",
}
"""What to do about an SQLSTATE."""
_DATA_EXCEPTION = "22"
"""Class of SQLSTATEs whose message ends in the offending value."""
_RAISED = "P0"
"""Class of those whose message somebody's trigger has written, from whatever values."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def not_as_written(table: str, lost: int, written: int) -> str:
    """What to say of rows that the warehouse took and does not hold."""
    return (
        f"{table}: {lost:,} of {written:,} rows are not in the warehouse as they were written; a "
        f"trigger or a rule on {table} drops or changes them: remove it, or let it leave alone "
        "what the loading role writes; nothing was published"
    )


def explain(error: BaseException) -> str:
    """Any error in one line, without row values: they are personal data.

    PostgreSQL puts them in the DETAIL and behind the colon of a data exception, others in quotes.
    Where quotes hold names only, as in "Unknown column 'form'", they stay.
    """
    original: Any = getattr(error, "orig", None) or error
    diagnosis: Any = getattr(original, "diag", None)
    message = getattr(diagnosis, "message_primary", None)
    if message:
        state = original.pgcode or ""
        if state.startswith(_DATA_EXCEPTION):
            message = message.partition(":")[0]
        if state.startswith(_RAISED):
            message = "a trigger or function raised an exception; the server's log has its words"
        place = f" on {diagnosis.table_name}" if diagnosis.table_name else ""
        hint = f"; {_HINTS[state]}" if state in _HINTS else ""
        return f"{message}{place} (SQLSTATE {state}){hint}"
    code, text = _words(original)
    told = " ".join(text.split()) if _has_names_only(original, code, text) else without_values(text)
    return f"{told[:300]} (error {code})" if code and f"{code}" not in told else told[:300]


def _words(error: Any) -> tuple[int, str]:
    """The number of a driver's error, 0 without one, and its words.

    Drivers of MySQL and SQL Server put both into a tuple, the words sometimes as bytes.
    """
    parts: tuple[Any, ...] = () if isinstance(error, OSError) else error.args
    while len(parts) == 1 and isinstance(parts[0], tuple):
        parts = parts[0]
    numbers = [part for part in (getattr(error, "errno", None), *parts) if type(part) is int]
    texts = [
        part.decode(errors="replace") if isinstance(part, bytes) else part
        for part in parts
        if isinstance(part, str | bytes)
    ]
    if not texts:
        return 0, str(error).partition("\n")[0]
    if len(texts) > 1 and _STATE.fullmatch(texts[0]):  # ODBC: the number stands behind the words
        return int((_NUMBER.findall(texts[1]) or ["0"])[0]), texts[1]
    if numbers:  # SQL Server's library says what matters in the lines that follow
        return numbers[0], _NUMBERED.sub("", texts[0])
    return 0, texts[0].partition("\n")[0]


_STATE = re.compile(r"[0-9A-Z]{5}")
_NUMBER = re.compile(r"\((\d+)\)")
_NUMBERED = re.compile(r"^\d+( \(\w+\))?: ")

_MYSQL = {
    1040, 1042, 1043, 1044, 1045, 1046, 1049, 1051, 1052, 1054, 1055, 1056, 1060, 1064, 1066, 1109,
    1129, 1130, 1142, 1143, 1146, 1149, 1203, 1226, 1227, 1248, 1251, 1286, 1305, 1317, 1356, 1370,
    1449, 1698, 1792, 1820, 1862, 1927, 1969, 3024, 3118, 3159, 4151, *range(2000, 2062),
}  # fmt: skip
_SQL_SERVER = {
    102, 105, 156, 195, 207, 208, 209, 229, 230, 262, 911, 916, 4060, 4064, 18452, 18456, 18470,
    18486, 18487, 18488, *range(20000, 20100),
}  # fmt: skip
_ORACLE = re.compile(r"(ORA-(009|010(17|45)|12|28)|DPY-[46])")
_DUCKDB = re.compile(r"(Binder|Catalog|IO|Parser|Permission) Error")


def _has_names_only(error: Any, code: int, text: str) -> bool:
    """Whether what an error has in quotes are names, hosts or the query: it is about access, the
    connection, or what the query says, and not about what a row holds.
    """
    module = type(error).__module__.partition(".")[0]
    if code:
        return code in _MYSQL or code in _SQL_SERVER
    if module == "psycopg2":  # one without a diagnosis comes from the client: of the connection
        return not getattr(error, "pgcode", None) and type(error).__name__ == "OperationalError"
    if getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR":
        return True
    return module == "sqlalchemy" or bool(_ORACLE.match(text) or _DUCKDB.match(text))


def without_values(text: str) -> str:
    """`text` in one line, as far as a message has room for it, and what it has in quotes replaced.

    Where it is cut off, an open quote reaches to the end.
    """
    ends = r"(?:\1(?!\w)|\Z)" if len(text) > _MOST else r"\1(?!\w)"
    values = rf"""(["'`])(?!\s).*?{ends}"""
    return " ".join(re.sub(values, r"\1...\1", text[:_MOST]).split())


_MOST = 2000
"""Characters of an error that are looked at: quotes without an end cost the square of them."""


def is_disk_error(error: BaseException) -> bool:
    """Whether a file could not be written for want of room, or of a disk that works."""
    return isinstance(error, OSError) and error.errno in _DISK

"""What can go wrong, and the exit code each kind means.

Deep code raises one of these; `main` alone turns them into one line and an exit code.
Every message names the thing, the place and the next step, and never holds a secret.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

EXIT_CODES = {
    "published": 0,
    "dry_run": 0,
    "failed": 1,
    "usage_error": 2,
    "configuration_error": 2,
    "gate_failed": 3,
    "busy": 4,
    "unknown": 5,
    "interrupted": 130,
}
"""By the status of a run, where nothing else is said; 143 if it was SIGTERM that interrupted it."""


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


class RequestError(EtlError):
    """What a command is asked for and cannot do, such as to show a run that there is not. Raised
    before anything is touched.
    """

    exit_code = 2
    status = "usage_error"


class SourceError(EtlError):
    """A source that cannot be read as a whole. Raised by `sources` and `extract`."""


class LineError(SourceError):
    """What is wrong in a line of a file, whose number may be counted from within the file. Raised
    by `sources`.
    """

    def __init__(self, label: str, line: int, problem: str) -> None:
        super().__init__(label, line, problem)
        self.label, self.line, self.problem = label, line, problem

    def __str__(self) -> str:
        return f"{self.label}, line {self.line}: {self.problem}"

    def moved(self, lines: int) -> LineError:
        """The same, `lines` lines further down."""
        return LineError(self.label, self.line + lines, self.problem)


class SourceLostError(SourceError):
    """A source's connection was lost; reading again can help. Raised by `sources.databases`."""


class ExtractionError(EtlError):
    """Every faulty source of a run, reported together. Raised by `extract`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class SpoolError(EtlError):
    """The working folder cannot be used. Raised by `common.spool`."""


class ClusterError(EtlError):
    """The Dask cluster was lost, or cannot do a task. Raised by `run.cluster`."""


class RejectFileError(EtlError):
    """A reject row could not be written to disk. Raised by `common.rejects`."""


class ChangeFileError(EtlError):
    """The file that `--changes` names could not be written. Raised by `run.changes`."""


class LogFileError(EtlError):
    """A line could not be written to the log file. Raised by `run.logs`, before the commit."""


class WarehouseError(EtlError):
    """The warehouse refused or was lost. Raised by `warehouse`."""


class TransientError(WarehouseError):
    """Trying the whole transaction again, on a new connection, can help. Raised by `warehouse`."""


class LockedError(TransientError):
    """Somebody else keeps a table for longer than was waited. Raised by `warehouse`."""


class LeftOutError(WarehouseError):
    """A part of a load failed without which the rest can be published. Raised and told by
    `warehouse`.
    """


class SchemaDriftError(WarehouseError):
    """The star in the warehouse does not fit `schema`. Raised by `warehouse.drift`."""


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


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def not_as_written(table: str, lost: int, written: int) -> str:
    """What to say of rows that the warehouse took and does not hold."""
    return (
        f"{table}: {lost:,} of {written:,} rows are not in the warehouse as they were written; a "
        f"trigger or a rule on {table} drops or changes them: remove it, or let it leave alone "
        "what the loading role writes; nothing was published"
    )


def is_disk_error(error: BaseException) -> bool:
    """Whether a file could not be written for want of room, or of a disk that works."""
    return isinstance(error, OSError) and error.errno in _DISK

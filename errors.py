"""What can go wrong, and the exit code each kind means.

Deep code raises one of these; `main` alone turns them into one line and an exit code.
Every message names the thing, the place and the next step, and never holds a secret.
"""

from __future__ import annotations

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


class ExtractionError(EtlError):
    """Every faulty source of a run, reported together. Raised by `extract`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class SpoolError(EtlError):
    """The working folder cannot be used. Raised by `spool`."""


class RejectFileError(EtlError):
    """A reject row could not be written to disk. Raised by `rejects`."""


class WarehouseError(EtlError):
    """The warehouse refused or was lost. Raised by `warehouse`."""


class SchemaDriftError(WarehouseError):
    """The star in the warehouse does not fit `schema`. Raised by `warehouse`."""


class GateError(EtlError):
    """A data-quality gate refused the load; nothing is published. Raised by `main`."""

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


def explain(error: Exception) -> str:
    """A driver's error in one line, without the row values that PostgreSQL puts in its DETAIL."""
    original: Any = getattr(error, "orig", None) or error
    diagnosis: Any = getattr(original, "diag", None)
    message = getattr(diagnosis, "message_primary", None)
    if message:
        place = f" on {diagnosis.table_name}" if diagnosis.table_name else ""
        return f"{message}{place} (SQLSTATE {original.pgcode})"
    return " ".join(str(original).partition("\n")[0].split())[:300]

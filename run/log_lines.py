"""What a line of the log looks like: text for people, or a JSON object for a machine.

Each has its time in UTC with the offset, by ISO 8601, and neither has the values of rows.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from common.driver_words import explain

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}"
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
}


def one_line(text: str) -> str:
    """`text` without line breaks and terminal escapes, so that data cannot forge a log line."""
    return text.translate(_CONTROLS)


class Line(logging.Formatter):
    """A line with its time in UTC, and with tracebacks that lack the values which error messages
    quote: they are personal data.
    """

    precision = "milliseconds"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=self.precision)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        lines = []
        for error in _chain(ei[1]):
            lines += traceback.format_tb(error.__traceback__)
            lines.append(one_line(f"{type(error).__qualname__}: {explain(error)}") + "\n")
        return "".join(lines).rstrip()


class ConsoleLine(Line):
    """The same, to the second."""

    precision = "seconds"


class JsonLine(Line):
    """A JSON object: `time`, `run_id`, `level`, `thread`, `message`, and where there is one a
    `traceback`; the line at the end of a run has its `summary`.
    """

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": self.formatTime(record),
            "run_id": getattr(record, "run_id", None),
            "level": record.levelname,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        if summary := getattr(record, "summary", None):
            said["summary"] = summary
        return json.dumps(said, default=str)


def line_of(kind: str) -> logging.Formatter:
    """What makes the lines of the log file; `kind` is LOG_FORMAT."""
    if kind == "json":
        return JsonLine()
    return Line("%(asctime)s %(run_id)s %(levelname)-7s [%(threadName)s] %(message)s")


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception and those it came from, the first cause first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.insert(0, error)
        error = error.__cause__ or error.__context__
    return chain

"""The log: lines to a file in detail, and to stderr for whoever watches."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from errors import LogFileError
from run.log_files import open_log, put_aside
from run.log_lines import ConsoleLine, line_of, one_line
from run.terminal import can_draw, kernel_shell

__all__ = [
    "LOGGER", "logger", "logging_to", "logging_to_stderr", "one_line", "printed_by", "summarize",
    "sync_log",
]  # fmt: skip

LOGGER = "star_etl"
logger = logging.getLogger(LOGGER)

_runs: dict[int | None, str] = {}
"""The runs of this process, by the thread that each is in."""
_usual: list[tuple[int, bool]] = []
"""Level and propagation of our logger while there is no run."""
_changing = threading.Lock()


class _RunFilter(logging.Filter):
    """Puts the run id on each record, and makes each message one line; other runs' are not ours."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def filter(self, record: logging.LogRecord) -> bool:
        if _runs.get(record.thread, self._run_id) != self._run_id:
            return False
        record.run_id = self._run_id
        record.msg, record.args = one_line(record.getMessage()), None
        return True


@contextmanager
def logging_to(
    log_file: Path, level: str, run_id: str, *, quiet: bool, form: str = "text"
) -> Iterator[None]:
    """Log to `log_file` in detail, and to stderr at `level` (errors only when quiet). Of the file
    `form` is LOG_FORMAT; what an earlier day has left there is put aside first.

    Handlers are taken off again at the end, so that a second run logs each line once. The root
    logger and its handlers are left alone. Raises `ConfigError` when the file cannot be written.
    """
    left = put_aside(log_file)
    file = _LogFile(log_file)
    file.setLevel(min(logging.DEBUG if level == "DEBUG" else logging.INFO, getattr(logging, level)))
    file.setFormatter(line_of(form))
    file.addFilter(lambda record: getattr(record, "form", form) == form)
    handlers: list[logging.Handler] = [file]
    if not file.is_stderr:  # where each line would come twice, and as text between those of JSON
        console = _console_handler()
        console.setLevel(_console_level(level, quiet=quiet))
        handlers.append(console)
    for handler in handlers:
        handler.addFilter(_RunFilter(run_id))
        logger.addHandler(handler)
    here = threading.get_ident()
    with _changing:
        if not _runs:
            _usual[:] = [(logger.level, logger.propagate)]
        _runs[here] = run_id
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    if left:
        logger.warning("%s", left)
    try:
        yield
    finally:
        with _changing:
            del _runs[here]
            if not _runs:
                logger.level, logger.propagate = _usual[0]
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@contextmanager
def logging_to_stderr(level: str, *, quiet: bool) -> Iterator[None]:
    """Log to stderr alone, for what leaves no trace; errors only when quiet."""
    console, usual = _console_handler(), (logger.level, logger.propagate)
    console.setLevel(_console_level(level, quiet=quiet))
    logger.addHandler(console)
    logger.level, logger.propagate = logging.DEBUG, False
    try:
        yield
    finally:
        logger.removeHandler(console)
        logger.level, logger.propagate = usual


class _LogFile(logging.StreamHandler[TextIO]):
    """The log file. It remembers a line that could not be written, for `sync_log`."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_log(path))
        self.path = path
        self.thread = threading.get_ident()
        self.failure: BaseException | None = None

    @property
    def is_stderr(self) -> bool:
        """Whether it is where stderr goes, as with LOG_FILE=/dev/stderr."""
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), os.fstat(2))
        except OSError:  # stderr was closed
            return False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        self.failure = self.failure or sys.exc_info()[1]

    def close(self) -> None:
        with suppress(OSError):  # it was reported when the line was written
            self.stream.close()
        super().close()


def sync_log() -> None:
    """Raises `LogFileError` when a line has not reached the log file: runs must leave a trace."""
    for handler in logger.handlers:
        if not isinstance(handler, _LogFile) or handler.thread != threading.get_ident():
            continue
        if handler.failure is not None:
            reason = getattr(handler.failure, "strerror", None) or type(handler.failure).__name__
            raise LogFileError(
                f"LOG_FILE {handler.path} could not be written ({reason}); make room there or "
                "set it to another place"
            )


def summarize(lines: Iterable[str], results: Mapping[str, Any]) -> None:
    """Put the summary of a run into the log file: its `lines`, or its `results` as JSON."""
    for line in lines:
        logger.info("%s", line, extra={"file_only": True, "form": "text"})
    told = {"file_only": True, "form": "json", "summary": dict(results)}
    logger.info("the run ends: %s", results["status"], extra=told)


_displays: list[Callable[[str, bool], None]] = []
"""What prints lines instead, above a live display, while there is one."""


@contextmanager
def printed_by(display: Callable[[str, bool], None]) -> Iterator[None]:
    """Have lines for stderr printed by `display`, given whether each is an error."""
    _displays.append(display)
    try:
        yield
    finally:
        _displays.remove(display)


class _ConsoleHandler(logging.Handler):
    """Lines for people on stderr; above a live progress display when there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if _displays:
                _displays[-1](line, record.levelno >= logging.ERROR)
            else:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
        except (OSError, ValueError):  # stderr was closed; the file still has the line
            pass


def _console_level(level: str, *, quiet: bool) -> int | str:
    """What stderr shows: where there is a live display, it stands in for INFO lines."""
    if quiet:
        return logging.ERROR
    is_live = can_draw() or kernel_shell() is not None
    return logging.WARNING if level == "INFO" and is_live else level


def _console_handler() -> logging.Handler:
    handler = _ConsoleHandler()
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    stamp = "" if sys.stderr.isatty() else "%(asctime)s "
    handler.setFormatter(ConsoleLine(f"{stamp}%(levelname)s: %(message)s"))
    return handler

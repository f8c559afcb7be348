"""The log: lines to a file in detail, and to stderr for whoever watches."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from common.driver_words import explain
from common.files import open_private, private_folder
from errors import ConfigError, LogFileError

LOGGER = "star_etl"
logger = logging.getLogger(LOGGER)

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}"
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
}


def one_line(text: str) -> str:
    """`text` without line breaks and terminal escapes, so that data cannot forge a log line."""
    return text.translate(_CONTROLS)


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
def logging_to(log_file: Path, level: str, run_id: str, *, quiet: bool) -> Iterator[None]:
    """Log to `log_file` in detail, and to stderr at `level` (errors only when quiet).

    Handlers are taken off again at the end, so that a second run logs each line once. The root
    logger and its handlers are left alone. Raises `ConfigError` when the file cannot be written.
    """
    file = _log_file_handler(log_file)
    file.setLevel(min(logging.DEBUG if level == "DEBUG" else logging.INFO, getattr(logging, level)))
    file.setFormatter(
        _LogFormatter("%(asctime)s %(run_id)s %(levelname)-7s [%(threadName)s] %(message)s")
    )
    console = _console_handler()
    console.setLevel(_console_level(level, quiet=quiet))
    handlers = [file, console]
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
        private_folder(path.parent)
        descriptor = open_private(path, os.O_CREAT | os.O_APPEND)
        super().__init__(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"))
        self.path = path
        self.thread = threading.get_ident()
        self.failure: BaseException | None = None

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


def _log_file_handler(path: Path) -> logging.Handler:
    try:
        return _LogFile(path)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ConfigError(
            [f"LOG_FILE {path} cannot be written ({reason}); set it to another place"]
        ) from error


class _LogFormatter(logging.Formatter):
    """Tracebacks without the values that error messages quote: they are personal data."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        lines = []
        for error in _chain(ei[1]):
            lines += traceback.format_tb(error.__traceback__)
            lines.append(one_line(f"{type(error).__qualname__}: {explain(error)}") + "\n")
        return "".join(lines).rstrip()


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception and those it came from, the first cause first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.insert(0, error)
        error = error.__cause__ or error.__context__
    return chain


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
    """What stderr shows: on a terminal the live display stands in for INFO lines."""
    if quiet:
        return logging.ERROR
    return logging.WARNING if level == "INFO" and sys.stderr.isatty() else level


def _console_handler() -> logging.Handler:
    handler = _ConsoleHandler()
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    stamp = "" if sys.stderr.isatty() else "%(asctime)s "
    handler.setFormatter(logging.Formatter(f"{stamp}%(levelname)s: %(message)s"))
    return handler

"""What people see: log lines, live progress, and the summary at the end."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from common.driver_words import explain
from common.files import open_private, private_folder
from errors import ConfigError, LogFileError

if TYPE_CHECKING:
    from rich.progress import Progress


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
    console.addFilter(lambda record: not getattr(record, "file_only", False))
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
        with suppress(OSError):  # told before
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


class _ConsoleHandler(logging.Handler):
    """Lines for people on stderr; above a live progress display when there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if _live is not None:
                style = "red" if record.levelno >= logging.ERROR else ""
                _live.console.print(line, style=style, markup=False, highlight=False)
            else:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
        except (OSError, ValueError):  # stderr was closed; the file still has the line
            pass


def _console_level(level: str, *, quiet: bool) -> int | str:
    """What stderr shows: on a terminal the live display tells what INFO lines would."""
    if quiet:
        return logging.ERROR
    return logging.WARNING if level == "INFO" and sys.stderr.isatty() else level


def _console_handler() -> logging.Handler:
    handler = _ConsoleHandler()
    stamp = "" if sys.stderr.isatty() else "%(asctime)s "
    handler.setFormatter(logging.Formatter(f"{stamp}%(levelname)s: %(message)s"))
    return handler


_live: Progress | None = None
_EVERY_SECONDS = 10  # between plain progress lines of one phase


class PhaseProgress:
    """Progress of one phase: a live line on a terminal, now and then a log line elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._done = 0
        self._told = time.monotonic()
        self._task = None if _live is None else _live.add_task(title, total=None, what="")

    def advance(self, what: str, rows: int) -> None:
        """`rows` more of `what` are done."""
        self._done += rows
        if _live is not None and self._task is not None:
            _live.update(self._task, completed=self._done, what=what)
        elif time.monotonic() - self._told > _EVERY_SECONDS:
            self._told = time.monotonic()
            logger.info("%s: %s rows, at %s", self._title, f"{self._done:,}", what)

    def finish(self, rows: int) -> None:
        """The phase is over, with so many rows."""
        if _live is not None and self._task is not None:
            _live.update(self._task, total=max(rows, 1), completed=rows, what="")


@contextmanager
def live_progress(*, quiet: bool) -> Iterator[None]:
    """A live display on stderr while the block runs, if stderr is a terminal."""
    global _live  # noqa: PLW0603  # the one display of this process
    if quiet or not sys.stderr.isatty() or _live is not None:
        yield
        return
    # 70 ms that cron does not need.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>12,.0f} rows"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        _live = progress
        try:
            yield
        finally:
            _live = None


def render_summary(results: dict[str, Any]) -> list[str]:
    """The run at a glance, as lines of plain text."""
    lines = [
        f"Run {results['run_id']}: {results['status'].upper().replace('_', ' ')} "
        f"in {results['total_duration_seconds']:.2f} s"
    ]
    lines += [f"  error: {one_line(error)}" for error in results["errors"]]
    if results["repeats_run"]:
        lines.append(f"  the input is that of run {results['repeats_run']}: all rows are unchanged")
    lines += [
        "",
        *aligned(
            ("phase", "status", "seconds", "rows"),
            [
                (
                    name.replace("_", " "),
                    p["status"],
                    f"{p['duration_seconds']:.2f}",
                    f"{p['rows']:,}",
                )
                for name, p in results["phases"].items()
            ],
        ),
    ]
    accounts = results["validation_results"].get("reconciliation", {})
    lines += _accounts(accounts) if accounts else []
    lines += _tables(results)
    lines += _rejects(results)
    score = results["validation_results"].get("data_quality_score")
    if score is not None:
        lines += ["", f"data-quality score: {score:.4f} % of the rows read were accepted"]
    return lines


def _accounts(accounts: dict[str, Any]) -> list[str]:
    classes = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
    rows = []
    for name, account in accounts["sources"].items():
        numbers = (f"{account[c]:,}" for c in classes)
        rows.append((name, *numbers, "yes" if account["closed"] else "NO"))
    lines = ["", *aligned(("source", *classes, "closes"), rows)]
    money = accounts["money"]
    parts = ("read", "loaded", "unchanged", "duplicate", "rejected")
    net = [f"{money[part]}" for part in parts]
    closed = "yes" if money["closed"] else "NO"
    return [
        *lines,
        "",
        *aligned(("net amount", *parts, "closes"), [("transactions", *net, closed)]),
    ]


def _tables(results: dict[str, Any]) -> list[str]:
    counts = results["validation_results"].get("row_counts", {})
    loaded = results["dimension_loading_results"]
    rows = [
        (
            table,
            *(f"{loaded.get(table, {}).get(c, 0):,}" for c in ("inserted", "updated", "unchanged")),
            f"{loaded.get(table, {}).get('inferred', 0):,}",
            f"{count:,}",
        )
        for table, count in counts.items()
        if table in loaded
    ]
    facts = results["fact_loading_results"]
    if facts and counts:
        numbers = (facts[f"records_{c}"] for c in ("inserted", "updated", "unchanged"))
        rows.append(("fact_sales", *(f"{n:,}" for n in numbers), "", f"{counts['fact_sales']:,}"))
    header = ("table", "inserted", "updated", "unchanged", "inferred", "rows now")
    return ["", *aligned(header, rows)] if rows else []


def _rejects(results: dict[str, Any]) -> list[str]:
    rows = [
        (table, reason, f"{count:,}")
        for table, result in results["transformation_results"].items()
        for reason, count in result["rejected"].items()
    ]
    if not rows:
        return []
    where = f"rejected rows are in {results['rejects_dir']}"
    return ["", *aligned(("rejected from", "reason", "rows"), rows), where]


def aligned(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns under a header; numbers to the right, words to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    numeric = [
        all(
            row[i].replace(",", "").replace(".", "").lstrip("-").isdigit() or not row[i]
            for row in rows
        )
        for i in range(len(header))
    ]

    def line(row: tuple[str, ...]) -> str:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return ("  " + "  ".join(cells)).rstrip()

    return [line(header), *map(line, rows)]

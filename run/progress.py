"""Progress of long work: a live line on a terminal, now and then a log line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from run import logs

if TYPE_CHECKING:
    from rich.progress import Progress

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
            logs.logger.info("%s: %s rows, at %s", self._title, f"{self._done:,}", what)

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
    from rich.console import Console  # noqa: PLC0415  # 70 ms that cron does not need
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
    console = Console(stderr=True)

    def print_above(line: str, is_error: bool) -> None:
        style = "red" if is_error else ""
        console.print(line, style=style, markup=False, highlight=False)

    with Progress(*columns, console=console) as progress, logs.printed_by(print_above):
        _live = progress
        try:
            yield
        finally:
            _live = None

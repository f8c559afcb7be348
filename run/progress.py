"""Progress of long work: live lines on a terminal or in a notebook, now and then a log line
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from common.progress import Progress
from run import logs
from run.meter import Meter, told
from run.terminal import can_draw, kernel_shell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_EVERY_SECONDS = 10  # between lines in the log of one phase
_A_SECOND = 4
"""How often the live lines are drawn."""
SHOW_CURSOR = b"\x1b[?25h\n"


class PhaseProgress(Progress):
    """Progress of one phase: a live line on a terminal, now and then a log line elsewhere."""

    def __init__(self, meter: Meter, title: str, *, is_live: bool) -> None:
        self._meter = meter
        self._title = title
        self._is_live = is_live
        self._told = time.monotonic()

    def expect(self, total: int, unit: str = "") -> None:
        """So much is to be done: rows, or what `unit` says; 0 if nobody knows."""
        self._meter.total, self._meter.in_rows = total, not unit

    def advance(self, what: str, rows: int = 0) -> None:
        """`rows` more are done, of a source or a table; or it is at `what` now."""
        meter = self._meter
        meter.what = what
        meter.rows += rows
        if meter.in_rows:
            meter.done = meter.rows
        self._note()

    def reach(self, more: int) -> None:
        """So much more of what is expected is done, where that is not rows."""
        self._meter.done += more
        self._note()

    def finish(self, rows: int, *, failed: bool = False) -> None:
        """The phase is over, with so many rows."""
        self._meter.end("failed" if failed else "done")
        self._meter.rows = rows

    def _note(self) -> None:
        self._meter.note()
        if not self._is_live and time.monotonic() - self._told > _EVERY_SECONDS:
            self._told = time.monotonic()
            logs.logger.info("%s: %s", self._title, told(self._meter))


class Display:
    """What shows the phases of some work: those that are over, under way, and to come."""

    def __init__(self, plan: Sequence[str] = ()) -> None:
        self.is_live = False
        self._meters = {name: Meter(name) for name in plan}

    def phase(self, name: str, title: str = "") -> PhaseProgress:
        """A phase begins, which is called `name` on a screen, and `title` in a log.

        Where one of that name is over, it begins again, and those after it are to come.
        """
        names = list(self._meters)
        if name not in names or self._meters[name].status != "now":
            for meter in self._meters.values():
                meter.end("done")
            for later in names[names.index(name) :] if name in names else ():
                self._meters[later] = Meter(later)
            self._meters[name] = Meter(name, "now")
        meter = self._meters[name]
        return PhaseProgress(meter, title or name, is_live=self.is_live)

    @property
    def meters(self) -> list[Meter]:
        """How far each phase is, in their order."""
        return [*self._meters.values()]

    def shown(self, console: Console) -> Text:
        """The lines of now."""
        from run.progress_lines import lines  # noqa: PLC0415  # rich, which cron does not need

        return lines(self.meters, console.width, console.encoding)


_live: Display | None = None
"""The one that is on the terminal of this process."""


def is_shown() -> bool:
    """Whether live lines are on the terminal, whose cursor is hidden meanwhile."""
    return _live is not None


@contextmanager
def live_progress(
    *, quiet: bool, plan: Sequence[str] = (), ending: Callable[[], str] = lambda: ""
) -> Iterator[Display]:
    """A display of the phases of `plan` while the block runs: on stderr if that is a terminal that
    can draw lines again, and nobody else has it; in the cell of a notebook; else it goes to the
    log. On a terminal it leaves no trace, in a notebook what `ending` says.
    """
    display = Display(plan)
    if not quiet and kernel_shell() is not None:
        from run.notebook import live_line  # noqa: PLC0415  # where there is a notebook

        display.is_live = True
        with live_line(lambda: display.meters, ending):
            yield display
    elif quiet or not can_draw() or _live is not None:
        yield display
    else:
        with _on_terminal(display):
            yield display


@contextmanager
def _on_terminal(display: Display) -> Iterator[None]:
    global _live  # noqa: PLW0603  # the one display of this process
    from rich.console import Console  # noqa: PLC0415  # 70 ms that cron does not need
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, emoji=False, markup=False)

    def print_above(line: str, is_error: bool) -> None:
        console.print(line, style="red" if is_error else "", soft_wrap=True)

    live = Live(
        console=console,
        get_renderable=lambda: display.shown(console),
        refresh_per_second=_A_SECOND,
        transient=True,
        redirect_stdout=False,
    )
    _live, display.is_live = display, True
    try:
        with live, logs.printed_by(print_above):
            yield
    finally:
        _live = None

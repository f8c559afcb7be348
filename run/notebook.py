"""Progress in the cell of a notebook: one line, drawn again in its place until the work is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from html import escape

from run.meter import Meter, counted, lasted, pace, percent
from run.terminal import kernel_shell

EVERY_SECONDS = 0.2
"""How often the line is drawn, where it has changed."""
_LEAST_SECONDS = 0.3
"""What is over before is not shown under way."""
_LINE = "font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums"
_BAR = (
    "display:inline-block;width:8em;height:.6em;margin:0 .8em;border:1px solid #8888;"
    "border-radius:2px;overflow:hidden"
)
_FULL = "display:block;height:100%;background:#3b82c4;width:{}%"
_GAP = "\u2002"


@contextmanager
def live_line(meters: Callable[[], Sequence[Meter]], ending: Callable[[], str]) -> Iterator[None]:
    """Show how far the phases of `meters` are while the block runs. At its end the line says what
    `ending` does, or is gone where that is blank.

    It is drawn by a thread of its own, which has the context of the caller: by that the kernel
    knows which cell it is of.
    """
    shell = kernel_shell()
    if shell is None:
        raise RuntimeError("only the kernel of a notebook can show a line")
    line = _Line(shell)
    has_ended = threading.Event()

    def draw() -> None:
        wait = _LEAST_SECONDS
        while not has_ended.wait(wait):
            line.show(*_under_way(meters()))
            wait = EVERY_SECONDS

    drawing = threading.Thread(target=copy_context().run, args=(draw,), daemon=True)
    drawing.start()
    try:
        yield
    finally:
        has_ended.set()
        drawing.join()
        line.end(ending())


class _Line:
    """An output of a cell, which begins with what is shown first."""

    def __init__(self, shell: object) -> None:
        self._publish = shell.display_pub.publish  # type: ignore[attr-defined]  # IPython's
        self._id = f"star-etl-{id(self):x}-{threading.get_ident():x}"
        self._shown: str | None = None

    def show(self, text: str, html: str) -> None:
        """Put it in place of what was shown."""
        if text == self._shown:
            return
        is_there, self._shown = self._shown is not None, text
        data = {"text/plain": text, "text/html": html}
        with suppress(Exception):  # a kernel that cannot show it changes no run
            self._publish(data, transient={"display_id": self._id}, update=is_there)

    def end(self, text: str) -> None:
        """Leave `text`; where it is blank, nothing."""
        if text or self._shown is not None:
            word, colon, rest = text.partition(":")
            html = f"<b>{escape(word)}</b>{colon}{escape(rest)}"
            self.show(text, f'<div style="{_LINE}">{html}</div>' if text else "")


def _under_way(meters: Sequence[Meter]) -> tuple[str, str]:
    """The phase that was begun last, as text and as HTML."""
    begun = [n for n, meter in enumerate(meters, 1) if meter.status != "ahead"]
    number = max(begun, default=1)
    meter = meters[number - 1]
    share = meter.share
    rate, left = pace(meter)
    phase = f"{number} of {len(meters)}: {meter.name}"
    shown = "" if share is None else percent(share).strip()
    parts = [counted(meter), rate, left or lasted(meter.elapsed), meter.what]
    told = _GAP.join(filter(None, parts))
    bar = ""
    if share is not None:
        full = f'<span style="{_FULL.format(round(share * 100))}"></span>'
        bar = f'<span style="{_BAR}" role="img" aria-label="{shown}">{full}</span>'
    html = f'<div style="{_LINE}"><b>{escape(phase)}</b>{bar}{shown}{_GAP}{escape(told)}</div>'
    return _GAP.join(filter(None, [phase, shown, told])), html

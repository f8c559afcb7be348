"""A terminal at which somebody sits."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect

from support.application import ROOT
from support.waiting import HANGS


class Terminal:
    """`python main.py` at a terminal of so many columns."""

    def __init__(self, child: pexpect.spawn) -> None:
        self._child = child
        self.shown = ""
        """All that was shown so far."""

    def sees(self, pattern: str) -> None:
        """Wait until it shows something."""
        self._child.expect(pattern)
        self.shown += f"{self._child.before}{self._child.after}"

    def types(self, text: str) -> None:
        """Type a line, and Enter."""
        self._child.sendline(text)

    def presses(self, key: str) -> None:
        """Press a key together with Ctrl."""
        self._child.sendcontrol(key)

    def ends(self) -> int:
        """Wait for the end; returns the exit code."""
        self._child.expect(pexpect.EOF)
        self.shown += self._child.before
        self._child.close()
        return int(self._child.exitstatus)

    @property
    def lines(self) -> list[str]:
        """What stdout was given, without the live lines of progress and other escapes."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)
        return [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").splitlines()]


@contextmanager
def at_a_terminal(folder: Path, *arguments: str, columns: int = 80) -> Iterator[Terminal]:
    """The command line in `folder`, at a terminal; it is ended with the block."""
    child = pexpect.spawn(
        sys.executable,
        [str(ROOT / "main.py"), *arguments],
        cwd=str(folder),
        dimensions=(40, columns),
        encoding="utf-8",
        timeout=HANGS,
        env={k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")},
    )
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)

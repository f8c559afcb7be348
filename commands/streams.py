"""The standard streams of a process, as a caller gives them: closed, full, or without a letter."""

from __future__ import annotations

import io
import os
import sys


def make_ready() -> None:
    """Have stdin, stdout and stderr take whatever is printed: a letter that they lack is written as
    its number, and what nobody can read of stderr is dropped.
    """
    _open()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Dropping(sys.stderr)


class _Dropping(io.TextIOWrapper):
    """A stream for messages. That nobody reads them, or that they find no room, changes neither
    what has happened nor the exit code that tells of it.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True)
        self._stream = stream  # which closes the buffer when it is gone

    def write(self, text: str, /) -> int:
        """Write, if that can be done; returns how many characters were given."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        try:
            super().flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def _open() -> None:
    """Where a caller has closed one (`>&-`), no file of ours may get its number: what somebody
    prints would end up in the warehouse.
    """
    for number, mode in enumerate("rww"):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            name = ("stdin", "stdout", "stderr")[number]
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))

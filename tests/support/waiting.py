"""Waiting for what another process does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

HANGS = int(os.environ.get("HANGS", "600"))
"""Seconds after which a run hangs. None takes more than a few, where nothing else runs."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that comes in a moment, or never."""
    until = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def signals_are_taken(pid: int) -> bool:
    """Whether a process has been given all signals that were sent to it, or has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    pending = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
    return not any(int(mask, 16) for mask in pending)

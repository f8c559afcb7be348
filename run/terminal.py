"""The terminal that a run is watched at, or the notebook."""

from __future__ import annotations

import os
import sys
from typing import Any

WITHOUT_COLOURS = ("", "dumb", "unknown")
"""What TERM says of terminals on which nothing but text is to be shown."""


def can_draw() -> bool:
    """Whether stderr is a terminal on which lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in WITHOUT_COLOURS


def kernel_shell() -> Any | None:
    """The shell of the kernel that this process is, which shows HTML in the cells of a notebook;
    None for any other process, also for IPython on a terminal.
    """
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    shell = get() if get else None
    return shell if getattr(shell, "kernel", None) is not None else None

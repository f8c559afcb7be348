"""The terminal that a run is watched at."""

from __future__ import annotations

import os
import sys

WITHOUT_COLOURS = ("", "dumb", "unknown")
"""What TERM says of terminals on which nothing but text is to be shown."""


def can_draw() -> bool:
    """Whether stderr is a terminal on which lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in WITHOUT_COLOURS

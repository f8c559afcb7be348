"""How far some work is, for whoever watches."""

from __future__ import annotations


class Progress:
    """Hears how far some work is. This one keeps it to itself."""

    def expect(self, total: int, unit: str = "") -> None:
        """So much is to be done: rows, or what `unit` says; 0 if nobody knows."""

    def advance(self, what: str, rows: int = 0) -> None:
        """`rows` more are done, of a source or a table; or it is at `what` now."""

    def reach(self, more: int) -> None:
        """So much more of what is expected is done, where that is not rows."""


SILENT = Progress()

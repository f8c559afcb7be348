"""How far a phase of the work is: counted, with its rate, and in words."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from math import ceil

_WINDOW_SECONDS = 8.0
"""The rate is that of the last so many seconds."""
_LEAST_SHARE, _LEAST_SECONDS = 0.02, 1.0
"""Before so much is done, and so long ago begun, nothing is said of the time left."""
_EVERY_SECONDS = 0.25
"""So often a rate is noted."""


@dataclass
class Meter:
    """How far one phase is."""

    name: str
    status: str = "ahead"
    """`ahead`, `now`, `done`, or `failed`."""
    what: str = ""
    rows: int = 0
    done: int = 0
    """How much of `total` is done."""
    total: int = 0
    """0 where nobody knows."""
    in_rows: bool = True
    """Whether the total is in rows."""
    began: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108  # tests replace it
    seconds: float = 0.0
    """How long it took, once it is done."""
    _noted: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=64))

    def end(self, status: str) -> None:
        """It is over, if it has begun."""
        if self.status == "now":
            self.seconds, self.status = self.elapsed, status

    def note(self) -> None:
        """Remember how far it is now, for the rate; now and then is enough."""
        now = time.monotonic()
        if not self._noted:
            self._noted.append((self.began, 0, 0))
        if now - self._noted[-1][0] >= _EVERY_SECONDS:
            self._noted.append((now, self.rows, self.done))
            while now - self._noted[0][0] > _WINDOW_SECONDS and len(self._noted) > 2:
                self._noted.popleft()

    @property
    def elapsed(self) -> float:
        """Seconds since it has begun."""
        return self.seconds if self.status in ("done", "failed") else time.monotonic() - self.began

    @property
    def share(self) -> float | None:
        """Which part of it is done; None where nobody knows."""
        return min(self.done / self.total, 1.0) if self.total and self.done else None

    @property
    def rate(self) -> float:
        """Rows a second, of late; 0 if that says nothing yet."""
        return self._per_second(1)

    @property
    def left(self) -> float | None:
        """How many seconds are left, at the rate of late; None where nobody knows, or not yet."""
        rate, share = self._per_second(2), self.share or 0
        is_known = rate > 0 and _LEAST_SHARE < share < 1 and self.elapsed > _LEAST_SECONDS
        return (self.total - self.done) / rate if is_known else None

    def _per_second(self, place: int) -> float:
        if not self._noted:
            return 0.0
        first = self._noted[0]
        seconds = time.monotonic() - first[0]
        now = (self.rows, self.done)[place - 1]
        return (now - first[place]) / seconds if seconds > _EVERY_SECONDS else 0.0


def told(meter: Meter) -> str:
    """How far a phase is, in words, for a log."""
    parts = [counted(meter) + (" rows" if meter.in_rows and meter.total and meter.rows else "")]
    if meter.share is not None:
        parts.append(percent(meter.share).strip())
    parts += pace(meter)
    if meter.what:
        parts.append(f"at {meter.what}")
    return ", ".join(filter(None, parts))


def counted(meter: Meter) -> str:
    """How many rows it has, and of how many."""
    if not meter.rows:
        return ""
    of = f"of {meter.total:,}" if meter.in_rows and meter.total else "rows"
    return f"{meter.rows:,} {of}"


def pace(meter: Meter) -> tuple[str, str]:
    """How fast it goes, and how long it will take; blank where that is not known."""
    rate, left = meter.rate, meter.left
    return (
        f"{_short(rate)} rows/s" if rate >= 1 else "",
        "" if left is None else f"{clock(ceil(left))} left",
    )


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.{1 if number < 10 * size else 0}f}{letter}"
    return f"{number:.0f}"


def percent(share: float) -> str:
    """A share, five characters wide."""
    return f"{int(share * 100):>3} %"


def clock(seconds: int) -> str:
    """A time for people: 4:05 (minutes), 1:04:05 (hours)."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def lasted(seconds: float) -> str:
    """How long something took."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(ceil(seconds))

"""The clock of a run: each moment belongs to one phase, so that the phases add up to the whole."""

from __future__ import annotations

import time

from common.outcomes import PhaseResult
from run.summary import PHASES


class PhaseClock:
    """Counts the time of a run, phase by phase, from its first moment on.

    A phase has the time from its beginning to that of the next one: what a failed try and the wait
    after it cost included, and each time that it is begun again.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._now = next(iter(PHASES))
        self._began = self._since = time.perf_counter()

    def turn_to(self, phase: str) -> None:
        """From now on it is the time of this phase."""
        moment = time.perf_counter()
        self._seconds[self._now] += moment - self._since
        self._now, self._since = phase, moment

    def read(self, phases: dict[str, PhaseResult]) -> float:
        """Write down what each phase has cost until now; returns how long ago the run began."""
        self.turn_to(self._now)
        for name, seconds in self._seconds.items():
            phases[name].duration_seconds = round(seconds, 3)
        return round(self._since - self._began, 3)

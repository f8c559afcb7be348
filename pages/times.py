"""The time line of a run: its phases one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from pages.shown import count
from pages.story import Story
from report.figures import duration
from run.summary import PHASES


@dataclass(frozen=True)
class Phase:
    """A phase; its bar goes from `left` so far to the right, in per cent of the whole."""

    name: str
    shown: str
    share: str
    rows: str
    left: float
    width: float
    status: str


def times(story: Story) -> list[Phase]:
    """The phases that the run of a story came to, and what no phase has."""
    phases = story.summary.outcomes.phases
    came = [(PHASES[name], phases[name]) for name in PHASES if name in phases]
    came = [(name, phase) for name, phase in came if phase.status != "not_run"]
    spent = sum(phase.duration_seconds for _, phase in came)
    whole = max(spent, story.summary.total_duration_seconds) or 1.0
    found, at = [], 0.0
    for name, phase in came:
        seconds = phase.duration_seconds
        found.append(_phase(name, seconds, count(phase.rows), at, whole, phase.status))
        at += seconds
    if came and (rest := whole - spent) > 0.01 * whole and rest > 0.01:
        found.append(_phase("In between", rest, "", at, whole, "success"))
    return found


def _phase(name: str, seconds: float, rows: str, at: float, whole: float, status: str) -> Phase:
    share = seconds / whole
    return Phase(
        name, duration(seconds), f"{100 * share:.0f} %", rows,
        round(100 * at / whole, 2), round(100 * share, 2), status,
    )  # fmt: skip

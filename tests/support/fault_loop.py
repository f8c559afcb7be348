"""A load with a fault at one point after the other.

After each fault the state must be yesterday's or today's, what the exit code said must be true,
and a plain run afterwards must give today's. Two deliberately wrong loaders show that the loop sees
what is wrong: `two_commits` and `append_without_key` in `support.loads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass
class Figures:
    """What a loop over fault points has seen."""

    points: int = 0
    runs: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def count(self, code: int) -> None:
        """One more run with a fault that ended like this, and the plain run after it."""
        self.points += 1
        self.runs += 2
        outcome = "killed" if code < 0 else f"exit {code}"
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass
class Case:
    """A load under test: how to run it, and what its warehouse may look like."""

    reset: Callable[[], None]
    """Make it yesterday again."""
    digest: Callable[[], str]
    plain: Callable[[], None]
    """A run without a fault."""
    strike: Callable[[int], tuple[int, str]]
    """A run with a fault at a point: its exit code, and where that was."""


def loop(case: Case, points: Iterable[int]) -> Figures:
    """Run the load with a fault at each of `points`; tell what was wrong."""
    figures = Figures()
    case.reset()
    yesterday = case.digest()
    case.plain()
    today = case.digest()
    assert yesterday != today
    for point in points:
        case.reset()
        code, place = case.strike(point)
        figures.count(code)
        state = case.digest()
        where = f"at {point} ({place}), exit code {code}"
        if state not in (yesterday, today):
            figures.wrong.append(f"{where}: torn")
        elif code == 0 and state != today:
            figures.wrong.append(f"{where}: a false success")
        elif code in (1, 2, 3, 4, 70) and state != yesterday:
            figures.wrong.append(f"{where}: a false failure")
        case.plain()
        if case.digest() != today:
            figures.wrong.append(f"{where}: running again does not give today's")
    return figures

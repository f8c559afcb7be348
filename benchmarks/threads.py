"""What of a run is done by one thread while the others wait, and what more cores would make of it.

All of it is processor time: on a busy machine it is what it is on a quiet one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import Sample

_ALONE = 0.8
"""The share of what all threads use together from which on one of them works alone."""
_MOMENT = 0.03
"""CPU seconds in which that is looked at: less than most statements take, which are done by another
thread each, and more than a busy machine gives one thread in a row.
"""
_LINE = re.compile(r"(\S+) (\S+) \w+ +\[\w+\] (.+)")
_MARKS = (
    (re.compile(r"run \S+ begins"), "opening"),
    (re.compile(r"Publishing done.*"), "exit"),
    (re.compile(r"(\S+)( loading)? begins"), ""),
)
"""What the log says when a phase begins, and the phase's name if that is not what it says."""


@dataclass(frozen=True)
class Spent:
    """The processor time of a phase: all of it, that in which one thread worked alone, and that of
    the busiest thread.
    """

    cpu_seconds: float
    alone_seconds: float
    busiest_seconds: float

    def on(self, cores: int) -> float:
        """How many seconds it takes on so many cores, by Amdahl's law. It is never less than what
        its busiest thread has to do, even if others do something beside it.
        """
        shared = (self.cpu_seconds - self.alone_seconds) / cores
        return max(self.alone_seconds + shared, self.busiest_seconds)


def spent(
    samples: Sequence[Sample], began: float, phases: Iterable[tuple[str, float]] = ()
) -> dict[str, dict[str, float]]:
    """`Spent` of each phase, as a dict. `phases` are names and moments, in order of time; before
    the first one is `start`.
    """
    starts = [("start", began), *phases]
    found = {}
    for (name, begin), (_, end) in pairwise([*starts, ("", float("inf"))]):
        by_thread: Counter[str] = Counter()
        alone = 0.0
        for used in _used(samples, begin, end):
            by_thread.update(used)
            most, together = max(used.values(), default=0.0), sum(used.values())
            alone += together if most >= _ALONE * together else 0.0
        busiest = max(by_thread.values(), default=0.0)
        figures = Spent(*(round(s, 3) for s in (by_thread.total(), alone, busiest)))
        found[name] = asdict(figures)
    return found


def _used(samples: Sequence[Sample], begin: float, end: float) -> Iterator[Mapping[str, float]]:
    """What each thread has used between `begin` and `end`, moment by moment."""
    zero: Sample = samples[0][0], {}
    moment: Counter[str] = Counter()
    for (since, before), (until, after) in pairwise([zero, *samples]):
        if begin <= (since + until) / 2 < end:
            moment.update({name: cpu - before.get(name, 0.0) for name, cpu in after.items()})
            if moment.total() >= _MOMENT:
                yield moment
                moment = Counter()
    yield moment


def phases_in(log: Path, run_id: str) -> Iterator[tuple[str, float]]:
    """The phases of a run, and when each began, as its log tells."""
    for line in log.read_text(encoding="utf-8").splitlines():
        told = _LINE.match(line)
        if told is None or told[2] != run_id:
            continue
        for mark, name in _MARKS:
            said = mark.fullmatch(told[3])
            if said is not None:
                yield name or said[1].lower(), datetime.fromisoformat(told[1]).timestamp()
                break

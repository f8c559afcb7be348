"""Where a fact came from, or why it is not in the star: asked of the star, of the reject files of
all runs, and of the input as it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
from sqlalchemy import Table

from common.key_rules import normal_keys
from common.results import Clean
from common.star_model import FILE_NUMBER, LINE_NUMBER
from config import StarSchemaConfig
from errors import RequestError
from run.check import Phase
from run.explain_input import Input, look_in_input
from run.original import Look, Original, original_row
from run.reject_search import Refused, refusals
from warehouse import reading
from warehouse.engines import engine_of
from warehouse.whereabouts import (
    Overwritten,
    Whereabouts,
    knows_member,
    spelled_alike,
    whereabouts,
)

PHASES = ("rejects", "read", "look", "clean")
"""What is done, in order, where the input is looked through."""
_MOST_REFUSALS = 20


@dataclass
class Explanation:
    """What is known of a key of a fact."""

    key: str
    star: Whereabouts = field(default_factory=Whereabouts)
    file: str | None = None
    line: int | None = None
    """Where the fact was read, as far as the star knows."""
    original: Original | None = None
    refusals: list[Refused] = field(default_factory=list)
    """Of a fact in the star those since it was written; the newest run's first."""
    input: Input | None = None
    """What the input has of it, where nobody else knew."""
    near: list[str] = field(default_factory=list)
    """Keys in star and input that differ in case, spaces and leading zeros only."""
    problems: list[str] = field(default_factory=list)
    """Reject files that could not be looked through."""

    @property
    def state(self) -> str:
        """`in_star`, `removed`, `refused`, `in_input`, or `nowhere`."""
        if self.star.fact is not None:
            return "in_star"
        removal, refused = self.star.removal, self.refusals
        if removal and not (refused and self._place(refused[0]) > self._place(removal)):
            return "removed"
        if refused:
            return "refused"
        return "in_input" if self.input and self.input.rows else "nowhere"

    def _place(self, found: Refused | Overwritten) -> tuple[int, str]:
        """Of what a run did, its place among all runs."""
        return self.star.runs.get(found.run_id, -1), found.run_id

    @property
    def exit_code(self) -> int:
        """0: it is explained; 2: nobody knows it."""
        return 2 if self.state == "nowhere" else 0


def explain(
    config: StarSchemaConfig,
    given: str,
    look: Look,
    cleaning: Callable[[StarSchemaConfig], Clean],
    phase: Phase,
) -> Explanation:
    """What is known of the fact with the key `given`. Nothing is written, and nothing is locked.

    `look` reads sources, `cleaning` gives the rules under given settings, `phase` hears how far the
    work of that name is: one of `PHASES`. Raises `RequestError` for
    a key that cannot be one, `BusyError` where a run has the star open, so that it cannot be read.
    """
    found = Explanation(_normal(given))
    _ask_star(config, found)
    since = "" if found.star.fact is None else str(found.star.fact["run_id"])
    refused = refusals(
        config, found.key, found.problems, phase("rejects"), runs=found.star.runs, since=since,
        most=_MOST_REFUSALS,
    )  # fmt: skip
    by_key = [each for each in refused if not each.raw]
    found.refusals = by_key or ([] if found.star.fact is not None else refused)
    if found.file is not None and found.line is not None:
        where, sha256 = (found.file, found.line), _sha256(config, found)
        found.original = original_row(config, look, where, found.key, sha256, phase)
    if found.state == "nowhere":
        knows = _Knows(config)
        found.input = look_in_input(config, look, cleaning, found.key, knows, phase)
        found.near = list(dict.fromkeys([*found.near, *found.input.near]))
    return found


def _normal(given: str) -> str:
    try:
        key: str = normal_keys(pa.array([given], pa.string()))[0].as_py()
    except UnicodeEncodeError:  # bytes that are no text
        raise RequestError("TRANSACTION_ID is no text; give the key as the star shows it") from None
    if not key:
        raise RequestError("TRANSACTION_ID is blank; give the key as the star shows it")
    return key


def _ask_star(config: StarSchemaConfig, found: Explanation) -> None:
    if engine_of(config.warehouse_url).absent(config.warehouse_url) is not None:
        return  # no run has made one yet
    with reading(config) as warehouse:
        found.star = star = whereabouts(warehouse, config.star, found.key)
        if star.fact is None:
            if star.removal is None:
                found.near = spelled_alike(warehouse, config.star, found.key)
            return
    number, files = star.fact.get(FILE_NUMBER), star.run.files if star.run is not None else None
    if number is not None and files is not None and 0 < number <= len(files):
        found.file, found.line = str(files[number - 1]), star.fact.get(LINE_NUMBER)


def _sha256(config: StarSchemaConfig, found: Explanation) -> str | None:
    """By what the bytes of the file are known again; None where the run does not tell any more."""
    run = found.star.run
    listed = [] if run is None else run.sources.get(config.star.sales.name, [])
    try:
        return next((each["sha256"] for each in listed if each["path"] == found.file), None)
    except (LookupError, TypeError):  # somebody has written into the row
        return None


@dataclass(frozen=True)
class _Knows:
    config: StarSchemaConfig

    def __call__(self, dimension: Table, member: str) -> bool:
        if engine_of(self.config.warehouse_url).absent(self.config.warehouse_url) is not None:
            return False
        with reading(self.config) as warehouse:
            return knows_member(warehouse, dimension, member)

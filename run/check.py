"""What a run would find: it reads and cleans as a run does, and keeps nothing.

Nothing is written but the working folder, which is removed. `check_text` puts it into words.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import decoded
from common.parallel import Task, Workers
from common.progress import Progress
from common.rejects import ordered_reasons
from common.results import DETAIL, FILE, LINE, PLACE, REASON, Clean
from common.spool import Spool
from common.star_model import WHERE, Star
from config import StarSchemaConfig
from run.check_advice import Adviser
from run.clean_source import CleanSource, rows_to_load
from run.currencies import judge
from run.logs import logger
from run.refused import in_file_order
from run.staging import clean_sources, over_the_limit
from run.workers import workers_for
from sources.raw_source import RawSource, ReadSource
from warehouse.outlook import inspect_warehouse

PHASES = ("open", "read", "clean", "compare", "warehouse")
"""What it does, in this order."""
EXAMPLES = 5
"""How many rows of each reason are printed."""
_DETAILS = 200
"""Of each reason so many details are kept, to see which setting would help."""
_SAMPLE = 3

Look: TypeAlias = Callable[[Path, Progress, int | None, Workers], dict[str, ReadSource]]
"""Reads the sources into a folder, or the first rows of each; tells of its progress."""
Phase: TypeAlias = Callable[[str], Progress]
"""Begins a phase of this name."""


@dataclass(frozen=True)
class Place:
    """A row of a source, and what is wrong with it."""

    line: int
    label: str
    detail: str


@dataclass
class Refusal:
    """The rows that are refused for one reason: how many, and the first of them."""

    rows: int = 0
    first: list[Place] = field(default_factory=list)


def refusals(source: RawSource, cleaned: CleanSource) -> dict[str, Refusal]:
    """The rows that a run would write to its reject file, by reason."""
    found: dict[str, Refusal] = {}
    for call in in_file_order(source, cleaned.kept):
        rows = call().select([REASON, LINE, FILE, DETAIL])
        for reason in pc.unique(rows[REASON]).to_pylist():
            refusal = found.setdefault(reason, Refusal())
            chosen = rows.filter(pc.equal(rows[REASON], reason))
            refusal.rows += len(chosen)
            refusal.first += [
                Place(r[LINE], r[FILE], r[DETAIL] or "")
                for r in chosen.slice(0, _DETAILS - len(refusal.first)).to_pylist()
            ]
    return {reason: found[reason] for reason in ordered_reasons(found)}


@dataclass
class Sample:
    """The first rows of a source: as they are read, and as the star would hold them, if it would
    hold any.
    """

    read: pa.Table
    stored: pa.Table


@dataclass
class Strangers:
    """Sales that name members which their source does not have."""

    column: str
    source: str
    rows: int
    sales: int
    ids: int
    example: str


@dataclass
class SourceFindings:
    """What a run would find of one source."""

    looked: ReadSource
    cleaned: CleanSource | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict)
    sample: Sample | None = None
    inside: list[str] = field(default_factory=list)
    advice: dict[str, str] = field(default_factory=dict)
    """By reject reason or attribute: what would help."""


@dataclass
class Findings:
    """What a run would find, and how it would end."""

    sources: dict[str, SourceFindings]
    warehouse: list[str]
    can_start: bool
    rows: int | None
    over_limit: list[str] = field(default_factory=list)
    strangers: list[Strangers] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Which places of the settings cannot be written to."""

    at_fault: dict[str, int] = field(default_factory=dict)
    """The sources that cannot be read, or of which too many rows are refused; and how many of their
    rows are accepted.
    """
    fits: bool = True
    """Whether the warehouse can be loaded."""
    asks_warehouse: bool = False
    """Whether it would be refused, unless the warehouse knows members that the sources lack."""

    @property
    def exit_code(self) -> int:
        """0: it would publish; 2: it cannot start; 3: it would be refused."""
        if not self.can_start:
            return 2
        return 3 if self.over_limit else 0


def look_ahead(
    config: StarSchemaConfig,
    look: Look,
    cleaning: Callable[[StarSchemaConfig], Clean],
    phase: Phase,
    rows: int | None = None,
) -> Findings:
    """Read and clean all rows of all sources as a run would, or about the first `rows` of each;
    look into the warehouse; publish nothing.

    `look` reads the sources, `cleaning` gives the rules under given settings.

    Raises `SpoolError` when the working folder cannot be used.
    """
    phase("open")
    with working_folder(config.work_dir) as folder, workers_for(config, folder) as workers:
        for warning in workers.warnings:
            logger.warning("%s", warning)
        looked = look(folder, phase("read"), rows, workers)
        good = {name: s.extracted for name, s in looked.items() if s.extracted is not None}
        cleaned = clean_sources(
            good.values(), cleaning, config, folder, workers, progress=phase("clean")
        )
        sources = {}
        for name, source in looked.items():
            found = SourceFindings(source, cleaned.get(name), inside=source.inside())
            if source.extracted is not None and found.cleaned is not None:
                found.refusals = refusals(source.extracted, found.cleaned)
                found.sample = _sample(source.extracted, found.cleaned)
                found.advice = _advice(config, found, source.extracted, cleaning)
            sources[name] = found
        phase("compare")
        strangers = [] if rows else list(strangers_in(config.star, cleaned, workers))
    phase("warehouse")
    warehouse, fits = inspect_warehouse(config, config.star.tables)
    places = _unwritable(config)
    can_start = fits and not places and not any(source.problems for source in looked.values())
    limit = over_the_limit(cleaned.values(), config.max_reject_rate)
    if config.star.sales.name in cleaned:
        limit += filter(None, [judge(config, good, cleaned, {}).refusal])
    asks = config.orphan_policy == "reject" and _may_be_too_many(
        cleaned.get(config.star.sales.name), strangers, config.max_reject_rate
    )
    fault = _at_fault(config, sources)
    return Findings(
        sources, warehouse, can_start, rows, limit, strangers, places, fault, fits, asks
    )


def _at_fault(config: StarSchemaConfig, sources: dict[str, SourceFindings]) -> dict[str, int]:
    """The sources that cannot be read or have too many rejects, with the rows that are accepted."""
    return {
        name: 0 if found.cleaned is None else found.cleaned.rows
        for name, found in sources.items()
        if found.looked.problems
        or (found.cleaned and over_the_limit([found.cleaned], config.max_reject_rate))
    }


@contextmanager
def working_folder(place: Path) -> Iterator[Path]:
    """A working folder that leaves nothing behind, the folders above it included."""
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        with Spool(place) as made_here:
            yield made_here.folder
    finally:
        with suppress(OSError):  # somebody else has begun to use it
            for folder_made in made:
                folder_made.rmdir()


def _unwritable(config: StarSchemaConfig) -> list[str]:
    """The places where a run writes, and could not."""
    problems = []
    for setting, place in (
        ("LOG_FILE", config.log_file.parent),
        ("REJECTS_DIR", config.rejects_dir),
    ):
        there = next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            problems.append(f"{setting}: nothing can be made in {there}; set it to another place")
    return problems


def _sample(source: RawSource, cleaned: CleanSource) -> Sample:
    """The first rows that the star would hold, before and after the rules."""
    if not source.batches:
        return Sample(pa.table({}), pa.table({}))
    stored = cleaned.tasks()[0]().slice(0, _SAMPLE)
    read = source.canonical(0)
    read = read.take(stored[PLACE]) if len(stored) else read.slice(0, _SAMPLE)
    where = [name for name in (PLACE, *WHERE) if name in stored.column_names]
    return Sample(read, stored.drop_columns(where))


def _advice(
    config: StarSchemaConfig,
    found: SourceFindings,
    source: RawSource,
    cleaning: Callable[[StarSchemaConfig], Clean],
) -> dict[str, str]:
    """What would help against each reason and unusable attribute that was found."""
    issues: Counter[str] = Counter() if found.cleaned is None else found.cleaned.issues
    if not found.refusals and not issues:
        return {}
    adviser = Adviser(
        config, source.name, {file.format for file in found.looked.opened},
        found.looked.mapping or {}, source.canonical(0) if source.batches else None, cleaning,
    )  # fmt: skip
    read = found.cleaned.read if found.cleaned is not None and found.cleaned.rows else 0
    advice = {
        reason: adviser.for_reason(
            reason,
            [place.detail for place in refusal.first],
            share=refusal.rows / read if read else 1,
        )
        for reason, refusal in found.refusals.items()
    }
    return advice | {name: adviser.for_attribute(name) for name in issues}


def _may_be_too_many(sales: CleanSource | None, strangers: list[Strangers], limit: Decimal) -> bool:
    """Whether more sales than `limit` allows are rejected, if nobody knows the strangers."""
    if sales is None:
        return False
    at_most = sum(sales.rejected.values()) + sum(found.rows for found in strangers)
    return at_most > limit * sales.read


def strangers_in(
    star: Star, cleaned: dict[str, CleanSource], workers: Workers
) -> Iterator[Strangers]:
    """How many sales name members that their source does not have."""
    sales = cleaned.get(star.sales.name)
    for name in cleaned:
        key = star.source(name).key
        if sales is None or key not in sales.strange:
            continue
        tasks = (
            Task(_named, (*sales.left(number), key, ids), label=f"strangers in {sales.name}")
            for number, ids in sorted(sales.strange[key].items())
        )
        unknown: Counter[str] = Counter()
        for found in workers.in_order(tasks):
            unknown.update(found)
        if unknown:
            rows, example = unknown.total(), next(iter(unknown))
            yield Strangers(key, name, rows, sales.rows, len(unknown), example)


def _named(path: Path, left_out: Path | None, column: str, ids: pa.Array) -> dict[str, int]:
    """How many rows of a batch name each of `ids`."""
    named = decoded(rows_to_load(path, left_out)[column])
    counts = pc.value_counts(named.filter(pc.is_in(named, ids)))
    return {count["values"]: count["counts"] for count in counts.to_pylist()}

"""Which rows of a replay are older than what the star has: these are listed, and not loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy import Table

from common.arrays import decoded, whole
from common.key_folding import folded_keys
from common.parallel import Task
from common.rejects import LOADED_LATER
from common.results import DETAIL, PLACE, REASON, ROW_BITS
from common.run_totals import facts_removed
from common.star_model import INFERRED_FLAG, Source, business_key
from common.sums import plus
from run.clean_source import (
    About,
    CleanSource,
    SettledBatch,
    left_out_too,
    net_by_reason,
    removing,
    rows_left,
)
from run.frame import Run
from run.refused import keep
from run.replay import Replay, root_of
from run.settling import named
from schema import etl_change
from sources.raw_source import RawSource
from sources.source_files import RawBatch
from warehouse import Warehouse
from warehouse.removals import stage_keys
from warehouse.runs import PastRun, runs_called, runs_since

_EXAMPLES = 5
_LOST_TO_ANOTHER = pa.array(["conflicting_duplicate", LOADED_LATER, ""])
"""Rows that were refused for these reasons are older than what their own run has loaded."""


@dataclass(frozen=True)
class Later:
    """The keys that a later run has loaded, and which run that was."""

    keys: pa.Array
    runs: pa.Array
    only_losers: bool = False
    """Whether that holds only of rows that had lost to another row of their own run."""


def without_later(
    run: Run,
    replay: Replay,
    extracted: Mapping[str, RawSource],
    cleaned: dict[str, CleanSource],
) -> dict[str, CleanSource]:
    """`cleaned` without the rows whose key a later run has loaded than the one that is replayed;
    they become rejects. The transaction has begun.
    """
    result, star = dict(cleaned), run.config.star
    for name in () if replay.force else replay.files:
        source = star.source(name)
        if run.warehouse.is_created(source.feeds):
            continue
        later, doubts = _later(run.warehouse, replay, source, cleaned[name])
        run.warn(*doubts)
        for each in later:
            result[name] = _without(run, result[name], extracted[name], each)
        held = result[name].rejected[LOADED_LATER] - cleaned[name].rejected[LOADED_LATER]
        if held:
            run.report_cleaned(result[name], extracted[name])
            run.warn(_told(name, held, later))
    return result


def _told(source: str, held: int, later: Sequence[Later]) -> str:
    """What to say of rows that are not loaded."""
    pairs = [
        f"{key} ({loaded_by})"
        for each in later
        if not each.only_losers
        for key, loaded_by in zip(
            each.keys[:_EXAMPLES].to_pylist(), each.runs[:_EXAMPLES].to_pylist(), strict=True
        )
    ]
    more = ", …" if held > len(pairs) else ""
    listed = f": {', '.join(pairs)}{more}" if pairs else ""
    rows = "1 row is" if held == 1 else f"{held:,} rows are"
    return (
        f"{source}: {rows} not loaded, as a later run has loaded the same key{listed}; `rejects "
        f"--reason {LOADED_LATER}` shows them, `replay --force` loads them"
    )


def _later(
    warehouse: Warehouse, replay: Replay, source: Source, cleaned: CleanSource
) -> tuple[list[Later], list[str]]:
    """The keys of a source that later runs have loaded; and a warning where nobody knows."""
    table, key, doubts = source.feeds, source.key, list[str]()
    arrays = (
        whole(decoded(rows_left(*cleaned.left(number))[key])).cast(pa.string())
        for number in range(len(cleaned.batches))
    )
    staged = stage_keys(warehouse, table, arrays, "replayed")
    if source.describes_facts:
        found = _of_facts(warehouse, replay, source, staged)
        doubts += _doubts(warehouse, replay, source, staged)
    else:
        found = _of_members(warehouse, replay, source, staged, cleaned.about)
    warehouse.drop(staged)
    return [later for later in found if len(later.keys)], doubts


# --- facts know their run -------------------------------------------------------------------------


def _of_facts(warehouse: Warehouse, replay: Replay, source: Source, staged: Table) -> list[Later]:
    fact = source.feeds
    key = business_key(fact)
    loaded = sa.select(key.label("key"), fact.c.run_id.label("run")).select_from(
        staged.join(fact, key == staged.c[key.name])
    )
    gone = sa.select(etl_change.c.business_key.label("key"), etl_change.c.run_id.label("run"))
    gone = gone.select_from(
        staged.join(etl_change, etl_change.c.business_key == staged.c[key.name])
    ).where(etl_change.c.table_name == fact.name, etl_change.c.attribute.is_(None))
    rows = [warehouse.fetch(statement) for statement in (loaded, gone)]
    table = pa.concat_tables([each.select(["key", "run"]) for each in rows])
    table = table.cast(pa.schema([("key", pa.string()), ("run", pa.string())]))
    runs = pc.unique(table["run"]).to_pylist()
    known = runs_called(warehouse, runs)
    later = [run for run in runs if _is_later(warehouse, replay, known.get(run))]
    table = table.filter(pc.is_in(table["run"], pa.array(later, pa.string()))).sort_by("key")
    return [Later(whole(table["key"]), whole(table["run"]))]


def _doubts(warehouse: Warehouse, replay: Replay, source: Source, staged: Table) -> list[str]:
    """A warning where rows come in that are not there, and runs that are later have removed facts
    of which `etl_change` does not name each.
    """
    fact, kept = source.feeds, etl_change.c
    key = business_key(fact)
    is_there = sa.exists().where(key == staged.c[key.name])
    new = warehouse.scalar(sa.select(sa.func.count()).select_from(staged).where(~is_there))
    runs = runs_since(warehouse, replay.root or 0) if new else []
    removed = {run.run_id: count for run in runs if (count := facts_removed(run.counts))}
    if not removed:
        return []
    is_one = kept.attribute.is_(None), kept.business_key.is_not(None)
    named = sa.select(kept.run_id, sa.func.count()).group_by(kept.run_id)
    rows = warehouse.execute(named.where(kept.table_name == fact.name, *is_one)).all()
    counts = {str(run_id): int(count) for run_id, count in map(tuple, rows)}
    unknown = [run_id for run_id, count in removed.items() if counts.get(run_id, 0) < count]
    if not unknown:
        return []
    listed = ", ".join(unknown[:_EXAMPLES]) + (", …" if len(unknown) > _EXAMPLES else "")
    one = "run has" if len(unknown) == 1 else "runs have"
    return [
        f"{source.name}: {new:,} of the rows are not in the star, and a later {one} removed rows "
        f"of which etl_change does not say which ({listed}): see that none of them comes back"
    ]


def _is_later(warehouse: Warehouse, replay: Replay, run: PastRun | None) -> bool:
    """Whether what a run has read is newer than the rows of a replay. What the replayed run itself
    has loaded is: its rejects may have lost to that. What a former replay of the same files has
    loaded is not, and what any other has is as old as the run that first refused it.
    """
    if run is None or replay.root is None or run.run_id == replay.run_id:
        return True
    if run.totals.replays == replay.run_id:
        return False
    age = root_of(warehouse, run) if run.totals.replays else run.sequence or 0
    return age is None or age >= replay.root


# --- members do not: there it is asked who has read their source -------------------------------


def _of_members(
    warehouse: Warehouse, replay: Replay, source: Source, staged: Table, about: About
) -> list[Later]:
    table = source.feeds
    key, is_described = business_key(table), sa.not_(table.c[INFERRED_FLAG])
    there = sa.select(key.label("key")).where(is_described)
    if key.name not in about.folded:  # else any of them may be meant
        is_staged = sa.exists().where(staged.c[key.name] == key)
        there = there.where(is_staged)
    keys = _forms(about, warehouse.fetch(there)["key"])
    reader = _last_reader(warehouse, replay, source.name)
    only_losers = not reader and replay.was_published
    if not (reader or only_losers):
        return []
    runs = pa.array([reader or replay.run_id] * len(keys), pa.string())
    return [Later(keys, runs, only_losers=only_losers)]


def _last_reader(warehouse: Warehouse, replay: Replay, source: str) -> str:
    """The last later run that has read a source, or may have; '' where there is none."""
    if replay.root is None:
        return replay.run_id
    for run in runs_since(warehouse, replay.root):
        has_read = run.run_id != replay.run_id and (source in run.sources or not run.sources)
        if has_read and _is_later(warehouse, replay, run):
            return run.run_id
    return ""


# --- their rows -----------------------------------------------------------------------------------


def _without(run: Run, cleaned: CleanSource, extracted: RawSource, later: Later) -> CleanSource:
    result = cleaned.copied()
    about, sought = run.workers.share(cleaned.about), run.workers.share(later)
    tasks = (
        Task(
            _settled,
            (about, sought, number, batch, *cleaned.left(number), run.spool.folder),
            label=f"later rows of {cleaned.name}, batch {number + 1}",
        )
        for number, batch in enumerate(extracted.batches)
    )
    for settled in run.workers.in_order(tasks):
        if settled is not None:
            result.settle(settled)
    return result


def _settled(
    about: About,
    later: Later,
    number: int,
    batch: RawBatch,
    path: Path,
    left_out: Path | None,
    folder: Path,
) -> SettledBatch | None:
    """A batch without its rows whose keys are among the `later` ones; None where it has none."""
    rows = rows_left(path, left_out)
    found = pc.index_in(_forms(about, rows[about.key]), value_set=later.keys)
    is_later = found.is_valid().to_numpy(zero_copy_only=False)
    if later.only_losers:
        is_later &= _has_lost(batch, rows)
    if not is_later.any():
        return None
    lost = rows.filter(pa.array(is_later))
    runs = later.runs.take(found.filter(pa.array(is_later)))
    told = pc.binary_join_element_wise("run", runs, "has loaded it; replay --force loads this", " ")
    reasons = pa.array([LOADED_LATER] * len(lost), pa.string())
    refused = pa.table({PLACE: lost[PLACE], REASON: reasons, DETAIL: told})
    money = net_by_reason(lost, reasons, about.currency) if about.describes_facts else {}
    settled = SettledBatch(
        number,
        left_out_too(about, number, left_out, lost, folder),
        refused=keep(folder, about.name, number, "later", refused, money),
    )
    if not about.describes_facts:
        return settled
    (names,) = named(about, [(rows, np.flatnonzero(is_later))])
    return replace(
        settled,
        money={"rejected": plus(*money.values())},
        removing=removing(lost),
        strange=names.strange,
        days=names.days,
    )


def _forms(about: About, keys: pa.ChunkedArray) -> pa.Array:
    """Keys as they are compared."""
    texts = whole(decoded(keys)).cast(pa.string())
    return folded_keys(texts) if about.key in about.folded else texts


def _has_lost(batch: RawBatch, rows: pa.Table) -> Any:
    """Of each row, whether it was refused because another row of its run had its key."""
    originals = batch.originals()
    reasons = originals[REASON].take(pa.array(rows[PLACE].to_numpy() & ROW_BITS))
    reasons = pc.fill_null(decoded(whole(reasons)).cast(pa.string()), "")
    return pc.is_in(reasons, _LOST_TO_ANOTHER).to_numpy(zero_copy_only=False)

"""The transformation of a whole source: batch by batch, out of core, duplicates resolved.

The rules are `transform`'s; here they are run over spilled batches in parallel, and of every row
that does not go on it is kept why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.marks import marked
from cleaning.removals import blanked
from cleaning.strays import stray_rows
from common import spool
from common.arrays import decoded, whole
from common.key_hashes import key_hashes
from common.parallel import Task, Workers
from common.progress import SILENT, Progress
from common.results import DETAIL, PLACE, REASON, REMOVAL, ROW_BITS, SKIPPED, Clean, CleanBatch
from common.star_model import DELETED_FLAG, Source, business_key, references, target_of
from config import StarSchemaConfig
from run.clean_source import About, CleanedBatch, CleanSource, removing
from run.doubts import doubt_of
from run.lineage import with_where
from run.refused import keep
from run.repeats import Hashed
from run.settling import note_known, settle
from sources.raw_source import RawSource
from sources.source_files import RawBatch


@dataclass(frozen=True)
class _Rules:
    """How batches are cleaned: settings without secrets, and what they make of a batch."""

    config: StarSchemaConfig
    clean: Clean


def clean_sources(
    sources: Iterable[RawSource],
    cleaning: Callable[[StarSchemaConfig], Clean],
    config: StarSchemaConfig,
    folder: Path,
    workers: Workers,
    *,
    progress: Progress = SILENT,
) -> dict[str, CleanSource]:
    """Clean every batch of all sources, spill the good rows, and resolve duplicate keys.

    `cleaning` gives the rules for one batch under given settings. The facts come last: the others
    have rules in Python, of which only one can run at a time, and what is after them leaves the
    interpreter alone. Meanwhile the duplicates of the others are resolved.
    """
    raws = {raw.name: raw for raw in sources}
    results = {
        raw.name: CleanSource(_about(raw.source, config), raw.records) for raw in raws.values()
    }
    for_workers = config.for_workers()
    rules = workers.share(_Rules(for_workers, cleaning(for_workers)))
    order = sorted(raws.values(), key=lambda raw: (raw.source.describes_facts, raw.records))
    tasks = (task for raw in order for task in _tasks(rules, raw, results[raw.name].about, folder))
    owners = ((raw.name, batch.records) for raw in order for batch in raw.batches)
    progress.expect(sum(raw.records for raw in order))
    settled: dict[str, Future[Path]] = {}
    with ThreadPoolExecutor(len(order) or 1) as members:
        for (name, records), batch in zip(owners, workers.in_order(tasks), strict=True):
            result = results[name]
            result.add(batch)
            progress.advance(name, records)
            is_last = len(result.batches) == len(raws[name].batches)
            if is_last and not result.about.describes_facts:
                settled[name] = members.submit(
                    _settle_members, raws[name], result, config, folder, workers
                )
    known = {name: future.result() for name, future in settled.items()}
    for name, result in results.items():
        if result.about.describes_facts:
            result.about = replace(result.about, known=_known(raws[name].source, config, known))
            _settle(raws[name], result, config, folder, workers)
    return results


def _about(source: Source, config: StarSchemaConfig) -> About:
    star = config.star
    about = About(
        source.name,
        source.key,
        source.describes_facts,
        notes_keys=config.source(source.name).extract != "changes",
        folded=config.folded_keys,
    )
    if not source.describes_facts:
        return about
    return replace(
        about,
        currency="" if star.currency is None else star.currency.name,
        ids=source.references,
        day=business_key(star.calendar).name,
    )


def _tasks(
    rules: _Rules, raw: RawSource, about: About, folder: Path
) -> Iterator[Task[CleanedBatch]]:
    """A task per batch that cleans it."""
    asked = {DELETED_FLAG, SKIPPED}
    removes = about.describes_facts and bool(asked & raw.mapped)
    for number, batch in enumerate(raw.batches):
        arguments = (rules, about, number, batch, removes, folder)
        yield Task(_clean_batch, arguments, label=f"{raw.name}, batch {number + 1} ({batch.place})")


def _known(facts: Source, config: StarSchemaConfig, known: Mapping[str, Path]) -> dict[str, Path]:
    """By column of ids, the file of those that its source describes, if it has one."""
    sources = {
        key.info["finds_by"]: config.star.source_of(target_of(key)).name
        for key in references(facts.feeds)
    }
    return {column: known[name] for column, name in sources.items() if name in known}


def _settle_members(
    raw: RawSource, result: CleanSource, config: StarSchemaConfig, folder: Path, workers: Workers
) -> Path:
    known = note_known(result, folder, workers)
    _settle(raw, result, config, folder, workers)
    return known


def _settle(
    raw: RawSource, result: CleanSource, config: StarSchemaConfig, folder: Path, workers: Workers
) -> None:
    conflicts = settle(result, folder, workers)
    parts = list(config.source(result.name).rule(result.key).names)
    result.doubt = doubt_of(result, raw, parts, conflicts, folder, workers)


def over_the_limit(cleaned: Iterable[CleanSource], limit: Decimal) -> list[str]:
    """Which sources have a larger share of rejected rows than `limit`, MAX_REJECT_RATE."""
    refused = []
    for source in cleaned:
        rejected = sum(source.rejected.values())
        if rejected > limit * source.read:
            refused.append(
                f"{source.name}: {rejected:,} of {source.read:,} rows rejected, above "
                f"MAX_REJECT_RATE={limit}"
            )
    return refused


# --- the task of a batch -------------------------------------------------------------------------


def _clean_batch(
    rules: _Rules, about: About, number: int, batch: RawBatch, removes: bool, folder: Path
) -> CleanedBatch:
    source, name = rules.config.star.source(about.name), about.name
    rows = batch.canonical(source, rules.config.source(name))
    cleaned = _without_strays(rules.clean, source, number, batch, rows)
    if removes and REMOVAL not in cleaned.rows.column_names:  # only other files have them
        none = pa.array(np.zeros(len(cleaned.rows), np.int8))
        cleaned.rows = cleaned.rows.append_column(REMOVAL, none)
    if about.describes_facts:
        cleaned.rows = with_where(cleaned.rows, batch)
    path = spool.write(folder, f"{name}-cleaned-{number:06}", cleaned.rows)
    hashes = spool.write_numbers(
        folder, f"{name}-hashes-{number:06}", key_hashes(cleaned.rows[about.key])
    )
    no_rows = batch.no_rows()
    borne = None
    if about.notes_keys and cleaned.borne is not None:
        keys = pa.table({about.key: cleaned.borne})
        borne = spool.write(folder, f"{name}-borne-{number:06}", keys)
    looked_at = [c for c in rows.column_names if c in source.keys or not about.describes_facts]
    return CleanedBatch(
        Hashed(path, hashes, len(cleaned.rows)),
        keep(folder, name, number, "rules", cleaned.rejects, cleaned.rejected_money),
        borne,
        Counter[str]() if no_rows is None else Counter(no_rows[REASON].to_pylist()),
        marked(rows, looked_at, source.keys),
        cleaned.issues,
        cleaned.money,
        cleaned.currencies,
        cleaned.without_cost,
        cleaned.skipped + batch.empty,
        cleaned.nameless,
        removing(cleaned.rows),
    )


def _without_strays(
    clean: Clean, source: Source, number: int, batch: RawBatch, rows: pa.Table
) -> CleanBatch:
    """A batch by its rules; rows that are no records are refused, whatever else they are."""
    strays = {}
    if source.key in rows.column_names:  # else no record of the batch is a row
        strays = stray_rows(batch.originals(), rows[source.key])
    if strays and SKIPPED in rows.column_names:  # what is asked to be left out is no fault
        asked = pc.equal(decoded(whole(rows[SKIPPED])), "true").to_pylist()
        strays = {row: what for row, what in strays.items() if not asked[row]}
    if not strays:
        return clean(source.name, number, rows)
    is_stray = np.zeros(len(rows), bool)
    is_stray[list(strays)] = True
    blank = [blanked(whole(column), pa.array(is_stray)) for column in rows.columns]
    cleaned = clean(source.name, number, pa.table(blank, rows.column_names))
    cleaned.rejects = _retold(cleaned.rejects, strays)
    cleaned.nameless -= len(strays)  # they are known to be no rows: nothing hides in them
    return cleaned


def _retold(rejects: pa.Table, strays: dict[int, str]) -> pa.Table:
    """`rejects`, in which rows of `strays` are refused for what they are."""
    details = [strays.get(row) for row in (rejects[PLACE].to_numpy() & ROW_BITS).tolist()]
    details = pa.array(details, pa.string())
    reasons = pc.if_else(pc.is_valid(details), "malformed_row", rejects[REASON])
    return pa.table(
        {
            PLACE: rejects[PLACE],
            REASON: reasons,
            DETAIL: pc.coalesce(details, rejects[DETAIL]),
        }
    )

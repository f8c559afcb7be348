"""What is settled of a source when all its batches are clean: which rows a later one replaces, and
whom the rows that are left name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.duplicates import superseded_in
from cleaning.strangers import by_hash, distinct, strangers
from common import spool
from common.arrays import decoded
from common.parallel import Task, Workers
from common.results import DETAIL, PLACE, REASON
from common.sums import Sums
from run.clean_source import About, CleanSource, SettledBatch, net_of, positions, removing
from run.refused import keep
from run.repeats import chunks, find_superseded


def settle(source: CleanSource, folder: Path, workers: Workers) -> dict[int, Path]:
    """Take out of a source the rows that a later one with the same key replaces; of facts, note
    whom the rest names.

    Returns, of each batch that has any, the file of the rows that are refused, as the later row
    has other content. Raises `SpoolError` when the disk refuses.
    """
    conflicts: dict[int, Path] = {}
    about = workers.share(source.about)
    found = find_superseded(source.batches, source.key, folder, source.name, workers)
    if not (found or source.about.describes_facts):
        return conflicts
    paths = [batch.rows for batch in source.batches]
    tasks = (
        Task(_settled, (about, chunk, start, found, folder), label=f"duplicates of {source.name}")
        for start, chunk in chunks(paths, workers)
    )
    for several in workers.in_order(tasks):
        for batch in several:
            source.settle(batch)
            if batch.refused is not None:
                conflicts[batch.number] = batch.refused.path
    spool.remove(found)
    return conflicts


def note_known(source: CleanSource, folder: Path, workers: Workers) -> Path:
    """A file of the ids that a source describes, as `About.known` has it."""
    paths = [batch.rows for batch in source.batches]
    task = Task(_known, (source.about, paths, folder), label=f"keys of {source.name}")
    return workers.result(task)


def named(
    about: About, rows: pa.Table, lost: npt.NDArray[np.int64]
) -> tuple[dict[str, pa.Array], tuple[int, int] | None]:
    """Of facts but those at `lost`: by column the distinct ids that no source describes, and the
    first and the last key of their days.
    """
    strange = {}
    for name in about.ids:
        ids = distinct(rows[name], lost).cast(pa.string())
        ids = ids.filter(pc.not_equal(ids, ""))
        if name in about.known:
            ids = strangers(ids, spool.read(about.known[name]))
        if len(ids):
            strange[name] = ids
    bounds: dict[str, Any] = pc.min_max(distinct(rows[about.day], lost)).as_py()
    first, last = bounds["min"], bounds["max"]
    return strange, None if first is None else (first, last)


# --- the tasks -------------------------------------------------------------------------------


def _known(about: About, paths: Sequence[Path], folder: Path) -> Path:
    keys = (decoded(spool.read(path)[about.key]) for path in paths)
    return spool.write(folder, f"{about.name}-known", by_hash(keys))


def _settled(
    about: About, paths: Sequence[Path], first: int, found: Sequence[Path], folder: Path
) -> list[SettledBatch]:
    """What some batches have lost to later rows, and whom the rows that are left name."""
    judged = [spool.read(path) for path in found]
    return [
        _settled_batch(about, path, number, judged, folder)
        for number, path in enumerate(paths, first)
    ]


def _settled_batch(
    about: About, path: Path, number: int, judged: Sequence[pa.Table], folder: Path
) -> SettledBatch:
    """Rows with the same content as a later one are duplicates, the others rejected. A lost row
    asks for no member and no date.
    """
    superseded = superseded_in(judged, number)
    left_out = kept = days = None
    money: dict[str, Sums] = {}
    strange: dict[str, pa.Array] = {}
    gone = 0
    if len(superseded.rows):
        name = f"{about.name}-left-out-{number:06}"
        left_out = spool.write_numbers(folder, name, superseded.rows)
        conflicts = _refused(superseded.rows[~superseded.identical], about.key)
        kept = keep(folder, about.name, number, "duplicates", conflicts)
    if about.describes_facts:
        rows = spool.read(path)
        lost = positions(rows, superseded.rows)
        strange, days = named(about, rows, lost)
        rows = rows.take(pa.array(lost))
        for part, chosen in (
            ("duplicate", superseded.identical),
            ("rejected", ~superseded.identical),
        ):
            money[part] = net_of(rows.filter(pa.array(chosen)), about.currency)
        gone = removing(rows)
    duplicates = int(superseded.identical.sum())
    return SettledBatch(
        number, left_out, duplicates, kept, money=money, removing=gone, strange=strange, days=days
    )


def _refused(conflicts: npt.NDArray[np.int64], key: str) -> pa.Table:
    return pa.table(
        {
            PLACE: conflicts,
            REASON: pa.array(["conflicting_duplicate"] * len(conflicts), pa.string()),
            DETAIL: pa.array([f"a later row has the same {key}"] * len(conflicts), pa.string()),
        }
    )

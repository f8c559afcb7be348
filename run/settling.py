"""What is settled of a source when all its batches are clean: which rows a later one replaces, and
whom the rows that are left name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.duplicates import Rows, Superseded, superseded_in
from cleaning.strangers import by_hash, distinct, strangers
from common import spool
from common.arrays import decoded
from common.key_folding import folded_keys
from common.parallel import Task, Workers
from common.results import DETAIL, PLACE, REASON, REMOVAL
from common.sums import plus
from run.clean_source import (
    About,
    CleanSource,
    SettledBatch,
    net_by_reason,
    net_of,
    positions,
    removing,
)
from run.refused import keep
from run.repeats import chunks, find_superseded

_CONFLICT = "conflicting_duplicate"


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


@dataclass(frozen=True)
class Named:
    """What facts name."""

    strange: dict[str, pa.Array]
    """By column, the distinct ids that no source describes."""
    days: tuple[int, int] | None
    """The first and the last key of their days."""


def named(about: About, batches: Sequence[tuple[pa.Table, Rows]]) -> list[Named]:
    """What is named by batches of facts but their rows at these numbers."""
    found = [Named({}, _days(distinct(rows[about.day], lost))) for rows, lost in batches]
    for name in about.ids:
        several = [_ids(rows[name], lost) for rows, lost in batches]
        if name in about.known:
            form = folded_keys if name in about.folded else None
            several = strangers(several, spool.read(about.known[name]), form)
        for batch, ids in zip(found, several, strict=True):
            if len(ids):
                batch.strange[name] = ids
    return found


def _ids(column: pa.ChunkedArray, lost: Rows) -> pa.Array:
    ids = distinct(column, lost).cast(pa.string())
    return ids.filter(pc.not_equal(ids, ""))


def _days(keys: pa.Array) -> tuple[int, int] | None:
    bounds: dict[str, Any] = pc.min_max(keys).as_py()
    return None if bounds["min"] is None else (bounds["min"], bounds["max"])


# --- the tasks -------------------------------------------------------------------------------


def _known(about: About, paths: Sequence[Path], folder: Path) -> Path:
    keys: Iterable[pa.Array] = (decoded(spool.read(path)[about.key]) for path in paths)
    if about.key in about.folded:
        keys = map(folded_keys, keys)
    return spool.write(folder, f"{about.name}-known", by_hash(keys))


def _settled(
    about: About, paths: Sequence[Path], first: int, found: Sequence[Path], folder: Path
) -> list[SettledBatch]:
    """What some batches have lost to later rows, and whom the rows that are left name. A lost row
    asks for no member and no date.
    """
    judged = [spool.read(path) for path in found]
    lost = [superseded_in(judged, number) for number in range(first, first + len(paths))]
    settled = [_without(about, first + n, own, folder) for n, own in enumerate(lost)]
    if not about.describes_facts:
        return settled
    batches = []
    for path, own in zip(paths, lost, strict=True):
        rows = spool.read(path)
        batches.append((rows, positions(rows, own.rows)))
    return [
        replace(
            batch,
            **_amounts(about, batch, rows, at, own.identical),
            strange=names.strange,
            days=names.days,
        )
        for batch, (rows, at), own, names in zip(
            settled, batches, lost, named(about, batches), strict=True
        )
    ]


def _without(about: About, number: int, lost: Superseded, folder: Path) -> SettledBatch:
    """Rows with the same content as a later one are duplicates, the others rejected."""
    if not len(lost.rows):
        return SettledBatch(number)
    name = f"{about.name}-left-out-{number:06}"
    conflicts = _refused(lost.rows[~lost.identical], about.key)
    return SettledBatch(
        number,
        spool.write_numbers(folder, name, lost.rows),
        int(lost.identical.sum()),
        keep(folder, about.name, number, "duplicates", conflicts),
    )


def _amounts(
    about: About,
    batch: SettledBatch,
    rows: pa.Table,
    lost: Rows,
    is_identical: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """The net amounts of the facts that are lost, and how many would have removed a fact."""
    wanted = [name for name in rows.column_names if name in ("net_amount", about.currency, REMOVAL)]
    rows = rows.select(wanted).take(pa.array(lost))  # others stay on the disk
    others = rows.filter(pa.array(~is_identical))
    net = net_by_reason(others, pa.array([_CONFLICT] * len(others), pa.string()), about.currency)
    money = {
        "duplicate": net_of(rows.filter(pa.array(is_identical)), about.currency),
        "rejected": plus(*net.values()),
    }
    refused = None if batch.refused is None else replace(batch.refused, money=net)
    return {"money": money, "removing": removing(rows), "refused": refused}


def _refused(conflicts: npt.NDArray[np.int64], key: str) -> pa.Table:
    return pa.table(
        {
            PLACE: conflicts,
            REASON: pa.array([_CONFLICT] * len(conflicts), pa.string()),
            DETAIL: pa.array([f"a later row has the same {key}"] * len(conflicts), pa.string()),
        }
    )

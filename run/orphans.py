"""Sales that are refused because they name a member nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common import spool
from common.arrays import decoded, whole
from common.key_folding import folded_keys
from common.parallel import Task, Workers
from common.results import DETAIL, PLACE, REASON
from common.star_model import unknown_reason
from common.sums import plus
from run.clean_source import (
    About,
    CleanSource,
    SettledBatch,
    left_out_too,
    net_by_reason,
    rows_to_load,
)
from run.refused import keep
from run.settling import named


def without_orphans(
    sales: CleanSource,
    known: Mapping[sa.Column[Any], pa.Array],
    folder: Path,
    workers: Workers,
) -> CleanSource:
    """`sales` without the rows that name a member nobody knows, which become rejects.

    `known` has the business keys of the members that each of these keys of the fact may be of. What
    an orphan names beside is asked for no more: it makes no member and no year. Only batches in
    which an id is unknown are read.
    """
    unknown: dict[str, tuple[str, pa.Array]] = {}
    concerned: set[int] = set()
    for key, keys in known.items():
        column = key.info["finds_by"]
        ids = sales.strangers(column)
        form = folded_keys if column in sales.about.folded else whole
        ids = ids.filter(pc.invert(pc.is_in(form(ids), form(keys))))
        if len(ids):
            unknown[column] = unknown_reason(key), ids
            strange = sales.strange[column].items()
            concerned |= {n for n, own in strange if pc.any(pc.is_in(own, ids)).as_py()}
    result = sales.copied()
    about, sought = workers.share(sales.about), workers.share(unknown)
    tasks = (
        Task(
            _settled, (about, sought, number, *sales.left(number), folder),
            label=f"strangers in {sales.name}, batch {number + 1}",
        )
        for number in sorted(concerned)
    )  # fmt: skip
    for batch in workers.in_order(tasks):
        result.settle(batch)
    return result


def _settled(
    about: About,
    unknown: Mapping[str, tuple[str, pa.Array]],
    number: int,
    path: Path,
    left_out: Path | None,
    folder: Path,
) -> SettledBatch:
    """A batch without the rows that name one of the `unknown` ids: reason and ids, by column."""
    rows = rows_to_load(path, left_out)
    reason = np.full(len(rows), "", object)
    for column, (word, ids) in unknown.items():
        found = pc.is_in(decoded(rows[column]), ids).to_numpy(zero_copy_only=False)
        reason[found & (reason == "")] = word
    is_orphan = reason != ""
    orphans = rows.filter(pa.array(is_orphan))
    reasons = pa.array(reason[is_orphan].tolist(), pa.string())
    lost = net_by_reason(orphans, reasons, about.currency)
    refused = pa.table(
        {
            PLACE: orphans[PLACE],
            REASON: reasons,
            DETAIL: pa.array([""] * len(orphans), pa.string()),
        }
    )
    borne = None
    if about.notes_keys:
        keys = pa.table({about.key: decoded(orphans[about.key])})
        borne = spool.write(folder, f"{about.name}-borne-{number:06}", keys)
    (names,) = named(about, [(rows, np.flatnonzero(is_orphan))])
    return SettledBatch(
        number,
        left_out_too(about, number, left_out, orphans, folder),
        refused=keep(folder, about.name, number, "orphans", refused, lost),
        borne=borne,
        money={"rejected": plus(*lost.values())},
        strange=names.strange,
        days=names.days,
    )

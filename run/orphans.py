"""Sales that are refused because they name a member nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from cleaning.duplicates import BATCH_BITS
from common.arrays import decoded
from common.results import DETAIL, PLACE, REASON
from common.star_model import unknown_reason
from run.refused import keep
from run.staging import CleanSource, distinct, net_of

_ROW = (1 << BATCH_BITS) - 1


def without_orphans(
    sales: CleanSource, known: Mapping[sa.Column[Any], pa.Array], folder: Path
) -> CleanSource:
    """`sales` without the rows that name a member nobody knows, which become rejects.

    `known` has the business keys of the members that each of these keys of the fact may be of. What
    an orphan names beside is asked for no more: it makes no member and no year. Only batches in
    which an id is unknown are read.
    """
    strange: set[int] = set()
    for key, keys in known.items():
        values = enumerate(sales.ids.get(key.info["finds_by"], []))
        strange |= {number for number, ids in values if not pc.all(pc.is_in(ids, keys)).as_py()}
    result = replace(
        sales,
        left_out=dict(sales.left_out),
        rejected=sales.rejected.copy(),
        kept=dict(sales.kept),
        borne=list(sales.borne),
        money=sales.money.copy(),
        ids={name: list(arrays) for name, arrays in sales.ids.items()},
    )
    for number in sorted(strange):
        _leave_out_orphans(result, number, known, folder)
    return result


def _leave_out_orphans(
    sales: CleanSource, number: int, known: Mapping[sa.Column[Any], pa.Array], folder: Path
) -> None:
    rows = sales.tasks()[number]()
    reason = np.full(len(rows), "", object)
    for key, keys in known.items():
        ids = decoded(rows[key.info["finds_by"]])
        found = pc.is_in(ids, keys).to_numpy(zero_copy_only=False)
        reason[~found & (reason == "")] = unknown_reason(key)
    is_orphan = reason != ""
    orphans = rows.filter(pa.array(is_orphan))
    refused = pa.table(
        {
            PLACE: orphans[PLACE],
            REASON: pa.array(reason[is_orphan].tolist(), pa.string()),
            DETAIL: pa.array([""] * len(orphans), pa.string()),
        }
    )
    sales.refuse(keep(folder, sales.name, number, "orphans", refused))
    sales.borne.append(decoded(orphans[sales.key]))
    sales.count_money({"rejected": net_of(orphans, sales.currency)})
    at = orphans[PLACE].to_numpy() & _ROW
    sales.left_out[number] = np.union1d(sales.left_out.get(number, at), at)
    for name in sales.ids:
        sales.ids[name][number] = distinct(rows[name], np.flatnonzero(is_orphan))

"""The runs before this one, as `etl_run` tells of them, and the row that this one adds.

What came last is told by `sequence`, a number given under the warehouse's lock, never by a clock.
No run reads more of the earlier ones than the last published one and the few that it thins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from errors import WarehouseError
from schema import etl_run
from warehouse.base import Warehouse

NEWEST_FIRST = (
    etl_run.c.sequence.desc().nulls_last(),  # those of version 0.1.0 have no number
    etl_run.c.ended_at.desc(),
    etl_run.c.run_id.desc(),
)
_WHOLE = 40
"""So many of the last runs keep all that is known of them."""
_THINNED_AT_ONCE = 10
_NOTHING = "{}"
_KEPT = ("dimension_loading_results", "fact_loading_results")
"""What an older run keeps: how many rows it loaded."""


@dataclass(frozen=True)
class Past:
    """A published run: what its row holds."""

    run_id: str
    counts: dict[str, Any]
    sources: dict[str, Any]
    damage: str = ""
    """What is wrong with the row; it then holds nothing that can be used."""

    @property
    def snapshot(self) -> str:
        """Its `Warehouse.snapshot` of the star."""
        return str(self.counts.get("mark", ""))


def last_published(warehouse: Warehouse) -> Past | None:
    """The run that was published last, or None."""
    found = warehouse.execute(
        sa.select(etl_run.c.run_id, etl_run.c.counts, etl_run.c.sources)
        .where(etl_run.c.status == "published")
        .order_by(*NEWEST_FIRST)
        .limit(1)
    ).first()
    if found is None:
        return None
    counts, sources = _object(found.counts), _object(found.sources)
    if counts is None or sources is None:
        return Past(
            found.run_id, {}, {}, _damage(found.run_id, "counts" if counts is None else "sources")
        )
    return Past(found.run_id, counts, sources)


def add(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Add the row of this run, under the next number, and see that it is there as it was given.

    Raises `WarehouseError` when it is not: a trigger or a rule of somebody's is in the way.
    """
    number = sa.select(sa.func.coalesce(sa.func.max(etl_run.c.sequence), 0) + 1)
    given = {**row, "sequence": warehouse.scalar(number)}
    warehouse.execute(sa.insert(etl_run).values(given))
    same = (etl_run.c[name].is_not_distinct_from(value) for name, value in given.items())
    if warehouse.scalar(sa.select(sa.func.count()).where(*same)) != 1:
        raise WarehouseError(
            f"etl_run: the row of run {row['run_id']} is not there as it was written; see what "
            "trigger or rule on the table changes or drops it"
        )


def thin(warehouse: Warehouse) -> list[str]:
    """Take from runs before the last forty all but their numbers of rows, a few in each night.

    Returns what is to be said of rows that could not be read.
    """
    newest = sa.select(sa.func.max(etl_run.c.sequence)).scalar_subquery()
    is_old = sa.func.coalesce(etl_run.c.sequence, 0) <= newest - _WHOLE
    old = warehouse.execute(
        sa.select(etl_run.c.run_id, etl_run.c.counts)
        .where(is_old, etl_run.c.sources != _NOTHING)
        .order_by(etl_run.c.sequence.nulls_first(), etl_run.c.run_id)
        .limit(_THINNED_AT_ONCE)
    ).all()
    told = []
    for run in old:
        counts = _object(run.counts)
        told += [_damage(run.run_id, "counts")] if counts is None else []
        kept = {name: counts[name] for name in _KEPT if name in counts} if counts else {}
        warehouse.execute(
            sa.update(etl_run)
            .where(etl_run.c.run_id == run.run_id)
            .values(counts=json.dumps(kept), sources=_NOTHING)
        )
    return told


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, or None when there is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _damage(run_id: str, column: str) -> str:
    return f"etl_run: the {column} of run {run_id} are damaged (no JSON object); they are left out"

"""The table `etl_run`: earlier runs are read from it, and this run adds its row.

The last run is the one with the highest `sequence`, a number that is given under the warehouse's
lock: clocks may be wrong. A run reads only the last published run and the few rows that it thins,
so that a night costs the same after years of nights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from common.run_totals import TOTALS, Totals
from errors import WarehouseError
from schema import etl_run
from warehouse.base import Warehouse

NEWEST_FIRST = (
    etl_run.c.sequence.desc().nulls_last(),  # version 0.1.0 wrote none
    etl_run.c.ended_at.desc(),
    etl_run.c.run_id.desc(),
)
_WHOLE = 40
"""The last so many runs keep all their counts and sources."""
_THINNED_AT_ONCE = 10
_NOTHING = "{}"
_KEPT = ("dimension_loading_results", "fact_loading_results")
"""The counts that an older run keeps, beside its totals."""


@dataclass(frozen=True)
class Past:
    """A published run, from its row in `etl_run`."""

    run_id: str
    counts: dict[str, Any]
    sources: dict[str, Any]
    watermarks: dict[str, Any]
    """By source, how far it was read."""
    damage: str = ""
    """What is wrong with the row, if its JSON cannot be read; what is damaged counts as empty, and
    if it is `counts` or `sources`, both do.
    """

    @property
    def has_currencies(self) -> bool:
        """Whether it found that facts say their currency, or does not tell."""
        validation = self.counts.get("validation_results", {})
        accounts = validation.get("reconciliation") if isinstance(validation, dict) else None
        return not isinstance(accounts, dict) or "currencies" in accounts

    @property
    def currencies(self) -> dict[str, int]:
        """In how many amounts each currency was seen last, in all runs of the star until then."""
        found = self.counts.get("currencies", {})
        return found if isinstance(found, dict) else {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What it warned of, and before it the run that it repeats."""
        found = (self.counts.get(name) for name in ("warnings", "known_warnings"))
        every = [text for texts in found if isinstance(texts, list) for text in texts]
        return tuple(dict.fromkeys(map(str, every)))

    @property
    def signature(self) -> str:
        """Of its settings, its code and its star; "" where it has none."""
        return str(self.counts.get("signature", ""))

    @property
    def snapshot(self) -> str:
        """Its `Warehouse.snapshot` of the star."""
        return str(self.counts.get("mark", ""))


def last_published(warehouse: Warehouse) -> Past | None:
    """The run that was published last, or None."""
    found = of_last_published(
        warehouse, etl_run.c.run_id, etl_run.c.counts, etl_run.c.sources, etl_run.c.watermarks
    )
    if found is None:
        return None
    counts, sources = _object(found.counts), _object(found.sources)
    watermarks = _object(found.watermarks or _NOTHING)  # versions before 0.3.0 had none
    read = {"counts": counts, "sources": sources, "watermarks": watermarks}
    damaged = [name for name, value in read.items() if value is None]
    if counts is None or sources is None:
        counts, sources = {}, {}
    damage = _damage(found.run_id, " and ".join(damaged)) if damaged else ""
    return Past(found.run_id, counts, sources, watermarks or {}, damage)


def last_counts(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The counts of the last published runs that keep all of them, as far as they can be read."""
    counts = sa.select(etl_run.c.counts).where(etl_run.c.status == "published")
    texts = warehouse.execute(counts.order_by(*NEWEST_FIRST).limit(_WHOLE)).scalars()
    return [found for text in texts.all() if (found := _object(text)) is not None]


def of_last_published(warehouse: Warehouse, *columns: sa.Column[Any]) -> Any:
    """These columns of the run that was published last, as a row; None where there is none."""
    wanted = sa.select(*columns).where(etl_run.c.status == "published")
    found = warehouse.execute(wanted.order_by(*NEWEST_FIRST).limit(1)).all()  # fetched to its end
    return found[0] if found else None


def add(warehouse: Warehouse, row: Mapping[str, Any]) -> None:
    """Add the row of this run with the next `sequence`, and read it back.

    Raises `WarehouseError` if it is not as it was written: a trigger or a rule has changed it.
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
    """Remove all but a few figures from runs before the last forty, a few each night.

    Returns a warning for each row whose JSON could not be read.
    """
    newest = sa.select(sa.func.max(etl_run.c.sequence)).scalar_subquery()
    is_old = sa.func.coalesce(etl_run.c.sequence, 0) <= newest - _WHOLE
    old = warehouse.execute(
        sa.select(etl_run.c.run_id, etl_run.c.counts)
        .where(is_old, etl_run.c.sources != _NOTHING)
        .order_by(etl_run.c.sequence.nulls_first(), etl_run.c.run_id)
        .limit(_THINNED_AT_ONCE)
    ).all()
    warnings = []
    for run in old:
        counts = _object(run.counts)
        warnings += [_damage(run.run_id, "counts")] if counts is None else []
        kept = {name: counts[name] for name in _KEPT if name in counts} if counts else {}
        kept |= {TOTALS: Totals.of(counts).as_dict()} if counts else {}
        warehouse.execute(
            sa.update(etl_run)
            .where(etl_run.c.run_id == run.run_id)
            .values(counts=json.dumps(kept), sources=_NOTHING)
        )
    return warnings


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, or None when there is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _damage(run_id: str, column: str) -> str:
    return f"etl_run: the {column} of run {run_id} are damaged (no JSON object); they are left out"

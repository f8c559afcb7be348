"""What the star knows of one fact: its row, its members, the run that wrote it, and what was
overwritten or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Table

from common.star_model import Role, Star, business_key, columns_of, surrogate_key, target_of
from schema import etl_change, etl_run
from warehouse.base import Warehouse
from warehouse.runs import PastRun, places_of_runs, runs_called

_NEAR = 5
_RUN = "run_id"


@dataclass(frozen=True)
class Member:
    """A member of a fact: the fact's key to it, and its row; None where there is none."""

    key: Column[Any]
    row: dict[str, Any] | None

    @property
    def table(self) -> Table:
        """Its dimension."""
        return target_of(self.key)

    @property
    def name(self) -> Any:
        """Its business key."""
        return None if self.row is None else self.row.get(business_key(self.table).name)


@dataclass(frozen=True)
class Overwritten:
    """What a run has overwritten or removed, as `etl_change` has it."""

    run_id: str
    at: datetime | None
    sequence: int
    table: str
    key: str
    attribute: str | None
    """None where the row was removed."""
    before: str | None
    after: str | None


@dataclass
class Whereabouts:
    """What the star knows of a fact."""

    fact: dict[str, Any] | None = None
    members: list[Member] = field(default_factory=list)
    run: PastRun | None = None
    """The run that wrote the fact."""
    runs: dict[str, int] = field(default_factory=dict)
    """By id, the place of each run of the star in the order in which they were made."""
    changes: list[Overwritten] = field(default_factory=list)
    """Of the fact, and of its members since; the last one first."""
    has_changes: bool = False
    """Whether the star keeps any."""
    uncounted: list[tuple[str, int]] = field(default_factory=list)
    """Of a fact that nobody knows: runs that removed so many facts that only their number is kept;
    the last one first.
    """

    @property
    def removal(self) -> Overwritten | None:
        """How it was removed, where it is not there any more."""
        removals = [change for change in self.changes if change.attribute is None]
        return removals[0] if removals and self.fact is None else None


def whereabouts(warehouse: Warehouse, star: Star, key: str) -> Whereabouts:
    """All that the star knows of the fact with this key, if anything."""
    found = Whereabouts(runs=places_of_runs(warehouse))
    found.fact = _row(warehouse, star.fact, business_key(star.fact), key)
    changed: list[tuple[Table, Any]] = [(star.fact, key)]
    if found.fact is not None:
        found.members = list(_members(warehouse, star, found.fact))
        changed += [(member.table, member.name) for member in found.members]
        run_id = str(found.fact[_RUN])
        found.run = runs_called(warehouse, [run_id]).get(run_id)
    found.has_changes = etl_change.name in warehouse.present([etl_change])
    if found.has_changes:
        since = found.run.sequence if found.run is not None else None
        found.changes = [
            change
            for change in _changes(warehouse, changed)
            if change.table == star.fact.name or since is None or change.sequence > since
        ]
    if found.has_changes and found.fact is None and found.removal is None:
        found.uncounted = _removed_together(warehouse, star.fact)
    return found


def _removed_together(warehouse: Warehouse, fact: Table) -> list[tuple[str, int]]:
    c = etl_change.c
    query = (
        sa.select(c.run_id, c.rows)
        .where(c.table_name == fact.name, c.business_key.is_(None), c.attribute.is_(None))
        .order_by(c.run_id.desc())
        .limit(_NEAR)
    )
    rows: list[Any] = list(warehouse.execute(query).all())
    return [(run_id, int(count)) for run_id, count in rows]


def spelled_alike(warehouse: Warehouse, star: Star, key: str) -> list[str]:
    """Keys of facts that differ from this one in case, spaces and leading zeros only."""
    fact = star.fact
    if fact.name not in warehouse.present([fact]):
        return []
    column = business_key(fact)
    alike = _folded(column) == _folded(sa.literal(key, sa.Text()))
    query = sa.select(column).where(alike, column != key).order_by(column).limit(_NEAR)
    return [str(found) for found in warehouse.execute(query).scalars().all()]


def knows_member(warehouse: Warehouse, dimension: Table, key: str) -> bool:
    """Whether a dimension has a member with this business key."""
    return _row(warehouse, dimension, business_key(dimension), key) is not None


def _folded(text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    without_spaces = sa.func.replace(sa.func.lower(text), " ", "")
    return sa.func.ltrim(without_spaces, "0")


def _row(
    warehouse: Warehouse, table: Table, column: Column[Any], value: Any
) -> dict[str, Any] | None:
    """The row of a table with a value, as far as the table there has its columns."""
    present = warehouse.present([table])
    if table.name not in present:
        return None
    columns = [c for c in table.columns if c.name in present[table.name].columns]
    row = warehouse.execute(sa.select(*columns).where(column == value)).mappings().all()
    return {str(name): each for name, each in row[0].items()} if row else None


def _members(warehouse: Warehouse, star: Star, fact: dict[str, Any]) -> Iterator[Member]:
    for key in columns_of(star.fact, Role.DIMENSION_KEY):
        if key.name in fact:
            dimension = target_of(key)
            row = _row(warehouse, dimension, surrogate_key(dimension), fact[key.name])
            yield Member(key, row)


def _changes(warehouse: Warehouse, rows: Iterable[tuple[Table, Any]]) -> list[Overwritten]:
    """What was overwritten of rows with these business keys, the last change first."""
    c = etl_change.c
    wanted = [
        sa.and_(c.table_name == table.name, c.business_key == str(key))
        for table, key in rows
        if key is not None
    ]
    found: Sequence[Any] = warehouse.execute(sa.select(etl_change).where(sa.or_(*wanted))).all()
    runs = _runs(warehouse, {row.run_id for row in found})
    changes = [
        Overwritten(
            row.run_id, *runs.get(row.run_id, (None, 0)), row.table_name, row.business_key,
            row.attribute, row.before, row.after,
        )
        for row in found
    ]  # fmt: skip
    return sorted(changes, key=_in_order)


def _in_order(change: Overwritten) -> tuple[Any, ...]:
    return -change.sequence, change.run_id, change.table, change.key, change.attribute or ""


def _runs(warehouse: Warehouse, ids: set[str]) -> dict[str, tuple[datetime | None, int]]:
    """When some runs began, and the numbers of their sequence."""
    began = sa.extract("epoch", etl_run.c.started_at)
    query = sa.select(etl_run.c.run_id, began, etl_run.c.sequence)
    of_these = query.where(etl_run.c.run_id.in_(sorted(ids)))
    rows: list[Any] = list(warehouse.execute(of_these).all()) if ids else []
    return {
        run_id: (datetime.fromtimestamp(float(at), UTC), int(sequence or 0))
        for run_id, at, sequence in rows
    }

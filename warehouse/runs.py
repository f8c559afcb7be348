"""Earlier runs, as people ask for them: read from `etl_run`, whatever version wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from common.run_totals import Totals
from errors import RequestError
from schema import etl_change, etl_run
from warehouse.base import Warehouse
from warehouse.history import NEWEST_FIRST

_NEAR = 5
_AT_ONCE = 500


@dataclass(frozen=True)
class PastRun:
    """A run, from its row."""

    run_id: str
    started_at: datetime
    ended_at: datetime
    status: str
    counts: dict[str, Any] = field(default_factory=dict)
    """Empty where they are damaged."""
    sources: dict[str, Any] = field(default_factory=dict)
    watermarks: dict[str, Any] = field(default_factory=dict)
    files: list[str] | None = None
    error_class: str = ""
    code_version: str = ""
    key_rules: int | None = None
    sequence: int | None = None
    damaged: tuple[str, ...] = ()
    """The columns that hold no JSON."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> PastRun:
        """A run from its row, whose moments may be in seconds."""
        texts = {name: row[name] for name in ("counts", "sources", "watermarks", "files")}
        found = {name: _json(text) for name, text in texts.items() if text is not None}
        wanted = {"counts": dict, "sources": dict, "watermarks": dict, "files": list}
        fine = {name: value for name, value in found.items() if isinstance(value, wanted[name])}
        return cls(
            row["run_id"],
            _moment(row["started_at"]),
            _moment(row["ended_at"]),
            row["status"],
            **fine,
            error_class=row["error_class"] or "",
            code_version=row["code_version"] or "",
            key_rules=row["key_rules"],
            sequence=row.get("sequence"),
            damaged=tuple(found.keys() - fine.keys()),
        )

    @cached_property
    def totals(self) -> Totals:
        """The run in a few figures."""
        return Totals.of(self.counts)

    @property
    def is_thinned(self) -> bool:
        """Whether all but a few figures was removed, as of runs before the last forty."""
        return not self.sources and "phases" not in self.counts

    @property
    def seconds(self) -> float:
        """How long it took."""
        if self.totals.seconds is not None and "opening" in self.counts.get("phases", {"opening"}):
            return self.totals.seconds
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)


def last_runs(warehouse: Warehouse, count: int) -> list[PastRun]:
    """The last `count` runs, the newest first; none where no run was made."""
    return _runs(warehouse, sa.true(), count)


def last_published(warehouse: Warehouse, until: PastRun | None = None) -> PastRun | None:
    """The run that was published last, or had been when `until` ended; None where there is none."""
    is_published = etl_run.c.status == "published"
    if until is not None:
        is_published &= _is_before(until) | (etl_run.c.run_id == until.run_id)
    found = _runs(warehouse, is_published, 1)
    return found[0] if found else None


def runs_before(warehouse: Warehouse, run: PastRun, count: int) -> list[PastRun]:
    """The last `count` runs before one, the newest first."""
    return _runs(warehouse, _is_before(run), count)


def _is_before(run: PastRun) -> sa.ColumnElement[bool]:
    """Whether a run was made before `run`; all others were before one that is not in the table."""
    if run.sequence is None:
        return etl_run.c.run_id != run.run_id
    return sa.func.coalesce(etl_run.c.sequence, 0) < run.sequence


def find_run(warehouse: Warehouse, named: str) -> PastRun:
    """The run with the id `named`, or the only one whose id begins so.

    Raises `RequestError` where there is none, or more than one, with those that are like it.
    """
    like = etl_run.c.run_id.startswith(named, autoescape=True)
    found = _runs(warehouse, like, _NEAR + 1) if named else []
    exact = [run for run in found if run.run_id == named]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise RequestError(f"several runs begin with {named!r}: {_listed(found)}; give more of it")
    near = _runs(warehouse, etl_run.c.run_id.contains(named, autoescape=True), _NEAR)
    told = f"did you mean {_listed(near)}?" if near else _last(warehouse)
    raise RequestError(f"no run {named!r} is in etl_run; {told}")


def run_named(warehouse: Warehouse, named: str | None) -> PastRun:
    """`find_run`; without a name the last run. Raises `RequestError` where none was made."""
    if named:
        return find_run(warehouse, named)
    runs = last_runs(warehouse, 1)
    if not runs:
        raise RequestError("no run was made yet: python main.py")
    return runs[0]


def _last(warehouse: Warehouse) -> str:
    runs = last_runs(warehouse, _NEAR)
    return f"the last ones are {_listed(runs)}" if runs else "no run was made yet"


def _listed(runs: Sequence[PastRun]) -> str:
    names = ", ".join(run.run_id for run in runs[:_NEAR])
    return names + (", …" if len(runs) > _NEAR else "")


def runs_called(warehouse: Warehouse, ids: Sequence[str]) -> dict[str, PastRun]:
    """Those of the runs with these ids that there are."""
    found: dict[str, PastRun] = {}
    for first in range(0, len(ids), _AT_ONCE):
        some = etl_run.c.run_id.in_(ids[first : first + _AT_ONCE])
        found |= {run.run_id: run for run in _runs(warehouse, some, None)}
    return found


def known_runs(warehouse: Warehouse, ids: Sequence[str]) -> list[str]:
    """Those of these ids that are of runs of the warehouse, the newest first."""
    found: list[tuple[int, str]] = []
    for first in range(0, len(ids), _AT_ONCE):
        some = etl_run.c.run_id.in_(ids[first : first + _AT_ONCE])
        query = sa.select(sa.func.coalesce(etl_run.c.sequence, 0), etl_run.c.run_id).where(some)
        rows: Any = warehouse.execute(query).all()
        found += [(int(sequence), run_id) for sequence, run_id in rows]
    return [run_id for _, run_id in sorted(found, reverse=True)]


def places_of_runs(warehouse: Warehouse) -> dict[str, int]:
    """By id, the place of each run in the order in which they were made: clocks may be wrong."""
    present = warehouse.present([etl_run])
    if etl_run.name not in present:
        return {}
    order = NEWEST_FIRST if "sequence" in present[etl_run.name].columns else NEWEST_FIRST[1:]
    ids = warehouse.execute(sa.select(etl_run.c.run_id).order_by(*order)).scalars().all()
    return {run_id: place for place, run_id in enumerate(reversed(ids))}


def with_repeated(warehouse: Warehouse, run: PastRun) -> list[PastRun]:
    """A run; where it was a repetition, then the run whose input it found again, and so on."""
    chain = [run]
    while chain[-1].totals.repeats not in ("", *(each.run_id for each in chain)):
        chain += runs_called(warehouse, [chain[-1].totals.repeats]).values() or [run]
        if chain[-1] is run:  # it is not known any more
            return chain[:-1]
    return chain


def runs_since(warehouse: Warehouse, sequence: int) -> list[PastRun]:
    """The published runs with a higher number than `sequence`, the newest first."""
    is_later = sa.and_(etl_run.c.sequence > sequence, etl_run.c.status == "published")
    return _runs(warehouse, is_later, None)


def changes_of(warehouse: Warehouse, run_id: str) -> list[tuple[str, str | None, int]]:
    """By table and attribute, how many rows a run has overwritten; without an attribute, how many
    it has removed.
    """
    if not warehouse.present([etl_change]):
        return []
    table, attribute = etl_change.c.table_name, etl_change.c.attribute
    rows = sa.func.sum(etl_change.c.rows)
    found: Any = warehouse.execute(
        sa.select(table, attribute, rows)
        .where(etl_change.c.run_id == run_id)
        .group_by(table, attribute)
        .order_by(table, rows.desc(), attribute)
    )
    return [(name, column, int(count)) for name, column, count in found.all()]


def first_changes(
    warehouse: Warehouse, run_id: str, count: int
) -> list[tuple[str, str, str | None, str | None, str | None]]:
    """Of each table, the first `count` values that a run has overwritten, or rows that it has
    removed: table, business key, attribute, before and after, in the order of the keys.
    """
    if not warehouse.present([etl_change]):
        return []
    kept = etl_change.c
    order = [warehouse.by_code_point(kept.business_key), kept.attribute]
    place = sa.func.row_number().over(partition_by=kept.table_name, order_by=order)
    values = [kept.table_name, kept.business_key, kept.attribute, kept.before, kept.after]
    named = sa.and_(kept.run_id == run_id, kept.business_key.is_not(None))
    first = sa.select(*values, place.label("place")).where(named).subquery()
    query = sa.select(*list(first.c)[:-1]).where(first.c.place <= count)
    rows: Any = warehouse.execute(query.order_by(first.c.table_name, first.c.place)).all()
    return [tuple(row) for row in rows]


def _runs(warehouse: Warehouse, where: sa.ColumnElement[bool], count: int | None) -> list[PastRun]:
    present = warehouse.present([etl_run])
    if etl_run.name not in present:
        return []
    there = present[etl_run.name].columns
    columns = [_value(c) if c.name in there else sa.null().label(c.name) for c in etl_run.columns]
    order = NEWEST_FIRST if "sequence" in there else NEWEST_FIRST[1:]
    rows = warehouse.execute(sa.select(*columns).where(where).order_by(*order).limit(count))
    return [PastRun.of(dict(row)) for row in rows.mappings().all()]


def _value(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column; a moment in seconds, as DuckDB's driver needs a library for moments with a zone."""
    is_moment = isinstance(column.type, sa.DateTime)
    return sa.extract("epoch", column).label(column.name) if is_moment else column


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None

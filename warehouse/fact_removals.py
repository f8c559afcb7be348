"""Facts that go away: by rows that say so, and by an input that does not have them any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy import Table

from common.absence import Absence
from common.arrow_types import typed
from common.changes import ABSENCE, FLAG, SKIPPED
from common.outcomes import Deleted, Removals
from common.results import DELETES, REMOVAL, SKIPS
from common.star_model import Star, business_key
from common.sums import Sums, plus, summed
from warehouse.base import Warehouse
from warehouse.fact_changes import FactChanges
from warehouse.removals import absent, remove, stage_keys

Task = Callable[[], pa.Table]
Amount = tuple[sa.ColumnElement[Any] | None, sa.ColumnElement[Any]]
"""A currency, and the amounts that are of it."""


class FactRemovals:
    """Takes facts away in the run's transaction, and counts them and their amounts."""

    def __init__(
        self,
        warehouse: Warehouse,
        star: Star,
        *,
        by_currency: bool,
        record: FactChanges | None = None,
    ) -> None:
        self.warehouse = warehouse
        self.star, self.fact = star, star.fact
        self.amount = star.fact.c.net_amount
        self.currency = star.currency if by_currency else None
        self.counts = Removals()
        """What became of the rows that remove facts."""
        self.rows = 0
        """How many facts went."""
        self.removed: Sums = {}
        """Their net amount."""
        self.warnings: list[str] = []
        self._record = record
        self._absent: Table | None = None
        """The facts that go because they are absent."""

    def scope(self, absence: Absence) -> sa.ColumnElement[bool]:
        """Which facts go when they are absent."""
        if absence.days is None:
            return sa.true()
        return self.star.keys_to(self.star.calendar)[0].between(*absence.days)

    def stage(self, tasks: Iterable[Task]) -> dict[str, Table]:
        """The rows that remove facts, staged by what becomes of them where there is no fact:
        `unchanged` if they were flagged as deleted, `skipped` if SKIP_WHEN left them out. In a star
        that this run has made there is none, so that they are only counted.
        """
        staged, given = {}, list(tasks)
        for kind, name in ((DELETES, "unchanged"), (SKIPS, "skipped")):
            batches = self._of_kind(given, kind, name)
            if given and not self.warehouse.is_created(self.fact):
                encoded = (self.warehouse.encode(batch, self.fact) for batch in batches)
                staged[name] = self.warehouse.stage(self.fact, self._columns, encoded, name)
            else:
                for _ in batches:  # counts them
                    pass
        return staged

    @property
    def _columns(self) -> list[str]:
        currency = [] if self.star.currency is None else [self.star.currency.name]
        return [business_key(self.fact).name, self.amount.name, *currency]

    def _of_kind(self, tasks: Iterable[Task], kind: int, name: str) -> Iterator[pa.Table]:
        for task in tasks:
            rows = task()
            rows = rows.filter(pc.equal(rows[REMOVAL], kind))
            currency = None if self.currency is None else rows[self.currency.name]
            self.counts.add(name, len(rows), summed(rows[self.amount.name], currency))
            yield pa.table({n: typed(rows[n], self.fact.columns[n]) for n in self._columns})

    def look_for_absent(
        self, staging: Table, flagged: Mapping[str, Table], absence: Absence, in_scope: int
    ) -> None:
        """Find the facts that go because neither `staging` nor `flagged` has their keys. There are
        `in_scope` facts that `absence` is of. Raises `GateError` where too many would go.
        """
        warehouse, table = self.warehouse, self.fact
        kept = stage_keys(warehouse, table, absence.kept, "kept")
        gone = absent(warehouse, table, self.scope(absence), staging, [*flagged.values(), kept])
        warehouse.drop(kept)
        missing = int(warehouse.scalar(sa.select(sa.func.count()).select_from(gone)))
        warning = absence.judge(table.name, missing, in_scope)
        if warning:
            self.warnings.append(warning)
            warehouse.drop(gone)
        else:
            self._absent = gone

    def remove(self, flagged: Mapping[str, Table]) -> Deleted:
        """Delete the facts that go: the absent ones, and those that rows are `flagged` for."""
        deleted = Deleted()
        if self._absent is not None:
            deleted.by_absence, _ = self._remove(self._absent, ABSENCE)
        for name, gone in flagged.items():
            by = None if self.currency is None else gone.c[self.currency.name]
            why = SKIPPED if name == "skipped" else FLAG
            rows, (_, said) = self._remove(gone, why, (by, gone.c[self.amount.name]))
            deleted.by_flag += rows
            self.counts.move(name, "deleted", rows, said)
        return deleted

    def _remove(self, gone: Table, why: str, *amounts: Amount) -> tuple[int, list[Sums]]:
        def before(rows: int) -> None:
            if self._record is not None:
                self._record.removed(gone, why, rows)

        own = self.currency, self.amount
        rows, found = remove(self.warehouse, self.fact, gone, own, *amounts, before=before)
        self.rows += rows
        self.removed = plus(self.removed, found[0])
        self.warehouse.drop(gone)
        return rows, found

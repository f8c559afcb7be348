"""The fact table: business keys become surrogate keys; new rows come in, changed are updated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common import costs
from common.absence import Absence
from common.arrays import decoded, whole
from common.arrow_types import typed
from common.key_sum import key_sum, key_weights
from common.outcomes import FactCounts, Movement, Removals, plain
from common.parallel import in_order
from common.progress import SILENT, Progress
from common.results import DETAIL, PLACE, REASON
from common.star_model import (
    Role,
    Star,
    business_key,
    columns_of,
    target_of,
    unknown_reason,
)
from common.sums import Sums, minus, plus, summed
from config import StarSchemaConfig
from errors import GateError, not_as_written
from warehouse import Encoded, Loader, Warehouse
from warehouse.changes import WAS, ChangeRecord, old_values
from warehouse.fact_changes import FactChanges, recorded
from warehouse.fact_removals import FactRemovals
from warehouse.keymap import KeyMap, Named
from warehouse.sums import sums

if TYPE_CHECKING:
    import pandas as pd

    Task = Callable[[], pa.Table]

_FIRST_PARTS = 16_000, 48_000, 112_000  # each twice as large as the one before


@dataclass
class Keyed:
    """A batch with surrogate keys, and the rows that no member was found for."""

    rows: Encoded
    count: int
    net: Sums
    key_sum: int
    named: dict[str, Named]  # by the column of the batch that has the ids
    orphans: pa.Table  # _place, _reason, _detail, net_amount


class FactLoader(Loader):
    """Loads facts in the run's transaction, or in its own when used alone."""

    def __init__(
        self,
        config: StarSchemaConfig,
        warehouse: Warehouse | None = None,
        run_id: str | None = None,
        *,
        mapped: Collection[str] | None = None,
        by_currency: bool = True,
        record: ChangeRecord | None = None,
    ) -> None:
        """`mapped` are the columns that the source has; without it, it may have all. `by_currency`:
        amounts may be of several currencies. `record` takes what is overwritten or removed.
        """
        super().__init__(config, warehouse, run_id)
        self.fact = config.star.fact
        self._costs = costs.Costs.of(config.sources, config.star.sales.name, mapped)
        self._form = costs.with_flag(self.fact) if self._costs.may_be_given else self.fact
        self.orphans: list[pa.Table] = []
        """Rows that no member was found for, as they are to be rejected."""
        self._handed_over = 0
        self.net_unchanged: Sums = {}
        """Net amount of the rows that the fact table already held just so."""
        self.key_sum, self.key_sum_unchanged = 0, 0
        """`key_sum` of all rows handed over, and over those."""
        self.named: dict[str, Named] = {}
        """By column of ids: on what kinds of members the rows are."""
        self.counts, self.removals, self.movement = FactCounts(), Removals(), Movement()
        self.warnings: list[str] = []
        self._by_currency = by_currency
        self._record: FactChanges | None = None
        if record is not None:
            self._record = FactChanges(record, config.star, by_currency=by_currency)

    def load_sales_facts(
        self,
        fact_sales: pd.DataFrame | pa.Table | Iterable[Task],
        dimension_results: Mapping[str, KeyMap],
        progress: Progress = SILENT,
        removals: Iterable[Task] = (),
        absence: Absence | None = None,
    ) -> dict[str, Any]:
        """Merge prepared sales by transaction_id; returns `fact_loading_results`.

        `fact_sales` are the rows of `prepare_sales_facts`, or calls that return batches of them;
        `dimension_results` are the key mappings of `load_all_dimensions`. A row whose member is
        missing is not loaded: it is counted in `orphaned_records` and kept in `orphans`.

        `removals` are calls that return rows whose facts go: their keys, net amounts, and
        `_removal`. With `absence`, facts go that the input does not have. Raises `GateError` where
        more of them are gone than may be.
        """
        started = perf_counter()
        counts = self._load(_tasks(fact_sales), dimension_results, progress, removals, absence)
        self.counts = counts
        counts.records_failed = counts.orphaned_records = sum(map(len, self.orphans))
        counts.processing_time = round(perf_counter() - started, 3)
        results: dict[str, Any] = plain(counts)
        return results

    def _load(
        self,
        tasks: Iterable[Task],
        keys: Mapping[str, KeyMap],
        progress: Progress,
        removals: Iterable[Task],
        absence: Absence | None,
    ) -> FactCounts:
        """A table made by this run takes the rows as they come, and its keys and indexes after
        them; an existing one is merged from a staged copy, so only new and changed rows touch it.
        """
        warehouse, table = self.warehouse, self.fact
        is_new = warehouse.is_created(table)
        form = table if is_new else self._form
        gone = FactRemovals(
            warehouse, self.config.star, by_currency=self._by_currency, record=self._record
        )
        in_scope = 0 if is_new else self._look_before(gone, absence)
        with ThreadPoolExecutor(warehouse.encoders()) as pool:
            batches = self._keyed(pool, tasks, keys, form, progress)
            if is_new:
                warehouse.append(table, batches)
                warehouse.complete(table)
                self.movement.rows_inserted = self._handed_over
                counts = FactCounts(records_inserted=self._handed_over)
            else:
                staging = warehouse.stage(form, form.columns.keys(), batches)
        flagged = gone.stage(removals)
        if not is_new:
            if absence is not None:  # before anything is deleted, as that takes memory
                gone.look_for_absent(staging, flagged, absence, in_scope)
            counts = self._merge(staging)
            warehouse.drop(staging)
            counts.records_deleted = gone.remove(flagged)
        elif self._record is not None:
            self._record.made(self._handed_over)
        if self._record is not None:
            self._record.settle()
        self.removals, self.warnings = gone.counts, gone.warnings
        self.movement.rows_removed, self.movement.removed = gone.rows, gone.removed
        counts.records_unchanged += gone.counts.rows.get("unchanged", 0)
        return counts

    def _keyed(
        self,
        pool: ThreadPoolExecutor,
        tasks: Iterable[Task],
        keys: Mapping[str, KeyMap],
        form: sa.Table,
        progress: Progress,
    ) -> Iterator[Encoded]:
        """Batches in the columns of `form`."""
        encode, by = partial(self.warehouse.encode, table=form), self._by_currency
        calls = (
            _FindKeys(
                task, part, self.config.star, keys, self.run_id, form, by, self._costs, encode
            )
            for task, part in _parts(tasks)
        )
        for keyed in in_order(pool, calls, self.warehouse.encoders()):
            if len(keyed.orphans):
                self.orphans.append(keyed.orphans)
            progress.advance(self.fact.name, keyed.count)
            self._handed_over += keyed.count
            self.key_sum += keyed.key_sum
            if self.warehouse.is_created(self.fact):
                self.movement.inserted = plus(self.movement.inserted, keyed.net)
            for column, named in keyed.named.items():
                self.named[column] = self.named.get(column, Named()) + named
            yield keyed.rows

    def _look_before(self, gone: FactRemovals, absence: Absence | None) -> int:
        """Look at the facts that are there; returns how many of them `absence` is of."""
        count = sa.func.count()
        counts = [count, count if absence is None else count.filter(gone.scope(absence))]
        (net,), (rows, in_scope) = self._sums(
            self.fact, [sa.func.sum(self.fact.c.net_amount)], counts
        )
        self.movement.rows_before, self.movement.before = rows, net
        return in_scope

    def _sums(
        self,
        rows: sa.Table,
        amounts: list[sa.ColumnElement[Any]],
        counts: Sequence[sa.ColumnElement[Any]],
        currency: str = "",
    ) -> tuple[list[Sums], list[int]]:
        """Sums over rows of the fact by currency, that of the column `currency` or of the fact's
        own, and counts.
        """
        column = self.config.star.currency
        if column is None or not self._by_currency:
            return sums(self.warehouse, rows, None, amounts, counts)
        return sums(self.warehouse, rows, rows.c[currency or column.name], amounts, counts)

    def _merge(self, staging: sa.Table) -> FactCounts:
        warehouse, table = self.warehouse, self.fact
        changes = warehouse.keep_changes(self._changes(staging), table)
        is_new = changes.c["_known"].is_(None)
        count = sa.func.count()
        net = sa.func.sum(changes.c.net_amount)
        (changed_net, inserted_net), (inserted, updated, changed_keys) = self._sums(
            changes,
            [net, net.filter(is_new)],
            [count.filter(is_new), count.filter(sa.not_(is_new)), key_sum(table, changes.c)],
        )
        was, currency = changes.c[WAS + table.c.net_amount.name], self.config.star.currency
        (before,), _ = self._sums(
            changes, [sa.func.sum(was)], [], WAS + currency.name if currency is not None else ""
        )
        (staged_net,), (staged, staged_keys) = self._sums(
            staging, [sa.func.sum(staging.c.net_amount)], [count, key_sum(table, staging.c)]
        )
        if self._record is not None:
            self._record.merged(changes, inserted, updated)
        warehouse.make_room_for_removals(self.movement.rows_before)
        self._write(changes, inserted, updated)
        warehouse.drop(changes)
        self.movement.rows_inserted, self.movement.inserted = inserted, inserted_net
        self.movement.corrected = minus(minus(changed_net, inserted_net), before)
        self.net_unchanged = minus(staged_net, changed_net)
        self.key_sum_unchanged = staged_keys - changed_keys
        return FactCounts(inserted, updated, staged - inserted - updated)

    def _write(self, changes: sa.Table, inserted: int, updated: int) -> None:
        """Bring the changes into the fact table."""
        table, known = self.fact, changes.c["_known"]
        if updated:
            self.warehouse.overwrite(table, changes, known)
        if inserted:
            rows = sa.select(*(changes.c[c.name] for c in table.columns)).where(known.is_(None))
            self.warehouse.execute(sa.insert(table).from_select(table.columns.keys(), rows))
        self._confirm(changes, inserted + updated)

    def _changes(self, staging: sa.Table) -> sa.Select[Any]:
        """The staged rows that are new, or other than in the star: each column as it is to be, and
        of the row that is there the `old_values` and the key, `_known`.
        """
        table, key = self.fact, business_key(self.fact)
        kept = costs.kept(self.config.star, staging.c)
        tonight = {c.name: kept.get(c.name, staging.c[c.name]) for c in table.columns}
        apart = {key, table.c.profit_amount, *columns_of(table, Role.AUDIT)}
        others = (c.is_distinct_from(tonight[c.name]) for c in table.columns if c not in apart)
        differs = sa.or_(*others, costs.is_other_profit(table.c, tonight))
        return (
            sa.select(
                *(value.label(name) for name, value in tonight.items()),
                *old_values(recorded(table)),
                key.label("_known"),
            )
            .select_from(staging.outerjoin(table, key == staging.c[key.name]))
            .where(sa.or_(key.is_(None), differs))
        )

    def _confirm(self, changes: sa.Table, written: int) -> None:
        """See that the fact table holds each of the `written` rows in all its columns.

        Raises `GateError` where it holds something else than it was given.
        """
        if not written:
            return
        table, key = self.fact, business_key(self.fact)
        same = (c.is_not_distinct_from(changes.c[c.name]) for c in table.columns if c is not key)
        joined = changes.join(table, key == changes.c[key.name])
        held = self.warehouse.scalar(
            sa.select(sa.func.count())
            .select_from(joined)
            .where(table.c.run_id == self.run_id, *same)  # engines look for the run first
        )
        if int(held) != written:
            raise GateError(not_as_written(table.name, abs(written - int(held)), written))


def _tasks(rows: pd.DataFrame | pa.Table | Iterable[Task]) -> Iterable[Task]:
    if hasattr(rows, "to_records"):  # a DataFrame; pandas itself is not imported here
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    if isinstance(rows, pa.Table):
        table = rows
        return [lambda: table]
    return rows


def _parts(tasks: Iterable[Task]) -> Iterator[tuple[Task, slice]]:
    """Each batch as a whole, but the first in growing parts: the engine need not wait for it."""
    for number, task in enumerate(tasks):
        bounds = [0, *_FIRST_PARTS] if number == 0 else [0]
        yield from ((task, slice(*ends)) for ends in pairwise([*bounds, None]))


@dataclass
class _FindKeys:
    """Find the members of one batch's rows and finish its measures; runs in a worker."""

    task: Task
    part: slice
    star: Star
    keys: Mapping[str, KeyMap]
    run_id: str
    form: sa.Table
    by_currency: bool
    costs: costs.Costs
    encode: Callable[[pa.Table], Encoded]

    def __call__(self) -> Keyed:
        batch = self.task()[self.part].combine_chunks()
        count = len(batch)
        columns: dict[str, Any] = {name: batch[name] for name in batch.column_names}
        orphaned, reason = np.zeros(count, bool), np.full(count, "", object)
        cost = pa.nulls(count, pa.decimal128(19, 4))
        named = {}
        fact, unit_cost = self.star.fact, self.star.unit_cost.name
        for column in columns_of(fact, Role.DIMENSION_KEY):
            target = target_of(column)
            finds_by = column.info["finds_by"]
            ids, key_map = whole(batch[finds_by]), self.keys[target.name]
            positions = key_map.positions(ids)
            if positions.null_count:
                missing = positions.is_null().to_numpy(zero_copy_only=False) & ~orphaned
                reason[missing] = unknown_reason(column)
                orphaned |= missing
            named[finds_by] = key_map.named(positions)
            columns[column.name] = key_map.column(1, positions)
            if unit_cost in key_map.members.column_names:
                index = key_map.members.column_names.index(unit_cost)
                cost = key_map.column(index, positions).dictionary_decode()
        self.costs.add(columns, cost)
        columns["run_id"] = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, np.int32)), pa.array([self.run_id])
        )
        for column in fact.columns:
            if column.nullable and column.name not in columns:
                columns[column.name] = pa.nulls(count)
        rows = pa.table({c.name: typed(columns[c.name], c) for c in self.form.columns})
        if not orphaned.any():
            return self._keyed(rows, named, pa.table({}))
        lost = _orphans(batch, orphaned, reason)
        return self._keyed(rows.filter(pa.array(~orphaned)), named, lost)

    def _keyed(self, rows: pa.Table, named: dict[str, Named], lost: pa.Table) -> Keyed:
        column = self.star.currency
        by = rows[column.name] if column is not None and self.by_currency else None
        net, keys = summed(rows["net_amount"], by), _key_sum(self.star.fact, rows)
        return Keyed(self.encode(rows), len(rows), net, keys, named, lost)


def _key_sum(fact: sa.Table, rows: pa.Table) -> int:
    """What `key_sum` must be in the warehouse."""
    return sum(
        weight * (pc.sum(decoded(rows[key])).as_py() or 0)
        for key, weight in key_weights(fact).items()
    )


def _orphans(batch: pa.Table, orphaned: Any, reason: Any) -> pa.Table:
    lost = batch.filter(pa.array(orphaned))
    places = lost[PLACE] if PLACE in lost.column_names else pa.nulls(len(lost), pa.int64())
    return pa.table(
        {
            PLACE: places,
            REASON: pa.array(reason[orphaned].tolist(), pa.string()),
            DETAIL: pa.array([""] * len(lost), pa.string()),
            "net_amount": lost["net_amount"],
        }
    )

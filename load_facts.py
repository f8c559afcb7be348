"""The fact table: business keys become surrogate keys; new rows come in, changed are updated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common.amounts import MONEY, fitting, multiplied
from common.arrays import decoded, whole
from common.arrow_types import arrow_type
from common.key_sum import key_sum, key_weights
from common.outcomes import FactCounts, plain
from common.parallel import in_order
from common.results import DETAIL, PLACE, REASON
from common.star_model import (
    TOO_LARGE,
    Role,
    Star,
    business_key,
    columns_of,
    target_of,
    unknown_reason,
)
from config import StarSchemaConfig
from errors import GateError, not_as_written
from warehouse import Encoded, Loader, Warehouse
from warehouse.keymap import KeyMap, Named

if TYPE_CHECKING:
    import pandas as pd

    Task = Callable[[], pa.Table]

_FIRST_PARTS = 16_000, 48_000, 112_000  # each twice as large as the one before


@dataclass
class Keyed:
    """A batch with surrogate keys, and the rows that no member was found for."""

    rows: Encoded
    count: int
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
    ) -> None:
        super().__init__(config, warehouse, run_id)
        self.fact = config.star.fact
        self.orphans: list[pa.Table] = []
        """Rows that no member was found for, as they are to be rejected."""
        self._handed_over = 0
        self.net_unchanged = Decimal(0)
        """Net amount of the rows that the fact table already held just so."""
        self.key_sum, self.key_sum_unchanged = 0, 0
        """`key_sum` of all rows handed over, and over those."""
        self.named: dict[str, Named] = {}
        """By column of ids: on what kinds of members the rows are."""

    def load_sales_facts(
        self,
        fact_sales: pd.DataFrame | pa.Table | Iterable[Task],
        dimension_results: Mapping[str, KeyMap],
        progress: Callable[[int], None] = lambda rows: None,
    ) -> dict[str, Any]:
        """Merge prepared sales by transaction_id; returns `fact_loading_results`.

        `fact_sales` are the rows of `prepare_sales_facts`, or calls that return batches of them;
        `dimension_results` are the key mappings of `load_all_dimensions`. A row whose member is
        missing is not loaded: it is counted in `orphaned_records` and kept in `orphans`.
        """
        started = perf_counter()
        counts = self._load(_tasks(fact_sales), dimension_results, progress)
        counts.records_failed = counts.orphaned_records = sum(map(len, self.orphans))
        counts.processing_time = round(perf_counter() - started, 3)
        results: dict[str, Any] = plain(counts)
        return results

    def _load(
        self,
        tasks: Iterable[Task],
        keys: Mapping[str, KeyMap],
        progress: Callable[[int], None],
    ) -> FactCounts:
        """A table made by this run takes the rows as they come, and its keys and indexes after
        them; an existing one is merged from a staged copy, so only new and changed rows touch it.
        """
        warehouse, table = self.warehouse, self.fact
        with ThreadPoolExecutor(warehouse.encoders()) as pool:
            batches = self._keyed(pool, tasks, keys, progress)
            if warehouse.is_created(table):
                warehouse.append(table, batches)
                warehouse.complete(table)
                return FactCounts(records_inserted=self._handed_over)
            staging = warehouse.stage(table, table.columns.keys(), batches)
        return self._merge(staging)

    def _keyed(
        self,
        pool: ThreadPoolExecutor,
        tasks: Iterable[Task],
        keys: Mapping[str, KeyMap],
        progress: Callable[[int], None],
    ) -> Iterator[Encoded]:
        encode = partial(self.warehouse.encode, table=self.fact)
        calls = (
            _FindKeys(task, part, self.config.star, keys, self.run_id, encode)
            for task, part in _parts(tasks)
        )
        for keyed in in_order(pool, calls, self.warehouse.encoders()):
            if len(keyed.orphans):
                self.orphans.append(keyed.orphans)
            progress(keyed.count)
            self._handed_over += keyed.count
            self.key_sum += keyed.key_sum
            for column, named in keyed.named.items():
                self.named[column] = self.named.get(column, Named()) + named
            yield keyed.rows

    def _merge(self, staging: sa.Table) -> FactCounts:
        warehouse, table = self.warehouse, self.fact
        key = business_key(table)
        audit = columns_of(table, Role.AUDIT)
        content = [c for c in table.columns if c is not key and c not in audit]
        differs = sa.or_(*(c.is_distinct_from(staging.c[c.name]) for c in content))
        statement = (
            sa.select(*staging.columns, key.label("_known"))
            .select_from(staging.outerjoin(table, key == staging.c[key.name]))
            .where(sa.or_(key.is_(None), differs))
        )
        changes = warehouse.keep_changes(statement, table)
        is_new = changes.c["_known"].is_(None)
        inserted, updated, changed_net, changed_keys = warehouse.row(
            sa.select(
                sa.func.count().filter(is_new),
                sa.func.count().filter(sa.not_(is_new)),
                sa.func.coalesce(sa.func.sum(changes.c.net_amount), 0),
                key_sum(table, changes.c),
            ).select_from(changes)
        )
        staged, staged_net, staged_keys = warehouse.row(
            sa.select(
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(staging.c.net_amount), 0),
                key_sum(table, staging.c),
            ).select_from(staging)
        )
        if updated:
            new_values = {c.name: changes.c[c.name] for c in table.columns if c is not key}
            warehouse.execute(sa.update(table).values(new_values).where(key == changes.c["_known"]))
        if inserted:
            rows = sa.select(*(changes.c[c.name] for c in table.columns)).where(is_new)
            warehouse.execute(sa.insert(table).from_select(table.columns.keys(), rows))
        self._confirm(changes, int(inserted) + int(updated))
        warehouse.drop(changes)
        warehouse.drop(staging)
        self.net_unchanged = Decimal(staged_net) - Decimal(changed_net)
        self.key_sum_unchanged = int(staged_keys) - int(changed_keys)
        return FactCounts(int(inserted), int(updated), int(staged) - int(inserted) - int(updated))

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
        if "unit_cost" in columns:
            cost = pc.coalesce(decoded(whole(columns["unit_cost"])).cast(cost.type), cost)
        columns["unit_cost"] = cost
        columns["profit_amount"] = profit(
            decoded(batch["net_amount"]), decoded(batch["quantity"]), cost
        )
        columns["run_id"] = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, np.int32)), pa.array([self.run_id])
        )
        for column in fact.columns:
            if column.nullable and column.name not in columns:
                columns[column.name] = pa.nulls(count)
        rows = pa.table({c.name: _typed(columns[c.name], c) for c in fact.columns})
        if not orphaned.any():
            return Keyed(self.encode(rows), count, _key_sum(fact, rows), named, pa.table({}))
        found = rows.filter(pa.array(~orphaned))
        lost = _orphans(batch, orphaned, reason)
        return Keyed(self.encode(found), len(found), _key_sum(fact, found), named, lost)


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


def profit(net: pa.Array, quantity: pa.Array, cost: pa.Array) -> pa.Array:
    """net - quantity x product cost, four places.

    Null where the cost is unknown, or so absurd that no column holds the profit.
    """
    spent = multiplied(quantity, cost)
    if spent.type == MONEY:  # far below all limits
        return pc.subtract(net, spent).cast(MONEY)
    wide = pa.decimal128(37, 4)
    return fitting(pc.subtract(net.cast(wide), spent.cast(wide)), TOO_LARGE)


def _typed(values: Any, column: sa.Column[Any]) -> pa.Array:
    """Values in their column's type, unless they are encoded."""
    array = whole(values)
    return array if pa.types.is_dictionary(array.type) else array.cast(arrow_type(column))

"""Lines and their orders in two sources: each line gets what its order says.

The orders go into a DuckDB file in the run's working folder, and the keys of the lines beside
them, so that memory depends on neither. What an order says is kept beside the batches of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common import spool
from common.arrays import decoded, unreadable, whole
from common.duck import without_progress_bar
from common.key_rules import normal_keys
from common.rejects import ordered_reasons
from common.results import BATCH_BITS, DETAIL, JOINED, ORPHANED, PLACE, REASON, SKIPPED
from common.source_settings import Join, SourceSettings
from common.star_model import Source, Star
from sources.raw_source import RawSource

_MEMORY = 256  # MB, of DuckDB, and as much for each thread


def all_sources(star: Star, join: Join | None) -> dict[str, Source]:
    """The sources of a star by name, as their files must be, with that of the orders, if any."""
    found = {source.name: source for source in star.sources}
    if join is not None:
        found[star.sales.name] = with_order_key(star.sales, join)
        found[join.source] = orders_of(star.sales, join)
    return found


def with_order_key(lines: Source, join: Join) -> Source:
    """The source of lines as its own files must be: they name their orders; what else is required
    may be in either source.
    """
    others = tuple(name for name in lines.columns if name not in (lines.key, join.key))
    keys = (lines.key, join.key)
    return replace(lines, required=keys, optional=others, other_keys=(join.key,))


def orders_of(lines: Source, join: Join) -> Source:
    """The source of orders: the key that lines name it by, and any column of a line."""
    others = tuple(name for name in lines.columns if name not in (lines.key, join.key))
    return replace(
        lines, name=join.source, required=(join.key,), optional=others, other_keys=(join.key,)
    )


def lacking(lines: RawSource, orders: RawSource, source: Source) -> str:
    """What is wrong where a required column is in neither source; '' where none is."""
    there = lines.mapped | orders.mapped
    missing = [
        name
        for name in source.required
        if name not in there and source.instead.get(name) not in there
    ]
    if not missing or not (lines.columns and orders.columns):
        return ""
    return (
        f"{source.name}: neither the lines nor their orders have {', '.join(missing)}; map it in "
        f"{source.name.upper()}__COLUMNS or {orders.name.upper()}__COLUMNS (the lines have: "
        f"{', '.join(lines.columns[:50])}; the orders: {', '.join(orders.columns[:50])})"
    )


def join_orders(
    lines: RawSource, orders: RawSource, join: Join, folder: Path, threads: int
) -> None:
    """Put beside each batch of `lines` what the orders of its rows say, and which rows have none.

    Orders that are not used for a reason are in `orders.kept`, to be rejected, and counted in its
    warnings. Raises `SpoolError`.
    """
    columns = [name for name in orders.source.optional if name in orders.mapped]
    if orders.settings.skip_when:
        columns.append(SKIPPED)
    with spool.disk_errors_named(folder), closing(_opened(folder, threads)) as database:
        found = _Orders(database, [*columns], join.key)
        found.take_orders(orders)
        found.take_lines(lines)
        kept = _keep(found, orders, folder)
        _put_beside(found, lines, folder)
        orders.warnings += _told(found, orders, kept)
    lines.mapped |= set(columns)
    lines.joined.append(orders)


def _opened(folder: Path, threads: int) -> duckdb.DuckDBPyConnection:
    memory = _MEMORY * (1 + threads)
    database = duckdb.connect(
        str(spool.new_path(folder, "orders.duckdb")),
        config={"threads": threads, "memory_limit": f"{memory}MB", "temp_directory": str(folder)},
    )
    return without_progress_bar(database)


@dataclass
class _Orders:
    """The orders in DuckDB: their places, their keys, and all that they say as one value."""

    database: duckdb.DuckDBPyConnection
    columns: list[str]
    key: str

    def take_orders(self, orders: RawSource) -> None:
        """Take all orders; of those with one key the last counts."""
        said = pa.struct([(name, pa.string()) for name in (self.key, *self.columns)])
        self._make(pa.schema([("place", pa.int64()), ("key", pa.string()), ("said", said)]))
        self.database.execute("CREATE TABLE orders AS SELECT * FROM given")
        for number in range(len(orders)):
            rows = orders.canonical(number)
            keys = _keys(rows, self.key, orders.settings)
            columns = [keys, *(_texts(rows, name) for name in self.columns)]
            texts = pa.StructArray.from_arrays(columns, fields=list(said))
            self._give({"place": _places(number, len(rows)), "key": keys, "said": texts})
            self.database.execute("INSERT INTO orders SELECT * FROM given")
        self.database.execute(
            "CREATE TABLE last AS SELECT key, max(place) AS place, count(*) AS rows FROM orders "
            "WHERE key <> '' GROUP BY key"
        )

    def take_lines(self, lines: RawSource) -> None:
        """Take the places of all lines, and the keys of their orders."""
        self.database.execute("CREATE TABLE lines (place BIGINT, key VARCHAR)")
        for number in range(len(lines)):
            rows = lines.canonical(number)
            keys = _keys(rows, self.key, lines.settings)
            self._give({"place": _places(number, len(rows)), "key": keys})
            self.database.execute("INSERT INTO lines SELECT * FROM given")

    def lost(self) -> pa.Table:
        """The places of orders that are none, or lose to a later one with the same key: whether
        they have a key, and whether the later one says the same.
        """
        return self._table(
            "SELECT o.place, true AS has_key, o.said IS NOT DISTINCT FROM w.said AS is_same "
            "FROM orders o "
            "JOIN (SELECT * FROM last WHERE rows > 1) l ON l.key = o.key AND l.place <> o.place "
            "JOIN orders w ON w.place = l.place "
            "UNION ALL SELECT place, false, false FROM orders WHERE key = '' ORDER BY place"
        )

    def without_lines(self) -> int:
        """How many orders no line names."""
        return self._number("SELECT count(*) FROM last ANTI JOIN lines USING (key)")

    def known(self) -> int:
        """How many orders there are, each of them once."""
        return self._number("SELECT count(*) FROM last")

    def of_lines(self) -> Iterator[pa.RecordBatch]:
        """For each line in turn: the key of its order if that is not there, and what it says."""
        reader: Any = self.database.sql(
            "SELECT CASE WHEN o.place IS NULL THEN l.key END AS orphan, o.said FROM lines l "
            "LEFT JOIN (SELECT orders.* FROM orders JOIN last USING (place)) o ON o.key = l.key "
            "ORDER BY l.place"
        ).to_arrow_reader(50_000)
        yield from reader

    def _table(self, sql: str) -> pa.Table:
        table: pa.Table = self.database.sql(sql).to_arrow_table()
        return table

    def _number(self, sql: str) -> int:
        found: Any = self.database.execute(sql).fetchone()
        return int(found[0])

    def _make(self, schema: pa.Schema) -> None:
        self.database.register("given", schema.empty_table())

    def _give(self, columns: dict[str, pa.Array]) -> None:
        self.database.register("given", pa.table(columns))


def _places(number: int, rows: int) -> pa.Array:
    return pa.array(np.arange(rows, dtype=np.int64) + (number << BATCH_BITS))


def _texts(rows: pa.Table, name: str) -> pa.Array:
    if name not in rows.column_names:
        return pa.nulls(len(rows), pa.string())
    return decoded(whole(rows[name])).cast(pa.string())


def _keys(rows: pa.Table, key: str, settings: SourceSettings) -> pa.Array:
    """The keys of orders; '' where there is none, or none that can be read."""
    keys = normal_keys(pc.coalesce(decoded(whole(rows[key])), ""))
    is_none = pc.or_(pc.is_in(keys, pa.array(settings.null_tokens, pa.string())), unreadable(keys))
    return pc.if_else(is_none, "", keys)


def _keep(found: _Orders, orders: RawSource, folder: Path) -> dict[str, int]:
    """Keep the places of orders that are rejected; returns how many, by reason."""
    lost = found.lost()
    orders.duplicates = int(pc.sum(lost["is_same"]).as_py() or 0)
    refused = lost.filter(pc.invert(lost["is_same"]))
    reasons = pc.if_else(refused["has_key"], "conflicting_duplicate", "missing_key")
    details = pc.if_else(
        refused["has_key"], "a later row has the same key", f"{found.key} is blank"
    )
    table = pa.table({PLACE: refused["place"], REASON: reasons, DETAIL: details})
    batches = table[PLACE].to_numpy() >> BATCH_BITS
    for number in np.unique(batches).tolist():
        rows = table.filter(pa.array(batches == number))
        orders.kept[number] = (spool.write(folder, f"{orders.name}-refused", rows),)
    counts = pc.value_counts(table[REASON]).to_pylist()
    told = {count["values"]: count["counts"] for count in counts}
    for batch in orders.batches:
        no_rows = batch.no_rows()
        for reason in [] if no_rows is None else no_rows[REASON].to_pylist():
            told[reason] = told.get(reason, 0) + 1
    return told


def _put_beside(found: _Orders, lines: RawSource, folder: Path) -> None:
    names = [f"{JOINED}{name}" for name in (ORPHANED, *found.columns)]
    waiting: list[pa.RecordBatch] = []
    parts = found.of_lines()
    for number, batch in enumerate(lines.batches):
        rows = len(spool.read(batch.rows))
        if not rows:
            continue
        while sum(map(len, waiting)) < rows:
            waiting.append(next(parts))
        table = pa.Table.from_batches(waiting)
        own, rest = table.slice(0, rows), table.slice(rows)
        waiting = rest.to_batches()
        told = pc.binary_join_element_wise(f"no order has {found.key}", own["orphan"], " ")
        told = pc.if_else(pc.equal(own["orphan"], ""), f"{found.key} is blank", told)
        said = [pc.struct_field(own["said"], name) for name in found.columns]
        columns = [told, *said]
        path = spool.write(folder, f"{lines.name}-orders-{number:06}", pa.table(columns, names))
        batch.beside = (*batch.beside, path)


def _told(found: _Orders, orders: RawSource, kept: dict[str, int]) -> Iterator[str]:
    """What happened to the orders that no line has got."""
    unused = found.without_lines()
    if unused:
        yield f"{orders.name}: {unused:,} of {found.known():,} orders have no line"
    if orders.duplicates:
        yield f"{orders.name}: {orders.duplicates:,} rows are there twice: one counts"
    if kept:
        reasons = ", ".join(f"{reason} {kept[reason]:,}" for reason in ordered_reasons(kept))
        count = f"{sum(kept.values()):,} of {orders.records:,} rows rejected"
        yield (
            f"{orders.name}: {count}: {reasons}; "
            "lines that name no other order are rejected too (unknown_order)"
        )

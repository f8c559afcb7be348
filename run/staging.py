"""The transformation of a whole source: batch by batch, out of core, duplicates resolved.

The rules are `transform`'s; here they are run over spilled batches in parallel, and of every row
that does not go on it is kept why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.duplicates import BATCH_BITS, Superseded, find_superseded, judging, key_hashes
from cleaning.marks import Marked, marked
from cleaning.own_keys import doubt
from cleaning.removals import blanked, without_removals
from cleaning.strays import stray_rows
from common import spool
from common.arrays import whole
from common.outcomes import Input
from common.parallel import in_order
from common.results import DETAIL, PLACE, REASON, REMOVAL, SKIPPED, Clean, CleanBatch
from common.star_model import DELETED_FLAG
from common.sums import Sums, plus, summed
from config import StarSchemaConfig
from run.refused import Kept, keep
from sources.raw_source import RawSource

Rows = npt.NDArray[np.int64]

_ROW = (1 << BATCH_BITS) - 1


@dataclass
class CleanSource:
    """What became of a source: rows to load, and the account of those that will not be."""

    name: str
    read: int
    key: str
    """The column by which it names its rows."""
    currency: str = ""
    """The column with the currency of its amounts, if there is one."""
    paths: list[Path] = field(default_factory=list)
    left_out: dict[int, Rows] = field(default_factory=dict)
    """Of each batch, the numbers of the cleaned rows that do not go on, ascending."""
    rejected: Counter[str] = field(default_factory=Counter)
    kept: dict[int, tuple[Path, ...]] = field(default_factory=dict)
    """Of each batch that has any, the files with its rejected rows; see `refused`."""
    duplicates: int = 0
    issues: Counter[str] = field(default_factory=Counter)
    money: dict[str, Sums] = field(default_factory=dict)
    """The net amounts of facts, by what became of them."""
    ids: dict[str, list[pa.Array]] = field(default_factory=dict)
    currencies: Counter[str] = field(default_factory=Counter)
    """How many sales are in which currency, duplicates included."""
    without_cost: int = 0
    """How many sales do not say their own cost."""
    skipped: int = 0
    """Rows that SKIP_WHEN leaves out and that name no fact."""
    removing: list[int] = field(default_factory=list)
    """Of each batch, how many rows remove a fact."""
    borne: list[pa.Array] = field(default_factory=list)
    """The keys of rows that do not go on: they are not absent."""
    nameless: int = 0
    """How many records have no key that can be read."""
    marked: Marked = field(default_factory=Marked)
    doubt: str = ""
    """Why the source's key may be none."""

    @property
    def rows(self) -> int:
        """How many rows go on to be loaded."""
        lost = self.duplicates + sum(self.rejected.values())
        return self.read - lost - self.skipped - sum(self.removing)

    def input(self, table: str) -> Input:
        """Its account, for the validator."""
        rejected = sum(self.rejected.values())
        return Input(table, self.read, self.duplicates, rejected, self.skipped, dict(self.money))

    def add(self, batch: _Batch) -> None:
        """Take a cleaned batch into the account."""
        self.paths.append(batch.path)
        self.rejected.update(batch.no_rows)
        self.skipped += batch.cleaned.skipped
        self.removing.append(batch.removing)
        self.nameless += batch.cleaned.nameless + batch.no_rows.total()
        if batch.cleaned.borne is not None:
            self.borne.append(batch.cleaned.borne)
        self.refuse(batch.refused)
        self.issues.update(batch.cleaned.issues)
        self.currencies.update(batch.cleaned.currencies)
        self.without_cost += batch.cleaned.without_cost
        self.marked.add(batch.marked)
        self.count_money(batch.cleaned.money)
        for name, values in batch.ids.items():
            self.ids.setdefault(name, []).append(values)

    def lose(self, lost: _Lost) -> None:
        """Take the duplicates of a batch out of the account of the rows to load."""
        self.duplicates += lost.duplicates
        self.removing[lost.number] -= lost.removing
        self.refuse(lost.refused)
        for name, values in lost.ids.items():
            self.ids[name][lost.number] = values
        self.count_money(lost.money)

    def count_money(self, parts: Mapping[str, Sums]) -> None:
        """Take net amounts into the account."""
        for name, amounts in parts.items():
            self.money[name] = plus(self.money.get(name, {}), amounts)

    def refuse(self, kept: Kept | None) -> None:
        """Take rows that were refused into the account."""
        if kept is not None:
            self.rejected.update(kept.reasons)
            self.kept[kept.number] = (*self.kept.get(kept.number, ()), kept.path)

    def tasks(self) -> list[Callable[[], pa.Table]]:
        """A call per batch that returns its rows, duplicates left out."""
        return [partial(self._batch, number) for number in range(len(self.paths))]

    def removals(self) -> list[Callable[[], pa.Table]]:
        """A call per batch that has rows that remove a fact: their keys, net amounts, and why."""
        return [
            partial(self._removals, number) for number, rows in enumerate(self.removing) if rows
        ]

    def distinct_ids(self, column: str) -> pa.Array:
        """The distinct values of a business-key column over all batches."""
        arrays = self.ids.get(column, [])
        return pc.unique(pa.chunked_array(arrays, arrays[0].type if arrays else pa.string()))

    def column(self, name: str) -> Column:
        """A column of text, batch by batch, as often as one goes through it."""
        return Column(self, name)

    def _batch(self, number: int) -> pa.Table:
        return without_removals(self._left(number))

    def _removals(self, number: int) -> pa.Table:
        rows = self._left(number)
        return rows.filter(pc.greater(rows[REMOVAL], 0))

    def _left(self, number: int) -> pa.Table:
        """The rows of a batch that no later one replaces."""
        rows = spool.read(self.paths[number])
        left_out = self.left_out.get(number)
        if left_out is None:
            return rows
        return rows.filter(_without(_positions(rows, left_out), len(rows)))


@dataclass(frozen=True)
class Column:
    """A column of a cleaned source: an array per batch, read anew each time."""

    source: CleanSource
    name: str

    def __iter__(self) -> Iterator[pa.Array]:
        return (whole(task()[self.name]).cast(pa.string()) for task in self.source.tasks())


@dataclass(frozen=True)
class StagingJob:
    """A source to prepare: its business key, and the columns whose distinct values are kept, to
    find members that no source describes.
    """

    source: RawSource
    key: str
    collect: tuple[str, ...] = ()
    describes: bool = False
    """Whether its rows describe members."""
    parts: Sequence[str] = ()
    """The source's columns that make the key."""

    @property
    def removes(self) -> bool:
        """Whether rows of it may remove facts."""
        asked = {DELETED_FLAG, SKIPPED}
        return self.source.source.describes_facts and any(
            asked & batch.mapping.keys() for batch in self.source.batches
        )


@dataclass(frozen=True)
class _Batch:
    job: StagingJob
    number: int
    path: Path
    cleaned: CleanBatch
    ids: dict[str, pa.Array]
    no_rows: Counter[str]
    refused: Kept | None
    marked: Marked
    removing: int


@dataclass(frozen=True)
class _Lost:
    """What a batch has lost to later rows, and the distinct ids of the rows it has left."""

    number: int
    duplicates: int
    refused: Kept | None
    ids: dict[str, pa.Array]
    money: dict[str, Sums]
    removing: int


def clean_sources(
    jobs: Iterable[StagingJob],
    clean: Clean,
    config: StarSchemaConfig,
    folder: Path,
    *,
    progress: Callable[[str, int], None] = lambda name, rows: None,
) -> dict[str, CleanSource]:
    """Clean every batch of all sources, spill the good rows, and resolve duplicate keys.

    `clean` is the rule for one batch (source name, batch number, canonical rows). The largest
    source comes last: the others have rules in Python, of which only one can run at a time, and
    what is after them leaves the interpreter alone.
    """
    jobs = list(jobs)
    currency = "" if config.star.currency is None else config.star.currency.name
    results = {
        j.source.name: CleanSource(j.source.name, j.source.records, j.key, currency) for j in jobs
    }
    calls = (
        partial(_prepare_batch, job, number, clean, folder)
        for job in sorted(jobs, key=lambda job: job.source.records)
        for number in range(len(job.source))
    )
    with ThreadPoolExecutor(config.workers) as pool, judging(folder) as connection:
        for batch in in_order(pool, calls, config.workers):
            result = results[batch.job.source.name]
            result.add(batch)
            progress(result.name, len(batch.cleaned.rows))
            if len(result.paths) == len(batch.job.source):
                _resolve_duplicates(batch.job, result, connection, folder, config.workers)
    return results


def _prepare_batch(
    job: StagingJob,
    number: int,
    clean: Clean,
    folder: Path,
) -> _Batch:
    source = job.source
    rows = source.canonical(number)
    cleaned = _clean(job, number, rows, clean)
    if job.removes and REMOVAL not in cleaned.rows.column_names:  # only other files have them
        none = pa.array(np.zeros(len(cleaned.rows), np.int8))
        cleaned.rows = cleaned.rows.append_column(REMOVAL, none)
    path = spool.write(folder, f"{source.name}-cleaned-{number:06}", cleaned.rows)
    np.save(path.with_suffix(".npy"), key_hashes(cleaned.rows[job.key]))
    no_rows = source.refused(number)
    reasons = Counter[str]() if no_rows is None else Counter(no_rows[REASON].to_pylist())
    refused = keep(folder, source.name, number, "rules", cleaned.rejects)
    ids = {name: distinct(cleaned.rows[name]) for name in job.collect}
    keys = source.source.keys
    looked_at = [name for name in rows.column_names if name in keys or job.describes]
    seen = marked(rows, looked_at, keys)
    return _Batch(job, number, path, cleaned, ids, reasons, refused, seen, _removing(cleaned.rows))


def _removing(rows: pa.Table) -> int:
    """How many of these rows remove a fact."""
    if REMOVAL not in rows.column_names:
        return 0
    return int(pc.sum(pc.greater(rows[REMOVAL], 0)).as_py() or 0)


def _clean(job: StagingJob, number: int, rows: pa.Table, clean: Clean) -> CleanBatch:
    """A batch by its rules; rows that are no records are refused, whatever else they are."""
    source = job.source
    has_key = job.key in rows.column_names  # else no record of the batch is a row
    strays = (
        stray_rows(source.originals(number), rows[job.key], totals=job.describes) if has_key else {}
    )
    if not strays:
        return clean(source.name, number, rows)
    is_stray = np.zeros(len(rows), bool)
    is_stray[list(strays)] = True
    blank = [blanked(whole(column), pa.array(is_stray)) for column in rows.columns]
    cleaned = clean(source.name, number, pa.table(blank, rows.column_names))
    cleaned.rejects = _retold(cleaned.rejects, strays)
    cleaned.nameless -= len(strays)  # they are known to be no rows: nothing hides in them
    return cleaned


def _retold(rejects: pa.Table, strays: dict[int, str]) -> pa.Table:
    """`rejects`, in which rows of `strays` are refused for what they are."""
    details = [strays.get(row) for row in (rejects[PLACE].to_numpy() & _ROW).tolist()]
    details = pa.array(details, pa.string())
    reasons = pc.if_else(pc.is_valid(details), "malformed_row", rejects[REASON])
    return pa.table(
        {
            PLACE: rejects[PLACE],
            REASON: reasons,
            DETAIL: pc.coalesce(details, rejects[DETAIL]),
        }
    )


def _resolve_duplicates(
    job: StagingJob,
    result: CleanSource,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    workers: int,
) -> None:
    readers = [partial(spool.read, path) for path in result.paths]
    hashes = [partial(np.load, path.with_suffix(".npy"), mmap_mode="r") for path in result.paths]
    superseded = find_superseded(readers, hashes, job.key, connection, workers)
    account = partial(_account_superseded, result, job.key, folder)
    with ThreadPoolExecutor(workers) as pool:
        calls = (partial(account, number, lost) for number, lost in superseded.items())
        for lost in in_order(pool, calls, workers):
            result.lose(lost)
    result.left_out = {number: lost.rows for number, lost in superseded.items()}
    conflicting = {number: lost.rows[~lost.identical] for number, lost in superseded.items()}
    read, own = result.read, job.source.originals
    result.doubt = doubt(result.name, job.key, job.parts, read, conflicting, readers, own)


def over_the_limit(cleaned: Iterable[CleanSource], limit: Decimal) -> list[str]:
    """Which sources have a larger share of rejected rows than `limit`, MAX_REJECT_RATE."""
    refused = []
    for source in cleaned:
        rejected = sum(source.rejected.values())
        if rejected > limit * source.read:
            refused.append(
                f"{source.name}: {rejected:,} of {source.read:,} rows rejected, above "
                f"MAX_REJECT_RATE={limit}"
            )
    return refused


def _account_superseded(
    result: CleanSource, key: str, folder: Path, number: int, superseded: Superseded
) -> _Lost:
    """What a batch has lost: rows with the same content as duplicates, the others as rejected."""
    conflicts = superseded.rows[~superseded.identical]
    ids, money, removing = {}, {}, 0
    if result.money:
        rows = spool.read(result.paths[number])
        lost = _positions(rows, superseded.rows)
        # A lost row asks for no member and no date.
        ids = {name: distinct(rows[name], lost) for name in result.ids}
        for name, chosen in (
            ("duplicate", superseded.identical),
            ("rejected", ~superseded.identical),
        ):
            money[name] = net_of(rows.take(pa.array(lost[chosen])), result.currency)
        removing = _removing(rows.take(pa.array(lost)))
    refused = pa.table(
        {
            PLACE: conflicts,
            REASON: pa.array(["conflicting_duplicate"] * len(conflicts), pa.string()),
            DETAIL: pa.array([f"a later row has the same {key}"] * len(conflicts), pa.string()),
        }
    )
    kept = keep(folder, result.name, number, "duplicates", refused)
    return _Lost(number, int(superseded.identical.sum()), kept, ids, money, removing)


def net_of(rows: pa.Table, currency: str) -> Sums:
    """The net amounts of sales by the column `currency`, if there is one."""
    return summed(rows["net_amount"], rows[currency] if currency else None)


def _positions(rows: pa.Table, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in a batch, ordered by place as it is, the rows with the numbers `wanted` are."""
    return np.searchsorted(rows[PLACE].to_numpy() & _ROW, wanted)


def _without(lost: npt.NDArray[np.int64], size: int) -> pa.Array:
    """The mask of `size` rows but those at `lost`."""
    kept = np.ones(size, bool)
    kept[lost] = False
    return pa.array(kept)


def distinct(column: pa.ChunkedArray, lost: npt.NDArray[np.int64] | None = None) -> pa.Array:
    """Distinct ids of the rows but those at `lost`; a dictionary has others as well."""
    values = whole(column)
    if not pa.types.is_dictionary(values.type):
        left = values if lost is None else values.filter(_without(lost, len(values)))
        return pc.unique(left).drop_null()
    size = len(values.dictionary)
    indices = pc.fill_null(values.indices, size).to_numpy()  # a removal has no values
    counts = np.bincount(indices, minlength=size + 1)
    if lost is not None:
        counts -= np.bincount(indices[lost], minlength=size + 1)
    return pc.unique(values.dictionary.filter(pa.array(counts[:size] > 0)))

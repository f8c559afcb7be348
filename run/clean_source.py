"""A source after it was cleaned: its batches in files, and the account of all its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.marks import Marked
from cleaning.removals import without_removals
from cleaning.strangers import without
from common import spool
from common.arrays import whole
from common.outcomes import Input, TableCleaned
from common.parallel import Task
from common.rejects import ordered_reasons
from common.results import PLACE, REMOVAL, ROW_BITS
from common.sums import Sums, plus, summed, summed_by
from run.refused import Kept
from run.repeats import Hashed


@dataclass(frozen=True)
class About:
    """What workers need to know of a source."""

    name: str
    key: str
    """The column by which it names its rows."""
    describes_facts: bool
    currency: str = ""
    """The column with the currency of its amounts, if there is one."""
    ids: tuple[str, ...] = ()
    """The columns by which it names rows of other sources."""
    folded: frozenset[str] = frozenset()
    """Those of its key and its `ids` for which the case of letters makes no difference."""
    day: str = ""
    """The column with the key of its day, if it has days."""
    notes_keys: bool = False
    """Whether the keys of rows that do not go on are noted: they are not absent."""
    known: Mapping[str, Path] = field(default_factory=dict)
    """By column of `ids`: a file of those that a source describes, see `strangers.by_hash`; where
    there is no such source, there is none.
    """


@dataclass(frozen=True)
class CleanedBatch:
    """What a worker tells of a batch that it has cleaned: files and counts, but no row."""

    cleaned: Hashed
    refused: Kept | None
    borne: Path | None
    no_rows: Counter[str]
    """By reason, how many records are no rows."""
    marked: Marked
    issues: Mapping[str, int]
    money: Mapping[str, Sums]
    currencies: Counter[str]
    without_cost: int
    skipped: int
    nameless: int
    removing: int
    """How many of the cleaned rows remove a fact."""


@dataclass(frozen=True)
class SettledBatch:
    """What a batch has lost to others when all of them were clean, and whom it names then."""

    number: int
    left_out: Path | None = None
    duplicates: int = 0
    refused: Kept | None = None
    borne: Path | None = None
    money: Mapping[str, Sums] = field(default_factory=dict)
    removing: int = 0
    """How many of the lost rows remove a fact."""
    strange: Mapping[str, pa.Array] = field(default_factory=dict)
    """By column, the distinct ids of the rows left that no source describes."""
    days: tuple[int, int] | None = None
    """The first and the last key of the days of the rows left."""


@dataclass
class CleanSource:
    """What became of a source: rows to load, and the account of those that will not be."""

    about: About
    read: int
    batches: list[Hashed] = field(default_factory=list)
    left_out: dict[int, Path] = field(default_factory=dict)
    """Of each batch that has any, a file with the numbers of the cleaned rows that do not go on,
    ascending (int64).
    """
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_money: dict[str, Sums] = field(default_factory=dict)
    """By reason, the net amounts of rejected facts, as far as they can be read."""
    kept: dict[int, tuple[Path, ...]] = field(default_factory=dict)
    """Of each batch that has any, the files with its rejected rows; see `refused`."""
    duplicates: int = 0
    issues: Counter[str] = field(default_factory=Counter)
    money: dict[str, Sums] = field(default_factory=dict)
    """The net amounts of facts, by what became of them."""
    strange: dict[str, dict[int, pa.Array]] = field(default_factory=dict)
    """By column and batch: see `SettledBatch`."""
    days: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each batch with facts, their first and last day, as keys."""
    currencies: Counter[str] = field(default_factory=Counter)
    """How many sales are in which currency, duplicates included."""
    without_cost: int = 0
    """How many sales do not say their own cost."""
    skipped: int = 0
    """Rows that SKIP_WHEN leaves out and that name no fact."""
    removing: list[int] = field(default_factory=list)
    """Of each batch, how many rows remove a fact."""
    borne: list[Path] = field(default_factory=list)
    """Files with the keys of rows that do not go on, where they are noted; see `Arrays`."""
    nameless: int = 0
    """How many records have no key that can be read."""
    marked: Marked = field(default_factory=Marked)
    doubt: str = ""
    """Why the source's key may be none."""

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.about.name

    @property
    def key(self) -> str:
        """The column by which it names its rows."""
        return self.about.key

    @property
    def rows(self) -> int:
        """How many rows go on to be loaded."""
        lost = self.duplicates + sum(self.rejected.values())
        return self.read - lost - self.skipped - sum(self.removing)

    def input(self, table: str) -> Input:
        """Its account, for the validator."""
        rejected = sum(self.rejected.values())
        return Input(table, self.read, self.duplicates, rejected, self.skipped, dict(self.money))

    def told(self) -> TableCleaned:
        """Its account, for the summary."""
        reasons = ordered_reasons(+self.rejected)
        money = {r: self.rejected_money[r] for r in reasons if r in self.rejected_money}
        return TableCleaned(
            self.name,
            self.rows,
            self.duplicates,
            {reason: self.rejected[reason] for reason in reasons},
            dict(self.issues),
            rejected_money=money if self.about.describes_facts else None,
        )

    def add(self, batch: CleanedBatch) -> None:
        """Take a cleaned batch into the account."""
        self.batches.append(batch.cleaned)
        self.rejected.update(batch.no_rows)
        self.skipped += batch.skipped
        self.removing.append(batch.removing)
        self.nameless += batch.nameless + batch.no_rows.total()
        self._refuse(batch.refused, batch.borne)
        self.issues.update(batch.issues)
        self.currencies.update(batch.currencies)
        self.without_cost += batch.without_cost
        self.marked.add(batch.marked)
        self._count_money(batch.money)

    def settle(self, batch: SettledBatch) -> None:
        """Take out of the account what a batch has lost, and note whom the rest of it names."""
        number = batch.number
        self.duplicates += batch.duplicates
        self.removing[number] -= batch.removing
        self._refuse(batch.refused, batch.borne)
        self._count_money(batch.money)
        if batch.left_out is not None:
            self.left_out[number] = batch.left_out
        for name in self.strange.keys() | batch.strange.keys():
            self.strange.setdefault(name, {}).pop(number, None)
        for name, ids in batch.strange.items():
            self.strange[name][number] = ids
        self.days.pop(number, None)
        if batch.days is not None:
            self.days[number] = batch.days

    def copied(self) -> CleanSource:
        """A source whose account may change while this one stays as it is."""
        return replace(
            self,
            left_out=dict(self.left_out),
            rejected=self.rejected.copy(),
            rejected_money=dict(self.rejected_money),
            kept=dict(self.kept),
            removing=list(self.removing),
            borne=list(self.borne),
            money=dict(self.money),
            strange={name: dict(ids) for name, ids in self.strange.items()},
            days=dict(self.days),
        )

    def _count_money(self, parts: Mapping[str, Sums]) -> None:
        for name, amounts in parts.items():
            self.money[name] = plus(self.money.get(name, {}), amounts)

    def _refuse(self, kept: Kept | None, borne: Path | None) -> None:
        if kept is not None:
            self.rejected.update(kept.reasons)
            for reason, net in kept.money.items():
                self.rejected_money[reason] = plus(self.rejected_money.get(reason, {}), net)
            self.kept[kept.number] = (*self.kept.get(kept.number, ()), kept.path)
        if borne is not None:
            self.borne.append(borne)

    def tasks(self) -> list[Task[pa.Table]]:
        """A call per batch that returns its rows, duplicates left out."""
        return [Task(rows_to_load, self.left(number)) for number in range(len(self.batches))]

    def removals(self) -> list[Task[pa.Table]]:
        """A call per batch that has rows that remove a fact: their keys, net amounts, and why."""
        return [Task(rows_removing, self.left(n)) for n, rows in enumerate(self.removing) if rows]

    def left(self, number: int) -> tuple[Path, Path | None]:
        """The files of a batch's rows, and of the numbers of those that do not go on."""
        return self.batches[number].rows, self.left_out.get(number)

    def strangers(self, column: str) -> pa.Array:
        """The distinct ids of a column, over all batches, that no source describes."""
        arrays = [ids for _, ids in sorted(self.strange.get(column, {}).items())]
        return pc.unique(pa.chunked_array(arrays, pa.string()))

    def column(self, name: str) -> Column:
        """A column of text, batch by batch, as often as one goes through it."""
        return Column(self, name)


@dataclass(frozen=True)
class Column:
    """A column of a cleaned source: an array per batch, read anew each time."""

    source: CleanSource
    name: str

    def __iter__(self) -> Iterator[pa.Array]:
        return (whole(task()[self.name]).cast(pa.string()) for task in self.source.tasks())


@dataclass(frozen=True)
class Arrays:
    """Arrays in files of one column each, read anew each time."""

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[pa.Array]:
        return (whole(spool.read(path)[0]) for path in self.paths)


def rows_left(path: Path, left_out: Path | None) -> pa.Table:
    """The rows of a batch that no later one replaces."""
    rows = spool.read(path)
    if left_out is None:
        return rows
    return rows.filter(without(positions(rows, np.fromfile(left_out, np.int64)), len(rows)))


def left_out_too(
    about: About, number: int, left_out: Path | None, lost: pa.Table, folder: Path
) -> Path:
    """The file of the numbers of a batch's rows that do not go on: as before, and those `lost`."""
    before = np.empty(0, np.int64) if left_out is None else np.fromfile(left_out, np.int64)
    numbers = np.union1d(before, lost[PLACE].to_numpy() & ROW_BITS)
    return spool.write_numbers(folder, f"{about.name}-left-out-{number:06}", numbers)


def rows_to_load(path: Path, left_out: Path | None) -> pa.Table:
    """Those of them that are to be loaded."""
    return without_removals(rows_left(path, left_out))


def rows_removing(path: Path, left_out: Path | None) -> pa.Table:
    """Those of them that remove a fact."""
    rows = rows_left(path, left_out)
    return rows.filter(pc.greater(rows[REMOVAL], 0))


def removing(rows: pa.Table) -> int:
    """How many of these rows remove a fact."""
    if REMOVAL not in rows.column_names:
        return 0
    return int(pc.sum(pc.greater(rows[REMOVAL], 0)).as_py() or 0)


def net_of(rows: pa.Table, currency: str) -> Sums:
    """The net amounts of sales by the column `currency`, if there is one."""
    return summed(rows["net_amount"], rows[currency] if currency else None)


def net_by_reason(rows: pa.Table, reasons: pa.Array, currency: str) -> dict[str, Sums]:
    """The net amounts of refused sales by the reason of each."""
    return summed_by(reasons, rows["net_amount"], rows[currency] if currency else None)


def positions(rows: pa.Table, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in a batch, ordered by place as it is, the rows with the numbers `wanted` are."""
    return np.searchsorted(rows[PLACE].to_numpy() & ROW_BITS, wanted)

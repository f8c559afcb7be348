"""Rows with the same business key, found over the batches of a source.

Each step is done by tasks that read and write files: the hashes of some batches are sorted into
runs, the repeated ones found part by part of their range, the rows that have them fetched, and
these judged. So no step takes more memory than a batch, and no more files are opened than there are
batches, and runs times parts, of which each has millions of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from cleaning import duplicates
from common import spool
from common.key_hashes import Hashes
from common.parallel import Task, Workers

_SORTED = 4_000_000  # hashes that are sorted at a time: 32 MB
_JUDGED = 60_000  # repeated hashes whose rows are judged at a time: some 40 MB
_CLAIMED = 100_000  # rows that are written at a time
_MOST_BATCHES = 16  # of one task

Item = TypeVar("Item")


@dataclass(frozen=True)
class Hashed:
    """A batch in files: its cleaned rows, and the hashes of their keys in the same order."""

    rows: Path
    hashes: Path
    count: int


@dataclass(frozen=True)
class _Run:
    """A file of hashes, and where in it each part of their range ends."""

    path: Path
    ends: Sequence[int]

    def part(self, number: int) -> Hashes:
        start = self.ends[number - 1] if number else 0
        count = self.ends[number] - start
        return np.fromfile(self.path, np.uint64, count, offset=8 * start)


@dataclass(frozen=True)
class _Wanted:
    """The repeated hashes, ascending, in a file, and their bitmap in another."""

    hashes: Path
    bitmap: Path


@dataclass(frozen=True)
class _Claims:
    """Rows with repeated hashes in a file, and where in it each part of the hashes' range ends."""

    path: Path
    ends: Sequence[int]

    def part(self, number: int) -> pa.Table:
        start = self.ends[number - 1] if number else 0
        return spool.read(self.path).slice(start, self.ends[number] - start)


def chunks(items: Sequence[Item], workers: Workers) -> Iterator[tuple[int, Sequence[Item]]]:
    """Some batches for each task, with the number of the first: few where there are few."""
    size = min(max(len(items) // (6 * workers.count), 1), _MOST_BATCHES)
    return ((start, items[start : start + size]) for start in range(0, len(items), size))


def find_superseded(
    batches: Sequence[Hashed], key: str, folder: Path, name: str, workers: Workers
) -> list[Path]:
    """The files with what `duplicates.judged` says of the rows of a source, by parts of them.

    Removes the hashes. Raises `SpoolError` when the disk refuses.
    """
    label = f"duplicates of {name}"
    repeated = list(_repeated(batches, folder, name, label, workers))
    if not repeated:
        spool.remove(batch.hashes for batch in batches)
        return []
    count = sum(path.stat().st_size for path in repeated) // 8
    wanted = workers.result(Task(_gathered, (repeated, folder, name), label=label))
    spool.remove(repeated)
    bits = (count // _JUDGED).bit_length()
    tasks = (
        Task(_claimed, (wanted, chunk, start, key, bits, folder, name), label=label)
        for start, chunk in chunks(batches, workers)
    )
    claims = [found for several in workers.in_order(tasks) for found in several]
    spool.remove([wanted.hashes, wanted.bitmap, *(batch.hashes for batch in batches)])
    shared = workers.share(claims)
    judging = (Task(_judged, (shared, n, folder, name), label=label) for n in range(1 << bits))
    judged = list(workers.in_order(judging))
    spool.remove(found.path for found in claims)
    return judged


def _repeated(
    batches: Sequence[Hashed], folder: Path, name: str, label: str, workers: Workers
) -> Iterator[Path]:
    """Files of hashes that occur more than once, one file a part of their range."""
    bits = (sum(batch.count for batch in batches) // _SORTED).bit_length()
    if not bits:
        runs = [_Run(batch.hashes, [batch.count]) for batch in batches]
    else:
        groups = _groups(batches)
        tasks = (Task(_run, (group, bits, folder, name), label=label) for group in groups)
        runs = list(workers.in_order(tasks))
    shared = workers.share(runs)
    parts = range(1 << bits)
    counting = (Task(_more_than_once, (shared, n, folder, name), label=label) for n in parts)
    yield from filter(None, workers.in_order(counting))
    if bits:
        spool.remove(run.path for run in runs)


def _groups(batches: Iterable[Hashed]) -> Iterator[list[Path]]:
    """The files of hashes in groups that are sorted together."""
    group: list[Path] = []
    rows = 0
    for batch in batches:
        if group and rows + batch.count > _SORTED:
            yield group
            group, rows = [], 0
        group.append(batch.hashes)
        rows += batch.count
    yield group


# --- the tasks -------------------------------------------------------------------------------


def _run(paths: Sequence[Path], bits: int, folder: Path, name: str) -> _Run:
    """One run of several batches' hashes."""
    hashes = duplicates.ascending(np.fromfile(path, np.uint64) for path in paths)
    ends = np.searchsorted(hashes, _bounds(bits)).tolist()
    return _Run(spool.write_numbers(folder, f"{name}-run", hashes), [*ends, len(hashes)])


def _bounds(bits: int) -> Hashes:
    """Where the parts of the range of hashes begin, but the first."""
    return np.array([part << (64 - bits) for part in range(1, 1 << bits)], np.uint64)


def _more_than_once(runs: Sequence[_Run], part: int, folder: Path, name: str) -> Path | None:
    """The file with a part's hashes that occur more than once, if there are any."""
    repeated = duplicates.more_than_once(run.part(part) for run in runs)
    return spool.write_numbers(folder, f"{name}-repeated", repeated) if len(repeated) else None


def _gathered(paths: Sequence[Path], folder: Path, name: str) -> _Wanted:
    """The repeated hashes of all parts together."""
    hashes = np.concatenate([np.fromfile(path, np.uint64) for path in paths])
    bitmap = duplicates.bitmap(hashes)
    return _Wanted(
        spool.write_numbers(folder, f"{name}-wanted", hashes),
        spool.write_numbers(folder, f"{name}-bitmap", bitmap),
    )


def _claimed(
    wanted: _Wanted,
    batches: Sequence[Hashed],
    first: int,
    key: str,
    bits: int,
    folder: Path,
    name: str,
) -> list[_Claims]:
    """The rows of some batches whose hash is repeated."""
    hashes = np.memmap(wanted.hashes, np.uint64, "r")
    bitmap = np.memmap(wanted.bitmap, np.bool_, "r")
    written: list[_Claims] = []
    found: list[tuple[pa.Table, Hashes]] = []
    for number, batch in enumerate(batches, first):
        own = np.fromfile(batch.hashes, np.uint64)
        at = duplicates.positions(own, hashes, bitmap)
        if len(at):
            found.append((duplicates.claims(spool.read(batch.rows), at, key), own[at]))
        is_last = number == first + len(batches) - 1
        if found and (is_last or sum(len(rows) for rows, _ in found) > _CLAIMED):
            written.append(_written(found, bits, folder, f"{name}-claimed-{number:06}"))
            found = []
    return written


def _written(
    found: Sequence[tuple[pa.Table, Hashes]], bits: int, folder: Path, name: str
) -> _Claims:
    """Claims in one file, in the order of the parts of their hashes' range."""
    rows = pa.concat_tables([rows for rows, _ in found])
    if not bits:
        return _Claims(spool.write(folder, name, rows), [len(rows)])
    hashes = np.concatenate([hashes for _, hashes in found])
    order = np.argsort(hashes, kind="stable")
    ends = np.searchsorted(hashes[order], _bounds(bits)).tolist()
    path = spool.write(folder, name, rows.take(pa.array(order)))
    return _Claims(path, [*ends, len(rows)])


def _judged(claims: Sequence[_Claims], part: int, folder: Path, name: str) -> Path:
    """The file with the rows of a part that a later one replaces."""
    found = duplicates.judged((several.part(part) for several in claims), folder)
    return spool.write(folder, f"{name}-superseded", found)

"""Rows with the same business key: found exactly, and in bounded memory.

First the 64-bit hashes of all keys are sorted, a part of their range at a time. Only rows whose
hash occurs more than once are read again; DuckDB compares them by their keys and contents. So two
keys with the same hash cost time, but never a row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.arrays import decoded, whole
from common.duck import without_progress_bar
from common.parallel import in_order
from common.results import PLACE, REMOVAL

BATCH_BITS = 32
"""A row's place is one int64: batch number << 32 | row number in the batch."""

Hashes = npt.NDArray[np.uint64]
"""As `key_hashes` returns them."""

_PART = 4_000_000  # hashes that are sorted at a time: 32 MB
_BITMAP_BITS = 20

# `content` is the whole row without its place. Of several rows with one key the last one wins.
_SUPERSEDED = """
    WITH claims AS (
        SELECT _key, _place, _removal, row(*COLUMNS(* EXCLUDE (_key, _place))) AS content
        FROM claimed
    ),
    winners AS (
        SELECT _key, max(_place) AS winner, arg_max(content, _place) AS said,
            arg_max(_removal, _place) AS removed
        FROM claims GROUP BY _key HAVING count(*) > 1
    )
    SELECT _place, removed > 0 OR content IS NOT DISTINCT FROM said AS identical
    FROM claims JOIN winners USING (_key)
    WHERE _place <> winner
    ORDER BY _place
"""


@dataclass(frozen=True)
class Superseded:
    """The rows of one batch that a later row with the same key replaces.

    `rows`: their row numbers in the batch (int64). `identical`: whether nothing is lost with them:
    the later row has the same content, or removes what they say (bool).
    """

    rows: npt.NDArray[np.int64]
    identical: npt.NDArray[np.bool_]


_local = threading.local()


@cache
def _hasher() -> duckdb.DuckDBPyConnection:
    """The connection whose cursors the threads use. Opening takes 20 ms, so there is only one."""
    return duckdb.connect(config={"threads": 1})


def key_hashes(keys: pa.Array) -> Hashes:
    """The 64-bit hashes of keys (text), as an array of two rows: in the order of the keys, and
    ascending.
    """
    if not hasattr(_local, "connection"):
        _local.connection = _hasher().cursor()
    connection: Any = _local.connection
    connection.register("keys", pa.table({"key": keys}))
    hashes: Hashes = connection.sql("SELECT hash(key) AS h FROM keys").fetchnumpy()["h"]
    connection.unregister("keys")
    return np.stack([hashes, np.sort(hashes)])


def judging(temp: Path | None = None) -> duckdb.DuckDBPyConnection:
    """The connection that `find_superseded` needs. Opening takes 20 ms, so one serves all sources;
    the caller closes it. What does not fit its memory goes to files in `temp`.
    """
    connection = duckdb.connect(
        config={"memory_limit": "256MB", "threads": 1, "temp_directory": str(temp or "")}
    )
    return without_progress_bar(connection)


def find_superseded(
    batches: Sequence[Callable[[], pa.Table]],
    hashes: Sequence[Callable[[], Hashes]],
    key: str,
    connection: duckdb.DuckDBPyConnection,
    workers: int = 1,
) -> dict[int, Superseded]:
    """The rows that a later row with the same key replaces, by batch number.

    `batches`: calls that return the rows of a batch, with the column `key`, an int64 column
    `_place`, and the content to compare. `hashes`: calls that return the `key_hashes` of each
    batch, best from a memory-mapped file. `connection`: one of `judging`.
    """
    with ThreadPoolExecutor(workers) as pool:
        parts = in_order(pool, _repeated(hashes), workers)
        repeated = np.concatenate([np.empty(0, np.uint64), *parts])
        if not len(repeated):
            return {}
        claimed = in_order(pool, _claims(batches, hashes, np.unique(repeated), key), workers)
        connection.register("claimed", _stream(claimed))
        found = connection.sql(_SUPERSEDED).to_arrow_table()
        connection.unregister("claimed")
    places = found[PLACE].to_numpy()
    numbers = places >> BATCH_BITS
    rows = places & ((1 << BATCH_BITS) - 1)
    identical = found["identical"].to_numpy(zero_copy_only=False)
    return {
        int(number): Superseded(rows[numbers == number], identical[numbers == number])
        for number in np.unique(numbers)
    }


def _repeated(hashes: Sequence[Callable[[], Hashes]]) -> Iterator[Callable[[], Hashes]]:
    """Calls, one per part of the range of hashes, that return those that occur more than once."""
    bits = (sum(len(batch()[1]) for batch in hashes) // _PART).bit_length()
    bounds = np.array([part << (64 - bits) for part in range(1, 1 << bits)], np.uint64)
    cuts = []
    for batch in hashes:
        ascending = batch()[1]
        cuts.append([0, *np.searchsorted(ascending, bounds), len(ascending)])
    return (
        partial(_more_than_once, hashes, [slice(*at[part : part + 2]) for at in cuts])
        for part in range(1 << bits)
    )


def _more_than_once(hashes: Sequence[Callable[[], Hashes]], parts: Sequence[slice]) -> Hashes:
    """The hashes that occur more than once, in parts of ascending arrays.

    A stable sort merges ascending runs instead of sorting anew.
    """
    runs = [batch()[1][part] for batch, part in zip(hashes, parts, strict=True)]
    together = np.concatenate([np.empty(0, np.uint64), *runs])
    del runs
    together.sort(kind="stable")
    repeated: Hashes = together[1:][together[1:] == together[:-1]]
    return repeated


def _membership(wanted: Hashes) -> Callable[[Hashes], npt.NDArray[np.int64]]:
    """A function that returns the positions of those of its hashes that are in the sorted `wanted`.

    A bitmap of the low bits excludes nearly all of them before the binary search.
    """
    low = np.uint64((1 << _BITMAP_BITS) - 1)
    bitmap = np.zeros(1 << _BITMAP_BITS, bool)
    bitmap[wanted & low] = True

    def positions(hashed: Hashes) -> npt.NDArray[np.int64]:
        maybe = np.flatnonzero(bitmap[hashed & low])
        at = np.minimum(np.searchsorted(wanted, hashed[maybe]), len(wanted) - 1)
        found: npt.NDArray[np.int64] = maybe[wanted[at] == hashed[maybe]]
        return found

    return positions


def _claims(
    batches: Sequence[Callable[[], pa.Table]],
    hashes: Sequence[Callable[[], Hashes]],
    repeated: Hashes,
    key: str,
) -> Iterator[Callable[[], pa.Table]]:
    """Calls, one per batch, that return the rows whose hash is in `repeated`; the key is `_key`.

    Columns are decoded, since files differ in which of them are dictionary-encoded.
    """
    positions = _membership(repeated)

    def chosen(batch: Callable[[], pa.Table], rows: npt.NDArray[np.int64]) -> pa.Table:
        table = batch().take(pa.array(rows))
        if REMOVAL not in table.column_names:
            table = table.append_column(REMOVAL, pa.array(np.zeros(len(table), np.int8)))
        names = ["_key" if name == key else name for name in table.column_names]
        return pa.table([decoded(whole(column)) for column in table.columns], names)

    for batch, hashed in zip(batches, hashes, strict=True):
        rows = positions(hashed()[0])
        if len(rows):
            yield partial(chosen, batch, rows)


def _stream(tables: Iterator[pa.Table]) -> pa.RecordBatchReader:
    first = next(tables)
    chunks = (chunk for table in chain([first], tables) for chunk in table.to_batches())
    return pa.RecordBatchReader.from_batches(first.schema, chunks)

"""Rows with the same business key: found exactly, and in bounded memory.

The 64-bit hashes of all keys are sorted, and only rows whose hash occurs more than once are looked
at again: DuckDB compares them by their keys and contents. So two keys with the same hash cost time,
but never a row. Here are the steps; `run.repeats` takes them over batches in files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.arrays import decoded, whole
from common.duck import without_progress_bar
from common.key_hashes import Hashes, key_hashes
from common.results import BATCH_BITS, PLACE, REMOVAL
from common.star_model import WHERE

Rows = npt.NDArray[np.int64]
"""Row numbers in a batch."""

_BITMAP_BITS = 16, 28
"""How many bits of a hash a bitmap knows, at least and at most."""

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

    `rows`: their numbers, ascending. `identical`: whether nothing is lost with them: the later row
    has the same content, or removes what they say (bool).
    """

    rows: Rows
    identical: npt.NDArray[np.bool_]


@lru_cache(maxsize=1)
def _judge(temp: Path | None) -> duckdb.DuckDBPyConnection:
    """The connection that judges, for all threads and all sources of a run, as opening takes time.
    What fits its memory is one key that has very many rows, or what each core is at.
    """
    most, spill = max(2, os.cpu_count() or 1) * 128, str(temp or "")
    return duckdb.connect(
        config={"memory_limit": f"{most}MB", "threads": 1, "temp_directory": spill}
    )


def ascending(several: Iterable[Hashes]) -> Hashes:
    """All these hashes in their order, each of them no more than twice."""
    together = np.concatenate([np.empty(0, np.uint64), *several])
    together.sort()
    is_third = together[2:] == together[:-2]
    if not is_third.any():
        return together
    few: Hashes = together[np.concatenate([[True, True], ~is_third])]
    return few


def more_than_once(several: Iterable[Hashes]) -> Hashes:
    """The distinct hashes that occur more than once in all of these, ascending."""
    together = ascending(several)
    repeated: Hashes = together[1:][together[1:] == together[:-1]]
    return repeated


def bitmap(wanted: Hashes) -> npt.NDArray[np.bool_]:
    """By the low bits of a hash, whether any of `wanted` has these."""
    fewest, most = _BITMAP_BITS
    bits = min(max(len(wanted).bit_length() + 4, fewest), most)
    found = np.zeros(1 << bits, bool)
    found[wanted & np.uint64(len(found) - 1)] = True
    return found


def positions(hashes: Hashes, wanted: Hashes, may_be: npt.NDArray[np.bool_]) -> Rows:
    """Where those of `hashes` are that are in the sorted `wanted`; `may_be` is its `bitmap`, which
    excludes nearly all others before the binary search.
    """
    maybe = np.flatnonzero(may_be[hashes & np.uint64(len(may_be) - 1)])
    at = np.minimum(np.searchsorted(wanted, hashes[maybe]), len(wanted) - 1)
    found: Rows = maybe[wanted[at] == hashes[maybe]]
    return found


def claims(rows: pa.Table, at: Rows, key: str) -> pa.Table:
    """The rows at `at` as `judged` takes them.

    Columns are decoded, since files differ in which of them are dictionary-encoded. Where a row was
    read is no content.
    """
    wanted = [name for name in rows.column_names if name not in WHERE]
    table = rows.select(wanted).take(pa.array(at))
    if REMOVAL not in table.column_names:
        table = table.append_column(REMOVAL, pa.array(np.zeros(len(table), np.int8)))
    names = ["_key" if name == key else name for name in table.column_names]
    return pa.table([decoded(whole(column)) for column in table.columns], names)


def judged(claimed: Iterable[pa.Table], temp: Path | None = None) -> pa.Table:
    """The places (`_place`), ascending, of the rows that a later one with the same key replaces,
    and whether they are `identical`, see `Superseded`.

    `claimed`: tables of `claims`, with all rows of each key that they have. What does not fit the
    memory goes to files in `temp`.
    """
    with closing(_judge(temp).cursor()) as connection:
        connection.register("claimed", _stream(iter(claimed)))
        found: pa.Table = without_progress_bar(connection).sql(_SUPERSEDED).to_arrow_table()
    return found


def superseded_in(found: Sequence[pa.Table], number: int) -> Superseded:
    """What of the tables of `judged` is of one batch."""
    rows, identical = [np.empty(0, np.int64)], [np.empty(0, bool)]
    for table in found:
        places = table[PLACE].to_numpy()
        start, end = np.searchsorted(places, [number << BATCH_BITS, (number + 1) << BATCH_BITS])
        rows.append(places[start:end] - (number << BATCH_BITS))
        chosen = table["identical"][start:end]
        identical.append(chosen.to_numpy().astype(bool))
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Superseded(np.concatenate(rows)[order], np.concatenate(identical)[order])


def superseded(rows: pa.Table, key: str) -> Superseded:
    """The rows of a table that a later row with the same `key` replaces."""
    hashes = key_hashes(rows[key])
    wanted = more_than_once([hashes])
    if not len(wanted):
        return superseded_in([], 0)
    at = positions(hashes, wanted, bitmap(wanted))
    return superseded_in([judged([claims(rows, at, key)])], 0)


def _stream(tables: Iterator[pa.Table]) -> pa.RecordBatchReader:
    first = next(tables)
    chunks = (chunk for table in chain([first], tables) for chunk in table.to_batches())
    return pa.RecordBatchReader.from_batches(first.schema, chunks)

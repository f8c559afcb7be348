"""Duplicate business keys, found out of core.

DuckDB does the grouping with a memory limit and spills to disk, so ten million keys never live
in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as pa_dataset

BATCH_BITS = 32
"""A row's place is one integer: batch number << 32 | row number in the batch."""

# `content` is everything a row says but its place. Of several rows with one key the last wins.
_LOSERS = """
    WITH twice AS (SELECT _key FROM keyed GROUP BY _key HAVING count(*) > 1),
    claims AS (
        SELECT _key, _place, row(*COLUMNS(* EXCLUDE (_key, _place))) AS content
        FROM keyed SEMI JOIN twice USING (_key)
    ),
    winners AS (
        SELECT _key, max(_place) AS winner, arg_max(content, _place) AS said
        FROM claims GROUP BY _key
    )
    SELECT _place, content IS NOT DISTINCT FROM said AS identical
    FROM claims JOIN winners USING (_key)
    WHERE _place <> winner
    ORDER BY _place
"""


@dataclass(frozen=True)
class Losers:
    """Rows of one batch that lost to a later row with the same key.

    `rows` are their row numbers (int64), `identical` whether the winner says the same (bool).
    """

    rows: npt.NDArray[np.int64]
    identical: npt.NDArray[np.bool_]


def find_losers(
    batches: pa.Table | Sequence[Path],
    key: str,
    *,
    temp: Path | None = None,
    memory: str = "256MB",
    threads: int = 1,
) -> dict[int, Losers]:
    """The rows to leave out, by batch number.

    `batches` (a table, or the paths of spilled batches) have the column `key`, an int64 column
    `_place`, and the content to compare.
    """
    source = batches if isinstance(batches, pa.Table) else _dataset(batches)
    if source is None:
        return {}
    with duckdb.connect(
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(temp or ""),
            "preserve_insertion_order": False,
        }
    ) as connection:
        keyed = connection.from_arrow(source).select(
            duckdb.ColumnExpression(key).alias("_key"), duckdb.StarExpression(exclude=[key])
        )
        found = cast("duckdb.DuckDBPyRelation", keyed.query("keyed", _LOSERS)).to_arrow_table()
    places = found["_place"].to_numpy()
    numbers = places >> BATCH_BITS
    rows = places & ((1 << BATCH_BITS) - 1)
    identical = found["identical"].to_numpy(zero_copy_only=False)
    chosen = {int(number): numbers == number for number in np.unique(numbers)}
    return {number: Losers(rows[mask], identical[mask]) for number, mask in chosen.items()}


def _dataset(paths: Sequence[Path]) -> pa_dataset.Dataset | None:
    return pa_dataset.dataset([str(path) for path in paths], format="ipc") if paths else None

"""Duplicate business keys, found out of core.

DuckDB does the grouping with a memory limit and spills to disk, so ten million keys never live
in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow.types import is_dictionary

BATCH_BITS = 32
"""A row's place is one integer: batch number << 32 | row number in the batch."""

_TWICE = """
    CREATE TEMP TABLE twice AS SELECT _key FROM keys GROUP BY _key HAVING count(*) > 1
"""
# `content` is everything a row says but its place. Of several rows with one key the last wins.
_LOSERS = """
    WITH claims AS (
        SELECT _key, _place, row(*COLUMNS(* EXCLUDE (_key, _place))) AS content
        FROM claimed SEMI JOIN twice USING (_key)
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
    batches: Sequence[Callable[[Sequence[str] | None], pa.Table]],
    key: str,
    *,
    temp: Path | None = None,
    memory: str = "256MB",
    threads: int = 1,
) -> dict[int, Losers]:
    """The rows to leave out, by batch number.

    `batches` are calls that return some or all columns of a batch: the column `key`, an int64
    column `_place`, and the content to compare. They are read once for the keys, and again in
    whole only where a key repeats.
    """
    if not batches:
        return {}
    options: dict[str, str | bool | int | float | list[str]]
    options = {"memory_limit": memory, "threads": threads, "temp_directory": str(temp or "")}
    with duckdb.connect(config=options) as connection:
        connection.register("keys", _stream(batches, key, [key]))
        connection.execute(_TWICE)
        if not connection.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
            return {}
        connection.register("claimed", _stream(batches, key, None))
        found = connection.sql(_LOSERS).to_arrow_table()
    places = found["_place"].to_numpy()
    numbers = places >> BATCH_BITS
    rows = places & ((1 << BATCH_BITS) - 1)
    identical = found["identical"].to_numpy(zero_copy_only=False)
    return {
        int(number): Losers(rows[numbers == number], identical[numbers == number])
        for number in np.unique(numbers)
    }


def _stream(
    batches: Sequence[Callable[[Sequence[str] | None], pa.Table]],
    key: str,
    columns: Sequence[str] | None,
) -> pa.RecordBatchReader:
    """The batches one after another, with the key under the name `_key` and no dictionaries."""

    def plain(batch: pa.Table) -> pa.Table:
        names = ["_key" if name == key else name for name in batch.column_names]
        fields = [
            pa.field(name, field.type.value_type if is_dictionary(field.type) else field.type)
            for name, field in zip(names, batch.schema, strict=True)
        ]
        return batch.rename_columns(names).cast(pa.schema(fields))

    schema = plain(batches[0](columns).slice(0, 0)).schema
    chunks = (c for batch in batches for c in plain(batch(columns)).to_batches())
    return pa.RecordBatchReader.from_batches(schema, chunks)

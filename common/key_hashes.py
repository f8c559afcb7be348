"""Hashes of keys, and looking keys up by them.

pyarrow looks values up in a table that it makes anew for each call. With millions of members that
takes longer than all else that is done with a batch; a sorted array of hashes is made once.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

_local = threading.local()


@cache
def _hasher() -> duckdb.DuckDBPyConnection:
    """The connection whose cursors the threads use. Opening takes 10 ms, so there is only one."""
    return duckdb.connect(config={"threads": 1})


def key_hashes(keys: pa.Array | pa.ChunkedArray) -> Hashes:
    """The 64-bit hash of each key (text); the same in every process."""
    if not hasattr(_local, "connection"):
        _local.connection = _hasher().cursor()
    connection: Any = _local.connection
    connection.register("keys", pa.table({"key": keys}))
    hashes: Hashes = connection.sql("SELECT hash(key) AS h FROM keys").fetchnumpy()["h"]
    connection.unregister("keys")
    return np.asarray(hashes, np.uint64)


def positions_by_hash(
    ids: pa.Array, keys: pa.Array, hashes: Hashes, places: npt.NDArray[np.int64] | None = None
) -> pa.Array:
    """Where each of `ids` (text) is among `keys` (int64); null where it is not.

    `hashes` are those of the keys, ascending; `places` says at which of `keys` each belongs, where
    the keys are in another order.
    """
    if not len(keys):
        return pa.nulls(len(ids), pa.int64())
    wanted = key_hashes(ids)
    at = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    found = at if places is None else places[at]
    is_same = pc.equal(keys.take(pa.array(found)), ids)
    has_hash = pa.array(hashes[at] == wanted)
    if pc.any(pc.and_not(has_hash, pc.fill_null(is_same, False))).as_py():
        return pc.index_in(ids, value_set=keys).cast(pa.int64())  # another key has the same hash
    return pc.if_else(is_same, pa.array(found), pa.scalar(None, pa.int64()))

"""Ids that no source describes, found without bringing all known ones into every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import whole
from common.key_hashes import key_hashes, positions_by_hash

_HASH, _KEY = "hash", "key"
_FEW = 250_000
"""Up to so many keys a table of them is made anew for some batches, in less time than it takes to
hash the ids and look for them in a file.
"""


def by_hash(keys: Iterable[pa.Array]) -> pa.Table:
    """These keys (text) in the order of their hashes, as `strangers` looks them up."""
    arrays = list(keys)
    hashes = np.concatenate([np.empty(0, np.uint64), *map(key_hashes, arrays)])
    order = np.argsort(hashes)
    together = whole(pa.chunked_array(arrays, pa.string()))
    return pa.table({_HASH: hashes[order], _KEY: together.take(pa.array(order))})


def strangers(
    several: Sequence[pa.Array], known: pa.Table, form: Callable[[pa.Array], pa.Array] | None = None
) -> list[pa.Array]:
    """Those of each of `several` arrays of ids (text) that are not among the keys of `by_hash`, in
    their order. The keys are in this `form`, if there is one.
    """
    ids = pa.concat_arrays(several)
    is_strange = pc.invert(_is_known(ids if form is None else form(ids), known))
    found, start = [], 0
    for ids in several:
        found.append(ids.filter(is_strange.slice(start, len(ids))))
        start += len(ids)
    return found


def _is_known(ids: pa.Array, known: pa.Table) -> pa.Array:
    if len(known) <= _FEW or not len(ids):
        return pc.is_in(ids, known[_KEY])
    hashes = known[_HASH].to_numpy()
    return pc.is_valid(positions_by_hash(ids, whole(known[_KEY]), hashes))


def distinct(
    column: pa.ChunkedArray | pa.Array, lost: npt.NDArray[np.int64] | None = None
) -> pa.Array:
    """Distinct values of the rows but those at `lost`, without null; a dictionary has others as
    well.
    """
    values = whole(column)
    if not pa.types.is_dictionary(values.type):
        left = values if lost is None else values.filter(without(lost, len(values)))
        return pc.unique(left).drop_null()
    size = len(values.dictionary)
    indices = pc.fill_null(values.indices, size).to_numpy()  # a removal has no values
    counts = np.bincount(indices, minlength=size + 1)
    if lost is not None:
        counts -= np.bincount(indices[lost], minlength=size + 1)
    return pc.unique(values.dictionary.filter(pa.array(counts[:size] > 0)))


def without(lost: npt.NDArray[np.int64], size: int) -> pa.Array:
    """The mask of `size` rows but those at `lost`."""
    kept = np.ones(size, bool)
    kept[lost] = False
    return pa.array(kept)

"""Columns as single arrays, encoded or not: what pyarrow leaves to its callers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0 and pa.types.is_dictionary(column.type):
        return pa.array([], column.type.value_type)  # pyarrow makes no empty one of every type
    return column.combine_chunks()


def decoded(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, and not as a dictionary."""
    array = whole(column)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def unscaled(amounts: pa.Array) -> npt.NDArray[np.int64] | None:
    """Decimals as whole numbers of their last place; None where an int64 does not hold them all.

    Where a value is null, any number stands for it.
    """
    words = np.frombuffer(amounts.buffers()[1] or b"", np.int64).reshape(-1, 2)
    low, high = words[amounts.offset : amounts.offset + len(amounts)].T
    return low if bool((high == low >> 63).all()) else None

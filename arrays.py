"""Columns as single arrays, encoded or not: what pyarrow leaves to its callers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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


def on_values(column: pa.Array, rule: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`rule` on a column; on its distinct values only, where it is dictionary-encoded.

    Encoded or not, the rule sees null where a row has no value, and what it makes of null is what
    such a row gets. Texts and decimals stay encoded: later steps profit as well.
    """
    if not pa.types.is_dictionary(column.type):
        return rule(column)
    encoded = _nulls_among_values(column)
    values = rule(encoded.dictionary)
    if pa.types.is_string(values.type) or pa.types.is_decimal(values.type):
        return pa.DictionaryArray.from_arrays(encoded.indices, values, safe=False)
    return values.take(encoded.indices)


def _nulls_among_values(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """A row without a value points at a null in the dictionary, instead of at nothing."""
    if not column.null_count:
        return column
    null = pa.scalar(len(column.dictionary), pa.int32())
    indices = pc.fill_null(column.indices.cast(pa.int32()), null)
    values = pa.concat_arrays([column.dictionary, pa.nulls(1, column.dictionary.type)])
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def per_distinct(column: pa.Array, rule: Callable[[str], str | None]) -> pa.Array:
    """A Python rule, called once per distinct value; null stays null."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    results = [None if v is None else rule(v) for v in encoded.dictionary.to_pylist()]
    return pa.array(results, pa.string()).take(encoded.indices)

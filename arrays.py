"""Columns as single arrays, encoded or not: what pyarrow leaves to its callers."""

from __future__ import annotations

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

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


Spread = Callable[[pa.Array], pa.Array]


def on_values(column: pa.Array, rule: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`rule` on a column; on its distinct values only, where it is dictionary-encoded.

    Encoded or not, the rule sees null where a row has no value, and what it makes of null is what
    such a row gets.
    """
    values, spread = distinct_values(column)
    return spread(rule(values))


def distinct_values(column: pa.Array) -> tuple[pa.Array, Spread]:
    """The values that a rule has to look at, and what spreads the outcomes over the rows.

    They are the distinct values of a dictionary-encoded column, null among them where rows have
    none, and all values of another. Texts and decimals stay encoded: later steps profit as well.
    """
    if not pa.types.is_dictionary(column.type):
        return column, lambda outcomes: outcomes
    values, indices = column.dictionary, column.indices
    if column.null_count:
        indices = pc.fill_null(indices.cast(pa.int32()), pa.scalar(len(values), pa.int32()))
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])

    def spread(outcomes: pa.Array) -> pa.Array:
        if pa.types.is_string(outcomes.type) or pa.types.is_decimal(outcomes.type):
            return pa.DictionaryArray.from_arrays(indices, outcomes, safe=False)
        return outcomes.take(indices)

    return values, spread


def holds_any(column: pa.Array | pa.ChunkedArray, characters: str) -> bool:
    """Whether an ASCII character of `characters` stands anywhere in the texts of a column.

    A pass over the bytes, which is much cheaper than to look at text by text. It may say yes for
    a text that is not among the rows, and never says no wrongly.
    """
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        text = np.frombuffer(values.buffers()[2] or b"", np.uint8)
        if any((text == ord(character)).any() for character in characters):
            return True
    return False


_SHORT = 1024
_MANY_MARKS = r"\pM{64,}"


def composed(texts: pa.Array, form: str = "NFC") -> pa.Array:
    """Texts normalised to `form`, so that one spelling remains.

    Not those with dozens of combining marks in a row, which no language has: they stay as they are.
    The marks would be sorted at a cost that grows with the square of their number.
    """
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return texts
    absurd = pc.greater(pc.binary_length(texts), _SHORT)
    if pc.any(absurd).as_py():
        absurd = pc.and_(absurd, pc.match_substring_regex(texts, _MANY_MARKS))
    usual = pc.utf8_normalize(pc.if_else(absurd, None, texts), form=form)
    return pc.if_else(absurd, texts, usual)


def per_distinct(column: pa.Array, rule: Callable[[str], str | None]) -> pa.Array:
    """A Python rule, called once per distinct value; null stays null."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    results = [None if v is None else rule(v) for v in encoded.dictionary.to_pylist()]
    return pa.array(results, pa.string()).take(encoded.indices)

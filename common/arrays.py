"""Helpers for Arrow columns, whether they are chunked, dictionary-encoded, or neither."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.values import UNREADABLE


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array; a dictionary-encoded one stays encoded."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0 and pa.types.is_dictionary(column.type):
        return pa.array([], column.type.value_type)  # pyarrow cannot make every empty dictionary
    return column.combine_chunks()


def decoded(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array of plain values, not dictionary-encoded."""
    array = whole(column)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def with_columns(rows: pa.Table, columns: pa.Table) -> pa.Table:
    """`rows` with these columns, each in the place of the one of the same name, or behind all."""
    for name in columns.column_names:
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, columns[name])
        else:
            rows = rows.append_column(name, columns[name])
    return rows


def unscaled(amounts: pa.Array) -> npt.NDArray[np.int64] | None:
    """The integers that decimals are stored as (12.34 with scale 2 is 1234), as int64.

    None where one of them does not fit an int64. A null value has an arbitrary integer.
    """
    words = np.frombuffer(amounts.buffers()[1] or b"", np.int64).reshape(-1, 2)
    low, high = words[amounts.offset : amounts.offset + len(amounts)].T
    return low if bool((high == low >> 63).all()) else None


Spread = Callable[[pa.Array], pa.Array]


def on_values(column: pa.Array, rule: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`rule` applied to a column, once per distinct value where it is dictionary-encoded.

    The rule sees null where a row has no value; what it returns for null is what such a row gets.
    """
    values, spread = distinct_values(column)
    return spread(rule(values))


def distinct_values(column: pa.Array) -> tuple[pa.Array, Spread]:
    """The values that a rule must see, and a function that gives each row the outcome of its value.

    The values are the distinct ones of a dictionary-encoded column, with a null where a row is
    null; of any other column they are all values. Outcomes that are texts or decimals are
    dictionary-encoded again, so that later rules also run once per distinct value.
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
    """Whether any of these ASCII characters occurs in the texts of a column.

    It scans the bytes, which is much cheaper than a look at each text. False is certain. True may
    come from a value of the dictionary that no row has.
    """
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        text = np.frombuffer(values.buffers()[2] or b"", np.uint8)
        if any((text == ord(character)).any() for character in characters):
            return True
    return False


_SHORT = 1024
_MANY_MARKS = r"\pM{64,}"


def unreadable(texts: pa.Array) -> pa.Array:
    """Booleans: whether a text stands for what cannot be read or decoded; null is none."""
    marked = pc.match_substring(texts, UNREADABLE)
    return pc.fill_null(pc.or_(marked, pc.match_substring(texts, "\0")), False)


def composed(texts: pa.Array, form: str = "NFC") -> pa.Array:
    """Texts in the Unicode normal form `form` (UAX #15), so that equal texts have equal bytes.

    Texts with 64 or more combining marks in a row, which no language has, stay as they are: the
    normalisation sorts marks in quadratic time.
    """
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return texts
    absurd = pc.greater(pc.binary_length(texts), _SHORT)
    if pc.any(absurd).as_py():
        absurd = pc.and_(absurd, pc.match_substring_regex(texts, _MANY_MARKS))
    usual = pc.utf8_normalize(pc.if_else(absurd, None, texts), form=form)
    return pc.if_else(absurd, texts, usual)


def per_distinct(column: pa.Array, rule: Callable[[str], str | None]) -> pa.Array:
    """A Python function applied to a column of text, once per distinct value; null stays null."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    results = [None if v is None else rule(v) for v in encoded.dictionary.to_pylist()]
    return pa.array(results, pa.string()).take(encoded.indices)

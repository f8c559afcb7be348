"""Arrow batches, as Parquet files and DuckDB give them, to batches of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.values import as_text, key_text
from sources.batches import MAX_PIECE_BYTES, ReadOptions, TextBatch
from sources.explode_arrow import explode, has_nested


def gathered(few: Iterator[pa.RecordBatch], options: ReadOptions) -> Iterator[pa.RecordBatch]:
    """Small batches joined into batches of `options.batch_rows` rows, or of fewer if they are long.

    A compressed file of kilobytes can hold gigabytes, which shows only when it is decoded: so a
    batch also ends at `MAX_PIECE_BYTES`.
    """
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in few:
        kept.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
        if rows >= options.batch_rows or size >= MAX_PIECE_BYTES:
            yield from pa.Table.from_batches(kept).combine_chunks().to_batches()
            kept, rows, size = [], 0, 0
    if kept:
        yield from pa.Table.from_batches(kept).combine_chunks().to_batches()


def parse_arrow(
    label: str,
    batch: pa.RecordBatch,
    columns: Sequence[str],
    first: int,
    options: ReadOptions,
    binary: set[str],
) -> TextBatch:
    """A batch as text under the names `columns`; its records are numbered from `first`.

    The names of key columns that hold bytes are added to `binary`.
    """
    if not has_nested(columns, batch.schema.types, options):
        texts = _texts(batch.columns, columns, options, binary)
        lines = np.arange(first, first + len(batch), dtype=np.int64)
        return TextBatch(pa.table(texts, names=columns), lines, records=len(batch))
    rows = explode(label, columns, batch.columns, options)
    texts = _texts(rows.columns, rows.names, options, binary)
    empty = len(batch) - len(np.unique(rows.places))
    return TextBatch(
        pa.table(texts, names=rows.names),
        rows.places + first,
        records=len(rows.places) + empty,
        empty=empty,
        is_exploded=True,
    )


def _texts(
    arrays: Sequence[pa.Array], columns: Sequence[str], options: ReadOptions, binary: set[str]
) -> list[pa.Array]:
    texts = []
    for name, column in zip(columns, arrays, strict=True):
        is_key = name.lower() in options.keys
        if is_key and _is_binary(column.type) and column.null_count < len(column):
            binary.add(name)
        text = key_column(column) if is_key else text_column(column)
        if name.lower() in options.commas and _is_fractional(column.type):
            text = pc.replace_substring(text, ".", ",")
        texts.append(text.dictionary_encode() if name in options.encoded else text)
    return texts


def text_column(column: pa.Array) -> pa.Array:
    """Values of any Arrow type as text, with all their digits: see `as_text`."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _extension_text(column)
    if pa.types.is_dictionary(kind):
        return text_column(column.dictionary).take(column.indices)
    if (
        pa.types.is_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    ):
        return pc.cast(column, pa.string())
    if pa.types.is_timestamp(kind):  # Python's datetime would end with the year 9999
        moments = column.cast(pa.timestamp(kind.unit, "UTC")) if kind.tz else column
        return pc.cast(moments, pa.string())
    encoded = column if pa.types.is_nested(kind) else column.dictionary_encode()
    if pa.types.is_nested(kind):
        values = encoded.to_pylist(maps_as_pydicts="lossy")
        return pa.array([as_text(value) for value in values], pa.string())
    distinct = [as_text(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(distinct, pa.string()).take(encoded.indices)


def _extension_text(column: pa.Array) -> pa.Array:
    """Values of an Arrow extension type: a UUID as such, any other as its storage type."""
    if isinstance(column.type, pa.UuidType):
        return pa.array([as_text(value) for value in column.to_pylist()], pa.string())
    return text_column(column.storage)


def key_column(column: pa.Array) -> pa.Array:
    """Values of any Arrow type as the text of keys: see `key_text`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return key_column(column.dictionary).take(column.indices)
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(text_column(column), r"\.0*$", "")
    if pa.types.is_binary_view(kind):
        column, kind = column.cast(pa.large_binary()), pa.large_binary()
    if _is_binary(kind) or pa.types.is_floating(kind):
        encoded = column.dictionary_encode()
        distinct = [key_text(value) for value in encoded.dictionary.to_pylist()]
        return pa.array(distinct, pa.string()).take(encoded.indices)
    return text_column(column)


def _is_binary(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _is_fractional(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers with a decimal point."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))

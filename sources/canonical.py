"""The rows of a source under our canonical column names, by its mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import composed, decoded, on_values, unreadable, whole
from common.key_rules import normal_keys
from common.results import JOINED, LOST, ORPHANED, SKIPPED
from common.source_settings import SourceSettings
from common.star_model import Source
from common.values import UNREADABLE, as_text, comma_text, key_text
from sources.json_values import head_and_path, text_at
from sources.mapping import own_name


def to_canonical(
    rows: pa.Table, mapping: dict[str, list[str]], source: Source, settings: SourceSettings
) -> pa.Table:
    """`rows` as text columns under canonical names.

    `mapping` gives for each canonical column the columns of the file that make it; several are
    joined with `-`, and of a column with a constant there are none. Canonical columns that are not
    mapped are left out.
    """
    numbers = source.numbers if settings.decimal_separator == "," else ()
    columns = {}
    if settings.skip_when:
        columns[SKIPPED] = _skipped(rows, mapping.get(SKIPPED, []), settings)
    for canonical, own in mapping.items():
        if canonical == SKIPPED:
            continue
        value = settings.rule(canonical).value
        if value is not None:
            columns[canonical] = _same_in_all(value, len(rows))
            continue
        written = comma_text if canonical in numbers else as_text
        written = key_text if canonical in source.keys else written
        parts = [own_column(rows, column, written) for column in own]
        names = settings.rule(canonical).parts
        if len(names) == len(parts) and any(len(part) > 1 for part in names):
            parts = [_or_other(rows, *given, written) for given in zip(parts, names, strict=True)]
        if len(parts) == 1:
            columns[canonical] = parts[0]
        elif canonical in source.required or canonical in source.keys:
            none = ["", *(settings.null_tokens if canonical != source.key else ())]
            columns[canonical] = _joined_key(parts, none)
        else:
            columns[canonical] = _joined_text(parts)
    columns |= _of_orders(rows, columns)
    if LOST in rows.column_names and source.key in columns:
        columns[source.key] = pc.if_else(rows[LOST], "", decoded(columns[source.key]))
    return pa.table(columns) if columns else rows.select([])


def _or_other(
    rows: pa.Table,
    column: pa.ChunkedArray,
    names: Sequence[str],
    written: Callable[[Any], str | None],
) -> pa.ChunkedArray:
    """A column with several names; a record that lacks it may have it under another one."""
    for name in names:
        if not column.null_count:
            break
        other = own_column(rows, own_name(name, rows.column_names) or name, written)
        column = pc.coalesce(decoded(column), decoded(other))
    return column


def _of_orders(rows: pa.Table, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns that the orders of these lines have; what a line says itself counts."""
    found = {}
    for name in rows.column_names:
        if not name.startswith(JOINED):
            continue
        canonical, column = name.removeprefix(JOINED), whole(rows[name])
        if canonical in columns and canonical != ORPHANED:
            own = decoded(columns[canonical])
            is_blank = pc.equal(pc.utf8_trim_whitespace(pc.coalesce(own, "")), "")
            column = pc.if_else(is_blank, decoded(column), own)
        found[canonical] = column
    return found


def _same_in_all(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def _joined_key(parts: Sequence[pa.ChunkedArray], none: Sequence[str]) -> pa.Array:
    """The parts of a key joined with `-`; '' where any part is one of `none`."""
    keys = [normal_keys(pc.coalesce(decoded(part), "")) for part in parts]
    is_whole = pc.invert(pc.is_in(keys[0], pa.array(none)))
    for key in keys[1:]:
        is_whole = pc.and_(is_whole, pc.invert(pc.is_in(key, pa.array(none))))
    return pc.if_else(is_whole, pc.binary_join_element_wise(*keys, "-"), "")


def _joined_text(parts: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Texts joined with `-`; blank ones are left out."""
    joined, *others = (pc.utf8_trim_whitespace(pc.coalesce(decoded(p), "")) for p in parts)
    for text in others:
        before, after = pc.equal(joined, ""), pc.equal(text, "")
        both = pc.binary_join_element_wise(joined, text, "-")
        joined = pc.if_else(before, text, pc.if_else(after, joined, both))
    return joined


def _skipped(rows: pa.Table, own: Sequence[str], settings: SourceSettings) -> pa.Array:
    """`true` where one of the columns `own`, those of SKIP_WHEN, has one of its texts; the mark of
    unreadable cells where that cannot be told.
    """
    answer = pa.nulls(len(rows), pa.string())
    for name, texts in zip(own, settings.skip_when.values(), strict=True):
        wanted = pa.array([text.strip() for text in texts], pa.string())

        def look(given: pa.Array, wanted: pa.Array = wanted) -> pa.Array:
            cells = composed(pc.utf8_trim_whitespace(pc.coalesce(given, "")))
            found = pc.if_else(pc.is_in(cells, wanted), "true", pa.scalar(None, pa.string()))
            return pc.if_else(unreadable(cells), UNREADABLE, found)

        told = on_values(whole(own_column(rows, name, as_text)), look)
        answer = pc.coalesce(answer, decoded(told))
    return answer


def own_column(rows: pa.Table, name: str, written: Callable[[Any], str | None]) -> pa.ChunkedArray:
    """A column of the file, or the value at a path inside a JSON column (`specifications.color`).

    `written` turns that value into text. A column that only later records have is null here.
    """
    if name in rows.column_names:
        return rows[name]
    head, path = head_and_path(name, rows.column_names)
    if head not in rows.column_names:  # only later records of the file have it
        return pa.chunked_array([pa.nulls(len(rows), pa.string())])
    encoded = rows[head].combine_chunks().cast(pa.string()).dictionary_encode()
    values = [text_at(text, path, written) for text in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string()).take(encoded.indices)])

"""Lists inside Arrow batches, of which each element becomes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from errors import SourceError
from sources.batches import Lines, ReadOptions
from sources.explode import no_list, steps_of, two_columns


@dataclass(frozen=True)
class ArrowRows:
    """Columns with names, and the place of each row's record in its batch."""

    names: list[str]
    columns: list[pa.Array]
    places: Lines


def has_nested(columns: Sequence[str], types: Sequence[pa.DataType], options: ReadOptions) -> bool:
    """Whether the list to make rows of is one of Arrow's, not text."""
    steps = steps_of(options)
    if not steps or steps[0] not in columns:
        return False
    return bool(pa.types.is_nested(types[columns.index(steps[0])]))


def explode(
    label: str, columns: Sequence[str], arrays: Sequence[pa.Array], options: ReadOptions
) -> ArrowRows:
    """A row for each element of the list that EXPLODE names; fields of structs on the way to it
    are columns. Raises `SourceError` where the columns' types do not fit.
    """
    steps = steps_of(options)
    rows = ArrowRows(list(columns), list(arrays), np.arange(len(arrays[0]), dtype=np.int64))
    for depth in range(1, len(steps) + 1):
        name = ".".join(steps[:depth])
        if name not in rows.names:
            raise no_list(label, name, _lists(columns, [array.type for array in arrays]), options)
        kind = rows.columns[rows.names.index(name)].type
        is_last = depth == len(steps)
        if _is_list(kind):
            rows = _unfolded(rows, name)
        elif not pa.types.is_struct(kind) or is_last:
            raise SourceError(
                f"{label}: {options.source.upper()}__EXPLODE is {'.'.join(steps)}, and {name!r} is "
                f"{kind}, no list"
            )
        rows = _flat(rows, name, is_last=is_last)
        twice = next((own for own in rows.names if rows.names.count(own) > 1), None)
        if twice is not None:
            raise two_columns(label, twice, options)
    return rows


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _unfolded(rows: ArrowRows, name: str) -> ArrowRows:
    """A row for each element of the list in a column."""
    place = rows.names.index(name)
    parents = pc.list_parent_indices(rows.columns[place])
    columns = [
        pc.list_flatten(column) if number == place else column.take(parents)
        for number, column in enumerate(rows.columns)
    ]
    return ArrowRows(rows.names, columns, rows.places[parents.to_numpy()])


def _flat(rows: ArrowRows, name: str, *, is_last: bool) -> ArrowRows:
    """The fields of a struct as columns of their own."""
    place = rows.names.index(name)
    column = rows.columns[place]
    if not pa.types.is_struct(column.type):
        return rows
    names, columns = list(rows.names), list(rows.columns)
    names[place : place + 1] = [f"{name}.{field.name}" for field in column.type]
    columns[place : place + 1] = column.flatten()
    flat = ArrowRows(names, columns, rows.places)
    if is_last or not column.null_count:
        return flat
    is_there = column.is_valid()
    kept = [column.filter(is_there) for column in columns]
    return ArrowRows(names, kept, rows.places[is_there.to_numpy(zero_copy_only=False)])


def _lists(columns: Sequence[str], types: Sequence[pa.DataType]) -> list[str]:
    """The paths of the lists in columns that are reached through structs."""
    found = []
    for name, kind in zip(columns, types, strict=True):
        if _is_list(kind):
            found.append(name)
        elif pa.types.is_struct(kind):
            fields = list(kind)
            inner = [f"{name}.{field.name}" for field in fields]
            found += _lists(inner, [field.type for field in fields])
    return found

"""Lists inside records, of which each element becomes a row, beside the values of its record.

The path of such a list is a chain of keys, through objects and lists. Each key of it is a level:
level 0 has the records, level 1 what is at the first key in them, and so on; the last level has the
elements. A value of level 1 is in a column `line_items.sku`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from common.values import text_array, to_json
from errors import SourceError
from sources.batches import Lines, ReadOptions, RefusedRecord, TextBatch
from sources.json_values import parsed
from sources.pieces import OpenSource

Values = Mapping[str, Any]


def fault(record: Values, steps: Sequence[str]) -> str:
    """Why a record cannot be made rows: what is not a list at the path; or ''."""
    level: list[Any] = [record]
    for depth, step in enumerate(steps, 1):
        inner: list[Any] = []
        for outer in level:
            value = outer.get(step)
            if isinstance(value, list):
                inner += value
            elif isinstance(value, dict) and depth < len(steps):
                inner.append(value)
            elif value is not None:
                return f"{'.'.join(steps[:depth])!r} is {_kind(value)}, where a list is expected"
        if depth == len(steps):
            break
        level = [value for value in inner if value is not None]
        odd = next((value for value in level if not isinstance(value, dict)), None)
        if odd is not None:
            name = ".".join(steps[:depth])
            return f"{name!r} holds {_kind(odd)}, where an object with {steps[depth]!r} is expected"
    return ""


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {value[:50]!r}" if isinstance(value, str) else f"the number {value}"


def missing_step(records: Sequence[Values], steps: Sequence[str]) -> str:
    """The part of the path that none of the records has; '' where any has all of it."""
    level: list[Any] = list(records)
    for depth, step in enumerate(steps, 1):
        if level and not any(step in outer for outer in level):
            return ".".join(steps[:depth])
        level = [inner for inner in _inner(level, step)[0] if isinstance(inner, dict)]
    return ""


def lists_in(records: Sequence[Values]) -> list[str]:
    """The paths of the lists in records that are reached through objects."""
    found: dict[str, None] = {}

    def search(value: Any, path: str) -> None:
        if isinstance(value, list):
            found[path] = None
        elif isinstance(value, dict):
            for key, inner in value.items():
                search(inner, f"{path}.{key}" if path else key)

    for record in records:
        search(record, "")
    return list(found)


def _inner(level: Sequence[Any], step: str) -> tuple[list[Any], list[int]]:
    """The values of the next level, and the place of each one's outer value in this."""
    values: list[Any] = []
    places: list[int] = []
    for place, outer in enumerate(level):
        value = outer.get(step)
        if isinstance(value, list):
            values += value
            places += [place] * len(value)
        elif value is not None:
            values.append(value)
            places.append(place)
    return values, places


@dataclass(frozen=True)
class Unfolded:
    """The rows that are made of some records."""

    steps: tuple[str, ...]
    levels: list[list[Any]]
    places: list[Lines]
    """For each level: the place in it of each row's value."""

    @property
    def empty(self) -> int:
        """How many records have no row."""
        return len(self.levels[0]) - len(np.unique(self.places[0]))

    def names(self) -> dict[str, tuple[int, str | None]]:
        """Columns, in the order of the records: the level and the key of each; of plain elements
        there is no key. Raises `ValueError` where two columns have one name.
        """
        found: dict[str, tuple[int, str | None]] = {}
        seen: list[set[str]] = [set() for _ in self.levels]
        last = len(self.steps)

        def note(depth: int, value: Any) -> None:
            if not isinstance(value, dict):
                if depth == last and value is not None:
                    add(depth, None)
                return
            if not seen[depth].issuperset(value):
                for key in value:
                    if depth == last or key != self.steps[depth]:
                        add(depth, key)
                seen[depth].update(value)
            if depth < last:
                inner = value.get(self.steps[depth])
                for element in inner if isinstance(inner, list) else (inner,):
                    note(depth + 1, element)

        def add(depth: int, key: str | None) -> None:
            name = self.name(depth, key)
            if found.setdefault(name, (depth, key)) != (depth, key):
                raise ValueError(name)

        for record in self.levels[0]:
            note(0, record)
        return found

    def name(self, depth: int, key: str | None) -> str:
        """The name of a column."""
        return ".".join([*self.steps[:depth], *([] if key is None else [key])])

    def column(self, depth: int, key: str | None, text: Callable[[Any], str | None]) -> pa.Array:
        """The values of a column in all rows, as text."""
        level = self.levels[depth]
        if key is None:
            values = [None if isinstance(value, dict) else value for value in level]
        else:
            values = [value.get(key) if isinstance(value, dict) else None for value in level]
        texts = text_array(values, text)
        return texts if depth == len(self.steps) else texts.take(pa.array(self.places[depth]))


def unfold(records: Sequence[Values], steps: tuple[str, ...]) -> Unfolded:
    """The rows of records in which `fault` finds nothing."""
    levels: list[list[Any]] = [list(records)]
    above: list[Lines] = []
    for depth, step in enumerate(steps, 1):
        values, outer = _inner(levels[-1], step)
        if depth < len(steps):
            kept = [place for place, value in enumerate(values) if value is not None]
            values, outer = [values[place] for place in kept], [outer[place] for place in kept]
        levels.append(values)
        above.append(np.array(outer, np.int64))
    places = [np.arange(len(levels[-1]), dtype=np.int64)]
    for outer_places in reversed(above):
        places.insert(0, outer_places[places[0]])
    return Unfolded(steps, levels, places)


def steps_of(options: ReadOptions) -> tuple[str, ...]:
    """The keys of the list whose elements are the rows; none where records are."""
    path = options.layout.explode
    return tuple(path.split(".")) if path else ()


def two_columns(label: str, name: str, options: ReadOptions) -> SourceError:
    """The error for records with a key that is called like one in their list."""
    return SourceError(
        f"{label}: with {options.source.upper()}__EXPLODE={options.layout.explode} two columns are "
        f"called {name!r}; rename one of the two in the export"
    )


def no_list(label: str, name: str, lists: Sequence[str], options: ReadOptions) -> SourceError:
    """The error for a path that nothing has. `lists` are the paths there are."""
    setting = f"{options.source.upper()}__EXPLODE"
    there = f"; its lists are {', '.join(lists[:20])}" if lists else "; there is no list in them"
    return SourceError(
        f"{label}: {setting} is {options.layout.explode}, and no record has {name!r}{there}"
    )


def with_lists_in_text(opened: OpenSource, options: ReadOptions) -> OpenSource:
    """A source whose lists are JSON text in a column: each element becomes a row.

    Raises `SourceError` where it has no such column.
    """
    steps = steps_of(options)
    if not steps or opened.format.startswith("json") or not opened.columns:
        return opened
    if steps[0] not in opened.columns:
        if any(name.startswith(f"{steps[0]}.") for name in opened.columns):
            return opened  # each element is a row already
        raise SourceError(
            f"{opened.label}: {options.source.upper()}__EXPLODE is {options.layout.explode}, and "
            f"there is no column {steps[0]!r} (it has: {', '.join(opened.columns[:50])})"
        )
    opened.is_schemaless, opened.list_column = True, steps[0]
    opened.steps.append(partial(_exploded, opened.label, steps, options))
    return opened


def _exploded(
    label: str, steps: tuple[str, ...], options: ReadOptions, batch: TextBatch
) -> TextBatch:
    """A batch with a row for each element of the list in a column of JSON text."""
    if batch.is_exploded:
        return batch
    texts = batch.rows[steps[0]].cast(pa.string()).to_pylist()
    records, rows, refused = [], [], []
    for row, text in enumerate(texts):
        value = parsed(text) if text and text.strip() else None
        problem = fault({steps[0]: value}, steps)
        if value is None and text and text.strip() not in ("", "null"):
            problem = f"{steps[0]!r} is no JSON"
        if problem:
            refused.append(_refused(batch, row, problem))
        else:
            records.append({steps[0]: value})
            rows.append(row)
    unfolded = unfold(records, steps)
    places = np.array(rows, np.int64)[unfolded.places[0]]
    table = batch.rows.drop_columns([steps[0]]).take(pa.array(places))
    for name, (depth, key) in _names(label, unfolded, table.column_names, options).items():
        table = table.append_column(name, unfolded.column(depth, key, options.text_of(name)))
    made = len(places) + unfolded.empty + len(refused)
    return replace(
        batch,
        rows=table,
        lines=batch.lines[places],
        refused=[*batch.refused, *refused],
        records=batch.records - len(texts) + made,
        empty=batch.empty + unfolded.empty,
        is_exploded=True,
    )


def _names(
    label: str, unfolded: Unfolded, others: Sequence[str], options: ReadOptions
) -> dict[str, tuple[int, str | None]]:
    try:
        names = unfolded.names()
    except ValueError as error:
        raise two_columns(label, str(error), options) from None
    twice = next((name for name in names if name in others), None)
    if twice is not None:
        raise two_columns(label, twice, options)
    return names


def _refused(batch: TextBatch, row: int, problem: str) -> RefusedRecord:
    values = batch.rows.slice(row, 1).to_pylist()[0]
    raw = to_json({name: value for name, value in values.items() if value is not None})
    return RefusedRecord(int(batch.lines[row]), problem, raw)

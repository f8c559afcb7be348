"""Inspects all records for values that the mapping would lose, and for mappings that find nothing.

One record becomes one row, so values of a list that are not mapped would be lost silently. Only
counts and one example are kept, so memory does not depend on the number of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import holds_any
from common.star_model import Source
from sources.batches import Lines
from sources.json_values import at, head_and_path, names_inside, parsed

_MOST_NAMES = 20

Mapping = dict[str, list[str]]
"""Canonical column -> the file's columns, or values inside them, that make it."""


@dataclass
class Unmapped:
    """Values that are not mapped: what they are, in how many records, and the line of the first.

    `size` is the largest number of values found in one list.
    """

    what: str
    records: int
    line: int
    size: int = 0

    def add(self, other: Unmapped) -> None:
        """Add the counts of another batch."""
        self.records += other.records
        self.line = min(self.line, other.line)
        self.size = max(self.size, other.size)


@dataclass
class Inspection:
    """What was found in a file's records, added up batch by batch."""

    records: int = 0
    names: set[str] = field(default_factory=set)
    """Mapped names for which at least one record has a value."""
    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    """By column: the keys of JSON objects in which a mapped name has no value."""
    lists: dict[str, Unmapped] = field(default_factory=dict)
    """By mapped name: lists with more values than are mapped."""
    whole: dict[str, Unmapped] = field(default_factory=dict)
    """By mapped name: lists that are mapped as a whole; they are kept as JSON text."""
    objects: dict[str, Unmapped] = field(default_factory=dict)
    """By canonical column: keys that are mapped to an object."""

    def move(self, lines: int) -> None:
        """Count the lines from one that is so many lines further up."""
        for left in chain.from_iterable(
            found.values() for found in (self.lists, self.whole, self.objects)
        ):
            left.line += lines

    def add(self, other: Inspection) -> None:
        """Add what was found in another batch."""
        self.records += other.records
        self.names |= other.names
        for head, keys in other.keys.items():
            known = self.keys.setdefault(head, {})
            known.update(islice(keys.items(), _MOST_NAMES))
        for own, theirs in (
            (self.lists, other.lists), (self.whole, other.whole), (self.objects, other.objects)
        ):  # fmt: skip
            for name, left in theirs.items():
                _count(own, name, left)

    def lost(self, *, in_sales: bool) -> dict[str, str]:
        """By path: a message for each list with more values than are mapped, in the order of the
        records.

        In sales these include lists mapped as a whole, since no key and no measure is a list.
        """
        lists = {**self.whole, **self.lists} if in_sales else self.lists
        return {
            name: f"{name!r} holds up to {left.size} values, {left.what}{_in_all(left)}"
            for name, left in sorted(lists.items(), key=lambda item: item[1].line)
        }

    def warnings(self, mapping: Mapping, columns: Sequence[str]) -> list[str]:
        """Warnings about mapped names that have no value in any record, or an object for a key."""
        notes = []
        for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
            head, _ = head_and_path(name, columns)
            if name in columns or head not in columns or not self.records or name in self.names:
                continue
            keys = ", ".join(islice(self.keys.get(head, {}), _MOST_NAMES))
            notes.append(
                f"none of the {self.records:,} records has a value at {name!r}, which "
                f"{canonical} is mapped to; {head!r} holds {keys or 'no JSON object'}"
            )
        notes += [
            f"{canonical} is mapped to {left.what}{_in_all(left)}"
            for canonical, left in self.objects.items()
        ]
        return notes


def _in_all(left: Unmapped) -> str:
    many = "1 record" if left.records == 1 else f"{left.records:,} records, the first"
    return f" ({many} at line or number {left.line})"


@dataclass(frozen=True)
class _Mapped:
    canonical: str
    name: str
    path: list[str]
    is_key: bool


def inspect_rows(rows: pa.Table, lines: Lines, mapping: Mapping, source: Source) -> Inspection:
    """Inspect a batch of `source` by its file's `mapping`; `lines` has the number of each row."""
    inspection = Inspection(len(rows))
    by_head: dict[str, list[_Mapped]] = {}
    for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
        is_plain = name in rows.column_names
        head, path = (name, []) if is_plain else head_and_path(name, rows.column_names)
        is_document = is_plain and canonical in source.json
        if head in rows.column_names and not is_document:
            own = _Mapped(canonical, name, path, canonical in source.keys)
            by_head.setdefault(head, []).append(own)
    for head, mapped in by_head.items():
        _inspect_column(inspection, head, rows[head], lines, mapped)
    return inspection


def _inspect_column(
    inspection: Inspection, head: str, column: pa.ChunkedArray, lines: Lines, mapped: list[_Mapped]
) -> None:
    """Inspect the distinct values of a column that are lists, or objects in place of keys."""
    inside = [own for own in mapped if own.path]
    plain = [own for own in mapped if not own.path]
    if inside:
        chosen = "["
    elif any(own.is_key for own in plain):
        chosen = r"^[\[{]"
    else:
        chosen = r"^\["
    if not inside and not holds_any(column, "[{"):
        return
    texts, indices = _distinct(column)
    if inside:
        _find_values(inspection, head, texts, inside)
    is_odd = pc.fill_null(pc.match_substring_regex(texts, r"\[" if inside else chosen), False)
    if not pc.any(is_odd).as_py():
        return
    counts = np.bincount(indices, minlength=len(texts))
    for place in np.flatnonzero(is_odd.to_numpy(zero_copy_only=False)).tolist():
        value = parsed(texts[place].as_py())
        if not counts[place] or not isinstance(value, list | dict) or not value:
            continue
        records = int(counts[place])
        line = int(lines[np.argmax(indices == place)])
        for name, what, size in _unmapped_list_values(head, value, inside) + _unnumbered(
            head, value, inside
        ):
            _count(inspection.lists, name, Unmapped(what, records, line, size))
        for name, what, size in _whole(value, [*plain, *inside]):
            _count(inspection.whole, name, Unmapped(what, records, line, size))
        for own in (own for own in plain if own.is_key):
            names = ", ".join(islice(names_inside(own.name, value), _MOST_NAMES))
            what = f"{own.name!r}, which is no single value; inside it there are {names}"
            _count(inspection.objects, own.canonical, Unmapped(what, records, line))


def _distinct(column: pa.ChunkedArray) -> tuple[pa.Array, Lines]:
    """The distinct values of a column, and the position of each row's value among them; for a null
    that is their number.
    """
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    texts = encoded.dictionary
    indices: Lines = pc.fill_null(encoded.indices.cast(pa.int64()), len(texts)).to_numpy()
    return texts, indices


def _count(found: dict[str, Unmapped], name: str, left: Unmapped) -> None:
    if name in found:
        found[name].add(left)
    else:
        found[name] = left


def _find_values(inspection: Inspection, head: str, texts: pa.Array, inside: list[_Mapped]) -> None:
    """Note which mapped names have a value in any of `texts`; stop when all have one."""
    wanted = {own.name: own.path for own in inside}
    for text in texts:
        if not wanted:
            return
        value = parsed(text.as_py() or "")
        for name in [name for name, path in wanted.items() if at(value, path) is not None]:
            inspection.names.add(name)
            del wanted[name]
        if wanted and isinstance(value, dict):
            inspection.keys.setdefault(head, {}).update(islice(dict.fromkeys(value).items(), 20))


def _unmapped_list_values(
    head: str, value: Any, inside: Iterable[_Mapped]
) -> list[tuple[str, str, int]]:
    """Lists with values at positions that are not mapped: name, what is wrong, number of values."""
    mapped: dict[tuple[str, ...], set[int]] = {}
    for own in inside:
        for depth, step in enumerate(own.path):
            if step.isdecimal():
                mapped.setdefault(tuple(own.path[:depth]), set()).add(int(step))
    found_lists = []
    for path, places in mapped.items():
        found = at(value, list(path))
        values = found if isinstance(found, list) else []
        held = {number for number, one in enumerate(values) if one is not None}
        if held - places:
            name = ".".join([head, *path])
            found_lists.append((name, f"of which {len(places)} are mapped", len(held)))
    return found_lists


def _unnumbered(head: str, value: Any, inside: Iterable[_Mapped]) -> list[tuple[str, str, int]]:
    """Lists on the path of a mapping that does not say which element is meant; as above."""
    found_lists: dict[str, tuple[str, str, int]] = {}
    for own in inside:
        for depth, step in enumerate(own.path):
            found = at(value, own.path[:depth])
            if isinstance(found, list) and found and not step.isdecimal():
                name = ".".join([head, *own.path[:depth]])
                why = f"of which none is mapped: {own.name!r} names no place among them"
                found_lists.setdefault(name, (name, why, len(found)))
                break
    return list(found_lists.values())


def _whole(value: Any, mapped: Iterable[_Mapped]) -> list[tuple[str, str, int]]:
    """Lists of several values that are mapped as a whole; as above."""
    found_lists = []
    for own in mapped:
        found = at(value, own.path)
        if isinstance(found, list) and _is_many(found):
            why = f"of which none is mapped: {own.canonical} is one value"
            found_lists.append((own.name, why, len(found)))
    return found_lists


def _is_many(values: list[Any]) -> bool:
    """Whether a list has several values, or a nested one; `[1]` may be kept as one value."""
    return len(values) > 1 or (bool(values) and isinstance(values[0], list | dict))


def names_in(rows: pa.Table) -> list[str]:
    """The names of all values inside JSON columns, as a mapping writes them (`name.key.0`)."""
    found: dict[str, None] = {}
    for name in rows.column_names:
        texts = pc.unique(rows[name].cast(pa.string()).slice(0, 1000)).drop_null().to_pylist()
        for text in texts:
            value = parsed(text) if text[:1] in ("{", "[") else None
            if isinstance(value, dict | list):
                found.update(dict.fromkeys(names_inside(name, value)))
    return list(found)

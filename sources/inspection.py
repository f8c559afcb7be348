"""Looks over all records: what of a mapping finds nothing, and what no row would be made of.

One record is one row, so a list that holds more than is mapped would lose values without a word.
A look keeps counts and one example, so that it costs the same for any number of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import holds_any
from common.star_model import Source
from sources.batches import Lines
from sources.json_values import at, names_inside, parsed

_MOST_NAMES = 20

Mapping = dict[str, list[str]]
"""Canonical column -> the file's columns, or values inside them, that make it."""


@dataclass
class Left:
    """Values that no row is made of: in how many records, the first of these, and what is there."""

    what: str
    records: int
    line: int
    size: int = 0

    def add(self, other: Left) -> None:
        """Take another count in."""
        self.records += other.records
        self.line = min(self.line, other.line)
        self.size = max(self.size, other.size)


@dataclass
class Looks:
    """What was seen of a file's records, batch by batch."""

    records: int = 0
    names: set[str] = field(default_factory=set)
    """The mapped names that a record has a value at."""
    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    """What objects hold in which a mapped name has no value."""
    lists: dict[str, Left] = field(default_factory=dict)
    """By mapped name: lists that hold more than is mapped."""
    whole: dict[str, Left] = field(default_factory=dict)
    """By mapped name: lists that a mapping ends at; they are kept as JSON text."""
    objects: dict[str, Left] = field(default_factory=dict)
    """By canonical column: keys that are mapped to an object."""

    def add(self, other: Looks) -> None:
        """Take what was seen of another batch in."""
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

    def lost(self, *, in_sales: bool) -> list[str]:
        """What is told of each list that holds more than is mapped; the first record's is first.

        In a sale that is also a list that a mapping ends at: no measure and no key is one.
        """
        lists = {**self.whole, **self.lists} if in_sales else self.lists
        return [
            f"{name!r} holds up to {left.size} values, {left.what}{_in_all(left)}"
            for name, left in sorted(lists.items(), key=lambda item: item[1].line)
        ]

    def warnings(self, mapping: Mapping, columns: Sequence[str]) -> list[str]:
        """What of a mapping finds nothing, or no single value, in any record."""
        told = []
        for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
            head = name.partition(".")[0]
            if name in columns or head not in columns or not self.records or name in self.names:
                continue
            keys = ", ".join(islice(self.keys.get(head, {}), _MOST_NAMES))
            told.append(
                f"none of the {self.records:,} records has a value at {name!r}, which "
                f"{canonical} is mapped to; {head!r} holds {keys or 'no JSON object'}"
            )
        told += [
            f"{canonical} is mapped to {left.what}{_in_all(left)}"
            for canonical, left in self.objects.items()
        ]
        return told


def _in_all(left: Left) -> str:
    many = "1 record" if left.records == 1 else f"{left.records:,} records, the first"
    return f" ({many} at line or number {left.line})"


@dataclass(frozen=True)
class _Mapped:
    canonical: str
    name: str
    path: list[str]
    is_key: bool


def look(rows: pa.Table, lines: Lines, mapping: Mapping, source: Source) -> Looks:
    """What is seen of a batch of `source`, whose rows have the numbers `lines`."""
    looks = Looks(len(rows))
    by_head: dict[str, list[_Mapped]] = {}
    for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
        is_plain = name in rows.column_names
        head, *path = [name] if is_plain else name.split(".")
        is_document = is_plain and canonical in source.json
        if head in rows.column_names and not is_document:
            own = _Mapped(canonical, name, path, canonical in source.keys)
            by_head.setdefault(head, []).append(own)
    for head, mapped in by_head.items():
        _look_at(looks, head, rows[head], lines, mapped)
    return looks


def _look_at(
    looks: Looks, head: str, column: pa.ChunkedArray, lines: Lines, mapped: list[_Mapped]
) -> None:
    """Look at the distinct values of a column that hold a list, or an object in place of a key."""
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
        _find_values(looks, head, texts, inside)
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
            _count(looks.lists, name, Left(what, records, line, size))
        for name, what, size in _whole(value, [*plain, *inside]):
            _count(looks.whole, name, Left(what, records, line, size))
        for own in (own for own in plain if own.is_key):
            names = ", ".join(islice(names_inside(own.name, value), _MOST_NAMES))
            what = f"{own.name!r}, which is no single value; inside it there are {names}"
            _count(looks.objects, own.canonical, Left(what, records, line))


def _distinct(column: pa.ChunkedArray) -> tuple[pa.Array, Lines]:
    """The distinct values of a column, and which of them each row has; rows without one are out of
    range.
    """
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    texts = encoded.dictionary
    indices: Lines = pc.fill_null(encoded.indices.cast(pa.int64()), len(texts)).to_numpy()
    return texts, indices


def _count(found: dict[str, Left], name: str, left: Left) -> None:
    if name in found:
        found[name].add(left)
    else:
        found[name] = left


def _find_values(looks: Looks, head: str, texts: pa.Array, inside: list[_Mapped]) -> None:
    """Note which mapped names a value is at; as soon as there is one for each, no more is read."""
    wanted = {own.name: own.path for own in inside}
    for text in texts:
        if not wanted:
            return
        value = parsed(text.as_py() or "")
        for name in [name for name, path in wanted.items() if at(value, path) is not None]:
            looks.names.add(name)
            del wanted[name]
        if wanted and isinstance(value, dict):
            looks.keys.setdefault(head, {}).update(islice(dict.fromkeys(value).items(), 20))


def _unmapped_list_values(
    head: str, value: Any, inside: Iterable[_Mapped]
) -> list[tuple[str, str, int]]:
    """Lists that hold values at other places than those that are mapped: name, what is wrong, and
    how many values there are.
    """
    mapped: dict[tuple[str, ...], set[int]] = {}
    for own in inside:
        for depth, step in enumerate(own.path):
            if step.isdecimal():
                mapped.setdefault(tuple(own.path[:depth]), set()).add(int(step))
    told = []
    for path, places in mapped.items():
        found = at(value, list(path))
        values = found if isinstance(found, list) else []
        held = {number for number, one in enumerate(values) if one is not None}
        if held - places:
            name = ".".join([head, *path])
            told.append((name, f"of which {len(places)} are mapped", len(held)))
    return told


def _unnumbered(head: str, value: Any, inside: Iterable[_Mapped]) -> list[tuple[str, str, int]]:
    """Lists that a mapping goes through without saying which element is meant."""
    told = []
    for own in inside:
        for depth, step in enumerate(own.path):
            found = at(value, own.path[:depth])
            if isinstance(found, list) and found and not step.isdecimal():
                name = ".".join([head, *own.path[:depth]])
                why = f"of which none is mapped: {own.name!r} names no place among them"
                told.append((name, why, len(found)))
                break
    return told


def _whole(value: Any, mapped: Iterable[_Mapped]) -> list[tuple[str, str, int]]:
    """Lists of several values that a mapping ends at."""
    told = []
    for own in mapped:
        found = at(value, own.path)
        if isinstance(found, list) and _is_many(found):
            why = f"of which none is mapped: {own.canonical} is one value"
            told.append((own.name, why, len(found)))
    return told


def _is_many(values: list[Any]) -> bool:
    """Whether a list is more than one plain value in brackets."""
    return len(values) > 1 or (bool(values) and isinstance(values[0], list | dict))


def names_in(rows: pa.Table) -> list[str]:
    """The names of all values inside JSON columns, as a mapping reaches them."""
    found: dict[str, None] = {}
    for name in rows.column_names:
        texts = pc.unique(rows[name].cast(pa.string()).slice(0, 1000)).drop_null().to_pylist()
        for text in texts:
            value = parsed(text) if text[:1] in ("{", "[") else None
            if isinstance(value, dict | list):
                found.update(dict.fromkeys(names_inside(name, value)))
    return list(found)

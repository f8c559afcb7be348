"""Doubt that a source's mapped key is a key: when too many rows have the key of a later row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import decoded, whole
from common.column_rules import COUNTED
from common.results import PLACE, ROW_BITS

SHARE = 0.01
"""The share of rows superseded by different ones above which the key is doubted."""
KEYS, ROWS = 1000, 5000
"""The most keys and rows that are searched for a better key."""
_COLUMNS = 12
"""The most columns that are tried in pairs."""
_LIKELY = re.compile(
    r"line|item|pos|seq|row|sku|product|article|variant|number|\bnr\b|\bno\b|id", re.I
)
_UNLIKELY = re.compile(
    r"price|amount|total|quantity|qty|discount|rate|tax|date|time|created|paid|updated|^_", re.I
)


def is_doubtful(conflicts: int, rows: int) -> bool:
    """Whether so many of a source's rows lose to a later row with other content that its key may
    be none.
    """
    return conflicts > SHARE * rows


def contested_keys(rows: pa.Table, key: str, lost: npt.NDArray[np.int64]) -> pa.Array:
    """The first distinct keys of the rows with the numbers `lost` of a cleaned batch."""
    chosen = np.isin(rows[PLACE].to_numpy() & ROW_BITS, lost)
    return pc.unique(decoded(whole(rows[key])).filter(pa.array(chosen)))[:KEYS]


def contested_rows(rows: pa.Table, originals: pa.Table, key: str, keys: pa.Array) -> pa.Table:
    """The original rows of a batch that have one of `keys`, as text, with the key as the column
    `_key`. `rows` are the cleaned ones.
    """
    rows = rows.select([key, PLACE])
    rows = rows.filter(pc.is_in(decoded(whole(rows[key])), keys)).slice(0, ROWS)
    at = pa.array(rows[PLACE].to_numpy() & ROW_BITS)
    return _as_text(originals.take(at)).append_column("_key", decoded(whole(rows[key])))


def doubt(
    source: str,
    key: str,
    parts: Sequence[str],
    conflicts: int,
    rows: int,
    contested: pa.Table,
    *,
    of_facts: bool,
) -> str:
    """A warning that `key` may be no key of `source`.

    `parts`: the source's columns that make the key. `conflicts`: how many of its `rows` lose.
    `contested`: rows of `contested_rows`, of all batches. `of_facts`: whether they are sales.
    """
    better = _better(contested)
    advice = "which columns of a row make it unique?"
    if of_facts:
        counted = json.dumps({key: [*parts, COUNTED]}, ensure_ascii=False)
        advice += (
            f" If none do, since a row is a line of an order that they name, {COUNTED!r} counts "
            f"its lines: {source.upper()}__COLUMNS={counted!r}"
        )
    if better:
        columns = json.dumps({key: [*parts, *better]}, ensure_ascii=False)
        advice = (
            f"with {' and '.join(map(repr, better))} it would be one, as far as these rows tell: "
            f"have {source.upper()}__COLUMNS map it so: {columns}"
        )
    return (
        f"{source}: {conflicts:,} of {rows:,} rows ({conflicts / rows:.1%}) lose to a later row "
        f"with the same {key}: it may be no key; {advice}"
    )


def _as_text(rows: pa.Table) -> pa.Table:
    own = [name for name in rows.column_names if not name.startswith("_")]
    return pa.table([rows[name].cast(pa.string()) for name in own], own)


def _better(rows: pa.Table) -> list[str]:
    """One or two columns that together with the key make every different row unique; or []."""
    unique = list(dict.fromkeys(zip(*(column.to_pylist() for column in rows.columns), strict=True)))
    by_name = dict(zip(rows.column_names, zip(*unique, strict=True), strict=True)) if unique else {}
    keys = by_name.pop("_key", ())
    for names in _candidates(by_name):
        values = zip(keys, *(by_name[name] for name in names), strict=True)
        is_full = all(all(by_name[name]) for name in names)  # a blank part makes a key blank
        if is_full and len(set(values)) == len(unique):
            return list(names)
    return []


def _candidates(columns: Mapping[str, Sequence[object]]) -> Iterator[tuple[str, ...]]:
    """Single columns, then pairs; names that sound like part of a key come first."""
    names = [name for name in columns if not _UNLIKELY.search(name)]
    names.sort(key=lambda name: not _LIKELY.search(name))
    yield from ((name,) for name in names)
    yield from combinations(names[:_COLUMNS], 2)

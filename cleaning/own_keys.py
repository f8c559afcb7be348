"""Doubt that a source's mapped key is a key: when too many rows have the key of a later row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.duplicates import BATCH_BITS
from common.arrays import decoded, whole
from common.results import PLACE

SHARE = 0.01
"""The share of rows superseded by different ones above which the key is doubted."""
_KEYS, _ROWS = 1000, 5000
"""The most keys and rows that are searched for a better key."""
_COLUMNS = 12
"""The most columns that are tried in pairs."""
_LIKELY = re.compile(
    r"line|item|pos|seq|row|sku|product|article|variant|number|\bnr\b|\bno\b|id", re.I
)
_UNLIKELY = re.compile(
    r"price|amount|total|quantity|qty|discount|rate|tax|date|time|created|paid|updated|^_", re.I
)


def doubt(
    source: str,
    key: str,
    parts: Sequence[str],
    rows: int,
    lost: Mapping[int, npt.NDArray[np.int64]],
    prepared: Sequence[Callable[[], pa.Table]],
    originals: Callable[[int], pa.Table],
) -> str:
    """A warning that `key` may be no key of `source`; '' where there is no doubt.

    `parts`: the source's columns that make the key. `rows`: how many rows the source has. `lost`:
    by batch, the numbers of the rows that a row with the same key and other content superseded.
    `prepared`: calls that read the cleaned batches; `originals` reads a batch as it was extracted.
    """
    count = sum(map(len, lost.values()))
    if count <= SHARE * rows:
        return ""
    contested = _contested(key, lost, prepared, originals)
    better = _better(contested)
    advice = "which columns of a row make it unique?"
    if better:
        columns = json.dumps({key: [*parts, *better]}, ensure_ascii=False)
        advice = (
            f"with {' and '.join(map(repr, better))} it would be one, as far as these rows tell: "
            f"have {source.upper()}__COLUMNS map it so: {columns}"
        )
    return (
        f"{source}: {count:,} of {rows:,} rows ({count / rows:.1%}) lose to a later row with the "
        f"same {key}: it may be no key; {advice}"
    )


def _contested(
    key: str,
    lost: Mapping[int, npt.NDArray[np.int64]],
    prepared: Sequence[Callable[[], pa.Table]],
    originals: Callable[[int], pa.Table],
) -> pa.Table:
    """Original rows whose key occurs more than once, with the key as the column `_key`."""
    mask = (1 << BATCH_BITS) - 1
    keys = pa.array([], pa.string())
    for number, at in lost.items():
        rows = prepared[number]()
        chosen = np.isin(rows[PLACE].to_numpy() & mask, at)
        keys = pc.unique(
            pa.concat_arrays([keys, decoded(whole(rows[key])).filter(pa.array(chosen))])
        )
        if len(keys) >= _KEYS:
            break
    found, count = [], 0
    for number, read in enumerate(prepared):
        rows = read().select([key, PLACE])
        rows = rows.filter(pc.is_in(decoded(whole(rows[key])), keys[:_KEYS])).slice(
            0, _ROWS - count
        )
        at = pa.array(rows[PLACE].to_numpy() & mask)
        found.append(
            _as_text(originals(number).take(at)).append_column("_key", decoded(whole(rows[key])))
        )
        count += len(rows)
    return pa.concat_tables(found, promote_options="default")


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

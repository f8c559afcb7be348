"""Lists and objects in the cells of a table, as typed files have them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from proposal.json_records import exploded, flat, lists_inside
from proposal.tables import Found
from sources.json_values import parsed

_MOST = 30_000


def with_lists(found: Found) -> list[Found]:
    """The table with the values inside its objects, and the tables of the lists in its cells."""
    names = [name for name in found.rows.column_names if _is_nested(found.rows[name])]
    if not names:
        return [found]
    rows = _records(found.rows.slice(0, _MOST), names)
    inside = [_table(found, exploded(rows, path), path) for path in lists_inside(rows)]
    return [_table(found, rows, ""), *inside]


def _is_nested(column: pa.ChunkedArray) -> bool:
    """Whether cells are objects or lists of them, written as JSON."""
    some = [text for text in column.slice(0, 200).to_pylist() if text]
    return bool(some) and all(text[:1] in "{[" and text[-1:] in "}]" for text in some)


def _records(table: pa.Table, nested: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name in nested:
            if row[name]:
                row[name] = parsed(row[name])
    return rows


def _table(found: Found, rows: list[dict[str, Any]], path: str) -> Found:
    columns = flat(rows)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    settings = {**found.settings, "explode": path} if path else dict(found.settings)
    is_whole = found.is_whole and len(found.rows) <= _MOST
    return replace(found, rows=table, settings=settings, elements=path, is_whole=is_whole)

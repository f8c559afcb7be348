"""The lists of records in a JSON document, and their values as columns of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.values import as_text, json_number

_DEPTH = 4
_MOST = 60_000
"""So many records are looked at."""


@dataclass
class Records:
    """A list of records: where it is in a document, and the records."""

    path: str
    """The path to it in the document; '' where the document is the list, or has one a line."""
    rows: list[dict[str, Any]]
    is_whole: bool = True
    counts: list[int] = field(default_factory=list)


def records_in(text: str, *, is_whole: bool) -> list[Records]:
    """The lists of records in a text, of which the end may be missing."""
    values, complete = _values(text, is_whole=is_whole)
    if len(values) == 1 and isinstance(values[0], dict):
        found = list(_lists(values[0], ""))
        inner = [r for r in found if len(r.rows) > 1 or len(found) == 1]
        if inner and not _is_record(values[0], inner):
            return [Records(r.path, r.rows[:_MOST], complete) for r in inner]
    rows: list[dict[str, Any]] = []
    for value in values:
        rows += [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
        rows += [value] if isinstance(value, dict) else []
    return [Records("", rows[:_MOST], complete and len(rows) <= _MOST)] if rows else []


def _is_record(document: dict[str, Any], inner: Sequence[Records]) -> bool:
    """Whether a document of one object is an order by itself, and its list the lines of it."""
    plain = [v for v in document.values() if not isinstance(v, dict | list)]
    return len(plain) > 4 and len(inner) == 1 and len(inner[0].rows) < 3


def _lists(value: Any, path: str, depth: int = 0) -> Iterator[Records]:
    """The lists of objects in a document, but not those inside records."""
    if depth > _DEPTH or not isinstance(value, dict):
        return
    for key, inner in value.items():
        own = f"{path}.{key}" if path else key
        if isinstance(inner, list):
            rows = [row for row in inner if isinstance(row, dict)]
            if rows and len(rows) >= 0.9 * len(inner):
                yield Records(own, rows)
        else:
            yield from _lists(inner, own, depth + 1)


def _values(text: str, *, is_whole: bool) -> tuple[list[Any], bool]:
    """The JSON values of a text, one after the other; and whether all could be read."""
    decoder = json.JSONDecoder(parse_float=json_number)
    values: list[Any] = []
    at = _next(text, 0)
    while at < len(text) and len(values) < _MOST:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            if not is_whole and not values:
                return _cut(text[at:], decoder), False
            line = text.find("\n", at)
            if line < 0:
                return values, is_whole
            at = _next(text, line)
            continue
        values.append(value)
        at = _next(text, at)
    return values, is_whole and at >= len(text)


def _next(text: str, at: int) -> int:
    """Where the next value begins: commas, space and control marks stand between values."""
    while at < len(text) and text[at] in " \t\r\n,\x1e\ufeff":
        at += 1
    return at


def _cut(text: str, decoder: json.JSONDecoder) -> list[Any]:
    """The value of a text whose end is missing, as far as its lists are complete."""
    stack, last, closing = [], -1, ""
    in_text = escaped = False
    for at, char in enumerate(text):
        if in_text:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_text = False
        elif char == '"':
            in_text = True
        elif char in "[{":
            stack.append("]" if char == "[" else "}")
        elif char in "]}":
            if stack:
                stack.pop()
        elif char == "," and stack and stack[-1] == "]" and text[at - 1 : at] == "}":
            last, closing = at, "".join(reversed(stack))
    if last < 0:
        return []
    try:
        return [decoder.decode(text[:last] + closing)]
    except ValueError:
        return []


def flat(rows: Sequence[dict[str, Any]], skip: str = "") -> dict[str, list[str | None]]:
    """The values of records as columns of text; those inside objects by their path.

    `skip` is a list that is left out. A list of plain values is one text.
    """
    columns: dict[str, list[str | None]] = {}
    for number, row in enumerate(rows):
        for name, value in _leaves(row, "", 0):
            if name == skip or (name.startswith(f"{skip}.") and skip):
                continue
            column = columns.setdefault(name, [None] * number)
            if len(column) == number:
                column.append(as_text(value))
        for column in columns.values():
            if len(column) == number:
                column.append(None)
    return columns


def _leaves(row: dict[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        own = f"{path}.{key}" if path else key
        if isinstance(value, dict) and depth < _DEPTH:
            yield own, value
            yield from _leaves(value, own, depth + 1)
        else:
            yield own, value


def lists_inside(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The paths of lists of objects inside records, each with how many elements they have."""
    found: dict[str, int] = {}
    for row in rows[:2000]:
        for name, value in _leaves(row, "", 0):
            is_list = isinstance(value, list) and value and isinstance(value[0], dict)
            if is_list:
                found[name] = found.get(name, 0) + len(value)
    return found


def exploded(rows: Sequence[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """A record for each element of the list at `path`: the parent's values, and the element's
    under the name of the list.
    """
    steps = path.split(".")
    found = []
    for row in rows:
        value: Any = row
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        for element in value if isinstance(value, list) else []:
            if isinstance(element, dict):
                found.append(_with_element(row, steps, element))
            if len(found) >= _MOST:
                return found
    return found


def _with_element(
    row: dict[str, Any], steps: Sequence[str], element: dict[str, Any]
) -> dict[str, Any]:
    """A record with one element in place of its list."""
    if not steps:
        return element
    head, *rest = steps
    inner = row.get(head)
    below = _with_element(inner if isinstance(inner, dict) else {}, rest, element)
    return {**row, head: below}

"""Values inside JSON text, as a column of any source may hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator
from typing import Any

from common.values import MAX_DETAIL, as_text, json_number, to_json, unreadable


def parsed(text: str) -> Any:
    """The value of a JSON text, numbers with all their digits; None for any other text."""
    try:
        return json.loads(text, parse_float=json_number, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs) and not all(same(value[key], other) for key, other in pairs):
        raise ValueError("a key appears twice with different values")
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values of one key are equal, so that either may be taken."""
    return one is other or to_json(one) == to_json(other)


def at(value: Any, path: list[str]) -> Any:
    """The value at a path of keys and list positions inside `value`; None when there is none."""
    for step in path:
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def text_at(text: str, path: list[str], written: Callable[[Any], str | None]) -> str | None:
    """The value at a path inside a JSON text, turned into text by `written`; None if there is none.

    It is unreadable when the text is no JSON, or when the path leads through a plain value.
    """
    if not text.strip():
        return None
    value = parsed(text)
    if value is None and text.strip() != "null":
        return unreadable(text[:MAX_DETAIL])
    for step in path:
        if value is None or value in ("", [], {}):
            return None
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return unreadable((as_text(value) or "")[:MAX_DETAIL])
    return written(value)


def names_inside(name: str, value: Any) -> Iterator[str]:
    """The names of all plain values inside `value`, as a mapping writes them (`name.key.0`).

    Of a list only the first element is named.
    """
    if isinstance(value, list):
        value = dict(enumerate(value[:1]))
    if not isinstance(value, dict):
        yield name
        return
    for key, inner in value.items():
        yield from names_inside(f"{name}.{key}", inner)


def head_and_path(name: str, columns: Container[str]) -> tuple[str, list[str]]:
    """The column that a name begins with, and the path inside it: the longest name in `columns`,
    or else what is before the first dot. A column may have dots in its name itself.
    """
    parts = name.split(".")
    for count in range(len(parts), 1, -1):
        head = ".".join(parts[:count])
        if head in columns:
            return head, parts[count:]
    return parts[0], parts[1:]

"""What the value of a setting may be in `star.toml`, as JSON Schema: told by its type.

Editors complete and check `star.toml` by the same (`docs/star.schema.json`).
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_TEXT = {"type": "string"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, Decimal),
    "array": (list,),
    "object": (dict,),
}
_WANTED = {
    "string": "a text in quotes",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a table",
}
_NAMED = {**_WANTED, "string": "a text", "boolean": "true or false"}
_OFTEN_A_NUMBER = ("sheet", "lag")
"""Texts that people write as a number: the second sheet, a lag of three units."""
_RULE: dict[str, Any] = {
    "anyOf": [
        _TEXT,
        {"type": "array", "items": {"type": ["string", "object"]}, "minItems": 1},
        {"type": "object"},
    ]
}


def kind_of(name: str, field: FieldInfo) -> dict[str, Any]:
    """The JSON Schema of a setting's values; `name` in lower case."""
    kind = _kind_of_type(field.annotation)
    for limit in field.metadata:
        limits = {"minimum": getattr(limit, "ge", None), "maximum": getattr(limit, "le", None)}
        kind |= {keyword: value for keyword, value in limits.items() if value is not None}
    if name == "columns":
        kind["additionalProperties"] = _RULE
    if name in _OFTEN_A_NUMBER:
        kind["type"] = ["string", "integer"]
    return {**kind, "description": field.description or ""}


def _kind_of_type(annotation: Any) -> dict[str, Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, Union):
        return _kind_of_type(next(part for part in inner if part is not types.NoneType))
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is list:
        items = _kind_of_type(inner[0])
        return {"type": ["array", *(["string"] if items == _TEXT else [])], "items": items}
    if origin is tuple:
        return {"type": ["array", "string"]}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return {
            "type": "object",
            "properties": {name: _kind_of_type(part.annotation) for name, part in fields.items()},
            "required": list(fields),
            "additionalProperties": False,
        }
    plain: dict[Any, str] = {bool: "boolean", int: "integer", Decimal: "number"}
    return {"type": plain.get(annotation, "object" if origin is dict else "string")}


def fault(value: object, kind: Mapping[str, Any]) -> str:
    """What is wrong with the type of a value, in words that follow the setting; or nothing."""
    names = list(_types(kind))
    if not any(_is(value, name) for name in names):
        return f"is {_named(value)}; write {' or '.join(_WANTED[name] for name in names)}"
    wanted = kind.get("items", {}).get("type")
    if isinstance(value, list) and isinstance(wanted, str):
        for number, item in enumerate(value, 1):
            if not _is(item, wanted):
                return f"has {_named(item)} as number {number} of its list; write {_WANTED[wanted]}"
    return ""


def plain(value: Any, kind: Mapping[str, Any]) -> Any:
    """A value as the settings take it: a text that was written as a number is one again, and one
    text in place of a list is a list.
    """
    if "string" not in _types(kind):
        return value
    if isinstance(value, str) and isinstance(kind.get("items"), dict):
        return [value]
    return str(value) if isinstance(value, int) else value


def _types(kind: Mapping[str, Any]) -> Iterator[str]:
    names = kind["type"]
    yield from [names] if isinstance(names, str) else names


def _is(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _named(value: object) -> str:
    """What a value is, without what it says."""
    for name, words in _NAMED.items():
        if _is(value, name):
            return words
    return "a date or time"

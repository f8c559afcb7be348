"""Any Python value as the text that a CSV file would hold, and a mark for unreadable values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa

UNREADABLE = "\ufdd0"
"""Marks the text of a typed cell without a readable value, such as an Excel error; what the cell
shows follows it. U+FDD0 is a Unicode noncharacter, which text must not contain: no cleaning rule
can read such a text, and none takes it for a missing value.
"""
MAX_DETAIL = 500
"""The longest detail of a reject, in characters."""


def as_text(value: Any) -> str | None:  # noqa: PLR0911  # one line per type
    """A value as the text a CSV file would hold: exact numbers, ISO 8601 dates, nested values as
    JSON, None for None.

    Whole floats lose their `.0`, because an integer column with gaps arrives as float. Characters
    that no database stores become NUL, for which the row is rejected (`invalid_text`).
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.isascii() else storable(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else str(value)  # which no rule reads as a number
        value = Decimal(int(value)) if value == int(value) else Decimal(repr(float(value)))
    if isinstance(value, Decimal):
        # A number with a huge exponent keeps it, and is rejected as a number later.
        return format(value, "f") if abs(value.adjusted()) < 40 else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return storable(to_json(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return storable(bytes(value).decode(errors="surrogateescape"))
    if isinstance(value, set | frozenset):  # in the same order every time
        return storable(",".join(sorted(map(str, value))))
    return storable(str(value))


def key_text(value: Any) -> str | None:
    """`as_text` for a key: a whole number of any type has no decimals, and bytes are hexadecimal
    digits in capitals, even where they happen to be letters.

    A float beyond 2^53 may have lost digits of the key, so it is unreadable.
    """
    if isinstance(value, bytes | memoryview):  # SQLite's text comes as bytearray: file_databases
        return value.hex().upper()
    if isinstance(value, float | np.floating) and not abs(float(value)) <= _EXACT_FLOAT:
        return unreadable(repr(float(value)))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = value.to_integral_value() if value.adjusted() < 40 else value
    return as_text(value)


_EXACT_FLOAT = 1 << 53


def unreadable(content: str) -> str:
    """The text for a typed cell without a readable value; `content` is what people see in it."""
    return UNREADABLE + content


def comma_text(value: Any) -> str | None:
    """`as_text`, with a decimal comma in floats and Decimals."""
    text = as_text(value)
    is_number = isinstance(value, float | Decimal | np.floating)
    return text.replace(".", ",") if text and is_number else text


def text_array(values: Sequence[Any], text: Callable[[Any], str | None] = as_text) -> pa.Array:
    """Values as an Arrow array of text; `text` converts those that are not text yet."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeError):
        return pa.array([text(value) for value in values], pa.string())


def storable(text: str) -> str:
    """`text` with NUL in place of lone surrogates; a row with a NUL is rejected."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\0" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def json_number(text: str) -> Decimal | str:
    """A JSON number with all its digits; as text when the exponent is too large for Decimal."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def to_json(value: Any) -> str:
    """Canonical JSON text: sorted keys, no spaces, numbers with the digits they came with."""
    if isinstance(value, dict):
        inner = ",".join(f"{to_json(str(key))}:{to_json(value[key])}" for key in sorted(value))
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(to_json, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=as_text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters."""
    return str(error).partition("\n")[0][:200]

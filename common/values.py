"""Any value as the text that a CSV file would hold, and what stands for one that cannot be read."""

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
"""Begins the text of a typed cell that holds no value that can be read, such as an Excel error;
what the cell shows follows. It is one of the code points that no text may hold, so every rule finds
it unreadable, and none takes it for missing.
"""
MAX_DETAIL = 500
"""Characters of a refused record that go into the reject's detail."""


def as_text(value: Any) -> str | None:  # noqa: PLR0911  # one line per type
    """A value as the text a CSV file would hold: exact numbers, ISO dates, nested values as JSON.

    Whole floats lose their `.0`: an integer column with gaps arrives as float. What no database
    takes as text becomes NUL, so that the row is `invalid_text`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if value.isascii() else storable(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else str(value)  # a value that no rule accepts
        value = Decimal(int(value)) if value == int(value) else Decimal(repr(float(value)))
    if isinstance(value, Decimal):
        # An absurd exponent stays as it is, and is refused as a number later.
        return format(value, "f") if abs(value.adjusted()) < 40 else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return storable(to_json(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return storable(bytes(value).decode(errors="surrogateescape"))
    if isinstance(value, set | frozenset):  # in an order that stays
        return storable(",".join(sorted(map(str, value))))
    return storable(str(value))


def key_text(value: Any) -> str | None:
    """`as_text` for a key: a whole number is written without decimals, however it is stored, and
    bytes are written as hexadecimal digits, whether or not they happen to be letters.

    A float beyond 2^53 has lost digits, and the ones it would be written with stand nowhere: it is
    unreadable.
    """
    if isinstance(value, bytes | memoryview):  # a bytearray is text, see `file_databases`
        return value.hex().upper()
    if isinstance(value, float | np.floating) and not abs(float(value)) <= _EXACT_FLOAT:
        return unreadable(repr(float(value)))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = value.to_integral_value() if value.adjusted() < 40 else value
    return as_text(value)


_EXACT_FLOAT = 1 << 53


def unreadable(shown: str) -> str:
    """The text for a typed cell that shows `shown` and holds no value that can be read."""
    return UNREADABLE + shown


def comma_text(value: Any) -> str | None:
    """`as_text`, with a decimal comma in what is a number already."""
    text = as_text(value)
    is_number = isinstance(value, float | Decimal | np.floating)
    return text.replace(".", ",") if text and is_number else text


def text_array(values: Sequence[Any], text: Callable[[Any], str | None] = as_text) -> pa.Array:
    """Values as text. Most columns are text already, and taken as a whole."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeError):
        return pa.array([text(value) for value in values], pa.string())


def storable(text: str) -> str:
    """`text` with NUL, which rows are refused for, instead of lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\0" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def json_number(text: str) -> Decimal | str:
    """A JSON number as it was written; as text when its exponent is beyond all measure."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def to_json(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, numbers as they were written."""
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
    """The first line of what an error says, as far as a message has room for it."""
    return str(error).partition("\n")[0][:200]

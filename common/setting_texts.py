"""Settings whose text is a list, a mapping or a period. What cannot be read raises ValueError."""

from __future__ import annotations

import json
import re
from datetime import date, datetime

from common.column_rules import column_rule

Moment = date | datetime | int
"""What a run may be told to begin at: a day, a moment, or a number that only grows."""


def parse_list(value: object) -> object:
    """A JSON list, or one plain value."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [value]
    return parse_json(value)


def parse_json(value: object) -> object:
    """What a JSON text holds."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON: {error.msg} at position {error.pos}") from None


def parse_columns(value: object) -> object:
    """Each column of ours with what makes it: see `column_rule`."""
    value = parse_json(value)
    if not isinstance(value, dict):
        raise ValueError('is no JSON object such as {"customer_id": "their column"}')
    for ours, theirs in value.items():
        try:
            column_rule(theirs)
        except ValueError:
            raise ValueError(
                f'maps "{ours}" neither to a column\'s name nor to a list of them, nor to '
                '{"any": [names]} or {"value": "text"}'
            ) from None
    return value


def parse_numbers(value: object) -> object:
    """A JSON list of whole numbers above 0."""
    value = parse_json(value)
    is_list = isinstance(value, list) and all(type(part) is int and part > 0 for part in value)
    if not is_list:
        raise ValueError("is no JSON list of widths such as [10, 8, 12]")
    return value


def parse_skips(value: object) -> object:
    """Each of the source's columns with the texts that it may have in rows that are skipped."""
    value = parse_json(value)
    if not isinstance(value, dict):
        raise ValueError('is no JSON object such as {"Status": ["voided"]}')
    texts = {}
    for column, given in value.items():
        cells = given if isinstance(given, list) else [given]
        if not cells or not all(cell is None or isinstance(cell, str | int) for cell in cells):
            raise ValueError(f'gives "{column}" neither a text nor a list of texts')
        texts[column] = [_as_text(cell) for cell in cells]
    return texts


def _as_text(cell: str | int | None) -> str:
    """A value of JSON as the readers write it."""
    return "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)


def parse_period(value: object) -> object:
    """Two ISO dates: a JSON list, or with a slash, a comma or space between them."""
    if isinstance(value, str):
        parsed = (
            parse_json(value) if value.lstrip().startswith("[") else re.split(r"[/,\s]+", value)
        )
        value = parsed if isinstance(parsed, list) else [parsed]
    if isinstance(value, list):
        try:
            value = tuple(d if isinstance(d, date) else date.fromisoformat(d) for d in value)
        except (TypeError, ValueError):
            value = ()
    if not isinstance(value, tuple | None) or (value is not None and len(value) != 2):
        raise ValueError('is no first and last date such as ["2026-01-01", "2026-01-31"]')
    if value is not None and value[0] > value[1]:
        raise ValueError("ends before it begins")
    return value


def parse_moment(value: object) -> Moment | None:
    """An ISO date, an ISO timestamp, or an integer."""
    if value is None or (isinstance(value, date | int) and not isinstance(value, bool)):
        return value
    text = str(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)
        return date.fromisoformat(text) if is_day else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no ISO date such as 2026-01-31, ISO timestamp, or integer"
        ) from None


def parse_span(first: object, last: object) -> tuple[date, date] | None:
    """The dates of two options as a period; None where neither is given."""
    if first is None and last is None:
        return None
    days = [parse_moment(first), parse_moment(last)]
    if any(type(day) is not date for day in days):
        raise ValueError("a period needs both, as dates such as 2026-01-31")
    period: tuple[date, date] = parse_period(days)  # type: ignore[assignment]
    return period

"""`:since` in a query: where it stands, and what it may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from common.setting_texts import Moment

TABLE_NAME = re.compile(r"""(?:(\w+|"(?:[^"]|"")+")\.)?(\w+|"(?:[^"]|"")+")""")
"""A query that is the name of a table, with its schema or without."""
_PLAIN = r"'[^']*' | \"[^\"]*\""
_WITH_BACKSLASHES = r"'(?:\\.|[^'\\])*' | \"(?:\\.|[^\"\\])*\" | `[^`]*`"
_COMMENTS = r"--[^\n]* | /\*.*?\*/"
_MYSQL = rf"{_WITH_BACKSLASHES} | --(?=\s)[^\n]* | \#[^\n]* | /\*.*?\*/"
_QUOTES = {
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": rf"{_PLAIN} | `[^`]*` | \[[^]]*\] | {_COMMENTS}",
    "mssql": rf"{_PLAIN} | \[[^]]*\] | {_COMMENTS}",
}
"""By engine: literals, quoted names and comments."""
_OTHERS = rf"\b[eE]'(?:\\.|[^'\\])*' | {_PLAIN} | \$(\w*)\$.*?\$\2\$ | {_COMMENTS}"


_SINCE = r"(?<![:\w]):since\b"


@cache
def _pattern(backend: str, wanted: str) -> re.Pattern[str]:
    """Finds what is wanted, as its first group, and all in which that would be something else."""
    quoted = _QUOTES.get(backend, _OTHERS)
    return re.compile(rf"({wanted}) | {quoted}", re.VERBOSE | re.DOTALL)


def split_at_since(query: str, backend: str) -> list[str]:
    """The pieces of a query between its `:since`; those in literals, quoted names and comments
    are none, nor is the type in `::since`.
    """
    pieces, done = [], 0
    for found in _pattern(backend, _SINCE).finditer(query):
        if found[1]:
            pieces.append(query[done : found.start()])
            done = found.end()
    return [*pieces, query[done:]]


def has_since(query: str, backend: str) -> bool:
    """Whether the query asks for rows since a moment."""
    return len(split_at_since(query, backend)) > 1


def without_end(query: str, backend: str) -> str:
    """A single query without the semicolon at its end, and in lines of its own."""
    quoted = _pattern(backend, ";")
    end = next((found.start() for found in quoted.finditer(query) if found[1]), len(query))
    return f"{query[:end]}\n"


@dataclass(frozen=True)
class Start:
    """Where a run begins to read an incremental source: at `value`, or why it cannot. `notes` are
    what people should know about it.
    """

    value: Moment | None
    problem: str = ""
    notes: tuple[str, ...] = ()


def kind_of(value: Moment) -> str:
    """What kind of value it is, in a word."""
    if isinstance(value, int):
        return "integer"
    return "timestamp" if isinstance(value, datetime) else "date"


def parse_lag(text: str) -> tuple[int, str]:
    """How many of which unit; the unit is 'days', 'hours' or 'units'."""
    found = re.fullmatch(r"([0-9]{1,9})\s*(day|hour|unit)?s?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError("is no lag such as '2 days', '36 hours', or a number of units")
    return int(found[1]), f"{(found[2] or 'unit').lower()}s"


def less(value: Moment, lag: str) -> Moment:
    """A value less the lag. Raises ValueError when its unit does not fit the kind of value."""
    number, unit = parse_lag(lag)
    fitting = _FITTING[kind_of(value)]
    if number and unit not in fitting:
        raise ValueError(
            f"does not fit, as the values are {kind_of(value)}s; give it in {' or '.join(fitting)}"
        )
    if isinstance(value, int):
        return value - number
    try:
        return value - timedelta(**({unit: number} if number else {}))
    except OverflowError:
        raise ValueError("reaches back beyond the calendar") from None


_FITTING = {"integer": ["units"], "date": ["days"], "timestamp": ["days", "hours"]}

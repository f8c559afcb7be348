"""`:since` in a query: where it stands, and what it may be."""

from __future__ import annotations

import re
from functools import cache

TABLE_NAME = re.compile(r"""(?:(\w+|"(?:[^"]|"")+")\.)?(\w+|"(?:[^"]|"")+")""")
"""A query that is the name of a table, with its schema or without."""
_PLAIN = r"'[^']*' | \"[^\"]*\""
_WITH_BACKSLASHES = r"'(?:\\.|[^'\\])*' | \"(?:\\.|[^\"\\])*\" | `[^`]*`"
_COMMENTS = r"--[^\n]* | /\*.*?\*/"
_QUOTES = {
    "mysql": rf"{_WITH_BACKSLASHES} | {_COMMENTS} | \#[^\n]*",
    "mariadb": rf"{_WITH_BACKSLASHES} | {_COMMENTS} | \#[^\n]*",
    "sqlite": rf"{_PLAIN} | `[^`]*` | \[[^]]*\] | {_COMMENTS}",
    "mssql": rf"{_PLAIN} | \[[^]]*\] | {_COMMENTS}",
}
"""By engine: literals, quoted names and comments."""
_OTHERS = rf"\b[eE]'(?:\\.|[^'\\])*' | {_PLAIN} | \$(\w*)\$.*?\$\2\$ | {_COMMENTS}"


@cache
def _pattern(backend: str) -> re.Pattern[str]:
    quoted = _QUOTES.get(backend, _OTHERS)
    return re.compile(rf"(?<![:\w])(:since)\b | {quoted}", re.VERBOSE | re.DOTALL)


def split_at_since(query: str, backend: str) -> list[str]:
    """The pieces of a query between its `:since`; those in literals, quoted names and comments
    are none, nor is the type in `::since`.
    """
    pieces, done = [], 0
    for found in _pattern(backend).finditer(query):
        if found[1]:
            pieces.append(query[done : found.start()])
            done = found.end()
    return [*pieces, query[done:]]


def has_since(query: str, backend: str) -> bool:
    """Whether the query asks for rows since a moment."""
    return len(split_at_since(query, backend)) > 1

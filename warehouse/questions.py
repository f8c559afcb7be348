"""A question in SQL that somebody wrote: one statement, with values bound by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from errors import RequestError

UNBOUND = b"a number of any size"
"""Metadata of a field of an answer whose numbers have come as text: only all of them tell their
scale.
"""
_ALONE = r"(?<![\w$\x80-\U0010ffff])"
"""Not within a name: in `a$b$` and `my€e'x'` begins no text with rules of its own."""
_TOKENS = re.compile(
    rf"""
    (?P<quoted> {_ALONE}[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
              | {_ALONE}\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
  | (?P<remark> --[^\n\r]* | /\* )
  | (?P<end> ; )
  | (?<![:\w\\]) : (?P<name> [^\W\d]\w* ) (?!:)
    """,
    re.VERBOSE | re.DOTALL,
)
_REMARK_ENDS = re.compile(r"/\*|\*/")
_ROWS = re.compile(r"\s*(?:\(\s*)*(SELECT|WITH|FROM|VALUES|TABLE|PIVOT|UNPIVOT)\b", re.IGNORECASE)
_BOUND = bool | int | float | Decimal | str | bytes | date | time | timedelta | UUID | None


@dataclass(frozen=True)
class Question:
    """One statement that only asks, and the values of its `:names`. Without values the text stands
    as it is, so that a colon means nothing in it.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, values: Mapping[str, Any] | None = None) -> Question:
        """The question that `text` is.

        Raises `RequestError` where it is none or several, or where its names and `values` differ.
        """
        parts = [("", " ") if kind == "remark" else (kind, part) for kind, part in _parts(text)]
        ends = [place for place, (kind, _) in enumerate(parts) if kind == "end"]
        first = ends[0] if ends else len(parts)
        if any(kind not in ("end", "") or part.strip() for kind, part in parts[first + 1 :] if
               kind != "end"):  # fmt: skip
            raise RequestError("ask one question at a time: the text has several statements")
        asked = parts[:first]
        if not any(part.strip() for _, part in asked):
            raise RequestError("the question is empty; try: SELECT 1")
        given = dict(values or {})
        if given:
            named = {part for kind, part in asked if kind == "name"}
            _refuse("no value is given for", named - given.keys())
            _refuse("the question does not have", given.keys() - named)
        plain = {name: _plain(name, value) for name, value in given.items()}
        return cls("".join(_written(kind, part) for kind, part in asked).strip(), plain)

    @property
    def is_of_rows(self) -> bool:
        """Whether its answer is a table that another question can be asked of, unlike EXPLAIN."""
        return bool(_ROWS.match(self.text))

    def first(self, rows: int) -> Question:
        """The first `rows` of its answer, if these can be asked for."""
        if not self.is_of_rows:
            return self
        return Question(f"SELECT * FROM (\n{self.text}\n) AS question LIMIT {rows:d}", self.values)

    def text_for(self, place: Callable[[str], str], escape: Callable[[str], str] = str) -> str:
        """The text as a driver takes it: `place` says how it writes the place of a value, `escape`
        what becomes of all else.
        """
        if not self.values:
            return self.text
        return "".join(
            place(part) if kind == "name" else escape(_written(kind, part))
            for kind, part in _parts(self.text)
        )


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """A text in pieces with their kind; a piece of SQL itself has none, a name has no colon."""
    start = 0
    while found := _TOKENS.search(text, start):
        yield "", text[start : found.start()]
        kind = next(k for k in ("quoted", "remark", "end", "name") if found.group(k) is not None)
        start = found.end() if found.group() != "/*" else _remark_end(text, found.start())
        yield kind, found.group("name") or text[found.start() : start]
    yield "", text[start:]


def _remark_end(text: str, start: int) -> int:
    """Where the remark ends that begins at `start`: remarks may have others in them."""
    depth = 0
    for found in _REMARK_ENDS.finditer(text, start):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    raise RequestError("a remark is begun with /* and not ended with */")


def _written(kind: str, part: str) -> str:
    return f":{part}" if kind == "name" else part


def _plain(name: str, value: Any) -> Any:
    """A value as drivers take it: what frames hold, of numpy and pandas, is none of Python's own.

    Raises `RequestError` for what cannot be bound.
    """
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(value, "tolist"):  # a number, an array or a column
        value = value.tolist()
    if isinstance(value, list | tuple):
        plain = [_plain(name, each) for each in value]
        return tuple(plain) if isinstance(value, tuple) else plain
    if not isinstance(value, _BOUND):
        raise RequestError(
            f"the value of :{name} is a {type(value).__name__}, which no question has"
        )
    return value


def _refuse(problem: str, names: set[str]) -> None:
    if names:
        raise RequestError(f"{problem} {', '.join(f':{name}' for name in sorted(names))}")

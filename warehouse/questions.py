"""A question in SQL that somebody wrote: one statement, with values bound by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from errors import RequestError

UNBOUND = b"a number of any size"
"""Metadata of a field of an answer whose numbers have come as text: only all of them tell their
scale.
"""
_TOKENS = re.compile(
    r"""
    (?P<quoted> \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
              | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
  | (?P<remark> --[^\n]* | /\*.*?\*/ )
  | (?P<end> ; )
  | (?<![:\w\\]) : (?P<name> [^\W\d]\w* ) (?!:)
    """,
    re.VERBOSE | re.DOTALL,
)
_ROWS = re.compile(r"\s*(?:\(\s*)*(SELECT|WITH|FROM|VALUES|TABLE)\b", re.IGNORECASE)


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
        parts = [(kind, part) for kind, part in _parts(text) if kind != "remark"]
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
        # `item` makes a number of Python of one of numpy, as frames hold them
        plain = {n: v.item() if isinstance(v, np.generic) else v for n, v in given.items()}
        return cls("".join(_written(kind, part) for kind, part in asked).strip(), plain)

    @property
    def is_of_rows(self) -> bool:
        """Whether its answer is a table that another question can be asked of, unlike EXPLAIN."""
        return bool(_ROWS.match("".join(p for kind, p in _parts(self.text) if kind != "remark")))

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
    for found in _TOKENS.finditer(text):
        yield "", text[start : found.start()]
        kind = next(k for k in ("quoted", "remark", "end", "name") if found.group(k) is not None)
        yield kind, found.group(kind)
        start = found.end()
    yield "", text[start:]


def _written(kind: str, part: str) -> str:
    return f":{part}" if kind == "name" else part


def _refuse(problem: str, names: set[str]) -> None:
    if names:
        raise RequestError(f"{problem} {', '.join(f':{name}' for name in sorted(names))}")

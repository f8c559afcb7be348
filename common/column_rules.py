"""How a column of ours is made of a source's columns, as `<SOURCE>__COLUMNS` says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COUNTED = "#"
"""In place of a column's name: the number of a row among consecutive rows whose other parts of the
key are the same.
"""


@dataclass(frozen=True)
class ColumnRule:
    """What makes a column: the values of some of the source's columns, or one value for all rows.

    `parts` are joined with `-`; each part has the names that its column may have, of which the
    first counts that a file has. With `value` there are no parts.
    """

    parts: tuple[tuple[str, ...], ...] = ()
    value: str | None = None

    @property
    def names(self) -> Iterator[str]:
        """All names of columns that it mentions."""
        return (name for part in self.parts for name in part)


def column_rule(given: Any) -> ColumnRule:
    """The rule that a setting writes as a name, `{"any": names}`, a list of these, or
    `{"value": text}`. Raises ValueError for anything else.
    """
    if isinstance(given, dict) and given.keys() == {"value"}:
        value = given["value"]
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("has a value that is no text")
        return ColumnRule(value=str(value))
    parts = given if isinstance(given, list) else [given]
    if not parts:
        raise ValueError("names no column")
    return ColumnRule(tuple(_names(part) for part in parts))


def _names(part: Any) -> tuple[str, ...]:
    is_choice = isinstance(part, dict) and part.keys() == {"any"}
    names = part["any"] if is_choice else [part]
    is_list = isinstance(names, list) and names
    if not is_list or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("names no column")
    return tuple(names)

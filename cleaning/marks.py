"""Marks that a spreadsheet or a float has left on texts: the texts stay, and a warning counts them.

A cheap test finds the columns that may have a mark; the pattern is then matched once per distinct
value, where a column is dictionary-encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import holds_any, on_values, whole

_EXAMPLES = 3


@dataclass(frozen=True)
class _Mark:
    """One kind of mark."""

    sign: str
    """A character that every text with the mark has: the first test, on the bytes."""
    maybe: Callable[[pa.Array], pa.Array]
    """The second test, on texts; true for every text with the mark, and for some others."""
    pattern: str
    """The pattern of the mark in keys."""
    words: str
    """What the warning says of such texts."""
    in_attributes: str = ""
    """The pattern in other columns; '' where the mark is not looked for there."""


_MARKS = {
    "apostrophe": _Mark(
        "'", lambda v: pc.starts_with(v, "'"), "^'",
        "begin with an apostrophe, by which spreadsheets mark text", "^'[0-9=+-]",
    ),
    "formula": _Mark(
        "=", lambda v: pc.starts_with(v, '="'), '^="',
        'stand in ="…", as spreadsheets mark text', '^="',
    ),
    "zeros": _Mark(
        ".", lambda v: pc.or_(pc.ends_with(v, ".0"), pc.ends_with(v, "00")), r"^-?[0-9]+\.0+$",
        "end in .0, as whole numbers do that were floats on the way",
    ),
    "exponent": _Mark(
        "+", lambda v: pc.match_substring(v, "E+"), r"^[0-9]([.,][0-9]+)?E\+[0-9]{1,2}$",
        "are numbers with an exponent, whose last digits are gone",
    ),
    "error": _Mark(
        "#", lambda v: pc.starts_with(v, "#"), r"^#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!)$",
        "are error cells of a spreadsheet",
    ),
}  # fmt: skip


@dataclass
class Marked:
    """How many rows have which mark, by column and kind, and a few keys with it."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, other: Marked) -> None:
        """Add the counts and examples of another batch."""
        self.rows.update(other.rows)
        for at, keys in other.keys.items():
            known = self.keys.setdefault(at, [])
            known += [key for key in keys if key not in known][: _EXAMPLES - len(known)]

    def warnings(self, source: str, read: int) -> list[str]:
        """One warning per column and kind. Only keys are given as examples, never attributes."""
        found = []
        for (column, kind), count in sorted(self.rows.items()):
            examples = ", ".join(map(repr, self.keys.get((column, kind), [])))
            found.append(
                f"{source}: {column} of {count:,} of {read:,} rows {_MARKS[kind].words}"
                f"{', such as ' if examples else ''}{examples}; they are kept as they are: correct "
                "the source if they are not meant so"
            )
        return found


def marked(rows: pa.Table, columns: Iterable[str], keys: Collection[str]) -> Marked:
    """The marks in `columns` of a batch under canonical names, some of which are `keys`."""
    found = Marked()
    for name in columns:
        is_key, column = name in keys, whole(rows[name])
        for kind, mark in _MARKS.items():
            pattern = mark.pattern if is_key else mark.in_attributes
            if pattern and holds_any(column, mark.sign):
                _look(found, (name, kind), column, mark.maybe, pattern, is_key=is_key)
    return found


def _look(
    found: Marked,
    at: tuple[str, str],
    column: pa.Array,
    quick: Callable[[pa.Array], pa.Array],
    pattern: str,
    *,
    is_key: bool,
) -> None:
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pc.any(quick(values)).as_py():
        return
    hits = column.filter(pc.fill_null(on_values(column, quick), False)).cast(pa.string())
    hits = hits.filter(pc.match_substring_regex(pc.utf8_trim_whitespace(hits), pattern))
    if len(hits):
        found.rows[at] += len(hits)
        if is_key:
            texts = pc.unique(hits)[:100].to_pylist()
            found.keys[at] = [text for text in texts if "@" not in text][:_EXAMPLES]

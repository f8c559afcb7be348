"""Texts with marks that a spreadsheet or a float has left on them: kept as they are, but told.

Each is looked for once per distinct value where a column is encoded, and in a cheap way first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import holds_any, on_values, whole

_EXAMPLES = 3


@dataclass(frozen=True)
class _Mark:
    """A kind of marks: two quick looks that miss none, the pattern, and what to say."""

    sign: str
    """A character without which no text has the mark."""
    maybe: Callable[[pa.Array], pa.Array]
    pattern: str
    words: str
    in_attributes: str = ""
    """The pattern in columns that are no keys; blank: it is not looked for there."""


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
    """How many rows of each column have which mark, and a few of the keys that have."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, other: Marked) -> None:
        """Take the marks of another batch in."""
        self.rows.update(other.rows)
        for at, keys in other.keys.items():
            known = self.keys.setdefault(at, [])
            known += [key for key in keys if key not in known][: _EXAMPLES - len(known)]

    def warnings(self, source: str, read: int) -> list[str]:
        """What to say of them; examples are of keys alone."""
        told = []
        for (column, kind), count in sorted(self.rows.items()):
            shown = ", ".join(map(repr, self.keys.get((column, kind), [])))
            told.append(
                f"{source}: {column} of {count:,} of {read:,} rows {_MARKS[kind].words}"
                f"{', such as ' if shown else ''}{shown}; they are kept as they are: correct the "
                "source if they are not meant so"
            )
        return told


def marked(rows: pa.Table, columns: Iterable[str]) -> Marked:
    """The marks in `columns` of a batch under canonical names, of which `*_id` are keys."""
    found = Marked()
    for name in columns:
        is_key, column = name.endswith("_id"), whole(rows[name])
        for kind, mark in _MARKS.items():
            pattern = mark.pattern if is_key else mark.in_attributes
            if pattern and holds_any(column, mark.sign):
                _look(found, (name, kind), column, mark.maybe, pattern)
    return found


def _look(
    found: Marked,
    at: tuple[str, str],
    column: pa.Array,
    quick: Callable[[pa.Array], pa.Array],
    pattern: str,
) -> None:
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pc.any(quick(values)).as_py():
        return
    hits = column.filter(pc.fill_null(on_values(column, quick), False)).cast(pa.string())
    hits = hits.filter(pc.match_substring_regex(pc.utf8_trim_whitespace(hits), pattern))
    if len(hits):
        found.rows[at] += len(hits)
        if at[0].endswith("_id"):
            texts = pc.unique(hits)[:100].to_pylist()
            found.keys[at] = [text for text in texts if "@" not in text][:_EXAMPLES]

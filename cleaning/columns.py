"""A batch's cells: each holds a value, none, or something that cannot be read.

Which of the three it is is decided here and once, for every column, before and after its rule:
blank cells and null tokens are none, and never reach the rule; what the rule makes nothing of is
unreadable. So no default for what is missing can hide what is unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.verdicts import Verdict, as_mask
from common.arrays import Spread, composed, decoded, distinct_values, on_values, per_distinct, whole
from common.key_rules import normal_keys
from common.values import UNREADABLE
from config import SourceSettings

Rule = Callable[[pa.Array], pa.Array]
"""Text to values. Null stays null, and what the rule cannot read becomes null."""

_MARK = UNREADABLE.encode()
_NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class Cells:
    """A column after its rule; `values` are null where there is none and where it is unreadable."""

    values: pa.Array
    _given: pa.Array
    _distinct: pa.Array
    _missing: pa.Array
    _unreadable: pa.Array
    _spread: Spread

    @property
    def plain(self) -> pa.Array:
        """The values, not as a dictionary."""
        return decoded(self.values)

    def given(self) -> pa.Array:
        """The texts, null where there is none."""
        return self._spread(self._given)

    def missing(self) -> pa.Array:
        """The rows without a value."""
        return self._spread(self._missing)

    def unreadable(self) -> pa.Array:
        """The rows with something that is no value."""
        return self._spread(self._unreadable)

    def is_absent(self) -> bool:
        """Whether no row has anything."""
        return bool(pc.all(self._missing).as_py())

    def is_readable(self) -> bool:
        """Whether nothing is unreadable; the usual case, and told quickly."""
        return not pc.any(self._unreadable).as_py()

    def where_missing(self, default: pa.Array | pa.Scalar | str) -> pa.Array:
        """The values, with `default` (one, or one per row) where there is none."""
        if isinstance(default, pa.Array | pa.ChunkedArray):
            return pc.if_else(self.missing(), default, self.plain)
        return self._spread(pc.if_else(self._missing, default, self._distinct))


@dataclass
class Reader:
    """A batch's columns by name; an absent column reads as all blank.

    `keys` names the row's own key and those it refers to. A row is refused where one of them is
    unreadable, or any column holds a NUL, which no database stores. `issues` counts the cells of
    attributes that are unreadable.
    """

    batch: pa.Table
    settings: SourceSettings
    keys: Sequence[str]
    verdict: Verdict = field(init=False)
    issues: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.verdict = Verdict(len(self.batch))
        self._marked: set[str] = set()
        self._tokens = pa.array(["", *self.settings.null_tokens], pa.string())
        for name in self.batch.column_names:
            self._look_at(name)

    def _look_at(self, name: str) -> None:
        """Refuse rows for what this column holds. Two passes over its bytes tell that it is fine.

        The mark of unreadable cells begins with a byte that hardly any text has.
        """
        column = whole(self.batch[name])
        values = column.dictionary if pa.types.is_dictionary(column.type) else column
        text = np.frombuffer(values.buffers()[2] or b"", np.uint8)
        if text.min(initial=1) == 0:
            mask = on_values(column, lambda texts: pc.match_substring(texts, "\0"))
            self.verdict.reject("invalid_text", mask, f"{name}: a NUL, or what cannot be decoded")
        if text.max(initial=0) < _MARK[0]:
            return
        mask = on_values(column, lambda texts: pc.match_substring(texts, UNREADABLE))
        if pc.any(mask).as_py():
            self._marked.add(name)
            if name in self.keys:
                shown = pc.binary_join_element_wise(f"{name}: ", decoded(column), "")
                self.verdict.reject("invalid_text", mask, shown)

    def key(self, name: str) -> pa.Array:
        """The rows' own keys, blank ('') when missing; null tokens do not apply to them."""
        return on_values(normal_keys(self._column(name)), lambda keys: pc.coalesce(keys, ""))

    def reference(self, name: str) -> pa.Array:
        """Keys of other rows, blank ('') when missing or a null token."""

        def rule(keys: pa.Array) -> pa.Array:
            return pc.if_else(self._is_none(keys), "", keys)

        return on_values(normal_keys(self._column(name)), rule)

    def text(self, name: str) -> pa.Array:
        """Trimmed (all Unicode space) and NFC-normalised; null when the column is absent."""
        return on_values(self._column(name), lambda texts: composed(pc.utf8_trim_whitespace(texts)))

    def cells(self, name: str, rule: Rule = lambda texts: texts) -> Cells:
        """A column through `rule`. What becomes of the unreadable ones is the caller's to say."""
        given, spread = distinct_values(self.text(name))
        missing = self._is_none(given)
        given = texts = pc.if_else(missing, _NO_TEXT, given)
        if name in self._marked:
            texts = pc.if_else(pc.match_substring(given, UNREADABLE), _NO_TEXT, given)
        values = rule(texts)
        unreadable = pc.and_(pc.invert(missing), pc.is_null(values))
        return Cells(spread(values), given, values, missing, unreadable, spread)

    def attribute(self, name: str, rule: Rule = lambda texts: texts) -> Cells:
        """`cells`, of which the unreadable ones are counted."""
        cells = self.cells(name, rule)
        if not cells.is_readable():
            self.count(name, cells.unreadable())
        return cells

    def count(self, name: str, mask: Any) -> None:
        """Count cells whose value is not usable."""
        number = int(as_mask(mask).sum())
        if number:
            self.issues[name] = self.issues.get(name, 0) + number

    def _is_none(self, texts: pa.Array) -> pa.Array:
        return pc.or_(pc.is_null(texts), pc.is_in(texts, self._tokens))

    def _column(self, name: str) -> pa.Array:
        if name in self.batch.column_names:
            return whole(self.batch[name])
        return pa.nulls(len(self.batch), pa.string())


def each(rule: Callable[[str], str | None]) -> Rule:
    """A rule for one text, called once per distinct value."""
    return partial(per_distinct, rule=rule)

"""The columns of a batch: each cell holds a value, is missing, or is unreadable.

This module alone decides which of the three. Blank cells and null tokens are missing and never
reach the column's rule. A cell that the rule turns into null is unreadable. So a default for
missing cells cannot hide an unreadable one.
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
from common.source_settings import SourceSettings
from common.values import UNREADABLE

Rule = Callable[[pa.Array], pa.Array]
"""Converts text to values. Null stays null, and text that the rule cannot read becomes null."""

_MARK = UNREADABLE.encode()
_NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class Cells:
    """A column after its rule. `values` is null where a cell is missing or unreadable.

    The private fields hold each distinct value once; `_spread` gives each row the outcome of its
    value.
    """

    values: pa.Array
    _given: pa.Array
    _distinct: pa.Array
    _missing: pa.Array
    _unreadable: pa.Array
    _spread: Spread

    @property
    def plain(self) -> pa.Array:
        """The values as a plain array, not dictionary-encoded."""
        return decoded(self.values)

    def given(self) -> pa.Array:
        """The texts before the rule; null where a cell is missing."""
        return self._spread(self._given)

    def missing(self) -> pa.Array:
        """Booleans, one per row: whether the cell is missing."""
        return self._spread(self._missing)

    def unreadable(self) -> pa.Array:
        """Booleans, one per row: whether the cell is unreadable."""
        return self._spread(self._unreadable)

    def is_absent(self) -> bool:
        """Whether all cells are missing."""
        return bool(pc.all(self._missing).as_py())

    def is_readable(self) -> bool:
        """Whether no cell is unreadable: the usual case, and a cheap question."""
        return not pc.any(self._unreadable).as_py()

    def where_missing(self, default: pa.Array | pa.Scalar | str) -> pa.Array:
        """The values, with `default` (one for all, or an array of one per row) where missing."""
        if isinstance(default, pa.Array | pa.ChunkedArray):
            return pc.if_else(self.missing(), default, self.plain)
        return self._spread(pc.if_else(self._missing, default, self._distinct))


@dataclass
class Reader:
    """Reads the columns of a batch by name; all cells of an absent column are missing.

    `batch` has canonical columns of text. `keys` names the row's own key and those that it refers
    to. A row is rejected as `invalid_text` where one of the keys is unreadable, or any column holds
    a NUL, which no database stores. `issues` counts unreadable attribute cells by column.
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
        """Reject rows for NULs and unreadable keys in this column.

        Two scans of the column's bytes show that there are none: a zero byte, and a byte as large
        as the first one of the mark for unreadable cells, which hardly any text has.
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
                detail = pc.binary_join_element_wise(f"{name}: ", decoded(column), "")
                self.verdict.reject("invalid_text", mask, detail)

    def key(self, name: str) -> pa.Array:
        """The rows' own business keys, '' where missing. Null tokens are keys like any other."""
        return on_values(normal_keys(self._column(name)), lambda keys: pc.coalesce(keys, ""))

    def reference(self, name: str) -> pa.Array:
        """Business keys of other tables' rows, '' where missing or a null token."""

        def rule(keys: pa.Array) -> pa.Array:
            return pc.if_else(self._is_none(keys), "", keys)

        return on_values(normal_keys(self._column(name)), rule)

    def text(self, name: str) -> pa.Array:
        """A column's texts in NFC, without (Unicode) space at the ends; null when it is absent."""
        return on_values(self._column(name), lambda texts: composed(pc.utf8_trim_whitespace(texts)))

    def cells(self, name: str, rule: Rule = lambda texts: texts, none: Sequence[str] = ()) -> Cells:
        """A column after `rule`. The caller decides what unreadable cells mean; the texts `none`
        are no value, beside the null tokens.
        """
        given, spread = distinct_values(self.text(name))
        missing = self._is_none(given)
        if none:
            missing = pc.or_(missing, pc.is_in(given, pa.array(none)))
        given = texts = pc.if_else(missing, _NO_TEXT, given)
        if name in self._marked:
            texts = pc.if_else(pc.match_substring(given, UNREADABLE), _NO_TEXT, given)
        values = rule(texts)
        unreadable = pc.and_(pc.invert(missing), pc.is_null(values))
        return Cells(spread(values), given, values, missing, unreadable, spread)

    def attribute(self, name: str, rule: Rule = lambda texts: texts) -> Cells:
        """A column after `rule`; its unreadable cells are counted in `issues`."""
        cells = self.cells(name, rule)
        if not cells.is_readable():
            self.count(name, cells.unreadable())
        return cells

    def count(self, name: str, mask: Any) -> None:
        """Count the cells of `mask` as unreadable."""
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
    """Make a rule for columns out of a function of one text; it is called per distinct value."""
    return partial(per_distinct, rule=rule)

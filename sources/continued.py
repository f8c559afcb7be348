"""Rows that continue the row above: blank cells that take its value, and numbers within a key.

An export may write what an order has in common on the first of its lines only; FILL_DOWN names
these columns. A key may have no column that tells the lines of an order apart; `#` counts them.
Both go through a file from its beginning to its end, once its rows are in the spool. What they find
is kept beside each batch: a batch is never written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common import spool
from common.arrays import decoded, whole, with_columns
from common.key_rules import normal_keys
from common.rejects import REJECT_FILE
from common.results import LINE, LOST, NUMBER, RAW
from common.source_settings import SourceSettings
from common.star_model import Source
from common.values import UNREADABLE, key_text
from errors import SourceError
from sources.canonical import own_column
from sources.mapping import own_name
from sources.mapping_errors import near_name, nearest
from sources.pieces import OpenSource
from sources.source_files import RawBatch

Places = npt.NDArray[np.int64]
_MOST_REFUSED = 1000


@dataclass(frozen=True)
class Continuation:
    """What the rows of a file take from those above them.

    `fill`: columns whose blank cells are filled, of which the first names the group. `parts`: the
    columns of the key whose rows are counted.
    """

    fill: tuple[str, ...]
    parts: tuple[str, ...]
    counts: bool

    @property
    def names_groups(self) -> bool:
        """Whether a row that names its group is known to be the first line of it."""
        return bool(self.fill) and self.fill[0] in self.parts


def continuation(
    opened: OpenSource, source: Source, settings: SourceSettings, mapping: dict[str, list[str]]
) -> Continuation | None:
    """How the rows of a file continue each other; None where they do not, and for a reject file of
    ours, whose rows were filled and counted before.

    Raises `SourceError` where FILL_DOWN names a column that the file does not have.
    """
    if set(opened.columns) >= REJECT_FILE:
        return None
    fill = [own_name(name, opened.columns) for name in settings.fill_down]
    for name, own in zip(settings.fill_down, fill, strict=True):
        if own is None and not opened.is_schemaless:
            raise SourceError(
                f"{opened.label}: {source.name.upper()}__FILL_DOWN names {name!r}, which the file "
                f"does not have{nearest(near_name(name, opened.columns))} "
                f"(it has: {', '.join(opened.columns[:50])})"
            )
    counted = next((own for own in mapping.values() if NUMBER in own), None)
    if not fill and counted is None:
        return None
    parts = tuple(name for name in counted or () if name != NUMBER)
    return Continuation(tuple(filter(None, fill)), parts, counted is not None)


@dataclass
class _State:
    """What is known of the row above the next batch, and of the records since."""

    group: str | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    """The filled cells of that row."""
    has_row: bool = False
    is_lost: bool = True
    """Whether its group is unknown; so it is before the first row."""
    was_cut: bool = False
    """Whether its group may have begun on a record that cannot be read."""
    parts: list[str] | None = None
    number: int = 0
    is_certain: bool = True
    refused: list[str] = field(default_factory=list)
    """The texts of the records since, none of which is a row."""


def continue_rows(batches: Sequence[RawBatch], how: Continuation, folder: Path) -> None:
    """Fill and count the rows of a file, whose batches are given in order. Raises `SpoolError`."""
    state = _State()
    for batch in batches:
        rows, no_rows = spool.read(batch.rows), None
        if batch.refused is not None:
            no_rows = spool.read(batch.refused).sort_by(LINE)
        seen = _Batch(rows, no_rows, how, state)
        beside = seen.continued()
        state = seen.after()
        if len(rows):
            batch.beside = (*batch.beside, spool.write(folder, "beside", beside))


class _Batch:
    """The rows of a batch, in the order of the file, with the refused records between them."""

    def __init__(
        self, rows: pa.Table, no_rows: pa.Table | None, how: Continuation, above: _State
    ) -> None:
        self._rows, self._how, self._above = rows, how, above
        self._size = len(rows)
        self._at: Places = np.arange(self._size)
        self._raws = [] if no_rows is None else no_rows[RAW].to_pylist()
        lines = np.array([], np.int64) if no_rows is None else no_rows[LINE].to_numpy()
        self._refused: Places = np.searchsorted(lines, rows[LINE].to_numpy(), side="left")
        """How many refused records come before each row, in this batch."""
        since = np.diff(self._refused, prepend=0)
        if self._size:
            since[0] += len(above.refused)
        self._is_cut = since > 0
        """Whether refused records stand directly before a row."""
        self._lost = np.zeros(self._size, bool)
        self._was_cut = np.zeros(self._size, bool)
        self._filled: dict[str, pa.Array] = {}
        self._numbers: Places = np.zeros(self._size, np.int64)
        self._certain = np.ones(self._size, bool)
        self._parts: list[pa.Array] = []

    def continued(self) -> pa.Table:
        """The filled columns, the numbers as text, and whether the group of a row is unknown. A
        number that nobody can tell is null.
        """
        columns: dict[str, pa.Array] = {}
        if not self._size:
            return pa.table(columns)
        if self._how.fill:
            self._fill()
            columns |= self._filled
            columns[LOST] = pa.array(self._lost)
        if self._how.counts:
            self._count()
            columns[NUMBER] = pa.array(self._numbers, mask=~self._certain).cast(pa.string())
        return pa.table(columns)

    def after(self) -> _State:
        """What the next batch needs to know."""
        if not self._size:
            refused = [*self._above.refused, *self._raws]
            return _State(**{**vars(self._above), "refused": refused[:_MOST_REFUSED]})
        last = self._size - 1
        return _State(
            self._text(self._how.fill[0], last) if self._how.fill else None,
            {name: self._text(name, last) for name in self._how.fill},
            True,
            bool(self._lost[last]),
            bool(self._was_cut[last]),
            [part[last].as_py() for part in self._parts],
            int(self._numbers[last]),
            bool(self._certain[last]),
            self._raws[int(self._refused[last]) :][:_MOST_REFUSED],
        )

    def _text(self, name: str, row: int) -> str | None:
        text: str | None = self._filled[name][row].as_py()
        return text

    # --- filling down ----------------------------------------------------------------------

    def _fill(self) -> None:
        named, *others = self._how.fill
        cells, is_blank = self._cells(named)
        above = _last(~is_blank)
        is_known = above >= 0
        cut_since = np.where(is_known, self._refused > self._refused[above], self._is_cut_before())
        self._lost = is_blank & (cut_since | (~is_known & self._above.is_lost))
        group = _taken(cells, above, self._above.group)
        group = pc.if_else(pa.array(self._lost), cells, group)
        begins = self._begins(group)
        start = _last(begins)
        after_cut = self._is_cut | np.concatenate(([self._above.is_lost], self._lost[:-1]))
        after_cut[0] = self._is_cut[0] | (self._above.has_row and self._above.is_lost)
        opened_by_cut = after_cut[np.maximum(start, 0)]
        self._was_cut = np.where(start >= 0, opened_by_cut, self._above.was_cut)
        self._filled[named] = group
        for name in others:
            self._filled[name] = self._filled_cells(name, start)

    def _is_cut_before(self) -> npt.NDArray[np.bool_]:
        """Whether there are refused records between the batch before and a row."""
        return (self._refused > 0) | bool(self._above.refused)

    def _begins(self, group: pa.Array) -> npt.NDArray[np.bool_]:
        """Where a row is of another group than the row above it."""
        texts = pc.fill_null(group, "")
        same = np.zeros(self._size, bool)
        same[1:] = pc.equal(texts[1:], texts[:-1]).to_numpy(zero_copy_only=False)
        same[0] = not self._above.is_lost and texts[0].as_py() == self._above.group
        was_lost = np.concatenate(([self._above.is_lost], self._lost[:-1]))
        begins: npt.NDArray[np.bool_] = ~same | (self._lost != was_lost)
        return begins

    def _filled_cells(self, name: str, start: Places) -> pa.Array:
        cells, is_blank = self._cells(name)
        above = _last(~is_blank)
        in_group = (above >= 0) & (above >= start)
        from_before = (above < 0) & (start < 0) & ~self._lost
        texts = _taken(cells, np.where(in_group, above, -1), None)
        before = self._above.values.get(name)
        texts = pc.if_else(pa.array(from_before), pa.scalar(before, pa.string()), texts)
        texts = pc.if_else(pa.array(is_blank & ~self._lost), texts, cells)
        is_none = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), True)
        is_hidden = pc.and_(is_none, pa.array(self._was_cut & ~self._lost))
        return pc.if_else(is_hidden, UNREADABLE, texts)

    def _cells(self, name: str) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
        if name not in self._rows.column_names:
            return pa.nulls(self._size, pa.string()), np.ones(self._size, bool)
        cells = decoded(self._rows[name]).cast(pa.string())
        is_blank = pc.equal(pc.utf8_trim_whitespace(cells), "")
        return cells, pc.fill_null(is_blank, True).to_numpy(zero_copy_only=False)

    # --- counting --------------------------------------------------------------------------

    def _count(self) -> None:
        table = with_columns(self._rows, pa.table(self._filled))
        for name in self._how.parts:
            texts = decoded(whole(own_column(table, name, key_text))).cast(pa.string())
            self._parts.append(normal_keys(pc.fill_null(texts, "")))
        begins = np.zeros(self._size, bool)
        for place, part in enumerate(self._parts):
            begins[1:] |= pc.not_equal(part[1:], part[:-1]).to_numpy(zero_copy_only=False)
            above = self._above.parts
            begins[0] |= above is None or part[0].as_py() != above[place]
        begins[0] |= self._above.parts is None
        start = _last(begins)
        position = self._at + self._refused  # among the records of this batch
        offset = np.zeros(self._size, np.int64)
        certain = np.ones(self._size, bool)
        for row in np.flatnonzero(begins & self._is_cut).tolist():
            own = self._own_refused(row)
            certain[row], offset[row] = own is not None, own or 0
        before = self._above.number + len(self._above.refused) + 1 + position
        within = 1 + position - position[np.maximum(start, 0)] + offset[np.maximum(start, 0)]
        self._numbers = np.where(start >= 0, within, before)
        self._certain = np.where(start >= 0, certain[np.maximum(start, 0)], self._above.is_certain)

    def _own_refused(self, row: int) -> int | None:
        """How many of the refused records directly before a row, the first of a key, are of its
        key, by their texts; None where nobody can tell.
        """
        if self._how.names_groups or not self._how.parts:
            return 0
        first = int(self._refused[row - 1]) if row else 0
        raws = self._raws[first : int(self._refused[row])]
        raws = raws if row else [*self._above.refused, *raws]
        own = [part[row].as_py() for part in self._parts]
        above = [part[row - 1].as_py() for part in self._parts] if row else self._above.parts
        if len(raws) >= _MOST_REFUSED:
            return None
        told = [(_names(raw, own), above is not None and _names(raw, above)) for raw in raws]
        is_own = [mine for mine, _ in told]
        if any(mine == theirs for mine, theirs in told) or sorted(is_own) != is_own:
            return None
        return sum(is_own)


def _names(raw: str | None, parts: Sequence[str]) -> bool:
    """Whether the text of a record has all these values, each as a word of its own."""
    padded = f" {raw or ''} "
    for part in filter(None, parts):
        before, found, after = padded.partition(part)
        if not found or before[-1:].isalnum() or after[:1].isalnum():
            return False
    return True


def _last(where: npt.NDArray[np.bool_]) -> Places:
    """For each place the last one, up to it, that is true; -1 without any."""
    return np.maximum.accumulate(np.where(where, np.arange(len(where)), -1))


def _taken(texts: pa.Array, places: Places, otherwise: str | None) -> pa.Array:
    """The texts at `places`; `otherwise` at -1."""
    found = texts.take(pa.array(places, mask=places < 0))
    return pc.if_else(pa.array(places < 0), pa.scalar(otherwise, pa.string()), found)

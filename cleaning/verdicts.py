"""Which rows of a batch are rejected, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.results import REJECT_SCHEMA
from common.values import MAX_DETAIL, UNREADABLE

Mask = npt.NDArray[np.bool_]


class Verdict:
    """Collects for each row of a batch the first reason to reject it."""

    def __init__(self, size: int) -> None:
        self._code = np.zeros(size, np.int8)
        self._parts: list[pa.Table] = []

    def reject(self, reason: str, mask: Any, *details: pa.Array | str) -> None:
        """Reject the rows of `mask` (null is false) that have no reason yet.

        `details` are texts, or arrays with a text per row; a row's detail is the first not null.
        """
        new = as_mask(mask) & (self._code == 0)
        rows = np.flatnonzero(new)
        if not len(rows):
            return
        self._code[new] = 1
        at = pa.array(rows)
        texts = (s if isinstance(s, str) else s.take(at).cast(pa.string()) for s in details)
        detail = pc.if_else(pc.is_valid(at), pc.coalesce(*texts, ""), "")  # an array in any case
        self._parts.append(reject_table(rows, reason, printable(detail)))

    def set_aside(self, mask: Any) -> None:
        """Judge the rows of `mask` that have not been rejected no further; they are not good."""
        self._code[as_mask(mask) & (self._code == 0)] = 2

    def rejected(self) -> pa.Array:
        """Booleans, one per row: whether it has been rejected."""
        return pa.array(self._code == 1)

    def good(self) -> pa.Array:
        """Booleans, one per row: whether it is neither rejected so far nor set aside."""
        return pa.array(self._code == 0)

    def places(self) -> pa.Array:
        """The number of every row (int64)."""
        return pa.array(np.arange(len(self._code), dtype=np.int64))

    def rejects(self) -> pa.Table:
        """The rejected rows, as `REJECT_SCHEMA`."""
        return pa.concat_tables([REJECT_SCHEMA.empty_table(), *self._parts])


def reject_table(rows: Sequence[int] | Mask | Any, reason: str, detail: Any) -> pa.Table:
    """Rejects at `rows` (int64 places) with one reason; `detail` is one text or one per row."""
    count = len(rows)
    details = pa.array([detail] * count, pa.string()) if isinstance(detail, str) else detail
    if isinstance(details, pa.ChunkedArray):
        details = details.combine_chunks()
    reasons = pa.array([reason] * count, pa.string())
    return pa.table([pa.array(rows, pa.int64()), reasons, details], schema=REJECT_SCHEMA)


def printable(texts: pa.Array) -> pa.Array:
    """Texts for a reject's detail: without the mark of unreadable cells, at most `MAX_DETAIL`
    characters.
    """
    return pc.utf8_slice_codeunits(pc.replace_substring(texts, UNREADABLE, ""), 0, MAX_DETAIL)


def as_mask(mask: Any) -> Mask:
    """A mask of Arrow or numpy as numpy booleans; null is false."""
    if isinstance(mask, np.ndarray):
        return mask
    array: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return array

"""Which rows of a batch are refused, and why."""

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
    """The first reason that applies to each row of a batch."""

    def __init__(self, size: int) -> None:
        self._code = np.zeros(size, np.int8)
        self._parts: list[pa.Table] = []

    def reject(self, reason: str, mask: Any, *details: pa.Array | str) -> None:
        """Give `reason` to rows of `mask` (null is no) that have none yet.

        The detail is the first of `details`, arrays or texts, that is not null.
        """
        new = as_mask(mask) & (self._code == 0)
        rows = np.flatnonzero(new)
        if not len(rows):
            return
        self._code[new] = 1
        at = pa.array(rows)
        texts = (s if isinstance(s, str) else s.take(at).cast(pa.string()) for s in details)
        detail = pc.if_else(pc.is_valid(at), pc.coalesce(*texts, ""), "")  # a column, of whatever
        self._parts.append(reject_table(rows, reason, printable(detail)))

    def good(self) -> pa.Array:
        """The rows that no reason applies to, so far."""
        return pa.array(self._code == 0)

    def places(self) -> pa.Array:
        """Every row's number."""
        return pa.array(np.arange(len(self._code), dtype=np.int64))

    def rejects(self) -> pa.Table:
        """The refused rows, as `REJECT_SCHEMA` has them."""
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
    """Texts as people may see them: without the mark of what cannot be read, and not endless."""
    return pc.utf8_slice_codeunits(pc.replace_substring(texts, UNREADABLE, ""), 0, MAX_DETAIL)


def as_mask(mask: Any) -> Mask:
    """Booleans of either library for numpy; null is no."""
    if isinstance(mask, np.ndarray):
        return mask
    array: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return array

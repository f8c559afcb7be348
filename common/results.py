"""What a stage hands to the next one, and the columns that say where a row came from and why it was
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa

PLACE = "_place"
"""int64: where the raw row is, batch number << 32 | row number in the batch."""
FILE, LINE = "_file", "_line"
"""The file that a raw row came from, and its line or record number there, counted from 1."""
REASON, DETAIL = "_reason", "_detail"
"""Why a row is rejected: one of `rejects.REASONS`, and the value or the rule that it broke."""
RAW = "_raw"
"""The text of a record that could not be read as a row; null for all others."""

REJECT_SCHEMA = pa.schema([(PLACE, pa.int64()), (REASON, pa.string()), (DETAIL, pa.string())])
"""The rejected rows of a batch, before their own columns are looked up by place."""


@dataclass
class CleanBatch:
    """One batch of a source after cleaning.

    `rows`: the accepted rows, with the star's columns in its types, without surrogate keys, and
    `_place`. `rejects`: `REJECT_SCHEMA`. `issues`: by column, how many attribute values could not
    be read. `money`: net amounts (Decimal) of all readable rows (`read`) and of those among them
    that were `rejected`.
    """

    rows: pa.Table
    rejects: pa.Table
    issues: dict[str, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)


Clean = Callable[[str, int, pa.Table], CleanBatch]
"""Cleans a batch: takes the source's name, the batch's number and its rows as canonical text."""

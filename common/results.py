"""What a stage hands to the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa


@dataclass
class CleanBatch:
    """What became of one batch of a source.

    `rows` have the columns of the star (without surrogate keys) and `_place`; `rejects` the
    columns `_place`, `_reason` and `_detail`. `issues` counts attribute values that were not
    usable. `money` sums net amounts (Decimal) of all readable rows and of the rejected ones.
    """

    rows: pa.Table
    rejects: pa.Table
    issues: dict[str, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)


Clean = Callable[[str, int, pa.Table], CleanBatch]
"""Cleans a batch: given its source, its number and its rows under canonical names, all text."""

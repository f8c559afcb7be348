"""What a stage hands to the next one, and the columns that say where a row came from and why it was
refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from common.sums import Sums

PLACE = "_place"
"""int64: where the raw row is, batch number << BATCH_BITS | row number in the batch."""
BATCH_BITS = 32
ROW_BITS = (1 << BATCH_BITS) - 1
"""What `&` leaves of a place: the row number in its batch."""
FILE, LINE = "_file", "_line"
"""The file that a raw row came from, and its line or record number there, counted from 1."""
REASON, DETAIL = "_reason", "_detail"
"""Why a row is rejected: one of `rejects.REASONS`, and the value or the rule that it broke."""
RAW = "_raw"
"""The text of a record that could not be read as a row; null for all others."""

NUMBER = "_number"
"""Text: the number of a raw row among consecutive rows of one key, where a key counts rows."""
LOST = "_lost"
"""Beside a raw row: whether its group, by FILL_DOWN, is on a line that cannot be read, so that it
has no key.
"""
JOINED = "_order."
"""Beside a raw row, before the canonical names of columns: those of the order of a line."""
ORPHANED = "UNKNOWN_ORDER"
"""Beside a source's canonical columns: where the order of a line is not there, which it is."""
SKIPPED = "SKIP_WHEN"
"""Beside a source's canonical columns: `true` where SKIP_WHEN leaves the row out."""
REMOVAL = "_removal"
"""int8: 0 for a row to load, else how it takes its fact away: `DELETES` or `SKIPS`."""
DELETES, SKIPS = 1, 2
"""A row that is flagged as deleted; one that SKIP_WHEN leaves out."""

REJECT_SCHEMA = pa.schema([(PLACE, pa.int64()), (REASON, pa.string()), (DETAIL, pa.string())])
"""The rejected rows of a batch, before their own columns are looked up by place."""


@dataclass
class CleanBatch:
    """One batch of a source after cleaning.

    `rows`: the accepted rows, with the star's columns in its types, without surrogate keys, and
    `_place`. `rejects`: `REJECT_SCHEMA`. `issues`: by column, how many attribute values could not
    be read. `money`: net amounts of all readable rows (`read`), and of those among them
    that were `rejected` or `skipped` for good.

    With a column `REMOVAL`, `rows` has beside the accepted rows those that remove a fact: of them
    only key, place and net amount count.
    """

    rows: pa.Table
    rejects: pa.Table
    issues: dict[str, int] = field(default_factory=dict)
    money: dict[str, Sums] = field(default_factory=dict)
    rejected_money: dict[str, Sums] = field(default_factory=dict)
    """`rejected` of that by reason."""
    currencies: Counter[str] = field(default_factory=Counter)
    """How many of the accepted sales are in which currency."""
    without_cost: int = 0
    """How many accepted sales do not say their own cost."""
    skipped: int = 0
    """Rows that are left out and touch nothing: they name no fact, or are of a dimension."""
    borne: pa.Array | None = None
    """The keys of the rows that are rejected or left out: what bears a key is not absent."""
    nameless: int = 0
    """How many of the rejected rows have no key, or none that can be read."""


Clean = Callable[[str, int, pa.Table], CleanBatch]
"""Cleans a batch: takes the source's name, the batch's number and its rows as canonical text."""

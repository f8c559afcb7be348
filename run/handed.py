"""What the phases of a run hand to the later ones."""

from __future__ import annotations

from dataclasses import dataclass

from common.outcomes import FactCounts, Movement, Removals
from common.sums import Sums
from run.clean_source import CleanSource
from warehouse.changes import ChangeRecord
from warehouse.drift import Drift
from warehouse.keymap import KeyMap


@dataclass(frozen=True)
class Members:
    """What the dimensions hand to the facts and to the validation."""

    keys: dict[str, KeyMap]
    """By dimension, business key to surrogate key."""
    before: dict[str, int]
    """By dimension, how many members it had."""
    cleaned: dict[str, CleanSource]
    """The sources, without the sales that were refused for an unknown member."""
    refused_orphans: int
    grown: Drift
    """What the star has got, and what is left to be completed."""
    by_currency: bool
    """Whether the amounts of facts may be of several currencies."""
    record: ChangeRecord


@dataclass(frozen=True)
class Facts:
    """What the facts hand to the validation."""

    counts: FactCounts
    net_unchanged: Sums
    """The net amount of the facts that were there just so."""
    keys_found: int
    """`schema.key_sum` of the facts that were written."""
    lost: int
    """Facts whose members were not found, although they had been looked for."""
    removals: Removals
    """What became of the rows that remove facts."""
    movement: Movement
    """What was done to the facts and their net amount."""

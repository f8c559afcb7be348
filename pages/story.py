"""All that the page of a run tells, as values: who makes the page asks nothing more."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.changes import Change
from config import StarSchemaConfig
from pages.business import Business
from run.summary import RunSummary
from warehouse.runs import PastRun


@dataclass(frozen=True)
class Story:
    """A run, those before it, and the star."""

    config: StarSchemaConfig
    """Where it ran; its `star` and `report_personal` say what is shown."""
    run: PastRun
    summary: RunSummary
    """What it said of itself, as far as its row has kept it."""
    former: list[PastRun] = field(default_factory=list)
    """The runs before it, the newest first."""
    business: Business | None = None
    """None where the star could not be asked and no earlier page has told."""
    overwritten: list[tuple[str, str | None, int]] = field(default_factory=list)
    """By table and attribute, how many rows it has overwritten; without an attribute, removed."""
    examples: dict[str, list[Change]] = field(default_factory=dict)
    """By table, the first changes that are kept of it."""
    problems: list[str] = field(default_factory=list)
    """What could not be found out, in words."""

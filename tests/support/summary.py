"""What a run's summary must have."""

from __future__ import annotations

import pytest

from support.retailer import Retailer
from support.tables import Row

STAGES = ["extraction", "transformation", "dimension_loading", "fact_loading", "validation"]
"""The phases that work on the data; each is a method of the pipeline."""
PHASES = ["opening", *STAGES, "publishing"]
ALL_DONE = ["success"] * len(PHASES)
FIXED_KEYS = {
    "run_id", "status", "success", "started_at", "total_duration_seconds", "errors", "phases",
    "extraction_results", "transformation_results", "dimension_loading_results",
    "fact_loading_results", "validation_results",
}  # fmt: skip


def statuses(results: Row) -> list[str]:
    """The status of each phase, in their order."""
    assert list(results["phases"]) == PHASES
    for phase in results["phases"].values():
        assert set(phase) == {"status", "duration_seconds", "rows"}
    seconds = sum(phase["duration_seconds"] for phase in results["phases"].values())
    whole = results["total_duration_seconds"]
    assert seconds == pytest.approx(whole, rel=0.01, abs=0.004)  # each is rounded to thousandths
    return [phase["status"] for phase in results["phases"].values()]


def assert_failed(shop: Retailer, results: Row, phase: str | None, status: str) -> None:
    """The summary is complete, says where it failed, and no later phase ran."""
    assert results.keys() >= FIXED_KEYS
    assert (results["success"], results["status"]) == (False, status)
    (error,) = results["errors"]
    begins = "The warehouse cannot be opened: " if phase is None else f"{phase} phase failed: "
    assert error.startswith(begins)
    assert "a bug" not in error
    done = 0 if phase is None else PHASES.index(phase.lower().replace(" ", "_"))
    later = ["not_run"] * (len(PHASES) - done - 1)
    assert statuses(results) == ["success"] * done + ["failed"] + later
    assert "Traceback" not in shop.log
    assert [line for line in shop.log.splitlines() if results["run_id"] in line and error in line]


def surprises(results: Row) -> list[str]:
    """The warnings of a run but those of what its counts tell: rejects, inferred members, and
    values that were not usable.
    """
    counted = ("were rejected (", "are known from sales only", "not usable, and left empty")
    return [text for text in results["warnings"] if not any(word in text for word in counted)]

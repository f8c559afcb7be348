"""The summary of a run of the past, from what its row has kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from common.outcomes import FactCounts, MemberCounts, PhaseResult, TableCleaned, Validation
from run.summary import Extraction, Outcomes, RunSummary
from run.unchanged import rejects_folder
from warehouse.runs import PastRun

T = TypeVar("T")
_DAMAGE = (
    ValidationError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
)  # fmt: skip
"""What reading a row raises that another version wrote, or somebody who is no run."""
_UNREADABLE = "cannot be read: it is damaged, or of another version"


def summary_of(run: PastRun, rejects_dir: Path) -> tuple[RunSummary, list[str]]:
    """What a run said of itself, as far as it is kept; and what is not kept of it, in words."""
    counts, lost = run.counts, list[str]()
    outcomes = Outcomes()

    def part(name: str, read: Callable[[Any], T], otherwise: T) -> T:
        kept = counts.get(name)
        if not kept:
            return otherwise
        try:
            return read(kept)
        except _DAMAGE:
            lost.append(f"{name} of its row in etl_run {_UNREADABLE}")
            return otherwise

    outcomes.phases = part(
        "phases", TypeAdapter(dict[str, PhaseResult]).validate_python, outcomes.phases
    )
    outcomes.extraction = part("extraction_results", Extraction.from_dict, None)
    outcomes.tables = part(
        "transformation_results", TypeAdapter(dict[str, TableCleaned]).validate_python, {}
    )
    outcomes.dimensions = part(
        "dimension_loading_results", TypeAdapter(dict[str, MemberCounts]).validate_python, {}
    )
    outcomes.facts = part("fact_loading_results", TypeAdapter(FactCounts).validate_python, None)
    outcomes.validation = part("validation_results", TypeAdapter(Validation).validate_python, None)
    summary = RunSummary(
        run.run_id,
        str(rejects_folder(rejects_dir, run.run_id, run.counts)),
        run.status,
        started_at=run.started_at,
        total_duration_seconds=run.seconds,
        errors=_texts(counts, "errors") or [error for error in [run.totals.error] if error],
        warnings=_texts(counts, "warnings"),
        repeats_run=run.totals.repeats or None,
        replays_run=run.totals.replays or None,
        outcomes=outcomes,
    )
    return summary, lost


def _texts(counts: Mapping[str, Any], name: str) -> list[str]:
    kept = counts.get(name)
    return [str(text) for text in kept] if isinstance(kept, list) else []

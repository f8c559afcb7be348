"""What a run says of itself: `results`, the row in `etl_run`, and the text that is printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from common.changes import Changes
from common.outcomes import (
    Balance,
    Deleted,
    FactCounts,
    MemberCounts,
    MoneyBalance,
    PhaseResult,
    SourceRead,
    TableCleaned,
    Validation,
    plain,
)
from errors import EXIT_CODES
from run.meter import lasted

PHASES = {
    "opening": "Opening",
    "extraction": "Extraction",
    "transformation": "Transformation",
    "dimension_loading": "Dimension loading",
    "fact_loading": "Fact loading",
    "validation": "Validation",
    "publishing": "Publishing",
}
"""The phases in their order, and what people read of each. Opening includes the look whether the
input is that of the last run.
"""
_WORDS = {"dry_run": "would publish", "gate_failed": "refused", "unknown": "outcome unknown"}
"""How it ended, where the status is no word for people."""
LATEST_PAGE = "latest.html"
"""What the page of the last run is called too, beside the one that bears its id."""
_MOST_TOLD, _LONGEST_TOLD = 50, 1000
"""Of errors and warnings, what a run's row keeps."""
SHORT = {
    "opening": "open",
    "extraction": "read",
    "transformation": "clean",
    "dimension_loading": "members",
    "fact_loading": "facts",
    "validation": "check",
    "publishing": "publish",
}
"""What a phase is called where there is little room."""


@dataclass
class Extraction:
    """What was read, by source."""

    sources: dict[str, SourceRead] = field(default_factory=dict)
    total_records: int = 0
    success: bool = False
    extraction_errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        whole = ("total_records", "success", "extraction_errors")
        return {"_metadata": {n: getattr(self, n) for n in whole}, **plain(self.sources)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Extraction:
        """What `as_dict` gave. Raises ValueError or LookupError for anything else."""
        sources = {name: part for name, part in kept.items() if name != "_metadata"}
        return TypeAdapter(cls).validate_python({"sources": sources, **kept["_metadata"]})


@dataclass
class Outcomes:
    """What each phase found; a phase that was not reached has left nothing."""

    phases: dict[str, PhaseResult] = field(
        default_factory=lambda: {phase: PhaseResult() for phase in PHASES}
    )
    extraction: Extraction | None = None
    tables: dict[str, TableCleaned] = field(default_factory=dict)
    """By table, what cleaning made of its source."""
    dimensions: dict[str, MemberCounts] = field(default_factory=dict)
    facts: FactCounts | None = None
    validation: Validation | None = None

    def as_dict(self) -> dict[str, Any]:
        """The part of `results` that a run's row keeps; `json.dumps` takes it."""
        return {
            "phases": plain(self.phases),
            "extraction_results": self.extraction.as_dict() if self.extraction else {},
            "transformation_results": plain(self.tables),
            "dimension_loading_results": plain(self.dimensions),
            "fact_loading_results": plain(self.facts) if self.facts else {},
            "validation_results": plain(self.validation) if self.validation else {},
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Outcomes:
        """What `as_dict` gave of a published run. Raises ValueError or LookupError for anything
        else.
        """
        phases = TypeAdapter(dict[str, PhaseResult]).validate_python(kept["phases"])
        return cls(
            {phase: phases.get(phase, PhaseResult()) for phase in PHASES},  # older ones had less
            Extraction.from_dict(kept["extraction_results"]),
            TypeAdapter(dict[str, TableCleaned]).validate_python(kept["transformation_results"]),
            TypeAdapter(dict[str, MemberCounts]).validate_python(kept["dimension_loading_results"]),
            TypeAdapter(FactCounts).validate_python(kept["fact_loading_results"]),
            TypeAdapter(Validation).validate_python(kept["validation_results"]),
        )

    def forget_loading(self) -> None:
        """Take back what a try to load has left, before it is tried again."""
        for phase in ("dimension_loading", "fact_loading", "validation", "publishing"):
            self.phases[phase].status, self.phases[phase].rows = "not_run", 0
        self.dimensions, self.facts, self.validation = {}, None, None

    def all_unchanged(self) -> Outcomes:
        """The outcomes of a run that finds all rows of this one as it left them."""
        for phase in self.phases.values():
            phase.duration_seconds = 0.0
        for members in self.dimensions.values():
            _make_unchanged(members, "")
            members.inferred = members.deleted = 0
        accounts = self.validation.reconciliation if self.validation else None
        if accounts is not None:
            currencies = accounts.currencies or {}
            for account in accounts.sources.values():
                _make_unchanged(account, "")
                _gather(account, "unchanged", "deleted")
            for money in [accounts.money, *(c.money for c in currencies.values())]:
                if money is not None:
                    _gather(money, "unchanged", "loaded", "deleted")
            _let_rest(accounts.balance)
            for currency in currencies.values():
                _let_rest(currency.balance)
        if self.facts is not None:
            _make_unchanged(self.facts, "records_")
            self.facts.records_unchanged += self.facts.records_deleted.by_flag
            self.facts.records_deleted = Deleted()
            self.facts.processing_time = 0.0
        return self


def _let_rest(balance: Balance | MoneyBalance) -> None:
    """Make it the balance of a star that nothing happens to."""
    if isinstance(balance, Balance):
        balance.rows_before = balance.rows_after
        balance.rows_inserted = balance.rows_removed = 0
    balance.before = balance.after
    if balance.after is not None:
        balance.inserted = balance.corrected = balance.removed = Decimal(0)


def _make_unchanged(counts: Any, prefix: str) -> None:
    """Count rows as unchanged that were inserted or updated."""
    _gather(counts, *(f"{prefix}{name}" for name in ("unchanged", "inserted", "updated")))


def _gather(counts: Any, into: str, *others: str) -> None:
    """Add other counts to one, and leave nothing in them."""
    setattr(counts, into, sum(getattr(counts, name) for name in (into, *others)))
    for name in others:
        setattr(counts, name, getattr(counts, name) * 0)


def _words(warning: str) -> frozenset[str]:
    """What a warning is about, whatever its numbers."""
    return frozenset(re.findall(r"[^\W\d]+", warning)) - {"value", "values", "is", "are"}


@dataclass(frozen=True)
class Failure:
    """How a run ended that was not published, in parts, for whoever shows it."""

    during: str
    """What it was at, in words."""
    message: str
    """What failed, and what to do about it."""
    problems: tuple[str, ...] = ()
    """The same, where several things failed."""
    is_interrupted: bool = False
    was_committing: bool = False


@dataclass
class RunSummary:
    """A run from its first second on; complete whenever it is asked for."""

    run_id: str
    rejects_dir: str
    status: str = "failed"
    """`published`, `dry_run`, `gate_failed`, `failed`, `busy`, `unknown` or `interrupted`."""
    exit_code: int | None = None
    """What the command line returns, where it is not what the status means."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    total_duration_seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    alarm: str = ""
    """The one of them that even a quiet run says: too many rejects, by WARN_REJECT_RATE."""
    states: frozenset[str] = frozenset()
    """Those of them that count what lasts: rejects below that rate, members that only facts name,
    values that are not usable.
    """
    known: tuple[str, ...] = ()
    """Warnings of the run that was published last before it."""
    failure: Failure | None = None
    advice: dict[str, dict[str, str]] = field(default_factory=dict)
    """By source of which too many rows were rejected, and by reason: what would help."""
    schema: str = ""
    """The schema of the star, once the warehouse is open."""
    follows_run: str | None = None
    """The run that was published last before it, as far as it came to know."""
    retries: int = 0
    repeats_run: str | None = None
    """The run whose input and star this one found again."""
    replays_run: str | None = None
    """The run whose corrected rejects this one has loaded."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    changes: Changes | None = None
    """What it changes; None if it has not loaded anything."""
    keeps_personal_changes: bool = False
    report: str = ""
    """The path of its page, once that is written."""

    @property
    def code(self) -> int:
        """The exit code of the command line."""
        return EXIT_CODES[self.status] if self.exit_code is None else self.exit_code

    @property
    def success(self) -> bool:
        return self.status in ("published", "dry_run")

    def in_a_line(self) -> str:
        """How it ended, in one line."""
        found = self.outcomes
        read = found.extraction.total_records if found.extraction else 0
        rejected = sum(sum(table.rejected.values()) for table in found.tables.values())
        told = [f"{read:,} rows in {lasted(self.total_duration_seconds)}"]
        told += [f"{rejected:,} rejected"] if rejected else []
        told += [f"as run {self.repeats_run} left them"] if self.repeats_run else []
        told += [f"{len(self.warnings)} warnings"] if len(self.warnings) > 1 else []
        told += ["1 warning"] if len(self.warnings) == 1 else []
        word = "nothing new" if self.repeats_run else _WORDS.get(self.status, self.status)
        return f"{word}: {', '.join(told) if self.success else '; '.join(self.errors)}"

    @property
    def new_warnings(self) -> list[str]:
        """Warnings that the run published before it did not have, of `states` not even with other
        numbers; and the `alarm`.
        """
        known = {*self.known, *map(_words, self.known)}
        told = {w: _words(w) if w in self.states else w[:_LONGEST_TOLD] for w in self.warnings}
        return [w for w in self.warnings if w == self.alarm or told[w] not in known]

    def told(self) -> dict[str, Any]:
        """What a run's row keeps beside its outcomes."""
        found = {
            "errors": [error[:_LONGEST_TOLD] for error in self.errors[:_MOST_TOLD]],
            "warnings": [warning[:_LONGEST_TOLD] for warning in self.warnings[:_MOST_TOLD]],
            "known_warnings": list(self.known) if self.repeats_run else [],  # it looked for none
            "repeats_run": self.repeats_run,
            "replays_run": self.replays_run,
        }
        return {name: value for name, value in found.items() if value}

    def as_dict(self) -> dict[str, Any]:
        """`results`, as `run_full_pipeline` returns them; `json.dumps` takes them."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "success": self.success,
            "started_at": self.started_at.isoformat(),
            "total_duration_seconds": self.total_duration_seconds,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
            "retries": self.retries,
            "repeats_run": self.repeats_run,
            "replays_run": self.replays_run,
            "rejects_dir": self.rejects_dir,
            "report": self.report or None,
            "changes": self._changes(),
            **self.outcomes.as_dict(),
        }

    def _changes(self) -> dict[str, Any]:
        """What a run has changed, or would change; nothing of one that has failed."""
        found = self.changes if self.success and self.changes is not None else Changes()
        return found.as_dict(with_personal=self.keeps_personal_changes)

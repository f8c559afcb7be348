"""A run in a few figures, made of the counts that its row in `etl_run` keeps.

They are what is left of a run when its row is thinned, so that its history stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

TOTALS = "totals"
"""Where a thinned row has them."""
_REASONS = 3
_LONGEST = 300


@dataclass(frozen=True)
class Totals:
    """The figures of a run; None is not known, as of a run that failed before, or of an old version
    whose row was thinned.
    """

    read: int | None = None
    """Rows of all sources."""
    new: int | None = None
    changed: int | None = None
    removed: int | None = None
    """Facts that were removed, and members that are gone."""
    rejected: int | None = None
    unchanged: int | None = None
    net: dict[str, Decimal] = field(default_factory=dict)
    """By currency, the net amount of the sales that were read; blank where there is one."""
    net_change: dict[str, Decimal] = field(default_factory=dict)
    """By currency, how the net amount of the star has changed."""
    seconds: float | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    """The most frequent reasons of rejects."""
    error: str = ""
    """The first one, shortened."""
    warnings: int = 0
    repeats: str = ""
    """The run whose input this was again."""
    replays: str = ""
    """The run whose rejects this one loaded."""

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Totals:
        """The totals in `counts`, those of a row that was thinned or not."""
        kept = counts.get(TOTALS)
        try:
            return cls._kept(kept) if isinstance(kept, dict) else cls._made(counts)
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
            return cls()  # somebody has written into the row

    def as_dict(self) -> dict[str, Any]:
        """What `of` reads again; what is not known is left out."""
        found = {name: value for name, value in vars(self).items() if value not in (None, {}, "")}
        for name in ("net", "net_change"):
            if name in found:
                found[name] = {key: str(amount) for key, amount in found[name].items()}
        return found

    @classmethod
    def _kept(cls, kept: Mapping[str, Any]) -> Totals:
        known = {name: value for name, value in kept.items() if name in cls.__dataclass_fields__}
        for name in ("net", "net_change"):
            known[name] = {key: Decimal(text) for key, text in known.get(name, {}).items()}
        return cls(**known)

    @classmethod
    def _made(cls, counts: Mapping[str, Any]) -> Totals:
        accounts = counts.get("validation_results", {}).get("reconciliation", {})
        sources = accounts.get("sources", {}).values()
        extraction = counts.get("extraction_results", {}).get("_metadata", {})
        tables = counts.get("transformation_results", {})
        reasons = _reasons(tables)
        errors = counts.get("errors", [])
        phases = counts.get("phases", {})
        loaded = {name: _sum(sources, name) for name in ("inserted", "updated")}
        if not sources:
            loaded = _loaded(counts)
        seconds = sum(float(phase["duration_seconds"]) for phase in phases.values())
        return cls(
            extraction.get("total_records") if extraction.get("success") else None,
            loaded["inserted"],
            loaded["updated"],
            _removed(counts),
            sum(reasons.values()) if tables else None,
            _sum(sources, "unchanged") if sources else None,
            _money(accounts, "money", "read"),
            _moved(accounts),
            round(seconds, 3) if phases else None,
            dict(sorted(reasons.items(), key=lambda each: -each[1])[:_REASONS]),
            str(errors[0])[:_LONGEST] if errors else "",
            len(counts.get("warnings", [])),
            str(counts.get("repeats_run") or ""),
            str(counts.get("replays_run") or ""),
        )


def _sum(sources: Any, name: str) -> int | None:
    return sum(int(source.get(name, 0)) for source in sources) if sources else None


def _reasons(tables: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in tables.values():
        for reason, count in table["rejected"].items():
            found[reason] = found.get(reason, 0) + int(count)
    return found


def _loaded(counts: Mapping[str, Any]) -> dict[str, int | None]:
    """The facts that were loaded, of a run that has no accounts; members are not among them, as
    nobody can tell those of a source from the days of the calendar.
    """
    facts = counts.get("fact_loading_results", {})
    if not facts:
        return dict.fromkeys(("inserted", "updated"))
    return {"inserted": facts["records_inserted"], "updated": facts["records_updated"]}


def _removed(counts: Mapping[str, Any]) -> int | None:
    """Not by the rows that were read: what is absent from a full extract has none."""
    facts, dimensions = (counts.get(f"{kind}_loading_results") for kind in ("fact", "dimension"))
    if not facts:
        return None
    gone = sum(int(members.get("deleted", 0)) for members in (dimensions or {}).values())
    return gone + sum(int(count) for count in facts.get("records_deleted", {}).values())


def facts_removed(counts: Mapping[str, Any]) -> int:
    """How many facts a run has removed, by whatever its row keeps."""
    try:
        removed = counts["fact_loading_results"]["records_deleted"]
        return sum(int(count) for count in removed.values())
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return 0


def _money(accounts: Mapping[str, Any], account: str, part: str) -> dict[str, Decimal]:
    """An amount by currency."""
    by_currency = accounts.get("currencies") or {"": accounts}
    return {
        name: Decimal(own[account][part])
        for name, own in by_currency.items()
        if own.get(account) and own[account].get(part) is not None
    }


def _moved(accounts: Mapping[str, Any]) -> dict[str, Decimal]:
    before = _money(accounts, "balance", "before")
    after = _money(accounts, "balance", "after")
    return {name: amount - before.get(name, Decimal(0)) for name, amount in after.items()}

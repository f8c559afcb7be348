"""What is in the star after a run: its tables, who is known from facts only, and the money."""

from __future__ import annotations

from collections.abc import Iterator

from common.outcomes import Reconciliation
from config import StarSchemaConfig
from report.accounts import money
from report.figures import amount, places_of
from report.screen import Column, Piece, Screen, Shown
from run import quality
from run.summary import Outcomes, RunSummary


def star_now(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """Each table, the net amount of all facts where some were there before, and the checks."""
    outcomes = summary.outcomes
    validation = outcomes.validation
    if validation is None or not validation.row_counts:
        return []
    only = f"known from {config.star.sales.called} only"
    rows = {name: _table(outcomes, name, only, screen) for name in validation.row_counts}
    accounts = validation.reconciliation
    amounts = [] if accounts is None else list(_balances(accounts, screen))
    columns = [Column("star"), Column("rows now"), Column("new", drop=8), Column("inferred")]
    columns.append(Column(right=False, drop=9))
    gone = {name: _gone(outcomes, name) for name in rows}
    if any(gone.values()):
        columns.insert(3, Column("gone"))
        for name, cells in rows.items():
            is_any = gone[name]
            cells.insert(3, (f"{is_any:,}", "look") if is_any else (screen.sign("none"), "dim"))
        for cells in amounts:
            cells.insert(3, "")
    *others, fact = rows.values()
    checks = _checks(outcomes, screen)
    together = [*others, [*fact[:-2], "", checks], *amounts]
    if screen.has_room(columns, together):
        return screen.table(columns, together, flowing=True)
    apart = screen.table(columns, [*others, fact, *amounts], flowing=True)
    return [*apart, screen.line(" ", checks, indent=3)]


def _table(outcomes: Outcomes, name: str, only: str, screen: Screen) -> list[Piece]:
    none = (screen.sign("none"), "dim")
    new, known = _new(outcomes, name), quality.inferred(outcomes).get(name, 0)
    rows = outcomes.validation.row_counts[name] if outcomes.validation else 0
    first: list[Piece] = [name, f"{rows:,}", f"{new:,}" if new else none]
    if not known:
        return [*first, none if name in outcomes.dimensions else "", ""]
    share = quality.share(known, quality.members(outcomes, name))
    return [*first, (f"{known:,} ({share})", "look"), (only, "dim")]


def _new(outcomes: Outcomes, table: str) -> int:
    """How many rows a table has got."""
    members = outcomes.dimensions.get(table)
    if members is not None:
        return members.inserted + members.inferred
    return 0 if outcomes.facts is None else outcomes.facts.records_inserted


def _gone(outcomes: Outcomes, table: str) -> int:
    """How many facts were removed, or members are gone from a full extract."""
    members = outcomes.dimensions.get(table)
    if members is not None:
        return members.deleted
    facts = outcomes.facts
    return 0 if facts is None else facts.records_deleted.by_flag + facts.records_deleted.by_absence


def _balances(found: Reconciliation, screen: Screen) -> Iterator[list[Piece]]:
    """What all facts amount to, and what has moved it, where some were there before."""
    if not found.balance.rows_before:
        return
    minus = screen.sign("minus")
    for name, (_, balance) in money(found).items():
        if balance.after is None:
            continue
        places = places_of([balance.after])
        parts = [
            f"{sign if value > 0 else ''}{amount(value, places, minus)} {word}"
            for word, sign, value in (
                ("new", "+", balance.inserted),
                ("corrected", "+", balance.corrected),
                ("removed", minus, balance.removed),
            )
            if value
        ]
        moved = (", ".join(parts) or "as before", "dim")
        yield [name, amount(balance.after, places, minus), "", "", moved]


def _checks(outcomes: Outcomes, screen: Screen) -> Piece:
    """How many checks passed."""
    checks = outcomes.validation.checks if outcomes.validation else []
    passed = sum(check.status == "passed" for check in checks)
    failed = sum(check.status == "failed" for check in checks)
    if failed:
        return (f"{screen.sign('bad')} {failed} of {passed + failed} checks failed", "bad")
    return (f"{screen.sign('good')} {passed} checks passed", "good")

"""The summary of a run as lines of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.accounts import money_of
from common.outcomes import Reconciliation
from report.text_tables import aligned
from run.logs import one_line
from run.summary import RunSummary

_ROWS = (
    "read", "inserted", "updated", "unchanged", "deleted", "skipped", "duplicate", "rejected",
)  # fmt: skip
_MONEY = ("read", "loaded", "unchanged", "deleted", "skipped", "duplicate", "rejected")
_BALANCE = ("before", "inserted", "corrected", "removed", "after")
_LOADED = ("inserted", "updated", "unchanged")


def render_summary(summary: RunSummary) -> list[str]:
    """The run at a glance: phases, accounts, tables and rejects."""
    outcomes = summary.outcomes
    status = summary.status.upper().replace("_", " ")
    lines = [f"Run {summary.run_id}: {status} in {summary.total_duration_seconds:.2f} s"]
    lines += [f"  error: {one_line(error)}" for error in summary.errors]
    if summary.repeats_run:
        lines.append(f"  the input is that of run {summary.repeats_run}: all rows are unchanged")
    phases = [
        (name.replace("_", " "), p.status, f"{p.duration_seconds:.2f}", f"{p.rows:,}")
        for name, p in outcomes.phases.items()
    ]
    lines += ["", *aligned(("phase", "status", "seconds", "rows"), phases)]
    validation = outcomes.validation
    if validation is not None and validation.reconciliation is not None:
        facts = [t.source for n, t in outcomes.tables.items() if n not in outcomes.dimensions]
        lines += _accounts(validation.reconciliation, facts)
    lines += _tables(summary)
    lines += _rejects(summary)
    if validation is not None and validation.data_quality_score is not None:
        score = validation.data_quality_score
        lines += ["", f"data-quality score: {score:.4f} % of the rows read were accepted"]
    return lines


def _accounts(accounts: Reconciliation, facts: list[str]) -> list[str]:
    """Rows by source, the money of the sources of `facts`, and the star's own balance."""
    rows = [
        (name, *(f"{getattr(a, c):,}" for c in _ROWS), "yes" if a.closed else "NO")
        for name, a in accounts.sources.items()
    ]
    money = [
        (" ".join(filter(None, [*facts, name])), *_amounts(account, _MONEY), _yes(account.closed))
        for name, account in money_of(accounts).items()
    ]
    return [
        "",
        *aligned(("source", *_ROWS, "closes"), rows),
        "",
        *aligned(("net amount", *_MONEY, "closes"), money),
        "",
        *_balance(accounts),
    ]


def _balance(accounts: Reconciliation) -> list[str]:
    """How many facts the star has, and what they amount to."""
    balance = accounts.balance
    counted = (
        f"{balance.rows_before:,}", f"{balance.rows_inserted:,}", "", f"{balance.rows_removed:,}",
        f"{balance.rows_after:,}",
    )  # fmt: skip
    net: dict[str, Any] = {"": balance}
    if accounts.currencies is not None:
        net = {name: account.balance for name, account in accounts.currencies.items()}
    rows = [
        (f"net amount {name}".strip(), *_amounts(each, _BALANCE), _yes(each.closed))
        for name, each in net.items()
    ]
    return aligned(
        ("star", *_BALANCE, "closes"), [("facts", *counted, _yes(balance.closed)), *rows]
    )


def _amounts(account: Any, parts: Sequence[str]) -> list[str]:
    return [f"{getattr(account, part):.4f}" for part in parts]


def _yes(closed: bool) -> str:
    return "yes" if closed else "NO"


def _tables(summary: RunSummary) -> list[str]:
    """What was loaded into each table, and how many rows it has now."""
    outcomes = summary.outcomes
    counts = outcomes.validation.row_counts if outcomes.validation else {}
    rows = []
    for table, count in counts.items():
        if table in outcomes.dimensions:
            members = outcomes.dimensions[table]
            numbers = [f"{getattr(members, name):,}" for name in (*_LOADED, "deleted", "inferred")]
            rows.append((table, *numbers, f"{count:,}"))
        elif outcomes.facts is not None:
            numbers = [f"{getattr(outcomes.facts, f'records_{name}'):,}" for name in _LOADED]
            gone = outcomes.facts.records_deleted
            deleted = f"{gone.by_flag + gone.by_absence:,}"
            rows.append((table, *numbers, deleted, "", f"{count:,}"))
    header = ("table", *_LOADED, "deleted", "inferred", "rows now")
    return ["", *aligned(header, rows)] if rows else []


def _rejects(summary: RunSummary) -> list[str]:
    rows = [
        (table, reason, f"{count:,}")
        for table, cleaned in summary.outcomes.tables.items()
        for reason, count in cleaned.rejected.items()
    ]
    if not rows:
        return []
    table = ["", *aligned(("rejected from", "reason", "rows"), rows)]
    return [*table, f"rejected rows are in {summary.rejects_dir}"] if summary.rejects_dir else table

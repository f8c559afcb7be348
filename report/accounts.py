"""What became of the rows of a run, and of their money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

from common.accounts import money_of
from common.outcomes import Account, Balance, MoneyAccount, MoneyBalance, Reconciliation
from config import StarSchemaConfig
from report.figures import amount, places_of
from report.screen import Column, Piece, Screen, Shown
from run.summary import RunSummary

_KINDS = {
    "read": "read", "inserted": "new", "updated": "changed", "unchanged": "same",
    "deleted": "removed", "skipped": "skipped", "duplicate": "dupl.", "rejected": "rejected",
}  # fmt: skip
"""What becomes of a row, and how it is called here."""
_DROPPED = {"unchanged": 9, "duplicate": 8, "skipped": 7}
"""What is left out first where there is no room."""
_ALWAYS = ("read", "inserted", "rejected")
"""What is shown even if there is none of it."""

Parts: TypeAlias = dict[str, Decimal]
"""By kind, how many rows, or how much money."""


def accounts(summary: RunSummary, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """Rows by source, and below them their money, currency by currency."""
    validation = summary.outcomes.validation
    if validation is None or validation.reconciliation is None:
        return []
    found = validation.reconciliation
    rows = [
        (config.star.source(name).called, _rows_of(account), 0, account.closed)
        for name, account in found.sources.items()
    ]
    for name, (account, balance) in money(found).items():
        parts = _amounts_of(account, balance)
        rows.append((name, parts, places_of(parts.values()), account.closed))
    kinds = [k for k in _KINDS if k in _ALWAYS or any(parts[k] for _, parts, *_ in rows)]
    columns = [Column(_KINDS[kind], drop=_DROPPED.get(kind, 0)) for kind in kinds]
    lines: list[list[Piece]] = [
        [name, *(_cell(parts, kind, places, screen) for kind in kinds), _closes(screen, is_closed)]
        for name, parts, places, is_closed in rows
    ]
    return screen.table([Column("rows"), *columns, Column(right=False)], lines, flowing=True)


def money(found: Reconciliation) -> Mapping[str, tuple[MoneyAccount, MoneyBalance | Balance]]:
    """By what it is called, the account of a currency, and the star's own balance."""
    balances = {name: part.balance for name, part in (found.currencies or {}).items()}
    none = "(none)" if len(balances) > 1 else ""
    return {
        f"net amount {name or none}".strip(): (account, balances.get(name, found.balance))
        for name, account in money_of(found).items()
    }


def _rows_of(account: Account) -> Parts:
    return {kind: Decimal(getattr(account, kind)) for kind in _KINDS}


def _amounts_of(account: MoneyAccount, balance: MoneyBalance | Balance) -> Parts:
    """What was loaded is new as far as the star's balance says so, and changed for the rest."""
    new = account.loaded if balance.inserted is None else balance.inserted
    parts = {kind: getattr(account, kind, Decimal(0)) for kind in _KINDS}
    return {**parts, "inserted": new, "updated": account.loaded - new}


def _cell(parts: Parts, kind: str, places: int, screen: Screen) -> Piece:
    value = parts[kind]
    if not value:
        return (screen.sign("none"), "dim")
    shown = amount(value, places, screen.sign("minus"))
    return (shown, "look") if kind == "rejected" else shown


def _closes(screen: Screen, is_closed: bool) -> Piece:
    if is_closed:
        return (f"{screen.sign('good')} closes", "good")
    return (f"{screen.sign('bad')} does not close", "bad")

"""The accounts of a run: whether what it was given, what it did, and the star add up."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Table

from common.outcomes import (
    Account,
    Balance,
    Claims,
    Input,
    MoneyAccount,
    Movement,
    Reconciliation,
    plain,
)

Held = tuple[int, Decimal]
"""How many facts the warehouse holds, and their net amount."""


def reconcile(fact: Table, claims: Claims, loaded: Held, now: Held) -> Reconciliation:
    """Rows and money by what became of them. What the warehouse holds is asked of it: `loaded` are
    the facts of this run, `now` are all.
    """
    sources = {}
    for name, given in claims.inputs.items():
        is_fact = given.table == fact.name
        sources[name] = _facts(given, claims, loaded[0]) if is_fact else _members(given, claims)
    return Reconciliation(sources, _money(fact, claims, loaded[1]), _balance(claims.movement, now))


def _facts(given: Input, claims: Claims, loaded: int) -> Account:
    counts, removals = claims.facts, claims.removals.rows
    account = Account(
        read=given.read,
        inserted=counts.records_inserted,
        updated=counts.records_updated,
        unchanged=counts.records_unchanged,
        deleted=removals.get("deleted", 0),
        skipped=given.skipped + removals.get("skipped", 0),
        duplicate=given.duplicate,
        rejected=given.rejected,
        closed=loaded == counts.records_inserted + counts.records_updated,
    )
    return _closed(account)


def _members(given: Input, claims: Claims) -> Account:
    """Each dimension has confirmed its rows when it was merged."""
    counts = claims.dimensions[given.table]
    account = Account(
        read=given.read,
        inserted=counts.inserted,
        updated=counts.updated,
        unchanged=counts.unchanged,
        deleted=0,
        skipped=given.skipped,
        duplicate=given.duplicate,
        rejected=given.rejected,
        closed=True,
    )
    return _closed(account)


def _closed(account: Account) -> Account:
    parts = (
        account.inserted, account.updated, account.unchanged, account.deleted, account.skipped,
        account.duplicate, account.rejected,
    )  # fmt: skip
    account.closed = account.closed and sum(parts) == account.read
    return account


def _money(fact: Table, claims: Claims, loaded: Decimal) -> MoneyAccount:
    [money] = [given.money for given in claims.inputs.values() if given.table == fact.name]
    none, said = Decimal(0), claims.removals.money
    parts = {
        "loaded": loaded,
        "unchanged": claims.net_unchanged + said.get("unchanged", none),
        "deleted": said.get("deleted", none),
        "skipped": money.get("skipped", none) + said.get("skipped", none),
        "duplicate": money.get("duplicate", none),
        "rejected": money.get("rejected", none),
    }
    read = money.get("read", none)
    return MoneyAccount(read=read, **parts, closed=read == sum(parts.values()))


def _balance(done: Movement, now: Held) -> Balance:
    """What the loader says that it has done to the star against what the star holds."""
    rows, net = now
    return Balance(
        rows_before=done.rows_before,
        rows_inserted=done.rows_inserted,
        rows_removed=done.rows_removed,
        rows_after=rows,
        before=done.before,
        inserted=done.inserted,
        corrected=done.corrected,
        removed=done.removed,
        after=net,
        closed=rows == done.rows_before + done.rows_inserted - done.rows_removed
        and net == done.before + done.inserted + done.corrected - done.removed,
    )


def unclosed(accounts: Reconciliation) -> list[str]:
    """The accounts that do not add up, in words."""
    problems = [
        f"the rows of {name} do not add up: {plain(account)}"
        for name, account in accounts.sources.items()
        if not account.closed
    ]
    if not accounts.money.closed:
        problems.append(f"the net amounts do not add up: {plain(accounts.money)}")
    if not accounts.balance.closed:
        problems.append(f"the facts before and after do not add up: {plain(accounts.balance)}")
    return problems

"""The accounts of a run: whether what it was given, what it did, and the star add up."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Table

from common.outcomes import (
    Account,
    Balance,
    Claims,
    CurrencyAccounts,
    Input,
    MoneyAccount,
    MoneyBalance,
    Movement,
    Reconciliation,
    plain,
)
from common.sums import Sums, currencies_of, plus

Held = tuple[int, Sums]
"""How many facts the warehouse holds, and their net amount."""


def reconcile(fact: Table, claims: Claims, loaded: Held, now: Held) -> Reconciliation:
    """Rows and money by what became of them. What the warehouse holds is asked of it: `loaded` are
    the facts of this run, `now` are all.
    """
    sources = {}
    for name, given in claims.inputs.items():
        is_fact = given.table == fact.name
        sources[name] = _facts(given, claims, loaded[0]) if is_fact else _members(given, claims)
    [read] = [given.money for given in claims.inputs.values() if given.table == fact.name]
    moved = {name: getattr(claims.movement, name) for name in _MOVED} | {"after": now[1]}
    parts = _parts(read, claims, loaded[1])
    names = currencies_of([*parts.values(), *moved.values()])
    accounts = {
        name: CurrencyAccounts(
            _money({part: sums.get(name, _NONE) for part, sums in parts.items()}),
            _net({part: sums.get(name, _NONE) for part, sums in moved.items()}),
        )
        for name in names
    }
    only = accounts[names[0]] if len(accounts) == 1 else None
    return Reconciliation(
        sources=sources,
        money=only.money if only else None,
        balance=_balance(claims.movement, now[0], accounts, only),
        currencies=None if names == [""] else accounts,
    )


_MOVED = ("before", "inserted", "corrected", "removed")
_NONE = Decimal(0)


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


def _parts(money: dict[str, Sums], claims: Claims, loaded: Sums) -> dict[str, Sums]:
    """What became of the net amounts."""
    said = claims.removals.money
    return {
        "read": money.get("read", {}),
        "loaded": loaded,
        "unchanged": plus(claims.net_unchanged, said.get("unchanged", {})),
        "deleted": said.get("deleted", {}),
        "skipped": plus(money.get("skipped", {}), said.get("skipped", {})),
        "duplicate": money.get("duplicate", {}),
        "rejected": money.get("rejected", {}),
    }


def _money(parts: dict[str, Decimal]) -> MoneyAccount:
    return MoneyAccount(**parts, closed=sum(parts.values()) == 2 * parts["read"])


def _net(parts: dict[str, Decimal]) -> MoneyBalance:
    left = parts["before"] + parts["inserted"] + parts["corrected"] - parts["removed"]
    return MoneyBalance(**parts, closed=left == parts["after"])


def _balance(
    done: Movement, rows: int, accounts: dict[str, CurrencyAccounts], only: CurrencyAccounts | None
) -> Balance:
    """What the loader says that it has done to the star against what the star holds."""
    net = {} if only is None else {n: getattr(only.balance, n) for n in (*_MOVED, "after")}
    is_closed = rows == done.rows_before + done.rows_inserted - done.rows_removed
    return Balance(
        rows_before=done.rows_before,
        rows_inserted=done.rows_inserted,
        rows_removed=done.rows_removed,
        rows_after=rows,
        **net,
        closed=is_closed and all(account.balance.closed for account in accounts.values()),
    )


def unclosed(accounts: Reconciliation) -> list[str]:
    """The accounts that do not add up, in words."""
    problems = [
        f"the rows of {name} do not add up: {plain(account)}"
        for name, account in accounts.sources.items()
        if not account.closed
    ]
    for name, money in money_of(accounts).items():
        if not money.closed:
            of = f" in {name}" if name else ""
            problems.append(f"the net amounts{of} do not add up: {plain(money)}")
    if not accounts.balance.closed:
        found = plain(accounts.balance if accounts.currencies is None else accounts.currencies)
        problems.append(f"the facts before and after do not add up: {found}")
    return problems


def money_of(accounts: Reconciliation) -> dict[str, MoneyAccount]:
    """The accounts of money by currency."""
    if accounts.currencies is not None:
        return {name: account.money for name, account in accounts.currencies.items()}
    return {} if accounts.money is None else {"": accounts.money}

"""What became of the rows of a run and of their money, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from common.outcomes import Account, Balance, MoneyAccount, MoneyBalance, Reconciliation
from pages.shown import NONE, count, exact, money, part_of, signed
from pages.story import Story
from report.accounts import money as money_of
from report.figures import places_of

_LOST = {
    "duplicate": "duplicates", "rejected": "rejected", "skipped": "skipped",
    "deleted": "removed a sale",
}  # fmt: skip
_KEPT = {
    "unchanged": "unchanged", "updated": "changed", "inserted": "new", "loaded": "loaded",
}  # fmt: skip
_ALWAYS = ("rejected", "inserted", "loaded")
"""What is shown even if there is none of it."""


@dataclass(frozen=True)
class Step:
    """A step of a waterfall: how much it is, and from where to where its bar goes, in per cent."""

    name: str
    shown: str
    whole: str
    share: str
    kind: str
    """`all`, `lost` or `kept`."""
    left: float
    width: float


@dataclass(frozen=True)
class Waterfall:
    """What became of the rows of a source, or of an amount."""

    name: str
    unit: str
    steps: list[Step]
    is_closed: bool


@dataclass(frozen=True)
class Line:
    """The star's own balance: of its rows, or of an amount."""

    name: str
    before: str
    inserted: str
    corrected: str
    removed: str
    after: str
    is_closed: bool


@dataclass(frozen=True)
class Accounts:
    """All accounts of a run."""

    waterfalls: list[Waterfall] = field(default_factory=list)
    balance: list[Line] = field(default_factory=list)


def accounts(story: Story) -> Accounts:
    """The accounts of a run, as far as it came to close them; else what was read and rejected."""
    found = story.summary.outcomes.validation
    if found is None or found.reconciliation is None:
        return Accounts(_as_far_as_it_came(story))
    closed, star = found.reconciliation, story.config.star
    # Sales come first: they are what people ask for.
    names = sorted(closed.sources, key=lambda name: name != star.sales.name)
    falls = [_rows(star.source(name).called, closed.sources[name]) for name in names]
    amounts = [_amounts(name, account) for name, (account, _) in money_of(closed).items()]
    return Accounts([*falls[:1], *amounts, *falls[1:]], _balance(closed, star.sales.called))


def _rows(name: str, account: Account) -> Waterfall:
    kinds = ("duplicate", "rejected", "skipped", "deleted", "unchanged", "updated", "inserted")
    parts = {kind: Decimal(getattr(account, kind)) for kind in kinds}
    return Waterfall(name, "rows", _steps(Decimal(account.read), parts), account.closed)


def _amounts(name: str, account: MoneyAccount) -> Waterfall:
    kinds = ("duplicate", "rejected", "skipped", "deleted", "unchanged", "loaded")
    parts = {kind: getattr(account, kind) for kind in kinds}
    return Waterfall(name, "amount", _steps(account.read, parts, is_money=True), account.closed)


def _as_far_as_it_came(story: Story) -> list[Waterfall]:
    """What was read of each source, and how much of it was refused, of a run that went no
    further.
    """
    outcomes, star = story.summary.outcomes, story.config.star
    read = outcomes.extraction.sources if outcomes.extraction else {}
    cleaned = {table.source: table for table in outcomes.tables.values()}
    found = []
    for name, source in read.items():
        known = cleaned.get(name)
        parts = {}
        if known is not None:
            rejected = sum(known.rejected.values())
            parts = {"duplicate": Decimal(known.duplicates), "rejected": Decimal(rejected)}
        called = next((s.called for s in star.sources if s.name == name), name)
        steps = _steps(Decimal(source.records), parts)
        found.append(Waterfall(called, "rows", steps, is_closed=True))
    return sorted(found, key=lambda fall: fall.name != star.sales.called)


def _steps(read: Decimal, parts: Mapping[str, Decimal], *, is_money: bool = False) -> list[Step]:
    """From all that was read down to nothing."""
    whole = max(read, Decimal(1)) if read >= 0 else abs(read)
    beside = [read, *parts.values()]
    found = [
        Step(
            "read",
            _shown(read, beside, is_money),
            _whole(read, is_money),
            "",
            "all",
            0,
            100 * bool(read),
        )
    ]
    left = read
    for kind, part in parts.items():
        left -= part
        if not part and kind not in _ALWAYS:
            continue
        low, high = sorted((float(left / whole), float((left + part) / whole)))
        low, high = max(low, 0.0), min(max(high, 0.0), 1.0)
        found.append(
            Step(
                _LOST.get(kind) or _KEPT[kind],
                _shown(part, beside, is_money),
                _whole(part, is_money),
                part_of(read and whole, part) if part else "",
                "lost" if kind in _LOST else "kept",
                round(100 * min(low, high), 2),
                max(round(100 * (high - min(low, high)), 2), 0.01 * bool(part)),
            )
        )
    return found


def _shown(value: Decimal, beside: list[Decimal], is_money: bool) -> str:
    if not value:
        return NONE
    return money(value, beside) if is_money else signed(f"{value:,.0f}")


def _whole(value: Decimal, is_money: bool) -> str:
    return exact(value) if is_money and value else ""


def _balance(found: Reconciliation, sales: str) -> list[Line]:
    rows = found.balance
    lines = [
        Line(
            sales, count(rows.rows_before), count(rows.rows_inserted), NONE,
            count(rows.rows_removed), count(rows.rows_after),
            rows.rows_before + rows.rows_inserted - rows.rows_removed == rows.rows_after,
        )
    ]  # fmt: skip
    balances: dict[str, Balance | MoneyBalance] = {
        f"net amount {name}".strip(): each.balance
        for name, each in (found.currencies or {}).items()
    }
    return [*lines, *(_line(n, b) for n, b in (balances or {"net amount": rows}).items())]


def _line(name: str, balance: Balance | MoneyBalance) -> Line:
    parts = ("before", "inserted", "corrected", "removed", "after")
    amounts = {part: getattr(balance, part) or Decimal(0) for part in parts}
    places = places_of(amounts.values())
    shown = {
        part: signed(f"{value:,.{places}f}") if value else NONE for part, value in amounts.items()
    }
    return Line(name, **shown, is_closed=balance.closed)

"""Columns that may be meant in place of those that were chosen: with tax or without, in cents, a
quantity of another name.
"""

from __future__ import annotations

import numpy as np

from proposal.ledger import ALL, Amounts, Answer, Ledger, is_system
from proposal.numbers import Floats, agree
from proposal.words import fits, plain, says

_CENTS = {
    "cents",
    "cent",
    "minor",
    "pence",
    "centimes",
    "centavos",
    "centesimi",
    "mikros",
    "micros",
}
_TAXES = (1.01, 1.3)
_NEAR, _LEAST = 0.05, 0.5


def find_quantity(
    ledger: Ledger, found: Amounts, price: str | None, total: str | None
) -> str | None:
    """A column with the quantity that is called otherwise, if price and total show it; where one
    might be, it is asked.
    """
    candidates = [name for name in ledger.numbers() if _may_be_quantity(ledger, name)]
    for name in candidates:
        if price is not None and total is not None:
            made = np.asarray(ledger.column(name) * ledger.column(price), np.float64)
            if agree(made, ledger.column(total)) >= ALL:
                return name
    if candidates:
        name = candidates[0]
        one = Answer("no: each row is one piece", {"quantity": {"value": "1"}})
        found.choices.append((f"Is {name} the quantity?", [Answer("yes", {"quantity": name}), one]))
        return name
    return None


def _may_be_quantity(ledger: Ledger, name: str) -> bool:
    reading = ledger.reading
    if name in reading.columns.values() or ledger.is_of_order(name):
        return False
    shape = ledger.table.shapes[name]
    values = ledger.column(name)
    known = values[~np.isnan(values)]
    if not shape.is_whole or shape.filled < 0.95 * shape.rows or not len(known):
        return False
    small = float((np.abs(known) <= 100).mean()) > 0.95 and float((known == 0).mean()) < 0.05
    return small and 1 < shape.distinct <= 60 and float((known == 1).mean()) > 0.2


def ask_for_rival(ledger: Ledger, found: Amounts) -> None:
    """Ask where another column is the same amount with tax, or is called a price just as well."""
    for role in ("unit_price", "line_amount"):
        name = found.columns.get(role)
        if not isinstance(name, str) or is_system(ledger, role) or found.choices:
            continue
        values = ledger.column(name)
        for other in ledger.numbers():
            if other != name and other not in _settled(ledger, found):
                rate = _is_taxed(ledger, role, name, other, values)
                if rate or _is_called_alike(ledger, role, name, other, values):
                    _ask(found, role, name, other, rate)
                    return


def _settled(ledger: Ledger, found: Amounts) -> set[str | None]:
    """Columns that are known to be something else."""
    reading = ledger.reading
    roles = ("tax", "shipping", "order_total", "unit_cost", "discount_amount", "discount_rate")
    mapped = {own for own in found.columns.values() if isinstance(own, str)}
    return {reading.columns.get(role) for role in roles} | mapped


def _is_taxed(ledger: Ledger, role: str, name: str, other: str, values: Floats) -> str:
    """By what two amounts differ if one is the other with a tax; '' if it is not."""
    if role not in fits(other, "transactions") and not _says_tax(other):
        return ""
    if not _says_tax(name) and not _says_tax(other):
        return ""
    ratio = ledger.column(other) / np.where(values == 0, np.nan, values)
    known = ratio[~np.isnan(ratio)]
    known = np.where(known < 1, 1 / np.where(known == 0, np.nan, known), known)
    if len(known) < 3 or not ((known >= _TAXES[0]) & (known <= _TAXES[1])).mean() >= ALL:
        return ""
    rates = np.unique(np.round(known, 2))
    return f"{rates[len(rates) // 2]:g}" if len(rates) <= 8 else ""


def _says_tax(name: str) -> bool:
    return says(name, "net") or says(name, "gross")


def _is_called_alike(ledger: Ledger, role: str, name: str, other: str, values: Floats) -> bool:
    """Whether another column has as good a name for a price, and other values."""
    if (
        role != "unit_price"
        or ledger.reading.weight(role) >= 0.995
        or "unit_price" in _proven(ledger)
    ):
        return False
    weight = fits(other, "transactions").get(role, 0.0)
    mine = fits(name, "transactions").get(role, 0.0)
    theirs = ledger.column(other)
    if ledger.quantities_differ and agree(ledger.quantity * values, theirs) >= ALL:
        return False  # it is the total
    alike = weight >= max(mine - _NEAR, _LEAST) and not ledger.is_of_order(other)
    return alike and agree(values, theirs) < ALL


def _proven(ledger: Ledger) -> set[str]:
    return ledger.proven


def _ask(found: Amounts, role: str, name: str, other: str, rate: str) -> None:
    first, second = (other, name) if says(other, "net") and not says(name, "net") else (name, other)
    text = f"Which price counts, {first} or {second}?"
    if rate:
        text = f"Which amount counts, {first} or {second} (they differ by a factor of {rate})?"
    found.columns[role] = first
    found.choices.append((text, [Answer(first, {role: first}), Answer(second, {role: second})]))


def tell_cents(ledger: Ledger, found: Amounts) -> None:
    """Say where amounts are in cents: no setting divides them."""
    for role in ("unit_price", "line_amount", "discount_amount"):
        name = found.columns.get(role)
        if not isinstance(name, str):
            continue
        own = ledger.table.shapes[name]
        is_stripe = "object" in ledger.table.shapes and own.is_whole
        if set(plain(name).split()) & _CENTS or (is_stripe and own.is_whole):
            found.unknown.append(
                f"{name} seems to be in cents, and no setting divides it: export it in whole "
                "units, or divide it in a query"
            )


def tell_refunds(ledger: Ledger, found: Amounts) -> None:
    """Say where a column has amounts that were paid back, which no setting subtracts."""
    name = ledger.reading.columns.get("return_flag")
    if name is None:
        return
    count = int((np.nan_to_num(ledger.column(name)) != 0).sum())
    if count:
        found.unknown.append(
            f"{name} is not 0 in {count:,} rows: what was paid back is not subtracted, unless a "
            "status leaves the sale out"
        )

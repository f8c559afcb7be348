"""What the amounts of sales mean: a piece's price, or a line's total."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from proposal.discounts import add_discount
from proposal.ledger import AFTER_RATE, ALL, Amounts, Answer, Ledger, is_system
from proposal.numbers import Floats, agree, floats, has_parts_of_cents
from proposal.rivals import ask_for_rival, find_quantity, tell_cents, tell_refunds
from proposal.roles import SURE, Reading
from proposal.tables import Found
from proposal.words import compact, plain, says


def amounts_of(ledger: Ledger) -> Amounts:
    """The columns for quantity, price and discount of sales."""
    found, quantity = Amounts(), ledger.reading.columns.get("quantity")
    price = _candidate(ledger, "unit_price")
    total = _candidate(ledger, "line_amount")
    if quantity is None:
        quantity = find_quantity(ledger, found, price, total)
        ledger.set_quantity(quantity)
    if quantity is not None:
        found.columns["quantity"] = quantity
    else:
        found.columns["quantity"] = {"value": "1"}
        found.evidence["quantity"] = "no column says how many: each row counts as one piece"
    if price is None and ledger.has_quantity:
        price = _price_by_arithmetic(ledger)
    _choose(ledger, found, price, total)
    gross = _gross(ledger, found)
    add_discount(ledger, found, gross)
    ask_for_rival(ledger, found)
    tell_cents(ledger, found)
    tell_refunds(ledger, found)
    _signs(ledger, found)
    return found


def _candidate(ledger: Ledger, role: str) -> str | None:
    """The column for an amount that is one of the line."""
    reading = ledger.reading
    names = [reading.columns[role]] if reading.has(role) else []
    names += [n for n in reading.others.get(role, []) if n not in reading.columns.values()]
    return next((name for name in names if not _is_out(ledger, name)), None)


def _price_by_arithmetic(ledger: Ledger) -> str | None:
    """A column that gives another one, multiplied with the quantity: a price, whatever its name."""
    if not ledger.quantities_differ:
        return None
    taken = {ledger.reading.columns.get(r) for r in ("tax", "shipping", "discount_amount")}
    values = {n: ledger.column(n) for n in ledger.numbers() if n not in taken}
    for price, p in values.items():
        for total, t in values.items():
            if total != price and np.any(p > 0) and agree(ledger.quantity * p, t) >= ALL:
                return price
    return None


def _is_out(ledger: Ledger, name: str) -> bool:
    system = ledger.reading.system
    if system is not None and compact(name) in system.meanings.values():
        return False
    return ledger.is_of_order(name) or ledger.only_on_first_lines(name)


def _choose(ledger: Ledger, found: Amounts, price: str | None, total: str | None) -> None:
    """Decide which column is the price of a piece, or the total of a line."""
    if price is None and total is None:
        found.problems.append(
            "no column has the price or the amount of a sale's line"
            + (_of_orders(ledger) and f"; {_of_orders(ledger)} is that of the whole order")
        )
        return
    if price is not None and total is not None and is_system(ledger, "line_amount"):
        price = None
    if price is not None and total is not None and is_system(ledger, "unit_price"):
        total = None
    if price is not None and total is not None:
        _choose_of_two(ledger, found, price, total)
    else:
        _choose_one(ledger, found, price or total or "", is_price=price is not None)


def _of_orders(ledger: Ledger) -> str:
    reading = ledger.reading
    names = [reading.columns.get(role) for role in ("order_total", "line_amount", "unit_price")]
    return next((name for name in names if name), "")


def _choose_of_two(ledger: Ledger, found: Amounts, price: str, total: str) -> None:
    """Both a price and a total: that they fit together shows which is which."""
    p, t, q = ledger.column(price), ledger.column(total), ledger.quantity
    if not ledger.has_quantity:
        _derive_quantity(ledger, found, price, total)
        return
    relation = _relation(ledger, p, t)
    if relation and _is_rounded(ledger, p, t):
        ledger.proven.add(AFTER_RATE)
        found.columns["line_amount"] = total
        found.evidence["line_amount"] = f"{relation}, rounded to the cent"
        return
    if relation:
        ledger.proven.add("unit_price")
        found.columns["unit_price"] = price
        found.evidence["unit_price"] = f"{total} is {relation}"
        return
    if ledger.quantities_differ and agree(q * t, p) >= ALL and agree(p, t) < ALL:
        found.columns["unit_price"] = total
        found.evidence["unit_price"] = f"quantity x {total} is {price}"
        return
    kinds = ledger.kind_of(p)[0], ledger.kind_of(t)[0]
    if kinds[0] == "unit" or (kinds[1] != "unit" and says(price, "unit")):
        _choose_one(ledger, found, price, is_price=True)
    elif "line" in kinds:
        _choose_one(ledger, found, price if kinds[0] == "line" else total, is_price=False)
    else:
        _choose_one(ledger, found, price, is_price=True)


def _is_rounded(ledger: Ledger, p: Floats, t: Floats) -> bool:
    """Whether a rate of discount gives parts of a cent, which the line's total has not."""
    gross = np.asarray(ledger.quantity * p, np.float64)
    if agree(gross, t) >= ALL:
        return False
    for role in ("discount_rate", "discount_amount"):
        d = np.nan_to_num(ledger.column(ledger.reading.columns.get(role)))
        for net in (gross * (1 - d / 100), gross * (1 - d)):
            if agree(net, t) >= ALL:
                return has_parts_of_cents(net, t)
    return False


def _relation(ledger: Ledger, p: Floats, t: Floats) -> str:
    """How a line's total is made of quantity, price and discount; '' where it is not."""
    q, reading = ledger.quantity, ledger.reading
    if not ledger.quantities_differ:
        return ""
    if agree(q * p, t) >= ALL:
        return "quantity x price in all rows"
    for role in ("discount_amount", "discount_rate"):
        d = np.nan_to_num(ledger.column(reading.columns.get(role)))
        made = {
            "quantity x price - discount": q * p - np.abs(d),
            "quantity x price less the discount's per cent": q * p * (1 - d / 100),
            "quantity x price less the discount's share": q * p * (1 - d),
            "quantity x (price - discount)": q * (p - d),
        }
        for text, values in made.items():
            if d.any() and agree(values, t) >= ALL:
                return text
    ratio = t / np.where(q * p == 0, np.nan, q * p)
    known = ratio[~np.isnan(ratio)]
    if len(known) > 4 and known.min() > 0.5:
        rates, counts = np.unique(np.round(known, 2), return_counts=True)
        if len(rates) <= 4 and counts.sum() == len(known) and rates.max() <= 1.3:
            return f"quantity x price x {', '.join(f'{r:g}' for r in rates)}, as with a tax"
    return ""


def _derive_quantity(ledger: Ledger, found: Amounts, price: str, total: str) -> None:
    """Two amounts, and no quantity: where they differ, and none is a multiple of the other, only a
    person knows which one counts.
    """
    p, t = ledger.column(price), ledger.column(total)
    found.columns["line_amount"] = total
    if agree(p, t) >= ALL:
        return
    times = t / np.where(p == 0, np.nan, p)
    if agree(np.maximum(np.round(times), 1.0), times) >= ALL:
        found.unknown.append(
            f"{total} is not {price} in all rows, and no column says how many pieces were sold"
        )
        return
    answers = [Answer(name, {"line_amount": name}) for name in (price, total)]
    found.columns["line_amount"] = price
    found.choices.append((f"Which amount counts, {price} or {total}?", answers))


def _choose_one(ledger: Ledger, found: Amounts, name: str, *, is_price: bool) -> None:
    """One amount: is it a piece's price, or a line's total?"""
    role = "unit_price" if is_price else "line_amount"
    if not ledger.has_quantity or not ledger.quantities_differ:
        found.columns[role] = name
        if not ledger.has_quantity:
            return
        found.evidence[role] = "all quantities are 1, so price and total are the same"
        if not (is_system(ledger, role) or _named_clearly(ledger, name, is_price=is_price)):
            found.unknown.append(
                f"{name} may be the price of a piece or the total of a line: all quantities here "
                f"are 1; it is taken for {'the price' if is_price else 'the total'}"
            )
        return
    kind, how = ledger.kind_of(ledger.column(name))
    named = ""
    if is_system(ledger, role) or _named_clearly(ledger, name, is_price=is_price):
        named = "unit" if is_price else "line"
    if kind and (not named or kind == named):
        role = "unit_price" if kind == "unit" else "line_amount"
        found.columns[role], found.evidence[role] = name, how
        return
    if named and not kind:
        found.columns[role] = name
        system = ledger.reading.system
        if is_system(ledger, role) and system is not None:
            found.evidence[role] = f"{system.name}: {system.because}"
        return
    if is_system(ledger, role) or plain(name) == plain(role):
        found.columns[role] = name
        found.unknown.append(f"{name}: {how}, which its name says otherwise")
        return
    _ask_price_or_total(found, name, role)


def _named_clearly(ledger: Ledger, name: str, *, is_price: bool) -> bool:
    """Whether a name says by itself whether it is a piece's price or a line's total."""
    if is_price:
        return says(name, "unit") and not says(name, "line")
    return (says(name, "line") and not says(name, "unit") and ledger.orders is None) or (
        says(name, "line")
        and ledger.reading.weight("line_amount") >= SURE
        and any(
            w in name.casefold() for w in ("line", "zeile", "lign", "lin", "riga", "regel", "pos")
        )
    )


def _ask_price_or_total(found: Amounts, name: str, role: str) -> None:
    unit = Answer("the price of one piece", {"unit_price": name})
    line = Answer("the total of all pieces of the line", {"line_amount": name})
    choices = [unit, line] if role == "unit_price" else [line, unit]
    found.columns[role] = name
    found.choices.append((f"What is {name}, where more than one piece was sold?", choices))


def _gross(ledger: Ledger, found: Amounts) -> Floats:
    """What each line costs before its discount."""
    price, total = found.columns.get("unit_price"), found.columns.get("line_amount")
    if total:
        return ledger.column(total)
    q = ledger.quantity if ledger.has_quantity else 1.0
    return np.asarray(q * ledger.column(price), np.float64)


_RETURNS = 0.003


def _signs(ledger: Ledger, found: Amounts) -> None:
    """Returns and free items: allowed where they are no exceptions."""
    total = max(1, ledger.table.rows.num_rows)
    below = int((ledger.quantity < 0).sum())
    price = found.columns.get("unit_price") or found.columns.get("line_amount")
    values = ledger.column(price) if isinstance(price, str) else np.array([])
    free = int((values == 0).sum())
    if below >= _RETURNS * total and below:
        found.general["accept_returns"] = True
        found.evidence["accept_returns"] = f"{below:,} rows have a quantity below 0"
    elif below:
        found.unknown.append(
            f"{below:,} rows have a quantity below 0 and are refused; accept_returns loads them"
        )
    if free >= _RETURNS * total and free:
        found.general["accept_free_items"] = True
        found.evidence["accept_free_items"] = f"{free:,} rows have a price of 0"
    elif free:
        found.unknown.append(
            f"{free:,} rows have a price of 0 and are refused; accept_free_items would load them"
        )


def list_prices(sales: Found, product: str, products: Reading, sign: str) -> Floats | None:
    """The list price of the product of each row; None where the products have none."""
    key, price = products.columns.get("product_id"), products.columns.get("price")
    if key is None or price is None:
        return None
    known = products.table.texts(key)
    where = pc.index_in(sales.texts(product), known)
    values = floats(products.table, price, sign)
    places = np.asarray(pc.fill_null(where, -1).to_numpy(zero_copy_only=False), np.int64)
    return np.where(places >= 0, values[places], np.nan)

"""What a discount is: money of the line, of a piece or of the order, or a rate."""

from __future__ import annotations

import re

import numpy as np

from proposal.ledger import AFTER_RATE, ALL, Amounts, Answer, Ledger, is_system
from proposal.numbers import Floats, agree, has_parts_of_cents
from proposal.words import plain, says


def add_discount(ledger: Ledger, found: Amounts, gross: Floats) -> None:
    """What a discount is: money of the line, of the order, or a rate."""
    if AFTER_RATE in ledger.proven:
        return
    reading = ledger.reading
    names = [reading.columns[r] for r in ("discount_rate", "discount_amount") if reading.has(r)]
    names.sort(key=lambda name: not _is_documented(ledger, name))
    names += reading.others.get("discount_amount", [])
    names = [n for n in dict.fromkeys(names) if not _is_used(found, n)]
    filled = [name for name in names if np.nan_to_num(ledger.column(name)).any()]
    same = {name for name in filled if _is_rate_of(ledger, name, filled, gross)}
    names, filled = ([n for n in some if n not in same] for some in (names, filled))
    clear = [name for name in filled if _is_rate_by_name(ledger, name)]
    of_lines = [name for name in filled if not ledger.only_on_first_lines(name)]
    kinds = {"discount_rate", "discount_amount"}
    ordered = list(dict.fromkeys([*clear, *of_lines, *filled]))
    if len(filled) > 1:
        _tell_other_discounts(ledger, found, ordered)
    for name in ordered or names[:1]:
        is_mapped = _map_discount(ledger, found, name, gross)
        if AFTER_RATE in ledger.proven:
            return
        if is_mapped and found.columns.keys() & kinds:
            break
    own = found.columns.keys() & kinds
    if own and "line_amount" in found.columns and not is_system(ledger, "line_amount"):
        _before_or_after(ledger, found, own.pop(), gross)


def _is_rate_of(ledger: Ledger, rate: str, others: list[str], gross: Floats) -> bool:
    """Whether a rate says what another column has as money, which is exact to the cent."""
    if not _is_rate_by_name(ledger, rate):
        return False
    d = np.nan_to_num(ledger.column(rate))
    for name in others:
        money = np.abs(np.nan_to_num(ledger.column(name)))
        is_money = name != rate and not _is_rate_by_name(ledger, name)
        if is_money and max(agree(gross * d / 100, money), agree(gross * d, money)) >= ALL:
            return True
    return False


def _is_used(found: Amounts, name: str) -> bool:
    return name in found.columns.values()


def _tell_other_discounts(ledger: Ledger, found: Amounts, names: list[str]) -> None:
    """Of several columns with discounts one is taken: say so where they are not the same."""
    first, *others = names
    sums = [ledger.by_order(name) for name in names]
    rest = [n for n, s in zip(others, sums[1:], strict=True) if agree(sums[0], s) < ALL]
    rest = [name for name in rest if not _is_rate_by_name(ledger, name)]
    if rest:
        found.unknown.append(
            f"of the discounts {first} is taken, and {', '.join(rest)} is left out"
        )


def _before_or_after(ledger: Ledger, found: Amounts, role: str, gross: Floats) -> None:
    """Find out, or ask, whether a line's total has its discount taken from it already."""
    name, total = found.columns[role], found.columns["line_amount"]
    values = np.nan_to_num(ledger.column(name))
    if not values.any():
        return
    d = values
    if role == "discount_rate":
        d = gross * (values / 100 if found.settings.get("rate_unit") == "percent" else values)
    if _told_by_prices(ledger, found, role, gross, d) or _told_by_columns(ledger, found, role):
        return
    open_kinds = found.choices.pop() if found.choices and name in found.choices[-1][0] else None
    after = Answer("yes, it is what was paid", {role: None})
    if open_kinds is None:
        before = Answer("no, it is the amount before the discount", {role: name})
        answers = [before, after]
    else:
        kinds = {"discount_rate", "discount_amount"}
        answers = [
            Answer(f"no; its values are {a.text}", a.columns, a.settings) for a in open_kinds[1]
        ]
        after = Answer(after.text, dict.fromkeys(kinds, None), {"rate_unit": None})
        answers.append(after)
    found.choices.append((f"Is {name} taken from {total} already?", answers))


def _told_by_prices(ledger: Ledger, found: Amounts, role: str, gross: Floats, d: Floats) -> bool:
    """Whether list prices tell if the discount is taken already; the columns are set so."""
    if ledger.prices is None:
        return False
    q = ledger.quantity if ledger.has_quantity else 1.0
    listed = np.asarray(q * ledger.prices, np.float64)
    if agree(listed[d != 0], gross[d != 0]) >= 0.8:
        found.evidence["line_amount"] = "quantity x the list price, before the discount"
        return True
    if agree(listed[d != 0] - d[d != 0], gross[d != 0]) >= 0.8:
        found.columns.pop(role)
        found.evidence["line_amount"] = "the list price less the discount"
        return True
    return False


def _told_by_columns(ledger: Ledger, found: Amounts, role: str) -> bool:
    """Whether another column is the same amount before the discount, or after it; the columns are
    set so.
    """
    if role != "discount_amount":
        return False
    name, total = found.columns[role], found.columns["line_amount"]
    d, t = np.nan_to_num(ledger.column(name)), ledger.column(total)
    rows = d != 0
    for other in ledger.numbers():
        if other in (name, total) or ledger.is_of_order(other):
            continue
        amount = ledger.column(other)
        if agree(amount[rows] - d[rows], t[rows]) >= ALL:
            found.columns["line_amount"] = other
            found.evidence["line_amount"] = f"{other} less {name} is {total}"
            return True
        if agree(t[rows] - d[rows], amount[rows]) >= ALL:
            found.evidence["line_amount"] = f"{total} less {name} is {other}"
            return True
    return False


def _is_rate_by_name(ledger: Ledger, name: str) -> bool:
    is_percent = says(name, "percent") or ledger.table.shapes[name].is_percent
    return is_percent and not _is_documented(ledger, name)


def _map_discount(ledger: Ledger, found: Amounts, name: str, gross: Floats) -> bool:
    """Map one discount; False where it cannot be."""
    values = ledger.column(name)
    known = values[~np.isnan(values)]
    is_blank = not len(known) or not known.any()
    if is_blank and not (ledger.table.elements and ledger.is_of_order(name)):
        if _is_rate_by_name(ledger, name):
            _set_discount(found, name, "percent", "0 in all rows: a rate by its name")
        else:
            _set_discount(found, name, "amount", "0 in all rows: taken for money")
        return True
    if is_blank:
        return False
    if ledger.is_of_order(name):
        found.unknown.append(
            f"{name} is the discount of the whole order, repeated on each of its lines: it is not "
            "taken, or it would be counted several times"
        )
        return False
    below = (values < 0) & (gross > 0)
    if below.sum() > 0.02 * (values != 0).sum():
        return _negative_discount(ledger, found, name, values, gross)
    return _map_positive(ledger, found, name, gross)


def _map_positive(ledger: Ledger, found: Amounts, name: str, gross: Floats) -> bool:
    """Map a discount that is not below 0; False where it cannot be."""
    values = ledger.column(name)
    if ledger.table.shapes[name].is_percent:
        found.columns["discount_rate"] = name
        found.evidence["discount_rate"] = "its values have a % sign"
        return True
    after, total, is_rounded = _after_discount(ledger, values, gross)
    if is_rounded:
        ledger.proven.add(AFTER_RATE)
        found.columns.pop("unit_price", None)
        found.columns["line_amount"] = total
        found.evidence["line_amount"] = f"{name} is taken from it, and it is rounded to the cent"
        return True
    if after == "per piece":
        found.unknown.append(f"{name} is the discount of one piece, which no setting multiplies")
        return False
    if after:
        _set_discount(found, name, after, "so the line's total comes out")
        return True
    return _by_values(ledger, found, name, values[~np.isnan(values)], gross, values)


def _after_discount(ledger: Ledger, d: Floats, gross: Floats) -> tuple[str, str, bool]:
    """What a discount is, if a total after discount shows it; which one; and whether that is
    rounded, so that a rate would give parts of a cent.
    """
    d = np.nan_to_num(d)
    reading = ledger.reading
    names = [reading.columns.get("line_amount"), *reading.others.get("line_amount", [])]
    rows = d != 0
    for name in filter(None, names):
        t = ledger.column(name)
        if not rows.any() or agree(gross[rows], t[rows]) >= 0.5:
            continue
        made = {
            "amount": gross - d,
            "percent": gross * (1 - d / 100),
            "fraction": gross * (1 - d),
            "per piece": gross - d * ledger.quantity,
        }
        fitting = [kind for kind, net in made.items() if agree(net[rows], t[rows]) >= ALL]
        if fitting:
            kind = fitting[0]
            is_rate = kind in ("percent", "fraction")
            return kind, name, is_rate and has_parts_of_cents(made[kind][rows], t[rows])
    return "", "", False


def _set_discount(found: Amounts, name: str, kind: str, why: str) -> None:
    if kind == "amount":
        found.columns["discount_amount"], found.evidence["discount_amount"] = name, why
        return
    found.columns["discount_rate"], found.evidence["discount_rate"] = name, why
    if kind == "percent":
        found.settings["rate_unit"] = "percent"


def _by_values(
    ledger: Ledger, found: Amounts, name: str, known: Floats, gross: Floats, values: Floats
) -> bool:
    """A discount of which only its name and values tell what it is."""
    if _is_documented(ledger, name):
        _set_discount(found, name, "amount", "as its maker documents")
        return True
    distinct = np.unique(known[known != 0])
    if _is_rate_by_name(ledger, name):
        if (distinct > 1).any() and (known <= 100).all():
            text = ", ".join(f"{value:g}" for value in distinct[:3])
            _set_discount(found, name, "percent", f"values {text}: per cent")
        elif (distinct < 1).all():
            _set_discount(found, name, "fraction", f"values such as {distinct[0]:g}: shares of 1")
        else:
            _ask_rate(found, name, ("percent", "fraction"))
        return True
    if (distinct < 1).all() and (known <= 1).all() and len(distinct) <= 40:
        money = ledger.reading.columns.get("discount_amount") == name
        is_rate = _is_few(distinct) and not _in_proportion(values, gross)
        if not is_rate and money and len(distinct) > 5:
            _set_discount(found, name, "amount", "")
        else:
            _ask_rate(found, name, ("fraction", "amount"))
        return True
    is_many = bool((distinct > 100).any()) or len(distinct) > 25
    if is_many or _in_proportion(values, gross):
        _set_discount(found, name, "amount", f"values up to {distinct[-1]:g}: money")
        return True
    if _is_money_by_name(ledger, name) or ledger.only_on_first_lines(name):
        _set_discount(found, name, "amount", "")
    else:
        _ask_rate(found, name, ("percent", "amount"))
    return True


def _is_documented(ledger: Ledger, name: str) -> bool:
    """Whether the maker of a report documents that a discount is money."""
    is_its = ledger.reading.columns.get("discount_amount") == name
    return is_its and is_system(ledger, "discount_amount")


def _is_money_by_name(ledger: Ledger, name: str) -> bool:
    """Whether a name, or the values, say that a discount is money."""
    has_sign = any(re.search(r"[^\W\d]|[$€£]", value) for value in ledger.table.shapes[name].values)
    return has_sign or says(name, "money") or plain(name) == "discount amount"


def _is_few(distinct: Floats) -> bool:
    return bool(np.allclose(distinct * 200, np.round(distinct * 200), atol=1e-6))


def _in_proportion(values: Floats, gross: Floats) -> bool:
    """Whether discounts are everywhere one of few shares of the amount, so that they are money."""
    rows = (values > 0) & (gross > 0)
    if rows.sum() < 5:
        return False
    shares = np.round(values[rows] / gross[rows], 3)
    varied = len(np.unique(np.round(values[rows], 2))) > 3 * len(np.unique(shares))
    return bool(varied and (shares <= 1).all())


def _ask_rate(found: Amounts, name: str, kinds: tuple[str, ...]) -> None:
    texts = {
        "percent": Answer("per cent: 5 is 5 %", {"discount_rate": name}, {"rate_unit": "percent"}),
        "fraction": Answer("shares: 0.05 is 5 %, 1 is 100 %", {"discount_rate": name}),
        "amount": Answer("money for the whole line", {"discount_amount": name}),
    }
    choices = [texts[kind] for kind in kinds]
    found.columns |= choices[0].columns
    found.settings |= choices[0].settings
    found.choices.append((f"What are the values of {name}?", choices))


def _negative_discount(ledger: Ledger, found: Amounts, name: str, d: Floats, gross: Floats) -> bool:
    """A discount below 0: a total from which it is taken already is used in its place."""
    reading = ledger.reading
    after = np.asarray(gross + np.nan_to_num(d), np.float64)
    for other in [reading.columns.get("line_amount"), *reading.others.get("line_amount", [])]:
        if other and agree(ledger.column(other), after) >= ALL:
            found.columns.pop("unit_price", None)
            found.columns["line_amount"] = other
            found.evidence["line_amount"] = f"after the discount, which {name} has below 0"
            return True
    found.unknown.append(f"{name} has discounts below 0, which cannot be taken; they are left out")
    return False

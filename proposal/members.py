"""The settings for customers, products and reps: from files of their own, or from the sales."""

from __future__ import annotations

import re
from typing import Any

from proposal.days import days_of
from proposal.keys import Reference, constant_columns
from proposal.model import SourceProposal
from proposal.numbers import separator_of
from proposal.roles import Reading, read_as
from proposal.sales import ROLES, Sales, write_columns
from proposal.tables import Found
from proposal.words import fits

_NUMBERS = ("price", "cost")
_ATTRIBUTES = {
    "customers": (
        "first_name", "last_name", "company", "email", "phone", "address", "city", "state",
        "postal_code", "country", "segment", "is_deleted",
    ),
    "products": ("name", "category", "brand", "price", "cost", "specifications", "is_deleted"),
    "sales_reps": ("first_name", "last_name", "email", "region", "hire_date"),
}  # fmt: skip
_LEAST, _CERTAIN = 0.45, 0.9
_REFS = set(ROLES.values())
_FROM_SALES = {
    "customers": ("email", "first_name", "last_name", "full_name", "company", "phone"),
    "products": ("name", "category", "brand"),
}
_FIRM = re.compile(
    r"\b(gmbh|ag|kg|ohg|inc|ltd|llc|corp|co|plc|sa|sarl|sas|srl|spa|bv|nv|oy|ab|as|lda|ltda|sl|"
    r"limited|company|group|ug|e\.?k|stores?|shop|market|trading|& co)\b\.?",
    re.IGNORECASE,
)


def member_source(reading: Reading, known: Reference | None, sales: Sales | None) -> SourceProposal:
    """The settings for a source of members that has files of its own."""
    table, source = reading.table, reading.source
    proposal = SourceProposal(source, table.path, dict(table.settings), dict(table.evidence))
    proposal.unknown += table.unknown
    role = ROLES[source]
    key = known.key if known is not None else reading.columns[role]
    columns: dict[str, Any] = {role: key}
    if source != "products":
        _whole_name(reading, columns, proposal)
    for name in _ATTRIBUTES[source]:
        if reading.weight(name) >= _LEAST and name not in columns:
            columns[name] = reading.columns[name]
    columns |= _blank_attributes(reading, columns)
    if columns.get("email") != key and "email" not in columns and table.shapes[key].is_email:
        columns["email"] = key
    _tell_key(proposal, table, role, key)
    _numbers(proposal, table, columns)
    _dates(proposal, table, columns)
    if known is not None and known.folds and sales is not None:
        proposal.settings["key_case"] = "fold"
        proposal.evidence["key_case"] = "sales write the ids in other letters, capital or small"
    write_columns(proposal, table, _ATTRIBUTES[source], columns)
    return proposal


def _blank_attributes(reading: Reading, columns: dict[str, Any]) -> dict[str, str]:
    """Attributes whose columns are there, though no row has a value today."""
    blank = set(reading.table.rows.column_names) - set(reading.table.shapes)
    found: dict[str, str] = {}
    for name in sorted(blank):
        for role, weight in fits(name, reading.source).items():
            is_free = role in _ATTRIBUTES[reading.source] and role not in {*columns, *found}
            if is_free and weight >= _CERTAIN:
                found[role] = name
    return found


def _tell_key(proposal: SourceProposal, table: Found, role: str, key: str) -> None:
    rows, distinct = table.rows.num_rows, table.distinct([key])
    proposal.evidence[role] = f"{distinct:,} of {rows:,} unique"
    if distinct < 0.95 * rows:
        proposal.unknown.append(f"{key} has only {distinct:,} different values in {rows:,} rows")


def _whole_name(reading: Reading, columns: dict[str, Any], proposal: SourceProposal) -> None:
    """A column with the whole name, where no column has first and last names."""
    if not reading.has("full_name") or reading.weight("first_name", "last_name") >= _LEAST:
        return
    shape = reading.shape("full_name")
    if shape.name == columns.get("customer_id"):
        return
    firms = sum(bool(_FIRM.search(value)) for value in shape.values)
    is_firm = firms > 0.3 * len(shape.values) and reading.weight("company") < _LEAST
    target = "company" if is_firm and reading.source == "customers" else "last_name"
    columns[target] = shape.name
    proposal.evidence[target] = "the whole name, which is shown as it is"


def _numbers(proposal: SourceProposal, table: Found, columns: dict[str, Any]) -> None:
    own = [columns[name] for name in _NUMBERS if name in columns]
    found = separator_of(table, own)
    if found.sign == ",":
        proposal.settings["decimal_separator"] = ","
        proposal.evidence["decimal_separator"] = found.evidence
    if found.doubtful:
        proposal.unknown.append(
            f"numbers such as {', '.join(found.doubtful)} are taken to have thousands"
            if "," in found.doubtful[0]
            else f"numbers such as {', '.join(found.doubtful)} are taken to have decimals"
        )
    if found.mixed:
        proposal.unknown.append(found.mixed)


def _dates(proposal: SourceProposal, table: Found, columns: dict[str, Any]) -> None:
    hired = columns.get("hire_date")
    if hired is None:
        return
    days = days_of(table, hired)
    proposal.settings |= days.settings
    proposal.unknown += days.unknown
    if days.choices:
        texts = " or ".join(text for text, _ in days.choices)
        proposal.unknown.append(f"the dates in {hired} may be read as {texts}")


def from_sales(source: str, sales: Sales) -> SourceProposal | None:
    """A source of members made of the sales, where no file describes them."""
    role = ROLES[source]
    key = sales.columns.get(role)
    table, together = sales.table, sales.together
    if key is None:
        return None
    if together is not None and key in together.of_orders:
        table, key = together.table, together.real[key]
    settings = dict(table.settings)
    proposal = SourceProposal(source, table.path, settings)
    what = source.removesuffix("s")
    columns: dict[str, Any] = {role: key}
    if isinstance(key, str):
        reading = read_as(table, source)
        columns |= _constant(reading, table, key, source, _said_of_sales(sales))
        proposal.evidence[role] = f"no file describes the {source}: they are taken from the sales"
        if table.blank(key).any():
            settings["skip_when"] = {key: [""]}
            proposal.evidence["skip_when"] = f"rows without a {what} name nobody"
    else:
        proposal.evidence[role] = "there is one for all sales"
    _fill(settings, columns)
    if "price" in columns and "decimal_separator" in sales.proposal.settings:
        settings["decimal_separator"] = ","
    write_columns(proposal, table, _ATTRIBUTES[source], columns)
    return proposal


def _said_of_sales(sales: Sales) -> set[str]:
    """The columns that are about a sale, whatever they are called: its order, date and amounts."""
    used = {
        own for name, own in sales.columns.items() if isinstance(own, str) and name not in _REFS
    }
    key = sales.columns.get("transaction_id")
    return used | {sales.order or ""} | (set(key) if isinstance(key, list) else set())


def _constant(
    reading: Reading, table: Found, key: str, source: str, others: set[str]
) -> dict[str, Any]:
    """The attributes that are the same in all rows of a member, `others` left out."""
    names = {
        name: reading.columns[name]
        for name in _FROM_SALES[source]
        if reading.weight(name) >= 0.6 and reading.columns[name] not in {key, *others}
    }
    if source == "products":
        own = read_as(table, "transactions").columns.get("product_name")
        names.pop("name", None)
        if own is not None and own != key:
            names["name"] = own
    good = set(constant_columns(table, key, dict.fromkeys(names.values())))
    found = {name: own for name, own in names.items() if own in good}
    whole = found.pop("full_name", None)
    if whole is not None and "last_name" not in found:
        found["last_name"] = whole
    if source == "customers" and table.shapes[key].is_email:
        found["email"] = key
    return found


def _fill(settings: dict[str, Any], columns: dict[str, Any]) -> None:
    """Leave out of the filling what is no column of this source; its first names the group."""
    filled = settings.get("fill_down")
    if not filled:
        return
    used = [name for name in filled[1:] if name in columns.values()]
    if used or filled[0] in columns.values():
        settings["fill_down"] = [filled[0], *used]
    else:
        del settings["fill_down"]

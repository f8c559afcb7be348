"""The settings for the sales: their columns, how they are written, and what they refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proposal.amounts import amounts_of, list_prices
from proposal.casting import Cast
from proposal.days import days_of, unread_dates
from proposal.filling import GROUP_TOO, filled_down
from proposal.joining import Joined, joined
from proposal.keys import Reference, reference, sales_key
from proposal.kinds import other_kinds
from proposal.ledger import Amounts, Ledger
from proposal.model import Choice, Question, SourceProposal
from proposal.numbers import separator_of
from proposal.roles import Reading
from proposal.statuses import skipped
from proposal.summaries import without_summaries
from proposal.tables import Found

_NAME = "transactions"
ROLES = {"customers": "customer_id", "products": "product_id", "sales_reps": "sales_rep_id"}
_IN_PLACE = {
    "customer_id": ("customer_email", "customer_name"),
    "product_id": ("product_name",),
    "sales_rep_id": (),
}
_AMOUNT_ROLES = (
    "unit_price", "line_amount", "discount_amount", "discount_rate", "unit_cost", "order_total",
    "tax", "shipping", "quantity",
)  # fmt: skip
_OPTIONAL = (
    "line_amount", "sales_rep_id", "discount_amount", "discount_rate", "unit_cost", "currency",
    "is_deleted",
)  # fmt: skip
_MUCH = 0.05


@dataclass
class Sales:
    """The proposal for the sales, and what the other sources need to know of them."""

    reading: Reading
    proposal: SourceProposal
    orders: SourceProposal | None = None
    references: dict[str, Reference] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    general: dict[str, Any] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    order: str | None = None
    """The column that names the order of a line."""
    together: Joined | None = None
    """The lines and their orders, if these are in another table."""

    @property
    def table(self) -> Found:
        """The table of the sales, its orders filled in."""
        return self.reading.table


def propose_sales(found: Cast, lines: Reading) -> Sales:
    """The settings for the sales, which are `lines`."""
    together = None if found.orders is None else joined(lines, found.orders, found.join_key)
    reading = together.reading if together else lines
    group = ""
    if together is None:
        reading, group = filled_down(without_summaries(reading, None))
        reading = without_summaries(reading, group or None)
    proposal = SourceProposal(_NAME, reading.table.path, dict(reading.table.settings))
    proposal.evidence |= reading.table.evidence
    proposal.unknown += reading.table.unknown
    sales = Sales(reading, proposal)
    sales.order = together.lines_key if together else group or _order_of(reading)
    _refer(sales, found.members)
    _key(sales)
    sign = _separator(sales)
    _date(sales)
    _amounts(sales, sign, found.members)
    _rest(sales)
    _write_columns(sales, together)
    if together is not None:
        sales.together, sales.orders = together, together.orders
        together.move_skips(proposal)
        proposal.settings["join"] = together.setting
        proposal.evidence["join"] = together.evidence
    return sales


def _order_of(reading: Reading) -> str | None:
    """The column that names the order, where an order has several rows."""
    name = reading.columns.get("order_id")
    if name is None or reading.table.distinct([name]) == reading.table.rows.num_rows:
        return None
    return name


def _refer(sales: Sales, members: Mapping[str, Reading]) -> None:
    """Find the columns that name customers, products and reps."""
    reading = sales.reading
    for source, role in ROLES.items():
        member = members.get(source)
        found = reference(reading, role, member) if member is not None else None
        if found is not None:
            sales.references[source] = found
            sales.columns[role] = found.column
            _tell_reference(sales, source, role, found)
        else:
            column = _in_place(reading, role)
            if column is not None:
                sales.columns[role] = column
            if member is not None and role != "sales_rep_id":
                sales.proposal.unknown.append(
                    f"no column of {reading.table.label} names the {source} of {member.table.label}"
                )
        _tell_blanks(sales, role)
    for source, role in list(ROLES.items())[:2]:
        if role not in sales.columns:
            who = source.removesuffix("s")
            sales.columns[role] = {"value": f"any {who}"}
            sales.proposal.unknown.append(
                f"no column names the {who}: all sales are of one, called 'any {who}'"
            )


def _tell_reference(sales: Sales, source: str, role: str, found: Reference) -> None:
    text = f"{found.found:,} of {found.named:,} found in {source}"
    sales.proposal.evidence[role] = text
    if found.folds:
        sales.proposal.evidence[role] += ", whatever the case of letters"
    if found.share < 0.5:
        sales.proposal.unknown.append(
            f"only {text} by {found.column}: the others would be inferred; is it the right column?"
        )


def _in_place(reading: Reading, role: str) -> str | None:
    """The column that names a member where no file describes them: the one with most values."""
    names = [reading.columns.get(role)]
    if role == "product_id":
        names += reading.others.get(role, [])
    names += [reading.columns.get(other) for other in _IN_PLACE[role]]
    known = [name for name in dict.fromkeys(names) if name is not None]
    if role == "product_id":  # what is different in each row names the row
        known = [n for n in known if not reading.table.shapes[n].is_unique] or known
    known = [n for n in known if reading.table.shapes[n].distinct > 1] or known
    if not known:
        return None
    filled = {name: reading.table.shapes[name].filled for name in known}
    return next(name for name in known if filled[name] >= 0.8 * max(filled.values()))


def _tell_blanks(sales: Sales, role: str) -> None:
    column = sales.columns.get(role)
    if not isinstance(column, str) or role == "sales_rep_id":
        return
    count, rows = int(sales.table.blank(column).sum()), sales.table.rows.num_rows
    if count > _MUCH * rows:
        sales.proposal.unknown.append(
            f"{column} is blank in {count:,} of {rows:,} rows; if these are no sales, skip_when "
            "leaves them out"
        )


def _key(sales: Sales) -> None:
    key = sales_key(sales.reading, sales.order)
    sales.columns["transaction_id"] = key.columns
    sales.proposal.evidence["transaction_id"] = key.evidence
    sales.proposal.unknown += key.unknown


def _separator(sales: Sales) -> str:
    """Propose the decimal separator; returns it."""
    reading = sales.reading
    names = [reading.columns[role] for role in _AMOUNT_ROLES if reading.has(role)]
    found = separator_of(reading.table, names)
    if found.sign == ",":
        sales.proposal.settings["decimal_separator"] = ","
        sales.proposal.evidence["decimal_separator"] = found.evidence
    if found.doubtful:
        text = f"What are numbers such as {', '.join(found.doubtful)}?"
        groups = Choice(
            "thousands: the sign stands between groups",
            {"decimal_separator": _sign_of(found.doubtful[0], groups=True)},
        )
        decimals = Choice(
            "decimals", {"decimal_separator": _sign_of(found.doubtful[0], groups=False)}
        )
        sales.questions.append(Question(_NAME, text, (groups, decimals)))
        sales.proposal.settings["decimal_separator"] = groups.settings["decimal_separator"]
    if found.mixed:
        sales.proposal.unknown.append(found.mixed)
    return str(sales.proposal.settings.get("decimal_separator", "."))


def _sign_of(value: str, *, groups: bool) -> str:
    """The decimal separator that makes a number such as 1,234 have groups, or decimals."""
    other = {",": ".", ".": ","}
    sign = "," if "," in value else "."
    return other[sign] if groups else sign


def _date(sales: Sales) -> None:
    reading, proposal = sales.reading, sales.proposal
    column = reading.columns.get("transaction_date") or _any_date(reading)
    if column is None:
        why = "no column has the date of a sale"
        hint = unread_dates(reading.table)
        sales.problems.append(f"{reading.table.label}: {why}{hint and '; '}{hint}")
        return
    sales.columns["transaction_date"] = column
    others = [n for n, s in reading.table.shapes.items() if s.is_date and n != column]
    days = days_of(reading.table, column, others)
    proposal.settings |= days.settings
    proposal.evidence["transaction_date"] = days.evidence
    proposal.unknown += days.unknown
    if days.choices:
        choices = tuple(Choice(text, settings) for text, settings in days.choices)
        sales.questions.append(Question(_NAME, f"How are the dates in {column} written?", choices))
    if days.zone_choices:
        choices = tuple(Choice(text, settings) for text, settings in days.zone_choices)
        sales.questions.append(Question("", f"Whose calendar day has a sale in {column}?", choices))
        sales.general |= days.zone_choices[0][1]


def _any_date(reading: Reading) -> str | None:
    """A column of dates, whatever it is called, if there is only one."""
    dates = [name for name, shape in reading.table.shapes.items() if shape.is_date]
    return dates[0] if len(dates) == 1 else None


def _amounts(sales: Sales, sign: str, members: Mapping[str, Reading]) -> None:
    products, known = members.get("products"), sales.references.get("products")
    prices = None
    if products is not None and known is not None:
        products.columns["product_id"] = known.key
        own = separator_of(products.table, [products.columns.get("price", "")]).sign
        prices = list_prices(sales.table, known.column, products, own)
    reading = sales.reading
    product = sales.columns.get("product_id")
    if isinstance(product, str):
        reading.columns["product_id"] = product
    amounts: Amounts = amounts_of(Ledger(reading, sign, sales.order, prices))
    sales.columns |= amounts.columns
    sales.proposal.evidence |= {k: v for k, v in amounts.evidence.items() if v}
    sales.proposal.unknown += amounts.unknown
    sales.proposal.settings |= amounts.settings
    sales.general |= amounts.general
    sales.problems += amounts.problems
    for text, answers in amounts.choices:
        every = {name for answer in answers for name in answer.columns}
        choices = [
            Choice(a.text, {"columns": {n: a.columns.get(n) for n in every}, **a.settings})
            for a in answers
        ]
        sales.questions.append(Question(_NAME, text, tuple(choices)))


def _rest(sales: Sales) -> None:
    """The columns that need no more than their name, and the sales that do not count."""
    reading, proposal = sales.reading, sales.proposal
    for role in ("currency", "unit_cost", "is_deleted"):
        if reading.weight(role) >= 0.6:
            sales.columns[role] = reading.columns[role]
    rep = reading.columns.get("sales_rep_id")
    if "sales_rep_id" not in sales.columns and rep and reading.weight("sales_rep_id") >= 0.6:
        sales.columns["sales_rep_id"] = rep
    status = skipped(reading)
    if status.skip_when:
        before = proposal.settings.get("skip_when", {}), proposal.evidence.get("skip_when", "")
        proposal.settings["skip_when"] = {**before[0], **status.skip_when}
        proposal.evidence["skip_when"] = "; ".join(filter(None, [before[1], status.evidence]))
    proposal.unknown += status.unknown
    used = {own for own in sales.columns.values() if isinstance(own, str)}
    proposal.unknown += other_kinds(reading, {*used, *proposal.settings.get("skip_when", {})})


def _write_columns(sales: Sales, together: Joined | None) -> None:
    """The setting for the columns: only those that are not called as ours."""
    columns = {role: own for role, own in sales.columns.items() if own is not None}
    known = {name.casefold() for name in sales.reading.columns.values()}
    optional = [name for name in _OPTIONAL if name in known]
    write_columns(sales.proposal, sales.table, optional, columns)
    if together is not None:
        mapped = together.split(sales.proposal.settings.get("columns", {}), sales.columns)
        sales.proposal.settings["columns"] = mapped
    _fill_only_used(sales)


def _fill_only_used(sales: Sales) -> None:
    """Fill down only what is used, and nothing where that leaves the group with all its cells."""
    settings = sales.proposal.settings
    group, *others = settings.get("fill_down", [""])
    used = {
        name for column in sales.columns.values() if isinstance(column, str) for name in [column]
    }
    used |= set(settings.get("skip_when", {}))
    kept = [name for name in others if name in used]
    if kept or sales.table.evidence.get("fill_down", "").endswith(GROUP_TOO):
        settings["fill_down"] = [group, *kept]
    else:
        settings.pop("fill_down", None)
        sales.proposal.evidence.pop("fill_down", None)


def write_columns(
    proposal: SourceProposal, table: Found, optional: Sequence[str], columns: Mapping[str, Any]
) -> None:
    """Write the setting for the columns: those that are not called as ours; and of those that are,
    though they are something else, that they are not meant.
    """
    mapped = {
        role: _with_other_names(own, table)
        for role, own in columns.items()
        if not (isinstance(own, str) and plain_same(role, own)) or own in table.other_names
    }
    there = {name.strip().casefold() for name in table.rows.column_names}
    mapped |= {name: {"value": ""} for name in optional if name in there and name not in columns}
    if mapped:
        proposal.settings["columns"] = mapped


def _with_other_names(own: Any, table: Found) -> Any:
    """What a column is made of, with the names that it has in other files."""
    if isinstance(own, list):
        return [_with_other_names(part, table) for part in own]
    others = table.other_names.get(own) if isinstance(own, str) else None
    return {"any": [own, *others]} if others else own


def plain_same(role: str, column: str) -> bool:
    """Whether a column is called as ours, so that no setting is needed."""
    return column.strip().casefold() == role

"""Which table is which source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proposal.roles import Reading, like_lines, like_orders, likeness, read_as
from proposal.tables import Found, overlap
from proposal.words import is_one_of

_LEAST_SALES, _LEAST_MEMBERS = 3.5, 2.0
_MEMBERS = ("customers", "products", "sales_reps")


@dataclass
class Cast:
    """The tables by source."""

    sales: Reading | None = None
    orders: Reading | None = None
    """The orders of the sales' lines, if they are a table of their own."""
    join_key: tuple[str, str] = ("", "")
    """The column of the lines, and that of the orders, by which they are joined."""
    members: dict[str, Reading] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    """Files and tables of which nothing is made, and why."""
    unknown: list[str] = field(default_factory=list)


def cast(tables: Sequence[Found]) -> Cast:
    """Find out which table is which source."""
    found = Cast()
    sales = sorted(
        ((likeness(r), _is_exploded_better(r), n, r) for n, r in _readings(tables, "transactions")),
        key=lambda item: (-item[0], not item[1], item[2]),
    )
    good = [reading for score, _, _, reading in sales if score >= _LEAST_SALES]
    members = _members(tables, good[0] if good else None)
    taken = {id(reading.table) for reading in members.values()}
    good = [reading for reading in good if id(reading.table) not in taken]
    rest = [r for _, r in _readings(tables, "transactions") if id(r.table) not in taken]
    if good:
        found.sales = best = _best_list(good)
        _join(found, best, rest)
    else:
        _join(found, None, rest)
    found.members = members
    _leave(found, tables, good)
    return found


def _readings(tables: Sequence[Found], source: str) -> list[tuple[int, Reading]]:
    return [(n, read_as(table, source)) for n, table in enumerate(tables) if len(table.rows)]


def _is_exploded_better(reading: Reading) -> bool:
    return bool(reading.table.elements)


def _best_list(good: Sequence[Reading]) -> Reading:
    """Of the tables that one list of records gives, the one whose rows are the sales."""
    first = good[0]
    same = [r for r in good if _is_same_list(r, first)]
    inside = [r for r in same if r.table.elements and _lines_inside(r) >= 2]
    return (
        max(inside, key=_lines_inside)
        if inside
        else next((r for r in same if not r.table.elements), first)
    )


def _is_same_list(one: Reading, other: Reading) -> bool:
    """Whether the rows of two tables are of one list, sheet or file."""
    mine, theirs = one.table, other.table
    same = (mine.settings.get(name) == theirs.settings.get(name) for name in ("records", "sheet"))
    return mine.path == theirs.path and all(same)


def _lines_inside(reading: Reading) -> int:
    """How many columns of a sale's line are inside the list of which each element is a row."""
    roles = ("product_id", "product_name", "quantity", "unit_price", "line_amount")
    inside = f"{reading.table.elements}."
    return sum(reading.columns.get(role, "").startswith(inside) for role in roles)


def _members(tables: Sequence[Found], sales: Reading | None) -> dict[str, Reading]:
    """The tables of customers, products and reps."""
    scored = []
    for source in _MEMBERS:
        for number, reading in _readings(tables, source):
            score = likeness(reading)
            if sales is not None and (reading.table.elements or _is_same_list(reading, sales)):
                continue
            if score >= _LEAST_MEMBERS and not _is_more_like_sales(reading, score):
                scored.append((score, -number, source, reading))
    found: dict[str, Reading] = {}
    taken: set[int] = set()
    for _, _, source, reading in sorted(scored, key=lambda item: item[:2], reverse=True):
        if source not in found and id(reading.table) not in taken:
            found[source] = reading
            taken.add(id(reading.table))
    return found


def _is_more_like_sales(reading: Reading, score: float) -> bool:
    return likeness(read_as(reading.table, "transactions")) > max(score, 5)


def _join(found: Cast, sales: Reading | None, readings: Sequence[Reading]) -> None:
    """Find the orders of lines that have no date of their own, or the lines of orders."""
    if sales is not None and like_lines(sales) and _is_complete(sales):
        readings = [] if sales.has("status") else list(filter(_cancels, readings))
    all_lines = [r for r in readings if like_lines(r) and not _is_complete(r)]
    if sales is not None and like_lines(sales):
        all_lines = [sales]
    best: tuple[float, Reading, Reading, tuple[str, str]] | None = None
    for lines in all_lines:
        for orders in readings:
            if _is_same_file(lines, orders) or not like_orders(orders):
                continue
            key, share = _order_key(lines, orders)
            if share > 0.5 and (best is None or share > best[0]):
                best = share, lines, orders, key
    if best is not None:
        _, found.sales, found.orders, found.join_key = best


def _cancels(orders: Reading) -> bool:
    """Whether orders have a status by which some of them do not count."""
    return orders.has("status") and any(
        is_one_of(text, "none") for text in orders.shape("status").values
    )


def _is_complete(sales: Reading) -> bool:
    """Whether sales say themselves when they were, and to whom."""
    is_dated = sales.weight("transaction_date") >= 0.6
    return is_dated and sales.has("customer_id", "customer_email")


def _is_same_file(one: Reading, other: Reading) -> bool:
    mine, theirs = one.table, other.table
    return mine.path == theirs.path and mine.settings.get("sheet") == theirs.settings.get("sheet")


def _order_key(lines: Reading, orders: Reading) -> tuple[tuple[str, str], float]:
    """The columns by which lines find their order, and how many do."""
    best, share = ("", ""), 0.0
    unique = [
        name for name, shape in orders.table.shapes.items()
        if shape.is_unique and not shape.is_date and not (shape.is_number and not shape.is_whole)
    ]  # fmt: skip
    named = orders.columns.get("order_id") or orders.columns.get("transaction_id")
    for key in sorted(unique, key=lambda name: name != named):
        for name, shape in lines.table.shapes.items():
            if shape.is_date or (shape.is_number and not shape.is_whole):
                continue
            count, known = overlap(lines.table, name, orders.table, key)
            own = known / max(1, count) * (shape.filled / max(1, shape.rows))
            is_order = lines.columns.get("order_id") == name or name.casefold() == key.casefold()
            covers = shape.distinct / max(1, orders.table.rows.num_rows)
            score = own * min(1.0, covers + 0.2) + (0.3 if is_order else 0)
            if own > 0.5 and score > share:
                best, share = (name, key), score
    return best, share


def _leave(found: Cast, tables: Sequence[Found], good: Sequence[Reading]) -> None:
    """Say of which tables nothing is made."""
    used = [r.table for r in (found.sales, found.orders, *found.members.values()) if r is not None]
    paths = {
        (table.path, table.settings.get("sheet"), table.settings.get("records")) for table in used
    }
    for table in tables:
        own = (table.path, table.settings.get("sheet"), table.settings.get("records"))
        if own in paths or table.elements:
            continue
        rival = next((r for r in good if r.table is table), None)
        if (
            rival is not None
            and len(table.rows) > 1
            and found.sales is not None
            and found.orders is None
        ):
            found.unknown.append(
                f"{table.label} looks like sales as well; it is not used, since one source has one "
                "kind of files"
            )
        found.left[table.label] = _why(table)


def _why(table: Found) -> str:
    if not len(table.rows):
        return "it has no rows"
    return "its columns are none of customers, products, sales or reps that are not there already"

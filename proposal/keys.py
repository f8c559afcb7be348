"""What tells the rows of a table apart, and how the rows of one table name those of another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from common.column_rules import COUNTED
from proposal.roles import Reading
from proposal.tables import Found, overlap

_CODE = re.compile(r"(?=.*\d)[\w#/.:=+-]{3,40}")
_NEARLY = 0.98
_LEAST_OVERLAP = 0.3
_NO_KEYS = {
    "quantity", "unit_price", "line_amount", "discount_amount", "discount_rate", "unit_cost",
    "transaction_date", "other_date", "cancelled_at", "currency", "status", "tax", "shipping",
    "order_total", "return_flag",
}  # fmt: skip


@dataclass
class Key:
    """What tells the rows of a table apart."""

    columns: Any
    evidence: str
    unknown: list[str] = field(default_factory=list)


def sales_key(reading: Reading, order: str | None) -> Key:
    """The key of sales; `order` is the column that names the order, where rows are its lines."""
    table = reading.table
    own = next((name for name in _own_keys(reading) if _is_key(table, [name])), None)
    if own is not None:
        return Key(own, _told(table, [own]))
    order = order or reading.columns.get("order_id") or reading.columns.get("transaction_id")
    return _without_order(reading) if order is None else _key_of_lines(reading, order)


def _key_of_lines(reading: Reading, order: str) -> Key:
    """The key of the lines of orders."""
    table, rows = reading.table, reading.table.rows.num_rows
    alone = f"{order} alone: {table.distinct([order]):,}"
    lines = [reading.columns.get("line_number"), *reading.others.get("line_number", [])]
    for line in filter(None, lines):
        if line != order and _is_key(table, [order, line]):
            return Key([order, line], f"{_told(table, [order, line])} ({alone})")
    unnamed = _unnamed_key(reading)
    if unnamed is not None:
        return Key(unnamed, _told(table, [unnamed]))
    product = reading.columns.get("product_id")
    is_product = product is not None and table.is_unique([order, product])
    by_product = Key([order, product], f"{_told(table, [order, product or order])} ({alone})")
    is_filled = "fill_down" in table.settings
    if is_product and not is_filled and rows - table.distinct([order]) >= 100:
        return by_product
    if _is_consecutive(table, order):
        return Key([order, COUNTED], f"{alone} of {rows:,}; its lines are counted")
    if is_product:
        return by_product
    text = f"the lines of one {order} do not stand together: no key was found"
    return Key([order, COUNTED], "", [text])


def _own_keys(reading: Reading) -> list[str]:
    """Columns that may be a key by themselves, the likeliest first."""
    table = reading.table
    named = [reading.columns.get("transaction_id"), *reading.others.get("transaction_id", [])]
    inside = [n for n in named if n and table.elements and n.startswith(f"{table.elements}.")]
    order = [reading.columns.get("order_id"), *reading.others.get("order_id", [])]
    lines = [reading.columns.get("line_number")]
    found = [*inside, *named, *order, *lines]
    taken = {reading.columns.get(role) for role in ("customer_id", "product_id", "sales_rep_id")}
    used = {c for role, c in reading.columns.items() if role in _NO_KEYS}
    return [n for n in dict.fromkeys(filter(None, found)) if n not in taken and n not in used]


def _is_key(table: Found, columns: Sequence[str]) -> bool:
    """Whether columns tell nearly all rows apart; rows with the same key are the same rows."""
    if any(table.shapes[name].filled < _NEARLY * table.rows.num_rows for name in columns):
        return False
    distinct, rows = table.distinct(columns), table.rows.num_rows
    if distinct == rows:
        return True
    if distinct < _NEARLY * rows:
        return False
    return table.distinct(list(table.rows.column_names)) <= int(0.4 * distinct + 0.6 * rows)


def _told(table: Found, columns: Sequence[str]) -> str:
    together = " together" if len(columns) > 1 else ""
    return f"{table.distinct(columns):,} of {table.rows.num_rows:,} unique{together}"


def _is_consecutive(table: Found, order: str) -> bool:
    """Whether the rows of each order stand together."""
    codes = table.texts(order).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    starts = 1 + int((codes[1:] != codes[:-1]).sum())
    return starts <= table.distinct([order]) + max(1, len(codes) // 1000)


def _without_order(reading: Reading) -> Key:
    """The key of sales that have neither a number of their own nor an order's."""
    table = reading.table
    own = _unnamed_key(reading)
    if own is not None:
        return Key(own, _told(table, [own]))
    roles = ("transaction_date", "customer_id", "product_id")
    parts = [reading.columns[role] for role in roles if reading.has(role)]
    text = f"no column tells the sales apart: they are counted within {', '.join(parts)}"
    return Key([*parts, COUNTED], "", [text])


def _unnamed_key(reading: Reading) -> str | None:
    """A column of codes or whole numbers, each of which is there once, whatever it is called."""
    used = {column for role, column in reading.columns.items() if role in _NO_KEYS}
    for name, shape in reading.table.shapes.items():
        if not shape.is_unique or name in used or shape.is_date or len(shape.values) < 20:
            continue
        if shape.is_whole or all(_CODE.fullmatch(value) for value in shape.values):
            return name
    return None


@dataclass
class Reference:
    """How the rows of one table name those of another."""

    column: str
    key: str
    found: int
    named: int
    folds: bool = False
    """Whether they agree only if the case of letters does not count."""

    @property
    def share(self) -> float:
        """The share of the rows that name somebody whom the other table has."""
        return self.found / max(1, self.named)


def reference(sales: Reading, role: str, member: Reading) -> Reference | None:
    """The columns of both tables by which sales name a member."""
    best: tuple[float, Reference] | None = None
    own = member.table
    for key, key_weight in _keys_of(member, role):
        known = pc.unique(own.texts(key))
        names = set(known.to_pylist())
        for column, weight in _columns_for(sales, role):
            shape = sales.table.shapes[column]
            hits = shape.share([True if value in names else None for value in shape.values])
            if hits < _LEAST_OVERLAP and (weight < 0.5 or key_weight < 0.5):
                continue
            if hits >= 0.9 and weight == 0 and not _is_telling(shape.values):
                continue
            score = 2 * hits + 0.5 * weight + 0.5 * key_weight
            if best is None or score > best[0] + 1e-9:
                named, found = overlap(sales.table, column, own, key)
                best = score, Reference(column, key, found, named)
    if best is None:
        return None
    found_best = best[1]
    return _folded(sales.table, own, found_best) if found_best.share < 0.98 else found_best


def _keys_of(member: Reading, role: str) -> Iterable[tuple[str, float]]:
    """Columns that tell members apart, each with how well its name fits."""
    table = member.table
    named = {member.columns.get(role): member.weights.get(role, 0.0)}
    named |= dict.fromkeys(member.others.get(role, []), 0.4)
    email = member.columns.get("email")
    for name, shape in table.shapes.items():
        if shape.is_date or shape.is_nested or shape.filled < 0.5 * table.rows.num_rows:
            continue
        if shape.distinct >= 0.95 * shape.filled and not (shape.is_number and not shape.is_whole):
            yield name, named.get(name, 0.3 if name == email else 0.0)


def _columns_for(sales: Reading, role: str) -> Iterable[tuple[str, float]]:
    """Columns of sales that may name a member, each with how well its name fits."""
    fitting = {sales.columns.get(role): sales.weights.get(role, 0.0)}
    fitting |= dict.fromkeys(sales.others.get(role, []), 0.5)
    beside = {"customer_id": ("customer_email", "customer_name"), "product_id": ("product_name",)}
    for other in beside.get(role, ()):
        if sales.has(other):
            fitting.setdefault(sales.columns[other], 0.4)
    used = {
        column
        for other, column in sales.columns.items()
        if other != role and (sales.weights[other] > 0.9 or other in _NO_KEYS)
    } - set(fitting)
    for name, shape in sales.table.shapes.items():
        if name not in used and not shape.is_date and not shape.is_nested:
            yield name, fitting.get(name, 0.0)


def _is_telling(values: Sequence[str]) -> bool:
    """Whether values are more than small numbers, which many columns have."""
    return len(values) >= 5 and not all(value.isdigit() and len(value) < 4 for value in values)


def _folded(table: Found, other: Found, exact: Reference) -> Reference:
    """The reference without regard to the case of letters, if that finds more."""
    values = table.texts(exact.column)
    values = pc.utf8_lower(values.filter(pc.not_equal(values, "")))
    keys = pc.utf8_lower(other.texts(exact.key))
    found = pc.sum(pc.is_in(values, pc.unique(keys))).as_py() or 0
    if found <= exact.found or len(pc.unique(keys)) < other.distinct([exact.key]):
        return exact
    return Reference(exact.column, exact.key, found, exact.named, folds=True)


def constant_columns(table: Found, key: str, columns: Iterable[str]) -> list[str]:
    """Those of some columns that have one value for each value of `key`."""
    keys = table.texts(key)
    filled = pc.not_equal(keys, "")
    keys = keys.filter(filled)
    known = len(pc.unique(keys))
    found = []
    for name in columns:
        pairs = pa.table({"key": keys, "value": table.texts(name).filter(filled)})
        if len(pairs.group_by(["key", "value"]).aggregate([])) == known:
            found.append(name)
    return found

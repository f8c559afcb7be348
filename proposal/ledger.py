"""The numbers of a table of sales, to calculate with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from proposal.numbers import Floats, floats, slope
from proposal.roles import Reading
from proposal.tables import Found

_IDS = (
    "quantity", "transaction_id", "order_id", "line_number", "customer_id", "product_id",
    "sales_rep_id",
)  # fmt: skip
Codes = npt.NDArray[np.int64]
AFTER_RATE = "after rate"
"""It is proven that a line's total has its discount taken, and is rounded to the cent."""
ALL = 0.97
"""The share of the rows that must agree for a relation to hold in all of them."""


@dataclass(frozen=True)
class Answer:
    """An answer to a question about amounts: its text, and the columns and settings it means."""

    text: str
    columns: dict[str, Any]
    settings: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Amounts:
    """The columns for quantity, price and discount, with what speaks for them."""

    columns: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    general: dict[str, Any] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    choices: list[tuple[str, list[Answer]]] = field(default_factory=list)
    """Questions, each with its answers."""


class Ledger:
    """The numbers of a table of sales."""

    def __init__(
        self, reading: Reading, sign: str, order: str | None, prices: Floats | None
    ) -> None:
        """`order` is the column that names the order, `prices` the list price of each row."""
        self.reading = reading
        self.table: Found = reading.table
        self.sign = sign
        self.prices = prices
        self.orders = None if order is None else _codes(self.table, order)
        self.set_quantity(reading.columns.get("quantity"))
        self.proven: set[str] = set()
        """Amounts whose meaning the rows have shown."""
        product = reading.columns.get("product_id") or reading.columns.get("product_name")
        self.products = _codes(self.table, product) if product else None

    def set_quantity(self, name: str | None) -> None:
        """Take a column for the quantity."""
        self.quantity = floats(self.table, name, self.sign)
        self.has_quantity = name is not None

    def column(self, name: str | None) -> Floats:
        """The numbers of a column."""
        return floats(self.table, name, self.sign)

    def numbers(self) -> list[str]:
        """The columns of numbers that are neither ids nor dates."""
        ids = {self.reading.columns.get(role) for role in _IDS}
        return [
            name
            for name, shape in self.table.shapes.items()
            if shape.is_number and not shape.is_date and name not in ids
        ]

    def by_order(self, name: str) -> Floats:
        """The sum of a column for each order, or for each row where rows are no lines of orders."""
        values = np.nan_to_num(self.column(name))
        if self.orders is None:
            return values
        return np.asarray(np.bincount(self.orders, values), np.float64)

    @property
    def quantities_differ(self) -> bool:
        """Whether there is any quantity other than one."""
        known = self.quantity[~np.isnan(self.quantity)]
        return bool((np.abs(known) != 1).any())

    def is_of_order(self, name: str) -> bool:
        """Whether a number is the order's and not its lines': it is the same in all lines of
        orders whose lines differ, or it is outside of the list of the lines.
        """
        table = self.table
        if table.elements:
            return not name.startswith(f"{table.elements}.")
        if self.orders is None:
            return False
        values = self.column(name)
        several, same, differ = 0, 0, 0
        for rows in _groups(self.orders, values):
            if len(rows) < 2:
                continue
            own = values[rows]
            if not own.any():
                continue
            several += 1
            same += bool((np.abs(own - own[0]) < 0.005).all())
            differ += self._lines_differ(rows)
        is_same = several >= 3 and same >= 0.95 * several and differ >= 0.5 * several
        return is_same and self._varies_by_order(values)

    def _varies_by_order(self, values: Floats) -> bool:
        """Whether a product has other values in other orders, so that they are not its own."""
        if self.products is None:
            return True
        groups = [values[rows] for rows in _groups(self.products, values) if len(rows) > 1]
        varied = sum(bool((np.abs(own - own[0]) > 0.005).any()) for own in groups)
        return bool(groups) and varied >= 0.5 * len(groups)

    def _lines_differ(self, rows: Codes) -> bool:
        own = self.quantity[rows]
        has_other_quantity = bool((own != own[0]).any())
        has_other_product = self.products is not None and len(set(self.products[rows])) > 1
        return has_other_quantity or has_other_product

    def only_on_first_lines(self, name: str) -> bool:
        """Whether only the first line of an order has this number."""
        if self.orders is None:
            return False
        values = self.column(name)
        later = np.zeros(len(values), bool)
        later[1:] = self.orders[1:] == self.orders[:-1]
        return bool(later.any() and np.isnan(values[later]).all())

    def kind_of(self, values: Floats) -> tuple[str, str]:
        """`unit` or `line` where the rows tell which an amount is, and how; else ''."""
        found = ("", "") if self.prices is None else self._by_list_price(values, self.prices)
        if not found[0] and self.products is not None:
            return self._by_product(values, self.products)
        return found

    def _by_list_price(self, values: Floats, prices: Floats) -> tuple[str, str]:
        good = ~np.isnan(values) & ~np.isnan(prices) & (self.quantity > 1) & (values > 0)
        good &= prices > 0
        if good.sum() < 2:
            return "", ""
        x, y = np.log(self.quantity[good]), np.log(values[good] / prices[good])
        as_unit, as_line = float(np.median(np.abs(y))), float(np.median(np.abs(y - x)))
        if min(as_unit, as_line) < 0.25 and max(as_unit, as_line) > 3 * min(as_unit, as_line) + 0.1:
            kind = "unit" if as_unit < as_line else "line"
            what = "the list price" if kind == "unit" else "quantity x the list price"
            return kind, f"about {what} where several pieces were sold ({int(good.sum()):,} rows)"
        return "", ""

    def _by_product(self, values: Floats, products: Codes) -> tuple[str, str]:
        grows, error, rows = slope(values, self.quantity, products)
        if rows < 3 or error > 0.15:
            return "", ""
        if abs(grows) < 0.2 + error and rows >= 3:
            return "unit", f"of a product the same for any quantity ({rows:,} rows)"
        if abs(grows - 1) < 0.2 + error:
            return "line", f"of a product it grows with the quantity ({rows:,} rows)"
        return "", ""


def _codes(table: Found, name: str) -> Codes:
    encoded = table.texts(name).dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)


def _groups(codes: Codes, values: Floats) -> list[Codes]:
    """The rows of each group that have a number."""
    rows = np.flatnonzero(~np.isnan(values))
    order = rows[np.argsort(codes[rows], kind="stable")]
    if not len(order):
        return []
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return list(np.split(order, cuts))


def is_system(ledger: Ledger, role: str) -> bool:
    """Whether the maker of a report documents which column has a role."""
    return ledger.reading.weights.get(role, 0) > 1.2

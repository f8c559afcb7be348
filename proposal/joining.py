"""Lines and their orders in two tables, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from proposal.model import SourceProposal
from proposal.roles import Reading, read_as
from proposal.tables import Found
from proposal.words import is_flag

ORDERS = "orders"
_OF_ORDERS = (
    "transaction_date", "customer_id", "customer_email", "customer_name", "sales_rep_id",
    "currency", "status", "cancelled_at",
)  # fmt: skip


_OF_LINES = (
    "transaction_id", "transaction_date", "customer_id", "product_id", "sales_rep_id", "quantity",
    "unit_price", "line_amount", "discount_amount", "discount_rate", "unit_cost", "currency",
    "is_deleted",
)  # fmt: skip


@dataclass
class Joined:
    """The lines with the columns of their orders, and the settings that join them."""

    reading: Reading
    orders: SourceProposal
    setting: dict[str, str]
    evidence: str
    lines_key: str
    of_orders: set[str]
    """The columns that are the orders'."""
    table: Found
    """The orders."""

    def split(self, mapped: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the lines; those of the orders are put into their own settings."""
        theirs: dict[str, Any] = {}
        own = dict(mapped)
        for role, column in columns.items():
            if isinstance(column, str) and column in self.of_orders:
                own.pop(role, None)
                theirs[role] = self.real[column]
        if self.setting["key"] == "order_id":
            own["order_id"] = self.lines_key
        theirs |= {name: {"value": ""} for name in self._called_as_ours() if name not in theirs}
        self.orders.settings.setdefault("columns", {}).update(theirs)
        return own

    def _called_as_ours(self) -> list[str]:
        """The columns of the orders that are called as ours are for a line, such as a discount."""
        names = {name.strip().casefold() for name in self.table.rows.column_names}
        return [role for role in _OF_LINES if role in names]

    def move_skips(self, proposal: SourceProposal) -> None:
        """Put what is asked of the orders' own columns into their settings."""
        settings = proposal.settings
        asked = settings.get("skip_when", {})
        theirs = {self.real[n]: texts for n, texts in asked.items() if n in self.of_orders}
        left = {name: texts for name, texts in asked.items() if name not in self.of_orders}
        settings.pop("skip_when", None)
        if left:
            settings["skip_when"] = left
        if theirs:
            self.orders.settings["skip_when"] = theirs
            if not left:
                self.orders.evidence["skip_when"] = proposal.evidence.pop("skip_when", "")

    @property
    def real(self) -> dict[str, str]:
        """By a column's name here, that in the orders' file."""
        return {name: name.removesuffix(_MARK) for name in self.of_orders}


_MARK = " (orders)"


def _columns_of(orders: Reading) -> list[str]:
    """The columns that orders have for their lines."""
    names = [orders.columns.get(role) for role in _OF_ORDERS]
    names += orders.others.get("status", []) + list(filter(is_flag, orders.table.shapes))
    return list(dict.fromkeys(filter(None, names)))


def joined(lines: Reading, orders: Reading, by: tuple[str, str]) -> Joined:
    """The table of lines with what their orders say of them; `by` are a column of each."""
    own, key = by
    where = pc.index_in(lines.table.texts(own), orders.table.texts(key))
    rows, names = _beside(lines.table, orders, key, where)
    reading = read_as(replace(lines.table, rows=rows), "transactions")
    for role in _OF_ORDERS:
        name = names.get(orders.columns.get(role, ""))
        if name is not None and (role not in lines.columns or lines.weights[role] < 0.6):
            reading.columns[role], reading.weights[role] = name, orders.weights[role]
    more = [names[column] for column in orders.others.get("status", []) if column in names]
    reading.others["status"] = [*reading.others.get("status", []), *more]
    proposal = SourceProposal(ORDERS, orders.table.path, dict(orders.table.settings))
    proposal.unknown += orders.table.unknown
    setting = {"source": ORDERS, "key": own}
    known = len(where) - where.null_count
    evidence = f"{known:,} of {len(where):,} lines found in {orders.table.label} by {own}"
    made = Joined(reading, proposal, setting, evidence, own, set(names.values()), orders.table)
    if own != key:
        setting["key"] = "order_id"
        proposal.settings["columns"] = {"order_id": key}
    return made


def _beside(
    lines: Found, orders: Reading, key: str, where: pa.Array
) -> tuple[pa.Table, dict[str, str]]:
    """The rows of lines with the columns of their orders, and by their names what these are called
    there.
    """
    rows, mine = lines.rows, set(lines.rows.column_names)
    names: dict[str, str] = {}
    for column in _columns_of(orders):
        name = f"{column}{_MARK}" if column in mine else column
        if column != key and name not in rows.column_names:
            rows = rows.append_column(name, orders.table.texts(column).take(where))
            names[column] = name
    return rows, names

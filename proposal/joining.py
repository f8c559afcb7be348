"""Lines and their orders in two tables, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow.compute as pc

from proposal.model import SourceProposal
from proposal.roles import Reading, read_as

ORDERS = "orders"
_OF_ORDERS = (
    "transaction_date", "customer_id", "customer_email", "customer_name", "sales_rep_id",
    "currency", "status",
)  # fmt: skip


@dataclass
class Joined:
    """The lines with the columns of their orders, and the settings that join them."""

    reading: Reading
    orders: SourceProposal
    setting: dict[str, str]
    evidence: str
    lines_key: str
    of_orders: set[str] = field(default_factory=set)
    """The columns that are the orders'."""

    def split(self, mapped: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the lines; those of the orders are put into their own settings."""
        theirs, own = {}, dict(mapped)
        for role, column in columns.items():
            if isinstance(column, str) and column in self.of_orders:
                own.pop(role, None)
                theirs[role] = self.real[column]
        if self.setting["key"] == "order_id":
            own["order_id"] = self.lines_key
        self.orders.settings.setdefault("columns", {}).update(theirs)
        return own

    def move_skips(self, settings: dict[str, Any]) -> None:
        """Put what is asked of the orders' own columns into their settings."""
        asked = settings.get("skip_when", {})
        theirs = {self.real[n]: texts for n, texts in asked.items() if n in self.of_orders}
        left = {name: texts for name, texts in asked.items() if name not in self.of_orders}
        settings.pop("skip_when", None)
        if left:
            settings["skip_when"] = left
        if theirs:
            self.orders.settings["skip_when"] = theirs

    @property
    def real(self) -> dict[str, str]:
        """By a column's name here, that in the orders' file."""
        return {name: name.removesuffix(_MARK) for name in self.of_orders}


_MARK = " (orders)"


def joined(lines: Reading, orders: Reading, by: tuple[str, str]) -> Joined:
    """The table of lines with what their orders say of them; `by` are a column of each."""
    own, key = by
    where = pc.index_in(lines.table.texts(own), orders.table.texts(key))
    rows = lines.table.rows
    mine = set(rows.column_names)
    names = []
    for role in _OF_ORDERS:
        column = orders.columns.get(role)
        if column is None or column == key:
            continue
        name = f"{column}{_MARK}" if column in mine else column
        if name not in rows.column_names:
            rows = rows.append_column(name, orders.table.texts(column).take(where))
            names.append(name)
    known = len(where) - where.null_count
    table = replace(lines.table, rows=rows)
    reading = read_as(table, "transactions")
    for role in _OF_ORDERS:
        column = orders.columns.get(role)
        if column is not None and (role not in lines.columns or lines.weights[role] < 0.6):
            name = f"{column}{_MARK}" if column in mine else column
            if name in names:
                reading.columns[role], reading.weights[role] = name, orders.weights[role]
    proposal = SourceProposal(ORDERS, orders.table.path, dict(orders.table.settings))
    proposal.unknown += orders.table.unknown
    setting = {"source": ORDERS, "key": own}
    evidence = f"{known:,} of {len(where):,} lines found in {orders.table.label} by {own}"
    made = Joined(reading, proposal, setting, evidence, own, set(names))
    if own != key:
        setting["key"] = "order_id"
        proposal.settings["columns"] = {"order_id": key}
    return made

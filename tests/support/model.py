"""A second opinion: what a night should make of a star, in plain Python, row by row.

It imports nothing of the application and shares no code with it. It knows the rules in docs/
for the columns that `test_nights` uses, and only for the texts that occur there.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

Text = str | None
Raw = dict[str, Text]
MALFORMED: Raw = {"_malformed": "yes"}
"""Stands for a record that is no row, such as a line with too many fields."""

NO_VALUE = (None, "", "NULL", "\\N")
MARKS = "\u200b\u200e\ufeff\u2060"
FIRST_DAY = date(1900, 1, 1)


def trimmed(text: Text) -> str:
    """Without the space around it, and composed."""
    return unicodedata.normalize("NFC", (text or "").strip())


def key(text: Text) -> str:
    """A key: no part of it are space and invisible marks at its edges."""
    kept = text or ""
    while kept and (kept[0].isspace() or kept[0] in MARKS):
        kept = kept[1:]
    while kept and (kept[-1].isspace() or kept[-1] in MARKS):
        kept = kept[:-1]
    return unicodedata.normalize("NFC", kept)


def reference(text: Text) -> str:
    """A key of another table, which may have no value."""
    found = key(text)
    return "" if found in NO_VALUE else found


def attribute(text: Text) -> Text:
    """A text that may have no value."""
    found = trimmed(text)
    return None if found in NO_VALUE else found


@dataclass
class Rejected(Exception):  # noqa: N818  # an outcome, not an error
    """A row that is not loaded."""

    reason: str


@dataclass
class Account:
    """What became of the rows of one source."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass
class Values:
    """What the texts of measures and dates mean: a value, or None where they cannot be read."""

    quantities: dict[str, Decimal | None]
    prices: dict[str, Decimal | None]
    discounts: dict[Text, Decimal | None]
    dates: dict[str, date | None]
    amounts: dict[Text, Decimal | None]
    """Of a product's price and cost; missing and unreadable differ, see `unreadable`."""
    unreadable: tuple[str, ...]


@dataclass
class Model:
    """The star by business keys, and the account of the last night."""

    values: Values
    last_day: date
    orphans_are_refused: bool = False
    customers: dict[str, Raw] = field(default_factory=dict)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    reps: dict[str, dict[str, Any]] = field(default_factory=dict)
    sales: dict[str, dict[str, Any]] = field(default_factory=dict)
    years: set[int] = field(default_factory=set)
    accounts: dict[str, Account] = field(default_factory=dict)

    def night(self, sources: Mapping[str, Sequence[Raw]]) -> None:
        """Load one night's rows; a source that is not configured is not among `sources`."""
        self.accounts = {name: Account(len(rows)) for name, rows in sources.items()}
        customers = self._clean("customers", sources["customers"], self._customer)
        products = self._clean("products", sources["products"], self._product)
        reps = self._clean("sales_reps", sources.get("sales_reps", ()), self._rep)
        sales = self._clean("transactions", sources["transactions"], self._sale)
        has_reps = "sales_reps" in sources
        if self.orphans_are_refused:
            known = (
                ("customer_id", self.customers.keys() | customers.keys(), "unknown_customer"),
                ("product_id", self.products.keys() | products.keys(), "unknown_product"),
                ("sales_rep_id", self.reps.keys() | reps.keys(), "unknown_sales_rep"),
            )
            for sale_id, sale in list(sales.items()):
                for name, members, reason in known[: 3 if has_reps else 2]:
                    if sale[name] and sale[name] not in members:
                        self.accounts["transactions"].rejected[reason] += 1
                        del sales[sale_id]
                        break
        self._merge("customers", self.customers, customers)
        self._merge("products", self.products, products)
        if has_reps:
            self._merge("sales_reps", self.reps, reps)
        self._infer(sales, is_inferred_rep=has_reps)
        for sale in sales.values():
            cost = self.products[sale["product_id"]]["cost"]
            sale["profit"] = None if cost is None else sale["net"] - sale["quantity"] * cost
        self._merge("transactions", self.sales, sales)
        loaded = {sale["date"].year for sale in self.sales.values()} | self.years
        self.years = set(range(min(loaded), max(loaded) + 1)) if loaded else set()

    def _clean(
        self, name: str, rows: Sequence[Raw], rule: Callable[[Raw], tuple[str, dict[str, Any]]]
    ) -> dict[str, dict[str, Any]]:
        """The rows that win, by key."""
        good: list[tuple[str, dict[str, Any]]] = []
        for row in rows:
            try:
                if row is MALFORMED:
                    raise Rejected("malformed_row")
                good.append(rule(row))
            except Rejected as refused:
                self.accounts[name].rejected[refused.reason] += 1
        winners = dict(good)
        left = Counter(found for found, _ in good)
        for found, row in good:
            left[found] -= 1
            if not left[found]:
                continue  # the last one with this key
            if row == winners[found]:
                self.accounts[name].duplicate += 1
            else:
                self.accounts[name].rejected["conflicting_duplicate"] += 1
        return winners

    def _merge(self, name: str, table: dict[str, Any], rows: dict[str, Any]) -> None:
        account = self.accounts[name]
        for found, row in rows.items():
            if found not in table:
                account.inserted += 1
            elif table[found] == row:
                account.unchanged += 1
            else:
                account.updated += 1
            table[found] = row

    def _infer(self, sales: dict[str, dict[str, Any]], *, is_inferred_rep: bool) -> None:
        """Members that only sales know of."""
        for sale in sales.values():
            for name, table, rule in (
                ("customer_id", self.customers, self._customer),
                ("product_id", self.products, self._product),
                ("sales_rep_id", self.reps, self._rep),
            ):
                found = sale[name]
                if found and found not in table:
                    member = dict(rule({name: found})[1])
                    member["is_inferred"] = name != "sales_rep_id" or is_inferred_rep
                    table[found] = member

    def _customer(self, row: Raw) -> tuple[str, dict[str, Any]]:
        found = key(row.get("customer_id"))
        if not found:
            raise Rejected("missing_key")
        names = {name: attribute(row.get(name)) for name in ("first_name", "last_name", "city")}
        return found, {**names, "is_inferred": False}

    def _product(self, row: Raw) -> tuple[str, dict[str, Any]]:
        found = key(row.get("product_id"))
        if not found:
            raise Rejected("missing_key")
        price = self.values.amounts[row.get("price")]
        given = row.get("cost")
        cost = self.values.amounts[given]
        is_estimated = cost is None and given not in self.values.unreadable and price is not None
        if is_estimated and price is not None:
            cost = price * Decimal("0.70")
        return found, {
            "product_name": attribute(row.get("name")) or f"Product {found}",
            "price": price,
            "cost": cost,
            "is_cost_estimated": is_estimated,
            "is_inferred": False,
        }

    def _rep(self, row: Raw) -> tuple[str, dict[str, Any]]:
        found = key(row.get("sales_rep_id"))
        if not found:
            raise Rejected("missing_key")
        first, last = attribute(row.get("first_name")), attribute(row.get("last_name"))
        words = found.split("_")
        if first is None and last is None and len(words) == 2 and found.replace("_", "").isalpha():
            first, last = (word.capitalize() for word in words)
        region = attribute(row.get("region")) or "Unassigned"
        return found, {
            "first_name": first, "last_name": last, "region": region, "is_inferred": False,
        }  # fmt: skip

    def _sale(self, row: Raw) -> tuple[str, dict[str, Any]]:
        found, product = key(row.get("transaction_id")), reference(row.get("product_id"))
        if not found or not product:
            raise Rejected("missing_key")
        day = self.values.dates[row["transaction_date"] or ""]
        if day is None:
            raise Rejected("invalid_date")
        if not FIRST_DAY <= day <= self.last_day:
            raise Rejected("date_out_of_range")
        quantity = self.values.quantities[row["quantity"] or ""]
        price = self.values.prices[row["unit_price"] or ""]
        discount = self.values.discounts[row.get("discount_amount")]
        if quantity is None:
            raise Rejected("invalid_quantity")
        if quantity <= 0:
            raise Rejected("non_positive_quantity")
        if price is None:
            raise Rejected("invalid_unit_price")
        if price <= 0:
            raise Rejected("non_positive_price")
        if discount is None or discount < 0:
            raise Rejected("invalid_discount")
        gross = quantity * price
        if discount > gross:
            raise Rejected("negative_net_amount")
        return found, {
            "customer_id": reference(row.get("customer_id")),
            "product_id": product,
            "sales_rep_id": reference(row.get("sales_rep_id")),
            "date": day,
            "quantity": quantity,
            "unit_price": price,
            "discount": discount,
            "net": gross - discount,
        }

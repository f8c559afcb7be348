"""What one row of a source means, in plain Python: the part of the model that judges rows.

It imports nothing of the application. It knows the rules in docs/ for the columns that
`test_nights` uses, and only for the texts that occur there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

Text = str | None
Raw = dict[str, Text]
Row = dict[str, Any]
MALFORMED: Raw = {"_malformed": "yes"}
"""Stands for a record that is no row, such as a line with too many fields."""
UNDECODABLE: Raw = {"_undecodable": "yes"}
"""Stands for a line whose bytes are not of the file's encoding."""
HEADER: Raw = {"_header": "yes"}
"""Stands for the header again, in the middle of the rows."""
UNREADABLE = "\0"
"""What an unreadable cell has in it."""

OTHERS = ("status", "origin", "changed")
"""Columns that are no part of the star."""
NO_VALUE = (None, "", "NULL", "\\N")
YES = ("true", "t", "yes", "y", "1", "x")
NO = ("false", "f", "no", "n", "0")
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


def flag(text: Text) -> bool | None:
    """Yes or no; no value is no, and None is unreadable."""
    found = (attribute(text) or "no").lower()
    if found in (*YES, *NO):
        return found in YES
    try:
        date.fromisoformat(found[:10])
    except ValueError:
        return None
    return True


@dataclass
class Rejected(Exception):  # noqa: N818  # an outcome, not an error
    """A row that is not loaded."""

    reason: str


@dataclass(frozen=True)
class Removal:
    """A row that says that its sale is gone, or that it is to be skipped."""

    kind: str
    """`unchanged` or `skipped`: what the row is where there is nothing to remove."""


@dataclass
class Values:
    """What the texts of measures and dates mean: a value, or None where they cannot be read."""

    quantities: dict[str, Decimal | None]
    prices: dict[str, Decimal | None]
    discounts: dict[Text, Decimal | None]
    dates: dict[str, date | None]
    amounts: dict[Text, Decimal | None]
    """Of a product's price and cost; missing and unreadable differ, see `unreadable`."""
    unit_costs: dict[Text, Decimal | None]
    """Of a sale; missing and unreadable differ, see `unreadable`."""
    unreadable: tuple[str, ...]
    currencies: dict[Text, str | None]
    """Of the column: a code or symbol, '' where there is none."""
    symbols: dict[Text, str]
    """Of amounts, those that have a symbol."""


@dataclass(frozen=True)
class Habits:
    """How the shop sends its sources, as the settings say."""

    extract: Mapping[str, str] = field(default_factory=dict)
    """By source: `full`, `period`, or `changes` where it is not here."""
    period: tuple[date, date] = (date.min, date.max)
    skip_when: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    max_delete_rate: Decimal = Decimal(1)
    empty_files: frozenset[str] = frozenset()
    """The sources that have a file of zero bytes among others."""
    currency: str = ""
    """The one that is declared for the sales."""
    paid_in: str = ""
    """The one that is declared for the products."""
    has_currencies: bool = False
    """Whether the sales have a column that says it."""

    def knows_cost(self, currency: str | None) -> bool:
        """Whether the products' costs are in the currency of a sale."""
        paid_in = self.paid_in or self.currency
        if self.has_currencies and not self.currency:
            return bool(currency and paid_in) and is_one({str(currency), paid_in})
        return not currency or is_one({currency, paid_in})


def is_one(names: set[str]) -> bool:
    """Whether they may be one currency; a dollar sign may mean several."""
    return len({"USD" if name == "$" else name for name in names}) < 2


@dataclass
class Judge:
    """Says of a row which key it bears, and what it holds."""

    values: Values
    last_day: date

    def bears(self, name: str, row: Raw) -> str:
        """The row's own key, also of a row that is not loaded; blank where there is none."""
        own = row.get(KEYS[name]) or ""
        return "" if UNREADABLE in own else key(own)

    def judge(self, name: str, row: Raw, habits: Habits) -> Row | Removal:
        """What the row holds. Raises `Rejected`."""
        skip_when = habits.skip_when.get(name, {})
        if row is MALFORMED or row is HEADER:
            raise Rejected("malformed_row")
        looked_at = [cell for column, cell in row.items() if column not in OTHERS]
        looked_at += [row.get(column) for column in skip_when]
        if row is UNDECODABLE or any(UNREADABLE in (cell or "") for cell in looked_at):
            raise Rejected("invalid_text")
        if any(trimmed(row.get(column)) in texts for column, texts in skip_when.items()):
            return Removal("skipped")
        if not key(row.get(KEYS[name])):
            raise Rejected("missing_key")
        if name == "transactions":
            return self._sale(row, habits)
        return {"customers": self.customer, "products": self.product}.get(name, self.rep)(row)

    def customer(self, row: Raw) -> Row:
        """A customer."""
        names = {name: attribute(row.get(name)) for name in ("first_name", "last_name", "city")}
        return {**names, "is_deleted": flag(row.get("is_deleted")), "is_inferred": False}

    def product(self, row: Raw) -> Row:
        """A product."""
        price = self.values.amounts[row.get("price")]
        given = row.get("cost")
        cost = self.values.amounts[given]
        is_estimated = cost is None and given not in self.values.unreadable and price is not None
        if is_estimated and price is not None:
            cost = price * Decimal("0.70")
        return {
            "product_name": attribute(row.get("name")) or f"Product {key(row['product_id'])}",
            "price": price,
            "cost": cost,
            "is_cost_estimated": is_estimated,
            "is_deleted": flag(row.get("is_deleted")),
            "is_inferred": False,
        }

    def rep(self, row: Raw) -> Row:
        """A sales rep."""
        found = key(row["sales_rep_id"])
        first, last = attribute(row.get("first_name")), attribute(row.get("last_name"))
        words = found.split("_")
        if first is None and last is None and len(words) == 2 and found.replace("_", "").isalpha():
            first, last = (word.capitalize() for word in words)
        region = attribute(row.get("region")) or "Unassigned"
        return {"first_name": first, "last_name": last, "region": region, "is_inferred": False}

    def net(self, row: Raw) -> Decimal:
        """The money of a row, whatever becomes of it; 0 where its measures cannot be read."""
        quantity = self.values.quantities.get(row.get("quantity") or "")
        price = self.values.prices.get(row.get("unit_price") or "")
        discount = self.values.discounts.get(row.get("discount_amount"))
        if quantity is None or price is None or discount is None:
            return Decimal(0)
        return quantity * price - discount

    def currency(self, row: Raw, habits: Habits) -> str:
        """That of a row's money, whatever becomes of it."""
        return habits.currency or self.values.currencies.get(row.get("currency")) or ""

    def currency_of_money(self, row: Raw, habits: Habits) -> str:
        """The currency that the amount of a row is counted in: of another than the declared one it
        is none of that.
        """
        named = self.values.currencies.get(row.get("currency"))
        if habits.currency and self._is_other(row, named, habits):
            return named or ""
        return self.currency(row, habits)

    def _is_other(self, row: Raw, named: str | None, habits: Habits) -> bool:
        return named is None or not is_one({named, habits.currency, *self.symbols(row)} - {""})

    def symbols(self, row: Raw) -> set[str]:
        """Those beside the amounts of a sale."""
        amounts = [row.get(name) for name in ("unit_price", "discount_amount", "unit_cost")]
        return {self.values.symbols[text] for text in amounts if text in self.values.symbols}

    def _sale(self, row: Raw, habits: Habits) -> Row | Removal:
        is_deleted = flag(row.get("is_deleted"))
        if is_deleted is None:
            raise Rejected("invalid_text")
        if is_deleted:
            return Removal("unchanged")
        product = reference(row.get("product_id"))
        if not product:
            raise Rejected("missing_key")
        sale = {
            "customer_id": reference(row.get("customer_id")),
            "product_id": product,
            "sales_rep_id": reference(row.get("sales_rep_id")),
            "date": self._day(row),
            **self._measures(row),
        }
        given = row.get("unit_cost")
        if given in self.values.unreadable:
            raise Rejected("invalid_unit_cost")
        named = self.values.currencies[row.get("currency")]
        if self._is_other(row, named, habits):
            raise Rejected("other_currency")
        return {
            **sale,
            "unit_cost": self.values.unit_costs[given],
            "currency": self.currency(row, habits) or None,
        }

    def _day(self, row: Raw) -> date:
        day = self.values.dates[row["transaction_date"] or ""]
        if day is None:
            raise Rejected("invalid_date")
        if not FIRST_DAY <= day <= self.last_day:
            raise Rejected("date_out_of_range")
        return day

    def _measures(self, row: Raw) -> Row:
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
        return {
            "quantity": quantity, "unit_price": price, "discount": discount, "net": gross - discount
        }  # fmt: skip


KEYS = {
    "customers": "customer_id",
    "products": "product_id",
    "sales_reps": "sales_rep_id",
    "transactions": "transaction_id",
}

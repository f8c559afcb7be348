"""Random nights of a shop that keeps its rows, changes them, and takes some away."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from support.model_rows import KEYS, UNREADABLE, Habits, Raw, Text, Values

NIGHTS = 4
REQUIRED = {
    "customers": ("customer_id",),
    "products": ("product_id",),
    "sales_reps": ("sales_rep_id",),
    "transactions": (
        "transaction_id", "transaction_date", "customer_id", "product_id", "quantity", "unit_price",
    ),
}  # fmt: skip
OPTIONAL = {
    "customers": ("first_name", "last_name", "city", "is_deleted"),
    "products": ("name", "price", "cost", "is_deleted"),
    "sales_reps": ("first_name", "last_name", "region"),
    "transactions": ("sales_rep_id", "discount_amount", "unit_cost", "is_deleted"),
}
LATER = 9000
"""The number of a day in the future."""
D = Decimal
VALUES = Values(
    quantities={
        "1": D(1), "2": D(2), "3.5": D("3.5"), " 4 ": D(4), "1,000": D(1000), "+2": D(2),
        "-1": D(-1), "0": D(0), "": None, "x": None, "0,350": None, "NaN": None, "1e1": None,
    },
    prices={
        "10.00": D(10), "59.99": D("59.99"), "$5.00": D(5), "1,234.50": D("1234.5"), "7": D(7),
        "€9": D(9), "0": D(0), "": None, "1e400": None, "12,50": None, "free": None, "1_000": None,
    },
    discounts={
        None: D(0), "": D(0), "0": D(0), "1.00": D(1), "NULL": D(0), "\\N": D(0), "0.5": D("0.5"),
        "20": D(20), "-1": D(-1), "10%": None, "1,50": None, "10 XYZ": None, "NaN": None,
    },
    dates={
        "2024-02-29": date(2024, 2, 29), "2024-03-01": date(2024, 3, 1),
        "20240302": date(2024, 3, 2),
        "2023-07-14T23:59:00": date(2023, 7, 14), "2021-01-01": date(2021, 1, 1),
        "1805-01-01": date(1805, 1, 1), "": None, "03/04/2024": None, "2023-02-29": None,
        "yesterday": None,
    },
    amounts={
        None: None, "": None, "NULL": None, "250": D(250), "60.50": D("60.5"), "100": D(100),
        "12.25": D("12.25"), "-3": None, "n/a": None, "1,50": None,
    },
    unit_costs={
        None: None, "": None, "NULL": None, "4.00": D(4), "$2.50": D("2.5"), "0": D(0),
        "1.23456": D("1.2346"),
    },
    unreadable=("-3", "n/a", "1,50"),
    currencies={
        None: "", "": "", "NULL": "", "USD": "USD", " usd ": "USD", "EUR": "EUR", "€": "EUR",
        "GBP": "GBP", "$": "$", "dollars": None, "840": None,
    },
    symbols={"$5.00": "$", "$2.50": "$", "€9": "EUR"},
)  # fmt: skip
FLAGS = ("", None, "NULL", "no", "N", " False ", "0")
"""Texts for what is not deleted."""
SET_FLAGS = ("true", "Y", " yes", "X", "1", "2024-05-01", "2024-05-01T10:00:00")
GOOD: dict[str, list[Any]] = {
    "quantity": [text for text, value in VALUES.quantities.items() if value and value > 0],
    "unit_price": [text for text, value in VALUES.prices.items() if value and text != "€9"],
    "discount_amount": [text for text, value in VALUES.discounts.items() if value in (0, 1)],
    "transaction_date": [t for t, day in VALUES.dates.items() if day and day.year > 2000],
    "unit_cost": list(VALUES.unit_costs),
    "is_deleted": list(FLAGS),
}
"""Texts with which a sale is loaded."""
ALL: dict[str, list[Any]] = {
    "quantity": list(VALUES.quantities),
    "unit_price": list(VALUES.prices),
    "discount_amount": list(VALUES.discounts),
    "transaction_date": list(VALUES.dates),
    "unit_cost": list(VALUES.unreadable),
    "is_deleted": ["maybe", "2", "01/02/2024"],
}
PERIODS = (
    (date(2024, 1, 1), date(2024, 12, 31)),
    (date(2024, 2, 29), date(2024, 3, 1)),
    (date(2023, 7, 14), date(2023, 7, 14)),
)
SKIPS = (
    {"status": ["voided"]},
    {"status": ["voided", "test"], "origin": ["demo"]},
    {"status": ["Voided", "", "test"]},
)
"""Values of SKIP_WHEN; the second one looks at a column that the first does not know."""


@dataclass
class Night:
    """The rows of each source, its columns, and the settings that go with them."""

    sources: dict[str, list[Raw]]
    columns: dict[str, tuple[str, ...]]
    habits: Habits


@dataclass
class Chance:
    """What a night brings."""

    random: random.Random
    last: dict[str, list[Raw]] = field(default_factory=dict)
    """The rows of last night, by source."""
    is_messy: bool = False
    """Whether some rows of the source have no key that can be read."""
    till: str = ""
    """Of sales in a database that says when each row was written, whether by a date or an integer.
    """

    def __post_init__(self) -> None:
        self.skip_when = {name: self.random.choice(SKIPS) for name in KEYS if self._happens(0.3)}
        self.currencies = self._currencies()
        self.till = self.random.choice(["integer", "date"]) if self._happens(0.2) else ""

    def nights(self) -> Iterator[Night]:
        """One night after the other."""
        till = (*REQUIRED["transactions"], *OPTIONAL["transactions"], "status", "origin")
        till += ("currency", "changed") if self.currencies.has_currencies else ("changed",)
        for number in range(1, NIGHTS + 1):
            sources = {
                "customers": self._rows("customers", self._customer, 8),
                "products": self._rows("products", self._product, 6),
                "transactions": self._rows("transactions", self._sale, 25),
            }
            if self.random.random() < 0.5:
                sources["sales_reps"] = self._rows("sales_reps", self._rep, 4)
            columns, habits = {name: self._columns(name) for name in sources}, self._habits()
            if self.till:
                columns["transactions"] = till
                sources["transactions"] = [
                    {**row, "changed": self._written(number)} for row in sources["transactions"]
                ]
            yield Night(sources, columns, habits)

    def _written(self, night: int) -> Text:
        """When a row was written: tonight, or earlier and it comes late, or it does not say."""
        kind = self.random.random()
        if kind < 0.06:
            return None
        if kind < 0.09 and self.till == "date":
            return str(LATER)
        late = self.random.choice([3, 10, 25]) if kind < 0.3 else 0
        return str(10 * night + self.random.randint(0, 4) - late)

    def _currencies(self) -> Habits:
        """How the shop says in which currency its sales are: not at all, once for all, or each."""
        kind, paid_in = self.random.random(), self.random.choice(["", "USD", "EUR"])
        if kind < 0.5:
            return Habits()
        if kind < 0.7:
            return Habits(currency="USD", paid_in=paid_in, has_currencies=self._happens(0.7))
        return Habits(paid_in=paid_in, has_currencies=True)

    def _happens(self, share: float) -> bool:
        return self.random.random() < share

    def _habits(self) -> Habits:
        choice = self.random.choice
        extract = {name: choice(["changes", "full"]) for name in ("customers", "products")}
        extract["transactions"] = choice(["changes", "full", "full", "full", "period", "period"])
        if self.till:
            extract["transactions"] = "changes"
        rate = choice([D(1), D(1), D(1), D(1), D("0.3"), D(0)])
        return replace(
            self.currencies, extract=extract, period=choice(PERIODS), skip_when=self.skip_when,
            max_delete_rate=rate,
        )  # fmt: skip

    def _columns(self, name: str) -> tuple[str, ...]:
        optional = [column for column in OPTIONAL[name] if not self._happens(0.1)]
        more = ("status", "origin") if name in self.skip_when or self._happens(0.2) else ()
        if name == "transactions" and self.currencies.has_currencies:
            more = (*more, "currency")
        return (*REQUIRED[name], *optional, *more)

    def _rows(self, name: str, one: Any, most: int) -> list[Raw]:
        """Rows of last night, some of them changed, and new ones; some of them twice, and some of
        these with other values the second time.
        """
        self.is_messy = self._happens(0.15)
        kept = [
            self._another_day(name, row, one())
            for row in self.last.get(name, [])
            if self._happens(0.8)
        ]
        new = max(2, most // 3) if kept else most
        rows = kept[:most] + [one() for _ in range(self.random.randint(1, new))]
        for row in rows:
            row.setdefault("status", self._status())
            row.setdefault("origin", "demo" if self._happens(0.05) else "shop")
        for row in list(rows):
            if self._happens(0.1):
                rows.append({**row, "status": self._status()})
            if self._happens(0.1):
                rows.append({**row, **one(), KEYS[name]: row[KEYS[name]]})
        self.random.shuffle(rows)
        if self._happens(0.05):
            rows = []
        self.last[name] = [row for row in rows if row[KEYS[name]]]
        return [self._mess(name, row) for row in rows]

    def _another_day(self, name: str, row: Raw, other: Raw) -> Raw:
        """The row as it comes again: mostly as it was, else with other values."""
        kept = dict(row)
        if self._happens(0.1):
            kept = {**other, KEYS[name]: row[KEYS[name]]}
        elif self._happens(0.15):
            column = self.random.choice([column for column in other if column != KEYS[name]])
            kept[column] = other[column]
        if self._happens(0.08):
            kept["is_deleted"] = self.random.choice(SET_FLAGS)
        if self._happens(0.1):
            kept["status"] = self._status()
        return kept

    def _mess(self, name: str, row: Raw) -> Raw:
        """The row, now and then with cells that cannot be read."""
        column = self.random.choice(list(row)) if self._happens(0.02) else KEYS[name]
        if self.is_messy and self._happens(0.06):
            return {**row, KEYS[name]: self.random.choice([None, "", " \u200b"])}
        if (self.is_messy and self._happens(0.04)) or column != KEYS[name]:
            return {**row, column: f"{row[column] or ''}{UNREADABLE}"}
        return row

    def _status(self) -> Text:
        if self._happens(0.85):
            return self.random.choice(["paid", "VOIDED", "open"])
        return self.random.choice([" voided ", "voided", "Voided", "test", None, ""])

    def _key(self, letter: str, count: int) -> str:
        """A key in one of the ways in which people and programs write it."""
        plain = self.random.choice(
            [f"{letter}{self.random.randint(1, count)}", f"{letter}é", f"{letter.lower()}1", "NA"]
            if self._happens(0.3)
            else [f"{letter}{n}" for n in range(1, count + 1)]
        )
        kind = self.random.random()
        if kind < 0.05:
            return f" {plain}\u3000"
        if kind < 0.1:
            return f"\u200b{plain}\u200e"
        if kind < 0.13:
            return f"{plain} \ufeff\t"
        if kind < 0.16:
            return plain.replace("é", "e\u0301")
        return plain

    def _text(self, *texts: Text) -> Text:
        return self.random.choice([*texts, None, "", "NULL"])

    def _flag(self) -> Text:
        odd: list[Text] = [*SET_FLAGS, *ALL["is_deleted"]]
        return self.random.choice(list(FLAGS) if self._happens(0.85) else odd)

    def _customer(self) -> Raw:
        return {
            "customer_id": self._key("C", 7),
            "first_name": self._text("Ada", "Zoë"),
            "last_name": self._text("Lovelace", 'Smith, "Jr."'),
            "city": self._text("London", "NA", "a\nb"),
            "is_deleted": self._flag(),
        }

    def _product(self) -> Raw:
        amounts = list(VALUES.amounts)
        return {
            "product_id": self._key("P", 5),
            "name": self._text("Lamp", "Pen"),
            "price": self.random.choice(amounts),
            "cost": self.random.choice(amounts),
            "is_deleted": self._flag(),
        }

    def _rep(self) -> Raw:
        return {
            "sales_rep_id": self.random.choice(["ada_king", "R7", " R7", "bob_ross"]),
            "first_name": self._text("Ada"),
            "last_name": self._text("King-Noel"),
            "region": self._text("North", "South"),
        }

    def _currency(self) -> Text:
        if self.currencies.currency and self._happens(0.8):
            return self._text("USD", " usd ", "$")
        return self.random.choice(list(VALUES.currencies))

    def _sale(self) -> Raw:
        damaged = self.random.choice(list(ALL)) if self._happens(0.15) else ""
        measures: Raw = {
            name: self.random.choice(ALL[name] if name == damaged else GOOD[name]) for name in ALL
        }
        if self._happens(0.5):
            measures["unit_cost"] = None
        if self._happens(0.04):
            measures["is_deleted"] = self.random.choice(SET_FLAGS)
        product: Text = self._key("P", 7)
        if self._happens(0.04):
            product = self._text()
        return {
            "transaction_id": self._key("T", 40),
            "customer_id": self._text(self._key("C", 10), self._key("C", 10), "\\N"),
            "product_id": product,
            "sales_rep_id": self._text("ada_king", "R7", "bob_ross", "R8"),
            "currency": self._currency(),
            **measures,
        }


def habit_settings(habits: Habits) -> dict[str, str]:
    """The settings that say how the shop sends its sources."""
    settings = {f"{name.upper()}__EXTRACT": how for name, how in habits.extract.items()}
    for name, texts in habits.skip_when.items():
        settings[f"{name.upper()}__SKIP_WHEN"] = json.dumps(texts)
    settings["TRANSACTIONS__PERIOD"] = "/".join(day.isoformat() for day in habits.period)
    settings["TRANSACTIONS__CURRENCY"] = habits.currency
    settings["PRODUCTS__CURRENCY"] = habits.paid_in
    settings["MAX_DELETE_RATE"] = str(habits.max_delete_rate)
    return settings

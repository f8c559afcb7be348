"""Exports of systems, by the columns that their makers document, and what must become of them."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl

CENT = Decimal("0.01")
ARTICLES = tuple(
    (f"SKU-{n:03}", title, Decimal(price))
    for n, (title, price) in enumerate(
        (
            ("Lamp", "39.90"), ("Desk", "249.00"), ("Mug", "7.90"), ("Pan", "31.50"),
            ("Chair", "89.00"), ("Clock", "18.70"), ("Shelf", "54.20"), ("Vase", "22.10"),
            ("Rug", "119.90"), ("Pen", "2.40"),
        ),
        11,
    )
)  # fmt: skip
PEOPLE = ("Ada Byron", "Carl Gauss", "Marie Curie", "Emmy Noether", "Leo Euler", "Max Born")


class Sold(NamedTuple):
    """What the star must have of a sale."""

    day: str
    quantity: Decimal
    net: Decimal


@dataclass(frozen=True)
class Line:
    """A line of an order."""

    number: int
    sku: str
    title: str
    quantity: int
    price: Decimal
    discount: Decimal

    @property
    def gross(self) -> Decimal:
        return self.quantity * self.price

    @property
    def net(self) -> Decimal:
        return self.gross - self.discount


@dataclass(frozen=True)
class Order:
    """An order of somebody."""

    number: int
    at: datetime
    person: int
    is_good: bool
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.net for line in self.lines), Decimal(0))

    @property
    def name(self) -> str:
        return PEOPLE[self.person]

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@mail.example"


@dataclass
class Export:
    """What an export must come to."""

    sold: Counter[Sold]
    customers: int | None = None
    """How many customers there are; None where the export names none."""
    products: int | None = None
    skipped: int | None = None
    net: dict[str, Decimal] = field(default_factory=dict)
    """The net amount by currency, where there is more than one."""

    @property
    def total(self) -> Decimal:
        return sum((sold.net * count for sold, count in self.sold.items()), Decimal(0))


def orders(seed: int = 1, count: int = 24, *, bad: int = 3, discount: int = 0) -> list[Order]:
    """Orders of one to three lines, in the order of their days; every eighth is not good."""
    chance = random.Random(seed)  # noqa: S311  # the same for the same seed
    made = []
    for number in range(count):
        at = datetime(2024, 1, 5, 9, 15) + timedelta(days=number * 3 + 1, minutes=number * 41)
        lines = []
        for place, article in enumerate(chance.sample(ARTICLES, chance.choice((1, 2, 2, 3))), 1):
            sku, title, price = article
            quantity = chance.choice((1, 1, 2, 3))
            cut = Decimal(chance.choice((0, discount))) / 100
            less = (price * quantity * cut).quantize(CENT)
            lines.append(Line(place, sku, title, quantity, price, less))
        is_good = not (bad and number % 8 == bad)
        person = chance.randrange(len(PEOPLE))
        made.append(Order(1001 + number, at, person, is_good, tuple(lines)))
    return made


def lines_of(made: Iterable[Order]) -> list[tuple[Order, Line]]:
    """Each line with its order."""
    return [(order, line) for order in made for line in order.lines]


def export(made: Sequence[Order], **more: Any) -> Export:
    """What orders must come to, if those that are not good are left out."""
    good = [pair for pair in lines_of(made) if pair[0].is_good]
    sold = Counter(sale(o, line.quantity, line.net) for o, line in good)
    names = {"customers": len({o.person for o, _ in good})}
    names["products"] = len({line.sku for _, line in good})
    return Export(sold, **{**names, "skipped": len(lines_of(made)) - len(good), **more})


def sale(order: Order, quantity: int, net: Decimal) -> Sold:
    """A sale of an order, as the star must have it."""
    return Sold(f"{order.at:%Y-%m-%d}", Decimal(quantity).normalize(), net.normalize())


# --- writing --------------------------------------------------------------------------------------


def text_file(
    path: Path, header: str, rows: Iterable[Sequence[Any]], encoding: str = "utf-8", **how: Any
) -> None:
    """Write a table; the header is a text with `|` between the names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    above, below = how.pop("above", ""), how.pop("below", "")
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(above)
        writer = csv.writer(file, **how)
        writer.writerow(header.split("|"))
        writer.writerows(rows)
        file.write(below)


def workbook(path: Path, sheets: dict[str, Iterable[Sequence[Any]]]) -> None:
    """Write sheets of rows as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append([float(c) if isinstance(c, Decimal) else c for c in row])
    book.save(path)


def record(header: str, **cells: Any) -> list[Any]:
    """A row with some of its cells, by names in which `_` is any sign that is no letter."""
    known = {_plain(name): name for name in header.split("|")}
    by_name = {known[_plain(name)]: cell for name, cell in cells.items()}
    return [by_name.get(name, "") for name in header.split("|")]


def _plain(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name).lower().strip("_")


def comma(value: Decimal, *, groups: bool = True) -> str:
    """A number with a decimal comma."""
    text = f"{value:,.2f}" if groups else f"{value:.2f}"
    return text.translate({ord(","): ".", ord("."): ","})


def dollars(value: Decimal) -> str:
    """A number with the sign of the dollar, below zero in front of it."""
    return f"-${-value:,.2f}" if value < 0 else f"${value:,.2f}"

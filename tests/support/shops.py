"""Exports of shops, as their systems write them, with what the star must come to."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass
class Shop:
    """What a shop's files must come to."""

    sales: int
    net: Decimal
    questions: int = 0
    """How many questions may be asked."""
    rejected: int = 0
    """How many rows are no sales, such as totals."""
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By source, columns that must be mapped so."""


@dataclass(frozen=True)
class Line:
    """A line of an order."""

    order: int
    number: int
    day: date
    customer: str
    product: str
    quantity: int
    price: Decimal
    discount: Decimal

    @property
    def gross(self) -> Decimal:
        return self.quantity * self.price

    @property
    def net(self) -> Decimal:
        return self.gross - self.discount


PRICES = {f"P{n:03}": Decimal(n * 137 % 9000 + 150) / 100 for n in range(1, 41)}
CUSTOMERS = [f"C{n:04}" for n in range(1, 61)]
NAMES = ("Lamp", "Desk", "Mug", "Pan", "Chair", "Clock", "Shelf", "Vase", "Rug", "Pen")


def lines(seed: int = 1, orders: int = 150, *, discounts: bool = False) -> list[Line]:
    """The lines of some orders, in the order of their days."""
    chance = random.Random(seed)  # noqa: S311  # the same for the same seed
    made = []
    for order in range(orders):
        day = date(2024, 1, 3) + timedelta(days=order * 2)
        customer = chance.choice(CUSTOMERS)
        for number in range(1, chance.randint(1, 4) + 1):
            product = chance.choice(list(PRICES))
            quantity = chance.choice((1, 1, 2, 3, 5))
            cut = Decimal(chance.choice((0, 0, 5, 10)) if discounts else 0) / 100
            discount = (PRICES[product] * quantity * cut).quantize(Decimal("0.01"))
            made.append(
                Line(
                    1000 + order,
                    number,
                    day,
                    customer,
                    product,
                    quantity,
                    PRICES[product],
                    discount,
                )
            )
    return made


def of(made: list[Line], **more: Any) -> Shop:
    """The shop that has these lines."""
    return Shop(len(made), sum((line.net for line in made), Decimal(0)), **more)


def write(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8", **how: Any) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **how)
        writer.writeheader()
        writer.writerows(rows)


def plain_names(folder: Path) -> Shop:
    """Our own names."""
    made = lines(discounts=True)
    rows = [
        {
            "transaction_id": f"{line.order}-{line.number}",
            "transaction_date": line.day,
            "customer_id": line.customer,
            "product_id": line.product,
            "quantity": line.quantity,
            "unit_price": line.price,
            "discount_amount": line.discount,
        }
        for line in made
    ]
    write(folder / "sales.csv", rows)
    write(folder / "customers.csv", [{"customer_id": c, "first_name": "Ada"} for c in CUSTOMERS])
    write(
        folder / "products.csv",
        [{"product_id": p, "name": p, "price": price} for p, price in PRICES.items()],
    )
    return of(made)


def german(folder: Path) -> Shop:
    """Semicolons, cp1252, decimal commas, one file a year, percentages, order and position."""
    made = lines(discounts=True)
    rows = [
        {
            "Belegnr": line.order,
            "Position": line.number,
            "Datum": f"{line.day:%d.%m.%Y}",
            "Kundennr": line.customer,
            "Artikelnr": line.product,
            "Menge": line.quantity,
            "Einzelpreis": f"{line.price:.2f} €".replace(".", ","),
            "Rabatt": str(line.discount).replace(".", ","),
            "Verkäufer": "Müller",
        }
        for line in made
    ]
    half = len(rows) // 2
    how: dict[str, Any] = {"encoding": "cp1252", "delimiter": ";"}
    write(folder / "Verkauf_2024-01.csv", rows[:half], **how)
    write(folder / "Verkauf_2024-02.csv", rows[half:], **how)
    write(
        folder / "Kunden.csv",
        [
            {"Kundennr": c, "Vorname": "Jürgen", "Nachname": "Groß", "Ort": "Köln"}
            for c in CUSTOMERS
        ],
        **how,
    )
    write(
        folder / "Artikel.csv",
        [
            {"Artikelnr": p, "Bezeichnung": f"Stück {p}", "VK-Preis": str(price).replace(".", ",")}
            for p, price in PRICES.items()
        ],
        **how,
    )
    return of(made, columns={"transactions": {"transaction_id": ["Belegnr", "Position"]}})


SHAPES: list[Callable[[Path], Shop]] = [plain_names, german]

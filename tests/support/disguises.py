"""A small shop's sales in disguise: other names, dialects, formats and shapes, by a seed.

What the star must come to is known, whatever the files look like. Nothing here knows what the
application makes of them.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.disguised_files import Writing, write_table

NAMES: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parent / "disguise_names.toml").read_text(encoding="utf-8")
)
LANGUAGES = tuple(NAMES["sales"])
SHAPES = ("flat", "order and line", "running", "filled down", "nested", "two files")
"""How lines and orders stand: a key of its own, order and line number, no line number, order fields
on the first line only, lists in JSON, and orders in a file of their own.
"""
FORMS = ("csv", "csv", "csv", "xlsx", "json", "jsonl", "envelope")
DISCOUNTS = ("none", "none", "amount", "percent", "percent sign", "fraction", "first line")
_FIRST = ("Ada", "Grace", "Alan", "Zoë", "Jürgen", "José", "Łukasz", "Mary-Jane", "Ana", "Noor")
_LAST = ("Lovelace", "Hopper", "Turing", "Müller", "Núñez", "O'Brien", "Silva", "Rossi", "de Vries")
_CITIES = ("London", "Köln", "Paris", "Málaga", "São Paulo", "Milano", "Utrecht")
_GOODS = ("Lamp", "Desk", "Mug", "Pan", "Chair", "Clock", "Shelf", "Vase", "Rug", "Pen")
_WESTERN = {"cp1252", "latin-1", "mac_roman"}


@dataclass(frozen=True)
class Sale:
    """A sale as the star must have it; its key is nobody's business."""

    day: date
    customer: str
    product: str
    quantity: Decimal
    net: Decimal


@dataclass
class Line:
    """A line of an order."""

    product: str
    quantity: int
    price: Decimal
    discount: Decimal = Decimal(0)
    percent: int = 0


@dataclass
class Order:
    """An order with its lines."""

    number: str
    day: date
    customer: str
    rep: str
    lines: list[Line]
    is_cancelled: bool = False

    @property
    def total(self) -> Decimal:
        """What its lines come to."""
        return sum((line.price * line.quantity - line.discount for line in self.lines), Decimal(0))


@dataclass
class Disguise:
    """The files of a shop, and what they must come to."""

    seed: int
    folder: Path
    traits: dict[str, Any] = field(default_factory=dict)
    """What was drawn, for messages."""
    paths: list[Path] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """By field, what the column is called in the sales."""
    sales: list[Sale] = field(default_factory=list)

    @property
    def net(self) -> Decimal:
        """The net amount of all sales."""
        return sum((sale.net for sale in self.sales), Decimal(0))

    def __str__(self) -> str:
        return f"seed {self.seed}: " + ", ".join(f"{k}={v}" for k, v in self.traits.items())


def disguised(folder: Path, seed: int, **fixed: Any) -> Disguise:
    """The files of a shop in `folder`, in the disguise that `seed` draws; `fixed` says some of its
    traits.
    """
    chance = random.Random(seed)  # noqa: S311  # the same files for the same seed
    traits = _traits(chance)
    traits |= fixed
    _agree(traits)
    made = Disguise(seed, folder, traits)
    folder.mkdir(parents=True, exist_ok=True)
    orders, customers, products = _shop(chance, traits)
    names = {key: chance.choice(n.split("|")) for key, n in _names("sales", traits).items()}
    made.names = names
    made.sales = [
        Sale(order.day, order.customer, line.product, Decimal(line.quantity), _net(line))
        for order in orders
        if not order.is_cancelled
        for line in order.lines
    ]
    writing = Writing(
        traits["form"], traits["encoding"], traits["delimiter"], traits["decimal"],
        thousands=traits["thousands"], symbol=traits["symbol"], date_format=traits["dates"],
        title=traits["title"], records=names["lines"] if traits["form"] == "envelope" else "data",
    )  # fmt: skip
    _write_sales(made, orders, names, writing, chance)
    _write_members(made, customers, products, writing, chance)
    return made


def _net(line: Line) -> Decimal:
    gross = line.price * line.quantity
    return gross - line.discount - gross * line.percent / 100


def _names(kind: str, traits: dict[str, Any]) -> dict[str, str]:
    return NAMES[kind][traits["language"]]


# --- what is drawn --------------------------------------------------------------------------------


def _traits(chance: random.Random) -> dict[str, Any]:
    language = chance.choice(LANGUAGES)
    is_english = language == "english"
    decimal = "." if is_english else chance.choice(",,.")
    dates = ("%m/%d/%Y", "%Y-%m-%d", "%d/%m/%Y", "%b %d, %Y") if is_english else (
        "%d.%m.%Y", "%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y", "%d.%m.%y", "%Y%m%d"
    )  # fmt: skip
    return {
        "language": language,
        "shape": chance.choice(SHAPES),
        "form": chance.choice(FORMS),
        "delimiter": chance.choice(";;\t|" if decimal == "," else ",,;\t|"),
        "encoding": chance.choice(("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16")),
        "decimal": decimal,
        "thousands": chance.random() < 0.3,
        "symbol": chance.choice(("", "", "", "€", "EUR", "$")),
        "dates": chance.choice((*dates, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")),
        "first days only": chance.random() < 0.1,
        "discount": chance.choice(DISCOUNTS),
        "price": chance.choice(("unit", "unit", "unit", "total", "total", "both")),
        "quantity": chance.choice(("column", "column", "column", "column", "none")),
        "status": chance.random() < 0.25,
        "rep": chance.random() < 0.5,
        "beside": [n for n in ("tax", "shipping", "order_total", "note") if chance.random() < 0.35],
        "ids": chance.choice(("letters", "digits", "zeros", "mail")),
        "title": chance.random() < 0.15,
        "parts": chance.choice((1, 1, 1, 2)),
    }


def _agree(traits: dict[str, Any]) -> None:
    """Take back what does not go together."""
    if traits["shape"] == "nested" and traits["form"] in ("csv", "xlsx"):
        traits["form"] = "jsonl"
    if traits["form"] not in ("csv", "xlsx"):
        traits |= {"symbol": "", "thousands": False, "title": False, "encoding": "utf-8"}
        if traits["shape"] == "filled down":
            traits["shape"] = "order and line"
    if traits["form"] != "csv":
        traits |= {"delimiter": None, "encoding": "utf-8"}
    if traits["form"] == "xlsx":
        traits |= {"thousands": False, "symbol": ""}
    if traits["discount"] == "first line" and traits["shape"] != "filled down":
        traits["discount"] = "amount"
    if traits["shape"] in ("two files", "nested"):
        traits["parts"] = 1


def _shop(
    chance: random.Random, traits: dict[str, Any]
) -> tuple[list[Order], list[dict[str, str]], list[dict[str, Any]]]:
    customers = [_customer(number, chance, traits) for number in range(1, 16)]
    products = [_product(number, good, chance, traits) for number, good in enumerate(_GOODS, 1)]
    orders = []
    for number in range(chance.randrange(25, 45)):
        day = date(2024, 1, 1) + timedelta(chance.randrange(360))
        if traits["first days only"]:
            day = day.replace(day=chance.randrange(1, 13))
        lines = [_line(chance, products, traits) for _ in range(chance.choice((1, 1, 2, 3)))]
        if traits["discount"] == "first line" and chance.random() < 0.4:
            lines[0].discount = Decimal("1.50")
        rep = chance.choice(("Kim Novak", "Jo Ito"))
        orders.append(Order(str(5001 + number), day, chance.choice(customers)["id"], rep, lines))
    if traits["status"]:
        for order in chance.sample(orders, 3):
            order.is_cancelled = True
    return orders, customers, products


def _product(
    number: int, good: str, chance: random.Random, traits: dict[str, Any]
) -> dict[str, Any]:
    is_code = traits["ids"] == "digits"
    price = Decimal(chance.randrange(199, 250000)) / 100
    return {
        "id": str(4006381000000 + number * 7919) if is_code else f"B-{100 + number}",
        "name": f"{good} {number}", "category": chance.choice(("Home", "Office")),
        "brand": chance.choice(("Lux", "Ink")), "price": price,
        "cost": (price * Decimal("0.6")).quantize(Decimal("0.01")),
    }  # fmt: skip


def _customer(number: int, chance: random.Random, traits: dict[str, Any]) -> dict[str, str]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    email = f"kunde{number}@example.org"
    ids = {"letters": f"C{number:03}", "digits": str(70000 + number), "zeros": f"{number:05}"}
    if traits["encoding"] in _WESTERN:
        first = first.replace("Ł", "L")
    return {
        "id": ids.get(traits["ids"], email), "first": first, "last": last, "email": email,
        "city": chance.choice(_CITIES), "country": "DE",
    }  # fmt: skip


def _line(chance: random.Random, products: list[dict[str, Any]], traits: dict[str, Any]) -> Line:
    product = chance.choice(products)
    quantity = 1 if traits["quantity"] == "none" else chance.choice((1, 1, 2, 3, 5))
    is_special = chance.random() < 0.3
    line = Line(product["id"], quantity, product["price"] - (Decimal("0.09") if is_special else 0))
    is_reduced = chance.random() < 0.4
    if traits["discount"] == "amount" and is_reduced:
        line.discount = Decimal(chance.randrange(10, 190)) / 100
    elif traits["discount"] in ("percent", "percent sign", "fraction") and is_reduced:
        line.percent = chance.choice((5, 10, 20))
    return line


# --- what is written ------------------------------------------------------------------------------


def _write_sales(
    made: Disguise, orders: list[Order], names: dict[str, str], writing: Writing,
    chance: random.Random,
) -> None:  # fmt: skip
    shape, form = made.traits["shape"], made.traits["form"]
    suffix = {"envelope": "json"}.get(form, form)
    path = made.folder / f"{names['sales_file']}.{suffix}"
    if shape == "nested":
        records = []
        for number, order in enumerate(orders, 1):
            lines = [_line_cells(made, order, n) for n in range(len(order.lines))]
            inner = [{names[key]: cell for key, cell in cells.items()} for cells in lines]
            outer = _order_cells(made, order, number)
            records.append({names[k]: cell for k, cell in outer.items()} | {names["lines"]: inner})
        write_table(path, records, writing)
        made.paths.append(path)
    elif shape == "two files":
        heads = [_order_cells(made, order, n) for n, order in enumerate(orders, 1)]
        _written(made, made.folder / f"{names['orders_file']}.{suffix}", heads, names, writing)
        rows = [
            {"order": order.number, **_line_cells(made, order, number)}
            for order in orders
            for number in range(len(order.lines))
        ]
        chance.shuffle(rows)
        _written(made, path, rows, names, writing)
    else:
        rows = list(_flat_rows(made, orders))
        if made.traits["parts"] == 1:
            _written(made, path, rows, names, writing)
            return
        starts = [n for n, row in enumerate(rows) if n > len(rows) // 2 and row["order"]]
        cut = next(n for n in starts if rows[n]["order"] != rows[n - 1]["order"])
        for number, part in enumerate((rows[:cut], rows[cut:]), 1):
            _written(made, path.with_stem(f"{path.stem}_2024-0{number}"), part, names, writing)


def _flat_rows(made: Disguise, orders: list[Order]) -> list[dict[str, Any]]:
    rows = []
    for number, order in enumerate(orders, 1):
        head = _order_cells(made, order, number)
        for place in range(len(order.lines)):
            cells = head | _line_cells(made, order, place)
            if made.traits["shape"] == "filled down" and place:
                cells |= dict.fromkeys(head, "")
            rows.append(cells)
    return rows


def _order_cells(made: Disguise, order: Order, number: int) -> dict[str, Any]:
    """What stands with an order, by field."""
    traits = made.traits
    cells: dict[str, Any] = {
        "order": order.number, "date": (order.day, number), "customer": order.customer,
    }  # fmt: skip
    if traits["rep"]:
        cells["rep"] = order.rep
    if traits["status"]:
        cells["status"] = made.names["cancelled" if order.is_cancelled else "done"]
    extra = {"shipping": Decimal("4.90"), "order_total": order.total, "note": ""}
    cells |= {name: extra[name] for name in traits["beside"] if name in extra}
    if traits["discount"] == "first line":
        cells["discount"] = order.lines[0].discount
    return cells


def _line_cells(made: Disguise, order: Order, place: int) -> dict[str, Any]:
    """What stands with a line, by field."""
    traits, line = made.traits, order.lines[place]
    cells: dict[str, Any] = {}
    if traits["shape"] in ("flat", "nested", "two files"):
        cells["id"] = f"{order.number}{place + 1:02}"
    elif traits["shape"] == "order and line":
        cells["line"] = place + 1
    cells["product"] = line.product
    if traits["quantity"] == "column":
        cells["quantity"] = line.quantity
    if traits["price"] != "total":
        cells["price"] = line.price
    if traits["price"] != "unit":
        cells["total"] = line.price * line.quantity
    rates = {"percent": line.percent, "percent sign": f"{line.percent} %",
             "fraction": line.percent / 100}  # fmt: skip
    if traits["discount"] == "amount":
        cells["discount"] = line.discount
    elif traits["discount"] in rates:
        cells["rate"] = rates[traits["discount"]]
    if "tax" in traits["beside"]:
        cells["tax"] = (line.price * line.quantity / 10).quantize(Decimal("0.01"))
    return cells


def _write_members(
    made: Disguise, customers: list[dict[str, str]], products: list[dict[str, Any]],
    writing: Writing, chance: random.Random,
) -> None:  # fmt: skip
    for kind, rows in (("customers", customers), ("products", products)):
        names = {k: chance.choice(n.split("|")) for k, n in _names(kind, made.traits).items()}
        suffix = {"envelope": "json"}.get(made.traits["form"], made.traits["form"])
        _written(made, made.folder / f"{names['file']}.{suffix}", rows, names, writing)


def _written(
    made: Disguise, path: Path, rows: list[dict[str, Any]], names: dict[str, str], writing: Writing
) -> None:
    write_table(path, [{names[key]: cell for key, cell in row.items()} for row in rows], writing)
    made.paths.append(path)

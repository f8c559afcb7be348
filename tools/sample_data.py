"""Make sample data: a retailer's customers, products and sales, as dirty as real files are.

The same seed and sizes give the same bytes. While writing, the generator adds up what a correct
load must arrive at; that truth owes nothing to the code that loads, so it can judge a load.

People, companies and numbers are fictitious: 555-01xx, +44 20 7946 0xxx and example.com are set
aside for that.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # it ships no annotations
import pyarrow.compute as pc

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Row = dict[str, object]
Sales = dict[str, IntArray]  # one chunk of sales as numbers, column by column
Patches = dict[str, dict[int, str | None]]  # column → row → the text to write there
T = TypeVar("T")

CUSTOMER_COLUMNS, SALES_COLUMNS = (
    header.split(",")
    for header in (
        (
            "customer_id,first_name,last_name,company,email,phone,"
            "address,city,state,postal_code,country,segment"
        ),
        (
            "transaction_id,transaction_date,customer_id,product_id,sales_rep_id,"
            "quantity,unit_price,discount_amount"
        ),
    )
)

# Not a multiple of the loader's batch, so that some duplicates straddle two batches.
CHUNK_ROWS = 200_000
UNITS = 10_000  # money is counted in whole 1/10000, which int64 adds exactly
UNIT_DECIMALS = 4
UNITS_PER_CENT = UNITS // 100
UNKNOWN_CUSTOMERS = 40
UNKNOWN_PRODUCTS = 5

# Shares of the sales, in rows per 10,000. With 5, every fault is there from 2,000 sales on.
FAULTY = 5
CONFLICTING = 10
DUPLICATE = 20
UNKNOWN_CUSTOMER = 20
UNKNOWN_PRODUCT = 5
NO_CUSTOMER = 20
NO_REP = 20
DRESSED_PRICE = 50


class Fault(NamedTuple):
    """One way to spoil a sale: this text in this column (None leaves the field out)."""

    reason: str
    column: str
    text: str | None


FAULTS = (
    Fault("missing_key", "transaction_id", ""),
    Fault("missing_key", "transaction_id", "  "),
    Fault("missing_key", "product_id", ""),
    Fault("invalid_date", "transaction_date", "2024-02-30"),
    Fault("invalid_date", "transaction_date", "03/04/2024"),
    Fault("invalid_date", "transaction_date", "n/a"),
    Fault("date_out_of_range", "transaction_date", "1850-06-01"),
    Fault("date_out_of_range", "transaction_date", "2999-12-31"),
    Fault("invalid_quantity", "quantity", "two"),
    Fault("invalid_quantity", "quantity", ""),
    Fault("invalid_quantity", "quantity", "NaN"),
    Fault("non_positive_quantity", "quantity", "0"),
    Fault("non_positive_quantity", "quantity", "-1"),
    Fault("invalid_unit_price", "unit_price", "abc"),
    Fault("invalid_unit_price", "unit_price", "1e400"),
    Fault("non_positive_price", "unit_price", "0.00"),
    Fault("non_positive_price", "unit_price", "-4.99"),
    Fault("invalid_discount", "discount_amount", "free"),
    Fault("invalid_discount", "discount_amount", "-5.00"),
    Fault("malformed_row", "discount_amount", "0.00,0.00"),
    Fault("malformed_row", "discount_amount", None),
    Fault("invalid_text", "sales_rep_id", "john\0smith"),
)

FIRST_NAMES, LAST_NAMES, COMPANIES = (
    words.split(",")
    for words in (
        (
            "John,Maria,James,Linda,Robert,Susan,Michael,Karen,David,Nancy,Carlos,Aisha,Wei,Priya,"
            "Mary-Jane,José,Zoë,Olga,Kenji,Fatima,Liam,Emma,Noah,Grace,Ivan,Chloe,Ruth,Peter"
        ),
        (
            "Smith,Johnson,O'Brien,McDonald,Garcia,Miller,Davis,Lopez,Wilson,Anderson,Thomas,"
            "Moore,Jackson,Lee,Walker,Hall,Young,King,Wright,Scott,Nguyen,Müller,Kowalski,Okafor,"
            "Tanaka,Petrov,Smith-Jones,Haddad,Silva,Patel,Novak,Rossi,Berg,Kaya,Cohen,Diaz,Weber"
        ),
        (
            "Brightworks Ltd,Harbor & Pine,Blue Ridge Supply,Fenwick Partners,Orchard Lane Cafe,"
            "Summit Dental Group,Quill Stationers,Maple Street Books,Ironbridge Tools"
        ),
    )
)
FREE_MAIL = ("gmail.com", "yahoo.com", "outlook.com")
BUSINESS_MAIL = ("brightworks.example.com", "harbor-pine.example.com", "quill.example.com")
STREETS = ("Main St", "Oak Avenue", "Maple Drive", "2nd Street", "Park Rd", "Elm St Apt 4")
US_PLACES = (
    ("Springfield", "IL", "62701"),
    ("Boston", "MA", "02108"),
    ("Austin", "TX", "73301"),
    ("Denver", "CO", "80202"),
    ("Portland", "OR", "97201"),
    ("San Francisco", "CA", "94103"),
    ("Newark", "NJ", "07102"),
    ("St. Paul", "MN", "55102-1234"),
)
UK_PLACES = (("London", "", "EC1A 1BB"), ("Leeds", "", "LS1 4AP"), ("Bristol", "", "BS1 5TR"))
US_SPELLINGS = ("US", "US", "US", "USA", "United States", "")
AREA_CODES = ("555123", "555867", "212555", "312555", "415555")  # with the exchange
PHONE_FORMS = ("{0}{1}{2}", "({0}) {1}-{2}", "{0}.{1}.{2}", "{0}-{1}-{2}", "+1 {0} {1} {2}")
PHONE_GARBAGE = ("call me", "n/a", "12", "ask reception")
SEGMENTS = ("Consumer", "Business", "Corporate", "consumer", "BUSINESS", "small business", " ", "")
CASES: tuple[Callable[[str], str], ...] = (*[str] * 14, str.upper, str.upper, str.lower, str.lower)

CATALOGUE = {  # category → what it sells, for up to so many dollars
    "Electronics": (2400, ("Headphones", "Monitor", "Keyboard", "Camera")),
    "Furniture": (1500, ("Desk", "Office Chair", "Bookcase", "Floor Lamp")),
    "Kitchen": (300, ("Kettle", "Toaster", "Knife Set", "Pan")),
    "Sports": (250, ("Yoga Mat", "Dumbbell", "Tent", "Bicycle Helmet")),
    "Clothing": (180, ("Rain Jacket", "Wool Socks", "Denim Shirt", "Scarf")),
    "Books": (60, ("Cookbook", "Atlas", "Travel Guide", "Notebook")),
    "Toys": (90, ("Puzzle", "Building Blocks", "Board Game", "Kite")),
    "Garden": (220, ("Hose", "Pruner", "Planter", "Wheelbarrow")),
}
CATEGORIES = tuple(CATALOGUE)
BRANDS = ("Alder", "Borealis", "Cobalt", "Dunmore", "Ember & Co", "Fjällby", "Granite", "Halcyon")
COLORS = ("red", "blue", "black", "white", "green")

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(366 + 365)]
MONTH_WEIGHTS = (8, 8, 9, 9, 10, 10, 9, 9, 10, 11, 16, 20)
WEEKDAY_WEIGHTS = (2, 2, 2, 2, 2, 3, 3)
CLOCKS = [""] + [f"T{minute // 60:02d}:{minute % 60:02d}:00" for minute in range(24 * 60)]
OPENING, CLOSING = 8 * 60, 22 * 60
QUANTITIES = np.repeat(np.arange(1, 11), (40, 22, 12, 8, 6, 4, 3, 2, 2, 1))
PRICE_PERCENTS = np.array((100, 100, 100, 100, 95, 90, 102))
DISCOUNT_PERCENTS = np.array([0] * 12 + [5, 10, 15, 20])
FINE_DISCOUNTS = 0.05  # the share that keeps four decimals
TIMESTAMPS = 0.1  # the share of dates with a time of day
YEARS = np.array([day.year for day in DAYS])
DAY_TEXTS = pa.array([day.isoformat() for day in DAYS])
CLOCK_TEXTS = pa.array(CLOCKS)
# The digits after the point: two of them, or four where the amount is finer than a cent.
FRACTION_TEXTS = pa.array(
    [f"{i:04d}" if i % UNITS_PER_CENT else f"{i // UNITS_PER_CENT:02d}" for i in range(UNITS)]
)


def generate(
    folder: Path,
    sales: int = 20_000,
    customers: int = 500,
    products: int = 120,
    reps: int = 12,
    seed: int = 42,
) -> dict[str, object]:
    """Write customers.csv, products.json and sales_transactions.csv; return what a load must find.

    `sales` is the number of rows in the file, faults and duplicates included; `customers` and
    `products` are distinct ids, to which a few duplicates and rejects are added.
    """
    if sales < 0 or min(customers, products, reps) < 1:
        message = "sales must be 0 or more; customers, products and reps 1 or more"
        raise ValueError(message)
    # A stream for each part, so that more customers leave the products as they were.
    streams = [np.random.Generator(np.random.PCG64([seed, part])) for part in range(5)]
    prices = _list_prices(streams[0], products)
    folder.mkdir(parents=True, exist_ok=True)
    _write_customers(folder / "customers.csv", streams[1], customers)
    _write_products(folder / "products.json", streams[2], prices)
    shop = _open_shop(streams[3], customers, prices, reps)
    tally = _write_sales(folder / "sales_transactions.csv", streams[4], shop, sales)
    return {
        "transactions": tally.transactions(),
        "customers": _dimension_truth(customers, tally.unknown_members("customer")),
        "products": _dimension_truth(products, tally.unknown_members("product")),
        "sales_reps": {"members": tally.known_members("rep")},
        "net_by_year": {year: _amount(net) for year, net in tally.net_by_year.items()},
    }


# --- customers and products -----------------------------------------------------------------------


def _write_customers(path: Path, rng: np.random.Generator, count: int) -> None:
    dice = _dice(rng)
    rows = (_customer(number, dice) for number in range(1, count + 1))
    changed: Row = {"address": "1 Moved Away Lane"}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, CUSTOMER_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_with_repeats(rows, count, "customer_id", changed))


def _write_products(path: Path, rng: np.random.Generator, prices: IntArray) -> None:
    dice = _dice(rng)
    rows = (_product(number, cents, dice) for number, cents in enumerate(prices.tolist(), 1))
    changed: Row = {"name": "Renamed product"}
    separator = "[\n"
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in _with_repeats(rows, len(prices), "product_id", changed):
            file.write(separator + json.dumps(row, ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n")


def _with_repeats(rows: Iterator[Row], count: int, key: str, changed: Row) -> Iterator[Row]:
    """Add at the end the first rows again: some as they were, some changed, one without its key."""
    again, conflicting, keyless = _repeats(count)
    head = list(islice(rows, again + conflicting + keyless))
    yield from head
    yield from rows
    yield from head[:again]
    yield from (row | changed for row in head[again : again + conflicting])
    yield from (row | {key: ""} for row in head[again + conflicting :])


def _repeats(count: int) -> tuple[int, int, int]:
    """How many of `count` members come again: identical, changed, without a key.

    A small source gets none, because a single reject would be past the limit of what may be loaded.
    """
    return min(5, count // 50), min(3, count // 100), min(1, count // 100)


def _dimension_truth(count: int, inferred: int) -> dict[str, object]:
    again, conflicting, keyless = _repeats(count)
    return {
        "read": count + again + conflicting + keyless,
        "members": count,
        "duplicate": again,
        "rejected": dict(+Counter(conflicting_duplicate=conflicting, missing_key=keyless)),
        "inferred": inferred,
    }


def _customer(number: int, dice: Iterator[float]) -> Row:
    case = _pick(dice, CASES)
    padding = _pick(dice, ("", "", "", "", "", "", "", " "))
    nameless = _chance(dice, 0.03)
    first = "" if nameless else _pick(dice, FIRST_NAMES)
    last = "" if nameless else _pick(dice, LAST_NAMES)
    british = _chance(dice, 0.06)
    values = (
        f"C{number:05d}",
        padding + case(first),
        case(last) + padding,
        _pick(dice, (*[""] * 20, "NULL", "NULL", *COMPANIES)),
        _email(f"{first}.{last}.{number}", dice),
        _phone(dice, british=british),
        *_address(dice, british=british),
        "United Kingdom" if british else _pick(dice, US_SPELLINGS),
        _pick(dice, SEGMENTS),
    )
    return dict(zip(CUSTOMER_COLUMNS, values, strict=True))


def _email(name: str, dice: Iterator[float]) -> str:
    local = "".join(c for c in name if c.isascii() and (c.isalnum() or c == ".")).strip(".")
    domain = _pick(dice, FREE_MAIL + BUSINESS_MAIL)
    forms = (*["{0}@{1}"] * 24, "{0}@@{1}", "{0} at {1}", "{0}@", "", "", "NULL")
    return _pick(dice, forms).format(_pick(dice, CASES)(local), domain)


def _phone(dice: Iterator[float], *, british: bool) -> str:
    if _chance(dice, 0.06):
        return _pick(dice, ("", "NULL", *PHONE_GARBAGE))
    line = int(next(dice) * 100)
    if british:
        return f"+44 20 7946 09{line:02d}"
    prefix = _pick(dice, AREA_CODES)
    return _pick(dice, PHONE_FORMS).format(prefix[:3], prefix[3:], f"01{line:02d}")


def _address(dice: Iterator[float], *, british: bool) -> tuple[str, str, str, str]:
    """Street, city, state and postal code; for some Americans all of it in the street."""
    street = f"{1 + int(next(dice) * 998)} {_pick(dice, STREETS)}"
    city, state, postal_code = _pick(dice, UK_PLACES if british else US_PLACES)
    if not british and _chance(dice, 0.15):
        return f"{street}, {city}, {state} {postal_code}", "", "", ""
    return street, city, state, postal_code


def _list_prices(rng: np.random.Generator, count: int) -> IntArray:
    """Draw list prices in cents, more of them low than high."""
    tops = np.array([CATALOGUE[_category(number)][0] for number in range(1, count + 1)])
    draw = rng.random(count)
    # Products of floats are the same on every machine; exp and power need not be.
    dollars = (1 + tops * draw * draw).astype(np.int64)
    cents: IntArray = dollars * 100 + rng.choice([99, 95, 50], count)
    return cents


def _category(number: int) -> str:
    return CATEGORIES[number % len(CATEGORIES)]


def _product(number: int, cents: int, dice: Iterator[float]) -> Row:
    category = _category(number)
    brand = _pick(dice, BRANDS)
    name = f"{brand} {_pick(dice, CATALOGUE[category][1])} {number}"
    price = cents / 100
    cost = round(cents * (40 + int(next(dice) * 40)) / 100) / 100
    row: Row = {
        "product_id": f"P{number:04d}",
        "name": _pick(dice, (*[name] * 38, "", "NULL")),
        "category": _pick(dice, (*[category] * 19, "")),
        "brand": _pick(dice, (*[brand] * 19, "")),
        "price": _pick(dice, (*[price] * 46, f"${price:,.2f}", None, "call us", -price)),
        "cost": _pick(dice, (*[cost] * 34, None, None, None, "unknown", -cost)),
        "specifications": {
            "color": _pick(dice, COLORS),
            "size": {"w": 1 + int(next(dice) * 90), "h": 1 + int(next(dice) * 90)},
        },
    }
    if _chance(dice, 0.1):
        del row["cost"]
    return row


def _dice(rng: np.random.Generator) -> Iterator[float]:
    """Uniform numbers for one row at a time; numpy is quick only when asked for many."""
    while True:
        yield from rng.random(4096).tolist()


def _chance(dice: Iterator[float], share: float) -> bool:
    return next(dice) < share


def _pick(dice: Iterator[float], options: Sequence[T]) -> T:
    return options[int(next(dice) * len(options))]


# --- what the sales draw from ---------------------------------------------------------------------


@dataclass(frozen=True)
class Members:
    """The ids that sales name a dimension's members by: known ones, unknown ones, then a blank."""

    ids: pa.Array
    known: int
    popularity: FloatArray  # cumulative, over the known ones

    def draw(self, rng: np.random.Generator, count: int) -> IntArray:
        """Draw positions of known ids, the popular more often."""
        return np.searchsorted(self.popularity, rng.random(count), side="right")

    def draw_unknown(self, rng: np.random.Generator, count: int) -> IntArray:
        """Draw positions of ids that the dimension's source does not have."""
        return rng.integers(self.known, self.blank, count)

    @property
    def blank(self) -> int:
        """The position of the blank id."""
        return len(self.ids) - 1


@dataclass(frozen=True)
class Shop:
    """What all sales have in common."""

    members: dict[str, Members]
    prices: IntArray  # list price of each known product, in cents
    days: FloatArray  # cumulative share of the sales by day


def _open_shop(rng: np.random.Generator, customers: int, prices: IntArray, reps: int) -> Shop:
    # Unknown ids are numbered from 9…1 on, or past the known ones where those reach that far.
    strange_customer, strange_product = max(90_000, customers), max(9_000, len(prices))
    members = {
        "customer": _members(
            rng,
            [f"C{number:05d}" for number in range(1, customers + 1)],
            [f"C{strange_customer + number:05d}" for number in range(1, UNKNOWN_CUSTOMERS + 1)],
        ),
        "product": _members(
            rng,
            [f"P{number:04d}" for number in range(1, len(prices) + 1)],
            [f"P{strange_product + number:04d}" for number in range(1, UNKNOWN_PRODUCTS + 1)],
        ),
        "rep": _members(rng, [_rep_id(number) for number in range(reps)], []),
    }
    # Busy before Christmas and at weekends; no two days alike.
    weights = np.array(
        [MONTH_WEIGHTS[day.month - 1] * WEEKDAY_WEIGHTS[day.weekday()] for day in DAYS]
    )
    return Shop(members, prices, _cumulative(weights * rng.integers(85, 116, len(DAYS))))


def _members(rng: np.random.Generator, known: list[str], unknown: list[str]) -> Members:
    ranks = rng.permutation(len(known))
    popularity = _cumulative(1 / (ranks + 10))
    return Members(pa.array([*known, *unknown, ""]), len(known), popularity)


def _rep_id(number: int) -> str:
    """Name each rep differently: john_smith, and when the names are used up john_smith_1."""
    turn, first = divmod(number, len(FIRST_NAMES))
    again, shift = divmod(turn, len(LAST_NAMES))
    last = (first + shift) % len(LAST_NAMES)
    name = f"{FIRST_NAMES[first]}_{LAST_NAMES[last]}".lower()
    return f"{name}_{again}" if again else name


def _cumulative(weights: npt.NDArray[np.int64] | FloatArray) -> FloatArray:
    sums = np.cumsum(weights, dtype=np.float64)
    shares: FloatArray = sums / sums[-1]
    return shares


# --- sales ----------------------------------------------------------------------------------------


def _write_sales(path: Path, rng: np.random.Generator, shop: Shop, total: int) -> Tally:
    tally = Tally(shop.members)
    with path.open("wb") as file:
        file.write(",".join(SALES_COLUMNS).encode() + b"\n")
        for start in range(0, total, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, total)
            sales = _draw_sales(rng, shop, np.arange(start, stop), total)
            deck = Deck(rng, start, stop)
            _add_oddities(sales, deck, rng, shop)
            patches = _dress_prices(sales["price"], deck)
            duplicate = _repeat(sales, deck, DUPLICATE)[1]
            rejected = _add_faults(sales, deck, patches)
            tally.add(sales, duplicate, rejected)
            file.write(_lines(_texts(sales, shop), patches))
            file.write(b"\n")
    return tally


def _draw_sales(rng: np.random.Generator, shop: Shop, number: IntArray, total: int) -> Sales:
    """Draw faultless sales, in the order of their dates."""
    rows = len(number)
    product = shop.members["product"].draw(rng, rows)
    quantity = rng.choice(QUANTITIES, rows)
    cents = shop.prices[product] * rng.choice(PRICE_PERCENTS, rows) // 100
    # Percents of cents are units.
    discount = quantity * cents * rng.choice(DISCOUNT_PERCENTS, rows)
    fine = rng.random(rows) < FINE_DISCOUNTS
    timed = rng.random(rows) < TIMESTAMPS
    return {
        "number": number + 1,
        "day": np.searchsorted(shop.days, (number + 0.5) / total, side="right"),
        "clock": timed * rng.integers(1 + OPENING, 1 + CLOSING, rows),
        "customer": shop.members["customer"].draw(rng, rows),
        "product": product,
        "rep": shop.members["rep"].draw(rng, rows),
        "quantity": quantity,
        "price": cents * UNITS_PER_CENT,
        "discount": np.where(fine, discount, discount - discount % UNITS_PER_CENT),
    }


class Deck:
    """Deals out the rows of one chunk, so that no row is dealt twice and gets two faults."""

    def __init__(self, rng: np.random.Generator, start: int, stop: int) -> None:
        """Shuffle the rows that are number `start` to `stop` of the file."""
        self._rows: IntArray = rng.permutation(stop - start)
        self._start, self._stop = start, stop

    def deal(self, share: int) -> IntArray:
        """Deal `share` rows of every 10,000 of the file."""
        quota = self._stop * share // 10_000 - self._start * share // 10_000
        hand, self._rows = self._rows[:quota], self._rows[quota:]
        return hand


def _add_oddities(sales: Sales, deck: Deck, rng: np.random.Generator, shop: Shop) -> None:
    """Change some rows to what is rare and yet valid: unknown members and blank ids."""
    for name, share in (("customer", UNKNOWN_CUSTOMER), ("product", UNKNOWN_PRODUCT)):
        rows = deck.deal(share)
        sales[name][rows] = shop.members[name].draw_unknown(rng, len(rows))
    for name, share in (("customer", NO_CUSTOMER), ("rep", NO_REP)):
        sales[name][deck.deal(share)] = shop.members[name].blank


def _dress_prices(price: IntArray, deck: Deck) -> Patches:
    """Write some prices with thousands separators, every other one with a currency sign."""
    dressed: dict[int, str | None] = {}
    for position, row in enumerate(deck.deal(DRESSED_PRICE).tolist()):
        dollars, rest = divmod(int(price[row]), UNITS)
        sign = "$" if position % 2 else ""
        dressed[row] = f'"{sign}{dollars:,}.{rest // UNITS_PER_CENT:02d}"'
    return defaultdict(dict, unit_price=dressed)


def _repeat(sales: Sales, deck: Deck, share: int) -> tuple[IntArray, IntArray]:
    """Copy some rows over later ones; return where the originals and the copies are."""
    earlier, later = np.sort([deck.deal(share), deck.deal(share)], axis=0)
    for column in sales.values():
        column[later] = column[earlier]
    return earlier, later


def _add_faults(sales: Sales, deck: Deck, patches: Patches) -> list[tuple[str, IntArray]]:
    """Spoil some rows, in numbers or by patches; return the rejected rows with their reasons."""
    superseded, later = _repeat(sales, deck, CONFLICTING)
    quantity = sales["quantity"]
    # One less only at the top, so that quantities keep their range and the discount stays covered.
    quantity[later] += np.where(quantity[later] < QUANTITIES.max(), 1, -1)
    overspent = deck.deal(FAULTY)
    sales["discount"][overspent] = (quantity * sales["price"])[overspent] + UNITS
    rejected = [("conflicting_duplicate", superseded), ("negative_net_amount", overspent)]
    for reason, column, text in FAULTS:
        rows = deck.deal(FAULTY)
        patches[column].update(dict.fromkeys(rows.tolist(), text))
        rejected.append((reason, rows))
    return rejected


def _texts(sales: Sales, shop: Shop) -> dict[str, pa.Array]:
    number = pc.ascii_lpad(pa.array(sales["number"]).cast(pa.string()), 8, padding="0")
    day, clock = DAY_TEXTS.take(sales["day"]), CLOCK_TEXTS.take(sales["clock"])
    ids = {name: members.ids.take(sales[name]) for name, members in shop.members.items()}
    return {
        "transaction_id": pc.binary_join_element_wise("T", number, ""),
        "transaction_date": pc.binary_join_element_wise(day, clock, ""),
        "customer_id": ids["customer"],
        "product_id": ids["product"],
        "sales_rep_id": ids["rep"],
        "quantity": pa.array(sales["quantity"]).cast(pa.string()),
        "unit_price": _money_text(sales["price"]),
        "discount_amount": _money_text(sales["discount"]),
    }


def _money_text(units: IntArray) -> pa.Array:
    whole = pa.array(units // UNITS).cast(pa.string())
    return pc.binary_join_element_wise(whole, FRACTION_TEXTS.take(units % UNITS), ".")


def _lines(texts: dict[str, pa.Array], patches: Patches) -> pa.Buffer:
    columns = [_patched(texts[name], patches[name]) for name in SALES_COLUMNS]
    lines = pc.binary_join_element_wise(*columns, ",", null_handling="skip")
    return pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0].as_buffer()


def _patched(column: pa.Array, patch: dict[int, str | None]) -> pa.Array:
    places = np.arange(len(column))
    places[list(patch)] = np.arange(len(column), len(column) + len(patch))
    texts = pa.array(patch.values(), pa.string(), size=len(patch))
    return pa.concat_arrays([column, texts]).take(places)


# --- the truth ------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Adds up what a load must find in the sales, a chunk at a time."""

    members: dict[str, Members]
    loaded: int = 0
    duplicate: int = 0
    quantity: int = 0
    gross: int = 0
    discount: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    net_by_year: dict[str, int] = field(default_factory=lambda: {"2024": 0, "2025": 0})
    _seen: dict[str, npt.NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        """Nobody has been seen in a sale yet."""
        self._seen = {name: np.zeros(len(m.ids), bool) for name, m in self.members.items()}

    def add(self, sales: Sales, duplicate: IntArray, rejected: list[tuple[str, IntArray]]) -> None:
        """Count one chunk: what is neither a duplicate nor rejected must be loaded."""
        loaded = np.ones(len(sales["number"]), bool)
        loaded[duplicate] = False
        self.duplicate += len(duplicate)
        for reason, rows in rejected:
            loaded[rows] = False
            self.rejected[reason] += len(rows)
        self._add_loaded({name: column[loaded] for name, column in sales.items()})

    def _add_loaded(self, sales: Sales) -> None:
        gross = sales["quantity"] * sales["price"]
        net = gross - sales["discount"]
        self.loaded += len(gross)
        self.quantity += int(sales["quantity"].sum())
        self.gross += int(gross.sum())
        self.discount += int(sales["discount"].sum())
        for year in self.net_by_year:
            self.net_by_year[year] += int(net[YEARS[sales["day"]] == int(year)].sum())
        for name, seen in self._seen.items():
            seen[sales[name]] = True

    def known_members(self, name: str) -> int:
        """Count the known members that loaded sales point at."""
        return int(self._seen[name][: self.members[name].known].sum())

    def unknown_members(self, name: str) -> int:
        """Count the members that loaded sales name and the dimension's source does not have."""
        return int(self._seen[name][self.members[name].known : -1].sum())

    def transactions(self) -> dict[str, object]:
        """Return the counts of all rows and the sums over the loaded ones."""
        return {
            "read": self.loaded + self.duplicate + self.rejected.total(),
            "loaded": self.loaded,
            "duplicate": self.duplicate,
            "rejected": dict(sorted((+self.rejected).items())),
            "quantity": str(self.quantity),
            "gross": _amount(self.gross),
            "discount": _amount(self.discount),
            "net": _amount(self.gross - self.discount),
        }


def _amount(units: int) -> str:
    return str(Decimal(units).scaleb(-UNIT_DECIMALS))


# --- command line ---------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Write the sample data that the command line asks for."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        truth = generate(args.out, args.sales, args.customers, args.products, args.reps, args.seed)
        if args.truth:
            args.truth.write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot write the sample: {error}\n")
    print(  # noqa: T201  # the result, on stdout
        f"Wrote {args.sales:,} sales of {args.products:,} products to {args.customers:,} customers"
        f" by {args.reps:,} reps into {args.out}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Write sample customers, products and sales; same seed, same files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default_out = Path(__file__).parents[1] / "data"
    parser.add_argument("--out", type=Path, default=default_out, metavar="DIR", help="folder")
    parser.add_argument("--sales", type=int, default=20_000, metavar="N", help="rows of sales")
    parser.add_argument("--customers", type=int, default=500, metavar="N", help="customers")
    parser.add_argument("--products", type=int, default=120, metavar="N", help="products")
    parser.add_argument("--reps", type=int, default=12, metavar="N", help="sales reps")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="start of the randomness")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write the true totals, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())

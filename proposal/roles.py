"""Which column of a table is what, and which table is which source: by names and by values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from proposal.headless import guessed
from proposal.shapes import Shape
from proposal.tables import Found
from proposal.words import (
    System,
    compact,
    file_fit,
    fits,
    roles_of,
    says,
    systems,
    without_common_prefix,
)

SURE = 0.8
"""A column with this weight is what its name says."""
_LEAST = 0.3
_MANY = 50
_ONLY = 0.65
"""How much speaks for the only column that can be something, whatever it is called."""
_AMOUNTS = (
    "unit_price", "line_amount", "discount_amount", "unit_cost", "tax", "shipping", "order_total",
    "price", "cost", "return_flag",
)  # fmt: skip
_DATES = ("transaction_date", "other_date", "hire_date", "cancelled_at")
_IDS = ("transaction_id", "customer_id", "product_id", "sales_rep_id", "order_id")
_FEW_TEXTS = ("status", "currency", "category", "brand", "segment", "country", "region")
_FLAGS = {"true", "false", "0", "1", "y", "n", "yes", "no", "t", "f", "ja", "nein", "x"}


@dataclass
class Reading:
    """A table as a source: which column is what, with how much speaks for it."""

    table: Found
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    """By role, the column."""
    weights: dict[str, float] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)
    """By role, further columns that it might be, the likeliest first."""
    system: System | None = None

    def has(self, *roles: str) -> bool:
        """Whether there is a column for one of these roles."""
        return any(role in self.columns for role in roles)

    def weight(self, *roles: str) -> float:
        """The most that speaks for one of these roles."""
        return max((self.weights.get(role, 0.0) for role in roles), default=0.0)

    def shape(self, role: str) -> Shape:
        """The values of the column that has a role."""
        return self.table.shapes[self.columns[role]]


def read_as(table: Found, source: str) -> Reading:
    """The columns of a table by the roles that a source has."""
    reading = Reading(table, source)
    bare = without_common_prefix(table.rows.column_names)
    weights = {
        (name, role): weight * compatible(role, shape)
        for name, shape in table.shapes.items()
        for role, weight in _fits(_inside(table, name), bare[name], source).items()
    }
    if source == "transactions":
        reading.system = _system(table.rows.column_names)
        weights |= _documented(reading.system, table)
        weights |= guessed(table) if table.headless else {}
    taken: set[str] = set()
    order = {name: place for place, name in enumerate(table.rows.column_names)}
    for (name, role), weight in sorted(
        weights.items(), key=lambda item: (-round(item[1], 4), order[item[0][0]])
    ):
        if weight < _LEAST:
            continue
        if role not in reading.columns and name not in taken:
            reading.columns[role], reading.weights[role] = name, weight
            taken.add(name)
        else:
            reading.others.setdefault(role, []).append(name)
    if source == "transactions" and not reading.has("transaction_date"):
        _take_only_date(reading)
    return reading


def _take_only_date(reading: Reading) -> None:
    """Take the only column of dates for that of the sale, whatever it is called."""
    dates = [name for name, shape in reading.table.shapes.items() if shape.is_date]
    if len(dates) == 1 and dates[0] not in reading.columns.values():
        reading.columns["transaction_date"] = dates[0]
        reading.weights["transaction_date"] = _ONLY


def _inside(table: Found, name: str) -> str:
    """The name of a column; of one inside the exploded list, without its path."""
    return name.removeprefix(f"{table.elements}.") if table.elements else name


def _fits(name: str, bare: str, source: str) -> Mapping[str, float]:
    found = dict(fits(name, source))
    if bare and bare != name:
        for role, weight in fits(bare, source).items():
            found[role] = max(found.get(role, 0), 0.95 * weight)
    return found


def _system(columns: Iterable[str]) -> System | None:
    """The documented report that has these columns."""
    own = frozenset(map(compact, columns))
    return next((system for system in systems() if system.columns <= own), None)


def _documented(system: System | None, table: Found) -> dict[tuple[str, str], float]:
    """The columns whose meaning a maker documents."""
    if system is None:
        return {}
    by_name = {compact(name): name for name in table.shapes}
    return {
        (by_name[name], role): 1.5
        for role, name in system.meanings.items()
        if name in by_name and compatible(role, table.shapes[by_name[name]]) > 0.3
    }


def compatible(role: str, shape: Shape) -> float:  # noqa: PLR0911, PLR0912  # one line a role
    """How well values go with a role: 1 well, 0 not at all."""
    if role in _DATES:
        return _as_date(shape)
    if role == "quantity" or role in _AMOUNTS:
        return _as_number(role, shape)
    if role == "discount_rate":
        return _as_rate(shape)
    if role in ("email", "customer_email"):
        return 1.0 if shape.is_email else 0.0
    if role == "line_number":
        small = shape.is_whole and all(0 <= n < 10_000_000 for n in shape.numbers)
        return 1.0 if small and shape.distinct * 2 < max(shape.rows, 4) else 0.2
    if role == "cancelled_flag":
        return 1.0 if shape.distinct <= 3 and not shape.is_date else 0.0
    if role == "is_deleted":
        return 1.0 if {value.casefold() for value in shape.values} <= _FLAGS else 0.0
    if shape.is_date:
        return 0.0
    if role != "specifications" and shape.is_nested:
        return 0.0
    if role in _IDS or role == "sales_rep_id":
        return _as_id(role, shape)
    if role == "status":
        return 1.0 if shape.distinct <= 30 and not shape.is_number else 0.2
    if role == "currency":
        is_code = all(len(value) <= 3 and not value.isdigit() for value in shape.values)
        return 1.0 if is_code and shape.distinct <= 40 else 0.0
    if role == "specifications":
        return 1.0 if all(value[:1] in "{[" for value in shape.values) else 0.4
    if role in ("first_name", "last_name", "full_name", "name", "product_name", "customer_name"):
        return 0.0 if shape.is_number or shape.is_email else 1.0
    if role in _FEW_TEXTS:
        return 0.5 if shape.is_number or shape.is_email else 1.0
    return 0.2 if shape.is_email else 1.0


def _as_date(shape: Shape) -> float:
    """How well values go with a date."""
    if not shape.formats:
        return 0.0
    return 1.0 if shape.is_date else 0.8 if shape.share(shape.formats[0].days) >= 0.9 else 0.6


def _as_number(role: str, shape: Shape) -> float:
    """How well values go with an amount, or with a quantity."""
    if shape.is_date or (shape.is_percent and role != "quantity"):
        return 0.0
    if not shape.is_number or shape.is_percent:
        return 0.7 if shape.is_partly_number else 0.0
    return 0.85 if role == "quantity" and not shape.is_whole else 1.0


def _as_id(role: str, shape: Shape) -> float:
    """How well values go with an id: of orders there are many, and a member is there several times,
    and no number of a line.
    """
    if shape.is_number and not shape.is_whole:
        return 0.3
    is_long = shape.rows > _MANY
    if role in ("transaction_id", "order_id"):
        return 0.25 if is_long and shape.distinct * 20 < shape.filled else 1.0
    if is_long and shape.is_unique and role in ("customer_id", "product_id"):
        return 0.6
    may_count = fits(shape.name, "transactions").get("line_number", 0.0) > SURE
    counts = may_count and shape.is_whole and all(0 <= number <= 100 for number in shape.numbers)
    return 0.7 if role == "product_id" and counts else 1.0


def _as_rate(shape: Shape) -> float:
    """How well values go with a rate: shares up to 1, or whole per cents."""
    if shape.is_percent:
        return 1.05
    if not shape.is_number or not all(0 <= number <= 100 for number in shape.numbers):
        return 0.0
    if says(shape.name, "percent"):
        return 1.3
    is_rate = all(n <= 1 for n in shape.numbers) or (shape.is_whole and shape.distinct <= 30)
    return 0.99 if is_rate else 0.6


_OF_PEOPLE = (
    "first_name", "last_name", "full_name", "company", "email", "phone", "address", "city", "state",
    "postal_code", "country", "segment",
)  # fmt: skip
_OF_PRODUCTS = ("name", "category", "brand", "price", "cost", "specifications")


def likeness(reading: Reading) -> float:
    """How much a table is like a source; 0 where it lacks what makes it one."""
    named = 2.0 * file_fit(reading.table.title, reading.source)
    if reading.source == "transactions":
        return _like_sales(reading) + named
    key = f"{reading.source.removesuffix('s')}_id"
    roles = _OF_PRODUCTS if reading.source == "products" else _OF_PEOPLE
    if reading.source == "sales_reps":
        roles = ("first_name", "last_name", "full_name", "email", "region", "hire_date")
    if key not in reading.columns:
        return 0.0
    own = sum((reading.weights.get(role, 0.0) for role in roles), 0.0)
    if own == 0.0:
        return 0.0
    unique = reading.table.distinct([reading.columns[key]]) / max(1, reading.table.rows.num_rows)
    small = 0.5 if reading.source == "sales_reps" and reading.has("hire_date") else 0.0
    share = 1.0 if unique > 0.9 else 0.5
    return reading.weights[key] + own * share + named + small


def _like_sales(reading: Reading) -> float:
    """How much a table is like sales: it has dates and amounts, and names others."""
    weigh = reading.weight
    amounts = weigh("unit_price", "line_amount")
    if not amounts and not reading.has("quantity"):
        return 0.0
    if not reading.has("transaction_date", "order_id", "transaction_id"):
        return 0.0
    found = 2 * weigh("transaction_date") + 1.5 * weigh("quantity") + 1.5 * amounts
    found += weigh("product_id", "product_name") + weigh("customer_id", "customer_email")
    return found + 0.5 * weigh("order_id", "transaction_id") + 0.5 * weigh("line_number")


def like_orders(reading: Reading) -> bool:
    """Whether a table has the orders of lines that are elsewhere: each once, with its date."""
    if not reading.has("transaction_date"):
        return False
    named = reading.columns.get("order_id") or reading.columns.get("transaction_id")
    rows = 0.98 * reading.table.rows.num_rows
    if named is not None and reading.table.distinct([named]) >= rows:
        is_once = True
    else:
        is_whose = reading.has("customer_id", "customer_email", "status", "order_total")
        is_once = is_whose and any(shape.is_unique for shape in reading.table.shapes.values())
    return is_once and not (reading.has("quantity") and reading.weight("product_id") > 0.5)


def like_lines(reading: Reading) -> bool:
    """Whether a table has the lines of orders that are elsewhere: without a date of their own."""
    has_amounts = reading.has("unit_price", "line_amount") or reading.has("quantity")
    return has_amounts and reading.has("product_id", "product_name", "order_id")


def sources_of(names: Sequence[str]) -> list[str]:
    """The sources that have words."""
    return [name for name in names if roles_of(name)]

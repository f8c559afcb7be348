"""What a sale has cost, and the profit that follows from it: for batches and for the warehouse.

A sale keeps the cost of the night in which it first came. So a product's later cost restates
nothing, whether the source sends the sale again or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common.amounts import MONEY, fitting, multiplied
from common.arrays import decoded, whole
from common.currencies import can_be_one
from common.source_settings import SourceSettings
from common.star_model import MONEY as MONEY_COLUMN
from common.star_model import MONEY_SCALE, TOO_LARGE, Star, plain_type

GIVEN = "_cost_given"
"""The column of staged sales that says whether the source gives the cost of the sale itself."""

_STEP = sa.literal(Decimal(1).scaleb(-MONEY_SCALE), MONEY_COLUMN)
"""The least difference of two costs."""


@dataclass(frozen=True)
class Costs:
    """How the sales of a run get their costs."""

    may_be_given: bool
    """Whether the source may give the cost of a sale itself."""
    by_currency: bool
    """Whether each sale says in which currency it is: of one that does not, nobody knows."""
    paid_in: str | None
    """The currency of the products' costs; None is that of the sales, if these do not differ."""

    @classmethod
    def of(
        cls, sources: Mapping[str, SourceSettings], sales: str, mapped: Collection[str] | None
    ) -> Costs:
        """By the settings, and the columns that the source of sales has (None: perhaps all)."""
        declared = sources[sales].currency
        return cls(
            may_be_given=mapped is None or "unit_cost" in mapped,
            by_currency=mapped is not None and "currency" in mapped and declared is None,
            paid_in=sources["products"].currency or declared,
        )

    def add(self, columns: dict[str, Any], cost: pa.Array) -> None:
        """Add to the columns of sales what they have cost: their own cost, else `cost`, the
        product's, where it is in their currency; and the profit that follows.
        """
        given = pa.nulls(len(cost), cost.type)
        if "unit_cost" in columns:
            given = decoded(whole(columns["unit_cost"])).cast(cost.type)
        columns[GIVEN] = pc.is_valid(given)
        columns["unit_cost"] = pc.coalesce(given, self._usable(columns.get("currency"), cost))
        net, quantity = (decoded(whole(columns[name])) for name in ("net_amount", "quantity"))
        columns["profit_amount"] = profit(net, quantity, columns["unit_cost"])

    def _usable(self, currencies: Any, cost: pa.Array) -> pa.Array:
        """`cost` where it is in the currency of the sale."""
        if currencies is None or (not self.by_currency and currencies.null_count == len(cost)):
            return cost
        sold = decoded(whole(currencies)).cast(pa.string())
        same = [
            name
            for name in pc.unique(sold).to_pylist()
            if (name and self.paid_in and can_be_one([name, self.paid_in]))
            or (name is None and not self.by_currency)
        ]
        is_same = pc.is_in(sold, pa.array(same, pa.string()))
        return pc.if_else(is_same, cost, pa.scalar(None, cost.type))


def profit(net: pa.Array, quantity: pa.Array, cost: pa.Array) -> pa.Array:
    """net - quantity x cost, four places.

    Null where the cost is unknown, or so absurd that no column holds the profit.
    """
    spent = multiplied(quantity, cost)
    if spent.type == MONEY:  # far below all limits
        return pc.subtract(net, spent).cast(MONEY)
    wide = pa.decimal128(37, 4)
    return fitting(pc.subtract(net.cast(wide), spent.cast(wide)), TOO_LARGE)


def profit_in_star(net: Any, quantity: Any, cost: Any) -> sa.ColumnElement[Any]:
    """`profit` as an engine computes it."""
    found = net - _rounded(quantity * cost)
    return sa.case((sa.func.abs(found) < TOO_LARGE, found))


def with_flag(fact: sa.Table) -> sa.Table:
    """The columns of `fact` and `GIVEN`, as sales are staged whose costs may be their own."""
    columns = [sa.Column(c.name, plain_type(c), info=c.info) for c in fact.columns]
    return sa.Table(fact.name, sa.MetaData(), *columns, sa.Column(GIVEN, sa.Boolean()))


def kept(star: Star, staged: Any) -> dict[str, sa.ColumnElement[Any]]:
    """The cost and the profit, by name, that the `staged` columns of a sale get beside its row in
    the star.

    The star's cost stays where the source gives none, and the sale is of the same product and in
    the same currency; or in one that it did not tell before, if the product's cost is in that.
    """
    fact = star.fact.c
    stays: list[sa.ColumnElement[bool]] = [fact.unit_cost.is_not(None)]
    if star.currency is not None:
        sold, now = star.currency, staged[star.currency.name]
        is_told = sa.and_(sold.is_(None), staged.unit_cost.is_not(None))
        stays.append(sa.or_(sold.is_not_distinct_from(now), is_told))
    stays += [key == staged[key.name] for key in star.keys_to(star.unit_cost.table)]
    if GIVEN in staged:
        stays.append(sa.not_(staged[GIVEN]))
    is_other = sa.and_(*stays, fact.unit_cost.is_distinct_from(staged.unit_cost))
    anew = profit_in_star(staged.net_amount, staged.quantity, fact.unit_cost)
    found = {
        "unit_cost": sa.case((is_other, fact.unit_cost), else_=staged.unit_cost),
        "profit_amount": sa.case((is_other, anew), else_=staged.profit_amount),
    }
    return {name: sa.type_coerce(value, MONEY_COLUMN) for name, value in found.items()}


def is_other_profit(fact: Any, tonight: dict[str, Any]) -> sa.ColumnElement[bool]:
    """Whether a sale of `tonight` has another profit than the `fact` has; without a cost nobody can
    say, and a profit of a version that kept no costs stays.
    """
    has_cost = tonight["unit_cost"].is_not(None)
    return sa.and_(has_cost, fact.profit_amount.is_distinct_from(tonight["profit_amount"]))


def from_profit(fact: Any) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[bool]]:
    """The unit cost that a fact's profit was computed with, and whether it is the only one that
    gives this profit. Of less than one piece several do, and of an altered profit none.
    """
    spent = fact.net_amount - fact.profit_amount
    quotient = spent / fact.quantity
    fits = sa.and_(quotient >= 0, quotient < TOO_LARGE)
    cost = sa.case((fits, sa.cast(_rounded(quotient), MONEY_COLUMN)))
    neighbours = (_rounded(fact.quantity * near) != spent for near in (cost - _STEP, cost + _STEP))
    is_only = sa.or_(sa.func.abs(fact.quantity) >= 1, sa.and_(*neighbours))
    return cost, sa.and_(_rounded(fact.quantity * cost) == spent, is_only)


def _rounded(amount: Any) -> sa.ColumnElement[Any]:
    return sa.func.round(amount, MONEY_SCALE)

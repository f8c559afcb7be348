"""Rules for products: prices, tiers, margins, and specifications."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.currencies import not_in
from cleaning.numbers import money, numbers
from common.amounts import MONEY
from common.star_model import MONEY_SCALE
from common.values import json_number, to_json

_ZERO = pa.scalar(Decimal(0), MONEY)


def prices(values: pa.Array, separator: str = ".", currency: str | None = None) -> pa.Array:
    """Text to amounts (MONEY) that are not negative, in the declared `currency` if there is one;
    null for anything else.
    """
    amounts = numbers(values, separator)
    is_wrong = pc.or_(pc.less(amounts, _ZERO), not_in(values, currency))
    return pc.if_else(is_wrong, pa.scalar(None, MONEY), amounts)


def estimated_cost(price: pa.Array, ratio: Decimal) -> pa.Array:
    """The cost (MONEY) of products without one: `ratio` x price."""
    return money(pc.multiply(price.cast(pa.decimal128(18, MONEY_SCALE)), pa.scalar(ratio)))


def price_tier(price: pa.Array, high: Decimal, medium: Decimal) -> pa.Array:
    """High from `high` on, Medium from `medium` on, else Low; Unknown without a price."""
    tier = pc.if_else(
        pc.greater_equal(price, pa.scalar(high)),
        "High",
        pc.if_else(pc.greater_equal(price, pa.scalar(medium)), "Medium", "Low"),
    )
    return pc.coalesce(tier, "Unknown")


def margin_pct(price: pa.Array, cost: pa.Array) -> pa.Array:
    """(price - cost) / price x 100 as decimal128(19, 2), rounded half away from zero.

    Null without a price or a cost, for a price of 0, and where the margin does not fit the type.
    """

    def margin(p: Decimal, c: Decimal) -> Decimal | None:
        percent = ((p - c) / p * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return percent if abs(percent) < 10**17 else None

    values = [
        margin(p, c) if p and c is not None else None
        for p, c in zip(price.to_pylist(), cost.to_pylist(), strict=True)
    ]
    return pa.array(values, pa.decimal128(19, 2))


def canonical_json(text: str) -> str | None:
    """JSON text with sorted keys; a text that is not JSON becomes a JSON string.

    None for JSON with a lone surrogate, which no database stores.
    """
    try:
        found = to_json(json.loads(text, parse_float=json_number, parse_constant=str))
    except (ValueError, RecursionError):
        found = json.dumps(text, ensure_ascii=False)
    return found if _is_storable(found) else None


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Rules for products: prices, tiers, margins, and specifications."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.numbers import money, numbers
from common.amounts import MONEY
from common.values import json_number, to_json
from schema import MONEY_SCALE

_ZERO = pa.scalar(Decimal(0), MONEY)


def prices(values: pa.Array, separator: str = ".") -> pa.Array:
    """Text to amounts that are not negative; null for anything else."""
    amounts = numbers(values, separator)
    return pc.if_else(pc.less(amounts, _ZERO), pa.scalar(None, MONEY), amounts)


def estimated_cost(price: pa.Array, ratio: Decimal) -> pa.Array:
    """What products are taken to cost when nobody says."""
    return money(pc.multiply(price.cast(pa.decimal128(18, MONEY_SCALE)), pa.scalar(ratio)))


def price_tier(price: pa.Array, high: Decimal, medium: Decimal) -> pa.Array:
    """High, Medium or Low by the bounds, Unknown without a price."""
    tier = pc.if_else(
        pc.greater_equal(price, pa.scalar(high)),
        "High",
        pc.if_else(pc.greater_equal(price, pa.scalar(medium)), "Medium", "Low"),
    )
    return pc.coalesce(tier, "Unknown")


def margin_pct(price: pa.Array, cost: pa.Array) -> pa.Array:
    """(price - cost) / price x 100, two decimals, half away from zero.

    Null without a price, or where a cost dwarfs it so far that no column holds the margin.
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
    """JSON with sorted keys; text that is no JSON becomes a JSON string.

    None for JSON that no database stores: with half of a Unicode pair in it.
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

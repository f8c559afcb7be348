"""Exact arithmetic on columns of amounts: DECIMAL with four places, rounded half away from zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import unscaled
from common.star_model import MONEY_PRECISION, MONEY_SCALE

MONEY = pa.decimal128(MONEY_PRECISION, MONEY_SCALE)
_FACTOR = pa.decimal128(MONEY_PRECISION - 1, MONEY_SCALE)  # so that a product fits 38 digits
_UNIT = 10**MONEY_SCALE
_LARGEST = 1 << 62  # products below it fit an int64 with room for rounding: 4.6 x 10^10 in money


def multiplied(left: pa.Array, right: pa.Array) -> pa.Array:
    """`left` x `right` with four places, rounded half away from zero; null where either is null.

    Both are amounts of any decimal type. The result is MONEY where all products are far below its
    limits: they are then multiplied as integers, five times faster than as decimals. Otherwise it
    is decimal128(38, 4), which `fitting` turns into MONEY.
    """
    left, right = left.cast(MONEY), right.cast(MONEY)
    whole, other = unscaled(left), unscaled(right)
    if whole is None or other is None or _largest(whole) * _largest(other) >= _LARGEST:
        return rounded(pc.multiply(left.cast(_FACTOR), right))
    exact = whole * other
    half_up = (np.abs(exact) + _UNIT // 2) // _UNIT
    result = _as_money(np.where(exact < 0, -half_up, half_up))
    if not (left.null_count or right.null_count):
        return result
    both = pc.and_(pc.is_valid(left), pc.is_valid(right))
    return pc.if_else(both, result, pa.scalar(None, MONEY))


def rounded(amounts: pa.Array) -> pa.Array:
    """Decimals of any scale, rounded half away from zero to four places."""
    return pc.round(amounts, ndigits=MONEY_SCALE, round_mode="half_towards_infinity")


def divided(left: pa.Array, right: pa.Array) -> pa.Array:
    """`left` / `right` as MONEY, rounded half away from zero; null where either is null, `right` is
    0, or the result needs more digits than MONEY has. Both are MONEY.
    """
    whole, other = unscaled(left), unscaled(right)
    if whole is None or other is None or _largest(whole) * _UNIT >= _LARGEST // 2:
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return pa.array([_quotient(*pair) for pair in pairs], MONEY)
    size = np.abs(np.where(other == 0, 1, other))
    exact = np.abs(whole) * _UNIT
    half_up = exact // size
    half_up += exact - half_up * size >= size - size // 2
    result = _as_money(np.where((whole < 0) == (other < 0), half_up, -half_up))
    is_there = pc.and_(pc.and_(pc.is_valid(left), pc.is_valid(right)), pa.array(other != 0))
    return pc.if_else(is_there, result, pa.scalar(None, MONEY))


def _quotient(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    if left is None or not right:
        return None
    exact = Fraction(left) / Fraction(right) * _UNIT
    half_up = (2 * abs(exact) + 1) // 2
    if half_up >= 10**MONEY_PRECISION:
        return None
    return Decimal(half_up if exact >= 0 else -half_up).scaleb(-MONEY_SCALE)


def has_places(amounts: pa.Array, places: int) -> pa.Array:
    """Booleans: whether amounts (MONEY) have no more than so many decimal places."""
    return pc.equal(amounts, pc.round(amounts, ndigits=places, round_mode="half_towards_infinity"))


def fitting(amounts: pa.Array, limit: int | Decimal) -> pa.Array:
    """`amounts` as MONEY; null where an amount, without its sign, is `limit` or more."""
    if amounts.type == MONEY:
        return amounts
    fits = pc.less(pc.abs(amounts), pa.scalar(Decimal(limit)))
    return pc.if_else(fits, amounts, pa.scalar(None, amounts.type)).cast(MONEY)


def _largest(units: npt.NDArray[np.int64]) -> int:
    return max(int(units.max(initial=0)), -int(units.min(initial=0)))


def _as_money(units: npt.NDArray[np.int64]) -> pa.Array:
    words = np.empty((len(units), 2), np.int64)
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Array.from_buffers(MONEY, len(units), [None, pa.py_buffer(words)])

"""The amounts of a sale: from quantity and price, or from the line's total, and its discount."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.columns import Cells, Reader
from cleaning.numbers import LIMIT, money, numbers, shares
from common.amounts import MONEY, divided, fitting, has_places, multiplied
from common.arrays import decoded
from config import StarSchemaConfig

_ZERO = pa.scalar(Decimal(0), MONEY)
_HALF_A_UNIT = {2: Decimal("0.005"), 3: Decimal("0.0005"), 4: Decimal("0.0001")}
"""By how much an amount with so many places may differ from the one that it was rounded from."""
_NO_DISCOUNT = "-", "\u2013", "\u2014", "\u2212"
"""A lone dash, as spreadsheets show an amount of 0 and people write that there is none."""


@dataclass(frozen=True)
class Amounts:
    """What a line costs before its discount."""

    quantity: pa.Array
    unit_price: pa.Array
    gross: pa.Array
    is_return: pa.Array | None
    """Which lines give goods back; None where returns are not accepted."""


def line_amounts(read: Reader, config: StarSchemaConfig) -> Amounts:
    """Quantity, price and gross amount of each line. Rows are rejected where one of them cannot be
    accepted.
    """
    reject = read.verdict.reject
    rule = partial(numbers, separator=read.settings.decimal_separator)
    quantities, prices = read.cells("quantity", rule), read.cells("unit_price", rule)
    quantity = quantities.plain
    reject("invalid_quantity", pc.is_null(quantity), quantities.given())
    unwanted = pc.equal(quantity, _ZERO)
    if not config.accept_returns:
        unwanted = pc.less_equal(quantity, _ZERO)
    reject("non_positive_quantity", unwanted, quantities.given())
    is_return = pc.less(quantity, _ZERO) if config.accept_returns else None
    lines = read.cells("line_amount", rule)
    if lines.is_absent():  # as it is in most sources
        unit_price, gross = _of_price(read, config, quantity, prices)
    else:
        unit_price, gross = _of_line(read, config, quantity, prices, lines)
    return Amounts(quantities.values, unit_price, gross, is_return)


def _of_price(
    read: Reader, config: StarSchemaConfig, quantity: pa.Array, prices: Cells
) -> tuple[pa.Array, pa.Array]:
    """The price, and quantity x price as MONEY."""
    reject, price = read.verdict.reject, prices.plain
    reject("invalid_unit_price", pc.is_null(price), prices.given())
    too_low = pc.less if config.accept_free_items else pc.less_equal
    reject("non_positive_price", too_low(price, _ZERO), prices.given())
    gross = fitting(multiplied(quantity, price), LIMIT)
    too_large = pc.is_null(pc.if_else(read.verdict.good(), gross, _ZERO))
    reject("invalid_unit_price", too_large, "quantity x unit_price is out of range")
    return prices.values, gross


def _of_line(
    read: Reader, config: StarSchemaConfig, quantity: pa.Array, prices: Cells, lines: Cells
) -> tuple[pa.Array, pa.Array]:
    """The price of a piece, and the line's total, which is the gross amount as it is.

    The total of a return has the sign of its quantity, whichever the source gives it. A line
    without a total has quantity x price. Where both are given they must agree, but for rounding.
    """
    reject, price = read.verdict.reject, prices.plain
    told = pc.binary_join_element_wise("line_amount", decoded(lines.given()), " ")
    reject("invalid_unit_price", lines.unreadable(), told)
    reject("invalid_unit_price", prices.unreadable(), prices.given())
    is_return = pc.less(quantity, _ZERO)
    total = pc.if_else(is_return, pc.negate(pc.abs(lines.plain)), lines.plain).cast(MONEY)
    has_total, has_price = pc.is_valid(total), pc.is_valid(price)
    neither = pc.invert(pc.or_(has_total, has_price))
    reject("invalid_unit_price", neither, "neither unit_price nor line_amount")
    product = fitting(multiplied(quantity, price), LIMIT)
    differs = pc.invert(pc.fill_null(_agree(quantity, price, product, total), False))
    sides = pc.binary_join_element_wise(told, "is not quantity x", decoded(prices.given()), " ")
    reject("invalid_unit_price", pc.and_(pc.and_(has_total, has_price), differs), sides)
    each = pc.if_else(
        pc.fill_null(pc.equal(product, total), False), price, divided(total, quantity)
    )
    each, gross = pc.coalesce(each, price), pc.coalesce(total, product)
    paid = pc.if_else(has_total, pc.if_else(is_return, pc.negate(total), total), price)
    too_low = pc.less if config.accept_free_items else pc.less_equal
    reject("non_positive_price", too_low(paid.cast(MONEY), _ZERO), told, prices.given())
    good = read.verdict.good()
    too_large = pc.and_(good, pc.or_(pc.is_null(gross), pc.is_null(each)))
    reject(
        "invalid_unit_price", too_large, "the amount of the line, or of a piece, is out of range"
    )
    return each.cast(MONEY), gross.cast(MONEY)


def _agree(quantity: pa.Array, price: pa.Array, product: pa.Array, total: pa.Array) -> pa.Array:
    """Whether quantity x price is the total, where one of price and total may be rounded."""
    difference = pc.abs(pc.subtract(product, total))
    of_total = _half_a_unit(total)
    of_price = multiplied(pc.abs(quantity), _half_a_unit(price))
    return pc.or_(pc.less_equal(difference, of_total), pc.less_equal(difference, of_price))


def _half_a_unit(amounts: pa.Array) -> pa.Array:
    two, three, four = (pa.scalar(half, MONEY) for half in _HALF_A_UNIT.values())
    finer = pc.if_else(has_places(amounts, 3), three, four)
    return pc.if_else(has_places(amounts, 2), two, finer)


def discounts(read: Reader, amounts: Amounts) -> pa.Array:
    """Discounts as MONEY: the amount if there is one, else rate x gross, else 0.

    Rows are rejected where the amount or rate is unreadable, negative, or larger than gross. A
    return's discount reduces the refund, whichever sign the source gives it.
    """
    reject, separator = read.verdict.reject, read.settings.decimal_separator
    gross, is_return, unit = amounts.gross, amounts.is_return, read.settings.rate_unit
    given = read.cells("discount_amount", partial(numbers, separator=separator), _NO_DISCOUNT)
    rate_rule = partial(shares, separator=separator, unit=unit)
    rates = read.cells("discount_rate", rate_rule, _NO_DISCOUNT)
    reject("invalid_discount", given.unreadable(), given.given())
    found = given.where_missing(_ZERO)
    if not rates.is_absent():  # as it is in most sources
        wrong = pc.and_(given.missing(), rates.unreadable())
        reject("invalid_discount", wrong, _with_unit(rates, separator, unit))
        from_rate = money(pc.multiply(gross, rates.plain))
        from_rate = pc.if_else(rates.missing(), _ZERO, from_rate)
        found = given.where_missing(from_rate)
    details = given.given(), rates.given()
    discount = decoded(found)
    if is_return is None or not pc.any(is_return).as_py():
        reject("invalid_discount", pc.less(discount, _ZERO), *details)
        reject("negative_net_amount", pc.greater(discount, gross), *details)
        return found
    size = pc.abs(discount)
    invalid = pc.if_else(is_return, pc.greater(size, pc.abs(gross)), pc.less(discount, _ZERO))
    reject("invalid_discount", invalid, *details)
    reject("negative_net_amount", pc.and_(pc.invert(is_return), pc.greater(size, gross)), *details)
    return pc.if_else(is_return, pc.negate(size), discount)


def _with_unit(rates: Cells, separator: str, unit: str) -> pa.Array:
    """The rates as given; those that would be percentages are followed by the setting for these."""
    given = decoded(rates.given())
    if unit == "percent":
        return given
    is_percentage = pc.and_(
        pc.is_valid(shares(given, separator, "percent")),
        pc.invert(pc.ends_with(given, "%")),
    )
    hint = " (if it is a percentage, set RATE_UNIT=percent)"
    hinted = pc.binary_join_element_wise(given, hint, "")
    return pc.if_else(pc.fill_null(is_percentage, False), hinted, given)

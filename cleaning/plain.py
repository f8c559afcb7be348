"""Columns that need no rule of their own: a value of the source as it is, read by its type."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Boolean, Column, Date, Numeric, Text

from cleaning.columns import Reader, Rule
from cleaning.date_settings import date_rule
from cleaning.flags import flags
from cleaning.numbers import numbers
from common.amounts import MONEY
from common.star_model import Role


def plain_columns(
    read: Reader, wanted: Collection[Column[object]], zone: ZoneInfo
) -> dict[str, pa.Array]:
    """The attributes and measures `wanted`, each from the column of the same name.

    What has no value gets the declared default. A row is refused for a measure that cannot
    be read, or that has neither a value nor a default, where it must have one.
    """
    return {
        column.name: _measure(read, column)
        if column.info["role"] is Role.MEASURE
        else _attribute(read, column, zone)
        for column in wanted
    }


def _attribute(read: Reader, column: Column[object], zone: ZoneInfo) -> pa.Array:
    cells = read.attribute(column.name, _rule(read, column, zone))
    default = column.info.get("default")
    return cells.values if default is None else cells.where_missing(pa.scalar(default))


def _measure(read: Reader, column: Column[object]) -> pa.Array:
    reject, reason = read.verdict.reject, f"invalid_{column.name}"
    cells = read.cells(column.name, partial(numbers, separator=read.settings.decimal_separator))
    reject(reason, cells.unreadable(), cells.given())
    if column.info["default"] is not None:
        return cells.where_missing(pa.scalar(Decimal(column.info["default"]), MONEY))
    if not column.nullable:
        reject(reason, cells.missing())
    return cells.values


def _rule(read: Reader, column: Column[object], zone: ZoneInfo) -> Rule:
    """How an attribute of this type is read."""
    if isinstance(column.type, Text):
        return lambda texts: texts
    if isinstance(column.type, Boolean):
        return flags
    if isinstance(column.type, Numeric):
        return partial(numbers, separator=read.settings.decimal_separator)
    if isinstance(column.type, Date):
        return date_rule(read.settings, zone)
    raise TypeError(f"{column} is of type {column.type}: say in transform how it is read")

"""The Arrow types and schemas of the star's columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from sqlalchemy import Boolean, Column, Date, Integer, Numeric, SmallInteger

from common.arrays import whole
from common.star_model import MONEY_PRECISION


def arrow_type(column: Column[Any]) -> pa.DataType:
    """The Arrow type that carries values of `column` without loss."""
    kind = column.type
    if isinstance(kind, Numeric):
        return pa.decimal128(kind.precision or MONEY_PRECISION, kind.scale or 0)
    for sql_type, arrow in (
        (Boolean, pa.bool_()),
        (Date, pa.date32()),
        (SmallInteger, pa.int16()),
        (Integer, pa.int32()),
    ):
        if isinstance(kind, sql_type):
            return arrow
    return pa.string()


def arrow_schema(columns: Iterable[Column[Any]]) -> pa.Schema:
    """The Arrow schema of rows with `columns`, in their order."""
    return pa.schema([pa.field(c.name, arrow_type(c), c.nullable) for c in columns])


def typed(values: pa.Array | pa.ChunkedArray, column: Column[Any]) -> pa.Array:
    """Values in their column's type, unless they are encoded."""
    array = whole(values)
    return array if pa.types.is_dictionary(array.type) else array.cast(arrow_type(column))

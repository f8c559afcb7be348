"""Arrow tables as frames of pandas and of Polars, without a float where there was none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from errors import RequestError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


_EPOCH = date(1970, 1, 1)
_DAYS = (date.min - _EPOCH).days, (date.max - _EPOCH).days


def as_pandas(table: pa.Table, *, floats: bool = False) -> pd.DataFrame:
    """A frame in which decimals are exact objects, or floats if asked for; whole numbers and
    booleans stay what they are where some are missing; dates are dates, text is text.

    Raises `RequestError` for a value that pandas cannot hold.
    """
    import pandas as pd  # noqa: PLC0415  # a second that the command line does not need

    kinds = {
        pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(), pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(),
        pa.uint32(): pd.UInt32Dtype(), pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
        pa.date32(): pd.ArrowDtype(pa.date32()),
    }  # fmt: skip
    if floats:
        table = table.cast(pa.schema([_with_floats(field) for field in table.schema]))
    if not all(map(_has_days_of_python, table.columns)):
        raise _not_held("pandas", "a date is before the year 1 or after 9999")
    try:
        return table.to_pandas(types_mapper=kinds.get, split_blocks=True)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise _not_held("pandas", error) from error


def as_polars(table: Callable[[], pa.Table]) -> pl.DataFrame:
    """A frame of Polars; the table is asked for once that is found.

    Raises `RequestError` where Polars is not installed, or cannot hold a value.
    """
    try:
        import polars as pl  # noqa: PLC0415  # not everybody has it
    except ImportError:
        raise RequestError("Polars is not installed: pip install polars; or use .df()") from None
    found = table()
    if any(pa.types.is_decimal256(field.type) for field in found.schema):
        raise _not_held("Polars", "decimals have 38 digits there")
    try:
        return pl.DataFrame(found)
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise _not_held("Polars", error) from error


def _not_held(library: str, reason: object) -> RequestError:
    return RequestError(
        f"{library} cannot hold a value of the answer ({reason}); have it as text, or use .arrow()"
    )


def _has_days_of_python(column: pa.ChunkedArray) -> bool:
    """Whether dates, which pandas reads one by one when they are looked at, are such."""
    if not pa.types.is_date32(column.type):
        return True
    found = pc.min_max(column.cast(pa.int32())).as_py()
    return found["min"] is None or _DAYS[0] <= found["min"] <= found["max"] <= _DAYS[1]


def _with_floats(field: pa.Field) -> pa.Field:
    return field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field

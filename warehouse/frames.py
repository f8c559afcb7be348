"""Arrow tables as frames of pandas and of Polars, without a float where there was none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from errors import RequestError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def as_pandas(table: pa.Table, *, floats: bool = False) -> pd.DataFrame:
    """A frame in which decimals are exact objects, or floats if asked for; whole numbers and
    booleans stay what they are where some are missing; dates are dates, text is text.
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
    return table.to_pandas(types_mapper=kinds.get, split_blocks=True)


def as_polars(table: Callable[[], pa.Table]) -> pl.DataFrame:
    """A frame of Polars; the table is asked for once that is found.

    Raises `RequestError` where Polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415  # not everybody has it
    except ImportError:
        raise RequestError("Polars is not installed: pip install polars; or use .df()") from None
    return pl.DataFrame(table())


def _with_floats(field: pa.Field) -> pa.Field:
    return field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field

"""Between the rows that people have in a notebook and tables of text: frames, lists of dicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from common.arrays import decoded
from common.results import PLACE
from common.values import as_text, comma_text, key_text

if TYPE_CHECKING:
    import pandas as pd

    Rows: TypeAlias = pd.DataFrame | list[dict[str, Any]] | pa.Table


def as_table(rows: Rows, keys: Sequence[str], commas: Sequence[str] = ()) -> pa.Table:
    """A DataFrame or a list of dicts as a table of text columns. The caller's object is unchanged.

    Whole floats lose their `.0`, because an integer column with gaps is float in pandas; so do
    whole decimals in `keys`. In the columns `commas`, whose texts have decimal commas,
    numbers get one too. An Arrow table is returned as it is.
    """
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, list):
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns: dict[str, Iterable[Any]] = {n: [row.get(n) for row in rows] for n in names}
    else:
        columns = {str(name): rows[name] for name in rows.columns}
    texts = {n: comma_text if n in commas else key_text if n in keys else as_text for n in columns}
    return pa.table(
        {n: pa.array([_cell(v, texts[n]) for v in column], pa.string())
         for n, column in columns.items()}
    )  # fmt: skip


def checked(
    table: pa.Table, required: Sequence[str], instead: Mapping[str, str] | None = None
) -> pa.Table:
    """`table` with the `required` columns, which are added to a table without rows. By required
    column, `instead` has the one that may be there in its place.

    Raises `KeyError` that names those that are missing.
    """
    there = {*table.column_names}
    there |= {name for name, other in (instead or {}).items() if other in there}
    missing = [name for name in required if name not in there]
    if missing and len(table):
        raise KeyError(
            f"these required columns are missing: {', '.join(missing)} "
            f"(there are: {', '.join(table.column_names)})"
        )
    for name in missing:
        table = table.append_column(name, pa.array([], pa.string()))
    return table


def _cell(value: Any, text: Callable[[Any], str | None]) -> str | None:
    """One value as text; None for every kind of missing value (None, NaN, NaT, NA)."""
    plain = value.item() if isinstance(value, np.generic) else value
    is_missing = type(plain).__name__ in ("NaTType", "NAType") or (
        isinstance(plain, float) and math.isnan(plain)
    )
    return None if is_missing else text(plain)


def to_frame(rows: pa.Table) -> pd.DataFrame:
    """Cleaned rows as a DataFrame of str, int, bool, `Decimal` and `date`; None where unknown."""
    kept = rows.drop_columns([PLACE]) if PLACE in rows.column_names else rows
    frame: pd.DataFrame = pa.table({n: decoded(kept[n]) for n in kept.column_names}).to_pandas()
    return frame

"""Amounts by currency, which are never added up across currencies."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import decoded, whole

Sums: TypeAlias = dict[str, Decimal]
"""By currency; "" where the source does not say which one it is."""


def summed(amounts: pa.ChunkedArray | pa.Array, currencies: pa.ChunkedArray | None) -> Sums:
    """The sum of amounts (decimals) by their currencies; null is 0."""
    values = decoded(whole(amounts))
    names = None if currencies is None else decoded(whole(currencies))
    if names is None or names.null_count == len(names):
        return {"": pc.sum(values).as_py() or Decimal(0)}
    table = pa.table({"name": pc.coalesce(names.cast(pa.string()), ""), "net": values})
    found = table.group_by("name").aggregate([("net", "sum")]).to_pylist()
    return {row["name"]: row["net_sum"] or Decimal(0) for row in found}


def summed_by(
    names: pa.ChunkedArray | pa.Array,
    amounts: pa.ChunkedArray | pa.Array,
    currencies: pa.ChunkedArray | pa.Array | None,
) -> dict[str, Sums]:
    """The sums of amounts by a name that each has, and by currency. Where no amount is known there
    is none.
    """
    found: dict[str, Sums] = {}
    values = decoded(whole(amounts))
    columns = {"name": whole(names), "net": values}
    if currencies is not None and currencies.null_count < len(currencies):
        columns["currency"] = decoded(whole(currencies)).cast(pa.string())
    table = pa.table(columns).filter(pc.is_valid(values))
    by = [name for name in table.column_names if name != "net"]
    for row in table.group_by(by).aggregate([("net", "sum")]).to_pylist() if len(table) else ():
        sums = found.setdefault(row["name"], {})
        currency = row.get("currency") or ""
        sums[currency] = sums.get(currency, Decimal(0)) + row["net_sum"]
    return found


def plus(*several: Sums) -> Sums:
    """Sums added up, each currency for itself."""
    result: Sums = {}
    for sums in several:
        for name, amount in sums.items():
            result[name] = result.get(name, Decimal(0)) + amount
    return result


def minus(sums: Sums, less: Sums) -> Sums:
    """`sums` less those of `less`."""
    return plus(sums, {name: -amount for name, amount in less.items()})


def currencies_of(several: Iterable[Sums]) -> list[str]:
    """The currencies that have an amount, in their order; [""] where there is none."""
    names = {name for sums in several for name, amount in sums.items() if amount or name}
    return sorted(names) or [""]

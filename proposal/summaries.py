"""Rows that sum up other rows: an order above its lines, a payment below them, a total."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from proposal.numbers import Floats, floats, separator_of
from proposal.roles import Reading, read_as
from proposal.tables import Flags

_AMOUNTS = ("unit_price", "line_amount")
_MOST = 0.95


def without_summaries(reading: Reading, order: str | None) -> Reading:
    """The reading without the rows that sum up others; the same one where there are none.

    They name no product while others do, and either have no amount of their own, or that of all
    lines of their order; or they have neither an order nor a date.
    """
    table = reading.table
    product = _product(reading)
    if product is None or table.elements:
        return reading
    blank = table.blank(product)
    if not blank.any() or blank.mean() > 0.7:
        return reading
    known = _known(reading, order, blank)
    if known[blank].mean() < _MOST or not _has_lines(reading, ~blank):
        return reading
    count = int(blank.sum())
    evidence = dict(table.evidence)
    evidence["skip_when"] = f"{count:,} rows without {product} repeat what others say, or head them"
    rows = table.rows.filter(pa.array(~blank))
    settings = {**table.settings, "skip_when": {product: [""]}}
    kept = replace(table, rows=rows, settings=settings, evidence=evidence)
    return read_as(kept, "transactions")


def _product(reading: Reading) -> str | None:
    """The column of the product that most rows have."""
    names = [reading.columns.get("product_id"), reading.columns.get("product_name")]
    names += reading.others.get("product_id", [])
    known = [name for name in dict.fromkeys(names) if name is not None]
    return max(known, key=lambda n: reading.table.shapes[n].filled) if known else None


def _has_lines(reading: Reading, lines: Flags) -> bool:
    """Whether the other rows are sales: nearly all have an amount."""
    values = [_values(reading, name) for name in _amounts(reading)]
    if not values:
        return False
    return bool(np.any([~np.isnan(v[lines]) for v in values], axis=0).mean() > _MOST)


def _known(reading: Reading, order: str | None, blank: Flags) -> Flags:
    """Which rows without a product say nothing that others do not say."""
    table = reading.table
    date = reading.columns.get("transaction_date")
    name = order or reading.columns.get("order_id") or reading.columns.get("transaction_id")
    undated = table.blank(date) if date is not None else np.zeros(len(blank), bool)
    if name is None or name == date:
        return undated
    codes = table.texts(name).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    columns = [_values(reading, own) for own in _amounts(reading)]
    quantity = np.nan_to_num(_values(reading, reading.columns.get("quantity")), nan=1.0)
    lines = [np.where(blank, 0.0, np.nan_to_num(own)) for own in columns]
    plain = [np.bincount(codes, own)[codes] for own in lines]
    sums = [*plain, *(np.bincount(codes, own * quantity)[codes] for own in lines)]
    has_lines = np.bincount(codes, ~blank)[codes] > 0
    same = np.ones(len(blank), bool)
    for own, total_here in zip(columns, plain, strict=True):
        fits = np.any([np.abs(own - total) < 0.011 for total in sums], axis=0)
        same &= fits | np.isnan(own) | (own == 0) | (total_here == 0)
    found: Flags = undated | (has_lines & same)
    return found


def _amounts(reading: Reading) -> list[str]:
    return [reading.columns[role] for role in _AMOUNTS if reading.has(role)]


def _values(reading: Reading, name: str | None) -> Floats:
    sign = separator_of(reading.table, _amounts(reading)).sign
    return floats(reading.table, name, sign)

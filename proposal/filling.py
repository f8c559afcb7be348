"""Orders over several rows: cells that only the first row of an order has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proposal.roles import Reading, read_as
from proposal.tables import Flags
from proposal.words import is_flag

_OF_ORDERS = (
    "transaction_date", "customer_id", "customer_email", "customer_name", "sales_rep_id",
    "currency", "status", "cancelled_at", "order_id", "transaction_id",
)  # fmt: skip
_OF_LINES = ("product_id", "product_name", "quantity", "unit_price", "line_amount")
_LEAST = 0.04
"""The share of rows that must be blank for a column to be filled."""
GROUP_TOO = ", the order's number as well"


def filled_down(reading: Reading) -> tuple[Reading, str]:
    """The reading with the cells filled that an order's first row has, and what was found; the same
    reading and '' where each row has all.
    """
    table = reading.table
    group = _group(reading)
    if group is None or table.elements:
        return reading, ""
    keys = table.texts(group)
    goes_on = _goes_on(keys)
    lines = [reading.columns[role] for role in _OF_LINES if reading.has(role)]
    has_line = np.any([~table.blank(name) for name in lines], axis=0) if lines else goes_on
    columns = [group, *_blank_below(reading, group, goes_on & has_line)]
    blank = table.blank(group)
    is_filled = blank.mean() < _LEAST
    if (is_filled and len(columns) == 1) or not (is_filled or _goes_with_date(reading, blank)):
        return reading, ""
    rows = table.rows
    for name in columns:
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, _filled(table.texts(name), goes_on))
    settings = {**table.settings, "fill_down": columns}
    evidence = dict(table.evidence)
    count = int((goes_on & has_line).sum())
    evidence["fill_down"] = f"blank in {count:,} rows that go on with the order above"
    if blank.any():
        evidence["fill_down"] += GROUP_TOO
    filled = replace(table, rows=rows, settings=settings, evidence=evidence)
    return read_as(filled, "transactions"), group


def _goes_with_date(reading: Reading, blank: Flags) -> bool:
    """Whether rows without an order have no date either, or there is no date at all."""
    date = reading.columns.get("transaction_date")
    return date is None or bool(reading.table.blank(date)[blank].mean() > 0.9)


def _group(reading: Reading) -> str | None:
    """The column that names the order."""
    for role in ("order_id", "transaction_id"):
        if reading.has(role):
            return reading.columns[role]
    return None


def _goes_on(keys: pa.Array) -> Flags:
    """Which rows belong to the order of the row above."""
    blank = np.asarray(pc.equal(keys, "").to_numpy(zero_copy_only=False), bool)
    codes = keys.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    same = np.zeros(len(keys), bool)
    same[1:] = codes[1:] == codes[:-1]
    found: Flags = blank | same
    if len(found):
        found[0] = False
    return found


def _blank_below(reading: Reading, group: str, goes_on: Flags) -> list[str]:
    """The columns of an order that are blank in its further rows, and not in its first."""
    if not goes_on.any():
        return []
    found = []
    names = [reading.columns.get(role) for role in _OF_ORDERS]
    names += reading.others.get("status", []) + list(filter(is_flag, reading.table.shapes))
    for name in dict.fromkeys(filter(None, names)):
        if name == group:
            continue
        blank = reading.table.blank(name)
        further, first = blank[goes_on].mean(), blank[~goes_on].mean()
        if further >= 0.95 and first <= 0.7 and blank.mean() >= _LEAST:
            found.append(name)
    return found


def _filled(texts: pa.Array, goes_on: Flags) -> pa.Array:
    """The texts; a blank one of a row that goes on is the one above."""
    blank = np.asarray(pc.equal(texts, "").to_numpy(zero_copy_only=False), bool)
    own = np.where(blank & goes_on, 0, np.arange(len(blank)))
    source = np.maximum.accumulate(own) if len(own) else own
    return texts.take(pa.array(source))

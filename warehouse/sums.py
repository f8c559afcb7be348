"""Sums over the rows of a table, each currency for itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from common.sums import Sums
from warehouse.base import Warehouse


def sums(
    warehouse: Warehouse,
    rows: Any,
    currency: sa.ColumnElement[Any] | None,
    amounts: Sequence[sa.ColumnElement[Any]],
    counts: Sequence[sa.ColumnElement[Any]],
) -> tuple[list[Sums], list[int]]:
    """Of `rows`, a table or a join: each of `amounts`, which are sums, by `currency`, under ""
    without one, and `counts` over all of them. One scan.
    """
    totals = [sa.func.coalesce(amount, 0) for amount in amounts]
    query = sa.select(*counts, *totals).select_from(rows)
    if currency is None:
        found = [("", *warehouse.row(query))]
    else:
        by = sa.func.coalesce(currency, "")
        query = sa.select(by, *counts, *totals).select_from(rows).group_by(by)
        found = [tuple(row) for row in warehouse.execute(query).all()]
    first = 1 + len(counts)
    return (
        [
            {str(row[0]): Decimal(row[first + place]) for row in found}
            for place in range(len(amounts))
        ],
        [sum(int(row[1 + place]) for row in found) for place in range(len(counts))],
    )

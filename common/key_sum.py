"""A number by which the keys of facts in the warehouse are compared with those found for them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Table

from common.star_model import Role, columns_of


def key_weights(fact: Table) -> dict[str, int]:
    """How many times each key to a dimension counts in `key_sum`."""
    return {key.name: n for n, key in enumerate(columns_of(fact, Role.DIMENSION_KEY), 1)}


def key_sum(fact: Table, rows: Any, only: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    """One number of the keys to the dimensions that facts have, those of rows `only` or of all:
    each key counts another number of times, so that no key can take the place of another.

    `rows` are the columns of `fact`, or of a table that holds rows of it.
    """
    sums = ((sa.func.sum(rows[key]), weight) for key, weight in key_weights(fact).items())
    first, *others = (
        sa.func.coalesce(total if only is None else total.filter(only), 0) * weight
        for total, weight in sums
    )
    return sum(others, first)

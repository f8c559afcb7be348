"""The star as one flat table: a row per fact, with the attributes of its members beside it.

The view of people's tools, the frames of a notebook and the figures of a report are made of it, so
that one name means the same everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from common.star_model import (
    Role,
    Star,
    business_key,
    columns_of,
    surrogate_key,
    target_of,
)

_OF_FACTS = (Role.BUSINESS_KEY, Role.ATTRIBUTE, Role.MEASURE)
_OF_MEMBERS = (Role.BUSINESS_KEY, Role.ATTRIBUTE)


def readable(star: Star) -> dict[str, sa.Column[Any]]:
    """By its name in the flat table, each column of the star that tells people something: business
    keys, attributes and measures, those of the calendar right behind the fact's own key.

    An attribute keeps its name where no other table has one of that name (`category`); otherwise
    the member stands before it (`customer_email`, `sales_rep_email`).
    """
    dates = columns_of(star.calendar, *_OF_MEMBERS)
    members = [
        column
        for dimension in star.dimensions
        if dimension is not star.calendar
        for column in columns_of(dimension, *_OF_MEMBERS)
    ]
    own = columns_of(star.fact, *_OF_FACTS)
    key = business_key(star.fact)
    columns = [key, *dates, *members, *(column for column in own if column is not key)]
    often = Counter(column.name for column in columns)
    return {
        column.name
        if often[column.name] == 1
        else f"{column.table.info.get('member', column.table.name)}_{column.name}": column
        for column in columns
    }


def joined(
    star: Star, only: Collection[sa.Table] | None = None, *, by_outer_joins: bool = False
) -> sa.Join | sa.Table:
    """The fact with each of its dimensions, or of `only` some of them. A fact has a member of each:
    no row is lost.
    """
    found: Any = star.fact
    for key in columns_of(star.fact, Role.DIMENSION_KEY):
        dimension = target_of(key)
        if only is None or dimension in only:
            found = sa.join(
                found, dimension, key == surrogate_key(dimension), isouter=by_outer_joins
            )
    join: sa.Join | sa.Table = found
    return join


def flat(star: Star) -> sa.Select[Any]:
    """All facts under readable names."""
    named = [column.label(name) for name, column in readable(star).items()]
    return sa.select(*named).select_from(joined(star))

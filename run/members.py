"""What a run knows and does of the star before the dimensions are loaded."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import sqlalchemy as sa

from cleaning.dates import calendar
from common.star_model import Star, surrogate_key
from run.clean_source import CleanSource
from run.costs import fill_costs
from run.rekey import Spellings, is_due, rekey_star
from sources.raw_source import RawSource
from warehouse import Warehouse
from warehouse.changes import ChangeRecord


def counts(warehouse: Warehouse, star: Star) -> dict[str, int]:
    """By dimension, how many members it has, the Unknown one left out."""
    return {
        table.name: int(
            warehouse.scalar(sa.select(sa.func.count()).where(surrogate_key(table) >= 0))
        )
        for table in star.dimensions
    }


def whole_years(warehouse: Warehouse, dates: sa.Table, sales: CleanSource) -> pa.Table:
    """The days of whole years that cover the sales and the days already in `dates`."""
    keys = [key // 10_000 for bounds in sales.days.values() for key in bounds]
    day = dates.c.full_date
    known = warehouse.row(sa.select(sa.func.min(day), sa.func.max(day)))
    years = [*keys, *(bound.year for bound in known if bound is not None)]
    return calendar(dates, *((min(years), max(years)) if years else (1, 0)))


def take_over(
    warehouse: Warehouse,
    star: Star,
    extracted: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
    record: ChangeRecord | None = None,
) -> list[str]:
    """Have the star of an earlier version as this one would have made it: its keys and costs.

    Returns what to warn of, and tells the `record`. Raises `GateError` where two keys would become
    one.
    """
    return [
        *_rekey(warehouse, star, extracted, cleaned, record),
        *fill_costs(warehouse, star.fact, record),
    ]


def _rekey(
    warehouse: Warehouse,
    star: Star,
    extracted: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
    record: ChangeRecord | None,
) -> list[str]:
    """Have the star's keys as the rules of this version make them, if others made them."""
    if not is_due(warehouse):
        return []
    typed = {
        name: any(file["format"] != "csv" for file in source.files)
        for name, source in extracted.items()
    }
    tonight: dict[sa.Table, list[Spellings]] = {}
    sales = cleaned[star.sales.name]
    for source in (*star.members, star.sales):
        named = Spellings(typed[sales.name], sales.column(source.key))
        own = cleaned.get(source.name)
        given = [] if own is None else [Spellings(typed[source.name], own.column(source.key))]
        tonight[source.feeds] = [named, *given]
    return rekey_star(warehouse, tonight, record)

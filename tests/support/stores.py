"""A star with a dimension, a measure and two columns more than the built-in one."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Date, MetaData

from common.star_model import (
    NAMES,
    Source,
    Star,
    attribute,
    dimension,
    dimension_key,
    measure,
)
from schema import STAR


def star_with_stores() -> Star:
    """The built-in star with stores, and with a tax and an order number of each sale."""
    metadata = MetaData(naming_convention=NAMES)
    for table in STAR.tables:
        table.to_metadata(metadata)
    stores = dimension(metadata, "store", attribute("city", ""), attribute("opened_on", "", Date()))
    fact = metadata.tables[STAR.fact.name]
    for column in (
        dimension_key(stores),
        measure("tax_amount", "", default=0),
        attribute("order_number", ""),
    ):
        fact.append_column(column)
    sources = [replace(s, feeds=metadata.tables[s.feeds.name]) for s in STAR.sources]
    more = ("store_id", "tax_amount", "order_number")
    return Star(
        fact,
        (
            *(replace(s, optional=s.optional + more) if s.feeds is fact else s for s in sources),
            Source("stores", stores, ("store_id",), ("city", "opened_on"), is_required=False),
        ),
    )

"""Stars of versions that kept no cost beside a sale: it is found again in the profit they hold.

Done once, in the first run of a version that keeps it, and in its transaction, before anything is
merged: so a product's cost of tonight restates no profit of an earlier night.
"""

from __future__ import annotations

import sqlalchemy as sa

from common.costs import from_profit
from schema import etl_run
from warehouse import Warehouse
from warehouse.changes import ChangeRecord
from warehouse.history import of_last_published


def fill_costs(
    warehouse: Warehouse, fact: sa.Table, record: ChangeRecord | None = None
) -> list[str]:
    """Give each row of `fact` that has a profit and no cost the one cost that makes this profit, if
    the last published run kept no costs. Returns what to warn of, and tells the `record`.

    A row whose cost cannot be told stays as it is. All keep their run.
    """
    if warehouse.is_created(fact) or not _is_due(warehouse):
        return []
    lacks = fact.c.unit_cost.is_(None), fact.c.profit_amount.is_not(None)
    cost, is_certain = from_profit(fact.c)
    filled = warehouse.execute(
        sa.update(fact).where(*lacks, is_certain).values(unit_cost=cost)
    ).rowcount
    if record is not None:
        record.filled(fact, fact.c.unit_cost.name, filled)
    left = warehouse.scalar(sa.select(sa.func.count()).select_from(fact).where(*lacks))
    told = []
    if filled > 0:
        told.append(f"{filled:,} sales got the cost that their profit was computed with")
    if left:
        told.append(f"{left:,} keep a profit whose cost cannot be told")
    return [f"{fact.name}.unit_cost is new: {', '.join(told)}"] if told else []


def _is_due(warehouse: Warehouse) -> bool:
    """Whether the last published run was of a version that kept no costs: it had no watermarks."""
    last = of_last_published(warehouse, etl_run.c.watermarks)
    return last is not None and last.watermarks is None

"""A person is forgotten: nothing but the id is left of them, and the money of their sales stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Table

from common.results import CleanBatch
from common.star_model import DELETED_FLAG, attributes, business_key
from config import StarSchemaConfig
from errors import WarehouseError
from run import reject_erasure
from run.reject_erasure import Erased
from schema import etl_change
from warehouse import Warehouse, growth, new_run_id, open_warehouse
from warehouse.changes import forget as forget_changes
from warehouse.engines import engine_of

_CUSTOMERS = "customers"


@dataclass(frozen=True)
class Forgotten:
    """What was erased, and what could not be."""

    table: Table
    member: str
    emptied: list[str]
    """The attributes that were personal."""
    was_known: bool
    """Whether the star has the member."""
    was_forgotten: bool
    """Whether nothing of it was left before."""
    changes: int
    """In how many places `etl_change` had values of it."""
    erased: Erased

    @property
    def exit_code(self) -> int:
        """0: all is done; 1: a reject file is left; 2: nobody has heard of such a member."""
        if self.erased.problems:
            return 1
        return 0 if self.was_known or self.changes or self.erased.rows else 2


def forget_customer(
    config: StarSchemaConfig,
    customer_id: str,
    prepare: Callable[[str, pa.Table], CleanBatch],
    *,
    dry_run: bool,
    before_change: Callable[[], None],
) -> Forgotten | None:
    """Erase a customer from the star, in one transaction, and then from all reject files.

    `prepare` cleans a row that has the id alone: that gives the key, and what the star then holds
    of such a customer. The warehouse's lock is kept to the end, so that no run copies a reject file
    meanwhile. With `dry_run` nothing is changed. `before_change` is called before anything is; what
    it raises ends it. Returns None for an id that cannot be one.
    """
    source = config.star.source(_CUSTOMERS)
    table = source.feeds
    try:
        given = pa.table({source.key: [customer_id]})
    except UnicodeEncodeError:  # bytes that are no text
        return None
    cleaned = prepare(source.name, given).rows.to_pylist()
    if not cleaned:
        return None
    (nameless,) = cleaned
    member = nameless[source.key]
    personal = [c.name for c in attributes(table) if c.info.get("is_personal")]
    values = {**{name: nameless[name] for name in personal}, DELETED_FLAG: True}

    def found(before: Mapping[str, Any] | None, changes: int) -> Forgotten:
        if not dry_run:
            before_change()
        erased = reject_erasure.erase(config, table, member, dry_run=dry_run)
        was_forgotten = before is not None and _has(before, values) and not changes
        is_known = before is not None
        return Forgotten(table, member, personal, is_known, was_forgotten, changes, erased)

    if engine_of(config.warehouse_url).absent(config.warehouse_url):
        return found(None, 0)
    with open_warehouse(config, new_run_id()) as warehouse:
        return found(
            *_forget_in_star(warehouse, table, member, values, None if dry_run else before_change)
        )


def _forget_in_star(
    warehouse: Warehouse,
    table: Table,
    member: str,
    values: Mapping[str, Any],
    before_commit: Callable[[], None] | None,
) -> tuple[Mapping[str, Any] | None, int]:
    """Give the member those values, and empty the kept ones; returns its row before, None where
    there is none, and how many were kept. Without `before_commit` it is only looked at.
    """
    warehouse.begin()
    is_there = table.name in warehouse.present([table])
    warehouse.rollback()
    if not is_there:
        return None, 0
    grown = growth.begin_load(warehouse, [table], apart=before_commit is not None)
    is_member = business_key(table) == member
    row = warehouse.execute(sa.select(table).where(is_member)).mappings().first()
    before = None if row is None else {str(name): value for name, value in row.items()}
    dry_run = before_commit is None
    changes = forget_changes(warehouse, table, member, dry_run=dry_run)
    is_left = before is not None and not _has(before, values)
    if before_commit is None or not (is_left or changes):
        warehouse.rollback()
        return before, changes
    if is_left:
        warehouse.execute(sa.update(table).where(is_member).values(values))
    same = (table.c[name].is_not_distinct_from(value) for name, value in values.items())
    is_done = sa.select(business_key(table)).where(is_member, *same)
    left = forget_changes(warehouse, table, member, dry_run=True)
    if left or (is_left and warehouse.execute(is_done).first() is None):
        raise WarehouseError(
            f"{etl_change.name if left else table.name}: a trigger or a rule keeps the member as "
            "it was; remove it, and run this again; nothing was changed"
        )
    growth.complete(warehouse, grown)
    before_commit()
    warehouse.commit(is_done if before is not None else None)
    return before, changes


def _has(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(row[name] == value for name, value in values.items())


def lines(forgotten: Forgotten, config: StarSchemaConfig, *, dry_run: bool) -> list[str]:
    """What was done, for people."""
    table, member, erased = forgotten.table.name, repr(forgotten.member), forgotten.erased
    if not forgotten.was_known:
        star = f"the star has no customer {member}"
    elif forgotten.was_forgotten:
        star = f"customer {member} was forgotten before; nothing of them is left in {table}"
    else:
        done = "would be erased" if dry_run else "is erased"
        star = (
            f"customer {member} {done} from {table} ({', '.join(forgotten.emptied)}); "
            "the sales and their money stay"
        )
    gone = "would be taken" if dry_run else "taken"
    kept = [f"values {gone} out of {forgotten.changes:,} rows of {etl_change.name}"]
    return [
        star,
        *(kept if forgotten.changes else []),
        f"rejects in {config.rejects_dir}: {erased.rows:,} rows {gone} out of {erased.files:,} "
        f"files; {erased.looked_at:,} were looked through",
        f"not touched: the log {config.log_file} (ids, and examples of keys; no names), exports, "
        "pages made with REPORT_PERSONAL, backups, and what the engine keeps of old rows: "
        "see Erase a person in docs/personal-data.md",
        "not touched: the source; as long as it has the row, the next run brings it back",
    ]

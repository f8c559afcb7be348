"""What a run changes in the facts: their values, those that go, and the net amount by month."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, FromClause, Table, Text

from common.changes import Change
from common.star_model import Role, Star, business_key, columns_of
from warehouse.changes import EXAMPLES, REMOVED, WAS, ChangeRecord, Step, as_text


def recorded(fact: Table) -> list[Column[Any]]:
    """The columns of a fact of which it is kept what they were."""
    return columns_of(fact, Role.DIMENSION_KEY, Role.MEASURE, Role.ATTRIBUTE)


class FactChanges:
    """The facts' part of the record of a run."""

    def __init__(self, record: ChangeRecord, star: Star, *, by_currency: bool) -> None:
        self._record, self._warehouse, self._star = record, record.warehouse, star
        self._fact, self._told = star.fact, record.told.of(star.fact.name)
        self._day = star.keys_to(star.calendar)[0].name
        self._net = star.fact.c.net_amount.name
        currency = star.currency
        self._currency = currency.name if currency is not None and by_currency else None

    def made(self, rows: int) -> None:
        """The run has made the table, with so many rows."""
        self._told.new = rows
        if self._record.habits.is_preview:
            self._record.added(self._fact, self._fact, sa.true())
            self._move(self._fact, sa.true())

    def merged(self, changes: Table, inserted: int, updated: int) -> None:
        """The rows of `changes`, with `old_values` of those that are `_known`, are about to be
        merged.
        """
        self._told.new = inserted
        known = changes.c["_known"]
        if updated:
            self._record.overwritten(
                Step(self._fact, changes, recorded(self._fact), known.is_not(None))
            )
            self._move(changes, known.is_not(None), WAS, sign=-1)
        if inserted:
            self._record.added(self._fact, changes, known.is_(None))
        if inserted or updated:
            self._move(changes, sa.true())

    def removed(self, gone: Table, why: str, rows: int) -> None:
        """The facts whose keys `gone` has, so many `rows`, are about to be deleted."""
        record, fact, key = self._record, self._fact, business_key(self._fact)
        is_kept = record.may_keep(fact, rows, REMOVED)
        self._told.removed[why] = self._told.removed.get(why, 0) + rows
        columns = [column for column in fact.columns if column is not key]
        query = sa.select(*columns, key).select_from(gone.join(fact, key == gone.c[key.name]))
        old: FromClause = query.subquery("removed")
        if rows <= REMOVED:
            old = self._warehouse.keep_changes(query, fact, "removed")
        self._move(old, sa.true(), sign=-1)
        row = record.row(
            fact, old.c[key.name], None, _as_json(columns, old), why, "removed"
        )  # fmt: skip
        if is_kept:
            record.keep(row)
        else:
            record.keep_counts(fact, {None: rows}, why)
        self._give_examples(row, old.c[key.name])
        record.write(row, old.c[key.name])
        if isinstance(old, Table):
            self._warehouse.drop(old)

    def settle(self) -> None:
        """All is done to the facts: for a preview, see what each month has now."""
        after = self._by_month(self._fact, sa.true()) if self._record.habits.is_preview else None
        self._record.told.settle(after)

    def _give_examples(self, row: sa.Select[Any], key: sa.ColumnElement[Any]) -> None:
        room = EXAMPLES - len({change.key for change in self._told.examples})
        if room <= 0:
            return
        found = self._warehouse.execute(row.order_by(self._record.in_order(key)).limit(room)).all()
        self._told.examples += [
            Change(each.business_key, None, each.before, each.after, each.kind) for each in found
        ]

    def _move(
        self, rows: FromClause, where: sa.ColumnElement[bool], prefix: str = "", *, sign: int = 1
    ) -> None:
        for (month, currency), net in self._by_month(rows, where, prefix).items():
            self._record.told.move(month, {currency: net}, sign)

    def _by_month(
        self, rows: FromClause, where: sa.ColumnElement[bool], prefix: str = ""
    ) -> dict[tuple[str, str], Decimal]:
        """The net amount of rows by month and currency."""
        day, net = rows.c[prefix + self._day], rows.c[prefix + self._net]
        by = [day - sa.func.mod(day, 100)]
        if self._currency is not None:
            by.append(sa.func.coalesce(rows.c[prefix + self._currency], ""))
        query = sa.select(sa.func.sum(net), *by).select_from(rows).where(where).group_by(*by)
        found = {}
        for amount, first_day, *currency in map(tuple, self._warehouse.execute(query).all()):
            month = f"{first_day // 10_000}-{first_day // 100 % 100:02}"
            found[month, "".join(currency)] = Decimal(amount or 0)
        return found


def _as_json(columns: list[Column[Any]], rows: FromClause) -> sa.ColumnElement[Any]:
    """A row as a JSON object of texts, without what is personal."""
    text: sa.ColumnElement[Any] = sa.literal("{", Text)
    for place, column in enumerate(c for c in columns if not c.info.get("is_personal")):
        name = f"{', ' if place else ''}{json.dumps(column.name)}: "
        value = sa.func.to_json(as_text(column, rows.c[column.name]))
        text = text + sa.literal(name, Text) + sa.func.coalesce(sa.cast(value, Text), "null")
    return text + sa.literal("}", Text)

"""What a run overwrites: kept in `etl_change`, told to its summary, and written to a file.

All three are made of one statement over the rows that are about to be overwritten, which have the
old values beside the new ones: a preview and the run that follows it cannot tell different things.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Column, FromClause, Table, Text

from common.changes import Alike, Change, Changes, TableChanges
from common.outcomes import MemberCounts
from common.star_model import (
    DELETED_FLAG,
    INFERRED_FLAG,
    Role,
    attributes,
    business_key,
    is_dimension,
    surrogate_key,
    target_of,
)
from schema import etl_change
from warehouse.base import Warehouse

LIMIT, REMOVED = 50_000, 100_000
"""Of a table in which a run overwrites more rows, or removes more, it is kept how many, and not
their values: a record that grows as fast as the facts would cost more than they do.
"""
EXAMPLES = 20
"""The changes of the first so many rows of a table are told."""
_ALIKE = 10
WAS = "_was_"
"""What the name of a column begins with that has the old value of another."""
Write = Callable[[pa.Table], None]


def old_values(columns: Iterable[Column[Any]]) -> list[sa.Label[Any]]:
    """The columns of a row that is there, as a statement selects them beside the new values."""
    return [column.label(WAS + column.name) for column in columns]


@dataclass(frozen=True)
class Habits:
    """What is kept, and what is shown."""

    is_kept: bool = True
    """Whether anything is kept in the warehouse."""
    keeps_personal: bool = False
    """Whether the values of personal columns are kept too."""
    is_counted: bool = False
    """Whether only counts are kept: other rules than those of the last run changed the rows."""
    just_got: Collection[Column[Any]] = ()
    """Columns that the star has got tonight: of these, too, only counts are kept."""
    is_preview: bool = False
    """Whether somebody asked to see what changes: they see personal values, and new keys."""


@dataclass
class Step:
    """Rows of a table that are about to be overwritten."""

    table: Table
    rows: FromClause
    """They have the key, and of each of `columns` the new value, and the old one under `WAS`."""
    columns: Sequence[Column[Any]]
    where: sa.ColumnElement[bool] = field(default_factory=sa.true)
    is_healed: sa.ColumnElement[bool] | None = None
    """Whether the row is an inferred member that is filled in."""
    kind: str = "changed"

    @property
    def key(self) -> sa.ColumnElement[Any]:
        """The business key of the rows."""
        return self.rows.c[business_key(self.table).name]

    @property
    def is_changed(self) -> sa.ColumnElement[bool]:
        """Whether a row is changed, and not only filled in."""
        return self.where if self.is_healed is None else sa.and_(self.where, ~self.is_healed)


class ChangeRecord:
    """The record of one run, in its transaction: a run that is tried again has a new one."""

    def __init__(
        self,
        warehouse: Warehouse,
        run_id: str,
        habits: Habits,
        write: Write | None = None,
    ) -> None:
        """`write` takes all changes, without any limit, as rows of `etl_change` with their kind."""
        self.warehouse, self.run_id, self.habits = warehouse, run_id, habits
        self.told = Changes()
        self.warnings: list[str] = []
        self._write = write
        self._seen: dict[tuple[Table, int], int] = {}

    # --- what the loaders tell -----------------------------------------------------------------

    def merged(self, table: Table, changes: Table, counts: MemberCounts) -> None:
        """The rows of `changes`, with `old_values` of the members `_known`, are about to be merged
        into a dimension.
        """
        told, known = self.told.of(table.name), changes.c["_known"]
        told.new, told.inferred = counts.inserted, counts.inferred
        is_healed: sa.ColumnElement[bool] | None = None
        if INFERRED_FLAG in changes.c:
            was, now = changes.c[WAS + INFERRED_FLAG], changes.c[INFERRED_FLAG]
            is_healed = sa.and_(sa.func.coalesce(was, sa.false()), sa.not_(now))
        if counts.updated:
            self.overwritten(Step(table, changes, attributes(table), known.is_not(None), is_healed))
        if counts.inserted or counts.inferred:
            self.added(table, changes, known.is_(None))

    def added(self, table: Table, rows: FromClause, is_new: sa.ColumnElement[bool]) -> None:
        """Rows are about to come in: of these only a preview tells more than how many."""
        key = rows.c[business_key(table).name]
        if self.habits.is_preview:
            keys = sa.select(key).where(is_new).order_by(self.in_order(key)).limit(EXAMPLES)
            found = self.warehouse.execute(keys).scalars()
            self.told.of(table.name).first_new = [str(each) for each in found]
        if self._write is not None:
            rows_of_file = self.row(table, key, None, None, None, "new").where(is_new)
            self.write(rows_of_file, key)

    def flagged(self, table: Table, gone: Table) -> None:
        """The members of `gone` are about to be flagged, because nobody names them any more."""
        key, flag = business_key(table), table.c[DELETED_FLAG]
        rows = (
            sa.select(key, *old_values([flag]), sa.true().label(flag.name))
            .select_from(gone.join(table, key == gone.c[key.name]))
            .subquery("flagged")
        )
        self.overwritten(Step(table, rows, [flag], kind="flagged"))

    def renamed(self, table: Table, keys: Table) -> None:
        """The business keys `old` of `keys` are about to become those that are `new` there. What is
        kept of the rows follows them.
        """
        key = business_key(table)
        rows = sa.select(keys.c.new.label(key.name), keys.c.old.label(WAS + key.name)).subquery()
        self.overwritten(Step(table, rows, [key], kind="rekeyed"))
        if self.habits.is_kept:
            kept = etl_change.c
            self.warehouse.execute(
                sa.update(etl_change)
                .values(business_key=keys.c.new)
                .where(kept.table_name == table.name, kept.business_key == keys.c.old)
            )

    def filled(self, table: Table, attribute: str, rows: int) -> None:
        """So many `rows` had no value of an attribute, and have one now."""
        if rows > 0:
            told = self.told.of(table.name)
            told.attributes[attribute] = told.attributes.get(attribute, 0) + rows
            self.keep_counts(table, {attribute: rows})

    # --- what becomes of it --------------------------------------------------------------------

    def overwritten(self, step: Step) -> None:
        """Keep, tell and write the changes of rows."""
        changed, healed, by_attribute, by_healing = self._counted(step)
        told = self.told.of(step.table.name)
        if step.kind == "flagged":
            told.flagged += changed
        else:
            told.changed += changed
        told.healed += healed
        for name, rows in by_attribute.items():
            told.attributes[name] = told.attributes.get(name, 0) + rows
        if self.habits.is_kept:
            self._keep(step, changed, by_attribute, by_healing)
        self._tell(step, told)
        if self._write is not None:
            query = self._detail(step, step.columns, step.where, with_personal=True).subquery()
            self.write(sa.select(query), query.c.business_key, query.c.place)

    def keep_counts(self, table: Table, rows: Mapping[Any, int], after: str | None = None) -> None:
        """Keep how many rows have changed, by attribute, and not their values."""
        given = [
            {
                "run_id": self.run_id, "table_name": table.name, "business_key": None,
                "attribute": attribute, "before": None, "after": after, "rows": count,
            }
            for attribute, count in rows.items()
            if count
        ]  # fmt: skip
        if given and self.habits.is_kept:
            self.warehouse.execute(sa.insert(etl_change).values(given))

    def keep(self, query: sa.Select[Any] | sa.CompoundSelect[Any]) -> None:
        """Keep the rows of a query, which are `row`s."""
        found, names = query.subquery(), [column.name for column in etl_change.columns]
        rows = sa.select(*(found.c[name] for name in names))
        self.warehouse.execute(sa.insert(etl_change).from_select(names, rows))

    def may_keep(self, table: Table, rows: int, limit: int) -> bool:
        """Whether the values of so many more rows of a table are kept; warns where they are too
        many.
        """
        seen = self._seen.get((table, limit), 0)
        self._seen[table, limit] = seen + rows
        if self.habits.is_counted or not self.habits.is_kept:
            return False
        if seen <= limit < seen + rows:
            self.warnings.append(
                f"{table.name}: more than {limit:,} rows change; etl_change has how many, and not "
                "the values that they had"
            )
        return seen + rows <= limit

    def _counted(self, step: Step) -> tuple[int, int, dict[str, int], dict[str, int]]:
        """How many rows change, and how many are healed; and by attribute."""
        count, kinds = sa.func.count(), [step.is_changed]
        kinds += [] if step.is_healed is None else [sa.and_(step.where, step.is_healed)]
        wanted = [
            count.filter(kind, differs)
            for kind in kinds
            for differs in (sa.true(), *(_differs(step.rows, column) for column in step.columns))
        ]
        row = self.warehouse.row(sa.select(*wanted).select_from(step.rows).where(step.where))
        numbers, size = [int(number) for number in row], 1 + len(step.columns)
        names = [column.name for column in step.columns]
        changed = _counts(names, numbers[1:size])
        if step.is_healed is None:
            return numbers[0], 0, changed, {}
        return numbers[0], numbers[size], changed, _counts(names, numbers[size + 1 :])

    def _keep(
        self, step: Step, changed: int, by_attribute: dict[str, int], by_healing: dict[str, int]
    ) -> None:
        counts = dict(by_healing)
        columns: list[Column[Any]] = []
        if changed and self.may_keep(step.table, changed, LIMIT):
            columns = [
                column for column in step.columns
                if column.name in by_attribute and column not in self.habits.just_got
            ]  # fmt: skip
        whole = {column.name for column in columns}
        for name, rows in by_attribute.items():
            if name not in whole:
                counts[name] = counts.get(name, 0) + rows
        if columns:
            self.keep(
                self._detail(
                    step, columns, step.is_changed, with_personal=self.habits.keeps_personal
                )
            )
        self.keep_counts(step.table, counts)

    def _tell(self, step: Step, told: TableChanges) -> None:
        """Give examples of the first rows, and the most frequent changes of members."""
        room = EXAMPLES - len({change.key for change in told.examples})
        is_shown = self.habits.is_preview or self.habits.keeps_personal
        if room > 0:
            key = step.key
            first = sa.select(key).where(step.where).order_by(self.in_order(key)).limit(room)
            is_first = sa.and_(step.where, key.in_(first.correlate(None)))
            query = self._detail(step, step.columns, is_first, with_personal=is_shown)
            told.examples += self._changes(step, query)
        if not is_dimension(step.table) or (told.changed > LIMIT and not self.habits.is_preview):
            return
        shown = [c for c in step.columns if is_shown or not c.info.get("is_personal")]
        if not shown:
            return
        found = self._detail(step, shown, step.is_changed, with_personal=is_shown).subquery()
        values = [
            found.c.attribute, self.in_order(found.c.before), self.in_order(found.c.after)
        ]  # fmt: skip
        count = sa.func.count()
        several = (
            sa.select(*values, count)
            .group_by(*values)
            .having(count > 1)
            .order_by(count.desc(), *(value.nulls_first() for value in values))
            .limit(_ALIKE)
        )
        personal = _personal(step.columns)
        rows: list[Any] = list(self.warehouse.execute(several).all())
        told.alike += [
            Alike(row[0], row[1], row[2], int(row[3]), row[0] in personal) for row in rows
        ]

    def _changes(self, step: Step, query: sa.CompoundSelect[Any]) -> list[Change]:
        found = query.subquery()
        key, place = found.c.business_key, found.c.place
        columns = [key, found.c.attribute, found.c.before, found.c.after, found.c.kind]
        ordered = sa.select(*columns).order_by(self.in_order(key), place)
        personal = _personal(step.columns)
        return [
            Change(row.business_key, row.attribute, row.before, row.after, row.kind,
                   row.attribute in personal)
            for row in self.warehouse.execute(ordered).all()
        ]  # fmt: skip

    def _detail(
        self,
        step: Step,
        columns: Sequence[Column[Any]],
        where: sa.ColumnElement[bool],
        *,
        with_personal: bool,
    ) -> sa.CompoundSelect[Any]:
        """A row for each value that changes; personal values are left out unless wanted."""
        c, key = step.rows.c, business_key(step.table).name
        names = dict.fromkeys([key, *(column.name for column in columns)])
        rows = (
            sa.select(
                *(c[name] for name in names),
                *(c[WAS + column.name] for column in columns),
                (sa.false() if step.is_healed is None else step.is_healed).label("_healed"),
            )
            .where(where)
            .cte("changed")
        )
        kind = sa.case((rows.c["_healed"], "healed"), else_=step.kind)
        parts = []
        for place, column in enumerate(columns):
            is_left_out = column.info.get("is_personal") and not with_personal
            before, after = (
                None if is_left_out else as_text(column, rows.c[name])
                for name in (WAS + column.name, column.name)
            )
            row = self.row(step.table, rows.c[key], column.name, before, after, kind)
            row = row.add_columns(sa.literal(place).label("place"))
            parts.append(row.where(_differs(rows, column)))
        return sa.union_all(*parts)

    def row(
        self, table: Table, key: Any, attribute: str | None, before: Any, after: Any, kind: Any
    ) -> sa.Select[Any]:
        """A row of `etl_change`, and its kind, as a statement selects it."""
        return sa.select(
            _text(self.run_id).label("run_id"),
            _text(table.name).label("table_name"),
            sa.cast(key, Text).label("business_key"),
            _text(attribute).label("attribute"),
            _text(before).label("before"),
            _text(after).label("after"),
            sa.literal(1).label("rows"),
            _text(kind).label("kind"),
        )

    def write(self, query: sa.Select[Any], *by: sa.ColumnElement[Any]) -> None:
        """Hand on the `row`s of a query to whoever wants all of them, in the order of a key."""
        if self._write is not None:
            key, *others = by
            found = query.selected_columns
            columns = [found[name] for name in FILE_COLUMNS]
            ordered = query.with_only_columns(*columns).order_by(self.in_order(key), *others)
            self.warehouse.stream(ordered, self._write)

    def in_order(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Text to sort or group by."""
        return self.warehouse.by_code_point(sa.cast(text, Text))


def forget(warehouse: Warehouse, table: Table, key: str, *, dry_run: bool) -> int:
    """Empty the values that `etl_change` has of a row; returns in how many places they were."""
    if etl_change.name not in warehouse.present([etl_change]):
        return 0
    kept = etl_change.c
    is_value = sa.or_(kept.before.is_not(None), kept.after.is_not(None))
    where = kept.table_name == table.name, kept.business_key == key, is_value
    found = int(warehouse.scalar(sa.select(sa.func.count()).where(*where)))
    if found and not dry_run:
        warehouse.execute(sa.update(etl_change).where(*where).values(before=None, after=None))
    return found


FILE_COLUMNS = (
    "run_id", "table_name", "business_key", "attribute", "before", "after", "kind",
)  # fmt: skip
"""What `write` is given of each change."""


def as_text(column: Column[Any], value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A value as text, the same on all engines; a key to a dimension is its member's own."""
    if column.info.get("role") is Role.DIMENSION_KEY:
        target = target_of(column)
        key, surrogate = business_key(target), surrogate_key(target)
        if key is not surrogate:
            member = sa.select(sa.cast(key, Text)).where(surrogate == value)
            return member.scalar_subquery()
    return sa.cast(value, Text)


def _text(value: Any) -> sa.ColumnElement[Any]:
    if value is None:
        return sa.cast(sa.null(), Text)
    return value if isinstance(value, sa.ColumnElement) else sa.literal(value, Text)


def _differs(rows: FromClause, column: Column[Any]) -> sa.ColumnElement[bool]:
    """Whether a row gets another value."""
    return rows.c[WAS + column.name].is_distinct_from(rows.c[column.name])


def _counts(names: Sequence[str], numbers: Sequence[int]) -> dict[str, int]:
    return {name: number for name, number in zip(names, numbers, strict=True) if number}


def _personal(columns: Iterable[Column[Any]]) -> set[str]:
    return {column.name for column in columns if column.info.get("is_personal")}

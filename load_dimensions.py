"""Dimensions, SCD type 1: new members inserted, changed ones overwritten, the rest untouched.

Generic over any dimension that `schema` declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from common.absence import Absence
from common.arrow_types import arrow_schema
from common.outcomes import MemberCounts
from common.progress import SILENT, Progress
from common.star_model import (
    DELETED_FLAG,
    INFERRED_FLAG,
    ONLY_NAMED,
    UNKNOWN_ID,
    UNKNOWN_KEY,
    Role,
    attributes,
    business_key,
    columns_of,
    surrogate_key,
)
from config import StarSchemaConfig
from errors import GateError, not_as_written
from warehouse import Loader, Warehouse
from warehouse.changes import ChangeRecord, old_values
from warehouse.keymap import IS_INFERRED, KeyMap
from warehouse.removals import absent, stage_keys
from warehouse.spellings import with_one_spelling

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Table

    Rows: TypeAlias = pd.DataFrame | pa.Table | Iterable[pa.Table]


class DimensionLoader(Loader):
    """Loads dimensions in the run's transaction, or in its own when used alone.

    Alone: `with DimensionLoader(config) as loader: keys = loader.load_all_dimensions(rows)`
    commits at the end of the block, and rolls back when it raises.
    """

    def __init__(
        self,
        config: StarSchemaConfig,
        warehouse: Warehouse | None = None,
        record: ChangeRecord | None = None,
    ) -> None:
        """`record` takes what is overwritten."""
        super().__init__(config, warehouse)
        self._record = record
        self.results: dict[str, MemberCounts] = {}
        self.warnings: list[str] = []

    def load_all_dimensions(
        self,
        transformed: Mapping[str, Rows],
        progress: Progress = SILENT,
        absences: Mapping[str, Absence] | None = None,
    ) -> dict[str, KeyMap]:
        """Merge the rows of each dimension; returns business key -> surrogate key for each.

        `transformed` maps a table's name, such as `dim_customer`, to its rows: the columns of the
        table without its surrogate key. Rows with `is_inferred`, and all rows of a frame or table
        marked as `schema.ONLY_NAMED`, are placeholders: they are inserted where a member is
        missing, and never change a value of one. Counts are in `results`.

        `absences` says, by table, that members are gone which its rows do not have: they are
        flagged. Raises ValueError for rows of a table that is no dimension, `GateError` where more
        members are gone than may be.
        """
        dimensions = self.config.star.dimensions
        unknown = sorted(set(transformed) - {dimension.name for dimension in dimensions})
        if unknown:
            names = ", ".join(dimension.name for dimension in dimensions)
            raise ValueError(f"{', '.join(unknown)}: no such dimension; there are {names}")
        keys = {}
        for dimension in dimensions:
            rows = transformed.get(dimension.name)
            progress.advance(dimension.name)
            absence = (absences or {}).get(dimension.name)
            tables = self._spelt(dimension, _tables(rows))
            self.results[dimension.name] = self._merge(dimension, tables, absence)
            progress.advance(dimension.name, sum(map(len, tables)))
            keys[dimension.name] = self.key_map(dimension)
        return keys

    def known_keys(self, dimension: Table, rows: Iterable[pa.Table]) -> pa.Array:
        """The business keys of all members that `dimension` has or `rows` describe, and blank,
        which is the Unknown member's.
        """
        key = business_key(dimension)
        here = self.warehouse.fetch(sa.select(key).where(key != UNKNOWN_ID))
        described = [chunk for table in (here, *rows) for chunk in table[key.name].chunks]
        return pa.concat_arrays([pa.array([UNKNOWN_ID]), *described])

    def key_map(self, dimension: Table) -> KeyMap:
        """All members of `dimension`, the Unknown one included."""
        carried = [column for column in dimension.columns if column.info.get("is_unit_cost")]
        key, surrogate = business_key(dimension), surrogate_key(dimension)
        inferred = sa.cast(_is_inferred(dimension), sa.Integer).label(IS_INFERRED)
        return KeyMap(
            self.warehouse.fetch(sa.select(key, surrogate.label("_surrogate"), *carried, inferred)),
            is_folded=key.name in self.config.folded_keys,
        )

    def _spelt(self, dimension: Table, tables: list[pa.Table]) -> list[pa.Table]:
        """Rows whose keys are spelt as the members' are, where case makes no difference."""
        if business_key(dimension).name not in self.config.folded_keys:
            return tables
        placed, warning = with_one_spelling(self.warehouse, dimension, tables)
        self.warnings += [warning] if warning else []
        return placed

    def _merge(
        self, dimension: Table, tables: list[pa.Table], absence: Absence | None
    ) -> MemberCounts:
        warehouse = self.warehouse
        schema = arrow_schema(_source_columns(dimension))
        batches = (table.select(schema.names).cast(schema) for table in tables)
        staging = warehouse.stage(
            dimension, schema.names, (warehouse.encode(batch, dimension) for batch in batches)
        )
        only_named = bool(tables) and all(map(_is_only_named, tables))
        placeholder = sa.true() if only_named else _is_inferred(staging)
        changes = warehouse.keep_changes(_different(dimension, staging, placeholder), dimension)
        counts = self._count(staging, changes)
        in_scope = 0 if absence is None else self._rows(dimension, _may_be_absent(dimension))
        if self._record is not None:
            self._record.merged(dimension, changes, counts)
        if counts.updated:
            warehouse.execute(self._update(dimension, changes))
        if counts.inserted or counts.inferred:
            warehouse.execute(self._insert(dimension, changes))
        self._confirm(dimension, changes, counts.rows - counts.unchanged)
        if absence is not None:
            counts.deleted = self._flag_absent(dimension, staging, absence, in_scope)
        warehouse.drop(staging)
        warehouse.drop(changes)
        return counts

    def _rows(self, rows: sa.FromClause, where: sa.ColumnElement[bool]) -> int:
        return int(self.warehouse.scalar(sa.select(sa.func.count()).select_from(rows).where(where)))

    def _flag_absent(
        self, dimension: Table, staging: Table, absence: Absence, in_scope: int
    ) -> int:
        """Flag the members that are gone, and return how many they are; before this run, `in_scope`
        might have been.
        """
        warehouse, key, scope = self.warehouse, business_key(dimension), _may_be_absent(dimension)
        kept = stage_keys(warehouse, dimension, absence.kept, "kept")
        described = sa.select(staging).where(sa.not_(_is_inferred(staging))).subquery("described")
        gone = absent(warehouse, dimension, scope, described, [kept])
        missing = self._rows(gone, sa.true())
        warning = absence.judge(dimension.name, missing, in_scope)
        if warning:
            self.warnings.append(warning)
        elif missing:
            is_gone = key == gone.c[key.name]
            if self._record is not None:
                self._record.flagged(dimension, gone)
            warehouse.execute(sa.update(dimension).values({DELETED_FLAG: True}).where(is_gone))
            lost = self._rows(gone.join(dimension, is_gone), scope)
            if lost:
                raise GateError(not_as_written(dimension.name, lost, missing))
        warehouse.drop(kept)
        warehouse.drop(gone)
        return 0 if warning else missing

    def _confirm(self, dimension: Table, changes: Table, written: int) -> None:
        """See that the members are now as the `written` rows of `changes` say.

        Raises `GateError` where the warehouse holds something else than it was given.
        """
        if written:
            different = _different(dimension, changes, sa.false()).subquery()
            lost = self.warehouse.scalar(sa.select(sa.func.count()).select_from(different))
            if lost:
                raise GateError(not_as_written(dimension.name, int(lost), written))

    def _count(self, staging: Table, changes: Table) -> MemberCounts:
        placeholder, is_new = _is_inferred(changes), changes.c["_known"].is_(None)
        counted = self.warehouse.row(
            sa.select(
                sa.func.count().filter(is_new, sa.not_(placeholder)),
                sa.func.count().filter(sa.not_(is_new)),
                sa.func.count().filter(is_new, placeholder),
            ).select_from(changes)
        )
        inserted, updated, inferred = (int(count) for count in counted)
        staged = self.warehouse.scalar(
            sa.select(sa.func.count()).select_from(staging).where(sa.not_(_is_inferred(staging)))
        )
        unchanged = int(staged) - inserted - updated
        return MemberCounts(inserted, updated, unchanged, inferred)

    def _update(self, dimension: Table, changes: Table) -> sa.Update:
        new_values = {c.name: changes.c[c.name] for c in attributes(dimension)}
        return (
            sa.update(dimension)
            .values(new_values)
            .where(surrogate_key(dimension) == changes.c["_known"])
        )

    def _insert(self, dimension: Table, changes: Table) -> sa.Insert:
        """New members, numbered on from the highest key, in the order of their business keys."""
        key, surrogate = business_key(dimension), surrogate_key(dimension)
        names = [c.name for c in _source_columns(dimension)]
        selected: list[sa.ColumnElement[Any]] = [changes.c[name] for name in names]
        if surrogate is not key:
            last = self.warehouse.scalar(sa.select(sa.func.max(surrogate)))
            order = self.warehouse.by_code_point(changes.c[key.name])
            number = sa.func.row_number().over(order_by=order) + max(0, int(last))
            selected, names = [number, *selected], [surrogate.name, *names]
        new = sa.select(*selected).where(changes.c["_known"].is_(None))
        return sa.insert(dimension).from_select(names, new)


def _source_columns(dimension: Table) -> list[sa.Column[Any]]:
    """What a source row says of a member: all but the surrogate key."""
    return columns_of(dimension, Role.BUSINESS_KEY, Role.SMART_KEY, Role.ATTRIBUTE)


def _different(
    dimension: Table, staging: Table, placeholder: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """Staged rows that are new, or different from their member in any attribute; and its values.

    A `placeholder` only fills what is empty, as a column is that is new, in a member that is
    otherwise the same: it never changes a value.
    """
    key, surrogate = business_key(dimension), surrogate_key(dimension)
    pairs = [(c, staging.c[c.name]) for c in attributes(dimension)]
    differs = sa.or_(*(stored.is_distinct_from(given) for stored, given in pairs))
    fills = sa.and_(*(sa.or_(stored.is_(None), stored == given) for stored, given in pairs))
    changes = sa.and_(differs, sa.or_(sa.not_(placeholder), fills))
    return (
        sa.select(
            *(staging.c[c.name] for c in _source_columns(dimension)),
            *old_values(attributes(dimension)),
            surrogate.label("_known"),
        )
        .select_from(staging.outerjoin(dimension, key == staging.c[key.name]))
        .where(sa.or_(surrogate.is_(None), changes))
    )


def _may_be_absent(dimension: Table) -> sa.ColumnElement[bool]:
    """Which members are flagged when their source does not have them; those that only sales name
    have never been in it.
    """
    there = surrogate_key(dimension) != UNKNOWN_KEY
    is_unflagged = dimension.c[DELETED_FLAG].is_distinct_from(sa.true())
    return sa.and_(there, sa.not_(_is_inferred(dimension)), is_unflagged)


def _is_inferred(table: Table) -> sa.ColumnElement[bool]:
    """Whether a row only stands in for a member whose record has not come."""
    return table.c[INFERRED_FLAG] if INFERRED_FLAG in table.c else sa.false()


def _tables(rows: Rows | None) -> list[pa.Table]:
    """Rows of any kind as tables."""
    if rows is None:
        return []
    if hasattr(rows, "attrs"):  # a DataFrame; pandas itself is not imported here
        table = pa.Table.from_pandas(rows, preserve_index=False)
        return [
            table.replace_schema_metadata({ONLY_NAMED: "true"} if ONLY_NAMED in rows.attrs else {})
        ]
    return [rows] if isinstance(rows, pa.Table) else list(rows)


def _is_only_named(table: pa.Table) -> bool:
    return ONLY_NAMED.encode() in (table.schema.metadata or {})

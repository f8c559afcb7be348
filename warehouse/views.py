"""The views of a star for people's tools: its sales as one flat table, and its calendar.

They are derived from the star. A view that has another column than it ought to is made anew, with
its columns in the order in which people know them; the new ones come last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.schema import CreateView, DropView

from common.descriptions import comment_on, meaning, plain
from common.readable import joined, readable
from common.star_model import UNKNOWN_KEY, Star, surrogate_key
from warehouse.base import Warehouse
from warehouse.catalog import Relation
from warehouse.rights import granted

_KEPT = "kept by star-schema-etl"
"""How the comment on a view ends that is ours to change. People's own views have another."""


@dataclass(frozen=True)
class View:
    """A view as it ought to be."""

    name: str
    meaning: str
    columns: dict[str, Column[Any]]
    """By their names in the view, the columns of the star."""
    source: sa.FromClause
    where: tuple[sa.ColumnElement[bool], ...] = ()

    @property
    def comment(self) -> str:
        """What it is, and whose."""
        return f"{plain(self.meaning)}; {_KEPT}"

    @cached_property
    def table(self) -> Table:
        """The view, as a statement names it."""
        return Table(self.name, MetaData())

    def comment_on(self, name: str, there: str) -> str:
        """What to say of a column, in place of what is `there`; of a member's, which member it is
        of.
        """
        column = self.columns[name]
        is_own = isinstance(self.source, Table) or "member" not in column.table.info
        of = "" if is_own else column.table.info["member"].replace("_", " ")
        return comment_on(column, there, of)

    def select(self, names: Iterable[str]) -> sa.Select[Any]:
        """Its rows, with the columns in the order of `names`."""
        columns = [self.columns[name].label(name) for name in names]
        return sa.select(*columns).select_from(self.source).where(*self.where)


def views_of(star: Star, *, by_outer_joins: bool = False) -> list[View]:
    """The views that a star ought to have. The first has the name of the fact table without
    `fact_`, the second that of the calendar's members. Where an engine leaves out the outer joins
    that a query does not need, `by_outer_joins` makes the first one quicker, and nothing else.
    """
    fact, dates = star.fact, star.calendar
    flat = f"{meaning(fact)}, with all that is known of its members"
    calendar = "the calendar without `Unknown`: a date table for models of other tools"
    is_day = surrogate_key(dates) != UNKNOWN_KEY
    wanted = [
        View(
            fact.name.removeprefix("fact_"),
            flat,
            readable(star),
            joined(star, by_outer_joins=by_outer_joins),
        ),
        View(f"{dates.info['member']}s", calendar, dict(dates.columns), dates, (is_day,)),
    ]
    taken = {table.name for table in star.tables}
    return [view for view in wanted if view.name not in taken]


def ours(there: Relation | None) -> bool:
    """Whether what is there is a view that an earlier run has made."""
    return there is not None and there.kind == "view" and there.comment.endswith(_KEPT)


def is_due(view: View, there: Relation | None) -> bool:
    """Whether a view must be made, where what has its name is ours."""
    return there is None or there.columns.keys() != view.columns.keys()


def make(warehouse: Warehouse, view: View, there: Relation | None) -> None:
    """Make a view, or have it as it ought to be, with the rights that people have on it.

    Raises `sa.exc.DBAPIError`, as where a column must go of a view on which another one depends.
    """
    known = list(there.columns) if there else []
    names = dict.fromkeys(name for name in known if name in view.columns)
    lost = len(names) < len(known)
    select = view.select(names | dict.fromkeys(view.columns))
    grants = granted(warehouse, view.table) if lost else []
    if lost:
        warehouse.execute(DropView(view.table))
    warehouse.execute(CreateView(select, view.name, or_replace=bool(known) and not lost))
    for grant in grants:
        warehouse.connection.exec_driver_sql(grant)

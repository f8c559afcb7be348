"""What other people's tools find of a star: comments on all that is there, and its views.

They come in the transaction of a load, after all else: a view that is replaced is locked until the
commit. What fails here is a warning; the star is published without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from sqlalchemy import Table

from common.descriptions import comment_on
from common.star_model import Star
from errors import LeftOutError
from warehouse.base import Warehouse
from warehouse.catalog import Relation
from warehouse.views import View, is_due, make, ours, views_of


def complete(warehouse: Warehouse, star: Star, *, is_as_before: bool = False) -> list[str]:
    """Have comments and views as they ought to be. Returns what to warn of.

    `is_as_before`: the run that was published last was of the same star and version. Then only
    what is missing as a whole is looked for, on an engine that takes long to tell more.
    """
    tables, views = star.tables, views_of(star, by_outer_joins=warehouse.leaves_out_joins)
    names = [*(table.name for table in tables), *(view.name for view in views)]
    there = warehouse.relations(names, with_columns=not is_as_before)
    foreign = [_not_ours(warehouse, v, there[v.name]) for v in views if _is_foreign(v, there)]
    views = [view for view in views if not _is_foreign(view, there)]
    if is_as_before and not warehouse.has_roles:
        if all(there.get(view.name) for view in views) and not any(
            _differs(table, there) for table in tables
        ):
            return foreign
        there = warehouse.relations(names)
    if not all(table.name in there for table in (*star.dimensions, star.fact)):
        views = []
    made, warnings = _make_views(warehouse, views, there)
    if made:
        there |= warehouse.relations([view.name for view in made])
    return [*foreign, *warnings, *_comment(warehouse, tables, views, there)]


def readable_tables(warehouse: Warehouse, star: Star) -> list[Table]:
    """The tables of a star for who only reads, and those of its views that are there: not the runs,
    nor what they have overwritten.
    """
    views = views_of(star, by_outer_joins=warehouse.leaves_out_joins)
    there = warehouse.relations([view.name for view in views])
    mine = [view.table for view in views if ours(there.get(view.name))]
    return [*star.dimensions, star.fact, *mine]


def _is_foreign(view: View, there: dict[str, Relation]) -> bool:
    return view.name in there and not ours(there[view.name])


def _not_ours(warehouse: Warehouse, view: View, found: Relation) -> str:
    return (
        f"{found.kind} {view.name} in schema {warehouse.schema} is not this application's, so the "
        "view of that name is not made; with another name of yours, the next run makes it"
    )


def _differs(table: Table, there: dict[str, Relation]) -> bool:
    found = there.get(table.name)
    return found is not None and comment_on(table, found.comment) != found.comment


# --- views ----------------------------------------------------------------------------------


def _make_views(
    warehouse: Warehouse, views: Iterable[View], there: dict[str, Relation]
) -> tuple[list[View], list[str]]:
    """Returns those that were made, and what to warn of."""
    made, denied, warnings = [], [], []
    for view in views:
        found = there.get(view.name)
        if not is_due(view, found):
            continue
        if not (warehouse.may_create() if found is None else found.may_alter):
            denied.append(f"the view {view.name}")
            continue
        failure = _aside(warehouse, partial(_make, warehouse, view, found))
        if failure:
            as_it_is = " as it ought to be, and stays as it is" if found else ""
            warnings.append(
                f"the view {view.name} could not be made{as_it_is}: {failure}; the next run tries "
                "again"
            )
        else:
            made.append(view)
    return made, [*warnings, *_denied(warehouse, "make", denied)]


def _make(warehouse: Warehouse, view: View, found: Relation | None) -> None:
    make(warehouse, view, found)
    comment = warehouse.literal(view.comment)
    warehouse.connection.exec_driver_sql(
        f"COMMENT ON VIEW {warehouse.qualified(view.table)} IS {comment}"
    )


# --- comments -------------------------------------------------------------------------------


def _comment(
    warehouse: Warehouse, tables: Iterable[Table], views: Iterable[View], there: dict[str, Relation]
) -> list[str]:
    """Comment on what lacks one. Returns what to warn of."""
    wanted = {
        **{table: list(_on_table(warehouse, table, there)) for table in tables},
        **{view.table: list(_on_view(warehouse, view, there)) for view in views},
    }
    lacking = {table: statements for table, statements in wanted.items() if statements}
    denied = [table.name for table in lacking if not there[table.name].may_alter]
    statements = [each for t, some in lacking.items() if t.name not in denied for each in some]
    failure = None
    if statements:  # all at once: a server may be far away
        failure = _aside(
            warehouse, partial(warehouse.connection.exec_driver_sql, "; ".join(statements))
        )
    failed = [f"comments could not be written: {failure}; the next run tries again"]
    return (failed if failure else []) + _denied(warehouse, "comment on", denied)


def _on_table(warehouse: Warehouse, table: Table, there: dict[str, Relation]) -> Iterator[str]:
    found = there.get(table.name)
    if found is None or found.kind != "table":
        return
    if _differs(table, there):
        text = warehouse.literal(comment_on(table, found.comment))
        yield f"COMMENT ON TABLE {warehouse.qualified(table)} IS {text}"
    for name, known in found.columns.items():
        if name in table.columns:
            wanted = comment_on(table.c[name], known)
            yield from _on_column(warehouse, table, name, known, wanted)


def _on_view(warehouse: Warehouse, view: View, there: dict[str, Relation]) -> Iterator[str]:
    found = there.get(view.name)
    if found is not None and ours(found):
        for name, known in found.columns.items():
            if name in view.columns:
                wanted = view.comment_on(name, known)
                yield from _on_column(warehouse, view.table, name, known, wanted)


def _on_column(
    warehouse: Warehouse, table: Table, name: str, there: str, wanted: str
) -> Iterator[str]:
    if wanted != there:
        place = f"{warehouse.qualified(table)}.{warehouse.quoted(name)}"
        yield f"COMMENT ON COLUMN {place} IS {warehouse.literal(wanted)}"


# --- what cannot be done --------------------------------------------------------------------


def _aside(warehouse: Warehouse, step: Callable[[], object]) -> str:
    """Do something without which the star can be published; returns why it failed, or ""."""
    try:
        with warehouse.aside():
            step()
    except LeftOutError as error:
        return str(error)
    return ""


def _denied(warehouse: Warehouse, what: str, names: list[str]) -> list[str]:
    return [
        f"the role of WAREHOUSE_URL {warehouse.config.warehouse_url} may not {what} "
        f"{', '.join(names)}; let the owner of schema {warehouse.schema} run "
        "`python main.py init`"
    ] * bool(names)

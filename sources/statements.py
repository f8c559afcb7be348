"""The setting `<SOURCE>__QUERY` as a statement. `:since` in it is bound, never pasted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from common.setting_texts import Moment
from common.since import TABLE_NAME, split_at_since, without_end
from sources.batches import ReadOptions

_MOST_WESTERN = timedelta(hours=12)


def statement(query: str, options: ReadOptions, engine: str) -> sa.Select[Any] | sa.TextClause:
    """The query for an engine, by its name: a plain name is a table, anything else is SQL."""
    since = options.since
    if TABLE_NAME.fullmatch(query.strip()):
        return _whole_table(query, options, sa.bindparam("since", bound(since, engine)))
    if since is None:
        return sa.text(query.replace(":", "\\:"))
    pieces = (piece.replace(":", "\\:") for piece in split_at_since(query, engine))
    return sa.text(":since".join(pieces)).bindparams(since=bound(since, engine))


def as_table(query: str, options: ReadOptions, engine: str) -> sa.FromClause:
    """The query as a table in the FROM of another one. It is a single query, and may have an end
    of its own.
    """
    given = statement(without_end(query, engine), options, engine)
    rows = given.columns() if isinstance(given, sa.TextClause) else given
    return rows.subquery("asked")


def duckdb_text(query: str, options: ReadOptions, dialect: sa.Dialect) -> str:
    """The query as text for DuckDB's own interface, with `$since` where it is to be bound."""
    if TABLE_NAME.fullmatch(query.strip()):
        table = _whole_table(query, options, sa.literal_column("$since"))
        return str(table.compile(dialect=dialect))
    return query if options.since is None else "$since".join(split_at_since(query, "duckdb"))


def without_since(query: str, since: Moment | None) -> str:
    """The query for PostgreSQL's parser, with an empty value of the same type for `:since`."""
    if since is None:
        return query
    kind = "bigint"
    if isinstance(since, datetime):
        kind = "timestamp" if since.tzinfo is None else "timestamptz"
    elif isinstance(since, date):
        kind = "date"
    return f"(NULL::{kind})".join(split_at_since(query, "postgresql"))


def bound(since: Moment | None, engine: str) -> object:
    """The value as the engine compares it with its column.

    SQLite compares text: a moment is written like a column's, in whole seconds, so that the same
    second is read again. Where the column's texts have offsets, it begins at the earliest time of
    day that such a text may have. Other engines that have no moments with an offset get UTC.
    """
    if engine in ("postgresql", "duckdb") or not isinstance(since, date):
        return since
    if isinstance(since, datetime) and since.tzinfo is not None:
        since = since.astimezone(UTC).replace(tzinfo=None)
        since -= _MOST_WESTERN if engine == "sqlite" else timedelta(0)
    if engine != "sqlite":
        return since
    return since.isoformat(" ", "seconds") if isinstance(since, datetime) else since.isoformat()


def _whole_table(query: str, options: ReadOptions, since: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The rows of a table; those from `since` on, if there is a moment to begin at."""
    name = TABLE_NAME.fullmatch(query.strip())
    schema, table = (_unquoted(part) for part in name.groups()) if name else (None, query)
    rows: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(
        sa.table(table or "", schema=schema)
    )
    if options.since is None:
        return rows
    return rows.where(sa.column(options.watermark) >= since)


def _unquoted(name: str | None) -> str | None:
    """A table's or schema's name, without its double quotes if it has any."""
    if name is None or not name.startswith('"'):
        return name
    return sa.quoted_name(name[1:-1].replace('""', '"'), quote=True)

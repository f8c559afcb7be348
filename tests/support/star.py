"""A warehouse of its own for a test, and what is in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

import schema
from common.star_model import Role, business_key, growth_value
from support.application import TESTS
from support.tables import Row
from support.waiting import wait_until

STARS = TESTS / "stars"
_TAKES_AWAY = re.compile(r"^DROP TABLE|^ALTER TABLE .*( DROP COLUMN | TYPE )")
STAR = (*schema.STAR.dimensions, schema.fact_sales)


@dataclass
class Star:
    """A warehouse of its own for one test, seen through SQL."""

    url: str
    schema: str | None = None

    @property
    def engine_name(self) -> str:
        return sa.make_url(self.url).get_backend_name()

    @property
    def settings(self) -> dict[str, str]:
        """The settings that point a run at this warehouse."""
        chosen = {"WAREHOUSE_SCHEMA": self.schema} if self.schema else {}
        return {"WAREHOUSE_URL": self.url, **chosen}

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """A connection of our own, whose statements find the star without a schema's name."""
        with self._engine.connect() as connection:
            if self.schema:
                connection.exec_driver_sql(f'SET search_path TO "{self.schema}"')
                connection.commit()  # so that no rollback undoes it
            yield connection

    @cached_property
    def _engine(self) -> sa.Engine:
        return sa.create_engine(self.url, poolclass=sa.NullPool)

    def rows(self, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.connection() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql), parameters)]

    def row(self, sql: str, **parameters: object) -> tuple[Any, ...]:
        """The one row of a query."""
        (only,) = self.rows(sql, **parameters)
        return only

    def scalar(self, sql: str, **parameters: object) -> Any:
        """The one value of a query."""
        (only,) = self.row(sql, **parameters)
        return only

    def column(self, sql: str, **parameters: object) -> list[Any]:
        """The values of a query with one column."""
        return [value for (value,) in self.rows(sql, **parameters)]

    def member(self, table: str, member: str) -> Row:
        """One dimension row by its business key."""
        key = business_key(schema.metadata.tables[table]).name
        sql = f"SELECT * FROM {table} WHERE {key} = :member"
        with self.connection() as connection:
            found = connection.execute(sa.text(sql), {"member": member})
            return dict(found.mappings().one())

    def execute(self, *statements: str) -> None:
        """Change the warehouse behind the application's back. Where a table gives up what a view
        shows, the views go first: PostgreSQL would refuse it.
        """
        with self.connection() as connection:
            if self.engine_name == "postgresql" and any(map(_TAKES_AWAY.search, statements)):
                connection.exec_driver_sql("DROP VIEW IF EXISTS sales, dates")
            for statement in statements:
                connection.execute(sa.text(statement))
            connection.commit()

    def restore(self, version: str) -> None:
        """Put the star into this empty warehouse that a version made of the files in its folder."""
        statements = STARS / version / f"{self.engine_name}.sql"
        if self.schema:
            self.execute(f'CREATE SCHEMA "{self.schema}"')
        with self.connection() as connection:
            driver: Any = connection.connection.driver_connection
            driver.cursor().execute(statements.read_text(encoding="utf-8"))
            connection.connection.commit()

    def reload_settings(self) -> None:
        """Have a PostgreSQL read its settings again, and wait until it has."""
        loaded = "SELECT pg_conf_load_time()"
        before = self.scalar(loaded)
        self.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.scalar(loaded) != before, "the server has read its settings")

    def tables(self) -> set[str]:
        """The names of all tables that are there."""
        with self.connection() as connection:
            return self._tables(connection)

    def _tables(self, connection: sa.Connection) -> set[str]:
        catalog = "pg_tables WHERE schemaname = current_schema()"
        if self.engine_name == "duckdb":  # its own list: the standard one takes ten times as long
            catalog = "duckdb_tables() WHERE schema_name = current_schema()"
            return set(connection.exec_driver_sql(f"SELECT table_name FROM {catalog}").scalars())
        return set(connection.exec_driver_sql(f"SELECT tablename FROM {catalog}").scalars())

    def content(self, *, with_runs: bool = True) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the star, surrogate keys included, in the order of its keys. A column
        that is not there yet has what the rows get when it is added.
        """
        content = {}
        with self.connection() as connection:
            present = self._tables(connection)
            for table in STAR:
                columns = [
                    c for c in table.columns if with_runs or c.info.get("role") != Role.AUDIT
                ]
                key = next(iter(table.primary_key.columns)).name
                if table.name in present:
                    found = connection.execute(sa.text(f"SELECT * FROM {table.name}")).mappings()
                    added = {c.name: growth_value(c) for c in columns}
                    rows = sorted(
                        ({**added, **row} for row in found),
                        key=lambda row: (row[key] is not None, row[key]),
                    )
                    content[table.name] = [tuple(row[name] for name in added) for row in rows]
        return content

    def digest(self, *, with_runs: bool = True) -> str:
        """A hash of all rows of the star; `with_runs`: and of which run wrote each fact, and where
        it was read.
        """
        content = repr(self.content(with_runs=with_runs))
        return hashlib.sha256(content.encode()).hexdigest()

    def runs(self) -> list[tuple[str, str]]:
        """Run id and status of each recorded run, oldest first."""
        with self.connection() as connection:
            if "etl_run" not in self._tables(connection):
                return []
            runs = sa.text("SELECT run_id, status FROM etl_run ORDER BY ended_at")
            return [(run_id, status) for run_id, status in connection.execute(runs)]


@contextmanager
def dropping(star: Star) -> Iterator[Star]:
    """Drops the star's own schema at the end; a DuckDB file goes with its folder."""
    yield star
    if star.schema:
        star.execute(f'DROP SCHEMA IF EXISTS "{star.schema}" CASCADE')


def sources_of(version: str) -> dict[str, str]:
    """Settings for the files of which a version made the star that `Star.restore` brings back."""
    names = {
        "CUSTOMERS": "customers.csv",
        "PRODUCTS": "products.json",
        "TRANSACTIONS": "sales.jsonl",
    }
    return {f"{source}__PATH": str(STARS / version / name) for source, name in names.items()}

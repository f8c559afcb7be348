"""The shop's own database, of which a run reads only what is new."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from support.star import Star

TYPES = {
    "sqlite": {"timestamp": "TEXT", "date": "TEXT", "integer": "INTEGER"},
    "duckdb": {"timestamp": "TIMESTAMP", "date": "DATE", "integer": "BIGINT"},
    "postgresql": {"timestamp": "timestamp", "date": "date", "integer": "bigint"},
    "mysql": {"timestamp": "DATETIME(6)", "date": "DATE", "integer": "BIGINT"},
}


@dataclass
class Till:
    """A database with a table of sales, whose column `changed` tells when each was written."""

    url: str
    table: str = "sales"

    @property
    def engine(self) -> str:
        """The name of its engine."""
        return sa.make_url(self.url).get_backend_name()

    def settings(self, query: str = "", **changed: str) -> dict[str, str]:
        """The settings by which its new sales are read."""
        return {
            "TRANSACTIONS__PATH": self.url,
            "TRANSACTIONS__QUERY": query or self.query,
            "TRANSACTIONS__WATERMARK": "changed",
            **changed,
        }

    @property
    def query(self) -> str:
        """The rows from `:since` on."""
        return f"SELECT * FROM {self.table} WHERE changed >= :since"

    def open(self, kind: str = "timestamp") -> None:
        """Make the table, with a column of this kind, or of a type of the engine."""
        self.execute(
            f"CREATE TABLE {self.table} (transaction_id VARCHAR(20), customer_id VARCHAR(20), "
            "product_id VARCHAR(20), transaction_date DATE, quantity INTEGER, unit_price INTEGER, "
            f"changed {TYPES[self.engine].get(kind, kind)})"
        )

    def sell(self, *sales: tuple[str, object]) -> None:
        """Write sales: the id of each, and its value of `changed`."""
        columns = "transaction_id, transaction_date, customer_id, product_id, quantity, unit_price"
        insert = sa.text(
            f"INSERT INTO {self.table} ({columns}, changed) "
            "VALUES (:sale, '2024-03-01', 'C1', 'P1', 1, 10, :changed)"
        )
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for sale, changed in sales:
                connection.execute(insert, {"sale": sale, "changed": changed})

    def execute(self, *statements: str) -> None:
        """Change it as the shop does."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def sales_in(star: Star) -> set[str]:
    """The ids of the sales that a star has."""
    return set(star.column("SELECT transaction_id FROM fact_sales"))

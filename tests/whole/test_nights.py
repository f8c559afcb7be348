"""Random nights, compared with a model that shares no code with the application.

New, changed, vanished, duplicate, conflicting, orphaned and damaged rows; keys that differ in case,
space, invisible marks and composition; every reader in turn; on both engines. NIGHT_SEEDS in the
environment sets how many stories are told.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from config import load_config
from main import StarSchemaETLPipeline
from support.model import MALFORMED, Account, Model, Raw, Text, Values
from support.star import Star
from support.tables import Row, to_csv

SEEDS = int(os.environ.get("NIGHT_SEEDS", "20"))
NIGHTS = 4
COLUMNS = {
    "customers": ("customer_id", "first_name", "last_name", "city"),
    "products": ("product_id", "name", "price", "cost"),
    "sales_reps": ("sales_rep_id", "first_name", "last_name", "region"),
    "transactions": (
        "transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
        "unit_price", "sales_rep_id", "discount_amount",
    ),
}  # fmt: skip
READERS = ("csv", "json", "jsonl", "parquet", "xlsx", "sqlite", "duckdb", "postgresql")
D = Decimal
VALUES = Values(
    quantities={
        "1": D(1), "2": D(2), "3.5": D("3.5"), " 4 ": D(4), "1,000": D(1000), "+2": D(2),
        "-1": D(-1), "0": D(0), "": None, "x": None, "0,350": None, "NaN": None, "1e1": None,
    },
    prices={
        "10.00": D(10), "59.99": D("59.99"), "$5.00": D(5), "1,234.50": D("1234.5"), "7": D(7),
        "0": D(0), "": None, "1e400": None, "12,50": None, "free": None, "1_000": None,
    },
    discounts={
        None: D(0), "": D(0), "0": D(0), "1.00": D(1), "NULL": D(0), "\\N": D(0), "0.5": D("0.5"),
        "20": D(20), "-1": D(-1), "10%": None, "1,50": None, "10 EUR": None, "NaN": None,
    },
    dates={
        "2024-02-29": date(2024, 2, 29), "2024-03-01": date(2024, 3, 1),
        "20240302": date(2024, 3, 2),
        "2023-07-14T23:59:00": date(2023, 7, 14), "2021-01-01": date(2021, 1, 1),
        "1805-01-01": date(1805, 1, 1), "": None, "03/04/2024": None, "2023-02-29": None,
        "yesterday": None,
    },
    amounts={
        None: None, "": None, "NULL": None, "250": D(250), "60.50": D("60.5"), "100": D(100),
        "12.25": D("12.25"), "-3": None, "n/a": None, "1,50": None,
    },
    unreadable=("-3", "n/a", "1,50"),
)  # fmt: skip
GOOD: dict[str, list[Any]] = {
    "quantity": [text for text, value in VALUES.quantities.items() if value and value > 0],
    "unit_price": [text for text, value in VALUES.prices.items() if value],
    "discount_amount": [text for text, value in VALUES.discounts.items() if value in (0, 1)],
    "transaction_date": [t for t, day in VALUES.dates.items() if day and day.year > 2000],
}
"""Texts with which a sale is loaded."""


@dataclass
class Chance:
    """What a night brings."""

    random: random.Random

    def story(self) -> Iterator[dict[str, list[Raw]]]:
        """Nights, each with the rows of its sources."""
        for _ in range(NIGHTS):
            sources = {
                "customers": self._rows(self._customer, 8),
                "products": self._rows(self._product, 6),
                "transactions": self._rows(self._sale, 25),
            }
            if self.random.random() < 0.5:
                sources["sales_reps"] = self._rows(self._rep, 4)
            yield sources

    def _rows(self, one: Any, most: int) -> list[Raw]:
        """Some rows, some of them twice, and some of these with other values the second time."""
        rows: list[Raw] = [one() for _ in range(self.random.randint(1, most))]
        for row in list(rows):
            if self.random.random() < 0.1:
                rows.append(dict(row))
            if self.random.random() < 0.1:
                rows.append({**one(), next(iter(row)): next(iter(row.values()))})
        self.random.shuffle(rows)
        return rows

    def _key(self, letter: str, count: int) -> str:
        """A key in one of the ways in which people and programs write it."""
        plain = self.random.choice(
            [f"{letter}{self.random.randint(1, count)}", f"{letter}é", f"{letter.lower()}1", "NA"]
            if self.random.random() < 0.3
            else [f"{letter}{n}" for n in range(1, count + 1)]
        )
        kind = self.random.random()
        if kind < 0.05:
            return f" {plain}\u3000"
        if kind < 0.1:
            return f"\u200b{plain}\u200e"
        if kind < 0.13:
            return f"{plain} \ufeff\t"
        if kind < 0.16:
            return plain.replace("é", "e\u0301")
        return plain

    def _text(self, *texts: Text) -> Text:
        return self.random.choice([*texts, None, "", "NULL"])

    def _customer(self) -> Raw:
        own: Text = self._key("C", 7)
        if self.random.random() < 0.04:
            own = self.random.choice([None, "", " \u200b"])
        return {
            "customer_id": own,
            "first_name": self._text("Ada", "Zoë"),
            "last_name": self._text("Lovelace", 'Smith, "Jr."'),
            "city": self._text("London", "NA", "a\nb"),
        }

    def _product(self) -> Raw:
        amounts = list(VALUES.amounts)
        own: Text = self._key("P", 5)
        return {
            "product_id": own if self.random.random() > 0.04 else "",
            "name": self._text("Lamp", "Pen"),
            "price": self.random.choice(amounts),
            "cost": self.random.choice(amounts),
        }

    def _rep(self) -> Raw:
        return {
            "sales_rep_id": self.random.choice(["ada_king", "R7", " R7", "bob_ross"]),
            "first_name": self._text("Ada"),
            "last_name": self._text("King-Noel"),
            "region": self._text("North", "South"),
        }

    def _sale(self) -> Raw:
        is_damaged = self.random.random() < 0.3
        pools: dict[str, list[Any]] = {
            "quantity": list(VALUES.quantities),
            "unit_price": list(VALUES.prices),
            "discount_amount": list(VALUES.discounts),
            "transaction_date": list(VALUES.dates),
        }
        damaged = self.random.choice(list(pools)) if is_damaged else ""
        measures: Raw = {
            name: self.random.choice(pool if name == damaged else GOOD[name])
            for name, pool in pools.items()
        }
        own: Text = self._key("T", 40)
        if self.random.random() < 0.03:
            own = self.random.choice([None, "\u200b "])
        product: Text = self._key("P", 7)
        if self.random.random() < 0.04:
            product = self._text()
        return {
            "transaction_id": own,
            "customer_id": self._text(self._key("C", 10), self._key("C", 10), "\\N"),
            "product_id": product,
            "sales_rep_id": self._text("ada_king", "R7", "bob_ross", "R8"),
            **measures,
        }


@dataclass
class Desk:
    """Where the rows of a night are written down for one of the readers."""

    folder: Path
    chance: random.Random
    server: Star

    def write(self, name: str, rows: list[Raw]) -> tuple[dict[str, str], list[Raw]]:
        """The settings of the source, and its rows with what cannot be parsed among them."""
        reader = self.chance.choice(READERS)
        place = self.folder / f"{name}.{reader}"
        for old in self.folder.glob(f"{name}.*"):
            old.unlink()
        columns = COLUMNS[name]
        table = [[row.get(column) for column in columns] for row in rows]
        settings = {"PATH": str(place)}
        if reader in ("csv", "json", "jsonl"):
            damaged = self.chance.randint(0, 2) if reader != "json" else 0
            rows = [*rows, *[MALFORMED] * damaged]
            place.write_text(self._text(reader, columns, table, damaged), encoding="utf-8")
        elif reader == "parquet":
            arrays = [
                pa.array([row[place] for row in table], pa.string())
                for place in range(len(columns))
            ]
            pq.write_table(pa.table(arrays, names=list(columns)), place)
        elif reader == "xlsx":
            self._workbook(place, columns, table)
            # Excel knows no row without a cell, so a row of blanks is none.
            rows = [row for row, cells in zip(rows, table, strict=True) if any(cells)]
        else:
            settings = self._database(reader, name, place, columns, table)
        return {f"{name.upper()}__{part}": value for part, value in settings.items()}, rows

    def _text(
        self, reader: str, columns: Sequence[str], table: list[list[Text]], damaged: int
    ) -> str:
        objects: list[Row] = [dict(zip(columns, row, strict=True)) for row in table]
        if reader == "csv":
            bad = "," * (len(columns) + 2) + "x\n"
            return to_csv(objects, columns) + bad * damaged
        if reader == "json":
            return json.dumps(objects)
        return "\n".join([json.dumps(row) for row in objects] + ["{no json"] * damaged) + "\n"

    def _workbook(self, place: Path, columns: Sequence[str], table: list[list[Text]]) -> None:
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        sheet.append(list(columns))
        for row in table:
            sheet.append(row)
        book.save(place)

    def _database(
        self,
        reader: str,
        name: str,
        place: Path,
        columns: Sequence[str],
        table: list[list[Text]],
    ) -> dict[str, str]:
        listed = ", ".join(f"{column} text" for column in columns)
        marks = ", ".join("?" * len(columns))
        if reader == "postgresql":
            with self.server.connection() as connection:
                source = f'"{self.server.schema}".in_{name}'
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {source}")
                connection.exec_driver_sql(f"CREATE TABLE {source} ({listed})")
                values = ", ".join(f":{column}" for column in columns)
                rows = [dict(zip(columns, row, strict=True)) for row in table]
                if rows:
                    connection.execute(sa.text(f"INSERT INTO {source} VALUES ({values})"), rows)
                connection.commit()
            return {"PATH": self.server.url, "QUERY": f"{self.server.schema}.in_{name}"}
        opened: Any = sqlite3.connect(place) if reader == "sqlite" else duckdb.connect(str(place))
        opened.execute(f"CREATE TABLE rows_of_it ({listed})")
        if table:
            opened.executemany(f"INSERT INTO rows_of_it VALUES ({marks})", table)
        opened.commit()
        opened.close()
        return {"PATH": f"{reader}:///{place}", "QUERY": "rows_of_it"}


@pytest.fixture
def server(postgresql_url: str) -> Iterator[Star]:
    """A schema for source tables."""
    star = Star(postgresql_url, f"in_{uuid.uuid4().hex[:16]}")
    star.execute(f'CREATE SCHEMA "{star.schema}"')
    yield star
    star.execute(f'DROP SCHEMA "{star.schema}" CASCADE')


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_night_ends_as_the_model_says(
    seed: int, star: Star, server: Star, tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a story, not a secret
    model = Model(VALUES, date(date.today().year + 1, 12, 31), chance.random() < 0.4)  # noqa: DTZ011
    desk = Desk(tmp_path, chance, server)
    for sources in Chance(chance).story():
        settings = {
            **star.settings,
            "LOG_FILE": str(tmp_path / "etl.log"),
            "REJECTS_DIR": str(tmp_path / "rejects"),
            "WORK_DIR": str(tmp_path / "work"),
            "MAX_REJECT_RATE": "1",
            "WORKERS": "2",
            "BATCH_ROWS": str(chance.choice([3, 7, 1000])),
            "ORPHAN_POLICY": "reject" if model.orphans_are_refused else "infer",
        }
        told = {}
        for name, rows in sources.items():
            own, told[name] = desk.write(name, rows)
            settings |= own
        for _ in range(chance.choice([1, 1, 2])):  # some nights run twice
            model.night(told)
            pipeline = StarSchemaETLPipeline(load_config(None, settings), quiet=True)
            results = pipeline.run_full_pipeline()
            assert (results["status"], results["errors"]) == ("published", [])
            assert accounts_told(results) == model.accounts
            assert contents(star) == expected(model)


def accounts_told(results: Row) -> dict[str, Account]:
    """What the summary says became of the rows."""
    tables = {
        part["source"]: part["rejected"] for part in results["transformation_results"].values()
    }
    accounts = {}
    for name, account in results["validation_results"]["reconciliation"]["sources"].items():
        kinds = ("read", "inserted", "updated", "unchanged", "duplicate")
        accounts[name] = Account(**{kind: account[kind] for kind in kinds})
        accounts[name].rejected.update(tables[name])
        assert accounts[name].rejected.total() == account["rejected"]
    return accounts


def contents(star: Star) -> dict[str, Any]:
    """The star by business keys; what the model does not know is left out."""
    found = {
        "customers": star.rows(
            "SELECT customer_id, first_name, last_name, city, is_inferred FROM dim_customer"
            " WHERE customer_key > 0"
        ),
        "products": star.rows(
            "SELECT product_id, product_name, price, cost, is_cost_estimated, is_inferred"
            " FROM dim_product WHERE product_key > 0"
        ),
        "reps": star.rows(
            "SELECT sales_rep_id, first_name, last_name, region, is_inferred FROM dim_sales_rep"
            " WHERE sales_rep_key > 0"
        ),
        "years": star.rows("SELECT DISTINCT year FROM dim_date WHERE date_key > 0"),
        "sales": star.rows(
            "SELECT f.transaction_id, c.customer_id, p.product_id, r.sales_rep_id, d.full_date,"
            " f.quantity, f.unit_price, f.discount_amount, f.net_amount, f.profit_amount"
            " FROM fact_sales f JOIN dim_customer c USING (customer_key)"
            " JOIN dim_product p USING (product_key) JOIN dim_sales_rep r USING (sales_rep_key)"
            " JOIN dim_date d USING (date_key)"
        ),
    }
    return {name: in_order(rows) for name, rows in found.items()}


def expected(model: Model) -> dict[str, Any]:
    """The same from the model."""

    def rows(table: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(found, *row.values()) for found, row in table.items()]

    found = {
        "customers": rows(model.customers),
        "products": rows(model.products),
        "reps": rows(model.reps),
        "years": [(year,) for year in model.years],
        "sales": rows(model.sales),
    }
    return {name: in_order(told) for name, told in found.items()}


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """By business key; amounts compare as numbers, whatever their places."""
    return sorted(rows, key=lambda row: str(row[0]))

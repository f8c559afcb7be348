"""Where the rows of a night are written down for one of the readers."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from support.model_rows import HEADER, MALFORMED, UNDECODABLE, UNREADABLE, Raw, Text
from support.star import Star
from support.tables import Row, to_csv

READERS = ("csv", "csv", "json", "jsonl", "parquet", "xlsx", "sqlite", "duckdb", "postgresql")
DAY_0 = date(2024, 1, 1)
UNREADABLE_IN_EXCEL = (
    "customer_id", "product_id", "sales_rep_id", "transaction_id", "status", "origin",
)  # fmt: skip
"""Where an error in a cell has the row refused."""
UNDECODED = "\udcff"
"""How Python writes a byte that it could not decode."""


@dataclass
class Written:
    """The settings of a source, and its rows as they were written, with what cannot be parsed."""

    settings: dict[str, str]
    rows: list[Raw]
    has_empty_file: bool = False


@dataclass
class Till:
    """A table of sales that grows, and is read from where the last night has ended."""

    reader: str
    kind: str
    """Of the column `changed`: `integer` or `date`."""
    lag: int
    rows: list[Raw] = field(default_factory=list)

    def value(self, number: int) -> str:
        """As the settings and options have it."""
        return str(number) if self.kind == "integer" else str(DAY_0 + timedelta(number))


@dataclass
class Desk:
    """Writes the sources of a night, each for one reader."""

    folder: Path
    chance: random.Random
    server: Star

    def open_till(self, kind: str) -> Till:
        """A table of sales for the nights of a story."""
        reader = self.chance.choice(["sqlite", "duckdb", "postgresql"])
        lag = self.chance.choice([0, 5, 12])
        return Till(reader, kind, lag)

    def sell(self, till: Till, rows: list[Raw], columns: tuple[str, ...]) -> Written:
        """Add the rows of a night to the table; all of them are told."""
        rows = [{column: row.get(column) for column in columns} for row in rows]
        till.rows += _storable(rows) if till.reader == "postgresql" else rows
        place = self.folder / f"till.{till.reader}"
        place.unlink(missing_ok=True)
        table = [
            [*list(row.values())[:-1], changed and till.value(int(changed)), str(number)]
            for number, row in enumerate(till.rows)
            for changed in (row["changed"],)
        ]
        kinds = {"changed": till.kind if till.reader != "sqlite" else "integer", "place": "integer"}
        if till.kind == "date" and till.reader == "sqlite":
            kinds["changed"] = "text"
        found = self._database(till.reader, "till", place, (*columns, "place"), table, kinds)
        found["QUERY"] = (
            f"SELECT {', '.join(columns)} FROM {found['QUERY']} "
            "WHERE changed >= :since ORDER BY place"
        )
        found["WATERMARK"] = "changed"
        found["LAG"] = f"{till.lag} {'days' if till.kind == 'date' else ''}".strip()
        return Written({f"TRANSACTIONS__{n}": value for n, value in found.items()}, till.rows)

    def write(self, name: str, rows: list[Raw], columns: tuple[str, ...]) -> Written:
        """Write a source of `columns`, which is all that is told of its rows."""
        reader = self.chance.choice(READERS)
        if not rows and reader in ("json", "jsonl"):  # they have no columns then
            reader = "parquet"
        place = self.folder / f"{name}.{reader}"
        for old in self.folder.glob(f"{name}.*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        rows = [{column: row.get(column) for column in columns} for row in rows]
        if reader == "postgresql":
            rows = _storable(rows)
        elif reader == "xlsx":
            rows = _storable(rows, UNREADABLE_IN_EXCEL)
        table = [list(row.values()) for row in rows]
        written = Written({"PATH": str(place)}, rows)
        if reader == "csv":
            self._csv(written, place, columns)
        elif reader in ("json", "jsonl"):
            self._json(written, place)
        elif reader == "parquet":
            arrays = [pa.array([row[n] for row in table], pa.string()) for n in range(len(columns))]
            pq.write_table(pa.table(arrays, names=list(columns)), place)
        elif reader == "xlsx":
            self._workbook(place, columns, table)
            # Excel knows no row without a cell, so a row of blanks is none.
            written.rows = [row for row in rows if any(row.values())]
        else:
            written.settings = self._database(reader, name, place, columns, table)
        written.settings = {f"{name.upper()}__{n}": value for n, value in written.settings.items()}
        return written

    def _csv(self, written: Written, place: Path, columns: Sequence[str]) -> None:
        """One file, or a folder of two, with an empty one between them now and then."""
        lines: list[tuple[Raw, str]] = [(row, _lines([row], columns)) for row in written.rows]
        bad = "," * (len(columns) + 2) + "x\n"
        lines += [(MALFORMED, bad)] * (self.chance.random() < 0.06)
        cells = f"T1{UNDECODED}" + "," * (len(columns) - 1) + "\n"
        lines += [(UNDECODABLE, cells)] * (self.chance.random() < 0.06)
        header = ",".join(columns) + "\n"
        if self.chance.random() < 0.2:
            lines.insert(self.chance.randint(0, len(lines)), (HEADER, header))
        written.rows = [row for row, _ in lines]
        texts = [text for _, text in lines]
        if self.chance.random() < 0.7:
            _store(place, header, texts)
            return
        place.mkdir()
        middle = len(texts) // 2
        _store(place / "part_a.csv", header, texts[:middle])
        _store(place / "part_c.csv", header, texts[middle:])
        if self.chance.random() < 0.3:
            (place / "part_b.csv").touch()
            written.has_empty_file = True

    def _json(self, written: Written, place: Path) -> None:
        """An array, or a record a line; a record need not have what it has no value for."""
        objects = [
            {column: text for column, text in row.items() if text is not None or keeps}
            for row in written.rows
            for keeps in (self.chance.random() < 0.7 or row is written.rows[0],)
        ]
        if place.suffix == ".json":
            place.write_text(json.dumps(objects), encoding="utf-8")
            return
        damaged = ["{no json"] * (self.chance.random() < 0.1)
        lines = [json.dumps(row) for row in objects] + damaged
        place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        written.rows = [*written.rows, *[MALFORMED] * len(damaged)]

    def _workbook(self, place: Path, columns: Sequence[str], table: list[list[Text]]) -> None:
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        sheet.append(list(columns))
        for row in table:
            sheet.append(["#N/A" if _is_bad(text) else text for text in row])
        book.save(place)

    def _database(
        self,
        reader: str,
        name: str,
        place: Path,
        columns: Sequence[str],
        table: list[list[Text]],
        kinds: Mapping[str, str] = {},
    ) -> dict[str, str]:
        listed = ", ".join(f"{column} {kinds.get(column, 'text')}" for column in columns)
        marks = ", ".join("?" * len(columns))
        if reader == "postgresql":
            with self.server.connection() as connection:
                source = f'"{self.server.schema}".in_{name}'
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {source}")
                connection.exec_driver_sql(f"CREATE TABLE {source} ({listed})")
                values = ", ".join(
                    f"CAST(:{column} AS {kinds.get(column, 'text')})" for column in columns
                )
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


def _storable(rows: list[Raw], spared: Sequence[str] = ()) -> list[Raw]:
    """The rows without the texts that cannot be read, but in some columns."""
    return [
        {c: None if _is_bad(text) and c not in spared else text for c, text in row.items()}
        for row in rows
    ]


def _is_bad(text: Text) -> bool:
    return text is not None and UNREADABLE in text


def _lines(rows: list[Raw], columns: Sequence[str]) -> str:
    """The rows as CSV, without a header."""
    objects: list[Row] = [dict(row) for row in rows]
    return to_csv(objects, columns).partition("\n")[2]


def _store(place: Path, header: str, lines: list[str]) -> None:
    text = header + "".join(lines)
    place.write_bytes(text.encode("utf-8", "surrogateescape"))

"""The rows of the sources as files and tables of every format."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from common.spool import Spool
from config import StarSchemaConfig
from extract import DataExtractor
from support.tables import Row, to_csv

Rows = dict[str, list[Row]]
"""The rows of each source, as values of Python's types."""


def plain(rows: list[Row]) -> list[Row]:
    """Rows without nested values, for formats that have none."""
    return [
        {name: json.dumps(v) if isinstance(v, dict) else v for name, v in row.items()}
        for row in rows
    ]


def csv_text(rows: list[Row]) -> bytes:
    return to_csv(plain(rows)).encode()


def json_lines(rows: list[Row]) -> bytes:
    return "".join(f"{json_text(row)}\n" for row in rows).encode()


def json_array(rows: list[Row]) -> bytes:
    return f"[{','.join(map(json_text, rows))}]".encode()


def json_text(row: Row) -> str:
    """A row as JSON, its decimals as numbers with all their digits."""
    values = (
        str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)
        for value in row.values()
    )
    return f"{{{','.join(f'{json.dumps(n)}:{v}' for n, v in zip(row, values, strict=True))}}}"


def parquet(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=1000)
    return file.getvalue()


def excel(rows: list[Row]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(list(rows[0]))
    for number, row in enumerate(plain(rows), 2):
        for place, value in enumerate(row.values(), 1):
            cell = sheet.cell(number, place, value)
            if isinstance(value, str):
                cell.data_type = "s"  # text, also when it looks like a formula
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def gzipped(rows: list[Row]) -> bytes:
    content = csv_text(rows)
    half = len(content) // 2  # of two parts, as log rotation leaves them
    return gzip.compress(content[:half]) + gzip.compress(content[half:])


def zstandard(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(csv_text(rows))
    return bytes(sink.getvalue())


def zipped(rows: list[Row]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._rows.csv", b"\x00\x05\x16\x07")
        archive.writestr("export/rows.csv", csv_text(rows))
    return file.getvalue()


BY_SUFFIX: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": csv_text,
    "json": json_array,
    "jsonl": json_lines,
    "parquet": parquet,
    "xlsx": excel,
}
"""The formats that any file may have, plain or inside another one."""
FORMS: dict[str, tuple[str, Callable[[list[Row]], bytes]]] = {
    "csv": ("csv", csv_text),
    "json_lines": ("jsonl", json_lines),
    "json_array": ("json", json_array),
    "parquet": ("parquet", parquet),
    "excel": ("xlsx", excel),
    "gzip": ("csv.gz", gzipped),
    "zstd": ("csv.zst", zstandard),
    "zip": ("zip", zipped),
    "no_extension": ("", parquet),
}


def write_files(folder: Path, rows: Rows, form: str) -> Row:
    """Each source as one file; returns the settings that name them."""
    suffix, write = FORMS[form]
    settings = {}
    for source, content in rows.items():
        path = folder / f"{source}.{suffix}".rstrip(".")
        path.write_bytes(write(content))
        settings[f"{source.upper()}__PATH"] = path
    return settings


def in_database(url: str, sources: Iterable[str], prefix: str = "") -> Row:
    """The settings for sources that are tables of a database."""
    return {
        f"{source.upper()}__{name}": value
        for source in sources
        for name, value in (("PATH", url), ("QUERY", prefix + source))
    }


def write_sqlite(folder: Path, rows: Rows) -> Row:
    """Every source as a table of SQLite, amounts as its floating-point numbers."""
    path = folder / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        for source, content in rows.items():
            names = list(content[0])
            marks = ",".join("?" * len(names))
            connection.execute(f"CREATE TABLE {source} ({','.join(names)})")
            connection.executemany(
                f"INSERT INTO {source} VALUES ({marks})",
                [tuple(map(for_sqlite, row.values())) for row in plain(content)],
            )
    connection.close()
    return in_database(f"sqlite:///{path}", rows)


def for_sqlite(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def write_duckdb(folder: Path, rows: Rows) -> Row:
    """Every source as a table of DuckDB: decimals, dates and structs."""
    path = folder / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        for source, content in rows.items():
            connection.register("content", pa.Table.from_pylist(content))
            connection.execute(f"CREATE TABLE {source} AS SELECT * FROM content")
    return in_database(f"duckdb:///{path}", rows)


_POSTGRESQL_TYPES: dict[type, Any] = {
    int: sa.BigInteger, Decimal: sa.Numeric, date: sa.Date, dict: JSONB,
}  # fmt: skip


def write_postgresql(url: str, schema: str, rows: Rows) -> Row:
    """Every source as a table of PostgreSQL: numeric, date and jsonb."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        for source, content in rows.items():
            columns = [
                sa.Column(name, _POSTGRESQL_TYPES.get(type(value), sa.Text))
                for name, value in content[0].items()
            ]
            table = sa.Table(source, sa.MetaData(), *columns, schema=schema)
            table.create(connection)
            connection.execute(sa.insert(table), content)
    engine.dispose()
    return in_database(url, rows, f"{schema}.")


def records_of(config: StarSchemaConfig) -> dict[str, list[tuple[int, Any]]]:
    """The records of each source in the order of their lines: rows, or why they are none."""
    found = {}
    with Spool(config.work_dir) as spool:
        for name, source in DataExtractor(config).extract(spool.folder).items():
            records: list[tuple[int, Any]] = []
            for number in range(len(source)):
                for row in source.originals(number).to_pylist():
                    values = {column: row.get(column) for column in source.columns}
                    records.append((row["_line"], values))
                refused = source.refused(number)
                if refused is not None:
                    records += [(row["_line"], row["_detail"]) for row in refused.to_pylist()]
            assert len(records) == source.records
            found[name] = sorted(records, key=lambda record: record[0])
    return found

"""What the tests share: a retailer that writes source files, and a star that can be looked into."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from faults import ROOMS, wait_until

import schema
from config import StarSchemaConfig, load_config
from main import StarSchemaETLPipeline

Row = dict[str, Any]
SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"
STARS = Path(__file__).parent / "stars"


def copy_application(folder: Path) -> None:
    """A copy of the application's own code in `folder`."""
    root = Path(__file__).parents[1]
    for path in root.glob("*.py"):
        shutil.copy(path, folder)
    for room in ROOMS:
        shutil.copytree(root / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))


STAR = (*schema.dimensions, schema.fact_sales)


def drawn(table: str) -> list[Row]:
    """Rows from a table drawn with `|` between the columns, its header first."""
    lines = [line for line in table.strip("\n").splitlines() if line.strip()]
    names, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    return [dict(zip(names, row, strict=True)) for row in rows]


def shared_data(name: str) -> Path:
    """The folder of a real data set, or a skip that names what is absent."""
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data is absent: there is no folder {folder}")
    return folder


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The records of a CSV file, read by Python's own parser."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def to_csv(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Rows as CSV text; their columns are those of the first row, unless given."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


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

    def member(self, table: str, business_key: str) -> Row:
        """One dimension row by its business key."""
        key = schema.business_key(schema.metadata.tables[table]).name
        sql = f"SELECT * FROM {table} WHERE {key} = :business_key"
        with self.connection() as connection:
            found = connection.execute(sa.text(sql), {"business_key": business_key})
            return dict(found.mappings().one())

    def execute(self, *statements: str) -> None:
        """Change the warehouse behind the application's back."""
        with self.connection() as connection:
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
        catalog = "information_schema.tables WHERE table_schema = current_schema()"
        if self.engine_name == "duckdb":  # its own list: the standard one takes ten times as long
            catalog = "duckdb_tables() WHERE schema_name = current_schema()"
        return set(connection.exec_driver_sql(f"SELECT table_name FROM {catalog}").scalars())

    def content(self, *, with_runs: bool = True) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the star, surrogate keys included, in the order of its keys."""
        content = {}
        with self.connection() as connection:
            present = self._tables(connection)
            for table in STAR:
                names = [c.name for c in table.columns if with_runs or c.name != "run_id"]
                key = next(iter(table.primary_key.columns)).name
                if table.name in present:
                    sql = sa.text(f"SELECT {', '.join(names)} FROM {table.name}")
                    rows, place = map(tuple, connection.execute(sql)), names.index(key)
                    content[table.name] = sorted(
                        rows, key=lambda row: (row[place] is not None, row[place])
                    )
        return content

    def digest(self, *, with_runs: bool = True) -> str:
        """A hash of all rows of the star; `with_runs` says which run wrote each fact as well."""
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


FILES = {
    "customers": "customers.csv",
    "products": "products.json",
    "transactions": "sales.csv",
    "sales_reps": "reps.csv",
}


def sources_of(version: str) -> dict[str, str]:
    """Settings for the files of which a version made the star that `Star.restore` brings back."""
    names = {
        "CUSTOMERS": "customers.csv",
        "PRODUCTS": "products.json",
        "TRANSACTIONS": "sales.jsonl",
    }
    return {f"{source}__PATH": str(STARS / version / name) for source, name in names.items()}


def _customers() -> list[Row]:
    return drawn("""
        customer_id | first_name | last_name | email           | city   | country | segment
        C1          | Ada        | Lovelace  | ada@example.org | London | GB      | Consumer
        C2          | Alan       | Turing    |                 | Munich | DE      | Business
    """)


def _products() -> list[Row]:
    return [
        {"product_id": "P1", "name": "Lamp", "category": "Home", "brand": "Lux", "price": 250,
         "cost": 100, "specifications": {"watt": 9}},
        {"product_id": "P2", "name": "Pen", "category": "Office", "brand": "Ink", "price": 60,
         "cost": None, "specifications": None},
    ]  # fmt: skip


def _sales() -> list[Row]:
    return drawn("""
        transaction_id | transaction_date | customer_id | product_id | quantity | unit_price | sales_rep_id | discount_amount
        T1             | 2024-02-29       | C1          | P1         | 2        | 250.00     | grace_hopper | 0
        T2             | 2024-03-01       | C2          | P2         | 3        | 59.99      | grace_hopper | 9.9975
        T3             | 2024-03-02       | C1          | P2         | 1        | 60.00      | john_backus  | 0
    """)  # noqa: E501


_CHILD = """
import os, re, resource, sys, time
root, file_bytes, cpu_seconds, umask, *arguments = sys.argv[1:]
sys.path.insert(0, root)
if cpu_seconds != "0":
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
if file_bytes != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes), int(file_bytes)))
os.umask(int(umask, 8))
import main
code = main.main(arguments)
with open("/proc/self/status") as status:
    peak = re.search(r"VmHWM:\\s*([0-9]+) kB", status.read())[1]
sys.stdout.flush()
sys.stderr.write(f"peak={peak}")
sys.stderr.flush()
os._exit(code)
"""


@dataclass
class Ended:
    """How a command in a process of its own ended."""

    code: int
    out: str
    err: str
    peak_mib: float
    seconds: float

    @property
    def results(self) -> Row:
        """The summary that `--json` printed."""
        summary: Row = json.loads(self.out)
        return summary


def in_a_child(
    *arguments: str,
    file_bytes: int = 0,
    cpu_seconds: int = 0,
    umask: int = 0o022,
    environment: dict[str, str] | None = None,
    timeout: float = 600,
    root: Path = Path(__file__).parents[1],
) -> Ended:
    """Run `python main.py` of `root` in a process of its own, which tells its peak memory.

    `file_bytes` limits how long a file may get, as a full disk does; `cpu_seconds` is what it may
    compute, which other processes do not prolong.
    """
    given = [str(root), str(file_bytes), str(cpu_seconds), f"{umask:o}", *arguments]
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, *given],
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    err, _, peak = ended.stderr.rpartition("peak=")
    assert peak.isdigit(), ended.stderr[-3000:]
    seconds = time.monotonic() - started
    return Ended(ended.returncode, ended.stdout, err, int(peak) / 1024, seconds)


@dataclass
class Retailer:
    """A small shop without a fault; a test changes what it is about and runs the pipeline.

    Its sources are lists of rows, written as files before each run. `files` holds what is
    written instead, byte for byte, for some of them; None leaves a file out.
    """

    folder: Path
    star: Star
    customers: list[Row] = field(default_factory=_customers)
    products: list[Row] = field(default_factory=_products)
    sales: list[Row] = field(default_factory=_sales)
    reps: list[Row] | None = None
    files: dict[str, str | bytes | None] = field(default_factory=dict)
    nights: int = 0

    def path(self, source: str) -> Path:
        """Where the file of a source is."""
        return self.folder / FILES[source]

    @property
    def log(self) -> str:
        """All that the log file says."""
        return (self.folder / "etl.log").read_text(encoding="utf-8")

    def settings(self, **changed: object) -> dict[str, str]:
        """Settings for this folder and warehouse. Rejects are accepted without limit."""
        self._write()
        paths = {
            f"{source.upper()}__PATH": str(self.path(source))
            for source in FILES
            if source != "sales_reps" or self.reps is not None
        }
        return {
            **self.star.settings,
            **paths,
            "LOG_FILE": str(self.folder / "etl.log"),
            "REJECTS_DIR": str(self.folder / "rejects"),
            "WORK_DIR": str(self.folder / "work"),
            "MAX_REJECT_RATE": "1",
            "WORKERS": "2",
            **{name: str(value) for name, value in changed.items()},
        }

    def config(self, **changed: object) -> StarSchemaConfig:
        """The configuration for a run over the sources as they are now."""
        return load_config(env_file=None, environment=self.settings(**changed))

    def run(
        self,
        pipeline: Callable[..., StarSchemaETLPipeline] = StarSchemaETLPipeline,
        /,
        **changed: object,
    ) -> Row:
        """Run the pipeline over the sources as they are now; returns its summary."""
        return pipeline(self.config(**changed), quiet=True).run_full_pipeline()

    def publish(self, **changed: object) -> Row:
        """Run, and see that it was published."""
        results = self.run(StarSchemaETLPipeline, **changed)
        assert results["errors"] == []
        assert results["status"] == "published"
        return results

    def publish_in_full(self, **changed: object) -> Row:
        """Publish again through every phase: a limit of rejects in another spelling is another
        setting, so that the same input is not recognised as such.
        """
        self.nights += 1
        return self.publish(**{"MAX_REJECT_RATE": "1." + "0" * self.nights, **changed})

    def env_file(self, **changed: object) -> str:
        """The path of a settings file, for the command line."""
        path = self.folder / "shop.env"
        lines = [f"{name}='{value}'\n" for name, value in self.settings(**changed).items()]
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)

    def rejects(self, results: Row, source: str = "transactions") -> list[dict[str, str]]:
        """The reject file of a source, in the order of its lines; empty when there is none."""
        path = Path(results["rejects_dir"]) / f"{source}.csv"
        return sorted(csv_rows(path), key=lambda row: int(row["_line"])) if path.exists() else []

    def reasons(self, results: Row, source: str = "transactions") -> list[str]:
        """The reject reasons of a source, in the order of its lines."""
        return [row["_reason"] for row in self.rejects(results, source)]

    def _write(self) -> None:
        given = {
            "customers": self.customers,
            "products": self.products,
            "transactions": self.sales,
            "sales_reps": self.reps,
        }
        for source, rows in given.items():
            content: str | bytes | None
            if source in self.files:
                content = self.files[source]
            elif source == "products":
                content = json.dumps(rows, default=str)
            else:
                content = to_csv(rows) if rows else None
            path = self.path(source)
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content.encode() if isinstance(content, str) else content)


def counts(results: Row, table: str) -> tuple[int, int, int]:
    """Inserted, updated and unchanged rows of a table, as the summary tells them."""
    if table == "fact_sales":
        facts = results["fact_loading_results"]
        told = [facts[f"records_{kind}"] for kind in ("inserted", "updated", "unchanged")]
    else:
        dimension = results["dimension_loading_results"][table]
        told = [dimension[kind] for kind in ("inserted", "updated", "unchanged")]
    inserted, updated, unchanged = told
    return inserted, updated, unchanged


def changes(results: Row) -> int:
    """How many rows a run inserted, inferred or updated, in all tables."""
    dimensions = results["dimension_loading_results"].values()
    in_dimensions = sum(d["inserted"] + d["updated"] + d["inferred"] for d in dimensions)
    return int(in_dimensions + sum(counts(results, "fact_sales")[:2]))


def day_after(year: int) -> date:
    """The first day past the range of dates that are accepted in `year`."""
    return date(year + 2, 1, 1)


def money(text: str) -> Decimal:
    """An amount, for comparisons that are exact."""
    return Decimal(text)

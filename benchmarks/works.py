"""The measured works, and the proof that each left the right star behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
from psycopg2 import sql

from benchmarks import baselines
from benchmarks.data import MOVED_TO, ROOT, SALES, Bench, Totals
from benchmarks.measure import FailedError, Usage, run
from benchmarks.server import Server
from benchmarks.threads import phases_in, spent

Rows = list[tuple[Any, ...]]
Query = Callable[[str], Rows]
WHOLE_TABLE = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}


@dataclass(frozen=True)
class Run:
    """One measured run; `rows` are those of the input, whoever reads it."""

    work: str
    rows: int
    usage: Usage
    phases: dict[str, float]
    spent: dict[str, dict[str, float]] = field(default_factory=dict)
    """`threads.Spent` of each phase, if threads were watched."""

    def as_dict(self) -> dict[str, Any]:
        apart = {"output", "began", "samples"}
        kept = {k: v for k, v in asdict(self.usage).items() if k not in apart}
        per_second = round(self.rows / self.usage.wall_seconds)
        return (
            {"work": self.work, "rows": self.rows, "rows_per_second": per_second}
            | kept
            | {"phases": self.phases}
            | ({"spent": self.spent} if self.spent else {})
        )


@dataclass(frozen=True)
class Threads:
    """How many threads pipeline and script get, if not one for each core that they may use, and
    whether they are watched.
    """

    number: int | None = None
    are_watched: bool = False

    @property
    def settings(self) -> dict[str, str]:
        if self.number is None:
            return {}
        return {"WORKERS": str(self.number), "BENCH_THREADS": str(self.number)}


_AS_USUAL = Threads()
_NOTHING: Mapping[str, str] = MappingProxyType({})


# --- the pipeline and the baselines, as processes -----------------------------------------------


def _load(
    work: str,
    folder: Path,
    sources: Path,
    warehouse: str,
    server: Server | None = None,
    *,
    threads: Threads = _AS_USUAL,
    more: Mapping[str, str] = _NOTHING,
) -> tuple[Run, dict[str, Any]]:
    """Run the pipeline on the files in `sources`; the run and the summary it printed."""
    products = next(sources.glob("products.*"))
    settings = {
        "WAREHOUSE_URL": warehouse,
        "CUSTOMERS__PATH": str(sources / "customers.csv"),
        "PRODUCTS__PATH": str(products),
        "TRANSACTIONS__PATH": str(sources / SALES),
        "LOG_FILE": str(folder / "etl.log"),
        "REJECTS_DIR": str(folder / "rejects"),
        "REPORTS_DIR": "",  # no other loader makes a page
        "WORK_DIR": str(folder / "work"),
        **threads.settings,
        **more,
    }
    command: list[str | Path] = [sys.executable, ROOT / "main.py", "--json"]
    usage = run(command, folder, settings, server, by_thread=threads.are_watched)
    summary = json.loads(usage.output)
    phases = {name: phase["duration_seconds"] for name, phase in summary["phases"].items()}
    rows = summary["extraction_results"]["transactions"]["records"]
    if not threads.are_watched:
        return Run(work, rows, usage, phases), summary
    told = phases_in(folder / "etl.log", summary["run_id"])
    return Run(work, rows, usage, phases, spent(usage.samples, usage.began, told)), summary


def _baseline(
    work: str,
    kind: str,
    rows: int,
    folder: Path,
    url: str,
    server: Server | None = None,
    *,
    threads: Threads = _AS_USUAL,
    more: Mapping[str, str] = _NOTHING,
) -> Run:
    command = [sys.executable, baselines.__file__, kind]
    settings = {"BENCH_URL": url, **threads.settings, **more}
    usage = run(command, folder, settings, server, by_thread=threads.are_watched)
    return Run(work, rows, usage, {}, spent(usage.samples, usage.began) if usage.samples else {})


# --- the proof ----------------------------------------------------------------------------------


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise FailedError(f"{what}: {found}, where {expected} is right")


def _prove_totals(work: str, query: Query, expected: Totals) -> None:
    """The sums over the fact, to the last decimal."""
    (found,) = query(
        "SELECT count(*), sum(quantity), sum(gross_amount), sum(discount_amount), sum(net_amount) "
        "FROM fact_sales"
    )
    right = (expected.rows, expected.quantity, expected.gross, expected.discount, expected.net)
    _expect(f"{work}: rows and sums of the fact", found, right)


def _prove_star(work: str, query: Query, bench: Bench) -> None:
    """The star after a first load: the fact's sums, also by year, and the members."""
    truth = bench.truth["base"]
    _prove_totals(work, query, bench.loaded)
    by_year = query(
        "SELECT year, sum(net_amount) FROM fact_sales JOIN dim_date USING (date_key) GROUP BY year"
    )
    right = {int(year): Decimal(net) for year, net in truth["net_by_year"].items()}
    _expect(f"{work}: net by year", dict(by_year), right)
    for name in ("customers", "products", "sales_reps"):
        members = truth[name]["members"] + truth[name].get("inferred", 0) + 1  # the Unknown one
        table = f"dim_{name.removesuffix('s')}"
        _expect(f"{work}: {table}", query(f"SELECT count(*) FROM {table}"), [(members,)])


def _prove_summary(
    work: str, summary: dict[str, Any], truth: dict[str, Any], changes: tuple[int, int, int]
) -> None:
    """What the run says: rejects by reason, duplicates, and facts by what became of them."""
    _expect(f"{work}: status", summary["status"], "published")
    for told in summary["transformation_results"].values():
        right = truth.get(told["source"], {})
        if "duplicate" in right:
            found = told["rejected"], told["duplicates"]
            _expect(f"{work}: rejects", found, (right["rejected"], right["duplicate"]))
    facts = summary["fact_loading_results"]
    told = tuple(facts[f"records_{kind}"] for kind in ("inserted", "updated", "unchanged"))
    _expect(f"{work}: facts inserted, updated, unchanged", told, changes)


def _prove_removal(work: str, query: Query, bench: Bench, summary: dict[str, Any] | None) -> None:
    """The star after the night with the whole table, and what a run says of it."""
    _prove_totals(work, query, bench.loaded_after_removal)
    if summary is not None:
        truth = bench.truth["removal"]
        corrected = truth["corrected"]
        _prove_summary(work, summary, {}, (0, corrected, truth["loaded"] - corrected))
        found = summary["fact_loading_results"]["records_deleted"]
        _expect(f"{work}: facts removed", found, {"by_flag": 0, "by_absence": truth["removed"]})


# --- PostgreSQL ---------------------------------------------------------------------------------


class PostgreSql:
    """First load, same again and two kinds of night, each beside its baseline."""

    def __init__(self, bench: Bench, server: Server, folder: Path) -> None:
        self.bench, self.server, self.folder = bench, server, folder
        self.version = f"PostgreSQL {server.version}"
        self.threads = Threads()

    def prepare(self) -> None:
        """A loaded star to start nights from, and the finished rows for the baselines."""
        self.prepare_loads()
        self._prepare_nights()

    def prepare_loads(self) -> None:
        """A loaded star, and the finished rows of the floor."""
        server = self.server
        server.create("star")
        self._first("setup", "star")
        (self.folder / "floor").mkdir()
        self._export("star", "SELECT * FROM fact_sales", self.folder / "floor" / "fact.csv")
        server.create("dimensions", "star")
        with server.cursor("dimensions") as cursor:
            cursor.execute("DROP TABLE fact_sales")

    def _prepare_nights(self) -> None:
        server = self.server
        (self.folder / "night").mkdir()
        (self.folder / "removal").mkdir()
        with server.cursor("star") as cursor:
            cursor.execute("VACUUM ANALYZE")  # as autovacuum does in the course of a day
        self._export_night()
        server.create("night", "star")
        self._removal("setup")
        self._export("night", "SELECT * FROM fact_sales", self.folder / "removal" / "fact.csv")

    def loads(self) -> Iterator[Run]:
        """The floor, a first load, and the same again."""
        server = self.server
        server.create("floor", "dimensions")
        yield self._floor()
        server.create("first")
        yield self._first("first load", "first")
        server.checkpoint()
        yield self._again()
        server.drop("floor", "first")

    def round(self) -> Iterator[Run]:
        """Every work once, a work and its baseline one after the other."""
        server = self.server
        yield from self.loads()
        server.create("night", "star")
        yield self._night("night")[0]
        server.create("night", "star")
        yield self._night_baseline()
        server.create("night", "star")
        yield self._removal("removal night")
        server.create("night", "star")
        yield self._removal_baseline()
        server.drop("night")

    def _floor(self) -> Run:
        rows, url = self.bench.rows, self.server.url("floor")
        done = _baseline("floor", "floor", rows, self.folder / "floor", url, self.server)
        _prove_totals("floor", self._query("floor"), self.bench.loaded)
        return done

    def _first(self, work: str, database: str) -> Run:
        url = self.server.url(database, "postgresql+psycopg2")
        base = self.bench.base
        done, summary = _load(work, self.folder, base, url, self.server, threads=self.threads)
        _prove_summary(work, summary, self.bench.truth["base"], (self.bench.loaded.rows, 0, 0))
        _prove_star(work, self._query(database), self.bench)
        return done

    def _again(self) -> Run:
        work, url = "same again", self.server.url("first", "postgresql+psycopg2")
        base = self.bench.base
        done, summary = _load(work, self.folder, base, url, self.server, threads=self.threads)
        _prove_summary(work, summary, self.bench.truth["base"], (0, 0, self.bench.loaded.rows))
        _prove_star(work, self._query("first"), self.bench)
        return done

    def _night(self, work: str) -> tuple[Run, str]:
        url = self.server.url("night", "postgresql+psycopg2")
        done, summary = _load(work, self.folder, self.bench.night, url, self.server)
        truth, corrected = self.bench.truth["new"], self.bench.truth["corrections"][0]
        new = {"transactions": truth["transactions"]}
        _prove_summary(work, summary, new, (truth["transactions"]["loaded"], corrected, 0))
        self._prove_night(work)
        return done, str(summary["run_id"])

    def _night_baseline(self) -> Run:
        work, url = "night in plain SQL", self.server.url("night")
        rows = self.bench.truth["new"]["transactions"]["read"] + self.bench.truth["corrections"][0]
        done = _baseline(work, "night", rows, self.folder / "night", url, self.server)
        self._prove_night(work)
        return done

    def _removal(self, work: str) -> Run:
        url, files = self.server.url("night", "postgresql+psycopg2"), self.bench.removal
        done, summary = _load(work, self.folder, files, url, self.server, more=WHOLE_TABLE)
        _prove_removal(work, self._query("night"), self.bench, summary)
        return done

    def _removal_baseline(self) -> Run:
        work, url = "removal night in plain SQL", self.server.url("night")
        rows = self.bench.truth["removal"]["loaded"]
        done = _baseline(work, "removal", rows, self.folder / "removal", url, self.server)
        _prove_removal(work, self._query("night"), self.bench, None)
        return done

    def _prove_night(self, work: str) -> None:
        _prove_totals(work, self._query("night"), self.bench.loaded_after_night)
        moved = sql.SQL("SELECT count(*) FROM dim_customer WHERE city = {}")
        found = self.server.value("night", moved.format(sql.Literal(MOVED_TO)))
        _expect(f"{work}: moved customers", found, self.bench.truth["moved"])

    def _export_night(self) -> None:
        """What a night writes is what differs between the stars before and after one."""
        self.server.create("night", "star")
        last = {
            name: self.server.value("star", f"SELECT max({name}_key) FROM dim_{name}")
            for name in ("customer", "product")
        }
        run_id = self._night("setup")[1]
        customer = "SELECT * FROM dim_customer WHERE city = {} OR customer_key > {}"
        product = "SELECT * FROM dim_product WHERE product_key > {}"
        fact = "SELECT * FROM fact_sales WHERE run_id = {}"
        folder = self.folder / "night"
        self._export("night", customer, folder / "customer.csv", MOVED_TO, last["customer"])
        self._export("night", product, folder / "product.csv", last["product"])
        self._export("night", fact, folder / "fact.csv", run_id)

    def _export(self, database: str, query: str, path: Path, *values: object) -> None:
        composed = sql.SQL(query).format(*map(sql.Literal, values))
        with self.server.cursor(database) as cursor, path.open("wb") as file:
            copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(composed)
            cursor.copy_expert(copy, file, 1 << 18)

    def _query(self, database: str) -> Query:
        return lambda query: self.server.rows(database, query)


# --- DuckDB -------------------------------------------------------------------------------------


class DuckDb:
    """First load and removal night beside a script that does the same, and the same input again."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.version = f"DuckDB {duckdb.__version__}"
        self.threads = Threads()
        self._by_script, self._star = folder / "script.duckdb", folder / "star.duckdb"

    def prepare(self) -> None:
        """Nothing: every work starts from the files."""

    prepare_loads = prepare

    def loads(self) -> Iterator[Run]:
        """The script, a first load, and the same again."""
        self._by_script.unlink(missing_ok=True)
        self._star.unlink(missing_ok=True)
        yield self._script(self._by_script)
        yield self._load("first load", self._star, (self.bench.loaded.rows, 0, 0))
        yield self._load("same again", self._star, (0, 0, self.bench.loaded.rows))

    def round(self) -> Iterator[Run]:
        """Every work once, a work and its baseline one after the other."""
        yield from self.loads()
        yield self._removal_script(self._by_script)
        yield self._removal(self._star)

    def _load(self, work: str, file: Path, changes: tuple[int, int, int]) -> Run:
        url, threads = f"duckdb:///{file}", self.threads
        done, summary = _load(work, self.folder, self.bench.base, url, threads=threads)
        _prove_summary(work, summary, self.bench.truth["base"], changes)
        _prove_star(work, _query(file), self.bench)
        return done

    def _script(self, file: Path) -> Run:
        done = self._baseline("SQL script", "duckdb", self.bench.rows, file, self.bench.base)
        for name in ("transactions", "customers", "products"):
            found = {r: n for source, r, n in json.loads(done.usage.output) if source == name}
            truth = self.bench.truth["base"][name]
            right = {**truth["rejected"], "duplicate": truth["duplicate"]}
            _expect(f"SQL script: rejects of {name}", found, right)
        _prove_star("SQL script", _query(file), self.bench)
        return done

    def _removal(self, file: Path) -> Run:
        work, url = "removal night", f"duckdb:///{file}"
        done, summary = _load(work, self.folder, self.bench.removal, url, more=WHOLE_TABLE)
        _prove_removal(work, _query(file), self.bench, summary)
        return done

    def _removal_script(self, file: Path) -> Run:
        work, rows = "removal night by the script", self.bench.truth["removal"]["loaded"]
        done = self._baseline(work, "duckdb_removal", rows, file, self.bench.removal)
        _prove_removal(work, _query(file), self.bench, None)
        return done

    def _baseline(self, work: str, kind: str, rows: int, file: Path, sources: Path) -> Run:
        files = {"BENCH_FILES": str(sources)}
        return _baseline(work, kind, rows, self.folder, str(file), threads=self.threads, more=files)


def _query(file: Path) -> Query:
    def query(statement: str) -> Rows:
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(statement).fetchall()

    return query


# --- starting up --------------------------------------------------------------------------------


def start_up(folder: Path) -> Iterable[tuple[str, float]]:
    """Seconds to the help, to the first line of progress, and for the samples as a whole."""
    yield "`--help`", run([sys.executable, ROOT / "main.py", "--help"], folder, {}).wall_seconds
    file = folder / "samples.duckdb"
    done, _ = _load("samples", folder, ROOT / "data", f"duckdb:///{file}")
    file.unlink()
    yield "first progress line", done.usage.first_line_seconds or done.usage.wall_seconds
    yield "sample data, whole run", done.usage.wall_seconds

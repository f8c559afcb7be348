"""Several at once: runs beside each other, and readers beside a run."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from main import StarSchemaETLPipeline
from run.summary import PHASES
from support.cluster import Cluster
from support.disturbances import Gate, watched
from support.processes import Run, Warm
from support.proxy import Proxy, via
from support.retailer import Retailer, changes, tomorrow
from support.sessions import TABLES, nobody_is_connected, session_of, with_options
from support.star import Star
from support.waiting import HANGS, wait_until


def the_end_of_all_but_one(runs: list[Run]) -> Run:
    """The run that still goes on when all others have ended."""
    wait_until(lambda: sum(run.has_ended() for run in runs) >= len(runs) - 1, "all but one end")
    (winner,) = [run for run in runs if not run.has_ended()]
    return winner


# --- runs beside each other -----------------------------------------------------------------


def test_of_twenty_runs_at_once_one_loads_and_the_others_name_it(
    shop: Retailer, warm: Warm, gate: Gate
) -> None:
    shop.publish()
    tomorrow(shop)
    env = shop.env_file()
    arguments = (env, "transformation", str(gate), "--json")
    runs = [warm.start(shop.folder, "load_pausing", *arguments) for _ in range(20)]
    winner = the_end_of_all_but_one(runs)
    gate.wait()
    before = shop.star.digest() if shop.star.schema else None  # DuckDB lets nobody look
    gate.tell()
    assert winner.wait() == 0, winner.stderr
    results = json.loads(winner.stdout)
    holder = re.compile(
        f"run {results['run_id']} on \\S+, process {winner.pid}, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    )
    for run in runs:
        if run is winner:
            continue
        assert run.wait() == 4, run.stderr
        told = json.loads(run.stdout)
        assert (told["status"], told["success"]) == ("busy", False)
        assert holder.search(told["errors"][0]), told["errors"]
        assert "Traceback" not in run.stderr
    assert shop.star.runs()[1:] == [(results["run_id"], "published")]
    assert shop.star.digest() != before
    assert not list((shop.folder / "work").iterdir())


def test_a_killed_holder_leaves_nothing_behind(shop: Retailer, warm: Warm) -> None:
    shop.publish()
    before = shop.star.content()
    tomorrow(shop)
    env = shop.env_file()
    for phase in ("extraction", "fact_loading"):
        gate = Gate(shop.folder, phase)
        run = warm.start(shop.folder, "load_pausing", env, phase, str(gate))
        gate.wait()
        run.send(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        if shop.star.schema:
            nobody_is_connected(shop.star, run)
        assert (shop.star.content(), len(shop.star.runs())) == (before, 1)
    after = warm.start(shop.folder, "load", env, "--quiet")
    assert after.wait() == 0, after.stderr
    assert not list((shop.folder / "work").iterdir())
    assert shop.star.tables() == set(TABLES)
    assert [status for _, status in shop.star.runs()] == ["published"] * 2


def test_a_statement_of_a_killed_run_ends_soon_and_changes_nothing(
    postgresql_shop: Retailer, warm: Warm
) -> None:
    """The server notices within a second that the client is gone; until then it is told busy."""
    shop = postgresql_shop
    shop.publish()
    before = shop.star.content()
    tomorrow(shop)
    env = shop.env_file()
    shop.star.execute(
        "CREATE SEQUENCE once",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('{shop.star.schema}.once') = 1 THEN PERFORM pg_catalog.pg_sleep(60); END IF; "
        "RETURN NULL; END $$",
        "CREATE TRIGGER slow AFTER INSERT ON fact_sales EXECUTE FUNCTION slow()",
    )
    run = warm.start(shop.folder, "load", env)
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event = 'PgSleep' AND application_name LIKE :name"
    )
    mine = f"star-etl %:{run.pid}"
    wait_until(lambda: shop.star.scalar(sleeping, name=mine), "the server sleeps")
    run.send(signal.SIGKILL)
    run.wait()
    at_once = warm.start(shop.folder, "load", env, "--quiet")
    code = at_once.wait()
    nobody_is_connected(shop.star, run)
    if code == 4:
        assert f"process {run.pid}" in at_once.stderr
        assert shop.star.content() == before
    else:  # it was noticed even before
        assert code == 0, at_once.stderr
    wait_until(lambda: shop.run()["status"] == "published", "the lock is free")


def test_a_run_that_has_ended_is_in_nobodys_way(postgresql_shop: Retailer, proxy: Proxy) -> None:
    """The next one may come before the server has ended the session."""
    shop = postgresql_shop
    proxy.may_leave.clear()
    before = shop.publish(WAREHOUSE_URL=via(shop.star, proxy))
    assert shop.star.scalar(f"SELECT count(*) {session_of(before['run_id'])}") == 1
    assert changes(shop.publish()) == 0
    proxy.may_leave.set()


@pytest.mark.parametrize("number", range(3))
def test_two_first_runs_on_an_empty_database_make_one_star(
    number: int, shop: Retailer, warm: Warm
) -> None:
    env = shop.env_file()
    runs = [warm.start(shop.folder, "load", env, "--quiet") for _ in range(2)]
    codes = sorted(run.wait() for run in runs)
    assert codes in ([0, 0], [0, 4]), [run.stderr for run in runs]
    assert shop.star.tables() == set(TABLES)
    assert [status for _, status in shop.star.runs()] == ["published"] * codes.count(0)
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == len(shop.sales)


def test_leftover_tables_of_staging_are_neither_used_nor_touched(shop: Retailer) -> None:
    """Whatever made them: they are in the star's schema, under the names that staging has."""
    shop.publish()
    tomorrow(shop)
    planted = {f"{kind}_{table}" for kind in ("stage", "changes") for table in TABLES}
    shop.star.execute(
        *(f"CREATE TABLE {name} AS SELECT 'left over' AS what" for name in sorted(planted))
    )
    results = shop.publish()
    assert results["fact_loading_results"]["records_inserted"] == 1
    assert results["fact_loading_results"]["records_updated"] == 1
    assert shop.star.tables() == {*TABLES, *planted}
    for name in planted:
        assert shop.star.rows(f"SELECT * FROM {name}") == [("left over",)]


def test_runs_in_threads_of_one_process_keep_apart(shop: Retailer, tmp_path: Path) -> None:
    """Each has a warehouse of its own, and a log in which no line is another's. What goes wrong
    with one, here its log, is none of the others' business.
    """
    logger, umask = logging.getLogger("star_etl"), os.umask(0o022)
    before = logger.level, logger.propagate, list(logger.handlers)
    folders = [tmp_path / name for name in ("first", "second", "third")]
    configs = []
    for folder in folders:
        folder.mkdir()
        there = {"WAREHOUSE_SCHEMA": f"{shop.star.schema}_{folder.name}"}
        if not shop.star.schema:
            there = {"WAREHOUSE_URL": f"duckdb:///{folder}/w.duckdb"}
        log = "/dev/full" if folder.name == "third" else folder / "etl.log"
        configs.append(shop.config(**there, LOG_FILE=log, WORK_DIR=folder / "work"))
    results: dict[int, dict[str, Any]] = {}
    together = threading.Barrier(len(configs))

    def join(pipeline: StarSchemaETLPipeline, phase: str) -> None:
        """Each phase begins in all of them together."""
        together.wait(HANGS)

    def go(number: int) -> None:
        results[number] = watched(before=join)(configs[number], quiet=True).run_full_pipeline()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(len(configs))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = os.umask(0o022)
    finally:
        os.umask(umask)
        for config in configs:
            if shop.star.schema:
                shop.star.execute(f'DROP SCHEMA IF EXISTS "{config.warehouse_schema}" CASCADE')
    told = [results[number]["status"] for number in range(len(configs))]
    assert told == ["published", "published", "failed"]
    assert "LOG_FILE /dev/full" in results[2]["errors"][0]
    for number in (0, 1):
        lines = (folders[number] / "etl.log").read_text(encoding="utf-8").splitlines()
        assert {line.split()[1] for line in lines} == {results[number]["run_id"]}
        begun = [line for line in lines if "begins" in line]
        assert len(begun) == len(PHASES)
    assert (logger.level, logger.propagate, list(logger.handlers), now) == (*before, 0o022)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_notebook_that_holds_the_file_is_told_without_a_traceback(
    read_only: bool, duckdb_shop: Retailer, warm: Warm
) -> None:
    shop = duckdb_shop
    shop.publish()
    before = shop.star.digest(), shop.star.runs()
    path = str(sa.make_url(shop.star.url).database)
    hold = (
        "import duckdb, sys\n"
        f"connection = duckdb.connect(sys.argv[1], read_only={read_only})\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    tomorrow(shop)
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "held\n"
        run = warm.start(shop.folder, "load", shop.env_file(), "--quiet")
        assert run.wait() == 4
        told = run.stderr
        notebook.communicate()
    assert path in told
    assert f"PID {notebook.pid}" in told
    assert "close the notebook" in told
    assert "Traceback" not in told
    assert (shop.star.digest(), shop.star.runs()) == before
    shop.publish()


def test_a_notebook_that_holds_the_file_itself_is_told(duckdb_shop: Retailer) -> None:
    """Read-only, as docs/notebook.md opens it, in the very process of the run."""
    shop = duckdb_shop
    shop.publish()
    path = str(sa.make_url(shop.star.url).database)
    with duckdb.connect(path, read_only=True):
        results = shop.run()
    assert results["status"] == "busy"
    assert "close the notebook" in results["errors"][0]
    assert shop.run()["status"] == "published"


# --- readers beside a run -------------------------------------------------------------------

MANY = 3000


def busy_shop(shop: Retailer) -> None:
    """Yesterday's many sales; each belongs to a customer, whose city is part of the totals."""
    shop.customers = [
        {**shop.customers[0], "customer_id": f"C{number}", "city": "London"} for number in range(50)
    ]
    shop.sales = [
        {**shop.sales[0], "transaction_id": f"T{number}", "customer_id": f"C{number % 50}"}
        for number in range(MANY)
    ]


def next_day(shop: Retailer) -> None:
    """All customers have moved, half of the sales are corrected, and there are as many new."""
    for customer in shop.customers:
        customer["city"] = "Paris"
    for sale in shop.sales[::2]:
        sale["quantity"] = "3"
    shop.sales += [{**sale, "transaction_id": f"N{n}"} for n, sale in enumerate(shop.sales)]


CITIES = "SELECT city, count(*) FROM dim_customer GROUP BY city ORDER BY city"
SALES = "SELECT count(*), sum(net_amount), sum(quantity) FROM fact_sales"
TOGETHER = (
    "SELECT city, count(*), sum(net_amount) FROM fact_sales JOIN dim_customer "
    "USING (customer_key) GROUP BY city ORDER BY city"
)


def reports(connection: sa.Connection) -> tuple[object, object]:
    """A report of one statement, and one of two statements in one snapshot."""
    together = connection.execute(sa.text(TOGETHER)).all()
    connection.rollback()
    parts = [connection.execute(sa.text(sql)).all() for sql in (CITIES, SALES)]
    connection.rollback()
    return str(together), str(parts)


class Readers:
    """Analysts who ask for the totals again and again while a run goes on."""

    def __init__(self, star: Star) -> None:
        self._star = star
        self._over = threading.Event()
        self.seen: list[tuple[object, object]] = []
        self.problems: list[BaseException] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        try:
            with self._star.connection() as connection:
                if self._star.schema:  # any wait for a lock is an error
                    connection.exec_driver_sql("SET lock_timeout = '1ms'")
                    connection.exec_driver_sql(
                        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"
                    )
                    connection.commit()
                while not self._over.is_set():
                    self.seen.append(reports(connection))
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.problems.append(error)

    def __enter__(self) -> Readers:
        self._thread.start()
        wait_until(lambda: self.seen or self.problems, "the reader has begun")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_readers_see_yesterday_or_today_and_never_wait(shop: Retailer) -> None:
    """Not a mixture of facts and dimensions either, when both change."""
    busy_shop(shop)
    shop.publish()
    with shop.star.connection() as connection:
        yesterday = reports(connection)
    next_day(shop)
    with Readers(shop.star) as readers:

        def wait(*_: object) -> None:
            """Readers see the end of each phase a few times."""
            seen = len(readers.seen)
            wait_until(lambda: len(readers.seen) > seen + 2 or readers.problems, "reading")

        results = shop.run(watched(after=wait))
        wait()
    assert (results["status"], readers.problems) == ("published", [])
    with shop.star.connection() as connection:
        today = reports(connection)
    assert yesterday != today
    for number in (0, 1):
        order = [each[number] for each in readers.seen]
        assert set(order) == {yesterday[number], today[number]}
        assert order == sorted(order, key=lambda report: report == today[number])
    assert len(readers.seen) > 20


def test_no_published_table_is_emptied_dropped_or_renamed(
    cluster: Cluster, cluster_shop: Retailer
) -> None:
    """Every statement of a night that changes all, as the server has logged them. A view that
    was made before still shows the facts after it.
    """
    shop = cluster_shop
    busy_shop(shop)
    shop.publish()
    shop.star.execute("CREATE VIEW report AS SELECT count(*) AS sales FROM fact_sales")
    tables = "SELECT oid FROM pg_class WHERE relname = ANY(:names) AND relkind = 'r' ORDER BY oid"
    identities = shop.star.column(tables, names=TABLES)
    next_day(shop)
    start = len(cluster.log)
    shop.publish(WAREHOUSE_URL=with_options(shop.star, log_statement="all"))
    statements = re.findall(r"statement: (.*)", cluster.log[start:].replace("\n\t", " "))
    assert [s for s in statements if s.startswith("UPDATE ")]
    assert statements.count("COMMIT") >= 2
    published = "|".join(TABLES)
    forbidden = re.compile(
        rf"\b(TRUNCATE|DROP|ALTER|RENAME|DELETE FROM)\b.*(?<!_)\b({published})\b", re.I
    )
    assert [s for s in statements if forbidden.search(s)] == []
    assert [s for s in statements if re.search(r"\bFREEZE\b|SET .*search_path.*public", s)] == []
    assert shop.star.column(tables, names=TABLES) == identities
    assert shop.star.scalar("SELECT sales FROM report") == 2 * MANY

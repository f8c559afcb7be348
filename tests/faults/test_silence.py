"""A server that is not there yet, falls silent, or is behind a pooler."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from support.absent import not_here
from support.cluster import Cluster
from support.commands import in_a_child
from support.disturbances import INT, TERM, Gate, assert_rolled_back, disturbed, meanwhile, once
from support.failures import as_sentences
from support.processes import Run, Warm
from support.proxy import Hushed, Proxy, via
from support.retailer import Retailer, a_day_later
from support.sessions import session_of
from support.star import Star
from support.waiting import wait_until


@pytest.fixture
def shop(postgresql_shop: Retailer) -> Retailer:
    """Yesterday is published, today's files are there."""
    return a_day_later(postgresql_shop)


# --- a server that falls silent -------------------------------------------------------------


@pytest.fixture
def before_the_facts(shop: Retailer, hushed: Hushed, warm: Warm) -> Callable[..., Run]:
    """Starts a run whose server falls silent before it is given the facts."""

    def start(call: str, **settings: object) -> Run:
        gate = Gate(shop.folder)
        env = shop.env_file(WAREHOUSE_URL=via(shop.star, hushed), **settings)
        run = warm.start(shop.folder, call, env, "dimension_loading", str(gate))
        gate.wait()
        hushed.quiet.set()
        gate.tell()
        return run

    return start


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_ends_the_wait_for_a_server_that_has_fallen_silent(
    number: int, shop: Retailer, hushed: Hushed, before_the_facts: Callable[..., Run]
) -> None:
    content, runs = shop.star.content(), shop.star.runs()
    run = before_the_facts("load_pausing")
    assert hushed.swallowed.wait(60)
    run.send(number)
    assert run.wait() == 128 + number, run.stderr
    assert "interrupted  in the fact loading phase; rolled back" in run.stderr
    assert "Traceback" not in run.stderr
    hushed.cut()
    assert_rolled_back(shop, run, content, runs)


def test_a_server_that_has_fallen_silent_is_given_up_without_a_signal_too(
    shop: Retailer, hushed: Hushed, before_the_facts: Callable[..., Run]
) -> None:
    content = shop.star.content()
    run = before_the_facts("load_attentive_pausing", RETRY_SECONDS=0)
    assert hushed.swallowed.wait(60)
    time.sleep(0.1)
    hushed.new_ones_too = False  # or the failed run could not be recorded, and would wait for that
    assert run.wait() == 1, run.stderr
    assert "failed  in the fact loading phase; nothing was published" in run.stderr
    assert "the connection was lost" in run.stderr.partition("failed  in the fact loading")[2]
    hushed.cut()
    assert shop.star.content() == content


def test_a_connection_that_has_died_is_made_again_where_new_ones_are_served(
    shop: Retailer, hushed: Hushed, before_the_facts: Callable[..., Run]
) -> None:
    """As behind a proxy that has lost one: the server has answered, and waits for us."""
    hushed.new_ones_too = False
    run = before_the_facts("load_attentive_pausing")
    assert run.wait() == 0, run.stderr
    assert "the connection was lost" in run.stderr
    assert [status for _, status in shop.star.runs()] == ["published"] * 2


def test_a_statement_that_takes_its_time_is_waited_for(shop: Retailer, warm: Warm) -> None:
    shop.star.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_catalog.pg_sleep(3); RETURN NULL; END $$",
        "CREATE TRIGGER slow AFTER INSERT ON fact_sales EXECUTE FUNCTION slow()",
    )
    run = warm.start(shop.folder, "load_attentive", shop.env_file(), "--json")
    assert run.wait() == 0, run.stderr
    assert '"retries": 0' in run.stdout


# --- a source that falls silent --------------------------------------------------------------

MIDDLE = 1_000_000
"""Bytes after which the sales below are half read."""


@pytest.fixture(params=[{}, {"TRANSACTIONS__SPLIT_BY": "place"}], ids=["whole", "in ranges"])
def source(
    request: pytest.FixtureRequest, postgresql_star: Star, hushed: Hushed
) -> Iterator[dict[str, object]]:
    """Settings for sales out of PostgreSQL, which come through a proxy that can fall silent."""
    table = f"sales_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(postgresql_star.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE {table} AS SELECT 'T' || n AS transaction_id, '2024-02-29' AS "
            "transaction_date, 'C1' AS customer_id, 'P1' AS product_id, 1 AS quantity, "
            "9.99 AS unit_price, n AS place FROM generate_series(1, 100000) AS n"
        )
        yield {
            "TRANSACTIONS__PATH": via(postgresql_star, hushed),
            "TRANSACTIONS__QUERY": f"public.{table}",
            "BATCH_ROWS": 1000,
            **request.param,
        }
        connection.exec_driver_sql(f"DROP TABLE {table}")
    engine.dispose()


@pytest.fixture
def half_read(
    duckdb_shop: Retailer, source: dict[str, object], hushed: Hushed, warm: Warm
) -> Callable[..., Run]:
    """Starts a run whose source falls silent in the middle."""

    def start(call: str, **settings: object) -> Run:
        hushed.when(MIDDLE, hushed.quiet.set)
        env = duckdb_shop.env_file(**source, **settings)
        return warm.start(duckdb_shop.folder, call, env)

    return start


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_ends_the_wait_for_a_source_that_has_fallen_silent(
    number: int, duckdb_shop: Retailer, hushed: Hushed, half_read: Callable[..., Run]
) -> None:
    run = half_read("load")
    assert hushed.swallowed.wait(60)
    run.send(number)
    assert run.wait() == 128 + number, run.stderr
    assert "nothing was published" in run.stderr
    assert "Traceback" not in run.stderr
    assert duckdb_shop.star.tables() == set()
    duckdb_shop.publish()


def test_a_source_that_has_fallen_silent_is_given_up_and_named(
    duckdb_shop: Retailer, half_read: Callable[..., Run]
) -> None:
    run = half_read("load_attentive", RETRY_SECONDS=0)
    assert run.wait() == 1, run.stderr
    place = r"after record \d+( of range \d of 3 of place)?"
    assert re.search(
        rf"\(transactions\), {place}: the connection was lost", as_sentences(run.stderr)
    )
    assert duckdb_shop.star.tables() == {"etl_run"}


def test_a_source_whose_connection_has_died_is_read_again_on_a_new_one(
    duckdb_shop: Retailer, hushed: Hushed, half_read: Callable[..., Run]
) -> None:
    hushed.new_ones_too = False
    run = half_read("load_attentive")
    assert run.wait() == 0, run.stderr
    assert "the connection was lost" in run.stdout
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 100_000


# --- a server that is not there yet ---------------------------------------------------------


def test_a_full_server_is_waited_for_and_that_is_said_once(shop: Retailer, proxy: Proxy) -> None:
    proxy.refuses = lambda number: number <= 6
    shop.publish(WAREHOUSE_URL=via(shop.star, proxy))
    assert proxy.connections == 7
    assert shop.log.count("it is waited for, 60 seconds at most") == 1


def test_waiting_is_not_said_to_cron_when_it_helps(shop: Retailer, proxy: Proxy) -> None:
    proxy.refuses = lambda number: number <= 3
    env = shop.env_file(WAREHOUSE_URL=via(shop.star, proxy))
    ended = in_a_child("--env-file", env, "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_server_that_is_started_a_moment_later_is_loaded(
    cluster: Cluster, cluster_shop: Retailer
) -> None:
    """There is no socket yet, then it is starting up."""
    cluster_shop.publish()
    cluster.crash()

    def start() -> None:
        wait_until(lambda: "it is waited for" in cluster_shop.log, "the run waits")
        cluster.start()

    with meanwhile(start):
        assert cluster_shop.publish()["retries"] == 0


def test_a_server_that_comes_back_late_costs_one_retry(shop: Retailer, proxy: Proxy) -> None:
    """However often it is asked until then."""

    def away(run_id: str) -> None:
        until = proxy.connections + 6
        proxy.refuses = lambda number: number <= until
        shop.star.column(f"SELECT pg_terminate_backend(pid) {session_of(run_id)}")

    url = via(shop.star, proxy)
    results = disturbed(shop, "fact_loading", once(away), WAREHOUSE_URL=url)
    assert (results["status"], results["retries"]) == ("published", 1)


# --- poolers --------------------------------------------------------------------------------

PGBOUNCER = shutil.which("pgbouncer")


@pytest.fixture
def pgbouncer(postgresql_url: str, proxy: Proxy) -> Iterator[Any]:
    """Starts PgBouncer in front of the tests' PostgreSQL, with settings; returns its port."""
    if PGBOUNCER is None:
        not_here("PgBouncer (apt-get install pgbouncer)")
    url = sa.make_url(postgresql_url)
    started: list[subprocess.Popen[bytes]] = []
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # it runs as nobody, who may not see ours
    folder.chmod(0o755)
    place = folder / "pgbouncer.ini"

    def start(**settings: object) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={proxy.port} user={url.username} "
            f"password={url.password or 'none'}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = any",
            "ignore_startup_parameters = extra_float_digits",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        place.write_text("\n".join(lines), encoding="utf-8")
        place.chmod(0o644)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        started.append(subprocess.Popen([str(PGBOUNCER), "-q", *user, str(place)]))
        wait_until(lambda: _listens(port), "PgBouncer listens")
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait()
    shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"pool_mode": "transaction"}, "failed"),
        ({"pool_mode": "transaction", "server_round_robin": 1}, "failed"),
        ({"pool_mode": "transaction", "server_reset_query_always": 1}, "failed"),
        ({"pool_mode": "transaction", "default_pool_size": 1}, "failed"),
        ({"pool_mode": "session"}, "published"),
        ({"pool_mode": "session", "default_pool_size": 1}, "published"),
    ],
)
def test_a_pool_of_transactions_is_refused_whatever_session_it_lends(
    shop: Retailer, pgbouncer: Any, settings: dict[str, object], status: str
) -> None:
    port = pgbouncer(**settings)
    url = sa.make_url(shop.star.url)
    there = url.set(host="127.0.0.1", port=port, query={"sslmode": "disable"})
    results = shop.run(WAREHOUSE_URL=there.render_as_string(hide_password=False), RETRY_SECONDS=5)
    assert results["status"] == status, results["errors"]
    if status == "failed":
        assert "pool_mode=session" in results["errors"][0]
        assert results["phases"]["extraction"]["status"] == "not_run"
        # Nothing of ours is left in a session that others are lent.
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid IN (:a, :b)"
        assert shop.star.scalar(held, a=0x57A2, b=0x57A3) == 0

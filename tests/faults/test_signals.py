"""Interrupted and terminated runs, from a shell and from a notebook."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from run.summary import PHASES
from support.disturbances import INT, TERM, Gate, assert_rolled_back, stalling_file
from support.processes import Warm
from support.retailer import Retailer, tomorrow
from support.sessions import nobody_is_connected, somebody_waits, transaction
from support.star import Star
from support.summary import STAGES
from support.waiting import HANGS, signals_are_taken, wait_until

SIGNALS = [(INT,), (TERM,), (INT, INT), (TERM, TERM)]


@pytest.mark.parametrize("phase", STAGES)
def test_a_signal_in_any_phase_rolls_back_and_tells(phase: str, shop: Retailer, warm: Warm) -> None:
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    env = shop.env_file()
    for number, signals in enumerate(SIGNALS):
        gate = Gate(shop.folder, f"gate{number}")
        run = warm.start(shop.folder, "load_pausing", env, phase, str(gate))
        gate.wait()
        for each in signals:
            run.send(each)
            time.sleep(0.02)
        assert run.wait() == 128 + signals[0], run.stderr
        assert "nothing was published" in " ".join(run.stderr.split())
        assert f"interrupted  in the {PHASES[phase].lower()} phase" in run.stderr
        assert "Traceback" not in run.stderr
        assert run.stdout == ""
        assert_rolled_back(shop, run, content, runs)
    assert shop.publish()["fact_loading_results"]["records_updated"] == 1


def test_a_signal_that_is_lost_on_the_way_counts_before_the_commit(
    shop: Retailer, warm: Warm, gate: Gate
) -> None:
    """Python drops what is raised in a destructor; the run that goes on must not publish."""
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    run = warm.start(shop.folder, "load_deaf", shop.env_file(), "fact_loading", str(gate))
    gate.wait()
    run.send(TERM)
    assert run.wait() == 128 + TERM, run.stderr
    assert "interrupted  while publishing; rolled back" in run.stderr
    assert_rolled_back(shop, run, content, runs)


def test_a_signal_that_is_lost_on_the_way_ends_the_wait_that_follows(
    postgresql_shop: Retailer, warm: Warm, gate: Gate
) -> None:
    """What fails because the wait was ended is no disturbance to be tried again."""
    shop = postgresql_shop
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    with transaction(shop.star) as other:
        env = shop.env_file(LOCK_TIMEOUT_SECONDS=600)
        run = warm.start(shop.folder, "load_deaf", env, "dimension_loading", str(gate))
        gate.wait()
        other.execute(sa.text("LOCK TABLE fact_sales IN SHARE MODE"))
        run.send(TERM)
        assert run.wait() == 128 + TERM, run.stderr
    assert "interrupted  in the fact loading phase; rolled back" in run.stderr
    assert "tried again" not in run.stderr
    assert_rolled_back(shop, run, content, runs)


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_that_became_another_error_is_an_interruption(
    number: int, shop: Retailer, warm: Warm
) -> None:
    """While the workers are opened there is nothing yet that would be asked to end."""
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    run = warm.start(shop.folder, "load_mistaken", shop.env_file(), number)
    assert run.wait() == 128 + number, run.stderr
    assert "interrupted" in run.stderr
    assert "a bug" not in run.stderr
    assert_rolled_back(shop, run, content, runs)


def test_a_signal_on_the_first_night_leaves_nothing(shop: Retailer, warm: Warm, gate: Gate) -> None:
    run = warm.start(shop.folder, "load_pausing", shop.env_file(), "validation", str(gate))
    gate.wait()
    run.send(TERM)
    assert run.wait() == 128 + TERM
    if shop.star.schema:
        nobody_is_connected(shop.star, run)
    assert shop.star.tables() == set()
    shop.publish()


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_a_signal_ends_a_statement_that_the_server_works_on(
    mode: str, number: int, postgresql_shop: Retailer, warm: Warm
) -> None:
    """Here it would wait for a lock for ten minutes, in its first phase or in a later one."""
    shop = postgresql_shop
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    with transaction(shop.star) as other:
        other.execute(sa.text(f"LOCK TABLE fact_sales IN {mode} MODE"))
        run = warm.start(shop.folder, "load", shop.env_file(LOCK_TIMEOUT_SECONDS=600))
        somebody_waits(shop.star, other)
        run.send(number)
        assert run.wait() == 128 + number, run.stderr
    assert "interrupted  in the" in run.stderr
    assert "Traceback" not in run.stderr
    assert_rolled_back(shop, run, content, runs)


@pytest.fixture
def stalling_web() -> Iterator[tuple[str, threading.Event]]:
    """The address of a file of sales that never ends, and whether a reader waits for its end."""
    with stalling_file() as stalling:
        yield stalling


def test_a_signal_ends_the_wait_for_a_source_that_stalls(
    duckdb_shop: Retailer, warm: Warm, stalling_web: tuple[str, threading.Event]
) -> None:
    shop, (address, stalled) = duckdb_shop, stalling_web
    run = warm.start(shop.folder, "load", shop.env_file(TRANSACTIONS__PATH=address))
    assert stalled.wait(HANGS), run.stderr
    run.send(INT)
    assert run.wait() == 128 + INT, run.stderr
    assert "interrupted  in the extraction phase; rolled back" in run.stderr
    assert shop.star.tables() == set()
    assert not list((shop.folder / "work").iterdir())


IN_A_RANGE = "current_setting($$synchronize_seqscans$$) = $$on$$ OR pg_sleep(1) IS NOT NULL"


@pytest.mark.parametrize("slow", ["pg_sleep(1) IS NOT NULL", IN_A_RANGE], ids=["count", "range"])
def test_a_signal_ends_a_source_that_is_read_by_ranges(
    slow: str, duckdb_shop: Retailer, postgresql_star: Star, warm: Warm
) -> None:
    """Here the server would take many minutes to count its rows, or those of a range."""
    name = f"till-{uuid.uuid4().hex[:8]}"
    url = sa.make_url(postgresql_star.url).update_query_dict({"application_name": name})
    env = duckdb_shop.env_file(
        TRANSACTIONS__PATH=url.render_as_string(hide_password=False),
        TRANSACTIONS__QUERY="SELECT n AS transaction_id, $$2024-02-29$$ AS transaction_date, "
        "1 AS customer_id, 1 AS product_id, 1 AS quantity, 9.99 AS unit_price "
        f"FROM generate_series(1, 1000) AS n WHERE {slow}",
        TRANSACTIONS__SPLIT_BY="transaction_id",
    )
    run = warm.start(duckdb_shop.folder, "load", env)
    ours = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
    asleep = f"{ours} AND wait_event = 'PgSleep'"
    wait_until(lambda: postgresql_star.scalar(asleep) > 0, "the server is at it")
    run.send(INT)
    assert run.wait() == 128 + INT, run.stderr
    assert "interrupted  in the extraction phase; rolled back" in run.stderr
    assert "Traceback" not in run.stderr
    assert duckdb_shop.star.tables() == set()
    wait_until(lambda: postgresql_star.scalar(ours) == 0, "its sessions end")


def commits_wait_for(other: sa.Connection, shop: Retailer) -> None:
    """Have each COMMIT of a run wait until `other` gives up its lock. A run has nothing deferred,
    so the trigger itself defers what waits.
    """
    other.execute(sa.text("SELECT pg_advisory_lock(4711)"))
    place = f'"{shop.star.schema}"'
    shop.star.execute(
        "CREATE TABLE last (number integer)",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_catalog.pg_advisory_xact_lock(4711); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON last DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait()",
        "CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"SET CONSTRAINTS {place}.wait DEFERRED; INSERT INTO {place}.last VALUES (1); "
        "RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER defer AFTER INSERT ON etl_run DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION defer()",
    )


def test_a_signal_during_the_commit_comes_too_late(postgresql_shop: Retailer, warm: Warm) -> None:
    """The run ends as it would have, and says so."""
    shop = postgresql_shop
    shop.publish()
    tomorrow(shop)
    with transaction(shop.star) as other:
        commits_wait_for(other, shop)
        run = warm.start(shop.folder, "load", shop.env_file(), "--json")
        somebody_waits(shop.star, other)
        run.send(TERM, INT)
        wait_until(lambda: signals_are_taken(run.pid), "the run is given its signals")
        assert not run.has_ended()
        other.execute(sa.text("SELECT pg_advisory_unlock(4711)"))
        assert run.wait() == 0, run.stderr
    results = json.loads(run.stdout)
    assert results["status"] == "published"
    assert shop.star.runs()[-1] == (results["run_id"], "published")


@pytest.mark.parametrize("phase", ["transformation", "fact_loading", "validation"])
def test_an_interrupted_cell_leaves_no_transaction_and_the_next_one_works(
    phase: str, shop: Retailer, warm: Warm, gate: Gate
) -> None:
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    kernel = warm.start(shop.folder, "notebook", shop.env_file(), phase, str(gate))
    gate.wait()
    kernel.send(INT)
    gate.wait("interrupted")
    # The kernel still runs, and would keep a transaction or lock open if it had one.
    assert not kernel.has_ended()
    assert_rolled_back(shop, kernel, content, runs)
    gate.tell("next cell")
    assert kernel.wait() == 0, kernel.stderr
    results = json.loads(kernel.stdout)
    assert (results["status"], results["errors"]) == ("published", [])
    assert shop.star.runs()[1:] == [(results["run_id"], "published")]


def test_a_cell_that_waits_for_the_server_is_interrupted(
    postgresql_shop: Retailer, warm: Warm, gate: Gate
) -> None:
    shop = postgresql_shop
    shop.publish()
    content, runs = shop.star.content(), shop.star.runs()
    tomorrow(shop)
    env = shop.env_file(LOCK_TIMEOUT_SECONDS=600)
    with transaction(shop.star) as other:
        other.execute(sa.text("LOCK TABLE fact_sales IN SHARE MODE"))
        kernel = warm.start(shop.folder, "notebook", env, "validation", str(gate))
        somebody_waits(shop.star, other)
        kernel.send(INT)
        gate.wait("interrupted")
    assert_rolled_back(shop, kernel, content, runs)
    gate.tell("next cell")
    assert kernel.wait() == 0, kernel.stderr
    assert json.loads(kernel.stdout)["status"] == "published"


def test_a_cell_that_is_interrupted_while_it_commits_does_not_say_rolled_back(
    postgresql_shop: Retailer, warm: Warm, gate: Gate
) -> None:
    """Nobody can hold back a commit that was sent; its row in etl_run tells what became of it."""
    shop = postgresql_shop
    shop.publish()
    tomorrow(shop)
    with transaction(shop.star) as other:
        commits_wait_for(other, shop)
        kernel = warm.start(shop.folder, "notebook", shop.env_file(), "validation", str(gate))
        gate.wait()
        gate.tell()
        somebody_waits(shop.star, other)
        kernel.send(INT)
        wait_until(lambda: signals_are_taken(kernel.pid), "the kernel is given its signal")
        other.execute(sa.text("SELECT pg_advisory_unlock(4711)"))
        gate.wait("interrupted")
    (_, (run_id, status)) = shop.star.runs()
    assert status == "published"
    assert "rolled back" not in shop.log
    assert f"row of run {run_id} in etl_run" in shop.log
    gate.tell("next cell")
    assert kernel.wait() == 0, kernel.stderr
    assert json.loads(kernel.stdout)["repeats_run"] == run_id


def test_a_run_works_in_another_thread_than_the_main_one(shop: Retailer) -> None:
    """Where no signal can be handled; and two runs in one process do."""
    done: list[dict[str, Any]] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: done.append(shop.publish_in_full()))
        thread.start()
        thread.join()
    assert [results["status"] for results in done] == ["published"] * 2
    assert len(shop.star.runs()) == 2


def test_a_signal_ends_a_check_and_leaves_nothing(
    duckdb_shop: Retailer, warm: Warm, stalling_web: tuple[str, threading.Event]
) -> None:
    shop, (address, stalled) = duckdb_shop, stalling_web
    env = shop.env_file(TRANSACTIONS__PATH=address)
    run = warm.start(shop.folder, "load", env, "check")
    assert stalled.wait(60), run.stderr
    run.send(TERM)
    assert run.wait() == 128 + TERM, run.stderr
    assert "interrupted; nothing was published" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert not (shop.folder / "work").exists()

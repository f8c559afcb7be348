"""A cluster that fails during a run: nothing is published, nothing is left, and it is told why."""

from __future__ import annotations

import re

import pytest

from common.version import VERSION
from run import cluster
from support.application import copy_application
from support.dask_cluster import DaskCluster
from support.disturbances import INT, TERM, Gate, meanwhile
from support.failures import as_sentences
from support.processes import Run, Warm
from support.retailer import Retailer
from support.summary import STAGES
from support.waiting import wait_until

SMALL = {"BATCH_ROWS": 5}


def fifty_sales(shop: Retailer) -> None:
    """Enough for ten batches."""
    shop.sales = [dict(shop.sales[0], transaction_id=f"S{number}") for number in range(50)]


def assert_failed(shop: Retailer, run: Run) -> None:
    """A row of the failed run is all that is left."""
    assert run.wait() == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert [status for _, status in shop.star.runs()] == ["failed"]
    assert shop.star.tables() == {"etl_run"}
    assert not list((shop.folder / "work").iterdir())


@pytest.mark.parametrize("phase", STAGES)
def test_a_scheduler_that_is_lost_fails_the_run_whatever_it_is_at(
    phase: str, duckdb_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm, gate: Gate
) -> None:
    assert_fails_without_scheduler(phase, duckdb_shop, own_dask_cluster, warm, gate)


def test_a_server_is_rolled_back_when_the_scheduler_is_lost(
    postgresql_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm, gate: Gate
) -> None:
    assert_fails_without_scheduler("validation", postgresql_shop, own_dask_cluster, warm, gate)


def assert_fails_without_scheduler(
    phase: str, shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm, gate: Gate
) -> None:
    """A run fails whose scheduler dies at the end of a phase."""
    own_dask_cluster.start(workers=1)
    fifty_sales(shop)
    env = shop.env_file(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    run = warm.start(shop.folder, "load_pausing", env, phase, str(gate))
    gate.wait()
    own_dask_cluster.kill_scheduler()
    gate.tell()
    assert_failed(shop, run)
    assert f"DASK_SCHEDULER {own_dask_cluster.address}: the scheduler was lost" in as_sentences(
        run.stderr
    )
    assert "start it again, and run again" in run.stderr


@pytest.mark.parametrize("word", ["transactions-0", "transactions-cleaned"])
def test_a_scheduler_that_is_lost_in_the_middle_of_a_phase(
    word: str, duckdb_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    own_dask_cluster.start(workers=1)
    fifty_sales(shop)
    own_dask_cluster.hook("pause", word)
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    )
    own_dask_cluster.reached("pause")
    own_dask_cluster.kill_scheduler()
    assert_failed(shop, run)
    assert re.search(
        r"lost while waiting for .*/(sales|products|customers)\.", as_sentences(run.stderr)
    )


def test_a_batch_of_which_workers_die_is_named(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    own_dask_cluster.environment = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    own_dask_cluster.start(workers=3)
    fifty_sales(shop)
    own_dask_cluster.hook("poison", "transactions-000001")
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    )
    assert_failed(shop, run)
    assert "2 workers have died while they did this" in run.stderr
    assert re.search(r"sales\.csv, bytes [\d,]+ to [\d,]+: 2 workers", as_sentences(run.stderr))
    assert "lower BATCH_ROWS" in run.stderr


def test_a_batch_that_kills_every_worker_ends_the_run(
    duckdb_shop: Retailer, dask_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ALONE_SECONDS", 1)
    fifty_sales(duckdb_shop)
    dask_cluster.hook("poison", "transactions-cleaned-000001")
    results = duckdb_shop.run(DASK_SCHEDULER=dask_cluster.address, **SMALL)
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert "Transformation phase failed: " in error
    assert "no worker is left" in error
    assert re.search(r"sales\.csv, bytes [\d,]+ to", error)
    assert not list((duckdb_shop.folder / "work").iterdir())


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("word", ["transactions-0", "customers-cleaned", "transactions-cleaned"])
def test_a_signal_cancels_what_the_cluster_is_at(
    word: str, number: int, duckdb_shop: Retailer, dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    fifty_sales(shop)
    dask_cluster.hook("pause", word)
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=dask_cluster.address, **SMALL)
    )
    dask_cluster.reached("pause")
    run.send(number)
    assert run.wait() == 128 + number, run.stderr
    assert "nothing was published" in run.stderr
    assert "Traceback" not in run.stderr
    assert shop.star.tables() == set()
    assert not list((shop.folder / "work").iterdir())
    wait_until(lambda: not dask_cluster.tasks(), "the cluster has nothing to do")
    dask_cluster.release()
    shop.publish(DASK_SCHEDULER=dask_cluster.address, **SMALL)


def test_a_signal_ends_a_run_whose_scheduler_is_silent(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    own_dask_cluster.start(workers=1)
    fifty_sales(shop)
    own_dask_cluster.hook("pause", "transactions-0")
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    )
    own_dask_cluster.reached("pause")
    own_dask_cluster.silence_scheduler()
    run.send(TERM)
    assert run.wait() == 128 + TERM, run.stderr
    assert "what was waited for is left" not in run.stderr
    assert not list((shop.folder / "work").iterdir())


def test_a_scheduler_that_falls_silent_is_given_up(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_SILENT_SECONDS", 1)
    own_dask_cluster.start(workers=1)
    fifty_sales(duckdb_shop)
    own_dask_cluster.hook("pause", "transactions-0")

    def silence() -> None:
        own_dask_cluster.reached("pause")
        own_dask_cluster.silence_scheduler()

    with meanwhile(silence):
        results = duckdb_shop.run(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    (error,) = results["errors"]
    assert "Extraction phase failed: " in error
    assert "the scheduler was lost" in error
    assert [status for _, status in duckdb_shop.star.runs()] == ["failed"]
    assert not list((duckdb_shop.folder / "work").iterdir())


def test_a_worker_that_joins_late_has_to_fit_as_well(
    duckdb_shop: Retailer, own_dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    other = own_dask_cluster.folder / "other"
    other.mkdir(parents=True)
    copy_application(other)
    version = other / "common" / "version.py"
    version.write_text(version.read_text().replace(VERSION, "0.0.9"))
    own_dask_cluster.start(workers=1)
    fifty_sales(shop)
    own_dask_cluster.hook("pause", "transactions-0")
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=own_dask_cluster.address, **SMALL)
    )
    own_dask_cluster.reached("pause")
    own_dask_cluster.start_worker(path=str(other))
    own_dask_cluster.all_registered()
    own_dask_cluster.kill_worker()  # all that it had goes to the other one
    assert_failed(shop, run)
    assert "that has joined late" in run.stderr
    assert f"star-schema-etl is 0.0.9 there and {VERSION} here" in as_sentences(run.stderr)


def test_a_source_that_changes_while_workers_read_it_fails_the_run(
    duckdb_shop: Retailer, dask_cluster: DaskCluster, warm: Warm
) -> None:
    shop = duckdb_shop
    fifty_sales(shop)
    dask_cluster.hook("pause", "transactions-0")
    run = warm.start(
        shop.folder, "load", shop.env_file(DASK_SCHEDULER=dask_cluster.address, **SMALL)
    )
    dask_cluster.reached("pause")
    path = shop.path("transactions")
    path.write_text(path.read_text().replace("S4", "X4"))
    dask_cluster.release()
    assert_failed(shop, run)
    assert "sales.csv: the file changed while it was read" in as_sentences(run.stderr)

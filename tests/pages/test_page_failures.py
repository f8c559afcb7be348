"""Whatever goes wrong with a page, the run has ended as it has: it is a warning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from main import StarSchemaETLPipeline
from pages import business, gathering, page
from support.commands import in_a_child, run_json
from support.disturbances import INT, TERM, Gate
from support.processes import Warm
from support.reports import figures_in, folder_of, latest, pages, with_pages
from support.retailer import Retailer, tomorrow
from support.tables import Row
from warehouse import Warehouse

Ask = Callable[..., Any]


def warnings_of(results: Row) -> list[str]:
    """The warnings that are about the page."""
    return [warning for warning in results["warnings"] if warning.startswith("REPORTS_")]


def asking(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    """Have something happen where the star is asked for its business."""
    monkeypatch.setattr(gathering, "ask", ask)


def it_is_as_before(shop: Retailer, before: set[str]) -> None:
    """No page has come or gone, none is half-written, and the next run has its page."""
    assert pages(shop) == before
    tomorrow(shop)
    results = shop.publish(**with_pages(shop))
    assert warnings_of(results) == []
    assert latest(shop) == Path(results["report"]).read_text(encoding="utf-8")


# --- the folder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["reports", "reports/latest.html", "reports/deep"])
def test_a_place_where_no_page_can_be(
    shop: Retailer, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in place of the folder, or above it; a folder in place of the page."""
    wrong = shop.folder / place
    if place.endswith("html"):
        wrong.mkdir(parents=True)
    elif place.endswith("deep"):
        wrong.parent.write_text("a file")
    else:
        wrong.write_text("a file")
    folder = wrong if place.endswith("deep") else folder_of(shop)
    code, results, err = run_json(shop, capsys, REPORTS_DIR=folder)
    assert (code, results["status"], results["report"]) == (0, "published", None)
    (warning,) = warnings_of(results)
    assert str(folder) in warning.replace(str(wrong.parent), str(folder))
    assert ".part" not in warning
    assert "Traceback" not in err + shop.log
    assert shop.star.scalar("SELECT status FROM etl_run") == "published"


def test_a_disk_without_room(postgresql_shop: Retailer) -> None:
    """A published run is published, a failed one has its own exit code."""
    shop = postgresql_shop
    shop.publish(**with_pages(shop))
    before = pages(shop)
    tomorrow(shop)
    for settings, code in (({}, 0), ({"CUSTOMERS__PATH": shop.folder / "absent.csv"}, 1)):
        env = shop.env_file(**with_pages(shop, **settings))
        ended = in_a_child("--env-file", env, "--json", file_bytes=20_000)
        assert ended.code == code, ended.err
        (warning,) = warnings_of(ended.results)
        assert "File too large" in warning
        assert ended.results["report"] is None
        assert pages(shop) == before


# --- what is asked -------------------------------------------------------------------------------


def test_a_bug_in_the_page(shop: Retailer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.publish(**with_pages(shop))
    before = pages(shop)
    with monkeypatch.context() as patch:
        patch.setattr(page, "page", lambda story: story.nonsense)
        for results in (shop.publish(**with_pages(shop)), failed(shop)):
            assert warnings_of(results) == [
                "REPORTS_DIR: AttributeError (a bug; the log file has the details)"
            ]
            assert results["report"] is None
    assert "AttributeError: " in shop.log
    assert first["run_id"] in latest(shop)
    it_is_as_before(shop, before)


def failed(shop: Retailer) -> Row:
    results = shop.run(**with_pages(shop, CUSTOMERS__PATH=shop.folder / "absent.csv"))
    assert results["status"] == "failed"
    return results


def test_libraries_that_are_not_there(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pages.page", None)
        results = duckdb_shop.publish(**with_pages(duckdb_shop))
    assert warnings_of(results)
    assert pages(duckdb_shop) == set()


def test_a_query_that_fails_leaves_out_its_part(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has the rest, and the transaction ends."""

    def failing(warehouse: Warehouse, *_: object, **__: object) -> None:
        warehouse.execute(sa.text("SELECT * FROM there_is_no_such_table"))

    with monkeypatch.context() as patch:
        asking(patch, failing)
        results = shop.publish(**with_pages(shop))
    (warning,) = warnings_of(results)
    assert warning.startswith("REPORTS_DIR: the business could not be asked: ")
    assert latest(shop).count("the business could not be asked") == 1
    assert figures_in(latest(shop)) is None
    assert results["run_id"] in latest(shop)
    it_is_as_before(shop, {f"{results['run_id']}.html", "latest.html"})


def test_somebody_ends_what_is_asked(
    postgresql_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement, the session, or by a lock that is not given back."""
    shop, usual = postgresql_shop, business.ask

    def cancelled(warehouse: Warehouse, *_: object, **__: object) -> None:
        warehouse.execute(sa.text("SET LOCAL statement_timeout = 50"))
        warehouse.execute(sa.text("SELECT pg_sleep(600)"))

    def ended(warehouse: Warehouse, *_: object, **__: object) -> None:
        warehouse.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    def locked(*arguments: Any, **named: Any) -> Any:
        with shop.star.connection() as other:
            other.execute(sa.text("LOCK TABLE fact_sales IN ACCESS EXCLUSIVE MODE"))
            return usual(*arguments, **named)

    for disturb in (cancelled, ended, locked):
        with monkeypatch.context() as patch:
            asking(patch, disturb)
            tomorrow(shop)
            results = shop.publish(**with_pages(shop, LOCK_TIMEOUT_SECONDS=1, REPORTS_KEEP=0))
        assert warnings_of(results), disturb
        assert results["run_id"] in latest(shop)
        assert figures_in(latest(shop)) is None
    tomorrow(shop)
    assert warnings_of(shop.publish(**with_pages(shop))) == []


# --- signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("signals", [(INT,), (TERM, TERM)])
@pytest.mark.parametrize("how", ["asked", "computed"])
def test_a_signal_ends_the_page_and_not_the_run(
    shop: Retailer, warm: Warm, gate: Gate, how: str, signals: tuple[int, ...]
) -> None:
    """The run is published, says so, and ends at once."""
    shop.publish(**with_pages(shop))
    before, told = pages(shop), latest(shop)
    tomorrow(shop)
    env = shop.env_file(**with_pages(shop))
    run = warm.start(shop.folder, "load_dawdling", env, how, str(gate.folder), "--json")
    gate.wait()
    run.send(*signals)
    assert run.wait() == 0, run.stderr
    results = json.loads(run.stdout)
    assert (results["status"], results["report"], results["exit_code"]) == ("published", None, 0)
    assert warnings_of(results) == ["REPORTS_DIR: interrupted; how the run ended stands"]
    assert results["run_id"] in shop.star.column("SELECT run_id FROM etl_run")
    assert latest(shop) == told
    it_is_as_before(shop, before)


def test_a_signal_ends_the_page_of_a_failed_run(shop: Retailer, warm: Warm, gate: Gate) -> None:
    shop.publish()
    env = shop.env_file(**with_pages(shop, CUSTOMERS__PATH=shop.folder / "absent.csv"))
    run = warm.start(shop.folder, "load_dawdling", env, "asked", str(gate.folder), "--json")
    gate.wait()
    run.send(TERM)
    assert run.wait() == 1, run.stderr
    results = json.loads(run.stdout)
    assert results["status"] == "failed"
    assert warnings_of(results) == ["REPORTS_DIR: interrupted; how the run ended stands"]
    it_is_as_before(shop, set())


def test_a_signal_during_the_commit_leaves_the_page_out(shop: Retailer, warm: Warm) -> None:
    """It comes too late for the run; whoever sent it waits for no page."""
    env = shop.env_file(**with_pages(shop))
    run = warm.start(shop.folder, "load_signalled", env, str(int(TERM)), "--json")
    assert run.wait() == 0, run.stderr
    results = json.loads(run.stdout)
    assert results["status"] == "published"
    assert warnings_of(results) == ["REPORTS_DIR: interrupted; how the run ended stands"]
    assert pages(shop) == set()


def test_an_interrupted_page_in_a_notebook_gives_the_results(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        asking(patch, interrupted)
        pipeline = StarSchemaETLPipeline(shop.config(**with_pages(shop)), quiet=True)
        results = pipeline.run_full_pipeline()
    assert (results["status"], results["report"]) == ("published", None)
    assert warnings_of(results) == ["REPORTS_DIR: interrupted; how the run ended stands"]
    it_is_as_before(shop, set())

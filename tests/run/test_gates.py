"""Gates: what must stop a load, stops it; and the exit code and the summary say so."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import main as main_module
from errors import OutcomeUnknownError
from load_facts import FactLoader
from main import StarSchemaETLPipeline
from support.application import ROOT
from support.commands import Ended, in_a_child, run_command
from support.retailer import Retailer
from support.tables import Row, to_csv
from warehouse import Warehouse, open_warehouse

# --- a failed check -------------------------------------------------------------------------------


def test_data_that_loads_and_fails_validation_is_not_published(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yesterday's digest, exit 3, and the money that does not add up is in the summary."""
    shop.publish()
    before = shop.star.digest()
    shop.sales = [shop.sales[0] | {"transaction_id": "T9", "quantity": "4"}]
    real = FactLoader.load_sales_facts

    def short_of_a_cent(loader: FactLoader, *rows: Any) -> Any:
        counted = real(loader, *rows)
        loader.warehouse.connection.exec_driver_sql(
            f'UPDATE "{loader.warehouse.schema}".fact_sales SET discount_amount = 0.01, '
            "net_amount = net_amount - 0.01, profit_amount = profit_amount - 0.01 "
            "WHERE transaction_id = 'T9'"
        )
        return counted

    monkeypatch.setattr(FactLoader, "load_sales_facts", short_of_a_cent)
    code, out, err = run_command(shop, capsys, "--json")
    results = json.loads(out)
    assert (code, results["status"]) == (3, "gate_failed")
    money = results["validation_results"]["reconciliation"]["money"]
    assert (money["read"], money["loaded"], money["closed"]) == ("1000.0000", "999.9900", False)
    (error,) = results["errors"]
    assert "the net amounts do not add up" in error
    assert "1000.0000" in error
    assert "999.9900" in error
    assert error in err
    assert shop.star.digest() == before
    (counts,) = shop.star.column("SELECT counts FROM etl_run WHERE status = 'gate_failed'")
    assert json.loads(counts)["validation_results"]["reconciliation"]["money"] == money


# --- a disk that is full --------------------------------------------------------------------------


def with_noise(shop: Retailer, rows: int = 6_000, **changed: object) -> None:
    """Sales that no compression makes small."""
    noise = random.Random(1)  # noqa: S311
    shop.sales = [
        shop.sales[0]
        | {"transaction_id": noise.randbytes(60).hex(), "quantity": noise.randint(1, 9), **changed}
        for _ in range(rows)
    ]


@pytest.mark.parametrize("level", ["ERROR", "DEBUG"])
def test_a_log_on_a_full_disk_stops_the_run_before_the_commit(
    shop: Retailer, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    """A run that leaves no trace is not published."""
    shop.publish()
    before = shop.star.digest()
    shop.sales[0]["quantity"] = "5"
    code, out, err = run_command(shop, capsys, "--json", LOG_FILE="/dev/full", LOG_LEVEL=level)
    assert (code, json.loads(out)["status"]) == (1, "failed")
    (error,) = json.loads(out)["errors"]
    assert "LOG_FILE /dev/full" in error
    assert error in err
    assert shop.star.digest() == before
    assert [*(shop.folder / "work").iterdir()] == []


@pytest.mark.parametrize(
    ("changed", "setting"),
    [({"quantity": "many"}, "REJECTS_DIR"), ({}, "WORK_DIR")],
    ids=["rejects", "working folder"],
)
def test_a_full_disk_is_noticed_before_the_commit(
    shop: Retailer, changed: Row, setting: str
) -> None:
    """A reject row that is not on disk is a lost row."""
    shop.publish()
    before = shop.star.digest()
    with_noise(shop, **changed)
    # In small batches the working folder's files stay small; the reject file is one.
    batch_rows = 100 if setting == "REJECTS_DIR" else 6_000
    ended = in_a_child(
        "--env-file", shop.env_file(BATCH_ROWS=batch_rows), "--json", file_bytes=250_000
    )
    assert_refused(shop, ended, setting, before)


def test_a_warehouse_on_a_full_disk_keeps_yesterdays_star(duckdb_shop: Retailer) -> None:
    """DuckDB's file may not grow, and what there was can be read and loaded again."""
    shop = duckdb_shop
    shop.publish()
    before = shop.star.digest()
    with_noise(shop, 20_000)
    size = (shop.folder.parent / "warehouse.duckdb").stat().st_size
    ended = in_a_child(
        "--env-file", shop.env_file(BATCH_ROWS=500), "--json", file_bytes=size + 300_000
    )
    assert_refused(shop, ended, "", before)
    assert shop.publish()["fact_loading_results"]["records_inserted"] == 20_000


def assert_refused(shop: Retailer, ended: Ended, told: str, before: str) -> None:
    """The run failed without a surprise, said why, and published nothing."""
    assert ended.code == 1, ended.err
    results = ended.results
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert told in error
    assert "a bug" not in error
    assert "Traceback" not in ended.err
    assert shop.star.digest() == before
    assert "published" not in [status for _, status in shop.star.runs()[1:]]
    assert [*(shop.folder / "work").iterdir()] == []


# --- exit codes -----------------------------------------------------------------------------------


def _a_reject(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    shop.sales[0]["quantity"] = "x"


def _no_file(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    shop.files["customers"] = None


def _nothing(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    pass


def _unknown(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    """COMMIT's answer is lost and stays lost; the harness of the fault tests does so for real."""
    real = Warehouse.commit

    def lost(warehouse: Warehouse, proof: Any = None) -> None:
        if proof is not None:
            raise OutcomeUnknownError("the connection was lost while committing")
        real(warehouse)

    for engine in Warehouse.__subclasses__():
        patch.setattr(engine, "commit", lost)


def _signal(number: int) -> Callable[[Retailer, pytest.MonkeyPatch], None]:
    def arrange(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
        def interrupted(pipeline: StarSchemaETLPipeline) -> int:
            os.kill(os.getpid(), number)
            return 0

        patch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", interrupted)

    return arrange


def _bug(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    def broken(pipeline: StarSchemaETLPipeline) -> int:
        raise AttributeError("'NoneType' object has no attribute 'x'")

    patch.setattr(StarSchemaETLPipeline, "_run_transformation_phase", broken)


Arrange = Callable[[Retailer, pytest.MonkeyPatch], None]
LIMIT: Row = {"MAX_REJECT_RATE": "0.1"}
OUTCOMES: dict[str, tuple[Arrange, Row, int, str]] = {
    "published": (_nothing, {}, 0, "published"),
    "published with rejects": (_a_reject, {}, 0, "published"),
    "gate": (_a_reject, LIMIT, 3, "gate_failed"),
    "bad input": (_no_file, {}, 1, "failed"),
    "bad input and a gate": (_no_file, LIMIT, 1, "failed"),
    "settings": (_nothing, {"LOG_LEVEL": "LOUD"}, 2, ""),
    "settings and bad input": (_no_file, {"LOG_LEVEL": "LOUD"}, 2, ""),
    "log": (_nothing, {"LOG_FILE": "/dev/null/etl.log"}, 2, ""),
    "unreachable": (
        _nothing,
        {"WAREHOUSE_URL": "postgresql://u@127.0.0.1:1/db", "RETRY_SECONDS": "0"},
        1,
        "failed",
    ),
    "outcome unknown": (_unknown, {}, 5, "unknown"),
    "interrupted": (_signal(signal.SIGINT), {}, 130, ""),
    "terminated": (_signal(signal.SIGTERM), {}, 143, ""),
    "bug": (_bug, {}, 1, "failed"),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_exit_code(
    shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    outcome: str,
) -> None:
    """0 only when published; and the code, the summary and the run's row agree."""
    arrange, settings, expected, status = OUTCOMES[outcome]
    shop.publish()
    arrange(shop, monkeypatch)
    shop.sales[1]["quantity"] = "7"
    before, runs = shop.star.digest(), len(shop.star.runs())
    code, out, err = run_command(shop, capsys, "--json", **settings)
    assert code == expected
    assert "Traceback" not in err
    if status:
        results = json.loads(out)
        assert results["status"] == status
        assert results["success"] is (code == 0)
        assert bool(results["errors"]) is (code != 0)
    else:
        assert out == ""
        assert err
    assert (shop.star.digest() != before) is (code == 0)
    is_recorded = status in ("published", "failed", "gate_failed") and outcome != "unreachable"
    assert [kind for _, kind in shop.star.runs()[runs:]] == ([status] if is_recorded else [])


@pytest.mark.parametrize("with_bad_input", [False, True])
def test_a_held_warehouse_comes_before_whatever_else_is_wrong(
    shop: Retailer, capsys: pytest.CaptureFixture[str], with_bad_input: bool
) -> None:
    """Exit 4 touches nothing, so it does not even look at the sources; settings come first."""
    shop.publish()
    if with_bad_input:
        shop.files["customers"] = None
    with open_warehouse(shop.config(), "the-other-run"):
        code, out, err = run_command(shop, capsys, "--json")
        assert (code, json.loads(out)["status"]) == (4, "busy")
        assert "the-other-run" in err
        assert run_command(shop, capsys, LOG_LEVEL="LOUD")[0] == 2
    assert len(shop.star.runs()) == 1


def test_a_failure_that_cannot_be_recorded_keeps_its_code(
    postgresql_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate's code stands when its row in etl_run cannot be written."""
    shop = postgresql_shop
    shop.publish()
    shop.star.execute("ALTER TABLE etl_run ADD CONSTRAINT full_up CHECK (status = 'published')")
    shop.sales[0]["quantity"] = "x"
    code, out, err = run_command(shop, capsys, "--json", **LIMIT)
    assert (code, json.loads(out)["status"]) == (3, "gate_failed")
    assert "could not be recorded" in err


@pytest.mark.parametrize(("option", "bad_input"), [("--json", False), (None, True)])
@pytest.mark.parametrize("where", ["a reader that has gone", "/dev/full", "closed"])
def test_a_summary_that_nobody_gets_changes_no_exit_code(
    duckdb_shop: Retailer, where: str, option: str | None, bad_input: bool
) -> None:
    """The code tells what became of the warehouse, whatever became of the output."""
    shop = duckdb_shop
    if bad_input:
        shop.files["customers"] = None
    command = [sys.executable, str(ROOT / "main.py"), "--env-file", shop.env_file()]
    command += [option] if option else []
    if where == "a reader that has gone":
        read, write = os.pipe()
        os.close(read)
        ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
    elif where == "/dev/full":
        with Path(where).open("w") as full:
            ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    else:
        shell = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command]
        ended = subprocess.run(shell, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == (1 if bad_input else 0), ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
    assert [status for _, status in shop.star.runs()] == ["failed" if bad_input else "published"]


def test_a_log_that_nobody_sees_changes_no_exit_code(duckdb_shop: Retailer) -> None:
    """Cron may close stderr; the log file has it all."""
    command = [sys.executable, str(ROOT / "main.py"), "--env-file", duckdb_shop.env_file()]
    for redirection in ("2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"):
        shell = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command]
        assert subprocess.run(shell, check=False, capture_output=True).returncode == 0
    assert duckdb_shop.log.count("PUBLISHED") == 4


# --- the summary ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [False, True])
def test_summary_run_row_log_and_rejects_say_the_same(
    shop: Retailer, capsys: pytest.CaptureFixture[str], gate: bool
) -> None:
    """One set of numbers, wherever it is read; also when the run was refused."""
    shop.publish()
    shop.sales[0]["quantity"] = "9"
    shop.sales += [
        shop.sales[1],
        shop.sales[1] | {"transaction_id": "T7", "quantity": "x"},
        shop.sales[1] | {"transaction_id": "T8", "unit_price": "?"},
        shop.sales[1] | {"transaction_id": "T9"},
    ]
    code, out, _ = run_command(shop, capsys, "--json", MAX_REJECT_RATE=0.2 if gate else 1)
    results = json.loads(out)
    assert code == (3 if gate else 0)
    assert json.loads(json.dumps(results)) == results
    run_id = results["run_id"]

    status, told, sources = shop.star.row(
        "SELECT status, counts, sources FROM etl_run WHERE run_id = :run", run=run_id
    )
    assert status == results["status"]
    row = json.loads(told)
    parts = [name for name in results if name.endswith("_results")]
    assert {name: row[name] for name in (*parts, "phases")} == {
        name: results[name] for name in (*parts, "phases")
    }
    files = {name: part["files"] for name, part in results["extraction_results"].items()
             if name != "_metadata"}  # fmt: skip
    assert json.loads(sources) == files

    rejected = results["transformation_results"]["fact_sales"]["rejected"]
    assert rejected == {"invalid_quantity": 1, "invalid_unit_price": 1}
    assert sorted(shop.reasons(results)) == sorted(rejected)
    log = [line for line in shop.log.splitlines() if run_id in line]
    for reason in rejected:
        assert any(line.split()[-2:] == [reason, "1"] for line in log)
    if not gate:
        account = results["validation_results"]["reconciliation"]["sources"]["transactions"]
        in_words = [str(value) for name, value in account.items() if name != "closed"]
        assert in_words == ["7", "1", "1", "2", "1", "2"]
        assert any(line.split()[-8:] == ["transactions", *in_words, "yes"] for line in log)
        now = shop.star.scalar("SELECT count(*) FROM fact_sales")
        assert results["validation_results"]["row_counts"]["fact_sales"] == now == 4


# --- use from Python ------------------------------------------------------------------------------


def test_used_from_python_it_reports_or_raises_its_own_errors_and_never_exits(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a notebook calls ends its kernel, changes its signals or its umask."""
    shop = duckdb_shop
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    umask = os.umask(0o027)
    os.umask(0o027)
    monkeypatch.setattr(sys, "exit", lambda *code: pytest.fail("sys.exit was called"))
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("os._exit was called"))
    try:
        assert shop.run()["status"] == "published"
        shop.files["customers"] = None
        assert shop.run()["status"] == "failed"
        with open_warehouse(shop.config(), "other"):
            assert shop.run()["status"] == "busy"
        assert main_module.main(["--env-file", shop.env_file()]) == 1
        now = os.umask(0o027)
    finally:
        os.umask(umask)
    assert now == 0o027
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_the_summary_belongs_to_the_caller(shop: Retailer) -> None:
    """What somebody does to it changes neither the next run nor what the warehouse keeps."""
    pipeline = StarSchemaETLPipeline(shop.config(), quiet=True)
    first = pipeline.run_full_pipeline()
    expected = json.loads(json.dumps(first["validation_results"]["row_counts"]))
    for part in first.values():
        if isinstance(part, dict | list):
            part.clear()
    second = pipeline.run_full_pipeline()
    assert second["repeats_run"] == first["run_id"]
    assert second["validation_results"]["row_counts"] == expected


@pytest.mark.parametrize("runs", [10, pytest.param(50, marks=pytest.mark.faults)])
def test_many_failed_runs_leave_nothing_behind(shop: Retailer, tmp_path: Path, runs: int) -> None:
    """No temporary file, descriptor or connection more than after the first of them."""
    shop.publish()
    shop.files["transactions"] = to_csv([shop.sales[0] | {"quantity": "x"}])
    config = shop.config(MAX_REJECT_RATE="0")

    def left() -> tuple[int, list[str], int]:
        names = sorted(
            str(path) for path in tmp_path.rglob("*")
            if path.is_file() and "rejects" not in path.parts
        )  # fmt: skip
        sessions = 0
        if shop.star.engine_name == "postgresql":
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'star-etl%'"
            sessions = shop.star.scalar(query)
        return len(os.listdir("/proc/self/fd")), names, sessions  # noqa: PTH208

    def fail(times: int) -> None:
        pipeline = StarSchemaETLPipeline(config, quiet=True)
        statuses = {pipeline.run_full_pipeline()["status"] for _ in range(times)}
        assert statuses == {"gate_failed"}

    fail(1)
    before = left()
    fail(runs - 1)
    assert left() == before
    assert len(shop.star.runs()) == 1 + runs

"""The exit code tells what became of the warehouse, whatever became of the output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errors import OutcomeUnknownError
from main import StarSchemaETLPipeline
from support.application import ROOT
from support.commands import run_command
from support.retailer import Retailer
from support.tables import Row
from warehouse import Warehouse, open_warehouse


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
        def interrupted(*_: object) -> None:
            os.kill(os.getpid(), number)

        patch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", interrupted)

    return arrange


def _bug(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
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
    "settings": (_nothing, {"LOG_LEVEL": "LOUD"}, 2, "configuration_error"),
    "settings and bad input": (_no_file, {"LOG_LEVEL": "LOUD"}, 2, "configuration_error"),
    "log": (_nothing, {"LOG_FILE": "/dev/null/etl.log"}, 2, "configuration_error"),
    "unreachable": (
        _nothing,
        {"WAREHOUSE_URL": "postgresql://u@127.0.0.1:1/db", "RETRY_SECONDS": "0"},
        1,
        "failed",
    ),
    "outcome unknown": (_unknown, {}, 5, "unknown"),
    "interrupted": (_signal(signal.SIGINT), {}, 130, "interrupted"),
    "terminated": (_signal(signal.SIGTERM), {}, 143, "interrupted"),
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
    results = json.loads(out)
    assert (results["status"], results["exit_code"]) == (status, code)
    assert results["success"] is (code == 0)
    assert bool(results["errors"]) is (code != 0)
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
    assert duckdb_shop.log.count("✔ published") == 1
    assert duckdb_shop.log.count("✔ nothing new") == 3

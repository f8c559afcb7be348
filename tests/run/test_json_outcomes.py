"""`--json` prints one JSON object, and nothing else, whatever becomes of a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import main
from main import StarSchemaETLPipeline
from support.application import ROOT
from support.retailer import Retailer
from support.tables import Row
from warehouse import open_warehouse

ALWAYS = {"run_id", "status", "exit_code", "success", "errors", "warnings"}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, expected: int) -> tuple[Row, str]:
    """What a command line printed on stdout, as JSON, and what on stderr."""
    capsys.readouterr()
    code = main(list(arguments))
    told = capsys.readouterr()
    found: Row = json.loads(told.out)
    assert code == expected
    assert found["exit_code"] == expected
    assert found["success"] is (expected == 0)
    assert bool(found["errors"]) is (expected != 0)
    assert found.keys() >= ALWAYS
    return found, told.err


def test_published_refused_failed_and_busy(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(code: int, **settings: object) -> str:
        env = shop.env_file(**settings)
        return str(printed(capsys, "--env-file", env, "--json", expected=code)[0]["status"])

    assert ended(0) == "published"
    shop.sales[0]["quantity"] = "x"
    assert ended(3, MAX_REJECT_RATE="0.1") == "gate_failed"
    shop.files["customers"] = None
    assert ended(1) == "failed"
    with open_warehouse(shop.config(), "the-other-run"):
        assert ended(4) == "busy"


def test_wrong_settings_are_a_list(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    env = duckdb_shop.env_file(LOG_LEVEL="LOUD", PHONE_REGION="Mars")
    found, err = printed(capsys, "--env-file", env, "--json", expected=2)
    assert found["status"] == "configuration_error"
    assert found["run_id"] is None
    assert len(found["errors"]) == 2
    assert all(problem in err for problem in found["errors"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--no-such-option"],
        ["--no-such-option", "--json"],
        ["--json", "no-such-command"],
        ["--json", "--since"],
    ],
)
def test_a_mistyped_command_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    found, err = printed(capsys, *arguments, expected=2)
    assert found["status"] == "usage_error"
    assert found["errors"][0] in err


def test_a_log_that_cannot_be_written(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    env = duckdb_shop.env_file(LOG_FILE="/dev/null/etl.log")
    found, _ = printed(capsys, "--env-file", env, "--json", expected=2)
    assert found["status"] == "configuration_error"
    assert "LOG_FILE" in found["errors"][0]


def test_an_env_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = printed(capsys, "--env-file", "absent.env", "--json", expected=2)
    assert "absent.env" in found["errors"][0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_has_the_summary_of_what_was_done(
    shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", interrupted)
    found, err = printed(capsys, "--env-file", shop.env_file(), "--json", expected=code)
    assert found["status"] == "interrupted"
    assert found["run_id"] in shop.log
    assert found["extraction_results"]["_metadata"]["total_records"] == 7
    assert "interrupted; nothing was published" in err


def test_an_interruption_before_anything_was_begun(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("config.load_config", interrupted)
    found, _ = printed(capsys, "--json", expected=143)
    assert (found["status"], found["run_id"]) == ("interrupted", None)


def test_without_json_stdout_has_none_of_it(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="LOUD")]) == 2
    assert main(["--no-such-option"]) == 2
    assert capsys.readouterr().out == ""


def test_a_process_of_its_own_prints_nothing_else(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """Whatever is printed while Python starts and ends."""
    for settings, options, code in (
        ({}, [], 0),
        ({"LOG_LEVEL": "LOUD"}, [], 2),
        ({}, ["--oops"], 2),
    ):
        arguments = ["--env-file", duckdb_shop.env_file(**settings), *options]
        ended = subprocess.run(
            [sys.executable, str(ROOT / "main.py"), *arguments, "--json"],
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            check=False,
        )
        assert ended.returncode == code == json.loads(ended.stdout)["exit_code"]

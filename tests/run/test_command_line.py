"""What the command line prints, where it goes, and what is kept in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cli import main
from main import StarSchemaETLPipeline
from support.retailer import Retailer


@pytest.mark.parametrize(
    "arguments", [["--nope"], ["nope"], ["--env-file"], ["--env-file", "nowhere.env"]]
)
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "data").exists()


def test_progress_goes_to_stderr_and_the_summary_to_stdout(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.sales[0]["quantity"] = "x"
    assert main(["--env-file", duckdb_shop.env_file()]) == 0
    out, err = capsys.readouterr()
    for part in ("✔ published", "fact_sales", "invalid_quantity", "net amount", "14 % of all"):
        assert part in out
    assert "python main.py rejects" in out
    for phase in ("Extraction", "Transformation", "Fact loading", "Validation"):
        assert phase in err
        assert phase not in out


def test_quiet_says_nothing_when_all_is_well(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.customers[0]["shoe_size"] = "43"
    duckdb_shop.customers[1]["shoe_size"] = "43"
    assert main(["--env-file", duckdb_shop.env_file(), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "shoe_size" in duckdb_shop.log


def test_quiet_says_what_is_wrong(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["customers"] = None
    assert main(["--env-file", duckdb_shop.env_file(), "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("extraction phase") == err.count("CUSTOMERS__PATH") == 1
    assert len(err.splitlines()) <= 8


# --- the log --------------------------------------------------------------------------------------


def test_two_runs_in_one_process_log_each_line_once(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = duckdb_shop.config()
    before = [*logging.getLogger().handlers]
    pipeline = StarSchemaETLPipeline(config)
    runs = [pipeline.run_full_pipeline()["run_id"] for _ in range(2)]
    lines = duckdb_shop.log.splitlines()
    err = capsys.readouterr().err
    for run in runs:
        assert sum(f"run {run} begins" in line for line in lines) == 1
        assert err.count(f"run {run} begins") == 1
    assert logging.getLogger().handlers == before
    assert all(any(f" {run} " in line for run in runs) for line in lines)


def test_the_log_file_has_more_detail_than_the_console(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="ERROR")]) == 0
    assert capsys.readouterr().err == ""
    assert "Extraction done" in duckdb_shop.log
    assert "✔ published" in duckdb_shop.log


def test_text_of_a_source_cannot_forge_a_line_or_a_colour(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "x\x1b[31m\rERROR: forged\u2028\u202e"
    for row in duckdb_shop.customers:
        row[evil] = "1"
    assert main(["--env-file", duckdb_shop.env_file()]) == 0
    for text in (duckdb_shop.log, *capsys.readouterr()):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
        assert not [line for line in text.splitlines() if line.startswith("ERROR: forged")]

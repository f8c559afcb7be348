"""Settings that cannot work are refused, all at once, before anything is touched."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli import main
from config import load_config
from support.retailer import Retailer


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("WAREHOUSE_URL", "mysql://u:s3cret@h/db", "mysql"),
        ("WAREHOUSE_URL", "not a url", "WAREHOUSE_URL"),
        ("CUSTOMERS__COLUMNS", "{broken", "CUSTOMERS__COLUMNS"),
        ("CUSTOMERS__COLUMNS", '["id"]', "CUSTOMERS__COLUMNS is no JSON object"),
        ("CUSTOMERS__COLUMNS", '{"customer_id": []}', 'maps "customer_id" neither'),
        ("CUSTOMERS__COLUMNS", '{"customer_id": 7}', 'maps "customer_id" neither'),
        ("CUSTOMERS__ENCODING", "undefined", "CUSTOMERS__ENCODING is not an encoding"),
        ("TRANSACTIONS__DATE_FORMATS", "%H:%M", "TRANSACTIONS__DATE_FORMATS"),
        ("TRANSACTIONS__DELIMITER", ";;", "TRANSACTIONS__DELIMITER"),
        ("BUSINESS_TIMEZONE", "Mars/Base", "BUSINESS_TIMEZONE"),
        ("PHONE_REGION", "XX", "PHONE_REGION"),
        ("ORPHAN_POLICY", "ignore", "ORPHAN_POLICY"),
        ("MAX_REJECT_RATE", "5", "equal to 1, and is '5'"),
        ("MAX_DELETE_RATE", "500%", "and is '5'"),
        ("WARN_REJECT_RATE", "5 of 100", "is '5 of 100'; write a share such as 0.05, or 5%"),
        ("DEFAULT_COST_RATIO", "%", "write a share"),
        ("BATCH_ROWS", "0", "BATCH_ROWS"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL"),
        ("CUSTOMERS__PAHT", "x.csv", "CUSTOMERS__PATH"),
        ("MAX_REJECT_RAT", "0.1", "MAX_REJECT_RATE"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_touched(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: str,
    told: str,
) -> None:
    shop = duckdb_shop
    code = main(["--env-file", shop.env_file(**{setting: value})])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert told in err
    assert "s3cret" not in err
    assert not (shop.folder / "etl.log").exists()
    assert not (shop.folder / "work").exists()
    assert not Path(str(sa.make_url(shop.star.url).database)).exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"WAREHOUSE_URL='postgresql://etl:s3cret@h/d'x'", ", line 2: cannot be read"),
        (b"PASSWORD s3cret", ", line 2: cannot be read"),
        ("CUSTOMERS__PATH=café s3cret".encode("cp1252"), ": byte 39 is not UTF-8"),
    ],
)
def test_a_line_that_is_no_setting_is_told_by_its_number_alone(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], line: bytes, told: str
) -> None:
    path = duckdb_shop.folder / "shop.env"
    path.write_bytes(b"MAX_REJECT_RATE=1.0\n" + line + b"\n")
    assert main(["--env-file", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}{told}" in err
    assert "s3cret" not in err


def test_a_settings_file_with_a_byte_order_mark_is_read(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(duckdb_shop.env_file())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert main(["--env-file", str(path), "--quiet"]) == 0
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 3


def test_all_settings_that_cannot_work_are_told_at_once(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"LOG_LEVEL": "LOUD", "BATCH_ROWS": "many", "WAREHOUSE_URL": "sqlite:///x"}
    assert main(["--env-file", duckdb_shop.env_file(**wrong)]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in wrong)


def test_a_log_file_that_cannot_be_written_is_a_configuration_error(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env-file", duckdb_shop.env_file(LOG_FILE="/dev/null/etl.log")]) == 2
    assert "LOG_FILE" in capsys.readouterr().err


def test_named_pipes_are_told_and_not_waited_for(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = duckdb_shop.folder / "pipe"
    os.mkfifo(pipe)
    assert main(["--env-file", duckdb_shop.env_file(LOG_FILE=pipe)]) == 2
    assert f"LOG_FILE {pipe} cannot be written (it is a named pipe" in capsys.readouterr().err
    assert main(["--env-file", str(pipe)]) == 2
    assert f"{pipe}: is a named pipe" in capsys.readouterr().err


def test_the_environment_overrides_the_file(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="ERROR")]) == 2
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="LOUD")]) == 0
    assert capsys.readouterr().err.count("LOG_LEVEL") == 1


def test_the_workers_are_as_many_as_the_cores_that_the_run_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        on_one = load_config(None, {})
    finally:
        os.sched_setaffinity(0, allowed)

    assert on_one.workers == 1
    assert load_config(None, {}).workers == len(allowed)


@pytest.mark.parametrize("text", ["5%", " 5 % ", "5.0%", "0.05"])
@pytest.mark.parametrize(
    "name", ["max_reject_rate", "max_delete_rate", "warn_reject_rate", "default_cost_ratio"]
)
def test_a_rate_may_be_written_as_per_cent(name: str, text: str, duckdb_shop: Retailer) -> None:
    assert getattr(duckdb_shop.config(**{name.upper(): text}), name) == Decimal("0.05")

"""A disk that is full is noticed before anything is published."""

from __future__ import annotations

import json
import random

import pytest

from support.commands import Ended, in_a_child, run_command
from support.retailer import Retailer
from support.tables import Row


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

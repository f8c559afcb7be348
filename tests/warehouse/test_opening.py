"""A warehouse that cannot be reached, is held by another run, or is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli import main
from support.application import ROOT
from support.commands import run_json
from support.retailer import Retailer
from support.summary import statuses
from warehouse import open_warehouse


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://etl:s3cret@127.0.0.1:1/sales", ("127.0.0.1:1", "check host, port")),
        ("postgresql+psycopg2://etl:s3cret@no-such-host.invalid/sales", ("no-such-host.invalid",)),
    ],
)
def test_an_unreachable_warehouse_is_told_without_its_password(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    url: str,
    told: tuple[str, ...],
) -> None:
    shop = duckdb_shop
    code, results, stderr = run_json(shop, capsys, WAREHOUSE_URL=url, RETRY_SECONDS=0)
    assert code == 1
    assert results["status"] == "failed"
    assert statuses(results) == ["failed", *["not_run"] * 6]
    (error,) = results["errors"]
    assert "The warehouse cannot be opened: WAREHOUSE_URL" in error
    assert all(part in error for part in told)
    for text in (error, stderr, shop.log, json.dumps(results), repr(shop.config())):
        assert "s3cret" not in text


# DuckDB would open a CSV file as a database in memory, and all that is published there is lost.
@pytest.mark.parametrize("name", ["blocked.duckdb", "warehouse.duckdb", "numbers.csv"])
def test_a_file_that_is_no_duckdb_database_is_told(duckdb_shop: Retailer, name: str) -> None:
    path = duckdb_shop.folder / name
    path.write_bytes(b"this is no database" * 1000)
    before = path.read_bytes()
    results = duckdb_shop.run(WAREHOUSE_URL=f"duckdb:///{path}")
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert str(path) in error
    assert "WAREHOUSE_URL" in error
    assert path.read_bytes() == before


@pytest.mark.parametrize("setting", ["WAREHOUSE_URL", "WORK_DIR", "REJECTS_DIR"])
def test_a_folder_that_cannot_be_made_is_told(duckdb_shop: Retailer, setting: str) -> None:
    shop = duckdb_shop
    shop.sales[0]["quantity"] = "x"
    (shop.folder / "file").write_text("in the way")
    place = shop.folder / "file" / "folder"
    value = f"duckdb:///{place}/w.duckdb" if setting == "WAREHOUSE_URL" else str(place)
    results = shop.run(**{setting: value})
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert setting in error
    assert str(shop.folder / "file") in error
    assert "a bug" not in error


def test_a_warehouse_held_by_another_run_is_left_alone(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    before, runs = shop.star.digest(), shop.star.runs()
    hold = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from config import load_config\n"
        "from warehouse import open_warehouse\n"
        "with open_warehouse(load_config(sys.argv[2]), 'the-other-run'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(ROOT), shop.env_file()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, results, stderr = run_json(shop, capsys)
        holder.communicate()
    assert code == 4
    assert (results["status"], statuses(results)) == ("busy", ["failed", *["not_run"] * 6])
    told = "the-other-run" if shop.star.schema else str(holder.pid)
    assert told in results["errors"][0]
    assert results["errors"][0] in stderr
    assert (shop.star.digest(), shop.star.runs()) == (before, runs)
    shop.publish()


def test_duckdb_draws_no_progress_among_the_results(duckdb_shop: Retailer) -> None:
    """It would after two seconds, in a notebook and wherever else Python runs no script."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from config import load_config\n"
        "from warehouse import open_warehouse\n"
        "with open_warehouse(load_config(sys.argv[2]), 'a-run') as warehouse:\n"
        "    driver = warehouse.connection.connection.driver_connection\n"
        "    print(driver.execute(\"SELECT current_setting('enable_progress_bar')\").fetchall())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), duckdb_shop.env_file()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout == "[(False,)]\n", told.stderr


# --- warehouses that keep nothing, and files that are none ----------------------------------------


@pytest.mark.parametrize("command", [[], ["check"], ["init"]])
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("duckdb:///", "write duckdb:///data/warehouse.duckdb"),
        ("duckdb://", "write duckdb:///data/warehouse.duckdb"),
        ("duckdb:///:memory:", "write duckdb:///data/warehouse.duckdb"),
        ("duckdb:///:memory:night", "write duckdb:///data/warehouse.duckdb"),
        ("duckdb:///md:sales", "write duckdb:///data/warehouse.duckdb"),
        ("duckdb://warehouse.duckdb", "write duckdb:///warehouse.duckdb"),
        ("duckdb://data/warehouse.duckdb", "write duckdb:///data/warehouse.duckdb"),
    ],
)
def test_a_warehouse_that_keeps_nothing_is_refused_with_the_right_spelling(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    url: str,
    told: str,
) -> None:
    env = duckdb_shop.env_file(WAREHOUSE_URL=url)
    assert main(["--env-file", env, *command]) == 2
    err = capsys.readouterr().err
    assert "WAREHOUSE_URL" in err
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_warehouse_that_is_no_file_is_told(duckdb_shop: Retailer, kind: str) -> None:
    path = duckdb_shop.folder / "warehouse"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")
    results = duckdb_shop.run(WAREHOUSE_URL=f"duckdb:///{path}")
    assert results["status"] == "failed"
    assert f"it is {'a folder' if kind == 'folder' else 'no file'}" in results["errors"][0]


@pytest.mark.parametrize("link", ["soft", "hard"])
def test_one_duckdb_file_under_two_names_is_one_warehouse(duckdb_shop: Retailer, link: str) -> None:
    shop = duckdb_shop
    shop.publish()
    path = Path(str(sa.make_url(shop.star.url).database))
    other = shop.folder / "elsewhere" / "other.duckdb"
    other.parent.mkdir()
    other.symlink_to(path) if link == "soft" else other.hardlink_to(path)
    with open_warehouse(shop.config(), "first"):
        results = shop.run(WAREHOUSE_URL=f"duckdb:///{other}")
    assert results["status"] == "busy"
    assert "run first on" in results["errors"][0]
    assert shop.publish(WAREHOUSE_URL=f"duckdb:///{other}")["repeats_run"]

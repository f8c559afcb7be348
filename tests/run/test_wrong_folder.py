"""A run in a wrong folder leaves nothing there, and says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from config import load_config
from main import StarSchemaETLPipeline
from support.application import ROOT, copy_samples
from support.commands import run_command, run_json
from support.retailer import Retailer
from support.star import Star


def everything(folder: Path) -> set[str]:
    """All that is in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which we are."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["--dry-run"]])
def test_cron_without_cd(nowhere: Path, options: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *options],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 2
    assert everything(nowhere) == set()
    for told in (
        "data/customers.csv: there is no such file",
        "set CUSTOMERS__PATH",
        "nothing was made in",
        "cd /where/it/is",
    ):
        assert "".join(told.split()) in "".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_cron_without_cd_for_a_warehouse_on_a_server(
    nowhere: Path, postgresql_star: Star, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in postgresql_star.settings.items():
        monkeypatch.setenv(name, value)
    assert main(["--quiet"]) == 2
    assert everything(nowhere) == set()
    assert postgresql_star.tables() == set()


@pytest.mark.parametrize("arguments", [["check"], ["forget", "C1"], ["setup", "--print"]])
def test_other_commands_make_nothing_either(nowhere: Path, arguments: list[str]) -> None:
    assert main(arguments) != 0
    assert everything(nowhere) == set()


def test_a_notebook_elsewhere(nowhere: Path) -> None:
    """It reports, as every failed run does."""
    pipeline = StarSchemaETLPipeline(load_config())
    results = pipeline.run_full_pipeline()
    assert not results["success"]
    assert pipeline.summary is not None
    assert pipeline.summary.code == 2
    assert "nothing was made" in results["errors"][0]
    assert len(results["extraction_results"]["_metadata"]["extraction_errors"]) == 4
    assert everything(nowhere) == set()


def test_files_elsewhere_by_absolute_paths(shop: Retailer, nowhere: Path) -> None:
    """The folder that we are in is then no matter."""
    shop.publish()
    assert everything(nowhere) == set()


def test_a_first_run_without_any_of_its_sources_leaves_no_warehouse(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever they should be."""
    shop.files = dict.fromkeys(("customers", "products", "transactions"))
    code, results, _ = run_json(shop, capsys)
    assert (code, results["exit_code"], results["success"]) == (2, 2, False)
    assert results["errors"][0].startswith("Extraction phase failed: ")
    assert everything(shop.folder) == {"shop.env"}
    assert not (shop.folder.parent / "warehouse.duckdb").exists()
    assert shop.star.tables() == set()
    shop.files.clear()
    shop.publish()


@pytest.mark.parametrize("here", [[], ["customers"]])
def test_sources_elsewhere_do_not_hide_that_those_here_are_missing(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    nowhere: Path,
    here: list[str],
) -> None:
    """Some by absolute paths, others that begin in the folder."""
    settings = {"CUSTOMERS__PATH": "customers.csv", "PRODUCTS__PATH": "products.json"}
    duckdb_shop.settings()
    for name in here:
        shutil.copy(duckdb_shop.path(name), nowhere)
    assert run_command(duckdb_shop, capsys, **settings)[0] == (1 if here else 2)
    assert everything(nowhere) == {f"{name}.csv" for name in here}


def test_a_source_that_is_missing_one_night_fails_that_night(shop: Retailer) -> None:
    """Where a run has been before, it is no wrong folder: the failure is recorded."""
    shop.publish()
    shop.files["customers"] = None
    assert shop.run()["status"] == "failed"
    assert [status for _, status in shop.star.runs()] == ["published", "failed"]


def test_a_missing_database_file_is_a_missing_source(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.files = dict.fromkeys(("products", "transactions"))
    settings = {
        "CUSTOMERS__PATH": f"sqlite:///{shop.folder}/absent.db",
        "CUSTOMERS__QUERY": "SELECT * FROM customers",
    }
    code, _, err = run_command(shop, capsys, "--json", **settings)
    assert code == 2
    assert "absent.db: there is no such file; set CUSTOMERS__PATH" in err
    assert not (shop.folder / "absent.db").exists()


@pytest.mark.parametrize("kept", [[], ["logs"], ["logs", "data/work"]])
def test_a_fresh_project_folder_gets_what_it_lacks(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, kept: list[str]
) -> None:
    copy_samples(nowhere)
    for folder in kept:
        (nowhere / folder).mkdir(parents=True)
    assert main(["--quiet"]) == 0
    assert {"logs/etl.log", "data/warehouse.duckdb", "data/rejects"} <= everything(nowhere)


def test_a_folder_whose_warehouse_was_deleted_is_known_by_its_sources(nowhere: Path) -> None:
    copy_samples(nowhere)
    assert main(["--quiet"]) == 0
    (nowhere / "data/warehouse.duckdb").unlink()
    files = [*(nowhere / "data").glob("*.*s*")]
    for file in files:
        file.rename(nowhere / file.name)
    assert main(["--quiet"]) == 2
    assert not (nowhere / "data/warehouse.duckdb").exists()
    for file in files:
        (nowhere / file.name).rename(file)
    assert main(["--quiet"]) == 0


def test_a_project_copied_without_its_data(nowhere: Path) -> None:
    """`.env` says that it is the folder; the files are somewhere else."""
    (nowhere / ".env").write_text("MAX_REJECT_RATE=0.1\n")
    assert main(["--quiet"]) == 2
    assert everything(nowhere) == {".env"}

"""Files are for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from main import StarSchemaETLPipeline
from support.commands import in_a_child, run_command
from support.disturbances import watched
from support.retailer import Retailer
from support.tables import Row


def modes(folder: Path) -> dict[str, str]:
    """What others than the owner may do to each file and folder that a run made.

    What is inside of a run's own working folder is as safe as that folder.
    """
    given = {"customers.csv", "products.json", "sales.csv", "reps.csv", "shop.env"}
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in folder.rglob("*")
        if path.name not in given
        and not path.parent.name.startswith("run-")
        and path.lstat().st_mode & 0o077
    }


@pytest.mark.parametrize("umask", [0o022, 0o000])
@pytest.mark.parametrize("api", [False, True])
def test_all_that_a_run_writes_is_for_its_owner_alone(
    duckdb_shop: Retailer, tmp_path: Path, umask: int, api: bool
) -> None:
    """Warehouse and its journal, log, rejects, working folder; while it runs and afterwards."""
    shop = duckdb_shop
    shop.sales[0]["quantity"] = "x"
    new = shop.folder / "new"
    settings: Row = {
        "WAREHOUSE_URL": f"duckdb:///{new}/deep/w.duckdb",
        "LOG_FILE": new / "logs" / "etl.log",
        "REJECTS_DIR": new / "rejects",
        "WORK_DIR": new / "work",
    }
    if not api:
        ended = in_a_child("--env-file", shop.env_file(**settings), umask=umask)
        assert ended.code == 0
    else:
        seen: dict[str, str] = {}
        spilled: list[Path] = []

        def look(pipeline: StarSchemaETLPipeline, phase: str) -> None:
            """Before it commits."""
            if phase == "validation":
                seen.update(modes(new))
                spilled.extend(new.glob("work/run-*/*"))

        before = os.umask(umask)
        try:
            config = shop.config(**settings)
            (tmp_path / "probe").touch()
            pipeline = watched(before=look)(config, quiet=True)
            results = pipeline.run_full_pipeline()
            shop.sales[1]["quantity"] = "8"
            shop.settings()
            again = watched(before=look)(config, quiet=True).run_full_pipeline()
        finally:
            os.umask(before)
        assert (results["status"], again["status"]) == ("published", "published")
        assert stat.S_IMODE((tmp_path / "probe").stat().st_mode) == 0o666 & ~umask
        assert seen == {}
        assert spilled
    made = {path.name for path in new.rglob("*")}
    assert made >= {"w.duckdb", "etl.log", "transactions.csv", "deep", "logs", "rejects", "work"}
    assert modes(new) == {}
    assert stat.S_IMODE(new.stat().st_mode) == 0o700


@pytest.mark.parametrize("dangling", [False, True])
@pytest.mark.parametrize("target", ["etl.log", "warehouse.duckdb.lock"])
def test_a_symbolic_link_in_the_place_of_our_file_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], target: str, dangling: bool
) -> None:
    """Else another could have us overwrite what he chose, or read what we write."""
    shop = duckdb_shop
    victim = shop.folder / "victim"
    if not dangling:
        victim.write_text("precious")
    place = shop.folder if target == "etl.log" else shop.folder.parent
    (place / target).symlink_to(victim)
    code, _, err = run_command(shop, capsys)
    assert code == (2 if target == "etl.log" else 1)
    assert target in err
    assert victim.read_text() == "precious" if not dangling else not victim.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_log_that_belongs_to_somebody_else_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """He could read what is written there."""
    log = duckdb_shop.folder / "etl.log"
    log.touch()
    os.chown(log, 12345, 12345)
    code, _, err = run_command(duckdb_shop, capsys)
    assert code == 2
    assert "LOG_FILE" in err
    assert log.read_text() == ""

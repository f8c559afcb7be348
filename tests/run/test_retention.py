"""What older runs have left goes after a published run, and never changes its outcome."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli import main
from main import StarSchemaETLPipeline
from run import retention
from run.retention import tidy
from support.retailer import Retailer, tomorrow
from support.sessions import as_role
from support.star import Star
from support.tables import Row
from warehouse import open_warehouse

FOR_EVER: Row = {"LOG_KEEP_DAYS": 0, "REJECTS_KEEP_DAYS": 0, "CHANGES_KEEP_DAYS": 0}


def run_id_of(days: int, tail: str = "0a1b2c") -> str:
    """The id of a run so many days ago."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%S}-{tail}"


def became_old(shop: Retailer, results: Row, days: int) -> str:
    """Make a run of today one of so many days ago: its row, its rejects, its changes."""
    old, given = run_id_of(days), results["run_id"]
    for table in ("etl_run", "etl_change"):
        shop.star.execute(f"UPDATE {table} SET run_id = '{old}' WHERE run_id = '{given}'")
    folder = shop.folder / "rejects" / given
    if folder.exists():
        folder.rename(folder.with_name(old))
    return old


def with_rejects(shop: Retailer) -> Row:
    """Publish with a rejected sale."""
    shop.sales[0]["quantity"] = "x"
    return shop.publish()


def a_change(shop: Retailer, run_id: str) -> None:
    """A row in `etl_change`, as a run of that id leaves it."""
    shop.star.execute(
        "INSERT INTO etl_change (run_id, table_name, business_key, attribute, rows) "
        f"VALUES ('{run_id}', 'dim_customer', 'C1', 'city', 1)"
    )


def changed_by(shop: Retailer) -> set[str]:
    """The runs that `etl_change` has rows of."""
    return set(shop.star.column("SELECT DISTINCT run_id FROM etl_change"))


def test_rejects_of_runs_that_are_old_enough_go(shop: Retailer) -> None:
    """Those of runs that this warehouse knows; of a run that is not old enough they stay."""
    old = became_old(shop, with_rejects(shop), 91)
    shop.sales[1]["quantity"] = "y"
    young = became_old(shop, shop.publish(), 89)
    shop.sales[2]["quantity"] = "z"
    last = shop.publish()
    assert {path.name for path in (shop.folder / "rejects").iterdir()} == {young, last["run_id"]}
    assert "removed: 1 folders of older rejects" in shop.log
    assert old not in shop.log
    assert last["warnings"] == [w for w in last["warnings"] if "KEEP_DAYS" not in w]


def test_rejects_are_kept_for_ever_with_0_days(shop: Retailer) -> None:
    old = became_old(shop, with_rejects(shop), 4000)
    shop.publish(**FOR_EVER)
    assert (shop.folder / "rejects" / old).is_dir()


def test_nothing_else_in_the_folder_of_rejects_is_touched(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    """Folders of another warehouse, other names, files, and links with whatever they lead to."""
    shop = duckdb_shop
    known = became_old(shop, with_rejects(shop), 200)
    rejects, outside = shop.folder / "rejects", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.csv").write_text("x")
    shutil.rmtree(rejects / known)
    (rejects / known).symlink_to(outside)
    others = [run_id_of(300), f"{known}.bak", "20200101T000000-XYZ", "corrected", "20200101"]
    for name in others:
        (rejects / name).mkdir()
    (rejects / run_id_of(400)).write_text("a file")
    before = {path.name for path in rejects.iterdir()}
    last = shop.publish()["run_id"]
    assert {path.name for path in rejects.iterdir()} == {*before, last}
    assert (outside / "precious.csv").read_text() == "x"


def test_a_link_inside_a_folder_of_rejects_is_not_followed(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    old = became_old(duckdb_shop, with_rejects(duckdb_shop), 200)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.csv").write_text("x")
    (duckdb_shop.folder / "rejects" / old / "link").symlink_to(outside)
    duckdb_shop.sales[1]["quantity"] = "y"
    duckdb_shop.publish()
    assert not (duckdb_shop.folder / "rejects" / old).exists()
    assert (outside / "precious.csv").exists()


def test_logs_that_are_old_enough_go(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """Only those with the names that we give, of days before the last ninety."""
    folder = duckdb_shop.folder
    day = datetime.now(UTC).date()
    old, young = day - timedelta(days=91), day - timedelta(days=90)
    gone = {f"etl.log.{old}", f"etl.log.{old}.2", "etl.log.2020-02-29"}
    kept = {
        f"etl.log.{young}", "etl.log.2020-02-30", "etl.log.2020-02-29.gz", "etl.log.bak",
        "etl.logs.2020-02-29", "other.log.2020-02-29", "my-etl.log.2020-02-29",
    }  # fmt: skip
    for name in gone | kept:
        (folder / name).write_text("x")
    (tmp_path / "target").write_text("x")
    (folder / "etl.log.2019-01-01").symlink_to(tmp_path / "target")
    (folder / "etl.log.2018-01-01").mkdir()
    duckdb_shop.publish(LOG_KEEP_DAYS=0)
    assert {path.name for path in folder.iterdir()} >= gone | kept
    duckdb_shop.publish()
    names = {path.name for path in folder.iterdir()}
    assert not names & gone
    assert names >= kept | {"etl.log", "etl.log.2019-01-01", "etl.log.2018-01-01"}


def test_changes_that_are_old_enough_go(shop: Retailer) -> None:
    shop.publish()
    old, young = run_id_of(401), run_id_of(399)
    for run_id in (old, old, young):
        a_change(shop, run_id)
    shop.publish(**FOR_EVER)
    assert {old, young} <= changed_by(shop)
    shop.publish()
    assert old not in changed_by(shop)
    assert young in changed_by(shop)
    assert "removed: 2 rows of etl_change" in shop.log


@pytest.mark.parametrize("ending", ["failed", "gate_failed", "dry_run"])
def test_a_run_that_publishes_nothing_removes_nothing(shop: Retailer, ending: str) -> None:
    old = became_old(shop, with_rejects(shop), 500)
    a_change(shop, old)
    (shop.folder / "etl.log.2020-01-01").write_text("x")
    settings: Row = {}
    if ending == "failed":
        shop.files["customers"] = None
    if ending == "gate_failed":
        settings["MAX_REJECT_RATE"] = "0"
    pipeline = StarSchemaETLPipeline(
        shop.config(**settings), quiet=True, dry_run=ending == "dry_run"
    )
    assert pipeline.run_full_pipeline()["status"] == ending
    assert (shop.folder / "rejects" / old).exists()
    assert (shop.folder / "etl.log.2020-01-01").exists()
    assert old in changed_by(shop)


def test_what_cannot_be_removed_is_a_warning(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each setting; the run is published, and the next one tries again."""
    old = became_old(shop, with_rejects(shop), 500)
    (shop.folder / "etl.log.2020-01-01").write_text("x")
    (shop.folder / "etl.log.2020-01-02").write_text("x")
    shop.sales[1]["quantity"] = "y"  # what is repeated keeps its rejects

    def denied(real: Callable[..., None]) -> Callable[..., None]:
        def remove(path: Path, *given: object, **named: object) -> None:
            if "etl.log." not in path.name and path.name != old:
                return real(path, *given, **named)
            raise PermissionError(13, "Permission denied", str(path))

        return remove

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", denied(Path.unlink))
        patch.setattr(shutil, "rmtree", denied(shutil.rmtree))
        results = shop.publish()
    told = [warning for warning in results["warnings"] if "KEEP_DAYS" in warning]
    assert len(told) == 2
    assert "LOG_KEEP_DAYS: not removed: " in told[0]
    assert "(Permission denied), and 1 more" in told[0]
    assert told[1] == (
        f"REJECTS_KEEP_DAYS: not removed: {shop.folder / 'rejects' / old} (Permission denied)"
    )
    assert told[1] in shop.log
    shop.publish()
    assert not (shop.folder / "rejects" / old).exists()
    assert not (shop.folder / "etl.log.2020-01-01").exists()


def test_a_warehouse_that_refuses_is_a_warning(shop: Retailer) -> None:
    """Whatever is wrong with the table, the star is published."""
    shop.publish()
    with open_warehouse(shop.config(), "r") as warehouse:
        warehouse.begin()
        warehouse.rollback()
        shop_config = shop.config()
        warehouse.present = lambda tables: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        (warning,) = tidy(shop_config, warehouse, "r")
        assert warning.startswith("CHANGES_KEEP_DAYS: not removed: ")
        warehouse.begin()  # nothing is left open
        warehouse.rollback()


def test_a_role_that_may_not_delete_is_told_once(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `init` prints for it is enough."""
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    grants = capsys.readouterr().out.strip().splitlines()
    deleting = [grant for grant in grants if "DELETE" in grant]
    shop.star.execute(*(grant for grant in grants if grant not in deleting))
    a_change(shop, run_id_of(500))
    a_change(shop, run_id_of(501))
    url = as_role(shop.star, loader_role)
    told = [w for w in shop.publish(WAREHOUSE_URL=url)["warnings"] if "KEEP_DAYS" in w]
    assert len(told) == 1
    assert "CHANGES_KEEP_DAYS" in told[0]
    assert "main.py init" in told[0]
    shop.star.execute(*deleting)
    assert not [w for w in shop.publish(WAREHOUSE_URL=url)["warnings"] if "KEEP_DAYS" in w]
    assert shop.star.scalar("SELECT count(*) FROM etl_change WHERE run_id < '2026'") == 0
    as_loader = Star(url, shop.star.schema)
    assert as_loader.scalar("SELECT count(*) FROM etl_run") == 2


def test_the_same_input_is_still_recognised_when_its_rejects_are_old(shop: Retailer) -> None:
    """The last published run's own rejects are needed for that, and each repetition has a copy."""
    with_rejects(shop)
    again = shop.publish()
    assert again["repeats_run"] is not None
    became_old(shop, again, 500)
    third = shop.publish()
    assert third["repeats_run"] == run_id_of(500)[:8] + third["repeats_run"][8:]
    assert shop.reasons(third) == shop.reasons(again | {"rejects_dir": third["rejects_dir"]})
    assert [path.name for path in (shop.folder / "rejects").iterdir() if "T" in path.name]


def test_the_rejects_of_the_run_that_is_repeated_stay(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago that was: the repetition has none of its own, and names them."""
    first = with_rejects(shop)
    tomorrow_of_all = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(retention, "_days_ago", lambda days: tomorrow_of_all)
    for _ in range(3):
        again = shop.publish()
        assert again["repeats_run"] is not None
        assert (again["rejects_dir"], len(shop.rejects(again))) == (first["rejects_dir"], 1)
    shop.sales[0]["quantity"] = "y"
    other = shop.publish()
    assert [path.name for path in (shop.folder / "rejects").iterdir()] == [other["run_id"]]


def test_days_without_end_keep_all(shop: Retailer) -> None:
    """More days than there were since the first year."""
    old = became_old(shop, with_rejects(shop), 3000)
    results = shop.publish(LOG_KEEP_DAYS=10**7, REJECTS_KEEP_DAYS=10**7, CHANGES_KEEP_DAYS=10**9)
    assert not [warning for warning in results["warnings"] if "KEEP_DAYS" in warning]
    assert (shop.folder / "rejects" / old).exists()


def test_the_next_night_changes_nothing_that_is_kept(duckdb_shop: Retailer) -> None:
    """The star itself is nobody's to tidy."""
    duckdb_shop.publish()
    tomorrow(duckdb_shop)
    duckdb_shop.publish()
    before = duckdb_shop.star.content(with_runs=False)
    duckdb_shop.publish()
    assert duckdb_shop.star.content(with_runs=False) == before

"""When a page is made, of what, and where it is kept."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from cli import main
from errors import OutcomeUnknownError
from main import StarSchemaETLPipeline
from support.application import ROOT
from support.commands import run_command, run_json
from support.reports import (
    figures_in,
    folder_of,
    is_marked,
    latest,
    mark_figures,
    page_of,
    pages,
    with_pages,
)
from support.retailer import Retailer, tomorrow
from support.star import Star
from support.tables import Row
from warehouse import open_warehouse
from warehouse.base import Warehouse

HEAVY = ["jinja2", "pages.page", "pages.writing", "pygal"]
"""What only a page needs."""


def publish(shop: Retailer, **settings: object) -> Row:
    """A published run that writes its page."""
    return shop.publish(**with_pages(shop, **settings))


def a_failed_night(shop: Retailer, **settings: object) -> Row:
    """A run that cannot read one of its files."""
    return shop.run(**with_pages(shop, CUSTOMERS__PATH=shop.folder / "absent.csv", **settings))


def a_refused_night(shop: Retailer) -> Row:
    """A run with too many rejects."""
    shop.sales[0]["quantity"] = "x"
    return shop.run(**with_pages(shop, MAX_REJECT_RATE="0"))


# --- a page of each run --------------------------------------------------------------------------


def test_a_published_run_has_a_page_which_is_the_latest(shop: Retailer) -> None:
    results = publish(shop)
    path = folder_of(shop) / f"{results['run_id']}.html"
    assert results["report"] == str(path)
    assert pages(shop) == {path.name, "latest.html"}
    assert results["run_id"] in latest(shop)
    assert latest(shop) == page_of(shop, results)
    assert figures_in(latest(shop))["run_id"] == results["run_id"]
    assert f"report written: {path}, in " in shop.log


def test_only_its_owner_can_read_a_page(duckdb_shop: Retailer) -> None:
    before = os.umask(0)
    try:
        results = publish(duckdb_shop, REPORTS_DIR=duckdb_shop.folder / "deep" / "reports")
    finally:
        os.umask(before)
    page = Path(results["report"])
    for path in (page, page.with_name("latest.html")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(page.parent.parent.stat().st_mode) == 0o700


def test_a_page_tells_the_times_as_of_the_commit(shop: Retailer) -> None:
    """Which its row has as well; the summary counts the page itself as publishing."""
    results = publish(shop)
    phases = results["phases"]
    total = sum(phase["duration_seconds"] for phase in phases.values())
    assert total == pytest.approx(results["total_duration_seconds"], rel=0.01, abs=0.01)
    assert list(phases)[-1] == "publishing"


def test_without_a_folder_nothing_is_written_or_said(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, results, _ = run_json(shop, capsys)
    assert (code, results["report"]) == (0, None)
    assert pages(shop) == set()
    assert "report" not in shop.log.replace('"report": null', "")


def test_without_a_folder_nothing_of_pages_is_loaded(duckdb_shop: Retailer) -> None:
    """Neither their modules nor their libraries: a quiet run costs what it did."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cli; code = cli.main(sys.argv[3:]); "
        "print(sorted(sys.modules.keys() & sys.argv[2].split()), code)"
    )
    for settings, loaded in (({"REPORTS_DIR": ""}, []), (with_pages(duckdb_shop), HEAVY)):
        env = duckdb_shop.env_file(**settings)
        options = ["--env-file", env, "--quiet"]
        arguments = [sys.executable, "-c", program, str(ROOT), " ".join(HEAVY), *options]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert ended.stdout == f"{loaded} 0\n", ended.stderr


# --- runs that leave the star as it was ----------------------------------------------------------


def test_a_repeated_night_uses_the_last_figures(shop: Retailer) -> None:
    first = publish(shop)
    mark_figures(Path(first["report"]))
    second = publish(shop)
    assert second["repeats_run"] == first["run_id"]
    third = publish(shop)
    assert is_marked(page_of(shop, third))
    assert figures_in(latest(shop))["run_id"] == third["run_id"]
    asked, kept = (figures_in(page_of(shop, each)) for each in (first, third))
    assert json.dumps(asked | {"run_id": third["run_id"]}) == json.dumps(kept)  # in their order
    assert len(pages(shop)) == 4


def test_figures_are_asked_where_no_page_has_them(shop: Retailer) -> None:
    first = publish(shop)
    mark_figures(Path(first["report"]))
    Path(first["report"]).write_text("<p>not a page", encoding="utf-8")
    second = publish(shop)
    assert second["repeats_run"] == first["run_id"]
    assert figures_in(latest(shop))["run_id"] == second["run_id"]
    assert not is_marked(latest(shop))


def test_a_page_is_found_behind_nights_without_one(shop: Retailer) -> None:
    first = publish(shop)
    mark_figures(Path(first["report"]))
    shop.publish()
    third = publish(shop)
    assert third["repeats_run"] != first["run_id"]
    assert is_marked(latest(shop))


def test_other_figures_are_not_taken(shop: Retailer) -> None:
    """Those of another state of the star are not those of this one."""
    mark_figures(Path(publish(shop)["report"]))
    tomorrow(shop)
    publish(shop)
    assert not is_marked(latest(shop))


@pytest.mark.parametrize(("before", "after"), [("true", "false"), ("false", "true")])
def test_figures_with_names_get_into_no_page_without(
    duckdb_shop: Retailer, before: str, after: str
) -> None:
    """Nor is a page with names made of figures without."""
    shop = duckdb_shop
    mark_figures(Path(publish(shop, REPORT_PERSONAL=before)["report"]))
    assert publish(shop, REPORT_PERSONAL=after)["repeats_run"]
    assert not is_marked(latest(shop))


@pytest.mark.parametrize("ending", ["failed", "gate_failed"])
def test_a_night_that_changes_nothing_has_a_page_too(shop: Retailer, ending: str) -> None:
    """With the star as it was, by the page of the run that has published it."""
    published = publish(shop)
    mark_figures(Path(published["report"]))
    results = a_failed_night(shop) if ending == "failed" else a_refused_night(shop)
    assert results["status"] == ending
    assert results["report"] == str(folder_of(shop) / f"{results['run_id']}.html")
    assert results["run_id"] in latest(shop)
    assert is_marked(latest(shop))
    assert figures_in(latest(shop))["run_id"] == published["run_id"]


def test_without_a_page_the_star_that_a_failed_night_has_left_is_asked(shop: Retailer) -> None:
    published = shop.publish()
    results = a_failed_night(shop)
    assert results["warnings"] == []
    assert figures_in(latest(shop))["run_id"] == published["run_id"]
    assert shop.publish()["success"]


def test_a_first_run_that_fails_has_a_page_without_figures(shop: Retailer) -> None:
    results = a_failed_night(shop)
    assert results["run_id"] in page_of(shop, results)
    assert figures_in(latest(shop)) is None
    assert results["warnings"] == []


def test_without_its_warehouse_a_run_has_the_latest_page_alone(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody could tell later whose another one is."""
    shop = duckdb_shop
    broken = shop.folder / "broken.duckdb"
    broken.write_text("this is no database at all")
    url = f"duckdb:///{broken}"
    code, results, _ = run_json(shop, capsys, **with_pages(shop, WAREHOUSE_URL=url))
    assert code == 1
    assert pages(shop) == {"latest.html"}
    assert results["report"] == str(folder_of(shop) / "latest.html")
    assert results["run_id"] in latest(shop)
    assert figures_in(latest(shop)) is None


def test_a_replay_has_a_page(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    shop.sales[0]["quantity"] = "x"
    refused = Path(publish(shop)["rejects_dir"]) / "transactions.csv"
    text = refused.read_text(encoding="utf-8")
    refused.write_text(text.replace(",x,", ",4,"), encoding="utf-8")
    arguments = ["--env-file", shop.env_file(**with_pages(shop)), "replay", "--json"]
    capsys.readouterr()
    assert main(arguments) == 0
    assert len(pages(shop)) == 3
    assert "replay" in capsys.readouterr().out


# --- runs without a page -------------------------------------------------------------------------


def test_a_dry_run_makes_nothing(duckdb_shop: Retailer) -> None:
    tried = partial(StarSchemaETLPipeline, dry_run=True)
    results = duckdb_shop.run(tried, **with_pages(duckdb_shop))
    assert (results["status"], results["report"]) == ("dry_run", None)
    assert pages(duckdb_shop) == set()


def test_wrong_settings_make_nothing(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, *_ = run_command(duckdb_shop, capsys, **with_pages(duckdb_shop, BATCH_ROWS="none"))
    assert (code, pages(duckdb_shop)) == (2, set())


def test_a_wrong_folder_makes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cron without `cd` starts it."""
    monkeypatch.setenv("REPORTS_DIR", "reports")
    assert main([]) == 2
    assert "data/customers.csv" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_busy_warehouse_makes_nothing(shop: Retailer) -> None:
    publish(shop)
    before = pages(shop), latest(shop)
    with open_warehouse(shop.config(), "another run"):
        results = shop.run(**with_pages(shop))
    assert (results["status"], results["report"]) == ("busy", None)
    assert (pages(shop), latest(shop)) == before


def test_a_run_whose_outcome_nobody_knows_has_no_page(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say what is not known. `report` makes it when the warehouse tells."""

    def lost(*_: object, **__: object) -> None:
        raise OutcomeUnknownError("nobody knows")

    monkeypatch.setattr(Warehouse, "commit", lost)
    results = duckdb_shop.run(**with_pages(duckdb_shop))
    assert (results["status"], results["report"]) == ("unknown", None)
    assert pages(duckdb_shop) == set()


# --- which pages stay ----------------------------------------------------------------------------


def made_old(shop: Retailer, results: Row, days: int) -> str:
    """Make a run of today one of so many days ago, its page too; returns the page's name."""
    old = f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%S}-0a1b2c"
    given = results["run_id"]
    shop.star.execute(f"UPDATE etl_run SET run_id = '{old}' WHERE run_id = '{given}'")
    Path(results["report"]).rename(folder_of(shop) / f"{old}.html")
    return f"{old}.html"


def test_the_newest_pages_stay(shop: Retailer) -> None:
    """What was published last is the newest, whatever a clock said."""
    third = made_old(shop, publish(shop), -3)
    second = Path(publish(shop)["report"]).name
    first = Path(publish(shop, REPORTS_KEEP=2)["report"]).name
    assert pages(shop) == {second, first, "latest.html"}
    assert third not in pages(shop)
    last = Path(a_failed_night(shop, REPORTS_KEEP=1)["report"]).name
    assert pages(shop) == {last, "latest.html"}


def test_all_pages_stay_with_0(duckdb_shop: Retailer) -> None:
    for _ in range(3):
        publish(duckdb_shop, REPORTS_KEEP=0)
    assert len(pages(duckdb_shop)) == 4


def test_nothing_else_in_the_folder_is_touched(duckdb_shop: Retailer) -> None:
    """Pages of another warehouse, other files, folders."""
    shop = duckdb_shop
    folder = folder_of(shop)
    folder.mkdir()
    others = {"20240101T020000-0a1b2c.html", "index.html", "20240101T020000-XYZ.html", "a.part"}
    for name in others:
        (folder / name).write_text("mine")
    for _ in range(3):
        last = publish(shop, REPORTS_KEEP=1)
    assert pages(shop) == {*others, "latest.html", f"{last['run_id']}.html"}


def test_what_a_killed_run_has_left_half_written_goes(shop: Retailer) -> None:
    first = publish(shop)["run_id"]
    part, other = f".{first}.0a1b2c3d.part", ".20240101T020000-0a1b2c.0a1b2c3d.part"
    for name in (part, other):
        (folder_of(shop) / name).write_text("<p>half")
    publish(shop)
    assert part not in pages(shop)
    assert other in pages(shop)


def test_two_warehouses_have_pages_in_one_folder(duckdb_shop: Retailer, tmp_path: Path) -> None:
    """Each tidies its own."""
    other = replace(duckdb_shop, star=Star(f"duckdb:///{tmp_path / 'other.duckdb'}"))
    for _ in range(3):
        last = {f"{publish(shop, REPORTS_KEEP=1)['run_id']}.html" for shop in (duckdb_shop, other)}
    assert pages(duckdb_shop) == {*last, "latest.html"}


def test_a_link_at_the_place_of_a_page_is_not_followed(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    shop = duckdb_shop
    precious = tmp_path / "precious"
    precious.write_text("x")
    folder_of(shop).mkdir()
    (folder_of(shop) / "latest.html").symlink_to(precious)
    publish(shop)
    assert precious.read_text() == "x"
    assert not (folder_of(shop) / "latest.html").is_symlink()

"""`report` makes the page of a run again."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli import main
from common.changes import Change
from main import StarSchemaETLPipeline
from pages import business, gathering, page
from pages.story import Story
from support.reports import (
    figures_in,
    folder_of,
    is_marked,
    latest,
    mark_figures,
    page_of,
    pages,
    with_pages,
)  # fmt: skip
from support.retailer import Retailer, tomorrow
from support.tables import Row
from warehouse import open_warehouse


def report(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str, **settings: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python main.py report`."""
    capsys.readouterr()
    env = shop.env_file(**with_pages(shop, **settings))
    code = main(["--env-file", env, "report", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def two_nights(shop: Retailer) -> tuple[Row, Row]:
    first = shop.publish(**with_pages(shop))
    tomorrow(shop)
    return first, shop.publish(**with_pages(shop))


def test_the_page_of_the_last_run_is_made_again(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if there was none; it is the latest too, and the star is asked anew."""
    results = shop.publish()
    path = folder_of(shop) / f"{results['run_id']}.html"
    for _ in range(2):
        assert report(shop, capsys) == (0, f"{path}\n", "")
        assert pages(shop) == {path.name, "latest.html"}
        assert figures_in(latest(shop))["run_id"] == results["run_id"]
        assert not is_marked(latest(shop))
        mark_figures(path)


def test_the_page_of_an_older_run_keeps_its_figures(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two_nights(shop)
    mark_figures(Path(first["report"]))
    assert report(shop, capsys, first["run_id"]) == (0, f"{first['report']}\n", "")
    assert is_marked(page_of(shop, first))
    assert second["run_id"] in latest(shop)


def test_without_its_old_page_an_older_run_shows_the_star_of_now_and_says_so(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two_nights(shop)
    for _ in range(2):  # what is found then is not taken for its own later
        Path(first["report"]).unlink(missing_ok=True)
        code, out, err = report(shop, capsys, first["run_id"])
        assert (code, out) == (0, f"{first['report']}\n")
        assert f"as run {first['run_id']} has published it is not kept" in err
        assert second["run_id"] in err
        assert figures_in(page_of(shop, first))["run_id"] == second["run_id"]


def test_a_failed_run_that_is_the_last_has_the_star_as_it_is(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    published = shop.publish()
    failed = shop.run(CUSTOMERS__PATH=shop.folder / "absent.csv")
    assert report(shop, capsys)[0] == 0
    assert failed["run_id"] in latest(shop)
    assert figures_in(latest(shop))["run_id"] == published["run_id"]


def test_of_a_thinned_run_there_is_what_is_left(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = two_nights(shop)
    shop.star.execute(
        f"UPDATE etl_run SET counts = '{{}}', sources = '{{}}' WHERE run_id = '{first['run_id']}'"
    )
    assert report(shop, capsys, first["run_id"][:-2])[0] == 0
    assert first["run_id"] in page_of(shop, first)


def test_the_page_of_a_run_of_the_first_version_says_what_is_not_kept(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.star.restore("0.1.0")
    code, _, err = report(shop, capsys)
    assert (code, "validation_results of its row in etl_run cannot be read" in err) == (0, True)
    accounts = latest(shop).partition('id="accounts"')[2].partition("</section>")[0]
    assert "whether it balanced is not kept" in accounts
    assert "as far as the run came" not in accounts


def test_as_json_it_tells_the_same(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = duckdb_shop.publish()
    path = folder_of(duckdb_shop) / f"{results['run_id']}.html"
    env = duckdb_shop.env_file(**with_pages(duckdb_shop))
    for arguments in (["report", "--json"], ["--json", "report"]):
        capsys.readouterr()
        assert main(["--env-file", env, *arguments]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "run_id": results["run_id"], "report": str(path), "is_latest": True, "problems": [],
        }  # fmt: skip


def test_what_cannot_be_made_is_told(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = report(shop, capsys)
    assert code in (1, 2)
    assert "python main.py" in err
    results = shop.publish()
    assert report(shop, capsys, REPORTS_DIR="")[0] == 2
    code, _, err = report(shop, capsys, "2001")
    assert code == 2
    assert results["run_id"] in err
    folder_of(shop).write_text("a file")
    code, _, err = report(shop, capsys)
    assert code == 1
    assert err.startswith("error: REPORTS_DIR")
    folder_of(shop).unlink()
    (folder_of(shop) / "latest.html").mkdir(parents=True)
    assert f"REPORTS_DIR: {folder_of(shop) / 'latest.html'}: " in report(shop, capsys)[2]


def test_a_run_waits_for_no_report(
    postgresql_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = postgresql_shop
    shop.publish()
    with open_warehouse(shop.config(), "a run at work"):
        assert report(shop, capsys)[0] == 0


def test_a_duckdb_file_that_a_run_has_open_is_busy(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.publish()
    with open_warehouse(duckdb_shop.config(), "a run at work"):
        assert report(duckdb_shop, capsys)[0] == 4


# --- what a page is told of changes --------------------------------------------------------------


def story_of(shop: Retailer, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Story:
    """What the page of a night with changes was made of."""
    told: list[Story] = []
    usual = page.page

    def telling(story: Story) -> str:
        told.append(story)
        return usual(story)

    monkeypatch.setattr(page, "page", telling)
    shop.publish(**settings)
    tomorrow(shop)
    shop.customers[0]["last_name"] = "Byron"
    shop.publish(**with_pages(shop, **settings))
    return told[-1]


@pytest.mark.parametrize("kept", ["true", "false"])
def test_a_page_tells_what_has_changed(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """Whether `etl_change` keeps it or not; of personal columns that they have."""
    story = story_of(shop, monkeypatch, KEEP_CHANGES=kept)
    counted = {(table, attribute): rows for table, attribute, rows in story.overwritten}
    assert counted["dim_customer", "last_name"] == 1
    assert counted["fact_sales", "quantity"] == 1
    customer = {change.attribute: change for change in story.examples["dim_customer"]}
    assert customer["last_name"] == Change("C1", "last_name", None, None, "changed", True)
    sale = {change.attribute: change for change in story.examples["fact_sales"]}
    values = sale["quantity"].before, sale["quantity"].after
    assert [Decimal(str(value)) for value in values] == [2, 7]


@pytest.mark.parametrize(
    ("kept", "shown"), [("true", "false"), ("false", "true"), ("true", "true")]
)
def test_personal_values_are_told_where_both_settings_say_so(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch, kept: str, shown: str
) -> None:
    settings = {"KEEP_PERSONAL_CHANGES": kept, "REPORT_PERSONAL": shown}
    story = story_of(duckdb_shop, monkeypatch, **settings)
    customer = {change.attribute: change for change in story.examples["dim_customer"]}
    values = customer["last_name"].before, customer["last_name"].after
    is_told = kept == shown == "true"
    assert values == (("Lovelace", "Byron") if is_told else (None, None))
    assert ("Byron" in latest(duckdb_shop)) is (shown == "true")


def test_runs_that_publish_meanwhile_are_told_apart(
    postgresql_shop: Retailer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figures are of the run that they say."""
    shop, usual, asked = postgresql_shop, business.ask, list[str]()
    shop.publish()

    def asking(warehouse: Any, star: Any, run_id: str, **named: bool) -> Any:
        if not asked:
            tomorrow(shop)
            StarSchemaETLPipeline(shop.config(), quiet=True).run_full_pipeline()
        asked.append(run_id)
        return usual(warehouse, star, run_id, **named)

    monkeypatch.setattr(gathering, "ask", asking)
    assert report(shop, capsys)[0] == 0
    last = shop.star.scalar("SELECT run_id FROM etl_run ORDER BY sequence DESC LIMIT 1")
    assert asked[-1] == last != asked[0]
    assert figures_in((folder_of(shop) / f"{asked[0]}.html").read_text())["run_id"] == last

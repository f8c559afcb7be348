"""Writing the page of a run into REPORTS_DIR, after the run's commit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from config import StarSchemaConfig
from errors import RequestError
from pages.business import ask
from pages.page import page
from pages.story import Story
from run.frame import Run
from run.past_summary import summary_of
from warehouse import Warehouse, reading
from warehouse.runs import PastRun, last_runs, run_named


def written(run: Run) -> list[str]:
    """Write the page of a run that has ended, and `latest.html`. It never fails: returns what did,
    as warnings.
    """
    config, past = run.config, run.past()
    if config.reports_dir is None or run.summary.status != "published":
        return []
    run.warehouse.begin()
    story = _gathered(config, run.warehouse, past)
    run.warehouse.rollback()
    _write(config.reports_dir, (f"{run.id}.html", "latest.html"), page(story))
    return []


def again(config: StarSchemaConfig, named: str | None) -> Path:
    """Write the page of the run called `named`, or of the last one. Returns where it is.

    Raises `RequestError` where there is no such run, or REPORTS_DIR is blank.
    """
    folder = config.reports_dir
    if folder is None:
        raise RequestError("REPORTS_DIR is blank: no page is written")
    with reading(config) as warehouse:
        past = run_named(warehouse, named)
        story = _gathered(config, warehouse, past)
    _write(folder, (f"{past.run_id}.html",), page(story))
    return folder / f"{past.run_id}.html"


def _gathered(config: StarSchemaConfig, warehouse: Warehouse, past: PastRun) -> Story:
    business = ask(warehouse, config.star, past.run_id, with_personal=config.report_personal)
    former = last_runs(warehouse, 31)
    summary, problems = summary_of(past, config.rejects_dir)
    return Story(config, past, summary, former, business, problems=problems)


def _write(folder: Path, names: Iterable[str], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(text, encoding="utf-8")

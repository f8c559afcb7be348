"""Writing the page of a run into REPORTS_DIR: when it has ended, or again when it is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import StarSchemaConfig
from errors import EtlError, RequestError
from pages.gathering import of_past, of_run
from pages.keeping import PERSONAL_MARK, place, put, tidy
from pages.story import Story
from run.frame import Run
from run.logs import logger
from run.summary import LATEST_PAGE
from warehouse import reading
from warehouse.runs import last_runs, run_named


@dataclass(frozen=True)
class Written:
    """A page that was made again."""

    run_id: str
    path: Path
    is_latest: bool
    """Whether `latest.html` is the same page now."""
    problems: list[str]
    """What could not be found out, in words."""

    def as_dict(self) -> dict[str, Any]:
        """The same as `json.dumps` takes it."""
        return {
            "run_id": self.run_id,
            "report": str(self.path),
            "is_latest": self.is_latest,
            "problems": self.problems,
        }


def write(run: Run) -> None:
    """Write the page of a run that has ended, renew `latest.html`, and remove the oldest pages.
    What the warehouse could not be asked is a warning of the run. Raises whatever else goes wrong.

    A run that its warehouse does not know, as that is away, has `latest.html` alone: of which
    warehouse another page is, nobody could tell.
    """
    folder = run.config.reports_dir
    if folder is None:
        return
    began = time.perf_counter()
    progress = run.display.phase("report", "Report")
    progress.advance("figures")
    with of_run(run) as (story, warehouse):
        progress.advance("page")
        try:
            path = _put(folder, story, is_recorded=warehouse is not None, is_last=True)
        finally:  # the page itself tells them already
            run.warn(*(f"REPORTS_DIR: {problem}" for problem in story.problems))
        run.summary.report = str(path)
        seconds = time.perf_counter() - began
        logger.info("report written: %s, in %.2f s", path, seconds)
        if warehouse is not None:
            left = list(tidy(folder, run.config.reports_keep, warehouse))
            more = f", and {len(left) - 1:,} more" if len(left) > 1 else ""
            run.warn(*(f"REPORTS_KEEP: not removed: {each}{more}" for each in left[:1]))
    progress.finish(0)


def again(config: StarSchemaConfig, named: str | None) -> Written:
    """Write the page of the run called `named`, or of the last one, which is `latest.html` too.

    Raises `RequestError` where there is no such run, or REPORTS_DIR is blank, and `EtlError` where
    the page cannot be written.
    """
    folder = config.reports_dir
    if folder is None:
        raise RequestError("REPORTS_DIR is blank: no page is written; set it to a folder")
    with reading(config) as warehouse:
        past = run_named(warehouse, named)
        is_last = last_runs(warehouse, 1)[0].run_id == past.run_id
        story = of_past(config, warehouse, past)
    try:
        path = _put(folder, story, is_recorded=True, is_last=is_last)
    except OSError as error:
        raise EtlError(
            f"REPORTS_DIR: {error.filename or folder}: the page cannot be written "
            f"({error.strerror}); make room or give rights there, or name another folder"
        ) from error
    return Written(past.run_id, path, is_last, story.problems)


def _put(folder: Path, story: Story, *, is_recorded: bool, is_last: bool) -> Path:
    from pages.page import page  # noqa: PLC0415  # its libraries, which only a page needs

    text = page(story)
    if story.config.report_personal:
        text = f"{text.rstrip()}\n{PERSONAL_MARK}\n"
    path = place(folder, story.run.run_id) if is_recorded else folder / LATEST_PAGE
    put(folder, story.run.run_id, text, *dict.fromkeys([path.name, *([LATEST_PAGE] * is_last)]))
    return path

"""A run in the cell of a notebook: the verdict first, the next step last, charts beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

from common.changes import Changes
from common.html import framed
from config import StarSchemaConfig
from pages.from_screen import PAPER, as_html
from pages.small_charts import charts
from report.accounts import accounts
from report.failure import failure
from report.look_at import look_at
from report.preview import preview
from report.screen import Shown
from report.star_now import star_now
from report.verdict import untouched, verdict
from run.summary import RunSummary

_HIDDEN = "***"


def run_html(summary: RunSummary, config: StarSchemaConfig, report: Path | None = None) -> str:
    """What a notebook shows of a run: what the console says, and charts. Ids stand there, and
    nobody's name or address: a notebook is kept, and sent to others.
    """
    first, *others = filter(None, _parts(summary, config))
    shown = "".join(f"<div>{as_html(part)}</div>" for part in others)
    drawn = "" if summary.repeats_run else charts(summary, config)
    return framed(
        f'<div class="verdict">{as_html(first)}</div>'
        f'<div class="beside"><div>{shown}</div>{drawn}</div>' + _next(summary, report)
    )


def _parts(summary: RunSummary, config: StarSchemaConfig) -> Iterator[list[Shown]]:
    if not summary.success:
        yield failure(summary, config, PAPER)
    elif summary.repeats_run:
        yield untouched(summary, config, PAPER)
    else:
        yield verdict(summary, config, PAPER)
        if summary.changes is not None and summary.changes.is_preview:
            yield preview(_impersonal(summary.changes), config.star, PAPER, is_whole=False)
        yield from (part(summary, config, PAPER) for part in (accounts, star_now, look_at))


def _impersonal(changes: Changes) -> Changes:
    """The same changes, without what anybody is called and where they live."""
    tables = {
        name: replace(
            table,
            alike=[each for each in table.alike if not each.is_personal],
            examples=[
                replace(each, before=_HIDDEN, after=_HIDDEN) if each.is_personal else each
                for each in table.examples
            ],
        )
        for name, table in changes.tables.items()
    }
    return replace(changes, tables=tables)


def _next(summary: RunSummary, report: Path | None) -> str:
    """What to do now, in the words of a notebook."""
    steps = []
    if summary.status == "dry_run":
        steps.append(("StarSchemaETLPipeline(config).run_full_pipeline()", "publishes it"))
    if summary.rejects_dir and any(t.rejected for t in summary.outcomes.tables.values()):
        steps.append(("results.rejects()", "what was refused, and why"))
    if report is not None:
        steps.append((str(report), "the page of this run"))
    return _told(steps) if steps else ""


def _told(steps: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f"<div><code>{escape(step)}</code> <span class='dim'>{escape(why)}</span></div>"
        for step, why in steps
    )
    return f'<div class="next"><span class="dim">next</span><div>{lines}</div></div>'

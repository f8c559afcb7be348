"""A run in the cell of a notebook: the verdict first, the next step last."""

from __future__ import annotations

from html import escape
from pathlib import Path

from common.html import framed
from config import StarSchemaConfig
from pages.from_screen import PAPER, as_html
from report.accounts import accounts
from report.failure import failure
from report.look_at import look_at
from report.screen import Shown
from report.star_now import star_now
from report.verdict import untouched, verdict
from run.summary import RunSummary


def run_html(summary: RunSummary, config: StarSchemaConfig, report: Path | None = None) -> str:
    """What a notebook shows of a run: what the console says, and charts. Ids stand there, and
    nobody's name or address.
    """
    if not summary.success:
        parts = [failure(summary, config, PAPER)]
    elif summary.repeats_run:
        parts = [untouched(summary, config, PAPER)]
    else:
        shown = (verdict, accounts, star_now, look_at)
        parts = [part(summary, config, PAPER) for part in shown]
    first, *others = filter(None, parts)
    html = f'<div class="verdict">{as_html(first)}</div>' + "".join(map(_section, others))
    return framed(html + _next(summary, report))


def _section(shown: list[Shown]) -> str:
    return f"<div>{as_html(shown)}</div>"


def _next(summary: RunSummary, report: Path | None) -> str:
    """What to do now, in the words of a notebook."""
    steps = []
    if summary.status == "dry_run":
        steps.append(("StarSchemaETLPipeline(config).run_full_pipeline()", "publishes it"))
    if summary.rejects_dir and any(t.rejected for t in summary.outcomes.tables.values()):
        steps.append(("results.rejects()", "what was refused, and why"))
    if report is not None:
        steps.append((str(report), "the page of this run"))
    if not steps:
        return ""
    told = "".join(
        f"<div><code>{escape(step)}</code> <span class='dim'>{escape(why)}</span></div>"
        for step, why in steps
    )
    return f'<div class="next"><span class="dim">next</span><div>{told}</div></div>'

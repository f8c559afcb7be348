"""How a run ends for whoever started it: what is printed, and the exit code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from commands.frame import say
from errors import EXIT_CODES

if TYPE_CHECKING:
    from main import StarSchemaETLPipeline

__all__ = ["EXIT_CODES", "ended", "say_interrupted"]


def ended(pipeline: StarSchemaETLPipeline, *, quiet: bool, as_json: bool) -> int:
    """Make the run of `pipeline`, and say how it went; with `as_json` also of one that was
    interrupted. Returns the exit code.
    """
    from report.summary_text import render_summary

    try:
        pipeline.run_full_pipeline()
    except KeyboardInterrupt:
        if pipeline.summary is None:
            raise
        say_interrupted()
    summary = pipeline.summary
    if summary is None:  # a run begins with it
        raise RuntimeError("a run without a summary")
    if as_json:
        say(json.dumps({**summary.as_dict(), "exit_code": summary.code}, indent=2))
    elif not quiet and summary.status != "interrupted":
        say("\n".join(render_summary(summary)))
        _show_changes(pipeline)
    return summary.code


def say_interrupted() -> None:
    """Say so on stderr."""
    click.echo("interrupted; nothing was published", err=True)


def _show_changes(pipeline: StarSchemaETLPipeline) -> None:
    """What the run changes, if somebody asked to see it: with names and addresses."""
    from report.preview import preview
    from report.screen import Screen

    summary = pipeline.summary
    if summary is None or not summary.success or summary.changes is None:
        return
    if summary.changes.is_preview:
        screen = Screen.of(sys.stdout)
        say("\n" + screen.render(preview(summary.changes, pipeline.star, screen)))

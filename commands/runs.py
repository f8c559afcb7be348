"""How a run ends for whoever started it: what is printed, and the exit code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from commands.frame import say
from errors import EXIT_CODES

if TYPE_CHECKING:
    from config import StarSchemaConfig
    from main import StarSchemaETLPipeline
    from run.summary import RunSummary

__all__ = ["EXIT_CODES", "ended", "say_interrupted"]


def ended(pipeline: StarSchemaETLPipeline, *, quiet: bool, as_json: bool) -> int:
    """Make the run of `pipeline`, and say how it went; also of one that was interrupted. Returns
    the exit code.
    """
    pipeline.is_shown = not as_json
    try:
        pipeline.run_full_pipeline()
    except KeyboardInterrupt:
        if pipeline.summary is None or pipeline.summary.failure is None:
            raise
        if as_json:
            say_interrupted()
    summary = pipeline.summary
    if summary is None:  # a run begins with it
        raise RuntimeError("a run without a summary")
    if as_json:
        say(json.dumps({**summary.as_dict(), "exit_code": summary.code}, indent=2))
    _show(summary, pipeline.config, quiet=quiet, is_told=as_json)
    return summary.code


def say_interrupted() -> None:
    """Say so on stderr."""
    click.echo("interrupted; nothing was published", err=True)


def _show(
    summary: RunSummary, config: StarSchemaConfig, *, quiet: bool, is_told: bool = False
) -> None:
    """Say how the run went: on stdout if it is as it should be, else on stderr.

    Of a run that `is_told` already, or a quiet one, only what even such a one says.
    """
    from report.run_text import run_text
    from report.screen import Screen

    if not summary.success:
        if not is_told:
            say(run_text(summary, config, Screen.of(sys.stderr)), err=True)
    elif quiet:
        if summary.alarm:
            say(f"warning: {summary.alarm}", err=True)
    elif not is_told:
        say(run_text(summary, config, Screen.of(sys.stdout), with_names=True))

"""How a run ends for whoever started it: what is printed, and the exit code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from commands.frame import say

if TYPE_CHECKING:
    from main import StarSchemaETLPipeline

EXIT_CODES = {"published": 0, "dry_run": 0, "failed": 1, "gate_failed": 3, "busy": 4, "unknown": 5}
"""By the status of a run."""


def ended(pipeline: StarSchemaETLPipeline, *, quiet: bool, as_json: bool) -> int:
    """Make the run of `pipeline`, and say how it went; returns the exit code."""
    from report.summary_text import render_summary

    results = pipeline.run_full_pipeline()
    if as_json:
        say(json.dumps(results, indent=2))
    elif pipeline.summary is not None and not quiet:
        say("\n".join(render_summary(pipeline.summary)))
        _show_changes(pipeline)
    code = pipeline.summary.exit_code if pipeline.summary else None
    return EXIT_CODES[results["status"]] if code is None else code


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

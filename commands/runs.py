"""How a run ends for whoever started it: what is printed, and the exit code."""

from __future__ import annotations

import json
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
    code = pipeline.summary.exit_code if pipeline.summary else None
    return EXIT_CODES[results["status"]] if code is None else code

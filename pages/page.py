"""The page of a run as one HTML file that needs nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.outcomes import plain
from pages.charts import bars
from pages.story import Story

_TEMPLATES = Path(__file__).parent / "templates"


def page(story: Story) -> str:
    """The page's text. Its figures are in it as JSON too, in the element `figures`."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    phases = {name: p.duration_seconds for name, p in story.summary.outcomes.phases.items()}
    return environment.get_template("run.html.j2").render(
        run=story.run,
        phases=bars("Phases", phases),
        figures=plain(asdict(story.business)) if story.business else None,
    )

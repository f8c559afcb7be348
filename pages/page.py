"""The page of a run as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pages.accounts import accounts
from pages.catalogue import catalogue
from pages.changed import changes
from pages.glance import glance
from pages.history import history
from pages.inputs import inputs
from pages.proofs import passed, proofs
from pages.refused import rejects
from pages.shown import moment, plural
from pages.story import Story
from pages.times import times
from pages.verdict import verdict

_TEMPLATES = Path(__file__).parent / "templates"


def page(story: Story) -> str:
    """The page's text. Its figures are in it as JSON too, in the element `figures`."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["plural"] = plural
    environment.policies["json.dumps_kwargs"] = {}  # in the order in which they are shown
    return environment.get_template("run.html.j2").render(
        run=story.run,
        began=moment(story.run.started_at),
        verdict=verdict(story),
        accounts=accounts(story),
        changes=changes(story),
        rejects=rejects(story),
        history=history(story),
        glance=glance(story),
        proofs=proofs(story),
        times=times(story),
        inputs=inputs(story),
        catalogue=catalogue(story),
        passed=passed(story),
        with_personal=story.config.report_personal,
        sales=story.config.star.sales.called,
        figures=story.business.as_dict() if story.business else None,
    )

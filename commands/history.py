"""`history`: the last runs at a glance."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option("--last", default=20, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="How many runs.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def history(context: click.Context, /, last: int, as_json: bool) -> int:
    """Show the last runs, and what stands out.

    \b
    A line a run, the newest first: when it began, how it ended, rows read, new,
    changed, removed and rejected, how the net amount of the star has changed, and
    how long it took. Below it: why it failed, and how it is unlike the runs of
    the same weekday before it. A night without a run is told too.
    Nothing is changed or held; it reads etl_run alone.

    \b
    Exit codes:
      0  shown
      1  there is no star yet, or it cannot be read
      4  a run holds the DuckDB file
    """
    from datetime import UTC, datetime

    from report.history import Limits, render, told
    from report.screen import Screen
    from run.outliers import FORMER_RUNS
    from warehouse import reading
    from warehouse.runs import last_runs

    config: StarSchemaConfig = context.obj
    with reported(config):
        with reading(config) as warehouse:
            runs = last_runs(warehouse, last + FORMER_RUNS)
        found = told(runs, last, datetime.now(UTC))
    if as_json or context.find_root().params["as_json"]:
        say(json.dumps([each.as_dict() for each in found], indent=2))
    elif not found:
        say("no run was made yet: python main.py")
    else:
        screen = Screen.of(sys.stdout)
        limits = Limits(float(config.warn_reject_rate), float(config.max_reject_rate))
        say(screen.render(render(found, screen, limits)))
    return 0

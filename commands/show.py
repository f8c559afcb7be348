"""`show`: all that is kept of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def show(context: click.Context, /, run: str | None, as_json: bool) -> int:
    """Show a run: how it ended, its files, and what it changed.

    \b
    RUN is a run's id, or how one begins; without it, the last run. `history`
    lists them. Of runs before the last forty only their totals are kept.
    Nothing is changed or held.

    \b
    Exit codes:
      0  shown
      1  there is no star yet, or it cannot be read
      2  there is no such run, or several
      4  a run holds the DuckDB file
    """
    from rich.text import Text

    from report.screen import Screen
    from report.shown_run import ShownRun, next_steps, render
    from run.past_summary import summary_of
    from warehouse import reading
    from warehouse.runs import changes_of, run_named

    config: StarSchemaConfig = context.obj
    with reported(config):
        with reading(config) as warehouse:
            past = run_named(warehouse, run)
            changes = changes_of(warehouse, past.run_id)
        summary, problems = summary_of(past, config.rejects_dir)
        shown = ShownRun(past, summary, changes, problems)
    if as_json or context.find_root().params["as_json"]:
        say(json.dumps(shown.as_dict(), indent=2))
        return 0
    screen = Screen.of(sys.stdout)
    has_rejects = Path(summary.rejects_dir).is_dir()
    lines = render(shown, config, screen)
    for step in next_steps(shown, has_rejects=has_rejects):
        lines += [Text(""), screen.line((" next     ", "dim"), step, indent=10)]
    say(screen.render(lines))
    return 0

"""`report`: the page of a run, made again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def report(context: click.Context, /, run: str | None, as_json: bool) -> int:
    """Make the page of a run again, and print where it is.

    \b
    RUN is a run's id, or how one begins; without it, the last run, whose page is
    latest.html too. `history` lists them. It shows what is kept of the run: of runs
    before the last forty only their totals. The page is written into REPORTS_DIR,
    and nothing else is changed; no run waits.

    \b
    Exit codes:
      0  written
      1  there is no star yet, or it cannot be read, or the page not written
      2  there is no such run, or several; or REPORTS_DIR is blank
      4  a run holds the DuckDB file
    """
    from pages.writing import again

    config: StarSchemaConfig = context.obj
    with reported(config):
        written = again(config, run)
    if as_json or context.find_root().params["as_json"]:
        say(json.dumps(written.as_dict(), indent=2))
        return 0
    for problem in written.problems:
        say(f"note: {problem}", err=True)
    say(str(written.path))
    return 0

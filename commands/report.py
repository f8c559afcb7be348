"""`report`: the page of a run, made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("run", required=False)
@click.pass_obj
def report(config: StarSchemaConfig, run: str | None) -> int:
    """Make the page of a run again, and print where it is.

    \b
    RUN is a run's id, or how one begins; without it, the last run. `history`
    lists them. The page is written into REPORTS_DIR, and nothing else is changed.

    \b
    Exit codes:
      0  written
      1  there is no star yet, or it cannot be read
      2  there is no such run, or several; or REPORTS_DIR is blank
      4  a run holds the DuckDB file
    """
    from pages.writing import again

    with reported(config):
        path = again(config, run)
    say(str(path))
    return 0

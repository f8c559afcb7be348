"""`export`: the star as files for other tools."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option(
    "--to", type=click.Choice(["parquet"]), default="parquet", show_default=True,
    expose_value=False, help="The format, of which there is one.",
)  # fmt: skip
@click.option(
    "--since", metavar="DATE",
    help="Write the sales of this day's year and later ones; take the others over.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_context
def export(context: click.Context, /, since: str | None, as_json: bool, folder: Path) -> int:
    """Write the star as Parquet files into FOLDER, one folder a table.

    \b
    The sales are in one folder a year. All of it is of one moment; it is read
    again and compared with the star before it takes the place of the export that
    is there. Until then, and whatever fails, that one stays as it is. A folder
    with anything else in it is refused. The files are for this user only, as they
    hold personal data. While it reads a DuckDB file, no run can begin.

    \b
    Exit codes:
      0    written
      1    there is no star yet, or the files cannot be written
      2    FOLDER has something else in it, or the date is none
      4    a run holds the DuckDB file, or another export writes there
      130  interrupted, 143 terminated; the export before is untouched
    """
    from report.export_text import render
    from report.screen import Screen
    from run import logs
    from run.progress import live_progress
    from warehouse.export import PHASES, export_star

    config: StarSchemaConfig = context.obj
    root = context.find_root().params
    quiet = bool(root["quiet"])
    gc.enable()
    with (
        reported(config),
        logs.logging_to_stderr(config.log_level, quiet=quiet),
        live_progress(quiet=quiet, plan=PHASES) as display,
    ):
        done = export_star(config, folder, since, display.phase)
    if as_json or root["as_json"]:
        say(json.dumps(done.as_dict(), indent=2))
    elif not quiet:
        screen = Screen.of(sys.stdout)
        say(screen.render(render(done, config, screen)))
    return 0

"""`setup`: settings for somebody's files."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("files", nargs=-1)
@click.option("--yes", is_flag=True, help="Write without asking; open questions stay as comments.")
@click.option("--print", "prints", is_flag=True, help="Print the file; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON; write nothing.")
@click.pass_context
def setup(
    context: click.Context, /, files: tuple[str, ...], yes: bool, prints: bool, as_json: bool
) -> int:
    """Find the settings for your files, and write star.toml.

    \b
    FILES are files, folders or patterns such as 'in/*.csv'; without any, the
    sources that are set are looked at. It finds out which file is which, how each
    is written (encoding, delimiter, dates, decimal commas) and which column is
    which, tries that on all rows, and shows how many sales would load, to what
    amount, and what remains. What nobody can see in a file it asks. Then it
    writes star.toml, if you say yes: read it, change it, run `check`.

    \b
    Exit codes:
      0  a run with it would publish
      1  you said no, or it could not be written
      2  nothing could be proposed, or a run could not start with it
      3  something is open: a question, or a run would be refused
    """
    if prints and as_json:
        raise click.UsageError("--print and --json exclude each other")
    from common.setting_files import STAR_FILE
    from proposal.asking import Manner, conduct
    from proposal.session import look
    from run import logs
    from run.progress import live_progress

    config: StarSchemaConfig = context.obj
    options = context.find_root().params
    path = config.star_file or Path(STAR_FILE)
    gc.enable()
    with reported(config):
        with (
            logs.logging_to_stderr(config.log_level, quiet=options["quiet"]),
            live_progress(quiet=options["quiet"]) as display,
        ):
            session = look(files, config, path, display.phase)
        manner = Manner(yes, prints, as_json or options["as_json"])
        return conduct(session, manner, say, options["env_file"])

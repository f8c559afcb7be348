"""`replay`: the corrected rejects of a run are loaded."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

from commands.frame import reported
from run.signals import SIGNALS

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("run", required=False)
@click.option("--force", is_flag=True, help="Load rows too whose key a later run has loaded.")
@click.option("--dry-run", is_flag=True, help="Do everything but publish, then roll back.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def replay(
    context: click.Context, /, run: str | None, force: bool, dry_run: bool, as_json: bool
) -> int:
    """Load the corrected rejects of a run.

    \b
    RUN is a run's id, or how one begins; without it, the last run that has reject
    files. Correct the files first, in their place: data/rejects/RUN/SOURCE.csv.
    They are loaded as changes: nothing else is read, nothing is removed for being
    absent, no watermark moves, and MAX_REJECT_RATE does not apply.
    What is still wrong is refused again, into the folder of the new run. A row
    whose key a later run has loaded is older than the star: it is listed there
    as loaded_later, and not loaded without --force.
    Correct the source as well: otherwise it is refused again each night.

    \b
    Exit codes: those of a run. 2: there is nothing to load, or a file is damaged.
    """
    from commands.runs import ended
    from main import StarSchemaETLPipeline
    from run.replay import planned

    config: StarSchemaConfig = context.obj
    options = context.find_root().params
    gc.enable()
    with reported(config):
        plan = planned(config, run, force=force)
    pipeline = StarSchemaETLPipeline(
        config,
        dry_run=dry_run or options["dry_run"],
        quiet=options["quiet"],
        replay=plan,
        before_commit=SIGNALS.hold,
    )
    return ended(pipeline, quiet=options["quiet"], as_json=as_json or options["as_json"])

"""`explain`: where a sale came from, or why it is not in the star."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from common.parallel import Workers
    from common.progress import Progress
    from config import StarSchemaConfig
    from sources.raw_source import ReadSource


@click.command()
@click.argument("transaction_id")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def explain(context: click.Context, transaction_id: str, as_json: bool) -> int:
    """Say where a sale came from, or why it is not in the star.

    \b
    TRANSACTION_ID is the key as the star shows it. Of a sale in the star it
    tells its members, how its amounts were made, the run that wrote it, the file
    and the line, what has changed since, and the row as it stands in the file.
    Of another sale: whether a run has removed or refused it, and why; else the
    input is read, and it is told what the next run would make of it. Nothing is
    written, no run waits. It shows whole rows, personal data too.

    \b
    Exit codes:
      0  explained
      2  nobody knows such a sale
      4  a run has the DuckDB file open
    """
    from report.explain_json import as_json as in_json
    from report.explain_text import render
    from report.screen import Screen
    from run import explain as asked
    from run import logs
    from run.progress import live_progress
    from transform import batch_rules

    config: StarSchemaConfig = context.obj
    root = context.find_root().params

    gc.enable()
    quiet = bool(root["quiet"])
    with (
        reported(config),
        logs.logging_to_stderr(config.log_level, quiet=quiet),
        live_progress(quiet=quiet, plan=asked.PHASES) as display,
    ):
        found = asked.explain(config, transaction_id, look_at, batch_rules, display.phase)
    if as_json or root["as_json"]:
        say(in_json(found, config.star))
    else:
        say(render(found, config.star, Screen.of(sys.stdout)))
    return found.exit_code


def look_at(
    config: StarSchemaConfig,
    only: dict[str, str],
    folder: Path,
    progress: Progress,
    rows: int | None,
    workers: Workers,
) -> dict[str, ReadSource]:
    """Read the sources of some settings from where the next run would; see `run.original.Look`."""
    from extract import DataExtractor
    from run.watermarks import starts
    from warehouse.outlook import last_watermarks

    has_marks = any(source.watermark for source in config.sources.values())
    kept = last_watermarks(config, config.star.tables) if has_marks else {}
    extractor = DataExtractor(config, starts(config, kept, None), only)
    return extractor.look(folder, progress, rows, workers)

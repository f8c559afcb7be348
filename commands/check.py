"""`check`: what a run would find."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.frame import extent, reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option(
    "--rows", type=click.IntRange(min=1), metavar="N",
    help="Look at about the first N rows of each source only.",
)  # fmt: skip
@click.option("--json", "prints_json", is_flag=True, help="Print all of it as JSON.")
@extent
@click.pass_context
def check(context: click.Context, /, rows: int | None, prints_json: bool, **part: Any) -> int:
    """Say what a run would find, and how it would end; change nothing.

    \b
    All rows are read and cleaned as a run would. For each source it tells: its
    files, their format and delimiter, how each column is mapped, what is missing,
    three rows as they are read and as they would be stored, and what would be
    refused, why, and where. For the warehouse: whether it is reachable, its
    version, and whether the star there fits. Where the settings of a source do not
    fit its files, it ends with those that `setup` would propose.

    \b
    Exit codes:
      0  a run would publish
      2  a run cannot start
      3  a run would be refused: too many rejected rows
    """
    from common.setting_texts import parse_moment
    from extract import DataExtractor
    from report.check_json import as_json
    from report.check_text import render
    from report.screen import Screen
    from run import logs
    from run.check import PHASES, look_ahead
    from run.progress import live_progress
    from run.watermarks import starts
    from transform import batch_rules
    from warehouse.outlook import last_watermarks

    config: StarSchemaConfig = context.obj.for_run(**part)
    quiet = bool(context.find_root().params["quiet"])

    gc.enable()
    with (
        reported(config),
        logs.logging_to_stderr(config.log_level, quiet=quiet),
        live_progress(quiet=quiet, plan=PHASES) as display,
    ):
        kept = {}
        if any(source.watermark for source in config.sources.values()):
            kept = last_watermarks(config, config.star.tables)
        begin = starts(config, kept, parse_moment(part["since"]))
        findings = look_ahead(
            config,
            DataExtractor(config, begin).look,
            batch_rules,
            display.phase,
            rows,
        )
        proposed = _proposed(config, {} if rows else findings.at_fault)
    if prints_json or context.find_root().params["as_json"]:
        say(json.dumps(as_json(findings, config, proposed), indent=2, default=str))
    else:
        say(render(findings, config, Screen.of(sys.stdout), proposed))
    return findings.exit_code


def _proposed(config: StarSchemaConfig, at_fault: dict[str, int]) -> list[str]:
    """The settings that `setup` would propose for sources `at_fault`, in the form in use."""
    if not at_fault:
        return []
    from common.setting_files import STAR_FILE
    from proposal.hints import hints

    in_tables = config.star_file is not None or Path(STAR_FILE).exists()
    return hints(config, at_fault, in_tables=in_tables)

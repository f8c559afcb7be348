"""`export`: the star as files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option("--to", "kind", type=click.Choice(["parquet"]), default="parquet", show_default=True,
              help="The format.")  # fmt: skip
@click.option("--since", metavar="DATE", help="Write the sales of this day's year and later ones.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def export(config: StarSchemaConfig, kind: str, since: str | None, folder: Path) -> int:  # noqa: ARG001
    """Write the star as Parquet files into FOLDER, one folder a table.

    \b
    The sales are in one folder a year. An export that is there is replaced as a
    whole, once all of the new one is written. Nothing is changed or held.
    """
    from star import exported

    with reported(config):
        path = exported(config, folder, since)
    say(str(path))
    return 0

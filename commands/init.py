"""`init`: the tables, and the rights of who loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option("--role", default="loader", show_default=True, help="Whom the GRANTs are for.")
@click.pass_obj
def init(config: StarSchemaConfig, role: str) -> int:
    """Make the tables, and print the GRANTs that a loading role needs.

    \b
    To be run by the owner of the schema. After it, a role that may neither
    create nor drop anything can load. A star that is there gets what it lacks.
    """
    from warehouse import transaction

    with reported(config), transaction(config, tables=config.star.tables) as warehouse:
        grants = warehouse.grants(config.star.tables, role)
    for warning in warehouse.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"the star is in {config.warehouse_url.render_as_string()}", err=True)
    say("\n".join(grants))
    return 0

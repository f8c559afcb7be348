"""`init`: the tables, and the rights of who loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commands.frame import reported, say

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.option(
    "--role", metavar="ROLE", help="Who loads: whom the GRANTs are for.  [default: loader]"
)
@click.option(
    "--reader", "readers", metavar="ROLE", multiple=True,
    help="Print instead the GRANTs of a role that only reads the star; may be repeated.",
)  # fmt: skip
@click.pass_obj
def init(config: StarSchemaConfig, role: str | None, readers: tuple[str, ...]) -> int:
    """Make the tables, and print the GRANTs that a loading role needs.

    \b
    To be run by the owner of the schema. After it, a role that may neither
    create nor drop anything can load. A star that is there gets what it lacks.
    """
    from warehouse import reading, transaction
    from warehouse.for_others import readable_tables
    from warehouse.rights import for_loader, for_reader

    star, grants = config.star, []
    with reported(config):
        with transaction(config, tables=star.tables) as warehouse:
            if role or not readers:
                grants = for_loader(warehouse, star.tables, role or "loader")
        if readers and warehouse.has_roles:
            with reading(config) as found:  # only now it is known which views could be made
                tables = readable_tables(found, star)
                for reader in readers:
                    grants += for_reader(found, tables, reader)
    for warning in warehouse.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"the star is in {config.warehouse_url.render_as_string()}", err=True)
    if readers and not warehouse.has_roles:
        click.echo("a DuckDB file has no roles: who may read the file may read the star", err=True)
    say("\n".join(grants))
    return 0

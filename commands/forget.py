"""`forget`: erase a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commands.frame import reported, say
from run.signals import SIGNALS

if TYPE_CHECKING:
    from config import StarSchemaConfig


@click.command()
@click.argument("customer_id")
@click.option("--dry-run", is_flag=True, help="Say what would be erased; change nothing.")
@click.pass_context
def forget(context: click.Context, customer_id: str, dry_run: bool) -> int:
    """Erase a person from star and rejects; the sales stay.

    \b
    CUSTOMER_ID is the id in dim_customer. First, in one transaction, the names,
    contacts and addresses are emptied in the star; then all rows with that id
    are taken out of the reject files of all runs, and pages that may show names
    (REPORT_PERSONAL) are removed. What else may hold something is said: logs,
    backups, and the source, which brings the customer back as long as it has
    the row.

    \b
    Exit codes:
      0  erased, or nothing was left to erase
      1  the star could not be changed, or a reject file or a page was left
      2  nobody knows such a customer
      4  a run holds the warehouse
    """
    from pages.forgetting import forget_in_pages
    from run.forget import forget_customer, lines
    from transform import StarSchemaTransformer

    config: StarSchemaConfig = context.obj
    dry_run |= bool(context.find_root().params["dry_run"])
    with reported(config):
        forgotten = forget_customer(
            config,
            customer_id,
            StarSchemaTransformer(config).prepare,
            dry_run=dry_run,
            before_change=SIGNALS.hold,
        )
    if forgotten is None or forgotten.exit_code == 2:
        raise click.BadParameter(
            f"neither the star nor a reject file has a customer {customer_id!r}; give the id as it "
            "is in dim_customer",
            param_hint="CUSTOMER_ID",
        )
    with reported(config):
        pages = forget_in_pages(config, forgotten.member, dry_run=dry_run)
    say("\n".join([*lines(forgotten, config, dry_run=dry_run), pages.line(dry_run=dry_run)]))
    for problem in [*forgotten.erased.problems, *pages.problems]:
        click.echo(f"error: not looked through: {problem}", err=True)
    return 1 if pages.problems else forgotten.exit_code

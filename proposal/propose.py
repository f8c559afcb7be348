"""What the settings for some files would be: a look at them decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import URL

from config import StarSchemaConfig
from proposal.casting import Cast, cast
from proposal.days import unread_dates
from proposal.looking import look
from proposal.members import from_sales, member_source
from proposal.model import Proof, Proposal, SourceProposal
from proposal.sales import Sales, propose_sales
from proposal.second_thoughts import revise

_ORDER = ("customers", "products", "transactions", "sales_reps")
Prove = Callable[[Proposal, StarSchemaConfig], Proof]


def propose(paths: Sequence[str], config: StarSchemaConfig, prove: Prove) -> Proposal:
    """Settings for the files at `paths`, or for those of the sources that are set; `prove` tells
    what a run with a proposal would find.

    With questions the settings are those of each question's first choice.
    """
    unused: dict[str, str] = {}
    set_paths = [s.path for s in config.sources.values() if s.path is not None]
    tables = look(paths or [path for path in set_paths if isinstance(path, str)], unused)
    found = cast(tables)
    proposal = Proposal(unused=unused | found.left)
    has_database = not paths and isinstance(config.source(config.star.sales.name).path, URL)
    if found.sales is None and has_database:
        _without_sales(proposal, found)  # a query says what its rows are
        return proposal
    if found.sales is None:
        proposal.problems.append(
            "none of the files looks like sales: that needs a date, and a quantity or an amount"
        )
        hints = {table.label: unread_dates(table) for table in tables}
        proposal.problems += [f"{label}: {hint}" for label, hint in hints.items() if hint]
        _without_sales(proposal, found)
        return proposal
    sales = propose_sales(found, found.sales)
    sales.proposal.unknown += found.unknown
    sources: dict[str, SourceProposal] = {config.star.sales.name: sales.proposal}
    for name in ("customers", "products", "sales_reps"):
        member = found.members.get(name)
        if member is not None:
            sources[name] = member_source(member, sales.references.get(name), sales)
        elif name != "sales_reps" and (made := from_sales(name, sales)) is not None:
            sources[name] = made
    _put_together(proposal, sales, sources)
    return revise(proposal, sales, prove, config)


def _put_together(proposal: Proposal, sales: Sales, sources: Mapping[str, SourceProposal]) -> None:
    proposal.sources = {name: sources[name] for name in _ORDER if name in sources}
    if sales.orders is not None:
        proposal.sources[sales.orders.name] = sales.orders
    proposal.general |= sales.general
    proposal.questions += sales.questions
    proposal.problems += sales.problems


def _without_sales(proposal: Proposal, found: Cast) -> None:
    """What was found beside the sales, which are missing."""
    for name, reading in found.members.items():
        proposal.sources[name] = member_source(reading, None, None)

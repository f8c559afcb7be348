"""What the proof of a proposal changes in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.column_rules import COUNTED
from config import StarSchemaConfig
from proposal.model import Proof, Proposal
from proposal.sales import ROLES, Sales

_LOSING = ("conflicting_duplicate",)
Prove = Callable[[Proposal, StarSchemaConfig], Proof]


def revise(proposal: Proposal, sales: Sales, prove: Prove, config: StarSchemaConfig) -> Proposal:
    """The proposal, with what the look at the first rows got wrong of all rows put right."""
    if proposal.problems:
        return proposal
    proof = prove(proposal, config)
    _recount(sales, proof)
    _without_attributes(proposal, sales, proof)
    return proposal


def _recount(sales: Sales, proof: Proof) -> None:
    """Count the lines of orders where a key that was proposed does not tell all rows apart."""
    found = proof.sources.get(sales.proposal.name)
    key = sales.columns.get("transaction_id")
    if found is None or not found.rejected["conflicting_duplicate"] or sales.table.is_whole:
        return
    if sales.order is None or (isinstance(key, list) and COUNTED in key):
        return
    columns: dict[str, Any] = sales.proposal.settings.setdefault("columns", {})
    columns["transaction_id"] = [sales.order, COUNTED]
    sales.proposal.evidence["transaction_id"] = (
        f"{found.rejected['conflicting_duplicate']:,} rows have the key of another: the lines of "
        f"each {sales.order} are counted"
    )


def _without_attributes(proposal: Proposal, sales: Sales, proof: Proof) -> None:
    """Leave out what differs from sale to sale of members that are made of the sales."""
    for name, role in ROLES.items():
        source = proposal.sources.get(name)
        found = proof.sources.get(name)
        if source is None or found is None or source.path != sales.proposal.path:
            continue
        if any(found.rejected[reason] for reason in _LOSING):
            columns = source.settings.get("columns", {})
            source.settings["columns"] = {role: columns.get(role, role)}

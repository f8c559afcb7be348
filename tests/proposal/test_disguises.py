"""A proposal gives the exact star, or says what it does not know: it is never confidently wrong.

DISGUISES=200 tries so many; each has a seed of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from config import load_config
from main import StarSchemaETLPipeline
from proposal import star_file
from proposal.model import Proof, Proposal
from proposal.proof import prove
from proposal.propose import propose
from proposal.toml_text import toml_text
from support.disguises import Disguise, Sale, disguised
from support.star import Star

SEEDS = range(int(os.environ.get("DISGUISES", "12")))
MATTERS = {
    "day": ("date",),
    "customer": ("customer",),
    "product": ("product",),
    "quantity": ("quantity",),
    "net": ("price", "total", "discount", "rate", "order_total", "quantity", "currency"),
}
"""By part of a sale: the columns that it depends on."""
OURS = {
    "date": "transaction_date", "customer": "customer_id", "product": "product_id",
    "price": "unit_price", "total": "line_amount", "discount": "discount_amount",
    "rate": "discount_rate",
}  # fmt: skip
"""What these columns are called by us, where it is otherwise."""


def loaded(star: Star) -> Counter[Sale]:
    """The sales that the star has."""
    rows = star.rows(
        "SELECT full_date, customer_id, product_id, quantity, net_amount FROM fact_sales "
        "JOIN dim_date USING (date_key) JOIN dim_customer USING (customer_key) "
        "JOIN dim_product USING (product_key)"
    )
    return Counter(
        Sale(day, customer, product, Decimal(quantity).normalize(), Decimal(net).normalize())
        for day, customer, product, quantity, net in rows
    )


def expected(made: Disguise) -> Counter[Sale]:
    return Counter(
        Sale(s.day, s.customer, s.product, s.quantity.normalize(), s.net.normalize())
        for s in made.sales
    )


def said(proposal: Proposal, proof: Proof) -> str:
    """All that a person is told not to be known or not to work, in lower case."""
    texts = [*proposal.problems, *proof.problems, *proof.refused]
    texts += [q.text + " ".join(c.text for c in q.choices) for q in proposal.questions]
    texts += [text for source in proposal.sources.values() for text in source.unknown]
    return "\n".join(texts).lower()


def unsaid(made: Disguise, star: Counter[Sale], told: str, proof: Proof) -> Iterator[str]:
    """What is wrong in the star and was not said."""
    true = expected(made)
    missing, extra = true - star, star - true
    if not missing and not extra:
        return
    sales = proof.sources["transactions"]
    if not extra and missing.total() <= sales.rejected.total():
        return  # each was refused, and told
    if star.total() != true.total():
        statuses = (made.names["status"], made.names["cancelled"], "status", "skip_when")
        keys = (made.names["order"], made.names["id"], "transaction_id", "unknown", "key")
        if not any(word.lower() in told for word in (*statuses, *keys)):
            yield f"{star.total()} sales instead of {true.total()}"
        return
    for part, columns in MATTERS.items():
        mine = Counter(getattr(sale, part) for sale in star.elements())
        if mine != Counter(getattr(sale, part) for sale in true.elements()):
            words = {made.names.get(column, column) for column in columns}
            words |= {OURS.get(column, column) for column in columns}
            if not any(word.lower() in told for word in words):
                yield f"another {part}"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_proposal_is_confidently_wrong(seed: int, duckdb_star: Star, tmp_path: Path) -> None:
    made = disguised(tmp_path / "in", seed)
    settings = {**duckdb_star.settings, "WORK_DIR": str(tmp_path / "work")}
    config = load_config(None, settings)
    proposal = propose([str(path) for path in made.paths], config, prove)
    proof = prove(proposal, config)
    told = said(proposal, proof)
    if proposal.problems or proof.problems:
        assert told, made  # there can be no run, and it is said why
        return
    star_file.write(tmp_path / "star.toml", toml_text(proposal))
    settings |= {
        "STAR_FILE": str(tmp_path / "star.toml"),
        "LOG_FILE": str(tmp_path / "etl.log"),
        "REJECTS_DIR": str(tmp_path / "rejects"),
    }
    results = StarSchemaETLPipeline(load_config(None, settings), quiet=True).run_full_pipeline()
    if not results["success"]:
        assert told, f"{made}: {results['errors']}"
        return
    wrong = list(unsaid(made, loaded(duckdb_star), told, proof))
    assert not wrong, f"{made}: {wrong}\n{toml_text(proposal)}"


def test_a_disguise_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, second = (disguised(tmp_path / name, 3) for name in ("a", "b"))
    assert first.sales == second.sales
    for one, other in zip(first.paths, second.paths, strict=True):
        assert one.read_bytes() == other.read_bytes() or one.suffix == ".xlsx"

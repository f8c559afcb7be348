"""Exports of systems that nobody tuned the proposal for: exact, or the right thing is asked or
said; never confidently wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from config import StarSchemaConfig, load_config
from main import StarSchemaETLPipeline
from proposal import star_file
from proposal.applied import answered
from proposal.model import Proof, Proposal
from proposal.proof import prove
from proposal.propose import propose
from proposal.toml_text import toml_text
from support import exports_of_ledgers, exports_of_others, exports_of_shops, exports_of_tills
from support.exports import Export, Sold
from support.star import Star

SALES = "transactions"
EXACT = (
    exports_of_shops.woocommerce, exports_of_shops.woocommerce_items, exports_of_shops.amazon,
    exports_of_shops.etsy, exports_of_shops.wix, exports_of_shops.bol, exports_of_tills.square,
    exports_of_tills.stripe, exports_of_tills.vend,
    exports_of_ledgers.prestashop, exports_of_ledgers.jtl, exports_of_ledgers.sap,
    exports_of_ledgers.xero, exports_of_ledgers.salesforce, exports_of_ledgers.postgres_shop,
    exports_of_ledgers.magento, exports_of_ledgers.meta, exports_of_ledgers.odoo,
    exports_of_tills.toast, exports_of_ledgers.dynamics,
    exports_of_others.cancelled_elsewhere, exports_of_shops.mercado,
)  # fmt: skip
ASKED = {
    exports_of_shops.shopify: "calendar day",
    exports_of_shops.shopify_months: "calendar day",
    exports_of_shops.squarespace: "calendar day",
    exports_of_ledgers.shopify_api: "calendar day",
    exports_of_shops.kaufland: "Which amount counts",
    exports_of_tills.bigcommerce: "What is Subtotal",
    exports_of_tills.gumroad: "Which amount counts",
}
"""What only a person can tell; one of the answers gives the exact star."""
TOLD = {
    exports_of_shops.tiktok: "status is platform's order status",
    exports_of_shops.ebay: "cannot be read as rows",
    exports_of_ledgers.netsuite: "no column names the customer",
    exports_of_ledgers.quickbooks: "no column names the customer",
}
"""What is right, but for something that is said."""
WARNED = {
    exports_of_others.credit_notes: "type is credit note in 6 rows",
    exports_of_others.returns: "transaction type is return in 6 rows",
    exports_of_others.marks: "kz is s in 4 rows",
}
"""What may be no sales, and loads as any sale does until somebody says so."""
REFUSED = {
    exports_of_shops.amazon_settlement: "rows rejected",
    exports_of_tills.paypal: "if these are no sales, skip_when leaves them out",
    exports_of_tills.clover: "order date has values such as 06-jan-2024 09:15 am est",
}
"""What must not be loaded so, and why."""


def config_in(folder: Path, **more: str) -> StarSchemaConfig:
    names = {"WORK_DIR": "work", "LOG_FILE": "etl.log", "REJECTS_DIR": "rejects"}
    return load_config(None, {**{n: str(folder / v) for n, v in names.items()}, **more})


def proposed(folder: Path) -> tuple[Proposal, Proof]:
    config = config_in(folder)
    found = propose([str(path) for path in sorted((folder / "in").iterdir())], config, prove)
    return found, prove(found, config)


def fits(made: Export, proof: Proof) -> bool:
    """Whether exactly the true sales would load."""
    sales = proof.sources[SALES]
    net = {sign: amount.normalize() for sign, amount in sales.net.items()}
    if made.net:
        is_true = net == {sign: amount.normalize() for sign, amount in made.net.items()}
    else:
        is_true = sum(net.values(), Decimal(0)) == made.total
    return is_true and sales.accepted == made.sold.total() and not proof.refused


def every_answer(proposal: Proposal) -> Iterator[Proposal]:
    """The proposal with each of the answers to its questions."""
    for picks in product(*(question.choices for question in proposal.questions)):
        found = proposal
        for question, choice in zip(proposal.questions, picks, strict=True):
            found = answered(found, question, choice)
        yield found


def said(proposal: Proposal, proof: Proof) -> str:
    texts = [*proposal.problems, *proof.problems, *proof.refused]
    texts += [text for source in proposal.sources.values() for text in source.unknown]
    return "\n".join(texts).lower()


def loaded(star: Star, proposal: Proposal, folder: Path) -> Counter[Sold]:
    """The sales of the star, after a run with the settings that are proposed."""
    star_file.write(folder / "star.toml", toml_text(proposal))
    config = config_in(folder, **{**star.settings, "STAR_FILE": str(folder / "star.toml")})
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert results["success"], results["errors"]
    rows = star.rows(
        "SELECT full_date, quantity, net_amount FROM fact_sales JOIN dim_date USING (date_key)"
    )
    return Counter(
        Sold(str(day), Decimal(quantity).normalize(), Decimal(net).normalize())
        for day, quantity, net in rows
    )


@pytest.mark.parametrize("system", EXACT, ids=lambda system: system.__name__)
def test_the_star_of_an_export_is_exact(system: Any, duckdb_star: Star, tmp_path: Path) -> None:
    made: Export = system(tmp_path / "in")
    proposal, proof = proposed(tmp_path)
    assert not proposal.questions
    assert not proof.refused
    assert not proof.sources[SALES].rejected
    assert loaded(duckdb_star, proposal, tmp_path) == made.sold
    for number, name in ((made.customers, "customer"), (made.products, "product")):
        count = f"SELECT COUNT(DISTINCT {name}_key) FROM fact_sales"
        assert number in (None, duckdb_star.rows(count)[0][0]), name


@pytest.mark.parametrize("system", ASKED, ids=lambda system: system.__name__)
def test_what_only_a_person_can_tell_is_asked(system: Any, tmp_path: Path) -> None:
    made: Export = system(tmp_path / "in")
    proposal, _ = proposed(tmp_path)
    assert len(proposal.questions) == 1
    assert ASKED[system] in proposal.questions[0].text
    proofs = [prove(each, config_in(tmp_path)) for each in every_answer(proposal)]
    assert any(fits(made, proof) for proof in proofs)


@pytest.mark.parametrize("system", TOLD, ids=lambda system: system.__name__)
def test_what_is_not_known_is_told(system: Any, tmp_path: Path) -> None:
    made: Export = system(tmp_path / "in")
    proposal, proof = proposed(tmp_path)
    assert not proposal.questions
    assert TOLD[system] in said(proposal, proof)
    assert fits(made, proof)


@pytest.mark.parametrize("system", WARNED, ids=lambda system: system.__name__)
def test_what_may_be_no_sales_is_told(system: Any, tmp_path: Path) -> None:
    system(tmp_path / "in")
    proposal, proof = proposed(tmp_path)
    assert WARNED[system] in said(proposal, proof)


@pytest.mark.parametrize("system", REFUSED, ids=lambda system: system.__name__)
def test_what_is_no_list_of_sales_is_refused(system: Any, tmp_path: Path) -> None:
    system(tmp_path / "in")
    proposal, proof = proposed(tmp_path)
    assert proposal.problems or proof.refused
    assert REFUSED[system] in said(proposal, proof)

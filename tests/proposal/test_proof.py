"""What a proposal comes to, by a look at all rows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from config import load_config
from proposal.applied import with_proposal
from proposal.model import Proof, Proposal, SourceProposal
from proposal.proof import prove
from support.retailer import Retailer


def proven(shop: Retailer, rows: int | None = None, limit: str = "1", **of_sales: Any) -> Proof:
    """The proof of settings for the shop's sales, beside its other files as they are."""
    settings = shop.settings()
    sources = {
        name: SourceProposal(name, settings[f"{name.upper()}__PATH"])
        for name in ("customers", "products", "transactions")
    }
    sources["transactions"].settings = of_sales
    others = {name: text for name, text in settings.items() if "__" not in name}
    others["MAX_REJECT_RATE"] = limit
    return prove(Proposal(sources), load_config(None, others), rows)


def test_all_rows_are_judged_as_a_run_would(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.sales[1]["quantity"] = "three"
    shop.sales.append({**shop.sales[0]})
    shop.sales.append({**shop.sales[0], "transaction_id": "T9", "customer_id": "C9"})
    shop.sales.append({**shop.sales[0], "transaction_id": "T10", "customer_id": ""})
    shop.customers[0]["email"] = "nobody"
    proof = proven(shop)
    assert (proof.problems, proof.refused) == ([], [])
    sales = proof.sources["transactions"]
    assert (sales.read, sales.accepted, sales.duplicates) == (6, 4, 1)
    assert sales.rejected == {"invalid_quantity": 1}
    assert sales.examples == {"invalid_quantity": f"{shop.path('transactions')}, line 3: 'three'"}
    assert sales.net == {"": Decimal(1560)}
    assert sales.strangers == {"customer_id": 1}
    assert sales.nameless == {"customer_id": 1, "product_id": 0, "sales_rep_id": 0}
    assert proof.sources["customers"].issues == {"email": 1}
    results = shop.publish()
    assert results["fact_loading_results"]["records_inserted"] == sales.accepted


def test_net_amounts_are_told_by_currency(duckdb_shop: Retailer) -> None:
    for sale, currency in zip(duckdb_shop.sales, ("EUR", "USD", "EUR"), strict=True):
        sale["money"] = currency
    sales = proven(duckdb_shop, columns={"currency": "money"}).sources["transactions"]
    assert sales.net == {"EUR": Decimal(560), "USD": Decimal("169.9725")}


def test_what_a_run_would_refuse_is_said(duckdb_shop: Retailer) -> None:
    for sale in duckdb_shop.sales:
        sale["transaction_date"] = "29.02.2024"
    refused = proven(duckdb_shop, limit="0.5")
    assert refused.sources["transactions"].rejected == {"invalid_date": 3}
    assert refused.refused == ["transactions: 3 of 3 rows rejected, above MAX_REJECT_RATE=0.5"]
    fits = proven(duckdb_shop, date_formats=["%d.%m.%Y", "ISO8601"])
    assert fits.sources["transactions"].accepted == 3


def test_settings_that_cannot_be_are_problems(duckdb_shop: Retailer) -> None:
    proof = proven(duckdb_shop, decimal_separator=";", date_formats=["%Y"])
    assert proof.sources == {}
    assert [problem.split()[0] for problem in proof.problems] == [
        "TRANSACTIONS__DATE_FORMATS",
        "TRANSACTIONS__DECIMAL_SEPARATOR",
    ]


def test_a_column_that_is_not_there_leaves_the_other_sources(duckdb_shop: Retailer) -> None:
    proof = proven(duckdb_shop, columns={"customer_id": "nowhere"})
    assert len(proof.problems) == 1
    assert "nowhere" in proof.problems[0]
    assert set(proof.sources) == {"customers", "products"}


def test_a_source_that_nobody_proposes_is_missing_and_no_sample_takes_its_place(
    duckdb_shop: Retailer,
) -> None:
    path = duckdb_shop.settings()["TRANSACTIONS__PATH"]
    proposal = Proposal({"transactions": SourceProposal("transactions", path)})
    proof = prove(proposal, load_config(None, {"WORK_DIR": str(duckdb_shop.folder / "work")}))
    assert [problem.split(":")[0] for problem in proof.problems] == ["customers", "products"]
    assert set(proof.sources) == {"transactions"}


@pytest.mark.parametrize("part", ["null_tokens", "extract", "currency"])
def test_what_no_look_at_a_file_tells_stays_as_it_is_set(duckdb_shop: Retailer, part: str) -> None:
    value = {"null_tokens": json.dumps(["none"]), "extract": "full", "currency": "EUR"}[part]
    config = duckdb_shop.config(**{f"TRANSACTIONS__{part.upper()}": value})
    path = str(config.source("transactions").path)
    same = Proposal({"transactions": SourceProposal("transactions", path)})
    before = getattr(config.source("transactions"), part)
    assert getattr(with_proposal(config, same).source("transactions"), part) == before
    other = Proposal({"transactions": SourceProposal("transactions", "elsewhere.csv")})
    assert getattr(with_proposal(config, other).source("transactions"), part) != before


def test_a_look_at_some_rows_is_enough_to_compare(duckdb_shop: Retailer) -> None:
    first = duckdb_shop.sales[0]
    duckdb_shop.sales = [{**first, "transaction_id": f"T{n}"} for n in range(100)]
    assert proven(duckdb_shop, rows=10).sources["transactions"].read < 20


def test_nothing_is_kept(duckdb_shop: Retailer) -> None:
    duckdb_shop.settings()
    before = sorted(duckdb_shop.folder.rglob("*"))
    proven(duckdb_shop)
    assert sorted(duckdb_shop.folder.rglob("*")) == before

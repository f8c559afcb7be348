"""What is proposed for the exports of shops loads their true totals."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config import load_config
from proposal.applied import answered
from proposal.model import Proof, Proposal
from proposal.proof import prove
from proposal.propose import propose
from support.absent import shared_data
from support.more_exports import EXPORTS as MORE_EXPORTS
from support.shop_exports import EXPORTS
from support.shops import SHAPES, Shop

SALES = "transactions"


def proposed(*paths: Path) -> tuple[Proposal, Proof]:
    """What is proposed for some paths, and what a run with it would find."""
    config = load_config(None, {"WORK_DIR": "work", "LOG_FILE": "etl.log"})
    proposal = propose([str(path) for path in paths], config, prove)
    return proposal, prove(proposal, config)


def _proofs_of_answers(proposal: Proposal) -> Iterator[Proof]:
    """What a run would find with each answer to a question."""
    config = load_config(None, {"WORK_DIR": "work", "LOG_FILE": "etl.log"})
    for question in proposal.questions:
        for choice in question.choices:
            yield prove(answered(proposal, question, choice), config)


def net(proof: Proof) -> Decimal:
    return sum(proof.sources[SALES].net.values(), Decimal(0))


@pytest.mark.parametrize(
    "shape",
    [*SHAPES, *EXPORTS, *MORE_EXPORTS],
    ids=lambda shape: shape.__name__,
)
def test_the_exports_of_a_system_are_proposed_with_their_true_totals(
    shape: Any, tmp_path: Path
) -> None:
    shop: Shop = shape(tmp_path / "in")
    proposal, proof = proposed(*sorted((tmp_path / "in").iterdir()))
    assert not proposal.problems
    assert not proof.problems
    assert not proof.refused
    assert len(proposal.questions) <= shop.questions, proposal.questions
    proofs = [proof, *_proofs_of_answers(proposal)]
    assert (shop.sales, shop.net) in [(p.sources[SALES].accepted, net(p)) for p in proofs]
    sales = proof.sources[SALES]
    assert sales.rejected.total() == shop.rejected
    assert not sales.strangers or any("key_case" in s.settings for s in proposal.sources.values())
    for name, columns in shop.columns.items():
        mapped = proposal.sources[name].settings.get("columns", {})
        assert columns.items() <= mapped.items()


@pytest.mark.parametrize("disguise", ["canonical", "renamed", "german", "shopify"])
@pytest.mark.parametrize("name", ["northwind", "chinook"])
def test_real_data_in_disguise_has_its_true_totals(
    name: str, disguise: str, tmp_path: Path
) -> None:
    folder = shared_data(name)
    truth = json.loads((folder / "truth.json").read_text())
    paths = [folder / n for n in ("customers.csv", "products.json", "sales.csv", "sales_reps.csv")]
    if disguise != "canonical":
        paths = DISGUISES[disguise](folder, tmp_path)
    proposal, proof = proposed(*paths)
    assert not proof.problems
    assert len(proposal.questions) <= 1
    sales = proof.sources[SALES]
    assert (sales.accepted, net(proof)) == (truth["sales_lines"], Decimal(truth["net"]))


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _written(path: Path, rows: list[dict[str, Any]], **how: Any) -> Path:
    encoding = how.pop("encoding", "utf-8")
    with path.open("w", encoding=encoding, errors="replace", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **how)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _renamed(rows: list[dict[str, Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    return [{names[k]: v for k, v in row.items() if k in names} for row in rows]


def _other_names(folder: Path, out: Path) -> list[Path]:
    """The same files with English names."""
    sales = {
        "transaction_id": "Order Line ID", "transaction_date": "Sold On", "quantity": "Qty",
        "customer_id": "Customer No", "product_id": "SKU", "sales_rep_id": "Salesperson",
        "unit_price": "Unit Price", "discount_amount": "Discount",
    }  # fmt: skip
    customers = {
        "customer_id": "Customer No", "first_name": "Given Name", "last_name": "Surname",
        "company": "Business Name", "city": "Town", "country": "Country Name",
    }  # fmt: skip
    items = [
        {"SKU": p["product_id"], "Title": p["name"], "List Price": p["price"]}
        for p in json.loads((folder / "products.json").read_text(encoding="utf-8"))
    ]
    return [
        _written(out / "orders.tsv", _renamed(_rows(folder, "sales"), sales), delimiter="\t"),
        _written(out / "clients.csv", _renamed(_rows(folder, "customers"), customers)),
        _written(out / "items.csv", items),
    ]


def _german(folder: Path, out: Path) -> list[Path]:
    """Semicolons, cp1252, decimal commas, points in dates, and an envelope around the products."""
    how = {"delimiter": ";", "encoding": "cp1252"}
    sales = [
        {
            "Belegnr": row["transaction_id"],
            "Datum": ".".join(reversed(row["transaction_date"].split("-"))),
            "Kundennr": row["customer_id"],
            "Artikelnr": row["product_id"],
            "Verkäufer": row["sales_rep_id"],
            "Menge": row["quantity"],
            "Einzelpreis": row["unit_price"].replace(".", ","),
            "Rabatt": row["discount_amount"].replace(".", ","),
        }
        for row in _rows(folder, "sales")
    ]
    customers = {"customer_id": "Kundennr", "last_name": "Nachname", "city": "Ort"}
    products = [
        {"artikelnr": p["product_id"], "bezeichnung": p["name"], "preise": {"vk": p["price"]}}
        for p in json.loads((folder / "products.json").read_text(encoding="utf-8"))
    ]
    articles = out / "artikel.json"
    articles.write_text(json.dumps({"stand": "2026-01-01", "artikel": products}))
    return [
        _written(out / "Verkauf.csv", sales, **how),
        _written(out / "Kunden.csv", _renamed(_rows(folder, "customers"), customers), **how),
        articles,
    ]


def _like_shopify(folder: Path, out: Path) -> list[Path]:
    """One file, with what belongs to an order on its first line only."""
    rows: list[dict[str, Any]] = []
    number, before = 1000, ("", "")
    for row in _rows(folder, "sales"):
        order = (row["transaction_date"], row["customer_id"])
        is_first, before = order != before, order
        number += is_first
        rows.append(
            {
                "Name": f"#{number}",
                "Email": f"{row['customer_id'].lower()}@shop.example",
                "Financial Status": "paid" if is_first else "",
                "Currency": "USD" if is_first else "",
                "Total": "99.00" if is_first else "",
                "Discount Amount": "0.00" if is_first else "",
                "Created at": f"{row['transaction_date']} 10:00:00 +0000",
                "Lineitem quantity": row["quantity"],
                "Lineitem name": f"Product {row['product_id']}",
                "Lineitem price": row["unit_price"],
                "Lineitem sku": row["product_id"],
                "Lineitem discount": row["discount_amount"],
            }
        )
    return [_written(out / "orders_export.csv", rows)]


DISGUISES = {"renamed": _other_names, "german": _german, "shopify": _like_shopify}


def test_a_column_that_is_called_as_ours_and_means_another_thing_is_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "Name,Email,Created at,Lineitem quantity,Lineitem price,Lineitem sku\n"
        "#1001,a@example.com,2024-03-15,2,10.00,P1\n"
        "#1001,a@example.com,2024-03-15,1,10.00,P1\n"
        "#1002,b@example.com,2024-03-16,3,10.00,P1\n"
        "#1002,b@example.com,2024-03-16,1,20.00,P2\n"
        "#1003,a@example.com,2024-03-17,2,20.00,P2\n",
        encoding="utf-8",
    )
    proposal, _ = proposed(path)
    assert proposal.sources["products"].settings["columns"]["name"] == {"value": ""}
    assert "last_name" not in proposal.sources["customers"].settings["columns"]

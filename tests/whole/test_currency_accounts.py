"""Amounts of several currencies: each has accounts of its own, which close, and no sum."""

from __future__ import annotations

from typing import Any

from main import StarSchemaETLPipeline
from report.run_text import run_text
from report.screen import Screen
from support.retailer import Retailer
from support.tables import Row

MAPPED = {"TRANSACTIONS__COLUMNS": '{"currency": "currency"}'}


def in_currencies(shop: Retailer, *currencies: str) -> None:
    for row, currency in zip(shop.sales, currencies, strict=True):
        row["currency"] = currency


def accounts(results: Row) -> Any:
    return results["validation_results"]["reconciliation"]


def without_zeros(part: dict[str, Any]) -> dict[str, str]:
    assert part["closed"]
    return {name: n for name, n in part.items() if n not in ("0.0000", True)}


def test_each_currency_has_accounts_of_its_own(shop: Retailer) -> None:
    in_currencies(shop, "EUR", "USD", "EUR")
    told = accounts(shop.publish(**MAPPED))
    assert "money" not in told
    assert "after" not in told["balance"]
    assert told["balance"]["rows_after"] == 3
    found = {name: without_zeros(part["money"]) for name, part in told["currencies"].items()}
    assert found == {
        "EUR": {"read": "560.0000", "loaded": "560.0000"},
        "USD": {"read": "169.9725", "loaded": "169.9725"},
    }


def test_a_sale_that_changes_its_currency_moves_its_money(shop: Retailer) -> None:
    in_currencies(shop, "EUR", "USD", "EUR")
    shop.publish(**MAPPED)
    shop.sales[0] |= {"currency": "USD", "is_deleted": ""}
    shop.sales[2]["is_deleted"] = "yes"
    shop.sales[1]["quantity"] = "many"
    told = accounts(shop.publish(**MAPPED))
    money = {name: without_zeros(part["money"]) for name, part in told["currencies"].items()}
    assert money == {
        "EUR": {"read": "60.0000", "deleted": "60.0000"},
        "USD": {"read": "500.0000", "loaded": "500.0000"},
    }
    star = {name: without_zeros(part["balance"]) for name, part in told["currencies"].items()}
    assert star == {
        "EUR": {"before": "560.0000", "corrected": "-500.0000", "removed": "60.0000"},
        "USD": {"before": "169.9725", "corrected": "500.0000", "after": "669.9725"},
    }


def test_what_is_rejected_is_told_by_reason_and_currency(shop: Retailer) -> None:
    """By a rule, by a later row with the same key, as nobody knows the member; what cannot be read
    has no amount.
    """
    in_currencies(shop, "EUR", "USD", "EUR")
    first = shop.sales[0]
    shop.sales += [
        {**first, "transaction_id": "T4", "transaction_date": "never"},
        {**first, "transaction_id": "T5", "transaction_date": "never", "currency": "USD"},
        {**first, "transaction_id": "T6", "quantity": "many"},
        {**first, "quantity": "5"},
        {**first, "transaction_id": "T7", "customer_id": "C9", "currency": "USD"},
        {**first, "transaction_id": "T8", "product_id": "P9"},
    ]
    results = shop.publish(**MAPPED, ORPHAN_POLICY="reject")
    told = results["transformation_results"]["fact_sales"]["rejected_money"]
    assert told == {
        "invalid_date": {"EUR": "500.0000", "USD": "500.0000"},
        "conflicting_duplicate": {"EUR": "500.0000"},
        "unknown_customer": {"USD": "500.0000"},
        "unknown_product": {"EUR": "500.0000"},
    }
    currencies = accounts(results)["currencies"]
    rejected = {name: part["money"]["rejected"] for name, part in currencies.items()}
    assert rejected == {"EUR": "1500.0000", "USD": "1000.0000"}
    assert (
        shop.publish(**MAPPED, ORPHAN_POLICY="reject")["transformation_results"]
        == (results["transformation_results"])
    )


def test_one_currency_has_its_sum_as_well(shop: Retailer) -> None:
    in_currencies(shop, "EUR", "EUR", "EUR")
    told = accounts(shop.publish(**MAPPED))
    assert list(told["currencies"]) == ["EUR"]
    assert told["money"]["loaded"] == "729.9725"
    assert told["balance"]["after"] == "729.9725"


def test_the_star_keeps_its_currencies_apart_when_the_source_names_none(shop: Retailer) -> None:
    in_currencies(shop, "EUR", "EUR", "EUR")
    shop.publish(**MAPPED)
    for row in shop.sales:
        del row["currency"]
    shop.sales = [shop.sales[0] | {"transaction_id": "T9"}]
    told = accounts(shop.publish())
    assert {name: part["balance"]["after"] for name, part in told["currencies"].items()} == {
        "": "500.0000", "EUR": "729.9725",
    }  # fmt: skip
    again = accounts(shop.publish())
    assert again["currencies"]["EUR"]["balance"]["before"] == "729.9725"


def test_the_summary_shows_a_line_for_each_currency(shop: Retailer) -> None:
    in_currencies(shop, "EUR", "USD", "EUR")
    pipeline = StarSchemaETLPipeline(shop.config(**MAPPED), quiet=True)
    pipeline.run_full_pipeline()
    assert pipeline.summary is not None
    shown = run_text(pipeline.summary, pipeline.config, Screen(80))
    text = [" ".join(line.split()) for line in shown.splitlines()]
    assert "net amount EUR 560 560 · ✔ closes" in text
    assert "net amount USD 169.97 169.97 · ✔ closes" in text

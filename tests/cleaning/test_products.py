"""Prices, costs, tiers, margins and specifications."""

from __future__ import annotations

from decimal import Decimal

import pytest

from support.cleaning import issues, product


def test_a_product_without_names_says_so() -> None:
    row = product(name=" ", category="", brand="NULL")
    assert row["product_name"] == "Product P1"
    assert (row["category"], row["brand"]) == ("Unknown", "Unknown")
    assert product() == {
        "product_id": "P1", "product_name": "Product P1", "category": "Unknown",
        "brand": "Unknown", "price": None, "cost": None, "is_cost_estimated": False,
        "price_tier": "Unknown", "profit_margin_pct": None, "specifications": None,
        "is_deleted": False, "is_inferred": False,
    }  # fmt: skip


@pytest.mark.parametrize("bad", ["abc", "-1", "-0.01", "NaN", "1e400", "1_000", "Infinity"])
def test_an_unusable_price_or_cost_is_null_and_counted(bad: str) -> None:
    row = product(price=bad, cost="5")
    assert (row["price"], row["cost"], row["price_tier"]) == (None, Decimal(5), "Unknown")
    assert issues("products", price=bad, cost="5") == {"price": 1}
    assert issues("products", price=bad, cost=bad) == {"price": 1, "cost": 1}
    row = product(price="10", cost=bad)  # what cannot be read is not what is missing
    assert (row["cost"], row["is_cost_estimated"], row["profit_margin_pct"]) == (None, False, None)


@pytest.mark.parametrize(
    ("price", "cost", "expected", "estimated"),
    [
        ("100", "60", "60", False),
        ("100", "", "70", True),
        ("0.99", None, "0.693", True),
        ("0.0001", "", "0.0001", True),  # 0.00007 is rounded half away from zero
        ("0", "", "0", True),
        ("100", "0", "0", False),
        ("", "", None, False),
        ("", "5", "5", False),
    ],
)
def test_a_missing_cost_is_estimated_from_the_price(
    price: str, cost: str | None, expected: str | None, estimated: bool
) -> None:
    row = product(price=price, cost=cost)
    assert row["cost"] == (None if expected is None else Decimal(expected))
    assert row["is_cost_estimated"] is estimated


@pytest.mark.parametrize("ratio", ["0.5", "0", "1", "0.33333", "0.123456789", "1.25"])
def test_the_cost_ratio_is_a_setting_of_any_precision(ratio: str) -> None:
    row = product({"DEFAULT_COST_RATIO": ratio}, price="1000")
    exact = (Decimal(ratio) * 1000).quantize(Decimal("0.0001"), "ROUND_HALF_UP")
    assert row["cost"] == exact


@pytest.mark.parametrize(
    ("price", "tier"),
    [
        ("200", "High"), ("199.9999", "Medium"), ("50", "Medium"), ("49.9999", "Low"),
        ("0", "Low"), ("", "Unknown"), ("-3", "Unknown"), ("99999999999", "High"),
    ],
)  # fmt: skip
def test_a_price_tier_begins_at_its_bound(price: str, tier: str) -> None:
    assert product(price=price)["price_tier"] == tier


@pytest.mark.parametrize(("price", "tier"), [("10.12345", "High"), ("10.1234", "Medium")])
def test_the_bounds_of_price_tiers_are_settings(price: str, tier: str) -> None:
    bounds = {"PRICE_TIER_HIGH": "10.12341", "PRICE_TIER_MEDIUM": "1"}
    assert product(bounds, price=price)["price_tier"] == tier


@pytest.mark.parametrize(
    ("price", "cost", "margin"),
    [
        ("100", "60", "40"),
        ("250", "", "30"),
        ("3", "2", "33.33"),
        ("3", "1", "66.67"),
        ("200", "199.99", "0.01"),  # 0.005 is rounded half away from zero
        ("200", "200.01", "-0.01"),
        ("10", "15", "-50"),
        ("0", "5", None),
        ("", "5", None),
    ],
)
def test_a_margin_has_two_decimals(price: str, cost: str, margin: str | None) -> None:
    expected = None if margin is None else Decimal(margin)
    assert product(price=price, cost=cost)["profit_margin_pct"] == expected


def test_an_absurd_margin_stops_nothing() -> None:
    row = product(price="0.0001", cost="90000000000000")
    assert row["cost"] == 90_000_000_000_000
    assert row["profit_margin_pct"] is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"b": 1, "a": {"d": None, "c": [True, "ü"]}}, '{"a":{"c":[true,"ü"],"d":null},"b":1}'),
        ('{"b": 1, "a": 2.50}', '{"a":2.50,"b":1}'),
        ([3, 1, 2], "[3,1,2]"),
        ("plain words", '"plain words"'),
        ("", None),
        (None, None),
    ],
)
def test_specifications_are_json_in_one_canonical_form(given: object, stored: str | None) -> None:
    assert product(specifications=given)["specifications"] == stored

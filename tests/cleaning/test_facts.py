"""The measures of a sale, and why one is rejected."""

from __future__ import annotations

from decimal import Decimal

import pytest

from common.rejects import REASONS
from support.cleaning import SALE, sale, transformer
from support.tables import Row


def test_amounts_follow_from_quantity_price_and_discount() -> None:
    row = sale(quantity="3", unit_price="59.99", discount_amount="9.9975")
    assert isinstance(row, dict)
    measures = ("quantity", "unit_price", "discount_amount", "gross_amount", "net_amount")
    assert [row[name] for name in measures] == [
        Decimal(text) for text in ("3", "59.99", "9.9975", "179.97", "169.9725")
    ]
    assert row["date_key"] == 20240229


@pytest.mark.parametrize(
    ("quantity", "price", "gross"),
    [
        ("0.3333", "0.0005", "0.0002"),  # 0.00016665
        ("0.5", "0.0001", "0.0001"),  # 0.00005, half away from zero
        ("0.1", "0.0005", "0.0001"),
        ("0.1", "0.0004", "0.0000"),
        ("9999999", "9999999", "99999980000001"),
    ],
)
def test_gross_is_rounded_half_away_from_zero(quantity: str, price: str, gross: str) -> None:
    row = sale(quantity=quantity, unit_price=price)
    assert isinstance(row, dict)
    assert row["gross_amount"] == Decimal(gross)


def test_an_amount_past_what_the_warehouse_can_hold_is_refused() -> None:
    huge = {"quantity": "99999999999", "unit_price": "99999999999"}
    assert sale(**huge) == "invalid_unit_price"


@pytest.mark.parametrize(
    ("amount", "rate", "discount"),
    [
        ("5", "", "5"),
        ("", "0.25", "25"),
        ("NULL", "0.25", "25"),
        ("5", "0.25", "5"),  # the amount says it more precisely
        ("", "", "0"),
        (None, None, "0"),
        ("", "0", "0"),
        ("", "1", "100"),
        ("100", "", "100"),
        ("", "0.33333", "33.333"),
        ("", "0.123456", "12.3456"),
        ("", "0.00000049", "0"),
        ("", "0.0000005", "0.0001"),
        ("", "10%", "10"),
        ("", "12.5 %", "12.5"),
        ("", "33.33333\u00a0%", "33.3333"),
        ("", "+0%", "0"),
        ("", "100.00%", "100"),
        ("5", "10%", "5"),
    ],
)
def test_a_discount_is_an_amount_or_a_rate_of_the_gross(
    amount: str | None, rate: str | None, discount: str
) -> None:
    row = sale(quantity="1", unit_price="100", discount_amount=amount, discount_rate=rate)
    assert isinstance(row, dict), row
    assert row["discount_amount"] == Decimal(discount)
    assert row["net_amount"] == 100 - Decimal(discount)


@pytest.mark.parametrize("rate", ["1.0001", "1.00001", "1.00000000001", "-0.1", "25"])
def test_a_discount_rate_is_between_0_and_1(rate: str) -> None:
    assert sale(discount_amount="", discount_rate=rate) == "invalid_discount"


@pytest.mark.parametrize(
    "rate", ["100.0000001%", "-1%", "%", "%10", "10%%", "1 0%", "12,5%", "NaN%"]
)
def test_a_percentage_is_a_number_from_0_to_100(rate: str) -> None:
    assert sale(discount_amount="", discount_rate=rate) == "invalid_discount"


def test_an_amount_is_no_percentage() -> None:
    assert sale(unit_price="5%") == "invalid_unit_price"
    assert sale(quantity="5%") == "invalid_quantity"
    assert sale(discount_amount="5%") == "invalid_discount"


def test_a_percentage_may_have_a_decimal_comma() -> None:
    comma = {"TRANSACTIONS__DECIMAL_SEPARATOR": ","}
    row = sale(comma, quantity="1", unit_price="100", discount_amount="", discount_rate="12,5 %")
    assert isinstance(row, dict), row
    assert row["discount_amount"] == Decimal("12.5")


def test_the_detail_of_a_bad_rate_shows_the_rate() -> None:
    rows = [SALE | {"discount_amount": "", "discount_rate": "125%"}]
    rejects = transformer().prepare("transactions", rows).rejects
    assert rejects["_detail"].to_pylist() == ["125%"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"customer_id": "C\0"}, "invalid_text"),
        ({"transaction_id": "\ud800"}, "invalid_text"),
        ({"transaction_id": ""}, "missing_key"),
        ({"transaction_id": None}, "missing_key"),
        ({"product_id": " "}, "missing_key"),
        ({"transaction_date": ""}, "invalid_date"),
        ({"transaction_date": "2024-02-30"}, "invalid_date"),
        ({"transaction_date": "1899-12-31"}, "date_out_of_range"),
        ({"quantity": "two"}, "invalid_quantity"),
        ({"quantity": "0"}, "non_positive_quantity"),
        ({"quantity": "-1"}, "non_positive_quantity"),
        ({"quantity": "0.00004"}, "non_positive_quantity"),
        ({"unit_price": "abc"}, "invalid_unit_price"),
        ({"unit_price": "0"}, "non_positive_price"),
        ({"unit_price": "-4.99"}, "non_positive_price"),
        ({"discount_amount": "free"}, "invalid_discount"),
        ({"discount_amount": "-0.01"}, "invalid_discount"),
        ({"discount_amount": "20.0001"}, "negative_net_amount"),
        ({"unit_cost": "cheap"}, "invalid_unit_cost"),
        ({"unit_cost": "-0.01"}, "invalid_unit_cost"),
    ],
)
def test_a_sale_is_rejected_for_its_reason(changed: Row, reason: str) -> None:
    assert sale(**changed) == reason


FAULTS: list[tuple[str, Row]] = [
    ("invalid_text", {"customer_id": "\0"}),
    ("missing_key", {"transaction_id": ""}),
    ("invalid_date", {"transaction_date": "n/a"}),
    ("date_out_of_range", {"transaction_date": "1850-01-01"}),
    ("invalid_quantity", {"quantity": "x"}),
    ("non_positive_quantity", {"quantity": "0"}),
    ("invalid_unit_price", {"unit_price": "x"}),
    ("non_positive_price", {"unit_price": "0"}),
    ("invalid_discount", {"discount_amount": "x"}),
    ("negative_net_amount", {"discount_amount": "1000"}),
    ("invalid_unit_cost", {"unit_cost": "x"}),
    ("other_currency", {"currency": "4711"}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
@pytest.mark.parametrize("second", range(len(FAULTS)))
def test_of_several_reasons_the_first_in_order_is_told(first: int, second: int) -> None:
    (reason, fault), (other, fault_too) = FAULTS[first], FAULTS[second]
    if REASONS.index(reason) > REASONS.index(other) or set(fault) & set(fault_too):
        return
    assert sale(**fault, **fault_too) == reason


def test_the_reasons_are_those_of_the_contract_in_its_order() -> None:
    assert REASONS == (
        "malformed_row", "invalid_text", "missing_key", "invalid_date", "date_out_of_range",
        "invalid_quantity", "non_positive_quantity", "invalid_unit_price", "non_positive_price",
        "invalid_discount", "negative_net_amount", "invalid_unit_cost", "other_currency",
        "conflicting_duplicate", "unknown_order", "unknown_customer", "unknown_product",
        "unknown_sales_rep",
    )  # fmt: skip


def test_a_blank_customer_or_rep_is_no_fault() -> None:
    row = sale(customer_id=None, sales_rep_id=" ")
    assert isinstance(row, dict)
    assert (row["customer_id"], row["sales_rep_id"]) == ("", "")


@pytest.mark.parametrize("source", ["customers", "products", "sales_reps"])
def test_a_member_is_rejected_without_its_key_or_with_unstorable_text(source: str) -> None:
    key = {"customers": "customer_id", "products": "product_id", "sales_reps": "sales_rep_id"}
    name = "email" if source == "sales_reps" else {"customers": "city"}.get(source, "brand")
    rows = [{key[source]: i, name: t} for i, t in ((" ", "x"), ("2", "a\0b"), ("3", "x"))]
    prepared = transformer().prepare(source, rows)
    assert prepared.rejects["_reason"].to_pylist() == ["invalid_text", "missing_key"]
    assert prepared.rows[key[source]].to_pylist() == ["3"]


def test_returns_are_accepted_when_the_setting_says_so() -> None:
    row = sale({"ACCEPT_RETURNS": True}, quantity="-2", discount_amount="-5")
    assert isinstance(row, dict)
    assert [row[n] for n in ("quantity", "gross_amount", "net_amount")] == [-2, -20, -15]
    assert sale({"ACCEPT_RETURNS": True}, quantity="0") == "non_positive_quantity"


@pytest.mark.parametrize(
    "given",
    [{"discount_amount": "3"}, {"discount_amount": "-3"},
     {"discount_amount": "", "discount_rate": "0.15"}],
)  # fmt: skip
def test_a_returns_discount_has_the_sign_of_the_return(given: Row) -> None:
    row = sale({"ACCEPT_RETURNS": True}, quantity="-2", **given)
    assert isinstance(row, dict)
    assert [row[n] for n in ("gross_amount", "discount_amount", "net_amount")] == [-20, -3, -17]


@pytest.mark.parametrize("discount", ["20.01", "-20.01", "x"])
def test_a_return_gives_no_more_back_than_was_paid(discount: str) -> None:
    given = {"quantity": "-2", "discount_amount": discount}
    assert sale({"ACCEPT_RETURNS": True}, **given) == "invalid_discount"


@pytest.mark.parametrize(
    ("amount", "rate", "discount"),
    [
        ("x", "", None), ("x", "0.1", None), ("x", "x", None), ("", "x", None), ("NULL", "x", None),
        ("5%", "0.1", None), ("NULL", "NULL", "0"), ("", "NULL", "0"), ("5", "x", "5"),
    ],
)  # fmt: skip
def test_a_discount_that_cannot_be_read_is_not_a_missing_one(
    amount: str, rate: str, discount: str | None
) -> None:
    row = sale(quantity="1", discount_amount=amount, discount_rate=rate)
    if discount is None:
        assert row == "invalid_discount"
    else:
        assert isinstance(row, dict)
        assert row["discount_amount"] == Decimal(discount)


def test_free_items_are_accepted_when_the_setting_says_so() -> None:
    row = sale({"ACCEPT_FREE_ITEMS": True}, unit_price="0")
    assert isinstance(row, dict)
    assert (row["gross_amount"], row["net_amount"]) == (0, 0)
    assert sale({"ACCEPT_FREE_ITEMS": True}, unit_price="-1") == "non_positive_price"


def test_a_line_whose_order_is_not_there_is_refused_before_all_that_the_order_says() -> None:
    lost = {
        "UNKNOWN_ORDER": "no order has order_id 7",
        "transaction_date": None,
        "customer_id": None,
    }
    rows = [
        SALE | {"UNKNOWN_ORDER": None},
        SALE | {"transaction_id": "T2"} | lost,
        SALE | {"transaction_id": ""} | lost,
        SALE | {"transaction_id": "T4", "is_deleted": "yes"} | lost,
    ]
    prepared = transformer().prepare("transactions", rows)
    assert prepared.rejects["_reason"].to_pylist() == ["missing_key", "unknown_order"]
    assert prepared.rows["transaction_id"].to_pylist() == ["T1"]


@pytest.mark.parametrize(
    ("rate", "discount"),
    [("5", "5"), ("5%", "5"), ("5 %", "5"), ("0.5", "0.5"), ("0", "0"), ("100", "100")],
)
def test_a_rate_may_be_in_percent(rate: str, discount: str) -> None:
    percent = {"TRANSACTIONS__RATE_UNIT": "percent"}
    row = sale(percent, quantity="1", unit_price="100", discount_amount="", discount_rate=rate)
    assert isinstance(row, dict), row
    assert row["discount_amount"] == Decimal(discount)


@pytest.mark.parametrize("rate", ["100.01", "101%", "-5", "$5", "x"])
def test_a_rate_in_percent_is_from_0_to_100(rate: str) -> None:
    percent = {"TRANSACTIONS__RATE_UNIT": "percent"}
    assert sale(percent, discount_amount="", discount_rate=rate) == "invalid_discount"


@pytest.mark.parametrize(
    ("rate", "is_told"),
    [("15", True), ("1.5", True), ("100", True), ("101", False), ("15x", False)],
)
def test_the_detail_of_a_rate_above_1_names_the_setting(rate: str, is_told: bool) -> None:
    rows = [SALE | {"discount_amount": "", "discount_rate": rate}]
    (detail,) = transformer().prepare("transactions", rows).rejects["_detail"].to_pylist()
    assert detail.startswith(rate)
    assert ("RATE_UNIT=percent" in detail) == is_told


@pytest.mark.parametrize("dash", ["-", "\u2013", "\u2014", "\u2212", " - "])
def test_a_lone_dash_is_no_discount_and_no_number_elsewhere(dash: str) -> None:
    row = sale(discount_amount=dash, discount_rate=dash)
    assert isinstance(row, dict), row
    assert row["discount_amount"] == 0
    assert sale(unit_price=dash) == "invalid_unit_price"
    assert sale(quantity=dash) == "invalid_quantity"

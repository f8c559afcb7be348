"""The cleaning rules and reject reasons: what goes in, what comes out, value by value."""

from __future__ import annotations

import unicodedata
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import schema
from cleaning.numbers import parse_number
from common.rejects import REASONS
from common.star_model import Role
from config import StarSchemaConfig, load_config
from errors import ConfigError
from support.tables import Row, drawn
from transform import StarSchemaTransformer

SALE: Row = {
    "transaction_id": "T1",
    "transaction_date": "2024-02-29",
    "customer_id": "C1",
    "product_id": "P1",
    "quantity": "2",
    "unit_price": "10.00",
    "sales_rep_id": "grace_hopper",
    "discount_amount": "0",
}


def transformer(**settings: object) -> StarSchemaTransformer:
    environment = {name: str(value) for name, value in settings.items()}
    return StarSchemaTransformer(load_config(env_file=None, environment=environment))


def only(frame: pd.DataFrame) -> Row:
    """The one row of a frame, with None for what is unknown."""
    (row,) = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {str(name): value for name, value in row.items()}


def customer(settings: Row | None = None, /, **columns: object) -> Row:
    given = [{"customer_id": "C1", **columns}]
    return only(transformer(**settings or {}).prepare_customer_dimension(given))


def product(settings: Row | None = None, /, **columns: object) -> Row:
    given = [{"product_id": "P1", **columns}]
    return only(transformer(**settings or {}).prepare_product_dimension(given))


def sale(settings: Row | None = None, /, **columns: object) -> Row | str:
    """What becomes of one sale: its row, or the reason why it is rejected."""
    prepared = transformer(**settings or {}).prepare("transactions", [SALE | columns])
    reasons = prepared.rejects["_reason"].to_pylist()
    if reasons:
        (reason,) = reasons
        assert prepared.rows.num_rows == 0
        return str(reason)
    (row,) = prepared.rows.to_pylist()
    return {str(name): value for name, value in row.items()}


def issues(source: str, settings: Row | None = None, /, **columns: object) -> dict[str, int]:
    """The attribute issues that are counted for one row."""
    key = {"customers": "customer_id", "products": "product_id", "sales_reps": "sales_rep_id"}
    rows = [{key[source]: "X", **columns}]
    return transformer(**settings or {}).prepare(source, rows).issues


# --- text and keys --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identity", ["007", "1e5", "NA", "TRUE", "NULL", "\\N", "nan", "0x1F", "-"]
)
def test_an_id_stays_as_it_is(identity: str) -> None:
    frame = transformer().prepare_customer_dimension([{"customer_id": identity}])
    assert only(frame)["customer_id"] == identity
    assert only(transformer().prepare_product_dimension([{"product_id": identity}]))
    row = sale(transaction_id=identity)
    assert isinstance(row, dict)
    assert row["transaction_id"] == identity


@pytest.mark.parametrize("identity", ["007", "1e5", "NA", "TRUE", "nan", "0x1F", "-"])
def test_an_id_that_is_referred_to_stays_as_it_is(identity: str) -> None:
    row = sale(customer_id=identity, product_id=identity, sales_rep_id=identity)
    assert isinstance(row, dict)
    assert (row["customer_id"], row["product_id"], row["sales_rep_id"]) == (identity,) * 3


@pytest.mark.parametrize("token", ["", "NULL", "\\N"])
def test_a_null_token_refers_to_nothing(token: str) -> None:
    row = sale(customer_id=token, sales_rep_id=f" {token} ")
    assert isinstance(row, dict)
    assert (row["customer_id"], row["sales_rep_id"]) == ("", "")
    assert sale(product_id=token) == "missing_key"
    reps = [SALE | {"sales_rep_id": token}]
    assert len(transformer().prepare_sales_rep_dimension(reps)) == 0


@pytest.mark.parametrize(
    "space", [" ", "\t", "\u00a0", "\u2003", "\u3000", "\u202f", "\n", " \r\n"]
)
def test_text_is_trimmed_of_all_unicode_space(space: str) -> None:
    row = customer(customer_id=f"{space}C1{space}", city=f"{space}New York{space}")
    assert (row["customer_id"], row["city"]) == ("C1", "New York")
    assert customer(city=space)["city"] is None
    assert sale(transaction_id=space) == "missing_key"


def test_text_is_normalised_so_that_one_spelling_remains() -> None:
    decomposed = unicodedata.normalize("NFD", "José Müller")
    row = customer(customer_id=decomposed, city=decomposed)
    assert (row["customer_id"], row["city"]) == ("José Müller",) * 2


@pytest.mark.parametrize("token", ["", "NULL", "\\N"])
def test_a_null_token_is_no_value_in_an_attribute(token: str) -> None:
    row = customer(city=token, company=token, email=token, phone=token, segment=token)
    for name in ("city", "company", "email", "phone"):
        assert row[name] is None
    assert row["segment"] == "Unknown"
    assert issues("customers", email=token, phone=token) == {}
    assert issues("products", price=token, cost=token) == {}


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "N/A"])
def test_other_words_for_nothing_are_text(text: str) -> None:
    assert customer(state=text)["state"] == text


def test_null_tokens_are_a_setting_of_the_source() -> None:
    setting = {"CUSTOMERS__NULL_TOKENS": '["-", "none"]'}
    assert customer(setting, city="-")["city"] is None
    assert customer(setting, city="none")["city"] is None
    assert customer(setting, city="")["city"] is None
    assert customer(setting, city="NULL")["city"] == "NULL"


# --- customers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("o'brien", "O'Brien"),
        ("O'BRIEN", "O'Brien"),
        ("mcdonald", "McDonald"),
        ("MCDONALD", "McDonald"),
        ("mary-jane", "Mary-Jane"),
        ("MARY JANE", "Mary Jane"),
        ("JOSÉ", "José"),
        ("zoë", "Zoë"),
        ("ÅSA", "Åsa"),
        ("d'angelo", "D'Angelo"),
        ("smith jr.", "Smith Jr."),
        ("Mcdonald", "Mcdonald"),  # mixed case is left alone
        ("van Gogh", "van Gogh"),
        ("DeVito", "DeVito"),
        ("LaVERNE", "LaVERNE"),
        ("李", "李"),
        ("x", "X"),
    ],
)
def test_a_name_is_recased_only_when_all_upper_or_all_lower(given: str, cleaned: str) -> None:
    row = customer(first_name=given, last_name=given)
    assert (row["first_name"], row["last_name"]) == (cleaned, cleaned)
    assert row["full_name"] == f"{cleaned} {cleaned}"


@pytest.mark.parametrize(
    ("columns", "full_name"),
    [
        ({"first_name": "Ada", "last_name": "Lovelace", "company": "Engines"}, "Ada Lovelace"),
        ({"first_name": "Ada", "company": "Engines"}, "Ada"),
        ({"last_name": "Lovelace"}, "Lovelace"),
        ({"first_name": " ", "last_name": "NULL", "company": "Engines"}, "Engines"),
        ({"first_name": "", "last_name": "", "company": ""}, "Customer C1"),
        ({}, "Customer C1"),
    ],
)
def test_a_full_name_is_first_and_last_or_company_or_the_id(columns: Row, full_name: str) -> None:
    assert customer(**columns)["full_name"] == full_name


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("ada.b+tag@mail.example.co.uk", "ada.b+tag@mail.example.co.uk"),
        ("ada@@example.org", None),
        ("ada at example.org", None),
        ("ada@", None),
        ("@example.org", None),
        ("ada@example", None),
        ("ada..b@example.org", None),
        ("ada@-example.org", None),
        ("ada@exam ple.org", None),
        ("ada@example.org, bob@example.org", None),
        (f"{'a' * 65}@example.org", None),
    ],
)
def test_an_email_is_lower_case_or_null_and_counted(given: str, cleaned: str | None) -> None:
    assert customer(email=given)["email"] == cleaned
    assert issues("customers", email=given) == ({} if cleaned else {"email": 1})


@pytest.mark.parametrize(
    ("given", "country", "cleaned"),
    [
        ("5551234567", None, "(555) 123-4567"),
        ("555-123-4567", "US", "(555) 123-4567"),
        ("(555) 123-4567", "United States", "(555) 123-4567"),
        ("555.123.4567", "USA", "(555) 123-4567"),
        ("+1 555 123 4567", None, "(555) 123-4567"),
        ("1-555-123-4567", None, "(555) 123-4567"),
        ("+44 20 7946 0958", None, "+44 20 7946 0958"),
        ("020 7946 0958", "United Kingdom", "+44 20 7946 0958"),
        ("020 7946 0958", "UK", "+44 20 7946 0958"),
        ("030 12345678", "Germany", "+49 30 12345678"),
        ("030 12345678", "Deutschland", "+49 30 12345678"),
        ("030 12345678", "DE", "+49 30 12345678"),
    ],
)
def test_a_valid_phone_is_national_at_home_and_international_elsewhere(
    given: str, country: str | None, cleaned: str
) -> None:
    assert customer(phone=given, country=country)["phone"] == cleaned
    assert issues("customers", phone=given, country=country) == {}


@pytest.mark.parametrize("given", ["call me", "12", "n/a", "555-1234", "+999 1", "0000000000"])
def test_a_phone_that_is_none_is_kept_as_given_and_counted(given: str) -> None:
    assert customer(phone=given)["phone"] == given
    assert issues("customers", phone=given) == {"phone": 1}


def test_the_home_of_phones_is_a_setting() -> None:
    german = {"PHONE_REGION": "DE"}
    assert customer(german, phone="030 12345678")["phone"] == "030 12345678"
    assert customer(german, phone="+1 212 555 0123")["phone"] == "+1 212-555-0123"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("12 Main St, Springfield, IL 62701", ("12 Main St", "Springfield", "IL", "62701")),
        ("Elm St, Apt 4, St. Paul, mn 55102", ("Elm St, Apt 4", "St. Paul", "MN", "55102")),
        ("12 Main St, Boston, MA 02108-1234", ("12 Main St", "Boston", "MA", "02108-1234")),
        ("12 Main St,Boston,MA 02108", ("12 Main St", "Boston", "MA", "02108")),
        ("12 Main St", ("12 Main St", None, None, None)),
        ("12 Main St, Springfield", ("12 Main St, Springfield", None, None, None)),
        ("Hauptstr. 1, 10115 Berlin", ("Hauptstr. 1, 10115 Berlin", None, None, None)),
    ],
)  # fmt: skip
def test_an_address_in_one_line_is_taken_apart(
    given: str, expected: tuple[str | None, ...]
) -> None:
    row = customer(address=given)
    assert tuple(row[n] for n in ("address", "city", "state", "postal_code")) == expected


@pytest.mark.parametrize("present", ["city", "state", "postal_code"])
def test_an_address_stays_whole_beside_any_part_of_its_own(present: str) -> None:
    given = "12 Main St, Springfield, IL 62701"
    row = customer(address=given, **{present: "given"})
    parts = {"city": None, "state": None, "postal_code": None} | {present: "given"}
    assert {n: row[n] for n in ("address", *parts)} == {"address": given, **parts}


def test_a_postal_code_keeps_its_leading_zero() -> None:
    assert customer(postal_code="02108")["postal_code"] == "02108"


@pytest.mark.parametrize(
    ("segment", "email", "expected"),
    [
        ("small business", "", "Small Business"),
        ("BUSINESS", "ada@gmail.com", "Business"),
        ("Corporate", "", "Corporate"),
        ("", "ada@gmail.com", "Consumer"),
        (" ", "ADA@Yahoo.com", "Consumer"),
        ("NULL", "ada@harbor-pine.example.com", "Business"),
        ("", "ada at gmail.com", "Unknown"),
        ("", "", "Unknown"),
    ],
)
def test_a_blank_segment_is_told_by_the_email(segment: str, email: str, expected: str) -> None:
    assert customer(segment=segment, email=email)["segment"] == expected


# --- products -------------------------------------------------------------------------------------


def test_a_product_without_names_says_so() -> None:
    row = product(name=" ", category="", brand="NULL")
    assert row["product_name"] == "Product P1"
    assert (row["category"], row["brand"]) == ("Unknown", "Unknown")
    assert product() == {
        "product_id": "P1", "product_name": "Product P1", "category": "Unknown",
        "brand": "Unknown", "price": None, "cost": None, "is_cost_estimated": False,
        "price_tier": "Unknown", "profit_margin_pct": None, "specifications": None,
        "is_inferred": False,
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


# --- sales reps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "first", "last", "full"),
    [
        ("john_smith", "John", "Smith", "John Smith"),
        ("JOHN_SMITH", "John", "Smith", "John Smith"),
        ("mary-jane_o'brien", "Mary-Jane", "O'Brien", "Mary-Jane O'Brien"),
        ("7", None, None, "7"),
        ("R-17", None, None, "R-17"),
    ],
)
def test_a_rep_without_a_record_is_named_by_the_id(
    identity: str, first: str | None, last: str | None, full: str
) -> None:
    rows = [SALE | {"sales_rep_id": identity}, SALE | {"sales_rep_id": f" {identity}"}]
    row = only(transformer().prepare_sales_rep_dimension(rows))
    assert row == {
        "sales_rep_id": identity, "first_name": first, "last_name": last, "full_name": full,
        "email": None, "region": "Unassigned", "hire_date": None, "is_inferred": False,
    }  # fmt: skip


def test_sales_without_a_rep_make_no_rep() -> None:
    rows = [SALE | {"sales_rep_id": ""}, SALE | {"sales_rep_id": None}]
    assert len(transformer().prepare_sales_rep_dimension(rows)) == 0


def test_a_reps_own_record_is_cleaned() -> None:
    rows = drawn("""
        sales_rep_id | first_name | last_name | email      | region | hire_date
        7            | GRACE      | hopper    | G@EXA.ORG  |        | 2001-02-03T10:00:00
    """)
    assert only(transformer().prepare_sales_rep_dimension(rows)) == {
        "sales_rep_id": "7", "first_name": "Grace", "last_name": "Hopper",
        "full_name": "Grace Hopper", "email": "g@exa.org", "region": "Unassigned",
        "hire_date": date(2001, 2, 3), "is_inferred": False,
    }  # fmt: skip
    assert issues("sales_reps", hire_date="soon") == {"hire_date": 1}


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", "5"), ("+5", "5"), ("005", "5"), ("5.", "5"), (".5", "0.5"), ("5.10", "5.1"),
        ("1,234.5", "1234.5"), ("1,234,567", "1234567"), ("$5", "5"), ("$ 5.25", "5.25"),
        ("5 €", "5"), ("£1,000", "1000"), (" 5 ", "5"), ("\u00a05", "5"), ("+$5", "5"),
        ("0.00005", "0.0001"), ("2.00004", "2"), ("2.00005", "2.0001"), ("1.99995", "2"),
        ("99999999999999.9999", "99999999999999.9999"), ("0000000000000000000012.5", "12.5"),
        ("0.00010000000000000000000000001", "0.0001"),
    ],
)  # fmt: skip
def test_a_number_is_read_exactly(text: str, number: str) -> None:
    row = sale(quantity="1", unit_price=text)
    assert isinstance(row, dict), row
    assert row["unit_price"] == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "", "abc", "NaN", "nan", "Infinity", "-inf", "1e5", "1e400", "1E5", "1_000", "\uff15",
        "0x10", "1,23", "12,34,567", "1,234,56", ",5", "1,,000", "1.2.3", "--5", "+-5", "5+", "-5-",
        "+5-", "0,350", "00,123", "000,123", "01,234",
        "-0,350", "0,350.5", "1,50", "(5)",
        "5 5", "1 000", "$", "$5$", "5$5", "5%%", "USD 5", ".", "+", "1.234,5", "NULL",
        "100000000000000", "9" * 40, "true", "½", "1²",
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    assert sale(unit_price=text) == "invalid_unit_price"
    assert sale(quantity=text) == "invalid_quantity"
    if text not in ("", "NULL"):
        assert sale(discount_amount=text) == "invalid_discount"
        assert sale(discount_amount="", discount_rate=text) == "invalid_discount"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5,5", "5.5"), ("1.234,5", "1234.5"), ("1.234.567", "1234567"), ("€ 5,25", "5.25"),
        ("5", "5"), ("1.234", "1234"),
    ],
)  # fmt: skip
def test_the_decimal_separator_may_be_a_comma(text: str, number: str) -> None:
    row = sale({"TRANSACTIONS__DECIMAL_SEPARATOR": ","}, quantity="1", unit_price=text)
    assert isinstance(row, dict), row
    assert row["unit_price"] == Decimal(number)


@pytest.mark.parametrize(
    "text", ["5.5", "1,234.5", "1.23", "5,5,5", "0.350", "00.123", "1.50", "-0.350", "0.350,5"]
)
def test_a_point_is_no_decimal_separator_where_the_comma_is(text: str) -> None:
    comma = {"TRANSACTIONS__DECIMAL_SEPARATOR": ","}
    assert sale(comma, unit_price=text) == "invalid_unit_price"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-5", "-5"), ("- 5", "-5"), ("5-", "-5"), ("12.50-", "-12.5"), ("1,234.50 -", "-1234.5"),
        ("\u22125", "-5"), ("\u2212 12.50", "-12.5"), ("5\u2212", "-5"), ("-$5", "-5"),
        ("$-5", "-5"), ("$5-", "-5"), ("5-€", "-5"), ("5€-", "-5"), ("-5 €", "-5"), ("0-", "0"),
    ],
)  # fmt: skip
def test_a_minus_of_either_kind_stands_before_or_behind(text: str, number: str) -> None:
    assert parse_number(text) == Decimal(number)
    if Decimal(number):
        row = sale({"ACCEPT_RETURNS": True}, quantity=text)
        assert isinstance(row, dict), row
        assert row["quantity"] == Decimal(number)


@pytest.mark.parametrize("rate", ["$0.5", "0.5 €", "10-%", "-0.1", "0,350", "1_0%"])
def test_what_is_no_share_is_refused(rate: str) -> None:
    assert sale(discount_amount="", discount_rate=rate) == "invalid_discount"


# --- facts ----------------------------------------------------------------------------------------


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
        "invalid_discount", "negative_net_amount", "conflicting_duplicate", "unknown_customer",
        "unknown_product", "unknown_sales_rep",
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


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-29", 20240229),
        ("20240229", 20240229),
        ("2024-02-29T23:59:59", 20240229),
        ("2024-02-29 23:59", 20240229),
        ("2024-02-29T23:59:59.123456", 20240229),
        ("2024-02-29T10:00:00Z", 20240229),
        ("2024-12-31T23:30:00-05:00", 20250101),
        ("2024-12-31T23:30:00-0500", 20250101),
        ("2025-01-01T00:30:00+02:00", 20241231),
        ("2025-01-01 00:30:00.5 +02:00", 20241231),
        ("2025-01-01T00:30+02", 20241231),
        ("1900-01-01", 19000101),
    ],
)
def test_a_date_or_timestamp_of_iso_8601_is_read(text: str, day: int) -> None:
    row = sale(transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-12-31T23:30:00-05:00", 20241231),
        ("2025-01-01T04:59:59Z", 20241231),
        ("2025-01-01T05:00:00Z", 20250101),
        ("2024-07-01T03:59:59Z", 20240630),  # daylight saving time
        ("2024-12-31T23:30:00", 20241231),  # taken as it is
    ],
)
def test_a_timestamp_with_an_offset_gets_its_date_in_the_business_timezone(
    text: str, day: int
) -> None:
    row = sale({"BUSINESS_TIMEZONE": "America/New_York"}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2024", "3.4.2024", "2024-2-9", "2024-13-01", "2023-02-29", "24-02-29", "2024-02",
        "2024", "today", "2024-02-29T25:00", "2024-02-29T10:60", "2024-02-29Tnoon", "NULL",
        "2024-02-29x", "45351", "1709164800", "0000-01-01", "\uff12024-02-29",
        "2024-02-29T10:00+99",
        "2024/02/29", "Feb 29, 2024",
    ],
)  # fmt: skip
def test_an_ambiguous_or_impossible_date_is_refused(text: str) -> None:
    assert sale(transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("formats", "text", "day"),
    [
        ("%d/%m/%Y", "03/04/2024", 20240403),
        ("%m/%d/%Y", "03/04/2024", 20240304),
        ('["ISO8601", "%d.%m.%Y"]', "3.4.2024", 20240403),
        ('["ISO8601", "%d.%m.%Y"]', "2024-04-03", 20240403),
        ('["%d/%m/%Y", "%m/%d/%Y"]', "04/25/2024", 20240425),
    ],
)
def test_declared_date_formats_are_tried_in_their_order(formats: str, text: str, day: int) -> None:
    row = sale({"TRANSACTIONS__DATE_FORMATS": formats}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15 02:00:00 UTC", "2024-03-15 02:00:00 GMT", "2024-03-15T02:00:00Z",
        "2024-03-15T02:00Z", "2024-03-15 02:00:00.123456 utc", "2024-03-15T02:00:00UTC",
        "2024-03-15 02:00:00 +0000 UTC", "2024-03-15 02:00:00+00:00 GMT", "20240315T0200 UTC",
        "2024-03-15 02:00:00 Z",
    ],
)  # fmt: skip
def test_utc_and_gmt_in_words_are_offsets(text: str) -> None:
    row = sale({"BUSINESS_TIMEZONE": "America/New_York"}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == 20240314


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15 02:00:00 EST", "2024-03-15 02:00:00 -0400 UTC", "2024-03-15 02:00:00 UTCX",
        "2024-03-15 02:00:00 UTC+2", "2024-03-15 UTC", "2024-03-15 02:00:00 Europe/Berlin",
    ],
)  # fmt: skip
def test_a_zone_that_is_not_known_leaves_the_date_unread(text: str) -> None:
    assert sale(transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("pattern", "text", "day"),
    [
        ("%d/%m/%Y %H:%M:%S %z", "15/03/2024 22:00:00 -0400", 20240315),
        ("%d/%m/%Y %H:%M:%S %z", "15/03/2024 22:00:00 -08:00", 20240316),
        ("%d/%m/%Y %H:%M:%S%z", "15/03/2024 02:00:00Z", 20240314),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 UTC", 20240314),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 gmt", 20240314),
        ("%d/%m/%Y %H:%M%Z", "15/03/2024 02:00Z", 20240314),
        ("%d/%m/%Y %H:%M %z %Z", "15/03/2024 02:00 +0000 UTC", 20240314),
        ("%d/%m/%Y %H:%M UTC", "15/03/2024 02:00 UTC", 20240314),
        ("%d/%m/%Y %H:%M GMT", "15/03/2024 02:00 GMT", 20240314),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-03-15T02:00:00Z", 20240314),
        ("%d/%m/%Y %H:%M", "15/03/2024 02:00", 20240315),
        ("Z%d/%m/%Y", "Z15/03/2024", 20240315),
    ],
)  # fmt: skip
def test_a_declared_format_may_have_a_zone(pattern: str, text: str, day: int) -> None:
    zone = {"BUSINESS_TIMEZONE": "America/New_York", "TRANSACTIONS__DATE_FORMATS": pattern}
    row = sale(zone, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 EST"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 CET"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 -0400"),
        ("%d/%m/%Y %H:%M %z %Z", "15/03/2024 02:00 -0400 UTC"),
        ("%d/%m/%Y %H:%M %z", "15/03/2024 02:00 UTC"),
        ("%d%m%Y", "1112024"), ("%d%m%Y", "111224"), ("%d%m%Y", "112024"), ("%m%d%Y", "1112024"),
        ("%y%m%d", "24111"), ("%y%m%d", "2411"), ("%Y%j", "202475"), ("%Y%j", "20245"),
        ("%Y%m%d", "2024111"), ("%Y-%m%d", "2024-111"), ("%d.%m%y", "1.112"),
        ("%d/%m/%Y %H%M", "15/03/2024 830"), ("%Y%m%d%H%M%S", "2024315083045"),
        ("%Y%m%d%H%M%S%f", "20241305083045123"), ("%d%m%Y", "\uff101112024"),
        ("%d.%m.%Y", "\u0663.4.2024"), ("%d%m%Y", "31022024"), ("%d%m%Y", "00122024"),
    ],
)  # fmt: skip
def test_a_text_that_a_format_does_not_name_in_full_is_refused(pattern: str, text: str) -> None:
    setting = {"TRANSACTIONS__DATE_FORMATS": pattern}
    assert sale(setting, transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("pattern", "text", "day"),
    [
        ("%d%m%Y", "01112024", 20241101), ("%y%m%d", "240111", 20240111),
        ("%Y%j", "2024075", 20240315), ("%Y-%j", "2024-75", 20240315),
        ("%Y-%m%d", "2024-0315", 20240315), ("%d/%m/%Y %H%M", "5/3/2024 0830", 20240305),
        ("%Y%m%d%H%M%S", "20240315083045", 20240315), ("%d%b%Y", "5Mar2024", 20240305),
        ("%Y%m%d%H%M%S%f", "20240315083045123", 20240315), ("%d.%m.%y", "5.3.24", 20240305),
        ("%Y%m%dT%H%M%S%z", "20240315T083045+0100", 20240315), ("%x", "03/15/24", 20240315),
        ("%Y\u5e74%m\u6708%d\u65e5", "2024\u5e743\u670815\u65e5", 20240315),
        (" %d/%m/%Y ", "15/03/2024", 20240315), ("%G-W%V-%u", "2024-W11-5", 20240315),
    ],
)  # fmt: skip
def test_a_text_that_a_format_names_in_full_is_read(pattern: str, text: str, day: int) -> None:
    row = sale({"TRANSACTIONS__DATE_FORMATS": pattern}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("%d/%m", "does not name a year, a month and a day"),
        ("%m/%Y", "does not name a year, a month and a day"),
        ("%H:%M:%S", "does not name a year, a month and a day"),
        ("%Y-%m", "does not name a year, a month and a day"),
        ("2001-%m-%d", "does not name a year, a month and a day"),
        ("YYYY-MM-DD", "does not name a year, a month and a day"),
        ("%s", "there is no %s"), ("%F", "there is no %F"), ("%Y-%m-%d %", "there is no %"),
        ("%m/%d/%m/%Y", "%m appears more than once"), ("%x %Y-%m-%d", "appears more than once"),
        ("%d/%m/%Y %Z %Z", "%Z appears more than once"), ("%G-%m-%d", "ISO year"),
    ],
)  # fmt: skip
def test_a_format_that_names_no_date_is_refused_and_says_why(pattern: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        transformer(TRANSACTIONS__DATE_FORMATS=pattern)
    assert "TRANSACTIONS__DATE_FORMATS" in str(refused.value)
    assert wrong in str(refused.value)


def test_a_date_of_a_typed_source_is_not_guessed_where_the_day_comes_first() -> None:
    setting = {"TRANSACTIONS__DATE_FORMATS": "%Y-%d-%m"}
    row = sale(setting, transaction_date="2024-04-03")
    assert isinstance(row, dict)
    assert row["date_key"] == 20240304
    assert sale(setting, transaction_date="2024-03-13") == "invalid_date"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1710460800", "Unix seconds"), ("1710460800000", "Unix milliseconds"),
        ("45366", "a serial date of Excel"), ("45366.75", "a serial date of Excel"),
        ("2460384.5", "a Julian day"), ("soon", ""), ("03/04/2024", ""), ("2024", ""),
    ],
)  # fmt: skip
def test_the_detail_of_an_unread_date_says_what_it_looks_like(text: str, kind: str) -> None:
    prepared = transformer().prepare("transactions", [SALE | {"transaction_date": text}])
    (detail,) = prepared.rejects["_detail"].to_pylist()
    assert detail.startswith(text)
    assert (f"looks like {kind}" in detail) if kind else detail == text


def test_sales_are_accepted_until_the_end_of_next_year() -> None:
    next_year = datetime.now(UTC).year + 1
    row = sale(transaction_date=f"{next_year}-12-31")
    assert isinstance(row, dict)
    assert sale(transaction_date=f"{next_year + 1}-01-01") == "date_out_of_range"
    assert sale(transaction_date="9999-12-31") == "date_out_of_range"


def test_the_date_dimension_covers_whole_years_of_acceptable_sales() -> None:
    days = ["2021-06-30", "n/a", "1850-01-01", "2023-01-01T10:00:00"]
    frame = transformer().prepare_date_dimension_keys(
        [SALE | {"transaction_date": d} for d in days]
    )
    assert len(frame) == 3 * 365
    assert frame["full_date"].iloc[0] == date(2021, 1, 1)
    assert frame["full_date"].iloc[-1] == date(2023, 12, 31)
    assert list(frame["date_key"]) == sorted(set(frame["date_key"]))


# --- duplicates -----------------------------------------------------------------------------------


def test_identical_rows_are_kept_once_and_the_last_of_others_wins() -> None:
    rows = drawn("""
        customer_id | city   | company
        C1          | Berlin |
        C2          | Paris  |
        C1          | Berlin |
        C3          | Rome   | A
        C3          | Rome   | B
        C3          | Rome   | A
         C2         | Paris  |
    """)
    prepared = transformer().prepare("customers", rows)
    kept = prepared.rows.select(["customer_id", "city", "company"]).to_pylist()
    assert kept == [
        {"customer_id": "C1", "city": "Berlin", "company": None},
        {"customer_id": "C3", "city": "Rome", "company": "A"},
        {"customer_id": "C2", "city": "Paris", "company": None},
    ]
    assert prepared.rejects["_reason"].to_pylist() == ["conflicting_duplicate"]


def test_rows_that_clean_to_the_same_are_identical() -> None:
    rows = [
        SALE,
        SALE | {"unit_price": "$10", "transaction_date": "2024-02-29T10:00:00"},
        SALE | {"transaction_id": " T1 "},
    ]
    prepared = transformer().prepare("transactions", rows)
    assert (prepared.rows.num_rows, prepared.rejects.num_rows) == (1, 0)


def test_a_rejected_row_does_not_supersede_a_good_one() -> None:
    prepared = transformer().prepare("transactions", [SALE, SALE | {"quantity": "0"}])
    assert prepared.rows["quantity"].to_pylist() == [2]
    assert prepared.rejects["_reason"].to_pylist() == ["non_positive_quantity"]


# --- frames in and out ----------------------------------------------------------------------------

PREPARERS = [
    "prepare_customer_dimension",
    "prepare_product_dimension",
    "prepare_sales_rep_dimension",
    "prepare_date_dimension_keys",
    "prepare_sales_facts",
]
COLUMNS = {
    "prepare_customer_dimension": schema.dim_customer,
    "prepare_product_dimension": schema.dim_product,
    "prepare_sales_rep_dimension": schema.dim_sales_rep,
    "prepare_date_dimension_keys": schema.dim_date,
}
EVERYTHING: Row = {
    **SALE,
    "name": "Lamp",
    "price": "10",
    "specifications": {"watt": [9]},
    "first_name": "ADA",
    "email": "ADA@EXAMPLE.ORG",
}


def prepare(method: str, rows: Any, config: StarSchemaConfig | None = None) -> pd.DataFrame:
    transformer = StarSchemaTransformer(config or load_config(env_file=None, environment={}))
    frame: pd.DataFrame = getattr(transformer, method)(rows)
    return frame


@pytest.mark.parametrize("method", PREPARERS)
def test_a_list_of_dicts_and_a_frame_give_the_same_new_frame(method: str) -> None:
    rows = [EVERYTHING, EVERYTHING | {"transaction_id": "T2", "first_name": "Bob"}]
    rows[1] |= {"customer_id": "C2", "product_id": "P2"}
    from_list = prepare(method, rows)
    from_frame = prepare(method, pd.DataFrame(rows))
    assert isinstance(from_list, pd.DataFrame)
    assert len(from_list) > 0
    pd.testing.assert_frame_equal(from_list, from_frame)


@pytest.mark.parametrize("method", PREPARERS)
@pytest.mark.parametrize("kind", [list, pd.DataFrame])
def test_the_input_is_untouched(method: str, kind: type) -> None:
    rows = kind([deepcopy(EVERYTHING), EVERYTHING | {"first_name": None, "customer_id": " C2 "}])
    before = deepcopy(rows)
    prepare(method, rows)
    if isinstance(rows, pd.DataFrame):
        pd.testing.assert_frame_equal(rows, before)
    else:
        assert rows == before


@pytest.mark.parametrize("method", COLUMNS)
def test_a_prepared_dimension_has_the_columns_of_its_table(method: str) -> None:
    table = COLUMNS[method]
    expected = [
        c.name for c in table.columns if c.info["role"] is not Role.SURROGATE_KEY
    ]  # fmt: skip
    assert list(prepare(method, [EVERYTHING]).columns) == expected


def test_prepared_sales_have_business_keys_and_exact_measures() -> None:
    frame = prepare("prepare_sales_facts", [EVERYTHING])
    assert list(frame.columns) == [
        "transaction_id", "customer_id", "product_id", "sales_rep_id", "date_key", "quantity",
        "unit_price", "discount_amount", "gross_amount", "net_amount",
    ]  # fmt: skip
    row = only(frame)
    assert row["customer_id"] == "C1"
    assert row["date_key"] == 20240229
    assert all(isinstance(row[name], Decimal) for name in list(frame.columns)[5:])


@pytest.mark.parametrize("method", PREPARERS)
@pytest.mark.parametrize("empty", [[], pd.DataFrame(), pd.DataFrame([EVERYTHING]).iloc[:0]])
def test_no_rows_make_an_empty_frame_with_all_columns(method: str, empty: Any) -> None:
    frame = prepare(method, empty)
    assert len(frame) == 0
    assert list(frame.columns) == list(prepare(method, [EVERYTHING]).columns)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        ("prepare_customer_dimension", "customer_id"),
        ("prepare_product_dimension", "product_id"),
        ("prepare_date_dimension_keys", "transaction_date"),
        ("prepare_sales_facts", "transaction_id"),
        ("prepare_sales_facts", "quantity"),
        ("prepare_sales_facts", "unit_price"),
    ],
)
def test_a_required_column_that_is_missing_is_named(method: str, column: str) -> None:
    rows = [{name: value for name, value in EVERYTHING.items() if name != column}]
    with pytest.raises(KeyError, match=column):
        prepare(method, rows)


def test_sales_without_a_column_of_reps_make_no_rep() -> None:
    rows = [{name: value for name, value in SALE.items() if name != "sales_rep_id"}]
    assert len(prepare("prepare_sales_rep_dimension", rows)) == 0
    assert only(prepare("prepare_sales_facts", rows))["sales_rep_id"] == ""


def test_typed_frames_are_read_without_loss() -> None:
    frame = pd.DataFrame(
        {
            "transaction_id": [1, 2, 3],
            "transaction_date": pd.to_datetime(["2024-02-29 10:00", "2024-03-01 00:00", None]),
            "customer_id": [1.0, None, 3.0],  # integers with a gap are floats in pandas
            "product_id": pd.array([10, 11, None], dtype="Int64"),
            "quantity": [1, 2, 3],
            "unit_price": [0.1, 19.99, 3.0],
            "discount_amount": [Decimal("0.01"), None, Decimal(0)],
        }
    )
    prepared = transformer().prepare("transactions", frame)
    assert prepared.rows.drop_columns(["_place"]).to_pylist() == [
        {
            "transaction_id": "1", "customer_id": "1", "product_id": "10", "sales_rep_id": "",
            "date_key": 20240229, "quantity": Decimal(1), "unit_price": Decimal("0.1"),
            "discount_amount": Decimal("0.01"), "gross_amount": Decimal("0.1"),
            "net_amount": Decimal("0.09"),
        },
        {
            "transaction_id": "2", "customer_id": "", "product_id": "11", "sales_rep_id": "",
            "date_key": 20240301, "quantity": Decimal(2), "unit_price": Decimal("19.99"),
            "discount_amount": Decimal(0), "gross_amount": Decimal("39.98"),
            "net_amount": Decimal("39.98"),
        },
    ]  # fmt: skip
    assert prepared.rejects["_reason"].to_pylist() == ["missing_key"]


def test_typed_frames_of_zoned_timestamps_get_their_business_date() -> None:
    moment = pd.Timestamp("2024-12-31 23:30", tz="America/New_York")
    frame = pd.DataFrame([SALE | {"transaction_date": moment}])
    assert only(prepare("prepare_sales_facts", frame))["date_key"] == 20250101


@pytest.mark.parametrize("price", [float("nan"), None, pd.NA])
def test_a_missing_value_of_any_kind_is_no_price(price: object) -> None:
    frame = pd.DataFrame({"product_id": ["P1"], "price": pd.Series([price], dtype=object)})
    assert only(prepare("prepare_product_dimension", frame))["price"] is None


@pytest.mark.parametrize("price", [float("inf"), float("-inf"), 1e300, True])
def test_a_float_that_is_no_amount_is_refused(price: object) -> None:
    assert sale(unit_price=price) == "invalid_unit_price"

"""How a text is read as a number."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cleaning.numbers import parse_number
from support.cleaning import sale


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", "5"), ("+5", "5"), ("005", "5"), ("5.", "5"), (".5", "0.5"), ("5.10", "5.1"),
        ("1,234.5", "1234.5"), ("1,234,567", "1234567"), ("$5", "5"), ("$ 5.25", "5.25"),
        ("5 €", "5"), ("£1,000", "1000"), (" 5 ", "5"), ("\u00a05", "5"), ("+$5", "5"),
        ("0.00005", "0.0001"), ("2.00004", "2"), ("2.00005", "2.0001"), ("1.99995", "2"),
        ("99999999999999.9999", "99999999999999.9999"), ("0000000000000000000012.5", "12.5"),
        ("0.00010000000000000000000000001", "0.0001"),
        ("1 234.50", "1234.5"), ("1\u00a0234\u00a0567", "1234567"), ("1\u202f234.5", "1234.5"),
        ("1\u2009234", "1234"), ("1'234.50", "1234.5"), ("1\u2019234\u2019567", "1234567"),
        ("1,23,456.00", "123456"), ("12,34,567", "1234567"), ("1,23,45,678.5", "12345678.5"),
        ("1.25E+01", "12.5"), ("1.25e1", "12.5"), ("125E-1", "12.5"), ("1E+3", "1000"),
        ("USD 12.50", "12.5"), ("12.50 EUR", "12.5"), ("CHF1'234.50", "1234.5"),
        ("12.50SEK", "12.5"), ("R$ 12.50", "12.5"), ("US$12.50", "12.5"), ("12.50 kr", "12.5"),
        ("kr. 1 234", "1234"), ("Fr. 12.50", "12.5"), ("12.50 z\u0142", "12.5"),
        ("12.50 K\u010d", "12.5"), ("Rs.500", "500"), ("$.50", "0.5"),
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
        "0x10", "1,23", "1,234,56", ",5", "1,,000", "1.2.3", "--5", "+-5", "5+", "-5-",
        "+5-", "0,350", "00,123", "000,123", "01,234",
        "-0,350", "0,350.5", "1,50", "12.-", "12,-", "12,3,456", "1,23,4567", "1,2,345", "0,12,345",
        "1,234 567", "1 234,567", "1'234,567", "1  234", "0 350", "1,234E+2", "1.5E+400", "E5",
        "(5", "5)", "((5))", "(-5)", "-(5)", "()", "'5", "=5", "5 CR", "5 XYZ", "top 5", "USD",
        "USD 5 EUR", "$5 USD", "US 5",
        "5 5", "$", "$5$", "5$5", "5%%", ".", "+", "1.234,5", "NULL",
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
        ("5", "5"), ("1.234", "1234"), ("1 234,50 \u20ac", "1234.5"), ("12,50 EUR", "12.5"),
        ("1\u202f234,50", "1234.5"), ("1'234,50", "1234.5"), ("1,25E+01", "12.5"),
        ("12,50 kr.", "12.5"),
    ],
)  # fmt: skip
def test_the_decimal_separator_may_be_a_comma(text: str, number: str) -> None:
    row = sale({"TRANSACTIONS__DECIMAL_SEPARATOR": ","}, quantity="1", unit_price=text)
    assert isinstance(row, dict), row
    assert row["unit_price"] == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "5.5",
        "1,234.5",
        "1.23",
        "5,5,5",
        "0.350",
        "00.123",
        "1.50",
        "-0.350",
        "0.350,5",
        "12,-",
        "1.23.456,00",
        "1.25E+01",
    ],
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
        ("(12.50)", "-12.5"), ("( 5 )", "-5"), ("($5)", "-5"), ("$(5)", "-5"), ("(5) \u20ac", "-5"),
        ("(1,234.50 EUR)", "-1234.5"), ("-USD 5", "-5"), ("USD -5", "-5"), ("5- EUR", "-5"),
        ("5 EUR-", "-5"), ("R$ -5", "-5"), ("-1,23,456.00", "-123456"), ("-1.25E+01", "-12.5"),
    ],
)  # fmt: skip
def test_a_minus_of_either_kind_stands_before_or_behind(text: str, number: str) -> None:
    assert parse_number(text) == Decimal(number)
    if Decimal(number):
        row = sale({"ACCEPT_RETURNS": True}, quantity=text)
        assert isinstance(row, dict), row
        assert row["quantity"] == Decimal(number)


@pytest.mark.parametrize(
    "rate", ["$0.5", "0.5 €", "10-%", "-0.1", "0,350", "1_0%", "EUR 0.5", "(0.1)", "kr 10%"]
)
def test_what_is_no_share_is_refused(rate: str) -> None:
    assert sale(discount_amount="", discount_rate=rate) == "invalid_discount"

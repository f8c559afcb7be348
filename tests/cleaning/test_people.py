"""Names, mail, phones and addresses of customers and sales reps."""

from __future__ import annotations

from datetime import date

import pytest

from support.cleaning import SALE, customer, issues, only, transformer
from support.tables import Row, drawn


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

"""Text, keys and references, and what is no value in them."""

from __future__ import annotations

import unicodedata

import pytest

from support.cleaning import SALE, customer, issues, only, sale, transformer


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

"""What makes two keys the same, in dimensions, in sales and in references."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.key_rules import EDGES, normal_keys
from support.retailer import Retailer
from support.star import Star
from support.tables import Row

UNSEEN = {
    "no-break space": "\u00a0", "tab": "\t", "ideographic space": "\u3000", "soft hyphen": "\u00ad",
    "zero width space": "\u200b", "right-to-left mark": "\u200f", "embedding": "\u202a",
    "word joiner": "\u2060", "isolate": "\u2066", "byte order mark": "\ufeff",
    "vowel separator": "\u180e", "grapheme joiner": "\u034f", "variation selector": "\ufe0f",
    "Hangul filler": "\u3164", "Ctrl-Z": "\x1a", "end of a C string": "\x7f",
}  # fmt: skip

SALE: Row = {
    "transaction_id": "T1", "transaction_date": "2024-02-29", "customer_id": "C1",
    "product_id": "P1", "quantity": "1", "unit_price": "250.00",
}  # fmt: skip


def sold(star: Star) -> list[tuple[str, str, str]]:
    """Each sale with its customer and product; no customer is blank."""
    return star.rows("""
        SELECT transaction_id, customer_id, product_id FROM fact_sales
        JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key) ORDER BY 1
    """)


def keys(*texts: str | None) -> list[str | None]:
    """What the rule makes of texts, plain and encoded, which must be the same."""
    plain = pa.array(texts, pa.string())
    found: list[str | None] = normal_keys(plain).to_pylist()
    assert normal_keys(plain.dictionary_encode()).to_pylist() == found
    return found


@pytest.mark.parametrize("mark", UNSEEN.values(), ids=UNSEEN.keys())
def test_space_and_unseen_marks_at_the_edges_are_no_part_of_a_key(mark: str) -> None:
    found = keys(f"{mark}C1", f"C1{mark}", f" {mark} C1 {mark}{mark} ", f"C{mark}1", mark, None)
    assert found == ["C1", "C1", "C1", f"C{mark}1", "", None]


def test_what_can_be_seen_stays_part_of_a_key() -> None:
    seen = [
        "007",
        "1e5",
        "NA",
        "TRUE",
        "NULL",
        "\\N",
        "'00123",
        '="C1"',
        "1001.0",
        "#N/A",
        "é",
        "-",
    ]
    assert keys(*seen) == seen


def test_composed_and_decomposed_letters_are_one_key() -> None:
    assert keys("Cafe\u0301", "Café") == ["Café", "Café"]


@given(st.lists(st.text(st.sampled_from(EDGES + "aé\u0301-\0"))))
def test_the_rule_finds_nothing_left_to_do(texts: list[str]) -> None:
    found = keys(*texts)
    assert keys(*found) == found
    for before, after in zip(texts, found, strict=True):
        assert after == unicodedata.normalize("NFC", before.strip(EDGES))


def test_a_key_is_found_whatever_unseen_marks_surround_it(shop: Retailer) -> None:
    shop.customers[0]["customer_id"] = "\ufeffC1\u200b"
    shop.customers.append(shop.customers[1] | {"customer_id": "\u00a0\u2060"})
    shop.sales = [
        SALE | {"transaction_id": "T1\u00ad", "customer_id": "\u3000C1\u200e"},
        SALE | {"transaction_id": "T2", "customer_id": "\u200b", "product_id": "\u180eP1\t"},
        SALE | {"transaction_id": "T3", "product_id": "\u2060"},
        SALE | {"transaction_id": "\u200f "},
    ]
    results = shop.publish()
    assert shop.reasons(results) == ["missing_key", "missing_key"]
    assert shop.reasons(results, "customers") == ["missing_key"]
    assert sold(shop.star) == [("T1", "C1", "P1"), ("T2", "", "P1")]
    assert shop.star.scalar("SELECT count(*) FROM dim_customer WHERE is_inferred") == 0


def test_the_parts_of_a_composite_key_lose_their_unseen_marks(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales = [{"order": "\u200bO1\u00a0", "line": "1\u2060", **SALE}]
    mapping = '{"transaction_id": ["order", "line"]}'
    duckdb_shop.publish(TRANSACTIONS__COLUMNS=mapping)
    assert sold(duckdb_shop.star) == [("O1-1", "C1", "P1")]


def test_a_composite_reference_with_a_null_token_in_it_refers_to_nothing(
    duckdb_shop: Retailer,
) -> None:
    cells = {"T1": ("C", "1"), "T2": ("C", "NULL"), "NULL": ("\\N", "1"), "T4": ("C", "")}
    duckdb_shop.sales = [
        {**SALE, "transaction_id": key, "store": store, "number": number}
        for key, (store, number) in cells.items()
    ]
    duckdb_shop.customers[0]["customer_id"] = "C-1"
    mapping = '{"customer_id": ["store", "number"], "transaction_id": ["transaction_id", "store"]}'
    duckdb_shop.publish(TRANSACTIONS__COLUMNS=mapping)
    assert sold(duckdb_shop.star) == [
        ("NULL-\\N", "", "P1"), ("T1-C", "C-1", "P1"), ("T2-C", "", "P1"), ("T4-C", "", "P1"),
    ]  # fmt: skip

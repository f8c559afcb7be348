"""Rows that come twice."""

from __future__ import annotations

from support.cleaning import SALE, transformer
from support.tables import drawn


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

"""Oddities as retailers really send them.

Each folder of `corpus` holds the files of one oddity, and in `expected.json` what must come of
them. A source that has no file there is the usual one of `Retailer`; what is not said to
be otherwise is the usual star. So every outcome is pinned whole: rows, rejects and their lines,
duplicates, or the error.

In `expected.json`: `about`; `settings`; `bytes` (how the text of a file becomes bytes: `encoding`,
`newline`, `replace`); `facts`, `customers`, `products`, `rejected`, `duplicates`, `issues`,
`warnings`; or `error` (words of the message) and `exit`. `same_in_every_format` says that it is
about values, so that the same rows in any other format must have the same outcome.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from errors import EXIT_CODES
from support.corpus import EXPECTED, READ, REFUSED, SOURCE_OF, VALUES, settings_of
from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row

USUAL: Row = {
    "facts": [
        "T1 | 2024-02-29 | C1 | P1 | grace_hopper | 2 | 250 | 0",
        "T2 | 2024-03-01 | C2 | P2 | grace_hopper | 3 | 59.99 | 9.9975",
        "T3 | 2024-03-02 | C1 | P2 | john_backus | 1 | 60 | 0",
    ],
    "customers": {
        "C1": {"full_name": "Ada Lovelace", "email": "ada@example.org", "city": "London"},
        "C2": {"full_name": "Alan Turing", "email": None, "city": "Munich"},
    },
    "products": {
        "P1": {"product_name": "Lamp", "price": "250", "cost": "100"},
        "P2": {"product_name": "Pen", "price": "60", "cost": "42"},
    },
    "rejected": {},
    "duplicates": {},
    "issues": {},
    "warnings": [],
}


def outcome(results: Row, shop: Retailer) -> Row:
    """What came of a run, in the form of `expected.json`."""
    tables = {told["source"]: told for told in results["transformation_results"].values()}
    per_source = {stem: tables[name] for stem, name in SOURCE_OF.items() if name in tables}
    rejects = {
        stem: [f"{row['_line']} {row['_reason']}" for row in shop.rejects(results, name)]
        for stem, name in SOURCE_OF.items()
    }
    for stem, told in per_source.items():
        reasons = Counter(line.partition(" ")[2] for line in rejects[stem])
        assert told["rejected"] == reasons
    issues = {stem: told["attribute_issues"] for stem, told in per_source.items()}
    duplicates = {stem: told["duplicates"] for stem, told in per_source.items()}
    with shop.star.connection() as connection:
        return {
            "facts": facts(connection),
            "customers": members(connection, "dim_customer", "customer_id"),
            "products": members(connection, "dim_product", "product_id"),
            "rejected": without_empty(rejects),
            "duplicates": without_empty(duplicates),
            "issues": without_empty(issues),
            "warnings": surprises(results),
        }


def without_empty(by_source: dict[str, Any]) -> dict[str, Any]:
    """What there is something of."""
    return {stem: value for stem, value in by_source.items() if value}


def facts(star: sa.Connection) -> list[str]:
    """Every fact by its business keys, in the order of its id."""
    rows = star.exec_driver_sql(
        "SELECT transaction_id, full_date, customer_id, product_id, sales_rep_id, quantity, "
        "unit_price, discount_amount FROM fact_sales JOIN dim_date USING (date_key) "
        "JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key) "
        "JOIN dim_sales_rep USING (sales_rep_key)"
    )
    return [" | ".join(map(shown, row)) for row in sorted(map(tuple, rows))]


def members(star: sa.Connection, table: str, key: str) -> dict[str, Row]:
    """The members of a dimension by their business key, the Unknown one left out."""
    found = star.exec_driver_sql(f"SELECT * FROM {table}").mappings()
    return {
        row[key]: {
            name: shown(value) if isinstance(value, Decimal) else value
            for name, value in row.items()
        }
        for row in found
        if row[key.replace("_id", "_key")] > 0
    }


def shown(value: Any) -> str:
    """A value of a fact as people write it; no digit of a number is lost."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def assert_members(found: dict[str, Row], expected: dict[str, Row]) -> None:
    """The members are those expected, and have the attributes that are told of them."""
    assert set(found) == set(expected)
    for key, attributes in expected.items():
        assert {name: found[key][name] for name in attributes} == attributes


@pytest.mark.parametrize("oddity", READ)
def test_what_can_be_read_ends_in_the_star_or_in_the_rejects(
    oddity: str, duckdb_shop: Retailer
) -> None:
    assert_comes_true(oddity, duckdb_shop)


# How a file is written is over when its text is extracted; only odd values reach a warehouse.
@pytest.mark.parametrize("oddity", VALUES)
def test_odd_values_end_the_same_in_postgresql(oddity: str, postgresql_shop: Retailer) -> None:
    assert_comes_true(oddity, postgresql_shop)


def assert_comes_true(oddity: str, shop: Retailer) -> None:
    """Load the oddity, and see that the outcome is the expected one, whole."""
    expected = {**USUAL, **EXPECTED[oddity]}
    results = shop.publish(**settings_of(oddity, shop.folder))
    found = outcome(results, shop)
    for part in ("facts", "rejected", "duplicates", "issues"):
        assert found[part] == expected[part], part
    assert_members(found["customers"], expected["customers"])
    assert_members(found["products"], expected["products"])
    assert len(found["warnings"]) == len(expected["warnings"])
    for word, warning in zip(expected["warnings"], found["warnings"], strict=True):
        assert word in warning
    accounts = results["validation_results"]["reconciliation"]
    assert all(account["closed"] for account in accounts["sources"].values())
    assert accounts["money"]["closed"]
    lines = len(expected["facts"]) + len(expected["rejected"].get("sales", []))
    assert accounts["sources"]["transactions"]["read"] == (
        lines + expected["duplicates"].get("sales", 0)
    )


# A file is refused before a warehouse has a part in it, so one engine is enough.
@pytest.mark.parametrize("oddity", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason(oddity: str, duckdb_shop: Retailer) -> None:
    results = duckdb_shop.run(**settings_of(oddity, duckdb_shop.folder))
    (message,) = results["errors"]
    for words in EXPECTED[oddity]["error"]:
        assert words in message
    assert EXIT_CODES[results["status"]] == EXPECTED[oddity]["exit"]
    assert duckdb_shop.star.tables() <= {"etl_run"}

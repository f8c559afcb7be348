"""A star in use grows: what a newer version declares is added to it, whatever the night brings.

Yesterday's star is today's with something taken away, which is what an older version has made.
"""

from __future__ import annotations

from typing import Any

import pytest

import schema
from support.growth import KEY, declared, part_of_the_sales
from support.retailer import Retailer, changes, counts
from support.tables import Row

ADDED: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "an attribute": (("ALTER TABLE dim_customer DROP COLUMN country",), ()),
    "a measure that may be empty": (
        ("ALTER TABLE fact_sales DROP COLUMN unit_cost",),
        ("unit_cost", None),
    ),
    "a measure without a default": (
        ("ALTER TABLE fact_sales DROP COLUMN discount_amount",),
        ("discount_amount", None),
    ),
    "a key to a dimension that is there": (KEY, ("sales_rep_key", -1)),
    "a dimension": ((*KEY, "DROP TABLE dim_sales_rep"), ("sales_rep_key", -1)),
    "the table of runs": (("DROP TABLE etl_run",), ()),
    "a column of runs": (("ALTER TABLE etl_run DROP COLUMN error_class",), ()),
}
"""What yesterday's star has not, and what old sales have in it then."""


def without_not_null(told: dict[str, Any], column: str) -> dict[str, Any]:
    """What is declared, but for whether `column` may be empty."""
    columns = [row[:3] if row[1] == column else row for row in told["columns"]]
    return {**told, "columns": columns}


def sale(shop: Retailer, transaction_id: str) -> Row:
    """A row of the fact."""
    names = schema.fact_sales.columns.keys()
    row = shop.star.row(
        f"SELECT {', '.join(names)} FROM fact_sales WHERE transaction_id = :id", id=transaction_id
    )
    return dict(zip(names, row, strict=True))


@pytest.mark.parametrize("name", ADDED)
def test_a_star_in_use_gets_what_it_lacks_on_a_night_with_a_part_of_its_sales(
    shop: Retailer, name: str
) -> None:
    statements, old = ADDED[name]
    shop.publish()
    whole, before = declared(shop.star), sale(shop, "T2")
    shop.star.execute(*statements)
    part_of_the_sales(shop)
    assert counts(shop.publish(), "fact_sales") == (1, 1, 0)
    expected = before
    if old:
        column, value = old
        expected = before | {column: value}
        assert None not in (sale(shop, "T1")[column], sale(shop, "T4")[column])
        assert sale(shop, "T4")[column] != value
    assert sale(shop, "T2") == expected
    grown = declared(shop.star)
    if name == "a measure without a default":
        grown, whole = (without_not_null(told, "discount_amount") for told in (grown, whole))
    assert grown == whole
    content = shop.star.content()
    assert changes(shop.publish_in_full()) == 0
    assert shop.star.content() == content


def test_old_sales_that_come_again_are_filled(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.content(with_runs=False)
    shop.star.execute(*KEY, "DROP TABLE dim_sales_rep")
    shop.star.execute("ALTER TABLE fact_sales DROP COLUMN discount_amount")
    assert counts(shop.publish(), "fact_sales") == (0, 3, 0)
    assert shop.star.content(with_runs=False) == before


def test_the_same_input_is_recognised_again_after_the_growth(shop: Retailer) -> None:
    shop.publish()
    shop.star.execute(*KEY)
    grown = shop.publish()
    assert grown["repeats_run"] is None
    assert shop.publish()["repeats_run"] == grown["run_id"]


def test_a_column_that_0_1_0_has_added_bare_gets_what_is_declared(shop: Retailer) -> None:
    """It added it without NOT NULL, key or index, on a night that brought all sales."""
    shop.publish()
    whole, before = declared(shop.star), shop.star.content(with_runs=False)
    known = dict(shop.star.rows("SELECT transaction_id, sales_rep_key FROM fact_sales"))
    shop.star.execute(
        *KEY,
        "ALTER TABLE fact_sales ADD COLUMN sales_rep_key INTEGER",
        *(
            f"UPDATE fact_sales SET sales_rep_key = {key} WHERE transaction_id = '{sale_id}'"
            for sale_id, key in known.items()
        ),
    )
    shop.publish()
    assert declared(shop.star) == whole
    assert shop.star.content(with_runs=False) == before
    shop.publish()
    assert shop.publish()["repeats_run"]

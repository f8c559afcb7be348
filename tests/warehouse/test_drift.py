"""A star that is not as the code declares it: what is missing is added, all else is told."""

from __future__ import annotations

import pytest

from support.retailer import Retailer, changes, counts


def test_a_column_that_an_older_warehouse_lacks_is_added_and_filled(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.content()
    shop.star.execute("ALTER TABLE dim_sales_rep DROP COLUMN region")
    results = shop.publish()
    assert counts(results, "dim_sales_rep") == (0, 2, 0)
    assert shop.star.content() == before


def test_added_columns_are_filled_for_inferred_and_real_members_alike(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.content()
    shop.star.execute(
        "ALTER TABLE dim_product DROP COLUMN specifications",
        "ALTER TABLE dim_product DROP COLUMN price_tier",
    )
    shop.publish()
    assert shop.star.content() == before
    assert changes(shop.publish_in_full()) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE dim_sales_rep ADD COLUMN shoe_size INTEGER", "shoe_size"),
        ("ALTER TABLE dim_sales_rep ALTER COLUMN hire_date TYPE TEXT", "dim_sales_rep.hire_date"),
    ],
)
def test_any_other_drift_is_a_clear_error_and_touches_nothing(
    shop: Retailer, change: str, told: str
) -> None:
    shop.publish()
    shop.star.execute(change)
    before = shop.star.digest()
    shop.customers[0]["city"] = "Paris"
    results = shop.run()
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert told in error
    assert "WAREHOUSE_SCHEMA" in error
    assert shop.star.digest() == before

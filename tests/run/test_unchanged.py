"""The same input again is recognised by its content, and only while nobody touched the star."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.retailer import Retailer, changes, counts, recognised
from support.summary import ALL_DONE, STAGES, statuses


def test_the_same_bytes_are_recognised_and_reported_as_unchanged(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest(with_runs=False)
    results = shop.publish()
    assert recognised(shop) == 1
    assert counts(results, "fact_sales") == (0, 0, 3)
    assert results["validation_results"]["reconciliation"]["money"]["closed"]
    assert statuses(results) == ALL_DONE
    assert shop.star.digest(with_runs=False) == before
    assert [status for _, status in shop.star.runs()] == ["published", "published"]


def test_the_same_rows_in_other_bytes_are_merged_and_change_nothing(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest(with_runs=False)
    shop.files["transactions"] = shop.path("transactions").read_text(encoding="utf-8") + "\n"
    results = shop.publish()
    assert recognised(shop) == 0
    assert changes(results) == 0
    assert counts(results, "fact_sales") == (0, 0, 3)
    assert shop.star.digest(with_runs=False) == before


def test_a_file_is_known_by_its_content_and_not_by_its_name(shop: Retailer) -> None:
    shop.publish()
    path = shop.path("transactions")
    before = path.read_text(encoding="utf-8")
    renamed = path.rename(path.with_name("another name.csv"))
    shop.publish(TRANSACTIONS__PATH=renamed)
    assert recognised(shop) == 1
    renamed.write_text(before.replace("T3,", "T4,"), encoding="utf-8")
    assert counts(shop.publish(TRANSACTIONS__PATH=renamed), "fact_sales") == (1, 0, 2)
    assert recognised(shop) == 1


@pytest.mark.parametrize(
    ("tampering", "table", "expected"),
    [
        ("UPDATE fact_sales SET quantity = 9 WHERE transaction_id = 'T1'", "fact_sales", (0, 1, 2)),
        ("DELETE FROM fact_sales WHERE transaction_id = 'T1'", "fact_sales", (1, 0, 2)),
        ("UPDATE dim_customer SET city = 'X' WHERE customer_id = 'C1'", "dim_customer", (0, 1, 1)),
    ],
)
def test_a_star_that_was_touched_is_loaded_again(
    shop: Retailer, tampering: str, table: str, expected: tuple[int, int, int]
) -> None:
    shop.publish()
    before = shop.star.digest(with_runs=False)
    shop.star.execute(tampering)
    results = shop.publish()
    assert recognised(shop) == 0
    assert counts(results, table) == expected
    if table == "dim_customer":  # facts carry the run that wrote them
        assert shop.star.digest(with_runs=False) == before


def test_another_setting_means_another_load(shop: Retailer) -> None:
    shop.publish()
    shop.publish(PRICE_TIER_HIGH="20", PRICE_TIER_MEDIUM="5")
    assert recognised(shop) == 0
    shop.publish(PRICE_TIER_HIGH="20", PRICE_TIER_MEDIUM="5", BATCH_ROWS="1")
    assert recognised(shop) == 1


def test_the_files_of_a_day_before_are_loaded_like_any_other(shop: Retailer) -> None:
    """What came last is what holds, though it was published before what it undoes."""
    shop.publish()
    monday = shop.star.digest(with_runs=False)
    shop.customers[0]["city"] = "Elsewhere"
    shop.sales[0]["quantity"] = "9"
    shop.publish()
    shop.customers[0]["city"] = "London"
    shop.sales[0]["quantity"] = "2"
    results = shop.publish()
    assert recognised(shop) == 0
    assert (counts(results, "dim_customer"), counts(results, "fact_sales")) == (
        (0, 1, 1),
        (0, 1, 2),
    )
    assert shop.star.digest(with_runs=False) == monday


def test_a_repetition_names_the_rejects_of_the_run_that_it_repeats(shop: Retailer) -> None:
    shop.sales[2]["transaction_id"] = ""
    first, second, third = shop.publish(), shop.publish(), shop.publish()
    assert recognised(shop) == 2
    assert first["rejects_dir"] == second["rejects_dir"] == third["rejects_dir"]
    assert shop.reasons(third) == ["missing_key"]
    assert [path.name for path in (shop.folder / "rejects").iterdir()] == [first["run_id"]]


def test_rejects_that_were_cleared_away_are_made_again(shop: Retailer) -> None:
    shop.sales[2]["transaction_id"] = ""
    first = shop.publish()
    (Path(first["rejects_dir"]) / "transactions.csv").unlink()
    assert shop.reasons(shop.publish()) == ["missing_key"]
    assert recognised(shop) == 0


def test_a_row_of_a_version_that_knew_less_phases_is_recognised(shop: Retailer) -> None:
    """Its phases were those that work on the data."""
    shop.publish()
    counts = json.loads(shop.star.scalar("SELECT counts FROM etl_run"))
    counts["phases"] = {phase: counts["phases"][phase] for phase in STAGES}
    shop.star.execute("UPDATE etl_run SET counts = $$" + json.dumps(counts) + "$$")
    assert statuses(shop.publish()) == ALL_DONE
    assert recognised(shop) == 1

"""What a sale has cost: its own cost, or the product's when it first came, and the profit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from support.retailer import Retailer, changes, counts

COSTS = "SELECT transaction_id, unit_cost, profit_amount FROM fact_sales ORDER BY transaction_id"
HEADER = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price"
FIRST = [("T1", 100, 300), ("T2", 42, Decimal("43.9725")), ("T3", 42, 18)]


def runs(shop: Retailer) -> list[str]:
    """The run that wrote each sale."""
    return shop.star.column("SELECT run_id FROM fact_sales ORDER BY transaction_id")


@pytest.fixture
def published(shop: Retailer) -> Retailer:
    """A shop whose star has all its sales; the costs are 100 and, by the price, 42."""
    shop.publish()
    assert shop.star.rows(COSTS) == FIRST
    return shop


@pytest.mark.parametrize("brought", [3, 1, 0])
def test_a_later_cost_restates_nothing_however_much_is_sent_again(
    published: Retailer, brought: int
) -> None:
    shop, before = published, runs(published)
    shop.products[0]["cost"], shop.products[1]["cost"] = "7", "x"
    del shop.sales[brought:]
    if not brought:
        shop.files["transactions"] = f"{HEADER}\n"
    assert counts(shop.publish(), "fact_sales") == (0, 0, brought)
    assert shop.star.rows(COSTS) == FIRST
    assert runs(shop) == before


def test_a_changed_sale_keeps_its_cost_and_gets_the_profit_that_follows(
    published: Retailer,
) -> None:
    shop = published
    shop.products[0]["cost"], shop.products[1]["cost"] = "7", None
    shop.sales[0]["quantity"] = "3"
    shop.sales[2]["discount_amount"] = "5"
    assert counts(shop.publish(), "fact_sales") == (0, 2, 1)
    assert shop.star.rows(COSTS) == [("T1", 100, 450), FIRST[1], ("T3", 42, 13)]
    assert changes(shop.publish_in_full()) == 0


def test_another_product_brings_its_cost_of_tonight(published: Retailer) -> None:
    shop = published
    shop.products[1]["cost"] = "50"
    shop.sales[0]["product_id"] = "P2"
    assert counts(shop.publish(), "fact_sales") == (0, 1, 2)
    assert shop.star.rows(COSTS) == [("T1", 50, 400), *FIRST[1:]]


def test_an_empty_cost_is_filled_when_the_sale_comes_again(shop: Retailer) -> None:
    shop.products[0]["cost"] = "unknown"
    shop.publish()
    assert shop.star.rows(COSTS)[0] == ("T1", None, None)
    shop.products[0]["cost"] = "9"
    absent = shop.sales.pop(0)
    assert counts(shop.publish(), "fact_sales") == (0, 0, 2)
    assert shop.star.rows(COSTS)[0] == ("T1", None, None)
    shop.sales.append(absent)
    assert counts(shop.publish(), "fact_sales") == (0, 1, 2)
    assert shop.star.rows(COSTS)[0] == ("T1", 9, 482)


def test_the_cost_of_the_row_itself_is_taken_whenever_it_is_given(published: Retailer) -> None:
    """Once taken it stays, also when the row does not give it any more."""
    shop = published
    shop.products[1]["cost"] = "1"
    for sale, cost in zip(shop.sales, ("110.5", "", "0"), strict=True):
        sale["unit_cost"] = cost
    assert counts(shop.publish(), "fact_sales") == (0, 2, 1)
    given = [("T1", Decimal("110.5"), 279), FIRST[1], ("T3", 0, 60)]
    assert shop.star.rows(COSTS) == given
    assert changes(shop.publish_in_full()) == 0
    shop.sales[0]["unit_cost"] = ""
    assert counts(shop.publish(), "fact_sales") == (0, 0, 3)
    for sale in shop.sales:
        del sale["unit_cost"]
    assert counts(shop.publish(), "fact_sales") == (0, 0, 3)
    assert shop.star.rows(COSTS) == given
    shop.sales[0]["unit_cost"] = "110.5"  # the sale's own cost, which it has already
    shop.sales[1]["unit_cost"] = "41.99996"
    assert counts(shop.publish(), "fact_sales") == (0, 0, 3)


def test_the_cost_of_the_row_wins_on_the_first_night_too(shop: Retailer) -> None:
    shop.sales[0]["unit_cost"] = "120"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T4", "product_id": "P9"})
    shop.publish()
    assert shop.star.rows(COSTS) == [("T1", 120, 260), *FIRST[1:], ("T4", 120, 260)]


def test_one_of_two_files_gives_costs(shop: Retailer) -> None:
    shop.publish()
    shop.products[0]["cost"] = "1"
    folder = shop.folder / "days"
    folder.mkdir()
    (folder / "1.csv").write_text(f"{HEADER}\nT1,2024-02-29,C1,P1,2,250\n", encoding="utf-8")
    (folder / "2.csv").write_text(
        f"{HEADER},unit_cost\nT3,2024-03-02,C1,P2,1,60,12\n", encoding="utf-8"
    )
    shop.publish(TRANSACTIONS__PATH=folder)
    assert shop.star.rows(COSTS) == [*FIRST[:2], ("T3", 12, 48)]


@pytest.mark.parametrize("bad", ["-1", "n/a", "1e400"])
def test_a_cost_that_cannot_be_one_refuses_the_sale(duckdb_shop: Retailer, bad: str) -> None:
    shop = duckdb_shop
    shop.sales[0]["unit_cost"] = bad
    results = shop.publish()
    (row,) = shop.rejects(results)
    assert (row["_reason"], row["_detail"]) == ("invalid_unit_cost", bad)
    assert counts(results, "fact_sales") == (2, 0, 0)


# --- stars of versions that kept no costs ----------------------------------------------------


def made_older(shop: Retailer, *statements: str) -> None:
    """The star as an earlier version has left it: without costs, and without watermarks."""
    shop.star.execute(
        "ALTER TABLE fact_sales DROP COLUMN unit_cost",
        "ALTER TABLE etl_run DROP COLUMN watermarks",
        *statements,
    )


def told(results: dict[str, Any]) -> list[str]:
    """What was said of the new column."""
    return [text for text in results["warnings"] if "unit_cost is new" in text]


def test_a_star_without_costs_gets_them_from_its_profits(published: Retailer) -> None:
    """T3's profit is none that a cost can give; the others are found, whatever the cost is now."""
    shop, before = published, runs(published)
    made_older(shop, "UPDATE fact_sales SET profit_amount = 60.0001 WHERE transaction_id = 'T3'")
    shop.products[0]["cost"], shop.products[1]["cost"] = "7", "8"
    brought = shop.sales.pop(2)
    results = shop.publish()
    assert counts(results, "fact_sales") == (0, 0, 2)
    kept = [*FIRST[:2], ("T3", None, Decimal("60.0001"))]
    assert shop.star.rows(COSTS) == kept
    assert runs(shop) == before
    assert told(results) == [
        "fact_sales.unit_cost is new: 2 sales got the cost that their profit was computed with, "
        "1 keep a profit whose cost cannot be told"
    ]
    again = shop.publish_in_full()
    assert (changes(again), told(again)) == (0, [])
    assert shop.star.rows(COSTS) == kept
    shop.sales.append(brought)
    assert counts(shop.publish(), "fact_sales") == (0, 1, 2)
    assert shop.star.rows(COSTS)[2] == ("T3", 8, 52)


@pytest.mark.parametrize(
    ("quantity", "cost", "found"),
    [
        ("1", "41.9999", True),
        ("3", "0.0001", True),
        ("0.4", "42", False),  # 41.9999 and 42.0001 give the profit of 0.4 pieces too, rounded
        ("0.6", "42", True),
        ("0.0001", "90000000000000", False),
        ("2.5", "12345678.9012", True),
    ],
)
def test_a_cost_is_found_exactly_or_not_at_all(
    shop: Retailer,
    quantity: str,
    cost: str,
    found: bool,
) -> None:
    shop.products[0]["cost"] = cost
    shop.sales[0]["quantity"] = quantity
    shop.publish()
    (before,) = shop.star.rows(COSTS)[:1]
    made_older(shop)
    shop.products[0]["cost"] = "1"
    del shop.sales[0]
    shop.publish()
    assert shop.star.rows(COSTS)[0] == (before if found else ("T1", None, before[2]))


def test_a_profit_without_a_cost_stays_where_no_cost_is_known_tonight(
    published: Retailer,
) -> None:
    shop = published
    made_older(shop, "UPDATE fact_sales SET profit_amount = 60.0001 WHERE transaction_id = 'T3'")
    shop.products[1] |= {"cost": "?", "price": "60"}
    assert counts(shop.publish(), "fact_sales") == (0, 0, 3)
    assert shop.star.rows(COSTS)[2] == ("T3", None, Decimal("60.0001"))
    shop.sales[2]["quantity"] = "2"  # now it is another sale, of which nothing is known
    shop.publish()
    assert shop.star.rows(COSTS)[2] == ("T3", None, None)


def test_costs_come_also_after_a_run_that_left_the_empty_column(published: Retailer) -> None:
    shop = published
    made_older(shop)
    shop.sales.append(shop.sales[0] | {"quantity": "many", "transaction_id": "T9"})
    assert shop.run(MAX_REJECT_RATE="0.01")["status"] == "gate_failed"
    shop.star.execute(
        "ALTER TABLE fact_sales ADD COLUMN IF NOT EXISTS unit_cost NUMERIC(19, 4)",
    )
    del shop.sales[1:]
    assert len(told(shop.publish())) == 1
    assert shop.star.rows(COSTS) == FIRST


def test_an_empty_cost_of_this_version_stays_empty(shop: Retailer) -> None:
    """Only a version that kept no costs leaves profits behind from which they are found."""
    shop.publish()
    shop.star.execute("UPDATE fact_sales SET unit_cost = NULL WHERE transaction_id = 'T1'")
    del shop.sales[0]
    assert told(shop.publish()) == []
    assert shop.star.rows(COSTS)[0] == ("T1", None, 300)

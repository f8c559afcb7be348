"""What a later load does to the star: merge rules, inferred members, and independence."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from decimal import Decimal
from pathlib import Path

import pytest

from support.retailer import Retailer, changes, counts
from support.star import Star
from support.tables import drawn, money, to_csv
from tools import sample_data

FACTS = """
    SELECT f.transaction_id, c.customer_id, p.product_id, r.sales_rep_id, d.full_date
    FROM fact_sales f
    JOIN dim_customer c USING (customer_key)
    JOIN dim_product p USING (product_key)
    JOIN dim_sales_rep r USING (sales_rep_key)
    JOIN dim_date d USING (date_key)
    ORDER BY f.transaction_id
"""


# --- the same, and small changes -----------------------------------------------------------------


def test_the_first_load_inserts_every_row(shop: Retailer) -> None:
    results = shop.publish()
    assert counts(results, "dim_customer") == (2, 0, 0)
    assert counts(results, "dim_product") == (2, 0, 0)
    assert counts(results, "dim_sales_rep") == (2, 0, 0)
    assert counts(results, "dim_date") == (366, 0, 0)
    assert counts(results, "fact_sales") == (3, 0, 0)
    found = [(*row[:4], row[4].isoformat()) for row in shop.star.rows(FACTS)]
    assert found == [
        ("T1", "C1", "P1", "grace_hopper", "2024-02-29"),
        ("T2", "C2", "P2", "grace_hopper", "2024-03-01"),
        ("T3", "C1", "P2", "john_backus", "2024-03-02"),
    ]


@pytest.mark.parametrize("in_full", [True, False])
def test_the_same_input_again_changes_nothing(shop: Retailer, in_full: bool) -> None:
    shop.publish()
    before = shop.star.digest()
    results = shop.publish_in_full() if in_full else shop.publish()
    assert changes(results) == 0
    assert counts(results, "dim_customer") == (0, 0, 2)
    assert counts(results, "fact_sales") == (0, 0, 3)
    assert shop.star.digest() == before


def test_the_sample_loaded_again_changes_nothing(shop: Retailer, tmp_path: Path) -> None:
    sample_data.generate(tmp_path / "sample", sales=2_000, customers=100, products=50)
    paths = _sample_paths(tmp_path / "sample")
    shop.publish(**paths)
    before = shop.star.digest()
    for _ in range(2):
        assert changes(shop.publish_in_full(**paths)) == 0
        assert shop.star.digest() == before


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("city", "Paris", "Paris"),
        ("city", "", None),  # known becomes unknown
        ("email", "new@example.org", "new@example.org"),
        ("segment", "corporate", "Corporate"),
    ],
)
def test_a_changed_attribute_updates_one_member_under_its_key(
    shop: Retailer, column: str, value: str, stored: str | None
) -> None:
    shop.publish()
    member, content = shop.star.member("dim_customer", "C1"), shop.star.content()
    shop.customers[0][column] = value
    results = shop.publish()
    assert counts(results, "dim_customer") == (0, 1, 1)
    assert changes(results) == 1
    assert shop.star.member("dim_customer", "C1") == member | {column: stored}
    assert shop.star.content()["fact_sales"] == content["fact_sales"]


def test_an_unknown_attribute_that_becomes_known_updates_its_member(shop: Retailer) -> None:
    shop.publish()
    assert shop.star.member("dim_customer", "C2")["email"] is None
    shop.customers[1]["email"] = "alan@example.org"
    assert counts(shop.publish(), "dim_customer") == (0, 1, 1)
    assert shop.star.member("dim_customer", "C2")["email"] == "alan@example.org"


@pytest.mark.parametrize("spelling", ["250", "250.0", "250.00", 250, 250.0, "$250"])
def test_another_spelling_of_the_same_value_changes_nothing(
    shop: Retailer, spelling: object
) -> None:
    shop.publish()
    before = shop.star.digest()
    shop.products[0]["price"] = spelling
    shop.products[0]["specifications"] = {"watt": 9}
    shop.customers[0]["email"] = " ADA@example.org "
    shop.sales[0]["unit_price"] = "250"
    shop.sales[0]["transaction_date"] = "2024-02-29T23:59:59"
    assert changes(shop.publish_in_full()) == 0
    assert shop.star.digest() == before


def test_a_corrected_sale_is_the_one_fact_that_is_updated(shop: Retailer) -> None:
    shop.publish()
    keys = shop.star.row("SELECT customer_key, product_key FROM fact_sales WHERE quantity = 3")
    shop.sales[1]["quantity"] = "4"
    results = shop.publish()
    assert counts(results, "fact_sales") == (0, 1, 2)
    assert changes(results) == 1
    corrected = "FROM fact_sales WHERE transaction_id = 'T2'"
    assert shop.star.row(f"SELECT customer_key, product_key {corrected}") == keys
    assert shop.star.row(f"SELECT quantity, gross_amount, net_amount {corrected}") == (
        Decimal(4), Decimal("239.96"), Decimal("229.9625"),
    )  # fmt: skip
    of_this_run = "SELECT transaction_id FROM fact_sales WHERE run_id = :run"
    assert shop.star.column(of_this_run, run=results["run_id"]) == ["T2"]


def test_a_sale_moved_to_another_customer_and_day_keeps_its_one_row(shop: Retailer) -> None:
    shop.publish()
    shop.sales[0] |= {"customer_id": "C2", "transaction_date": "2025-01-01", "sales_rep_id": ""}
    results = shop.publish()
    assert counts(results, "fact_sales") == (0, 1, 2)
    (moved, *_) = shop.star.rows(FACTS)
    assert (*moved[:4], moved[4].isoformat()) == ("T1", "C2", "P1", "", "2025-01-01")


def test_a_load_can_insert_update_and_leave_alone_at_once(shop: Retailer) -> None:
    shop.publish()
    before = {c: shop.star.member("dim_customer", c)["customer_key"] for c in ("C1", "C2")}
    shop.customers[0]["city"] = "Paris"
    shop.customers.append(shop.customers[1] | {"customer_id": "C0", "city": "Wien"})
    shop.sales[0]["quantity"] = "9"
    shop.sales.append(shop.sales[1] | {"transaction_id": "T0"})
    results = shop.publish()
    assert counts(results, "dim_customer") == (1, 1, 1)
    assert counts(results, "fact_sales") == (1, 1, 2)
    after = {c: shop.star.member("dim_customer", c)["customer_key"] for c in ("C1", "C2")}
    assert after == before
    assert shop.star.member("dim_customer", "C0")["customer_key"] not in before.values()


def test_members_and_facts_that_vanish_from_the_source_stay(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest()
    del shop.customers[1], shop.products[1], shop.sales[1:]
    results = shop.publish()
    assert changes(results) == 0
    assert shop.star.digest() == before
    assert results["validation_results"]["row_counts"]["fact_sales"] == 3


def test_empty_sources_leave_yesterdays_star(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest()
    shop.files = {
        "customers": to_csv([], list(shop.customers[0])),
        "products": "[]",
        "transactions": to_csv([], list(shop.sales[0])),
    }
    results = shop.publish()
    assert results["extraction_results"]["_metadata"]["total_records"] == 0
    assert shop.star.digest() == before


def test_empty_sources_make_a_star_of_unknown_members(shop: Retailer) -> None:
    shop.files = {
        "customers": "customer_id\n",
        "products": "[]",
        "transactions": to_csv([], list(shop.sales[0])),
    }
    results = shop.publish()
    assert results["validation_results"]["row_counts"] == {
        "dim_customer": 1, "dim_product": 1, "dim_sales_rep": 1, "dim_date": 1, "fact_sales": 0,
    }  # fmt: skip


# --- the Unknown member and inferred ones --------------------------------------------------------


def test_facts_without_customer_or_rep_point_at_the_unknown_members(shop: Retailer) -> None:
    shop.sales[0] |= {"customer_id": " ", "sales_rep_id": ""}
    results = shop.publish()
    assert results["transformation_results"]["fact_sales"]["rejected"] == {}
    row = shop.star.row(
        "SELECT f.customer_key, f.sales_rep_key, c.full_name, c.segment, r.full_name, r.region "
        "FROM fact_sales f JOIN dim_customer c USING (customer_key) "
        "JOIN dim_sales_rep r USING (sales_rep_key) WHERE transaction_id = 'T1'"
    )
    assert row == (-1, -1, *["Unknown"] * 4)


def test_every_dimension_has_one_unknown_member_after_many_loads(shop: Retailer) -> None:
    for _ in range(3):
        shop.publish_in_full()
    for table, key in (
        ("dim_customer", "customer_key"),
        ("dim_product", "product_key"),
        ("dim_sales_rep", "sales_rep_key"),
        ("dim_date", "date_key"),
    ):
        assert shop.star.column(f"SELECT {key} FROM {table} WHERE {key} < 0") == [-1]


def test_a_new_customer_id_becomes_an_inferred_member_that_its_record_fills_in(
    shop: Retailer,
) -> None:
    shop.sales[0]["customer_id"] = "C9"
    results = shop.publish()
    assert results["dimension_loading_results"]["dim_customer"]["inferred"] == 1
    assert counts(results, "dim_customer") == (2, 0, 0)
    inferred = shop.star.member("dim_customer", "C9")
    assert (inferred["is_inferred"], inferred["full_name"]) == (True, "Customer C9")
    facts = shop.star.content()["fact_sales"]

    shop.customers.append(shop.customers[0] | {"customer_id": "C9", "first_name": "Joan"})
    results = shop.publish()
    assert counts(results, "dim_customer") == (0, 1, 2)
    assert results["dimension_loading_results"]["dim_customer"]["inferred"] == 0
    filled = shop.star.member("dim_customer", "C9")
    assert filled["customer_key"] == inferred["customer_key"]
    assert (filled["is_inferred"], filled["full_name"]) == (False, "Joan Lovelace")
    assert shop.star.content()["fact_sales"] == facts
    assert counts(results, "fact_sales") == (0, 0, 3)


def test_an_inferred_member_stays_as_it_is_while_its_record_is_missing(shop: Retailer) -> None:
    shop.sales[0] |= {"customer_id": "C9", "product_id": "P9"}
    shop.publish()
    before = shop.star.digest()
    results = shop.publish_in_full()
    assert changes(results) == 0
    assert shop.star.digest() == before


def test_a_placeholder_never_overwrites_a_member_that_vanished(shop: Retailer) -> None:
    shop.publish()
    member = shop.star.member("dim_customer", "C1")
    del shop.customers[0]  # its sales still come
    results = shop.publish()
    assert changes(results) == 0
    assert shop.star.member("dim_customer", "C1") == member


def test_the_profit_on_an_inferred_product_is_unknown_until_its_cost_arrives(
    shop: Retailer,
) -> None:
    profit = "SELECT profit_amount FROM fact_sales WHERE transaction_id = 'T1'"
    lamp = shop.products.pop(0)
    shop.publish()
    assert shop.star.member("dim_product", "P1")["is_inferred"] is True
    assert shop.star.scalar(profit) is None
    shop.products.append(lamp)
    results = shop.publish()
    assert counts(results, "dim_product") == (0, 1, 1)
    assert shop.star.scalar(profit) == Decimal(500 - 2 * 100)


def test_reps_come_from_the_sales_when_they_have_no_source(shop: Retailer) -> None:
    results = shop.publish()
    assert results["dimension_loading_results"]["dim_sales_rep"]["inferred"] == 0
    rows = shop.star.rows(
        "SELECT sales_rep_id, first_name, last_name, full_name, region, is_inferred "
        "FROM dim_sales_rep WHERE sales_rep_key > 0 ORDER BY sales_rep_id"
    )
    assert rows == [
        ("grace_hopper", "Grace", "Hopper", "Grace Hopper", "Unassigned", False),
        ("john_backus", "John", "Backus", "John Backus", "Unassigned", False),
    ]


def test_reps_from_the_sales_never_change_a_described_one(shop: Retailer) -> None:
    shop.reps = drawn("""
        sales_rep_id | first_name | last_name | email            | region | hire_date
        grace_hopper | Grace      | Murray    | grace@example.org| North  | 2001-02-03
    """)
    shop.publish()
    grace = shop.star.member("dim_sales_rep", "grace_hopper")
    shop.reps = None  # as when the setting is forgotten
    shop.sales[2]["sales_rep_id"] = "jean_sammet"
    results = shop.publish()
    assert counts(results, "dim_sales_rep") == (1, 0, 1)
    assert shop.star.member("dim_sales_rep", "grace_hopper") == grace
    assert shop.star.member("dim_sales_rep", "jean_sammet")["full_name"] == "Jean Sammet"

    shop.reps = drawn("""
        sales_rep_id | first_name | last_name | email            | region | hire_date
        grace_hopper | Grace      | Hopper    | grace@example.org| North  | 2001-02-03
        jean_sammet  | Jean       | Sammet    | jean@example.org | South  | 1999-01-01
    """)
    assert counts(shop.publish(), "dim_sales_rep") == (0, 2, 0)
    assert shop.star.member("dim_sales_rep", "grace_hopper")["last_name"] == "Hopper"
    assert shop.star.member("dim_sales_rep", "jean_sammet")["region"] == "South"


def test_a_source_of_reps_describes_them_and_the_others_are_inferred(shop: Retailer) -> None:
    shop.publish()
    key = shop.star.member("dim_sales_rep", "grace_hopper")["sales_rep_key"]
    shop.reps = drawn("""
        sales_rep_id | first_name | last_name | email            | region | hire_date
        grace_hopper | Grace      | Hopper    | Grace@Example.org| East   | 2001-02-03
    """)
    shop.sales[2]["sales_rep_id"] = "jean_sammet"
    results = shop.publish()
    assert results["dimension_loading_results"]["dim_sales_rep"] == {
        "inserted": 0, "updated": 1, "unchanged": 0, "inferred": 1, "deleted": 0,
    }  # fmt: skip
    grace = shop.star.member("dim_sales_rep", "grace_hopper")
    assert (grace["sales_rep_key"], grace["region"], grace["email"]) == (
        key, "East", "grace@example.org",
    )  # fmt: skip
    assert grace["hire_date"].isoformat() == "2001-02-03"
    assert shop.star.member("dim_sales_rep", "jean_sammet")["is_inferred"] is True


# --- orphans --------------------------------------------------------------------------------------


def test_sales_of_unknown_members_are_rejected_when_the_policy_says_so(shop: Retailer) -> None:
    shop.reps = drawn("""
        sales_rep_id | first_name | last_name
        grace_hopper | Grace      | Hopper
    """)
    shop.sales += drawn("""
        transaction_id | transaction_date | customer_id | product_id | quantity | unit_price | sales_rep_id | discount_amount
        T4             | 2024-03-03       | C9          | P1         | 1        | 10         | grace_hopper | 0
        T5             | 2024-03-03       | C1          | P9         | 1        | 20         | grace_hopper | 0
        T6             | 2024-03-03       | C1          | P1         | 1        | 30         | alan_kay     | 0
        T7             | 2024-03-03       | C9          | P9         | 1        | 40         | alan_kay     | 0
        T8             | 2024-03-03       |             | P1         | 1        | 50         |              | 0
    """)  # noqa: E501
    results = shop.publish(ORPHAN_POLICY="reject")
    found = [(row["transaction_id"], row["_reason"]) for row in shop.rejects(results)]
    assert found == [
        ("T3", "unknown_sales_rep"),  # john_backus
        ("T4", "unknown_customer"),
        ("T5", "unknown_product"),
        ("T6", "unknown_sales_rep"),
        ("T7", "unknown_customer"),
    ]
    facts = results["fact_loading_results"]
    assert (facts["orphaned_records"], facts["records_failed"]) == (5, 5)
    account = results["validation_results"]["reconciliation"]
    assert account["sources"]["transactions"] == {
        "read": 8, "inserted": 3, "updated": 0, "unchanged": 0, "deleted": 0, "skipped": 0,
        "duplicate": 0, "rejected": 5,
        "closed": True,
    }  # fmt: skip
    assert money(account["money"]["rejected"]) == 60 + 10 + 20 + 30 + 40
    for table in ("dim_customer", "dim_product", "dim_sales_rep"):
        assert shop.star.scalar(f"SELECT count(*) FROM {table} WHERE is_inferred") == 0
    assert shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1") == [
        "T1", "T2", "T8",
    ]  # fmt: skip


def test_a_rejected_orphan_is_loaded_once_its_member_is_known(shop: Retailer) -> None:
    shop.sales[0]["customer_id"] = "C9"
    results = shop.publish(ORPHAN_POLICY="reject")
    assert shop.reasons(results) == ["unknown_customer"]
    shop.customers.append(shop.customers[0] | {"customer_id": "C9"})
    results = shop.publish(ORPHAN_POLICY="reject")
    assert shop.reasons(results) == []
    assert counts(results, "fact_sales") == (1, 0, 2)


def test_a_member_that_vanished_is_still_known_under_the_reject_policy(shop: Retailer) -> None:
    shop.publish(ORPHAN_POLICY="reject")
    del shop.customers[0]
    results = shop.publish(ORPHAN_POLICY="reject")
    assert shop.reasons(results) == []
    assert counts(results, "fact_sales") == (0, 0, 3)


def test_a_refused_orphan_leaves_no_trace_in_any_table(shop: Retailer) -> None:
    """Neither its year, nor its rep, nor what it names beside the unknown member."""
    first = shop.publish(ORPHAN_POLICY="reject")
    before = shop.star.digest()
    shop.sales += drawn("""
        transaction_id | transaction_date | customer_id | product_id | quantity | unit_price | sales_rep_id | discount_amount
        T4             | 1905-05-05       | NOBODY      | P1         | 1        | 2          | zed_only     | 0
        T5             | 1906-05-05       | C1          | NOTHING    | 1        | 2          | amy_only     | 0
        T5             | 1907-05-05       | C1          | P1         | x        | 2          | bob_only     | 0
    """)  # noqa: E501
    results = shop.publish(ORPHAN_POLICY="reject", BATCH_ROWS=2)
    assert shop.reasons(results) == ["unknown_customer", "unknown_product", "invalid_quantity"]
    assert changes(results) == 0
    loaded = results["dimension_loading_results"]
    assert (
        loaded["dim_sales_rep"]["unchanged"]
        == first["dimension_loading_results"]["dim_sales_rep"]["inserted"]
    )
    assert loaded["dim_date"]["unchanged"] == 366
    assert shop.star.digest() == before


def test_a_refused_orphan_leaves_no_trace_in_a_new_star(shop: Retailer) -> None:
    orphan = shop.sales[0] | {"transaction_id": "T0", "transaction_date": "2019-01-01"}
    shop.sales += [orphan | {"customer_id": "C9", "sales_rep_id": "zed_only"}]
    shop.publish(ORPHAN_POLICY="reject")
    assert shop.star.scalar("SELECT min(year) FROM dim_date") == 2024
    reps = "SELECT sales_rep_id FROM dim_sales_rep WHERE sales_rep_key > 0 ORDER BY 1"
    assert shop.star.column(reps) == ["grace_hopper", "john_backus"]


def test_a_loser_that_is_an_orphan_counts_once(shop: Retailer) -> None:
    """The last row with a key is the one that counts, also when it is refused for its member."""
    shop.sales += [shop.sales[0] | {"customer_id": "C9"}]
    results = shop.publish(ORPHAN_POLICY="reject")
    assert sorted(shop.reasons(results)) == ["conflicting_duplicate", "unknown_customer"]
    assert shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1") == ["T2", "T3"]
    assert results["validation_results"]["reconciliation"]["sources"]["transactions"]["closed"]


# --- dates ----------------------------------------------------------------------------------------


def test_dates_cover_whole_years_without_gaps_and_grow(shop: Retailer) -> None:
    def bounds() -> tuple[int, str, str]:
        count, first, last = shop.star.row(
            "SELECT count(*), min(full_date), max(full_date) FROM dim_date WHERE date_key > 0"
        )
        return count, first.isoformat(), last.isoformat()

    shop.publish()
    assert bounds() == (366, "2024-01-01", "2024-12-31")
    shop.sales = [shop.sales[0] | {"transaction_id": "T9", "transaction_date": "2021-06-30"}]
    shop.publish()
    assert bounds() == (365 * 3 + 366, "2021-01-01", "2024-12-31")


def test_a_day_says_what_it_is(shop: Retailer) -> None:
    shop.sales[0]["transaction_date"] = "2021-01-02"
    shop.publish()
    names = (
        "full_date, year, quarter, month, month_name, iso_week, day_of_month, day_of_week, "
        "day_name, is_weekend"
    )
    select = f"SELECT {names} FROM dim_date WHERE date_key = :key"
    day, *rest = shop.star.row(select, key=20210102)
    assert day.isoformat() == "2021-01-02"
    # ISO: the first days of 2021 belong to week 53 of 2020.
    assert rest == [2021, 1, 1, "January", 53, 2, 6, "Saturday", True]
    assert shop.star.row(select, key=20240229)[4:] == (
        "February", 9, 29, 4, "Thursday", False,
    )  # fmt: skip


@pytest.mark.parametrize("fate", ["superseded", "rejected"])
def test_a_sale_that_is_not_loaded_leaves_no_members_and_no_years(
    shop: Retailer, fate: str
) -> None:
    lost = shop.sales[0] | {
        "transaction_date": "1950-05-05",
        "customer_id": "C7",
        "product_id": "P7",
        "sales_rep_id": "nobody_atall",
    }
    if fate == "rejected":
        lost |= {"transaction_id": "T0", "quantity": "0"}
    shop.sales.insert(0, lost)
    results = shop.publish()
    reason = "conflicting_duplicate" if fate == "superseded" else "non_positive_quantity"
    assert shop.reasons(results) == [reason]
    assert shop.star.scalar("SELECT min(year) FROM dim_date") == 2024
    for table in ("dim_customer", "dim_product", "dim_sales_rep"):
        members = results["validation_results"]["row_counts"][table]
        assert members == 3, f"{table} should have two members and the Unknown one"


# --- independence of engine, order and batch size -------------------------------------------------


def _sample_paths(folder: Path) -> dict[str, object]:
    return {
        "CUSTOMERS__PATH": folder / "customers.csv",
        "PRODUCTS__PATH": folder / "products.json",
        "TRANSACTIONS__PATH": folder / "sales_transactions.csv",
    }


def test_both_engines_hold_the_same_star_for_the_same_history(
    duckdb_star: Star, postgresql_star: Star, tmp_path: Path
) -> None:
    nights = []
    for night in range(2):  # the second brings new sales, members and corrections
        folder = tmp_path / f"night{night}"
        sample_data.generate(folder, 1_000 + 500 * night, 80 + 20 * night, 50, seed=night)
        nights.append(_sample_paths(folder))
    digests = []
    for star in (duckdb_star, postgresql_star):
        place = tmp_path / star.engine_name
        place.mkdir()
        shop = Retailer(place, star)
        for night_paths in nights:
            shop.publish(**night_paths)
        digests.append(star.digest(with_runs=False))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(("batch_rows", "workers"), [(1, 3), (7, 1), (250_000, 2)])
def test_the_size_of_a_batch_changes_nothing(
    shop: Retailer, tmp_path: Path, batch_rows: int, workers: int
) -> None:
    folder = tmp_path / "sample"
    sample_data.generate(folder, sales=150, customers=60, products=30, reps=4)
    paths = _sample_paths(folder)
    shop.publish(**paths, BATCH_ROWS=1_000)
    before = shop.star.digest()
    results = shop.publish_in_full(**paths, BATCH_ROWS=batch_rows, WORKERS=workers)
    assert changes(results) == 0
    assert shop.star.digest() == before


@pytest.mark.parametrize("batch_rows", [1, 3])
def test_records_may_name_different_keys_in_any_batch(shop: Retailer, batch_rows: int) -> None:
    shop.products = [
        {"product_id": "P1"},
        {"product_id": "P2", "name": "Pen"},
        {"price": 7, "product_id": "P3", "cost": 5},
        {"product_id": "P4", "specifications": {"a": 1}, "brand": "Ink"},
    ]
    shop.publish(BATCH_ROWS=batch_rows)
    found = shop.star.rows(
        "SELECT product_id, product_name, brand, price, cost, specifications FROM dim_product "
        "WHERE product_key > 0 ORDER BY product_id"
    )
    assert found == [
        ("P1", "Product P1", "Unknown", None, None, None),
        ("P2", "Pen", "Unknown", None, None, None),
        ("P3", "Product P3", "Unknown", Decimal(7), Decimal(5), None),
        ("P4", "Product P4", "Ink", None, None, '{"a":1}'),
    ]


def test_files_of_one_source_may_have_different_columns(shop: Retailer) -> None:
    folder = shop.folder / "sales"
    folder.mkdir()
    short = [
        {k: v for k, v in row.items() if k not in ("sales_rep_id", "discount_amount")}
        for row in shop.sales[:2]
    ]
    (folder / "1.csv").write_text(to_csv(short))
    (folder / "2.csv").write_text(to_csv(shop.sales[2:]))
    results = shop.publish(TRANSACTIONS__PATH=folder)
    assert counts(results, "fact_sales") == (3, 0, 0)
    reps = [row[3] for row in shop.star.rows(FACTS)]
    assert reps == ["", "", "john_backus"]


def test_of_two_files_the_later_name_wins_a_conflict(shop: Retailer) -> None:
    folder = shop.folder / "sales"
    folder.mkdir()
    (folder / "b.csv").write_text(to_csv([shop.sales[0] | {"quantity": "7"}]))
    (folder / "a.csv").write_text(to_csv(shop.sales))
    results = shop.publish(TRANSACTIONS__PATH=folder)
    assert shop.star.column("SELECT quantity FROM fact_sales ORDER BY transaction_id")[0] == 7
    (reject,) = shop.rejects(results)
    assert (reject["_reason"], reject["_line"]) == ("conflicting_duplicate", "2")
    assert reject["_file"].endswith("a.csv")


@pytest.mark.parametrize("other", ["csv", "json"])
def test_duplicates_are_found_among_files_whose_columns_are_kept_differently(
    shop: Retailer, other: str
) -> None:
    """One file lacks a column, or is of another format: its batches are encoded differently."""
    days = shop.folder / "days"
    days.mkdir()
    (days / "1.csv").write_text(to_csv(shop.sales), encoding="utf-8")
    shop.sales[0] |= {"quantity": "7"}
    for sale in shop.sales:
        del sale["discount_amount"]
    text = to_csv(shop.sales) if other == "csv" else json.dumps(shop.sales)
    (days / f"2.{other}").write_text(text, encoding="utf-8")
    results = shop.publish(TRANSACTIONS__PATH=days)
    sales = results["transformation_results"]["fact_sales"]
    assert (sales["duplicates"], sales["rejected"]) == (1, {"conflicting_duplicate": 2})
    sql = "SELECT transaction_id, quantity, discount_amount FROM fact_sales ORDER BY 1"
    assert shop.star.rows(sql) == [("T1", 7, 0), ("T2", 3, 0), ("T3", 1, 0)]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_the_last_of_conflicting_rows_wins_across_batches(shop: Retailer, batch_rows: int) -> None:
    first, *others = deepcopy(shop.sales)
    changed = first | {"quantity": "5"}
    shop.sales = [first, changed, *others, first, changed, changed]
    shop.customers += [shop.customers[1], shop.customers[0] | {"city": "Paris"}]
    results = shop.publish(BATCH_ROWS=batch_rows)
    won = "SELECT quantity FROM fact_sales WHERE transaction_id = 'T1'"
    assert shop.star.scalar(won) == 5
    assert [(r["_line"], r["_reason"]) for r in shop.rejects(results)] == [
        ("2", "conflicting_duplicate"),
        ("6", "conflicting_duplicate"),
    ]
    account = results["validation_results"]["reconciliation"]
    assert account["sources"]["transactions"] == {
        "read": 7, "inserted": 3, "updated": 0, "unchanged": 0, "deleted": 0, "skipped": 0,
        "duplicate": 2, "rejected": 2,
        "closed": True,
    }  # fmt: skip
    assert money(account["money"]["duplicate"]) == 2 * 1250
    assert money(account["money"]["rejected"]) == 2 * 500
    assert shop.star.member("dim_customer", "C1")["city"] == "Paris"
    assert results["transformation_results"]["dim_customer"]["duplicates"] == 1
    assert shop.reasons(results, "customers") == ["conflicting_duplicate"]


@pytest.mark.parametrize("count", [16_001, 48_001, 112_001])
def test_the_parts_of_the_first_batch_are_all_of_its_rows(shop: Retailer, count: int) -> None:
    """A large first batch is loaded in growing parts, so that the engine need not wait for it."""
    first, second, third = shop.sales
    orphan = first | {"transaction_id": "T0", "customer_id": "C9"}
    more = [first | {"transaction_id": f"N{n}"} for n in range(count)]
    shop.sales = [first, second, orphan, second, *more, third]
    results = shop.publish(BATCH_ROWS=count + 2, ORPHAN_POLICY="reject")
    loaded = set(shop.star.column("SELECT transaction_id FROM fact_sales"))
    assert loaded == {"T1", "T2", "T3", *(sale["transaction_id"] for sale in more)}
    assert [(r["_line"], r["_reason"]) for r in shop.rejects(results)] == [
        ("4", "unknown_customer")
    ]
    account = results["validation_results"]["reconciliation"]["sources"]["transactions"]
    assert (account["inserted"], account["duplicate"], account["rejected"]) == (
        count + 3, 1, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("seed", "batch_rows"), [(1, 1), (2, 2), (3, 5), (4, 1_000)])
def test_the_order_of_rows_changes_nothing(shop: Retailer, seed: int, batch_rows: int) -> None:
    shop.sales = [
        shop.sales[0] | {"transaction_id": f"T{n:02}", "customer_id": f"C{n % 4}"}
        for n in range(12)
    ]
    shop.publish()
    before = shop.star.digest()
    rng = random.Random(seed)  # noqa: S311  # shuffles, no secret
    for rows in (shop.sales, shop.customers, shop.products):
        rng.shuffle(rows)
    results = shop.publish(BATCH_ROWS=batch_rows)
    assert changes(results) == 0
    assert shop.star.digest() == before


@pytest.mark.parametrize("seed", range(3))
def test_a_first_load_numbers_members_alike_in_any_order(
    duckdb_shop: Retailer, postgresql_star: Star, seed: int
) -> None:
    shop = duckdb_shop
    shop.customers = [shop.customers[0] | {"customer_id": n} for n in "aBÄßz1_é"]
    shop.sales = [
        shop.sales[0] | {"transaction_id": str(n), "product_id": p}
        for n, p in enumerate("zäbAP_1-")
    ]
    shop.publish()
    digest = shop.star.digest(with_runs=False)
    other = Retailer(shop.folder, postgresql_star, shop.customers, shop.products, shop.sales)
    rng = random.Random(seed)  # noqa: S311  # shuffles, no secret
    for rows in (other.sales, other.customers, other.products):
        rng.shuffle(rows)
    other.publish(BATCH_ROWS=seed + 1)
    assert postgresql_star.digest(with_runs=False) == digest


def test_a_changed_cost_restates_no_sale_whether_it_comes_again_or_not(shop: Retailer) -> None:
    profits = "SELECT transaction_id, profit_amount FROM fact_sales ORDER BY transaction_id"
    shop.publish()
    assert [profit for _, profit in shop.star.rows(profits)] == [
        money("300"), money("43.9725"), money("18"),
    ]  # fmt: skip
    shop.products[1]["cost"] = "40"
    del shop.sales[2]
    results = shop.publish()
    assert counts(results, "fact_sales") == (0, 0, 2)
    assert [profit for _, profit in shop.star.rows(profits)] == [
        money("300"), money("43.9725"), money("18"),
    ]  # fmt: skip


def test_returns_and_free_items_pass_the_whole_run_when_accepted(shop: Retailer) -> None:
    shop.sales[0] |= {"quantity": "-2", "discount_amount": "-50"}
    shop.sales[1] |= {"unit_price": "0", "discount_amount": ""}
    results = shop.publish(ACCEPT_RETURNS=True, ACCEPT_FREE_ITEMS=True)
    rows = shop.star.rows(
        "SELECT gross_amount, net_amount, profit_amount FROM fact_sales ORDER BY transaction_id"
    )
    assert rows == [(-500, -450, -250), (0, 0, -126), (60, 60, 18)]
    assert money(results["validation_results"]["reconciliation"]["money"]["loaded"]) == -390


def test_sources_of_nothing_but_required_columns_are_loaded(shop: Retailer) -> None:
    shop.files = {
        "customers": "customer_id\nC1\n",
        "products": '[{"product_id": "P1"}]',
        "transactions": (
            "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
            "T1,2024-02-29,C1,P1,2,10\n"
        ),
    }
    shop.publish()
    assert shop.star.row("SELECT sales_rep_key, net_amount, profit_amount FROM fact_sales") == (
        -1, 20, None,
    )  # fmt: skip
    assert shop.star.member("dim_customer", "C1")["full_name"] == "Customer C1"


AWKWARD = [
    "\\N", "NULL", "\\.", "a\"b", "a'b", "a\\b", "a,b;c|d", "a\nb", "a\tb", '"', "''", "%s", ":x",
    "{x}", "$1", "--", "\u00e9", "\U0001f600", "a" * 1000, "İ", "ß", " inner  space ",
]  # fmt: skip


def test_awkward_text_is_stored_as_it_is_and_found_again(shop: Retailer) -> None:
    shop.customers = [{"customer_id": text, "company": text} for text in AWKWARD]
    shop.sales = [
        shop.sales[0] | {"transaction_id": text, "customer_id": text, "sales_rep_id": text}
        for text in AWKWARD
    ]
    shop.publish()
    expected: dict[str, str | None] = {text.strip(): text.strip() for text in AWKWARD}
    expected |= {"\\N": None, "NULL": None}  # no company, and yet an id
    stored = dict(shop.star.rows("SELECT customer_id, company FROM dim_customer"))
    assert stored == {**expected, "": None}
    facts = shop.star.rows(FACTS)
    assert sorted(row[0] for row in facts) == sorted(expected)
    for own, customer, rep in ((row[0], row[1], row[3]) for row in facts):
        # As references these mean that there is no customer and no rep.
        assert customer == rep == ("" if own in ("\\N", "NULL") else own)
    before = shop.star.digest()
    assert changes(shop.publish_in_full()) == 0
    assert shop.star.digest() == before


def test_an_absurd_profit_is_unknown_and_stops_nothing(shop: Retailer) -> None:
    shop.products[0]["cost"] = "90000000000000"
    shop.sales[0] |= {"quantity": "4006381333931", "unit_price": "0.01"}  # a bar code, misplaced
    shop.publish()
    profit = "SELECT profit_amount FROM fact_sales WHERE transaction_id = 'T1'"
    assert shop.star.scalar(profit) is None
    assert changes(shop.publish_in_full()) == 0

"""Sales and members that go away: flagged, skipped, or not in the input any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cli import main
from main import StarSchemaETLPipeline
from support.commands import run_command
from support.retailer import Retailer, recognised
from support.sessions import as_role
from support.tables import Row
from transform import StarSchemaTransformer

FULL = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}
NO_SALES = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"


def sales_in(shop: Retailer) -> list[str]:
    return [key for (key,) in shop.star.rows("SELECT transaction_id FROM fact_sales ORDER BY 1")]


def account(results: Row, source: str = "transactions") -> dict[str, int]:
    """The rows of a source, without what is zero."""
    told = results["validation_results"]["reconciliation"]["sources"][source]
    assert told["closed"]
    return {name: n for name, n in told.items() if n and name != "closed"}


def money(results: Row) -> dict[str, str]:
    """The net amounts by what became of the rows, without what is zero."""
    told = results["validation_results"]["reconciliation"]["money"]
    assert told["closed"]
    return {name: n for name, n in told.items() if n != "0.0000" and name != "closed"}


def balance(results: Row) -> tuple[Any, ...]:
    """The star's own balance: facts removed and left, net amount corrected, removed and left."""
    told = results["validation_results"]["reconciliation"]["balance"]
    assert told["closed"]
    names = ("rows_removed", "rows_after", "corrected", "removed", "after")
    return tuple(told[name] for name in names)


def deleted(results: Row) -> tuple[int, int]:
    """How many facts went because a row said so, and because they are absent."""
    told = results["fact_loading_results"]["records_deleted"]
    return told["by_flag"], told["by_absence"]


def flags(shop: Retailer, member: str = "customer") -> dict[str, bool | None]:
    query = f"SELECT {member}_id, is_deleted FROM dim_{member} WHERE {member}_key > 0"
    return dict(shop.star.rows(query))


# --- rows that say so -----------------------------------------------------------------------


@pytest.mark.parametrize("yes", ["true", "T", "Yes", "1", "x", "2024-05-01", "2024-05-01T10:00:00"])
def test_a_flagged_row_removes_its_sale_and_needs_only_its_key(yes: str, shop: Retailer) -> None:
    shop.publish()
    shop.sales = [
        {**dict.fromkeys(shop.sales[0], ""), "transaction_id": "T2", "is_deleted": yes},
        {**shop.sales[0], "is_deleted": ""},
        {**shop.sales[2], "is_deleted": "no"},
    ]
    results = shop.publish()
    assert sales_in(shop) == ["T1", "T3"]
    assert deleted(results) == (1, 0)
    assert account(results) == {"read": 3, "unchanged": 2, "deleted": 1}
    assert money(results) == {"read": "560.0000", "unchanged": "560.0000"}
    assert balance(results) == (1, 2, "0.0000", "169.9725", "560.0000")


def test_a_flagged_row_of_no_sale_is_unchanged(shop: Retailer) -> None:
    """On the first load as well, and its money is unchanged too."""
    flagged = {**shop.sales[0], "transaction_id": "T9", "customer_id": "C9", "is_deleted": "1"}
    shop.sales = [*({**row, "is_deleted": "0"} for row in shop.sales), flagged]
    for results in (shop.publish(), shop.publish_in_full()):
        assert sales_in(shop) == ["T1", "T2", "T3"]
        assert deleted(results) == (0, 0)
        assert money(results)["read"] == "1229.9725"
    assert account(results) == {"read": 4, "unchanged": 4}
    assert money(results)["unchanged"] == "1229.9725"
    assert shop.star.scalar("SELECT count(*) FROM dim_customer WHERE customer_id = 'C9'") == 0


def test_a_flag_that_cannot_be_read_is_neither_yes_nor_no(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [{**shop.sales[0], "quantity": "9", "is_deleted": "maybe"}]
    results = shop.publish()
    assert shop.rejects(results)[0]["_detail"] == "is_deleted: maybe is neither yes nor no"
    assert shop.reasons(results) == ["invalid_text"]
    assert sales_in(shop) == ["T1", "T2", "T3"]


def test_rows_that_lose_to_a_removal_are_duplicates_and_the_last_row_counts(
    shop: Retailer,
) -> None:
    shop.publish()
    first, second, third = ({**row, "is_deleted": ""} for row in shop.sales)
    gone = {"is_deleted": "yes"}
    shop.sales = [
        first, first | {"quantity": "5"}, first | gone,  # gone
        second | gone, second | {"quantity": "4"},  # back again
        third | gone, third | gone | {"quantity": "7"},  # gone twice
    ]  # fmt: skip
    results = shop.publish()
    assert sales_in(shop) == ["T2"]
    assert account(results) == {
        "read": 7, "updated": 1, "deleted": 2, "duplicate": 3, "rejected": 1,
    }  # fmt: skip
    assert shop.reasons(results) == ["conflicting_duplicate"]
    assert shop.star.scalar("SELECT quantity FROM fact_sales") == 4
    assert shop.publish_in_full()["fact_loading_results"]["records_updated"] == 0


def test_skipped_rows_are_counted_and_take_their_sales_away(shop: Retailer) -> None:
    shop.sales = [{**row, "Status": "paid"} for row in shop.sales]
    skip = {"TRANSACTIONS__SKIP_WHEN": '{"status": ["voided", "Test"], "quantity": "subtotal"}'}
    shop.publish(**skip)
    shop.sales[0] |= {"Status": " voided "}
    shop.sales[1] |= {"Status": "test"}  # another case is another text
    shop.sales.append(shop.sales[0] | {"transaction_id": "T8", "unit_price": "free"})
    shop.sales.append({"transaction_id": "", "quantity": "subtotal"})
    results = shop.publish(**skip)
    assert sales_in(shop) == ["T2", "T3"]
    assert account(results) == {"read": 5, "unchanged": 2, "deleted": 1, "skipped": 2}
    assert money(results) == {"read": "729.9725", "unchanged": "229.9725", "deleted": "500.0000"}
    assert balance(results) == (1, 2, "0.0000", "500.0000", "229.9725")
    again = shop.publish_in_full(**skip)
    assert account(again) == {"read": 5, "unchanged": 2, "skipped": 3}
    assert money(again) == {"read": "729.9725", "unchanged": "229.9725", "skipped": "500.0000"}
    assert not any("Status" in warning for warning in results["warnings"])


def test_a_column_that_skip_when_asks_and_no_file_has_stops_the_run(shop: Retailer) -> None:
    shop.sales = [{**row, "Status": "paid"} for row in shop.sales]
    results = shop.run(TRANSACTIONS__SKIP_WHEN='{"State": ["voided"]}')
    assert results["status"] == "failed"
    assert "TRANSACTIONS__SKIP_WHEN asks 'State'" in results["errors"][0]
    assert "nearest: 'Status'" in results["errors"][0]


def test_skipped_members_are_counted_and_change_nothing(shop: Retailer) -> None:
    shop.publish()
    shop.customers = [{**row, "kind": "person", "city": "Oslo"} for row in shop.customers]
    shop.customers[0]["kind"] = "test"
    results = shop.publish(CUSTOMERS__SKIP_WHEN='{"kind": ["test"]}')
    assert account(results, "customers") == {"read": 2, "updated": 1, "skipped": 1}
    cities = shop.star.rows("SELECT customer_id, city FROM dim_customer WHERE customer_key > 0")
    assert dict(cities) == {"C1": "London", "C2": "Oslo"}


# --- what is absent -------------------------------------------------------------------------


def test_a_full_extract_takes_away_what_it_lacks(shop: Retailer) -> None:
    shop.publish()
    shop.sales = [shop.sales[0] | {"quantity": "3"}, shop.sales[2]]
    results = shop.publish(**FULL)
    assert sales_in(shop) == ["T1", "T3"]
    assert deleted(results) == (0, 1)
    assert account(results) == {"read": 2, "updated": 1, "unchanged": 1}
    assert balance(results) == (1, 2, "250.0000", "169.9725", "810.0000")
    again = shop.publish(**FULL)
    assert again["repeats_run"] == results["run_id"]
    assert deleted(again) == (0, 0)
    assert balance(again) == (0, 2, "0.0000", "0.0000", "810.0000")


def test_more_absent_rows_than_may_be_stop_the_load(shop: Retailer) -> None:
    shop.publish()
    content = shop.star.content()
    shop.sales = shop.sales[:2]
    results = shop.run(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="0.33")
    assert results["status"] == "gate_failed"
    assert "1 of 3 rows of fact_sales are not in the input" in results["errors"][0]
    assert "--full-refresh" in results["errors"][0]
    assert shop.star.content() == content
    shop.publish(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="0.34")
    assert sales_in(shop) == ["T1", "T2"]


def test_a_period_takes_away_what_it_lacks_within_it(shop: Retailer) -> None:
    """T1 is before the period and stays; T3 moves out of it and is updated, T2 is gone."""
    shop.publish()
    shop.sales = [
        shop.sales[2] | {"transaction_date": "2024-04-01"},
        shop.sales[2] | {"transaction_id": "T4", "transaction_date": "2024-03-15"},
    ]
    march = {
        "TRANSACTIONS__EXTRACT": "period",
        "TRANSACTIONS__PERIOD": '["2024-03-01", "2024-03-31"]',
    }
    (refused,) = shop.run(**march)["errors"]
    assert "1 of 2 rows of fact_sales within the period are not in the input" in refused
    assert "--full-refresh" not in refused  # it would take away all other months
    results = shop.publish(**march, MAX_DELETE_RATE="0.5")
    assert sales_in(shop) == ["T1", "T3", "T4"]
    assert deleted(results) == (0, 1)
    assert account(results) == {"read": 2, "inserted": 1, "updated": 1}


def _rejected(shop: Retailer) -> None:
    shop.sales[1]["quantity"] = "many"


def _orphan(shop: Retailer) -> None:
    shop.sales[1]["customer_id"] = "C404"


def _skipped_by_a_later_row(shop: Retailer) -> None:
    shop.sales.append({**shop.sales[1], "quantity": "many"})
    shop.sales[1]["quantity"] = "x"


@pytest.mark.parametrize("damage", [_rejected, _orphan, _skipped_by_a_later_row])
def test_a_row_that_is_refused_keeps_its_sale(
    damage: Callable[[Retailer], None], shop: Retailer
) -> None:
    shop.publish()
    damage(shop)
    del shop.sales[0]
    results = shop.publish(**FULL, ORPHAN_POLICY="reject")
    assert sales_in(shop) == ["T2", "T3"]
    assert deleted(results) == (0, 1)


def _blank_key(shop: Retailer) -> None:
    shop.sales[1]["transaction_id"] = ""


def _torn_line(shop: Retailer) -> None:
    shop.files["transactions"] = NO_SALES + 'T3,2024-03-02,C1,P2,1,60\nT2,2024"\n'


def _undecodable_key(shop: Retailer) -> None:
    text = NO_SALES.encode() + b"T3,2024-03-02,C1,P2,1,60\nT\xff,2024-03-02,C1,P2,1,60\n"
    shop.files["transactions"] = text


def _only_a_header(shop: Retailer) -> None:
    shop.files["transactions"] = NO_SALES


def _all_refused(shop: Retailer) -> None:
    shop.files["transactions"] = NO_SALES + "T2,2024-03-02,C1,P2,none,60\n"


@pytest.mark.parametrize(
    "damage", [_blank_key, _torn_line, _undecodable_key, _only_a_header, _all_refused]
)
def test_nothing_is_removed_for_being_absent_while_something_cannot_be_read(
    damage: Callable[[Retailer], None], shop: Retailer
) -> None:
    shop.publish()
    del shop.sales[0]
    damage(shop)
    results = shop.publish(**FULL)
    assert "T1" in sales_in(shop)
    assert "T2" in sales_in(shop)
    assert deleted(results) == (0, 0)
    (warning,) = (text for text in results["warnings"] if "look gone and stay" in text)
    assert "of 3 rows of fact_sales" in warning


def test_a_file_of_zero_bytes_among_others_removes_nothing(shop: Retailer) -> None:
    shop.publish()
    folder = shop.folder / "days"
    folder.mkdir()
    (folder / "1.csv").write_text(NO_SALES + "T1,2024-02-29,C1,P1,2,250\n", encoding="utf-8")
    (folder / "2.csv").write_bytes(b"")
    results = shop.publish(**FULL, TRANSACTIONS__PATH=folder)
    assert sales_in(shop) == ["T1", "T2", "T3"]
    assert any("2.csv" in text and "no byte" in text for text in results["warnings"])


def test_a_repeated_header_hides_no_sale(shop: Retailer) -> None:
    shop.publish()
    header = NO_SALES.strip()
    shop.files["transactions"] = f"{header}\nT1,2024-02-29,C1,P1,2,250\n{header}\n"
    assert deleted(shop.publish(**FULL)) == (0, 2)


# --- members --------------------------------------------------------------------------------


def test_members_are_flagged_when_they_vanish_and_unflagged_when_they_return(
    shop: Retailer,
) -> None:
    full = {"CUSTOMERS__EXTRACT": "full", "MAX_DELETE_RATE": "0.5"}
    shop.sales.append({**shop.sales[0], "transaction_id": "T9", "customer_id": "C9"})
    shop.publish(**full)
    both = shop.customers
    shop.customers = both[:1]
    results = shop.publish(**full)
    assert flags(shop) == {"C1": False, "C2": True, "C9": False}  # C9 was never in the source
    dimension = results["dimension_loading_results"]["dim_customer"]
    assert (dimension["deleted"], dimension["updated"]) == (1, 0)
    assert account(results, "customers") == {"read": 1, "unchanged": 1}
    assert shop.publish_in_full(CUSTOMERS__EXTRACT="full")["status"] == "published"
    shop.customers = both
    assert shop.publish()["dimension_loading_results"]["dim_customer"]["updated"] == 1
    assert flags(shop) == {"C1": False, "C2": False, "C9": False}


def test_a_source_says_itself_which_members_are_deleted(shop: Retailer) -> None:
    shop.customers = [
        {**row, "is_deleted": flag} for row, flag in zip(shop.customers, ("yes", "?"), strict=True)
    ]
    results = shop.publish()
    assert flags(shop) == {"C1": True, "C2": None}
    issues = results["transformation_results"]["dim_customer"]["attribute_issues"]
    assert issues == {"is_deleted": 1}


def test_too_many_vanished_members_stop_the_load(shop: Retailer) -> None:
    shop.publish()
    shop.customers = shop.customers[:1]
    results = shop.run(CUSTOMERS__EXTRACT="full")
    assert results["status"] == "gate_failed"
    assert "1 of 2 rows of dim_customer" in results["errors"][0]
    assert flags(shop) == {"C1": False, "C2": False}


# --- rights ---------------------------------------------------------------------------------


def test_a_role_that_may_not_delete_says_so_before_it_reads(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    grants = capsys.readouterr().out.strip().splitlines()
    shop.star.execute(*(grant for grant in grants if "DELETE" not in grant))
    url = as_role(shop.star, loader_role)
    shop.publish(WAREHOUSE_URL=url)
    code, _, err = run_command(shop, capsys, WAREHOUSE_URL=url, **FULL)
    assert code == 1
    assert "may not delete from the table fact_sales" in err
    assert "Extraction begins" not in err
    shop.sales[0]["is_deleted"] = "1"
    assert "main.py init" in shop.run(WAREHOUSE_URL=url)["errors"][0]
    shop.star.execute(*grants)
    shop.publish(WAREHOUSE_URL=url)
    assert sales_in(shop) == ["T2", "T3"]


def test_the_night_of_removals_is_tried_as_a_dry_run(shop: Retailer) -> None:
    shop.publish()
    content = shop.star.content()
    del shop.sales[0]
    results = shop.run(
        lambda config, **options: StarSchemaETLPipeline(config, dry_run=True, **options), **FULL
    )
    assert deleted(results) == (0, 1)
    assert shop.star.content() == content
    assert Decimal(balance(results)[3]) == 500
    assert recognised(shop) == 0


@pytest.mark.usefixtures("unfolded")
def test_check_tells_which_rows_would_take_sales_away(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[0] |= {"is_deleted": "yes", "Status": "paid"}
    shop.sales[1] |= {"is_deleted": "", "Status": "voided"}
    shop.sales[2] |= {"is_deleted": "", "Status": "paid"}
    env = shop.env_file(TRANSACTIONS__SKIP_WHEN='{"Status": ["voided"]}')
    assert main(["--env-file", env, "check"]) == 0
    out = capsys.readouterr().out
    assert "skip when   asks Status" in out
    assert "2 of 3 rows are flagged as deleted or left out by SKIP_WHEN" in out
    assert "transactions 1 of 3 rows" in out


def test_prepared_sales_are_those_to_load(shop: Retailer) -> None:
    rows = [{**row, "is_deleted": flag} for row, flag in zip(shop.sales, "010", strict=True)]
    frame = StarSchemaTransformer(shop.config()).prepare_sales_facts(
        [*rows, rows[0] | {"is_deleted": "1"}]
    )
    assert list(frame["transaction_id"]) == ["T3"]
    assert "_removal" not in frame


@pytest.mark.parametrize(
    ("column", "word"),
    [("Order Status", "cancelled"), ("voided", "yes"), ("deleted_at", "2024-05-01")],
)
def test_the_warning_about_cancelled_sales_brings_the_setting_that_takes_them_away(
    column: str, word: str, shop: Retailer
) -> None:
    shop.sales = [{**row, column: ""} for row in shop.sales]
    shop.publish()
    shop.sales[0][column] = word
    (warning,) = (w for w in shop.publish()["warnings"] if "loaded like any other" in w)
    setting = re.search(r"(TRANSACTIONS__\w+)='(.*)' leaves", warning)
    assert setting is not None
    shop.publish(**{setting[1]: setting[2]})
    assert sales_in(shop) == ["T2", "T3"]

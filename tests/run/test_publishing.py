"""All of a run is published at once, at its end, or nothing is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from load_facts import FactLoader
from main import StarSchemaETLPipeline
from support.commands import run_command, run_json
from support.disturbances import watched
from support.retailer import Retailer, changes, counts
from support.summary import ALL_DONE, statuses


@pytest.mark.parametrize("phase", ["fact_loading", "validation"])
def test_readers_see_yesterdays_star_until_all_is_published(shop: Retailer, phase: str) -> None:
    shop.publish()
    before = shop.star.digest()
    seen = {}

    def look(pipeline: StarSchemaETLPipeline, ended: str) -> None:
        """As an analyst does."""
        if ended == phase:
            seen["star"] = shop.star.digest()
            seen["runs"] = str(len(shop.star.runs()))

    shop.customers[0]["city"] = "Paris"
    shop.sales[0]["quantity"] = "9"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "transaction_date": "2020-05-05"})
    results = shop.run(watched(after=look))
    assert results["status"] == "published"
    assert seen == {"star": before, "runs": "1"}
    assert shop.star.digest() != before


def test_the_rejects_are_on_disk_before_the_commit(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales[0]["quantity"] = "x"
    duckdb_shop.sales[0]["customer_id"] = "C9"
    duckdb_shop.sales[1]["customer_id"] = "C9"
    seen: list[str] = []

    def look(pipeline: StarSchemaETLPipeline, ended: str) -> None:
        if ended == "validation":
            folder = duckdb_shop.folder / "rejects" / pipeline.run_id
            seen.extend(duckdb_shop.reasons({"rejects_dir": folder}))

    results = duckdb_shop.run(watched(after=look), ORPHAN_POLICY="reject")
    assert seen == ["invalid_quantity", "unknown_customer"] == duckdb_shop.reasons(results)


def test_data_that_loads_and_fails_validation_is_not_published(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yesterday's digest, exit 3, and the money that does not add up is in the summary."""
    shop.publish()
    before = shop.star.digest()
    shop.sales = [shop.sales[0] | {"transaction_id": "T9", "quantity": "4"}]
    real = FactLoader.load_sales_facts

    def short_of_a_cent(loader: FactLoader, *rows: Any) -> Any:
        counted = real(loader, *rows)
        loader.warehouse.connection.exec_driver_sql(
            f'UPDATE "{loader.warehouse.schema}".fact_sales SET discount_amount = 0.01, '
            "net_amount = net_amount - 0.01, profit_amount = profit_amount - 0.01 "
            "WHERE transaction_id = 'T9'"
        )
        return counted

    monkeypatch.setattr(FactLoader, "load_sales_facts", short_of_a_cent)
    code, out, err = run_command(shop, capsys, "--json")
    results = json.loads(out)
    assert (code, results["status"]) == (3, "gate_failed")
    money = results["validation_results"]["reconciliation"]["money"]
    assert (money["read"], money["loaded"], money["closed"]) == ("1000.0000", "999.9900", False)
    (error,) = results["errors"]
    assert "the net amounts do not add up" in error
    assert "1000.0000" in error
    assert "999.9900" in error
    assert error in err
    assert shop.star.digest() == before
    (counts,) = shop.star.column("SELECT counts FROM etl_run WHERE status = 'gate_failed'")
    assert json.loads(counts)["validation_results"]["reconciliation"]["money"] == money


# --- a dry run ------------------------------------------------------------------------------------


def test_a_dry_run_does_everything_but_publish(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    before, runs = shop.star.digest(), shop.star.runs()
    shop.customers[0]["city"] = "Paris"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "customer_id": "C9"})
    code, results, _ = run_json(shop, capsys, "--dry-run")
    assert code == 0
    assert (results["status"], results["success"]) == ("dry_run", True)
    assert statuses(results) == ALL_DONE
    assert counts(results, "dim_customer") == (0, 1, 1)
    assert counts(results, "fact_sales") == (1, 0, 3)
    assert (shop.star.digest(), shop.star.runs()) == (before, runs)
    assert changes(shop.publish()) == 3


def test_a_dry_run_on_an_empty_warehouse_leaves_it_empty(shop: Retailer) -> None:
    config = shop.config()
    results = StarSchemaETLPipeline(config, dry_run=True, quiet=True).run_full_pipeline()
    assert results["status"] == "dry_run"
    assert shop.star.tables() == set()


def test_a_dry_run_finds_what_would_fail(shop: Retailer) -> None:
    shop.publish()
    del shop.sales[2]  # or the run corrects what is planted
    shop.star.execute("UPDATE fact_sales SET gross_amount = 61 WHERE transaction_id = 'T3'")
    results = StarSchemaETLPipeline(shop.config(), dry_run=True, quiet=True).run_full_pipeline()
    assert results["status"] == "gate_failed"

"""The summary of a run, its row in etl_run, the log and the rejects say the same."""

from __future__ import annotations

import hashlib
import json

import pytest

from main import StarSchemaETLPipeline
from support.commands import run_command
from support.retailer import Retailer
from support.summary import ALL_DONE, FIXED_KEYS, statuses


def test_the_summary_of_a_published_run_is_complete_and_json(shop: Retailer) -> None:
    results = shop.publish()
    assert results.keys() >= FIXED_KEYS
    assert json.loads(json.dumps(results)) == results
    assert (results["success"], results["status"], results["errors"]) == (True, "published", [])
    assert statuses(results) == ALL_DONE
    assert results["total_duration_seconds"] > 0
    extraction = results["extraction_results"]
    assert {name: extraction[name]["records"] for name in ("customers", "products")} == {
        "customers": 2, "products": 2,
    }  # fmt: skip
    assert extraction["_metadata"] == {
        "total_records": 7, "success": True, "extraction_errors": [],
    }  # fmt: skip
    assert results["fact_loading_results"].keys() >= {
        "records_inserted", "records_updated", "records_unchanged", "records_failed",
        "orphaned_records", "processing_time",
    }  # fmt: skip
    validation = results["validation_results"]
    assert validation["row_counts"]["fact_sales"] == 3
    assert validation["referential_integrity"]["valid"] is True
    assert validation["data_quality_score"] == 100
    assert validation["validation_errors"] == []
    assert {check["status"] for check in validation["checks"]} == {"passed"}


def test_each_run_is_one_row_that_tells_what_it_did(shop: Retailer) -> None:
    first, second = shop.publish(), shop.publish()
    assert [run for run, _ in shop.star.runs()] == [first["run_id"], second["run_id"]]
    started, ended, status, told, sources, error, version = shop.star.row(
        "SELECT CAST(started_at AS TEXT), CAST(ended_at AS TEXT), status, counts, sources, "
        "error_class, code_version "
        "FROM etl_run WHERE run_id = :run",
        run=first["run_id"],
    )
    assert started <= ended
    assert (status, error) == ("published", None)
    assert version
    assert json.loads(told)["fact_loading_results"] == first["fact_loading_results"]
    (customers,) = json.loads(sources)["customers"]
    content = shop.path("customers").read_bytes()
    assert customers["sha256"] == hashlib.sha256(content).hexdigest()
    assert (customers["path"], customers["records"]) == (str(shop.path("customers")), 2)


def test_warnings_name_the_columns_that_are_not_used(duckdb_shop: Retailer) -> None:
    for row in duckdb_shop.customers:
        row |= {"shoe_size": "43", "nickname": "x"}
    (warning,) = duckdb_shop.publish()["warnings"]
    assert "customers" in warning
    assert "shoe_size, nickname" in warning


@pytest.mark.parametrize("gate", [False, True])
def test_summary_run_row_log_and_rejects_say_the_same(
    shop: Retailer, capsys: pytest.CaptureFixture[str], gate: bool
) -> None:
    """One set of numbers, wherever it is read; also when the run was refused."""
    shop.publish()
    shop.sales[0]["quantity"] = "9"
    shop.sales += [
        shop.sales[1],
        shop.sales[1] | {"transaction_id": "T7", "quantity": "x"},
        shop.sales[1] | {"transaction_id": "T8", "unit_price": "?"},
        shop.sales[1] | {"transaction_id": "T9"},
    ]
    code, out, _ = run_command(shop, capsys, "--json", MAX_REJECT_RATE=0.2 if gate else 1)
    results = json.loads(out)
    assert code == (3 if gate else 0)
    assert json.loads(json.dumps(results)) == results
    run_id = results["run_id"]

    status, told, sources = shop.star.row(
        "SELECT status, counts, sources FROM etl_run WHERE run_id = :run", run=run_id
    )
    assert status == results["status"]
    row = json.loads(told)
    parts = [name for name in results if name.endswith("_results")]
    for phases in (row["phases"], results["phases"]):  # the row is written before the run ends
        del phases["publishing" if results["success"] else "validation"]["duration_seconds"]
    assert {name: row[name] for name in (*parts, "phases")} == {
        name: results[name] for name in (*parts, "phases")
    }
    files = {name: part["files"] for name, part in results["extraction_results"].items()
             if name != "_metadata"}  # fmt: skip
    assert json.loads(sources) == files

    rejected = results["transformation_results"]["fact_sales"]["rejected"]
    assert rejected == {"invalid_quantity": 1, "invalid_unit_price": 1}
    assert sorted(shop.reasons(results)) == sorted(rejected)
    log = [line for line in shop.log.splitlines() if run_id in line]
    if not gate:
        for reason in rejected:
            assert any(f"     1  {reason}  " in line for line in log)
    if not gate:
        account = results["validation_results"]["reconciliation"]["sources"]["transactions"]
        in_words = [str(value) for name, value in account.items() if name != "closed" and value]
        assert in_words == ["7", "1", "1", "2", "1", "2"]
        assert any(line.split()[-9:] == ["sales", *in_words, "✔", "closes"] for line in log)
        now = shop.star.scalar("SELECT count(*) FROM fact_sales")
        assert results["validation_results"]["row_counts"]["fact_sales"] == now == 4


def test_the_summary_belongs_to_the_caller(shop: Retailer) -> None:
    """What somebody does to it changes neither the next run nor what the warehouse keeps."""
    pipeline = StarSchemaETLPipeline(shop.config(), quiet=True)
    first = pipeline.run_full_pipeline()
    expected = json.loads(json.dumps(first["validation_results"]["row_counts"]))
    for part in first.values():
        if isinstance(part, dict | list):
            part.clear()
    second = pipeline.run_full_pipeline()
    assert second["repeats_run"] == first["run_id"]
    assert second["validation_results"]["row_counts"] == expected

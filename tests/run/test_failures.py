"""Runs that fail: each fault is told, and leaves yesterday's star."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from main import StarSchemaETLPipeline
from support.commands import run_json
from support.retailer import Retailer
from support.summary import assert_failed
from support.tables import to_csv


def without_last_sale(shop: Retailer) -> None:
    """Tonight's files no longer have T3, so that a run cannot correct what is planted there."""
    del shop.sales[2]


@dataclass
class Fault:
    """What is planted before tonight's run, and how the run must end."""

    plant: Callable[[Retailer], object]
    phase: str | None
    told: tuple[str, ...]
    code: int = 1
    settings: tuple[tuple[str, object], ...] = ()


def _file(source: str, content: str | bytes | None) -> Callable[[Retailer], object]:
    return lambda shop: shop.files.update({source: content})


def _statements(*statements: str) -> Callable[[Retailer], object]:
    def plant(shop: Retailer) -> None:
        without_last_sale(shop)
        shop.star.execute(*statements)

    return plant


def _same_city(shop: Retailer) -> None:
    shop.star.execute("CREATE UNIQUE INDEX planted ON dim_customer (city)")
    shop.customers[1]["city"] = shop.customers[0]["city"]


def _same_quantity(shop: Retailer) -> None:
    shop.star.execute("CREATE UNIQUE INDEX planted ON fact_sales (quantity)")
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9"})


def _bad_quantity(shop: Retailer) -> None:
    shop.sales[0]["quantity"] = "x"


def _unknown_customer(shop: Retailer) -> None:
    shop.sales[0]["customer_id"] = "C9"


SALES = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"

FAULTS = {
    "missing file": Fault(
        _file("customers", None),
        "Extraction",
        ("customers.csv", "no such file", "CUSTOMERS__PATH"),
    ),
    "missing file of reps": Fault(
        lambda shop: None,
        "Extraction",
        ("nowhere/*.csv", "SALES_REPS__PATH"),
        settings=(("SALES_REPS__PATH", "nowhere/*.csv"),),
    ),
    "missing column": Fault(
        _file("transactions", SALES.replace("quantity", "qty")),
        "Extraction",
        ("sales.csv", "quantity", "TRANSACTIONS__COLUMNS", "qty"),
    ),
    "missing column in JSON": Fault(
        _file("products", '[{"id": 1, "name": "Lamp"}]'),
        "Extraction",
        ("products.json", "product_id", "PRODUCTS__COLUMNS"),
    ),
    "duplicate header": Fault(
        _file("customers", "customer_id,city,city\n1,a,b\n"),
        "Extraction",
        ("customers.csv", "header", "city"),
    ),
    "zero bytes": Fault(
        _file("customers", b""), "Extraction", ("customers.csv", "empty", "header")
    ),
    "zero bytes of JSON": Fault(
        _file("products", b" \n"), "Extraction", ("products.json", "empty")
    ),
    "cut-off JSON": Fault(
        _file("products", '[{"product_id": 1}, {"prod'), "Extraction", ("products.json", "record 2")
    ),
    "other encoding": Fault(
        _file("customers", "customer_id,city\n1,Zürich\n2,Köln\n".encode("latin-1")),
        "Extraction",
        ("customers.csv", "utf-8", "ENCODING"),
    ),
    "too many rejects": Fault(
        _bad_quantity,
        "Transformation",
        ("transactions", "1 of 3", "MAX_REJECT_RATE", "rejects"),
        code=3,
        settings=(("MAX_REJECT_RATE", "0.3333"),),
    ),
    "drift": Fault(
        _statements("ALTER TABLE dim_product ADD COLUMN weight INTEGER"),
        None,  # told before a source is read
        ("dim_product", "weight", "WAREHOUSE_SCHEMA"),
    ),
    "refused member": Fault(_same_city, "Dimension loading", ("warehouse refused",)),
    "refused fact": Fault(_same_quantity, "Fact loading", ("warehouse refused",)),
    "too many orphans": Fault(
        _unknown_customer,
        "Validation",
        ("transactions", "1 of 3", "MAX_REJECT_RATE", "rejects"),
        code=3,
        settings=(("MAX_REJECT_RATE", "0.3333"), ("ORPHAN_POLICY", "reject")),
    ),
    "wrong gross": Fault(
        _statements("UPDATE fact_sales SET gross_amount = 61 WHERE transaction_id = 'T3'"),
        "Validation",
        ("fact_sales: 1 of 3", "gross = quantity x unit price", "nothing was published"),
        code=3,
    ),
    "wrong net": Fault(
        _statements("UPDATE fact_sales SET net_amount = 61 WHERE transaction_id = 'T3'"),
        "Validation",
        ("fact_sales: 1 of 3", "net = gross - discount"),
        code=3,
    ),
    "negative key": Fault(
        _statements(
            "INSERT INTO dim_customer (customer_key, customer_id, is_inferred) "
            "VALUES (-5, 'planted', false)"
        ),
        "Validation",
        ("dim_customer: 1 of 4", "negative keys"),
        code=3,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_leaves_yesterdays_star(
    shop: Retailer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fault = FAULTS[name]
    shop.publish()
    fault.plant(shop)
    before, tables = shop.star.digest(), shop.star.tables()

    code, results, stderr = run_json(shop, capsys, **dict(fault.settings))
    status = {1: "failed", 3: "gate_failed"}[fault.code]
    assert code == fault.code
    assert_failed(shop, results, fault.phase, status)
    (error,) = results["errors"]
    for part in fault.told:
        assert part in error
    assert error in stderr

    assert shop.star.digest() == before
    assert shop.star.tables() == tables
    assert shop.star.runs()[1:] == [(results["run_id"], status)]
    assert [*(shop.folder / "work").iterdir()] == []


@pytest.mark.parametrize("name", ["missing file", "too many rejects", "too many orphans"])
def test_a_first_run_that_fails_leaves_its_row_and_no_star(shop: Retailer, name: str) -> None:
    fault = FAULTS[name]
    fault.plant(shop)
    results = shop.run(**dict(fault.settings))
    assert not results["success"]
    assert shop.star.tables() == {"etl_run"}
    assert shop.star.runs() == [(results["run_id"], results["status"])]
    assert shop.star.scalar("SELECT error_class FROM etl_run")


def test_faults_of_all_sources_are_told_together(duckdb_shop: Retailer) -> None:
    duckdb_shop.files = {"customers": None, "products": b"", "transactions": "a,b\n"}
    results = duckdb_shop.run()
    (error,) = results["errors"]
    for part in ("CUSTOMERS__PATH", "products.json", "quantity", "unit_price"):
        assert part in error
    told = results["extraction_results"]["_metadata"]
    assert (told["success"], len(told["extraction_errors"])) == (False, 3)


def test_a_failed_run_does_not_spoil_the_next_one(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    pipeline = StarSchemaETLPipeline(shop.config(), quiet=True)
    shop.path("customers").rename(shop.folder / "away")
    assert pipeline.run_full_pipeline()["status"] == "failed"
    (shop.folder / "away").rename(shop.path("customers"))
    results = pipeline.run_full_pipeline()
    assert results["status"] == "published"
    assert [status for _, status in shop.star.runs()] == ["failed", "published"]
    assert shop.star.column("SELECT error_class FROM etl_run ORDER BY status") == [
        "ExtractionError", None,
    ]  # fmt: skip


@pytest.mark.parametrize("runs", [10, pytest.param(50, marks=pytest.mark.faults)])
def test_many_failed_runs_leave_nothing_behind(shop: Retailer, tmp_path: Path, runs: int) -> None:
    """No temporary file, descriptor or connection more than after the first of them."""
    shop.publish()
    shop.files["transactions"] = to_csv([shop.sales[0] | {"quantity": "x"}])
    config = shop.config(MAX_REJECT_RATE="0")

    def left() -> tuple[int, list[str], int]:
        names = sorted(
            str(path) for path in tmp_path.rglob("*")
            if path.is_file() and "rejects" not in path.parts
        )  # fmt: skip
        sessions = 0
        if shop.star.engine_name == "postgresql":
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'star-etl%'"
            sessions = shop.star.scalar(query)
        return len(os.listdir("/proc/self/fd")), names, sessions  # noqa: PTH208

    def fail(times: int) -> None:
        pipeline = StarSchemaETLPipeline(config, quiet=True)
        statuses = {pipeline.run_full_pipeline()["status"] for _ in range(times)}
        assert statuses == {"gate_failed"}

    fail(1)
    before = left()
    fail(runs - 1)
    assert left() == before
    assert len(shop.star.runs()) == 1 + runs


# --- the limit of rejects -------------------------------------------------------------------------


def test_rejects_up_to_the_limit_are_no_failure(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    _bad_quantity(shop)
    shop.sales.append(shop.sales[1] | {"transaction_id": "T4"})
    results = shop.publish(MAX_REJECT_RATE="0.25")
    assert shop.reasons(results) == ["invalid_quantity"]


def test_the_limit_of_rejects_is_for_each_source_by_itself(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.customers[0]["customer_id"] = ""
    shop.sales += [shop.sales[0] | {"transaction_id": f"N{n}"} for n in range(20)]
    results = shop.run(MAX_REJECT_RATE="0.2")
    assert results["status"] == "gate_failed"
    assert "customers: 1 of 2 rows rejected" in results["errors"][0]


@pytest.mark.parametrize("fault", ["too many rejects", "wrong gross"])
def test_the_rejects_of_a_run_survive_its_rollback(shop: Retailer, fault: str) -> None:
    shop.publish()
    FAULTS[fault].plant(shop)
    _bad_quantity(shop)
    results = shop.run(**dict(FAULTS[fault].settings))
    assert results["status"] == "gate_failed"
    assert shop.reasons(results) == ["invalid_quantity"]


# --- a star that somebody broke -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (
            (
                "ALTER TABLE fact_sales DROP CONSTRAINT fk_fact_sales_customer_key",
                "UPDATE fact_sales SET customer_key = 999 WHERE transaction_id = 'T3'",
            ),
            ("fact_sales: 1 of 3", "orphan customer_key"),
        ),
        (
            (
                "ALTER TABLE dim_customer DROP CONSTRAINT pk_dim_customer CASCADE",
                "INSERT INTO dim_customer (customer_key, customer_id, is_inferred) "
                "VALUES (-1, 'planted', false)",
            ),
            ("dim_customer", "one Unknown member"),
        ),
        (
            (
                "ALTER TABLE fact_sales DROP CONSTRAINT pk_fact_sales",
                "INSERT INTO fact_sales SELECT * FROM fact_sales WHERE transaction_id = 'T3'",
            ),
            ("fact_sales: 1 of 4", "unique transaction_id"),
        ),
        (
            ("UPDATE fact_sales SET profit_amount = 'NaN' WHERE transaction_id = 'T3'",),
            ("fact_sales: 1 of 3", "finite"),
        ),
        (
            ("UPDATE fact_sales SET net_amount = 'NaN' WHERE transaction_id = 'T3'",),
            ("fact_sales: 1 of 3", "finite"),
        ),
    ],
)
def test_what_a_broken_postgresql_lets_in_is_found(
    postgresql_shop: Retailer, statements: tuple[str, ...], told: tuple[str, ...]
) -> None:
    shop = postgresql_shop
    shop.publish()
    _statements(*statements)(shop)
    before = shop.star.digest()
    results = shop.run()
    assert_failed(shop, results, "Validation", "gate_failed")
    assert all(part in results["errors"][0] for part in told)
    assert shop.star.digest() == before


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE fact_sales SET product_key = 999 WHERE transaction_id = 'T3'",
            ("fact_sales: 1 of 3", "orphan product_key"),
        ),
        (
            "INSERT INTO fact_sales SELECT * FROM fact_sales WHERE transaction_id = 'T3'",
            ("fact_sales: 1 of 4", "unique transaction_id"),
        ),
    ],
)
def test_what_duckdb_has_no_keys_against_is_found(
    duckdb_shop: Retailer, statement: str, told: tuple[str, ...]
) -> None:
    shop = duckdb_shop
    shop.publish()
    _statements(statement)(shop)
    before = shop.star.digest()
    results = shop.run()
    assert_failed(shop, results, "Validation", "gate_failed")
    assert all(part in results["errors"][0] for part in told)
    assert shop.star.digest() == before

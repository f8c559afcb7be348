"""Runs that succeed, runs that fail, and what each leaves behind."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import schema
from config import StarSchemaConfig, load_config
from errors import WarehouseError
from extract import DataExtractor
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from main import StarSchemaETLPipeline, main
from support.application import ROOT
from support.retailer import Retailer, changes, counts
from support.star import Star, dropping
from support.tables import Row, to_csv
from transform import StarSchemaTransformer
from validate import StarSchemaValidator
from warehouse import open_warehouse

PHASES = ["extraction", "transformation", "dimension_loading", "fact_loading", "validation"]
FIXED_KEYS = {
    "run_id", "status", "success", "started_at", "total_duration_seconds", "errors", "phases",
    "extraction_results", "transformation_results", "dimension_loading_results",
    "fact_loading_results", "validation_results",
}  # fmt: skip
STAR_TABLES = {table.name for table in schema.metadata.sorted_tables}


def statuses(results: Row) -> list[str]:
    """The status of each phase, in their order."""
    assert list(results["phases"]) == PHASES
    for phase in results["phases"].values():
        assert set(phase) == {"status", "duration_seconds", "rows"}
    return [phase["status"] for phase in results["phases"].values()]


def without_last_sale(shop: Retailer) -> None:
    """Tonight's files no longer have T3, so that a run cannot correct what is planted there."""
    del shop.sales[2]


# --- a run that succeeds --------------------------------------------------------------------------


def test_the_summary_of_a_published_run_is_complete_and_json(shop: Retailer) -> None:
    results = shop.publish()
    assert results.keys() >= FIXED_KEYS
    assert json.loads(json.dumps(results)) == results
    assert (results["success"], results["status"], results["errors"]) == (True, "published", [])
    assert statuses(results) == ["success"] * 5
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


def test_the_warehouse_holds_the_star_and_the_runs_and_nothing_else(shop: Retailer) -> None:
    for _ in range(2):
        shop.publish_in_full()
    assert shop.star.tables() == STAR_TABLES
    assert [*(shop.folder / "work").iterdir()] == []


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


def test_postgresql_declares_keys_and_an_index_per_foreign_key(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    for _ in range(2):  # the second load finds them as the first one left them
        shop.publish_in_full()
        found = shop.star.rows(
            "SELECT tc.table_name, tc.constraint_type, k.column_name "
            "FROM information_schema.table_constraints tc "
            "JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name) "
            "WHERE tc.table_schema = current_schema()"
        )
        expected = {(table.name, "PRIMARY KEY", key) for table, key in primary_keys()}
        expected |= {
            (table.name, "UNIQUE", schema.business_key(table).name)
            for table in schema.dimensions
            if table is not schema.dim_date
        }
        foreign = {"customer_key", "product_key", "sales_rep_key", "date_key"}
        expected |= {("fact_sales", "FOREIGN KEY", key) for key in foreign}
        assert set(found) == expected
        indexes = shop.star.column(
            "SELECT indexdef FROM pg_indexes "
            "WHERE schemaname = current_schema() AND tablename = 'fact_sales'"
        )
        indexed = {re.sub(r".*\((.*)\)", r"\1", text) for text in indexes}
        assert indexed == foreign | {"transaction_id"}


def primary_keys() -> list[tuple[sa.Table, str]]:
    tables = schema.metadata.sorted_tables
    return [(table, next(iter(table.primary_key.columns)).name) for table in tables]


def test_a_schema_of_any_name_is_made_and_used(shop: Retailer) -> None:
    name = f'Sales "Mart" {uuid.uuid4().hex[:8]}'
    quoted = '"{}"'.format(name.replace('"', '""'))
    for _ in range(2):
        shop.publish_in_full(WAREHOUSE_SCHEMA=name)
    assert shop.star.scalar(f"SELECT count(*) FROM {quoted}.fact_sales") == 3
    assert shop.star.tables() == set()
    shop.star.execute(f"DROP SCHEMA {quoted} CASCADE")


def test_stars_in_two_schemas_do_not_wait_for_each_other(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    with open_warehouse(shop.config(), "another-run"):
        assert shop.run()["status"] == "busy"
        with dropping(Star(shop.star.url, f"{shop.star.schema}_2")) as other:
            other_shop = Retailer(shop.folder, other)
            assert other_shop.run()["status"] == "published"


def test_warnings_name_the_columns_that_are_not_used(duckdb_shop: Retailer) -> None:
    for row in duckdb_shop.customers:
        row |= {"shoe_size": "43", "nickname": "x"}
    (warning,) = duckdb_shop.publish()["warnings"]
    assert "customers" in warning
    assert "shoe_size, nickname" in warning


# --- a run that fails -----------------------------------------------------------------------------


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


def run_command(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *options: str, **settings: object
) -> tuple[int, Any, str]:
    """Exit code, summary and stderr of `python main.py --json`."""
    capsys.readouterr()
    code = main(["--env-file", shop.env_file(**settings), "--json", *options])
    told = capsys.readouterr()
    return code, json.loads(told.out), told.err


def assert_failed(shop: Retailer, results: Row, phase: str | None, status: str) -> None:
    """The summary is complete, says where it failed, and no later phase ran."""
    assert results.keys() >= FIXED_KEYS
    assert (results["success"], results["status"]) == (False, status)
    (error,) = results["errors"]
    begins = "The warehouse cannot be opened: " if phase is None else f"{phase} phase failed: "
    assert error.startswith(begins)
    assert "a bug" not in error
    done = 0 if phase is None else PHASES.index(phase.lower().replace(" ", "_"))
    after = [] if phase is None else ["failed"]
    assert statuses(results) == ["success"] * done + after + ["not_run"] * (5 - done - len(after))
    assert "Traceback" not in shop.log
    assert [line for line in shop.log.splitlines() if results["run_id"] in line and error in line]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_leaves_yesterdays_star(
    shop: Retailer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fault = FAULTS[name]
    shop.publish()
    fault.plant(shop)
    before, tables = shop.star.digest(), shop.star.tables()

    code, results, stderr = run_command(shop, capsys, **dict(fault.settings))
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


def test_faults_of_all_sources_are_told_together(duckdb_shop: Retailer) -> None:
    duckdb_shop.files = {"customers": None, "products": b"", "transactions": "a,b\n"}
    results = duckdb_shop.run()
    (error,) = results["errors"]
    for part in ("CUSTOMERS__PATH", "products.json", "quantity", "unit_price"):
        assert part in error
    told = results["extraction_results"]["_metadata"]
    assert (told["success"], len(told["extraction_errors"])) == (False, 3)


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


# --- a warehouse that cannot be had ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://etl:s3cret@127.0.0.1:1/sales", ("127.0.0.1:1", "check host, port")),
        ("postgresql+psycopg2://etl:s3cret@no-such-host.invalid/sales", ("no-such-host.invalid",)),
    ],
)
def test_an_unreachable_warehouse_is_told_without_its_password(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    url: str,
    told: tuple[str, ...],
) -> None:
    shop = duckdb_shop
    code, results, stderr = run_command(shop, capsys, WAREHOUSE_URL=url, RETRY_SECONDS=0)
    assert code == 1
    assert results["status"] == "failed"
    assert statuses(results) == ["not_run"] * 5
    (error,) = results["errors"]
    assert "The warehouse cannot be opened: WAREHOUSE_URL" in error
    assert all(part in error for part in told)
    for text in (error, stderr, shop.log, json.dumps(results), repr(shop.config())):
        assert "s3cret" not in text


# DuckDB would open a CSV file as a database in memory, and all that is published there is lost.
@pytest.mark.parametrize("name", ["blocked.duckdb", "warehouse.duckdb", "numbers.csv"])
def test_a_file_that_is_no_duckdb_database_is_told(duckdb_shop: Retailer, name: str) -> None:
    path = duckdb_shop.folder / name
    path.write_bytes(b"this is no database" * 1000)
    before = path.read_bytes()
    results = duckdb_shop.run(WAREHOUSE_URL=f"duckdb:///{path}")
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert str(path) in error
    assert "WAREHOUSE_URL" in error
    assert path.read_bytes() == before


@pytest.mark.parametrize("setting", ["WAREHOUSE_URL", "WORK_DIR", "REJECTS_DIR"])
def test_a_folder_that_cannot_be_made_is_told(duckdb_shop: Retailer, setting: str) -> None:
    shop = duckdb_shop
    _bad_quantity(shop)
    (shop.folder / "file").write_text("in the way")
    place = shop.folder / "file" / "folder"
    value = f"duckdb:///{place}/w.duckdb" if setting == "WAREHOUSE_URL" else str(place)
    results = shop.run(**{setting: value})
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert setting in error
    assert str(shop.folder / "file") in error
    assert "a bug" not in error


def test_a_warehouse_held_by_another_run_is_left_alone(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    before, runs = shop.star.digest(), shop.star.runs()
    hold = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from config import load_config\n"
        "from warehouse import open_warehouse\n"
        "with open_warehouse(load_config(sys.argv[2]), 'the-other-run'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(ROOT), shop.env_file()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        code, results, stderr = run_command(shop, capsys)
        holder.communicate()
    assert code == 4
    assert (results["status"], statuses(results)) == ("busy", ["not_run"] * 5)
    told = "the-other-run" if shop.star.schema else str(holder.pid)
    assert told in results["errors"][0]
    assert results["errors"][0] in stderr
    assert (shop.star.digest(), shop.star.runs()) == (before, runs)
    shop.publish()


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("WAREHOUSE_URL", "mysql://u:s3cret@h/db", "mysql"),
        ("WAREHOUSE_URL", "not a url", "WAREHOUSE_URL"),
        ("CUSTOMERS__COLUMNS", "{broken", "CUSTOMERS__COLUMNS"),
        ("CUSTOMERS__COLUMNS", '["id"]', "CUSTOMERS__COLUMNS is no JSON object"),
        ("CUSTOMERS__COLUMNS", '{"customer_id": []}', 'maps "customer_id" neither'),
        ("CUSTOMERS__COLUMNS", '{"customer_id": 7}', 'maps "customer_id" neither'),
        ("CUSTOMERS__ENCODING", "undefined", "CUSTOMERS__ENCODING is not an encoding"),
        ("TRANSACTIONS__DATE_FORMATS", "%H:%M", "TRANSACTIONS__DATE_FORMATS"),
        ("TRANSACTIONS__DELIMITER", ";;", "TRANSACTIONS__DELIMITER"),
        ("BUSINESS_TIMEZONE", "Mars/Base", "BUSINESS_TIMEZONE"),
        ("PHONE_REGION", "XX", "PHONE_REGION"),
        ("ORPHAN_POLICY", "ignore", "ORPHAN_POLICY"),
        ("MAX_REJECT_RATE", "5", "MAX_REJECT_RATE"),
        ("BATCH_ROWS", "0", "BATCH_ROWS"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL"),
        ("CUSTOMERS__PAHT", "x.csv", "CUSTOMERS__PATH"),
        ("MAX_REJECT_RAT", "0.1", "MAX_REJECT_RATE"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_touched(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: str,
    told: str,
) -> None:
    shop = duckdb_shop
    code = main(["--env-file", shop.env_file(**{setting: value})])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert told in err
    assert "s3cret" not in err
    assert not (shop.folder / "etl.log").exists()
    assert not (shop.folder / "work").exists()
    assert not Path(str(sa.make_url(shop.star.url).database)).exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"WAREHOUSE_URL='postgresql://etl:s3cret@h/d'x'", ", line 2: cannot be read"),
        (b"PASSWORD s3cret", ", line 2: cannot be read"),
        ("CUSTOMERS__PATH=café s3cret".encode("cp1252"), ": byte 39 is not UTF-8"),
    ],
)
def test_a_line_that_is_no_setting_is_told_by_its_number_alone(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], line: bytes, told: str
) -> None:
    path = duckdb_shop.folder / "shop.env"
    path.write_bytes(b"MAX_REJECT_RATE=1.0\n" + line + b"\n")
    assert main(["--env-file", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{path}{told}" in err
    assert "s3cret" not in err


def test_a_settings_file_with_a_byte_order_mark_is_read(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(duckdb_shop.env_file())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert main(["--env-file", str(path), "--quiet"]) == 0
    assert duckdb_shop.star.scalar("SELECT count(*) FROM fact_sales") == 3


def test_all_settings_that_cannot_work_are_told_at_once(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"LOG_LEVEL": "LOUD", "BATCH_ROWS": "many", "WAREHOUSE_URL": "sqlite:///x"}
    assert main(["--env-file", duckdb_shop.env_file(**wrong)]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in wrong)


@pytest.mark.parametrize(
    "arguments", [["--nope"], ["nope"], ["--env-file"], ["--env-file", "nowhere.env"]]
)
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "data").exists()


def test_a_log_file_that_cannot_be_written_is_a_configuration_error(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env-file", duckdb_shop.env_file(LOG_FILE="/dev/null/etl.log")]) == 2
    assert "LOG_FILE" in capsys.readouterr().err


def test_the_environment_overrides_the_file(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="ERROR")]) == 2
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="LOUD")]) == 0
    assert capsys.readouterr().err.count("LOG_LEVEL") == 1


# --- the command line -----------------------------------------------------------------------------


def test_progress_goes_to_stderr_and_the_summary_to_stdout(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    _bad_quantity(duckdb_shop)
    assert main(["--env-file", duckdb_shop.env_file()]) == 0
    out, err = capsys.readouterr()
    for part in ("PUBLISHED", "fact_sales", "invalid_quantity", "net amount", "85.7142 %"):
        assert part in out
    assert str(duckdb_shop.folder / "rejects") in out
    for phase in ("Extraction", "Transformation", "Fact loading", "Validation"):
        assert phase in err
        assert phase not in out


def test_quiet_says_nothing_when_all_is_well(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    _bad_quantity(duckdb_shop)
    duckdb_shop.customers[0]["shoe_size"] = "43"
    duckdb_shop.customers[1]["shoe_size"] = "43"
    assert main(["--env-file", duckdb_shop.env_file(), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "shoe_size" in duckdb_shop.log


def test_duckdb_draws_no_progress_among_the_results(duckdb_shop: Retailer) -> None:
    """It would after two seconds, in a notebook and wherever else Python runs no script."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from config import load_config\n"
        "from warehouse import open_warehouse\n"
        "with open_warehouse(load_config(sys.argv[2]), 'a-run') as warehouse:\n"
        "    driver = warehouse.connection.connection.driver_connection\n"
        "    print(driver.execute(\"SELECT current_setting('enable_progress_bar')\").fetchall())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), duckdb_shop.env_file()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.stdout == "[(False,)]\n", told.stderr


def test_quiet_says_what_is_wrong(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["customers"] = None
    assert main(["--env-file", duckdb_shop.env_file(), "-q"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("Extraction phase failed") == 1


def test_a_dry_run_does_everything_but_publish(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    before, runs = shop.star.digest(), shop.star.runs()
    shop.customers[0]["city"] = "Paris"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "customer_id": "C9"})
    code, results, _ = run_command(shop, capsys, "--dry-run")
    assert code == 0
    assert (results["status"], results["success"]) == ("dry_run", True)
    assert statuses(results) == ["success"] * 5
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
    FAULTS["wrong gross"].plant(shop)
    results = StarSchemaETLPipeline(shop.config(), dry_run=True, quiet=True).run_full_pipeline()
    assert results["status"] == "gate_failed"


# --- the log --------------------------------------------------------------------------------------


def test_two_runs_in_one_process_log_each_line_once(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = duckdb_shop.config()
    before = [*logging.getLogger().handlers]
    pipeline = StarSchemaETLPipeline(config)
    runs = [pipeline.run_full_pipeline()["run_id"] for _ in range(2)]
    lines = duckdb_shop.log.splitlines()
    err = capsys.readouterr().err
    for run in runs:
        assert sum(f"run {run} begins" in line for line in lines) == 1
        assert err.count(f"run {run} begins") == 1
    assert logging.getLogger().handlers == before
    assert all(any(f" {run} " in line for run in runs) for line in lines)


def test_the_log_file_has_more_detail_than_the_console(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env-file", duckdb_shop.env_file(LOG_LEVEL="ERROR")]) == 0
    assert capsys.readouterr().err == ""
    assert "Extraction done" in duckdb_shop.log
    assert "PUBLISHED" in duckdb_shop.log


def test_text_of_a_source_cannot_forge_a_line_or_a_colour(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "x\x1b[31m\rERROR: forged\u2028\u202e"
    for row in duckdb_shop.customers:
        row[evil] = "1"
    assert main(["--env-file", duckdb_shop.env_file()]) == 0
    for text in (duckdb_shop.log, *capsys.readouterr()):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
        assert not [line for line in text.splitlines() if line.startswith("ERROR: forged")]


# --- readers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["_run_fact_loading_phase", "_run_validation_phase"])
def test_readers_see_yesterdays_star_until_all_is_published(shop: Retailer, phase: str) -> None:
    shop.publish()
    before = shop.star.digest()
    seen = {}

    class Watched(StarSchemaETLPipeline):
        """A run that looks at the warehouse, as an analyst does, when a phase has ended."""

    def looking(pipeline: StarSchemaETLPipeline) -> int:
        rows: int = getattr(super(Watched, pipeline), phase)()
        seen["star"] = shop.star.digest()
        seen["runs"] = str(len(shop.star.runs()))
        return rows

    setattr(Watched, phase, looking)
    shop.customers[0]["city"] = "Paris"
    shop.sales[0]["quantity"] = "9"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "transaction_date": "2020-05-05"})
    results = shop.run(Watched)
    assert results["status"] == "published"
    assert seen == {"star": before, "runs": "1"}
    assert shop.star.digest() != before


def test_the_rejects_are_on_disk_before_the_commit(duckdb_shop: Retailer) -> None:
    _bad_quantity(duckdb_shop)
    _unknown_customer(duckdb_shop)
    duckdb_shop.sales[1]["customer_id"] = "C9"
    seen: list[str] = []

    class Watched(StarSchemaETLPipeline):
        """A run that looks at the reject file when its last phase has ended."""

        def _run_validation_phase(self) -> int:
            rows = super()._run_validation_phase()
            seen.extend(duckdb_shop.reasons(self.results))
            return rows

    results = duckdb_shop.run(Watched, ORPHAN_POLICY="reject")
    assert seen == ["invalid_quantity", "unknown_customer"] == duckdb_shop.reasons(results)


# --- in a notebook --------------------------------------------------------------------------------


def test_the_notebook_of_the_documentation_works(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in duckdb_shop.settings().items():
        monkeypatch.setenv(name, value)
    config = load_config()
    assert isinstance(config, StarSchemaConfig)
    assert config.log_level == "INFO"
    pipeline = StarSchemaETLPipeline(config)
    results = pipeline.run_full_pipeline()
    assert results["success"] is True
    assert results["total_duration_seconds"] > 0
    assert results["errors"] == []


def by_hand(config: StarSchemaConfig) -> Row:
    """The whole load with the classes of each step, as an analyst would do it."""
    sources = DataExtractor(config).extract_all_sources()
    transformer = StarSchemaTransformer(config)
    sales = sources["transactions"]
    transformed = {
        "dim_customer": transformer.prepare_customer_dimension(sources["customers"]),
        "dim_product": transformer.prepare_product_dimension(sources["products"]),
        "dim_sales_rep": transformer.prepare_sales_rep_dimension(sales),
        "dim_date": transformer.prepare_date_dimension_keys(sales),
    }
    with DimensionLoader(config) as loader:
        keys = loader.load_all_dimensions(transformed)
    with FactLoader(config) as facts:
        return facts.load_sales_facts(transformer.prepare_sales_facts(sales), keys)


def test_the_classes_one_by_one_make_the_same_star_as_a_run(
    shop: Retailer, duckdb_star: Star, tmp_path: Path
) -> None:
    loaded = by_hand(shop.config())
    assert (loaded["records_inserted"], loaded["orphaned_records"]) == (3, 0)
    other = tmp_path / "other"
    other.mkdir()
    run = Retailer(other, Star(f"duckdb:///{other / 'w.duckdb'}"))
    run.publish()
    assert shop.star.digest(with_runs=False) == run.star.digest(with_runs=False)
    again = by_hand(shop.config())
    assert (again["records_inserted"], again["records_updated"]) == (0, 0)
    assert changes(shop.publish_in_full()) == 0


def test_reps_of_a_frame_of_sales_never_change_a_described_one(shop: Retailer) -> None:
    shop.reps = [{"sales_rep_id": "grace_hopper", "first_name": "G", "last_name": "Murray"}]
    shop.publish()
    shop.reps = None
    config, before = shop.config(), shop.star.content()["dim_sales_rep"]
    sales = [*shop.sales, shop.sales[0] | {"sales_rep_id": "jean_sammet"}]
    reps = StarSchemaTransformer(config).prepare_sales_rep_dimension(sales)
    with DimensionLoader(config) as loader:
        loader.load_all_dimensions({"dim_sales_rep": reps})
        assert loader.results["dim_sales_rep"]["inserted"] == 1
    assert shop.star.content()["dim_sales_rep"][:-1] == before


def test_the_extractor_gives_frames_of_text_and_what_it_read(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = "customer_id,postal_code\n007,02108\nNA,NULL\n"
    sources = DataExtractor(duckdb_shop.config()).extract_all_sources()
    assert list(sources) == ["customers", "products", "transactions", "sales_reps", "_metadata"]
    assert sources["customers"]["customer_id"].tolist() == ["007", "NA"]
    assert sources["customers"]["postal_code"].tolist() == ["02108", "NULL"]
    assert len(sources["sales_reps"]) == 0
    assert sources["_metadata"]["total_records"] == 7


def test_a_loader_alone_rolls_back_when_its_block_raises(shop: Retailer) -> None:
    shop.publish()
    before = shop.star.digest()
    transformer = StarSchemaTransformer(shop.config())
    rows = transformer.prepare_customer_dimension([{"customer_id": "C1", "city": "Paris"}])

    def load_and_fail() -> None:
        with DimensionLoader(shop.config()) as loader:
            loader.load_all_dimensions({"dim_customer": rows})
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        load_and_fail()
    assert shop.star.digest() == before


def test_a_fact_loader_alone_counts_the_facts_without_a_member(shop: Retailer) -> None:
    shop.publish()
    config = shop.config()
    with DimensionLoader(config) as dimensions:
        keys = dimensions.load_all_dimensions({})
    sales = [shop.sales[0] | {"transaction_id": f"N{n}", "customer_id": f"C{n}"} for n in (1, 2, 3)]
    prepared = StarSchemaTransformer(config).prepare_sales_facts(sales)
    with FactLoader(config) as facts:
        loaded = facts.load_sales_facts(prepared, keys)
    assert (loaded["records_inserted"], loaded["orphaned_records"]) == (2, 1)
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 5


def test_no_facts_are_loaded_from_an_empty_frame(shop: Retailer) -> None:
    shop.publish()
    config = shop.config()
    with DimensionLoader(config) as dimensions:
        keys = dimensions.load_all_dimensions({})
    with FactLoader(config) as facts:
        prepared = StarSchemaTransformer(config).prepare_sales_facts([])
        loaded = facts.load_sales_facts(prepared, keys)
    assert (loaded["records_inserted"], loaded["orphaned_records"]) == (0, 0)


def test_key_mappings_name_the_surrogate_key_of_each_business_key(shop: Retailer) -> None:
    config = shop.config()
    shop.publish()
    with DimensionLoader(config) as loader:
        keys = loader.load_all_dimensions({})
    assert set(keys) == {"dim_customer", "dim_product", "dim_sales_rep", "dim_date"}
    stored = dict(shop.star.rows("SELECT customer_id, customer_key FROM dim_customer"))
    assert dict(keys["dim_customer"]) == stored
    assert keys["dim_customer"][""] == -1
    assert keys["dim_date"][20240229] == 20240229
    with pytest.raises(KeyError):
        keys["dim_customer"]["nobody"]


def test_the_validator_alone_proves_the_star_and_changes_nothing(shop: Retailer) -> None:
    shop.sales.append(shop.sales[0] | {"transaction_id": "T4", "quantity": "x"})
    score = shop.publish()["validation_results"]["data_quality_score"]
    before, runs = shop.star.digest(), shop.star.runs()
    results = StarSchemaValidator(shop.config()).run_all_checks()
    assert results["validation_errors"] == []
    assert results["row_counts"]["fact_sales"] == 3
    assert results["data_quality_score"] == score < 100
    shop.star.execute("UPDATE fact_sales SET gross_amount = 61 WHERE transaction_id = 'T3'")
    results = StarSchemaValidator(shop.config()).run_all_checks()
    assert any("gross" in error for error in results["validation_errors"])
    shop.star.execute("UPDATE fact_sales SET gross_amount = 60 WHERE transaction_id = 'T3'")
    assert (shop.star.digest(), shop.star.runs()) == (before, runs)


def test_the_validator_says_so_where_there_is_no_star(shop: Retailer) -> None:
    with pytest.raises(WarehouseError, match=r"no star|run the pipeline"):
        StarSchemaValidator(shop.config()).run_all_checks()


def test_sources_of_other_names_and_shapes_are_mapped(shop: Retailer) -> None:
    shop.files["transactions"] = to_csv(
        [
            {"Order": "10", "Line": n, "Day": "29.02.2024", "Who": "C1", "What": "P1",
             "Qty": "1.000", "Each": "0,5"}
            for n in (1, 2)
        ]
    )  # fmt: skip
    mapping = {
        "transaction_id": ["Order", "Line"], "transaction_date": "Day", "customer_id": "Who",
        "product_id": "What", "quantity": "Qty", "unit_price": "Each",
    }  # fmt: skip
    shop.publish(
        TRANSACTIONS__COLUMNS=json.dumps(mapping),
        TRANSACTIONS__DATE_FORMATS="%d.%m.%Y",
        TRANSACTIONS__DECIMAL_SEPARATOR=",",
    )
    rows = shop.star.rows(
        "SELECT transaction_id, date_key, quantity, gross_amount FROM fact_sales ORDER BY 1"
    )
    assert rows == [("10-1", 20240229, 1000, 500), ("10-2", 20240229, 1000, 500)]

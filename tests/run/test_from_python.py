"""The classes as a notebook or a program uses them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from cli import main
from config import StarSchemaConfig, load_config
from errors import WarehouseError
from extract import DataExtractor
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from main import StarSchemaETLPipeline
from support.retailer import Retailer, changes
from support.star import Star
from support.tables import Row
from transform import StarSchemaTransformer
from validate import StarSchemaValidator
from warehouse import open_warehouse


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


def test_used_from_python_it_reports_or_raises_its_own_errors_and_never_exits(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a notebook calls ends its kernel, changes its signals or its umask."""
    shop = duckdb_shop
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    umask = os.umask(0o027)
    os.umask(0o027)
    monkeypatch.setattr(sys, "exit", lambda *code: pytest.fail("sys.exit was called"))
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("os._exit was called"))
    try:
        assert shop.run()["status"] == "published"
        shop.files["customers"] = None
        assert shop.run()["status"] == "failed"
        with open_warehouse(shop.config(), "other"):
            assert shop.run()["status"] == "busy"
        assert main(["--env-file", shop.env_file()]) == 1
        now = os.umask(0o027)
    finally:
        os.umask(umask)
    assert now == 0o027
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


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
        assert loader.results["dim_sales_rep"].inserted == 1
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

"""A run loads any star that it is given: here one with a dimension, a measure and a column more."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from config import StarSchemaConfig, load_config
from extract import DataExtractor
from load_dimensions import DimensionLoader
from main import StarSchemaETLPipeline
from support.hands import Couriers, employ
from support.retailer import Retailer, changes
from support.stores import star_with_stores
from support.tables import Row, to_csv
from transform import StarSchemaTransformer
from validate import StarSchemaValidator

FACTS = (
    "SELECT transaction_id, order_number, tax_amount, net_amount, s.store_id, s.city, s.opened_on "
    "FROM fact_sales JOIN dim_store s USING (store_key) ORDER BY transaction_id"
)
ROME = ("S1", "Rome", date(2020, 5, 1))


def config_of(shop: Retailer, folder: Path, **changed: object) -> StarSchemaConfig:
    """The settings of a shop with stores; its star is what they are read for."""
    stores = folder / "stores.csv"
    rows = [{"store_id": "S1", "city": "Rome", "opened_on": "01.05.2020"}]
    stores.write_text(to_csv(rows), encoding="utf-8")
    formats = '["%d.%m.%Y"]'
    settings = shop.settings(STORES__PATH=stores, STORES__DATE_FORMATS=formats, **changed)
    return load_config(None, settings, star_with_stores())


def publish(shop: Retailer, folder: Path, **changed: object) -> Row:
    config = config_of(shop, folder, **changed)
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert results["errors"] == []
    assert results["status"] == "published"
    return results


def test_a_star_that_is_given_is_loaded_night_after_night(shop: Retailer, tmp_path: Path) -> None:
    more = {"store_id": "S1", "tax_amount": "1.9", "order_number": "4711"}
    none = dict.fromkeys(more, "")
    shop.sales = [shop.sales[0] | more, shop.sales[1] | none, shop.sales[2] | more]
    first = publish(shop, tmp_path)
    assert first["dimension_loading_results"]["dim_store"] == {
        "inserted": 1, "updated": 0, "unchanged": 0, "inferred": 0, "deleted": 0,
    }  # fmt: skip
    assert shop.star.rows(FACTS) == [
        ("T1", "4711", Decimal("1.9"), Decimal(500), *ROME),
        ("T2", None, 0, Decimal("169.9725"), "", None, None),
        ("T3", "4711", Decimal("1.9"), Decimal(60), *ROME),
    ]

    changed = shop.sales[0] | {"tax_amount": "2.5", "order_number": ""}
    orphan = shop.sales[2] | {"transaction_id": "T4", "store_id": "S9"}
    unreadable = shop.sales[2] | {"transaction_id": "T5", "tax_amount": "much"}
    shop.sales = [changed, orphan, unreadable]
    second = publish(shop, tmp_path)
    told = second["transformation_results"]["fact_sales"]["rejected"]
    assert told == {"invalid_tax_amount": 1}
    assert second["fact_loading_results"]["records_inserted"] == 1
    assert second["fact_loading_results"]["records_updated"] == 1
    assert second["dimension_loading_results"]["dim_store"]["inferred"] == 1
    assert shop.star.rows(FACTS) == [
        ("T1", None, Decimal("2.5"), Decimal(500), *ROME),
        ("T2", None, 0, Decimal("169.9725"), "", None, None),
        ("T3", "4711", Decimal("1.9"), Decimal(60), *ROME),
        ("T4", "4711", Decimal("1.9"), Decimal(60), "S9", None, None),
    ]

    again = publish(shop, tmp_path, MAX_REJECT_RATE="1.0")
    assert changes(again) == 0
    refused = shop.sales[2] | {"transaction_id": "T6", "tax_amount": "1", "store_id": "S7"}
    shop.sales = [changed, refused]
    third = publish(shop, tmp_path, ORPHAN_POLICY="reject")
    assert shop.reasons(third) == ["unknown_store"]
    assert shop.star.column("SELECT store_id FROM dim_store ORDER BY 1") == ["", "S1", "S9"]


def test_a_star_that_is_given_can_be_sent_to_other_processes(
    duckdb_shop: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = duckdb_shop
    more = {"store_id": "S1", "tax_amount": "1.9", "order_number": "4711"}
    shop.sales = [sale | more for sale in shop.sales]
    shop.sales[2]["store_id"] = "S9"
    with Couriers(2) as couriers:
        employ(monkeypatch, 2, couriers)
        publish(shop, tmp_path, ORPHAN_POLICY="reject")
    assert couriers.returned
    assert shop.star.rows(FACTS) == [
        ("T1", "4711", Decimal("1.9"), Decimal(500), *ROME),
        ("T2", "4711", Decimal("1.9"), Decimal("169.9725"), *ROME),
    ]


def test_what_is_used_alone_takes_the_star_from_the_settings(
    shop: Retailer, tmp_path: Path
) -> None:
    config = config_of(shop, tmp_path)
    extracted = DataExtractor(config).extract_all_sources()
    assert list(extracted["stores"]["city"]) == ["Rome"]
    stores = StarSchemaTransformer(config).prepare("stores", extracted["stores"]).rows
    with DimensionLoader(config) as loader:
        keys = loader.load_all_dimensions({"dim_store": stores})
    assert dict(keys["dim_store"]) == {"": -1, "S1": 1}
    row_counts = StarSchemaValidator(config).run_all_checks()["row_counts"]
    assert row_counts["dim_store"] == 2

"""Frames and lists of dicts in, frames out."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import schema
from common.star_model import Role
from config import StarSchemaConfig, load_config
from support.cleaning import SALE, only, sale, transformer
from support.tables import Row
from transform import StarSchemaTransformer

PREPARERS = [
    "prepare_customer_dimension",
    "prepare_product_dimension",
    "prepare_sales_rep_dimension",
    "prepare_date_dimension_keys",
    "prepare_sales_facts",
]

COLUMNS = {
    "prepare_customer_dimension": schema.dim_customer,
    "prepare_product_dimension": schema.dim_product,
    "prepare_sales_rep_dimension": schema.dim_sales_rep,
    "prepare_date_dimension_keys": schema.dim_date,
}

EVERYTHING: Row = {
    **SALE,
    "name": "Lamp",
    "price": "10",
    "specifications": {"watt": [9]},
    "first_name": "ADA",
    "email": "ADA@EXAMPLE.ORG",
}


def prepare(method: str, rows: Any, config: StarSchemaConfig | None = None) -> pd.DataFrame:
    transformer = StarSchemaTransformer(config or load_config(env_file=None, environment={}))
    frame: pd.DataFrame = getattr(transformer, method)(rows)
    return frame


@pytest.mark.parametrize("method", PREPARERS)
def test_a_list_of_dicts_and_a_frame_give_the_same_new_frame(method: str) -> None:
    rows = [EVERYTHING, EVERYTHING | {"transaction_id": "T2", "first_name": "Bob"}]
    rows[1] |= {"customer_id": "C2", "product_id": "P2"}
    from_list = prepare(method, rows)
    from_frame = prepare(method, pd.DataFrame(rows))
    assert isinstance(from_list, pd.DataFrame)
    assert len(from_list) > 0
    pd.testing.assert_frame_equal(from_list, from_frame)


@pytest.mark.parametrize("method", PREPARERS)
@pytest.mark.parametrize("kind", [list, pd.DataFrame])
def test_the_input_is_untouched(method: str, kind: type) -> None:
    rows = kind([deepcopy(EVERYTHING), EVERYTHING | {"first_name": None, "customer_id": " C2 "}])
    before = deepcopy(rows)
    prepare(method, rows)
    if isinstance(rows, pd.DataFrame):
        pd.testing.assert_frame_equal(rows, before)
    else:
        assert rows == before


@pytest.mark.parametrize("method", COLUMNS)
def test_a_prepared_dimension_has_the_columns_of_its_table(method: str) -> None:
    table = COLUMNS[method]
    expected = [
        c.name for c in table.columns if c.info["role"] is not Role.SURROGATE_KEY
    ]  # fmt: skip
    assert list(prepare(method, [EVERYTHING]).columns) == expected


def test_prepared_sales_have_business_keys_and_exact_measures() -> None:
    frame = prepare("prepare_sales_facts", [EVERYTHING])
    assert list(frame.columns) == [
        "transaction_id", "customer_id", "product_id", "sales_rep_id", "date_key", "quantity",
        "unit_price", "discount_amount", "gross_amount", "net_amount", "unit_cost", "currency",
    ]  # fmt: skip
    row = only(frame)
    assert row["customer_id"] == "C1"
    assert row["date_key"] == 20240229
    assert all(isinstance(row[name], Decimal) for name in list(frame.columns)[5:10])
    assert (row["unit_cost"], row["currency"]) == (None, None)


@pytest.mark.parametrize("method", PREPARERS)
@pytest.mark.parametrize("empty", [[], pd.DataFrame(), pd.DataFrame([EVERYTHING]).iloc[:0]])
def test_no_rows_make_an_empty_frame_with_all_columns(method: str, empty: Any) -> None:
    frame = prepare(method, empty)
    assert len(frame) == 0
    assert list(frame.columns) == list(prepare(method, [EVERYTHING]).columns)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        ("prepare_customer_dimension", "customer_id"),
        ("prepare_product_dimension", "product_id"),
        ("prepare_date_dimension_keys", "transaction_date"),
        ("prepare_sales_facts", "transaction_id"),
        ("prepare_sales_facts", "quantity"),
        ("prepare_sales_facts", "unit_price"),
    ],
)
def test_a_required_column_that_is_missing_is_named(method: str, column: str) -> None:
    rows = [{name: value for name, value in EVERYTHING.items() if name != column}]
    with pytest.raises(KeyError, match=column):
        prepare(method, rows)


def test_sales_without_a_column_of_reps_make_no_rep() -> None:
    rows = [{name: value for name, value in SALE.items() if name != "sales_rep_id"}]
    assert len(prepare("prepare_sales_rep_dimension", rows)) == 0
    assert only(prepare("prepare_sales_facts", rows))["sales_rep_id"] == ""


def test_typed_frames_are_read_without_loss() -> None:
    frame = pd.DataFrame(
        {
            "transaction_id": [1, 2, 3],
            "transaction_date": pd.to_datetime(["2024-02-29 10:00", "2024-03-01 00:00", None]),
            "customer_id": [1.0, None, 3.0],  # integers with a gap are floats in pandas
            "product_id": pd.array([10, 11, None], dtype="Int64"),
            "quantity": [1, 2, 3],
            "unit_price": [0.1, 19.99, 3.0],
            "discount_amount": [Decimal("0.01"), None, Decimal(0)],
            "unit_cost": [None, 12.5, 3.0],
        }
    )
    prepared = transformer().prepare("transactions", frame)
    assert prepared.rows.drop_columns(["_place"]).to_pylist() == [
        {
            "transaction_id": "1", "customer_id": "1", "product_id": "10", "sales_rep_id": "",
            "date_key": 20240229, "quantity": Decimal(1), "unit_price": Decimal("0.1"),
            "discount_amount": Decimal("0.01"), "gross_amount": Decimal("0.1"),
            "net_amount": Decimal("0.09"), "unit_cost": None, "currency": None,
        },
        {
            "transaction_id": "2", "customer_id": "", "product_id": "11", "sales_rep_id": "",
            "date_key": 20240301, "quantity": Decimal(2), "unit_price": Decimal("19.99"),
            "discount_amount": Decimal(0), "gross_amount": Decimal("39.98"),
            "net_amount": Decimal("39.98"), "unit_cost": Decimal("12.5"), "currency": None,
        },
    ]  # fmt: skip
    assert prepared.rejects["_reason"].to_pylist() == ["missing_key"]


def test_typed_frames_of_zoned_timestamps_get_their_business_date() -> None:
    moment = pd.Timestamp("2024-12-31 23:30", tz="America/New_York")
    frame = pd.DataFrame([SALE | {"transaction_date": moment}])
    assert only(prepare("prepare_sales_facts", frame))["date_key"] == 20250101


@pytest.mark.parametrize("price", [float("nan"), None, pd.NA])
def test_a_missing_value_of_any_kind_is_no_price(price: object) -> None:
    frame = pd.DataFrame({"product_id": ["P1"], "price": pd.Series([price], dtype=object)})
    assert only(prepare("prepare_product_dimension", frame))["price"] is None


@pytest.mark.parametrize("price", [float("inf"), float("-inf"), 1e300, True])
def test_a_float_that_is_no_amount_is_refused(price: object) -> None:
    assert sale(unit_price=price) == "invalid_unit_price"

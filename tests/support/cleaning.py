"""One row through the cleaning rules, without files and warehouse."""

from __future__ import annotations

import pandas as pd

from config import load_config
from support.tables import Row
from transform import StarSchemaTransformer

SALE: Row = {
    "transaction_id": "T1",
    "transaction_date": "2024-02-29",
    "customer_id": "C1",
    "product_id": "P1",
    "quantity": "2",
    "unit_price": "10.00",
    "sales_rep_id": "grace_hopper",
    "discount_amount": "0",
}


def transformer(**settings: object) -> StarSchemaTransformer:
    environment = {name: str(value) for name, value in settings.items()}
    return StarSchemaTransformer(load_config(env_file=None, environment=environment))


def only(frame: pd.DataFrame) -> Row:
    """The one row of a frame, with None for what is unknown."""
    (row,) = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {str(name): value for name, value in row.items()}


def customer(settings: Row | None = None, /, **columns: object) -> Row:
    given = [{"customer_id": "C1", **columns}]
    return only(transformer(**settings or {}).prepare_customer_dimension(given))


def product(settings: Row | None = None, /, **columns: object) -> Row:
    given = [{"product_id": "P1", **columns}]
    return only(transformer(**settings or {}).prepare_product_dimension(given))


def sale(settings: Row | None = None, /, **columns: object) -> Row | str:
    """What becomes of one sale: its row, or the reason why it is rejected."""
    prepared = transformer(**settings or {}).prepare("transactions", [SALE | columns])
    reasons = prepared.rejects["_reason"].to_pylist()
    if reasons:
        (reason,) = reasons
        assert prepared.rows.num_rows == 0
        return str(reason)
    (row,) = prepared.rows.to_pylist()
    return {str(name): value for name, value in row.items()}


def issues(source: str, settings: Row | None = None, /, **columns: object) -> dict[str, int]:
    """The attribute issues that are counted for one row."""
    key = {"customers": "customer_id", "products": "product_id", "sales_reps": "sales_rep_id"}
    rows = [{key[source]: "X", **columns}]
    return transformer(**settings or {}).prepare(source, rows).issues

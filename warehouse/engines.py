"""Which engine a warehouse has: it is chosen here, once, by the URL and by what answers there."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import URL

from config import StarSchemaConfig
from warehouse.base import Warehouse
from warehouse.citus import Citus
from warehouse.duckdb import DuckDb
from warehouse.postgresql import PostgreSql

_ENGINES: dict[str, type[Warehouse]] = {"duckdb": DuckDb, "postgresql": PostgreSql}


def open_warehouse(config: StarSchemaConfig, run_id: str) -> Warehouse:
    """Connect to the configured warehouse and take its lock.

    Raises `BusyError` when another run holds it, `WarehouseError` when it cannot be reached.
    """
    warehouse = engine_of(config.warehouse_url)(config, run_id)
    if isinstance(warehouse, PostgreSql) and warehouse.citus:
        return Citus.of(warehouse)
    return warehouse


def engine_of(url: URL) -> type[Warehouse]:
    """The engine that `url` names."""
    return _ENGINES[url.get_backend_name()]


def new_run_id() -> str:
    """A name for a run that sorts by time: 20260131T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

"""Which engine a warehouse has: it is chosen here, once, by the URL."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import URL

from config import StarSchemaConfig
from warehouse.base import Warehouse
from warehouse.duckdb import DuckDb
from warehouse.postgresql import PostgreSql

_ENGINES: dict[str, type[Warehouse]] = {"duckdb": DuckDb, "postgresql": PostgreSql}


def open_warehouse(config: StarSchemaConfig, run_id: str) -> Warehouse:
    """Connect to the configured warehouse and take its lock.

    Raises `BusyError` when another run holds it, `WarehouseError` when it cannot be reached.
    """
    return engine_of(config.warehouse_url)(config, run_id)


def engine_of(url: URL) -> type[Warehouse]:
    """The engine that `url` names."""
    return _ENGINES[url.get_backend_name()]


def new_run_id() -> str:
    """A name for a run that sorts by time: 20260131T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

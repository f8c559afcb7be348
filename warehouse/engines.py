"""Which engine a warehouse has: it is chosen here, once, by the URL and by what answers there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import URL

from common.duck import is_interruption
from config import StarSchemaConfig
from errors import WarehouseError
from warehouse.base import Warehouse
from warehouse.citus import Citus
from warehouse.duckdb import DuckDb
from warehouse.failures import in_words
from warehouse.postgresql import PostgreSql

_ENGINES: dict[str, type[Warehouse]] = {"duckdb": DuckDb, "postgresql": PostgreSql}


def open_warehouse(config: StarSchemaConfig, run_id: str, *, only_reads: bool = False) -> Warehouse:
    """Connect to the configured warehouse and take its lock, unless it `only_reads`.

    Raises `BusyError` when another run holds it, `WarehouseError` when it cannot be reached.
    """
    warehouse = engine_of(config.warehouse_url)(config, run_id, only_reads=only_reads)
    if isinstance(warehouse, PostgreSql) and warehouse.citus:
        return Citus.of(warehouse)
    return warehouse


@contextmanager
def reading(config: StarSchemaConfig) -> Iterator[Warehouse]:
    """The warehouse for a few questions, in a transaction that can change nothing and is rolled
    back at the end. No lock is taken, so no run waits for it; a DuckDB file can be read only while
    no run has it open.

    Raises `BusyError` when a run has, `WarehouseError` when there is no warehouse yet, or it cannot
    be reached, or refuses what is asked in the block.
    """
    url = config.warehouse_url
    if engine_of(url).absent(url) is not None:
        raise WarehouseError(f"{url}: there is no star yet; `python main.py` makes it")
    at_once = config.model_copy(update={"retry_seconds": 0})
    with open_warehouse(at_once, new_run_id(), only_reads=True) as warehouse:
        try:
            warehouse.begin()
            yield warehouse
            warehouse.rollback()
        except Exception as error:
            reason = None if is_interruption(error) else in_words(error)
            if reason is None:
                raise
            raise WarehouseError(reason) from error


def engine_of(url: URL) -> type[Warehouse]:
    """The engine that `url` names."""
    return _ENGINES[url.get_backend_name()]


def new_run_id() -> str:
    """A name for a run that sorts by time: 20260131T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

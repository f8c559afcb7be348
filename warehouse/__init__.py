"""All that differs between engines: connecting, locking, bulk loading, constraints."""

from warehouse.base import Encoded, Warehouse
from warehouse.engines import new_run_id, open_warehouse, reading
from warehouse.failures import explain, in_words
from warehouse.retry import tries
from warehouse.transactions import Loader, transaction

__all__ = [
    "Encoded", "Loader", "Warehouse", "explain", "in_words", "new_run_id", "open_warehouse",
    "reading", "transaction", "tries",
]  # fmt: skip

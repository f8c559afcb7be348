"""What a run says, wherever it says it."""

from __future__ import annotations

from typing import Any

from support.retailer import Retailer


def everything_told(shop: Retailer, *outputs: str) -> str:
    """All that a run says anywhere but in reject files and the star."""
    columns = "run_id, status, counts, sources, error_class, code_version"
    runs: list[Any] = []
    if "etl_run" in shop.star.tables():
        runs = shop.star.rows(f"SELECT {columns} FROM etl_run")
    log = shop.log if (shop.folder / "etl.log").exists() else ""
    return "\n".join([*outputs, log, *map(repr, runs)])

"""What a run says, wherever it says it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from schema import etl_change, etl_run
from support.retailer import Retailer


def everything_told(shop: Retailer, *outputs: str) -> str:
    """All that a run says anywhere but in reject files and the star."""
    rows: list[Any] = []
    for table in (etl_run, etl_change):
        names = ", ".join(c.name for c in table.columns if not isinstance(c.type, sa.DateTime))
        if table.name in shop.star.tables():
            rows += shop.star.rows(f"SELECT {names} FROM {table.name}")
    log = shop.log if (shop.folder / "etl.log").exists() else ""
    pages = [path.read_text(encoding="utf-8") for path in sorted(shop.folder.rglob("*.html"))]
    return "\n".join([*outputs, log, *map(repr, rows), *pages])

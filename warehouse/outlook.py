"""What `check` says of the warehouse, without changing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table

from config import StarSchemaConfig
from errors import WarehouseError
from schema import etl_run
from warehouse.drift import compare
from warehouse.engines import engine_of, new_run_id, open_warehouse
from warehouse.history import last_published


def last_watermarks(config: StarSchemaConfig, tables: Sequence[Table]) -> dict[str, Any]:
    """How far the sources were read by the run that was published last; nothing where the warehouse
    cannot be asked, which `inspect_warehouse` tells.
    """
    if engine_of(config.warehouse_url).absent(config.warehouse_url) is not None:
        return {}
    try:
        at_once = config.model_copy(update={"retry_seconds": 0})
        with open_warehouse(at_once, new_run_id(), only_reads=True) as warehouse:
            is_there = compare(warehouse, tables).is_whole(etl_run)
            last = last_published(warehouse) if is_there else None
    except WarehouseError:
        return {}
    return {} if last is None else last.watermarks


def inspect_warehouse(config: StarSchemaConfig, tables: Sequence[Table]) -> tuple[list[str], bool]:
    """The lines to show, and whether a run could load the star."""
    url = config.warehouse_url
    lines = [f"warehouse: {url.render_as_string(hide_password=True)}"]
    absent = engine_of(url).absent(url)
    if absent is not None:
        line, can_be_made = absent
        return [*lines, f"  {line}"], can_be_made
    try:
        at_once = config.model_copy(update={"retry_seconds": 0})
        with open_warehouse(at_once, new_run_id()) as warehouse:
            found = compare(warehouse, tables)
            lines.append(f"  reachable: {warehouse.version()}, schema {warehouse.schema}")
            problems = [*found.problems, *warehouse.problems()]
    except WarehouseError as error:
        return [*lines, f"  problem: {error}"], False
    if len(found.missing_tables) == len(tables):
        lines.append("  no star there yet; the first run creates it")
    else:
        lacking = dict.fromkeys(part.words for part in found.incomplete)
        lines += [f"  the next run adds: {', '.join(found.added)}"] if found.added else []
        lines += [f"  the next run completes: {', '.join(lacking)}"] if lacking else []
        lines += [] if found.problems else ["  the star there fits"]
    return lines + [f"  problem: {problem}" for problem in problems], not problems

"""The same input again: recognised by its content, so that nothing needs to be done twice.

A run may say "nothing changed" without reading its sources row by row only when all of this
holds: every file has the bytes that the last published run read, the settings and the code are
the same, and nobody has touched the star since.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL

from config import SOURCES, StarSchemaConfig
from errors import SourceError
from files import private_folder
from places import Place, find_places
from schema import dimensions, etl_run, fact_sales
from warehouse import Warehouse

STAR = (*dimensions, fact_sales)
_DO_NOT_MATTER = {
    "warehouse_url", "warehouse_schema", "batch_rows", "workers", "log_file", "log_level",
    "rejects_dir", "work_dir", "lock_timeout_seconds", "retry_seconds",
}  # fmt: skip
_KEPT = (
    "phases", "extraction_results", "transformation_results", "dimension_loading_results",
    "fact_loading_results", "validation_results",
)  # fmt: skip


@dataclass(frozen=True)
class Previous:
    """The last published run, when today's would only repeat it."""

    run_id: str
    results: dict[str, Any]
    sources: dict[str, Any]


def signature(config: StarSchemaConfig, code_version: str) -> str:
    """Everything but the input that decides what a run loads; the year bounds its dates."""
    settings = config.model_dump(mode="python", exclude=_DO_NOT_MATTER)
    for name in SOURCES:
        settings[name] = {**settings[name], "path": settings[name]["path"] is not None}
    text = json.dumps([settings, code_version, datetime.now(UTC).year], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def record(results: dict[str, Any]) -> dict[str, Any]:
    """What a run's row keeps of its results."""
    return {name: results[name] for name in _KEPT}


def find_previous(warehouse: Warehouse, signed: str) -> Previous | None:
    """The last published run, if it was of the same settings and code."""
    published = etl_run.c.status == "published"
    newest = (etl_run.c.ended_at.desc(), etl_run.c.run_id.desc())
    columns = sa.select(etl_run.c.run_id, etl_run.c.counts, etl_run.c.sources)
    run = warehouse.execute(columns.where(published).order_by(*newest).limit(1)).first()
    if run is None:
        return None
    last = Previous(run.run_id, json.loads(run.counts), json.loads(run.sources))
    return last if last.results.get("signature") == signed else None


def same_input(config: StarSchemaConfig, previous: Previous) -> bool:
    """Whether the sources are those that `previous` read, and its rejects are still there."""
    return _same_files(config, previous.sources) and all(
        path.is_file() for path in _reject_files(config, previous)
    )


def same_star(warehouse: Warehouse) -> bool:
    """Whether nobody has touched the star since the last run was published."""
    return warehouse.untouched_since(marks(warehouse), STAR)


def marks(warehouse: Warehouse) -> list[str]:
    """What published runs noted of the star when they committed, the newest first."""
    counts = warehouse.execute(
        sa.select(etl_run.c.counts)
        .where(etl_run.c.status == "published")
        .order_by(etl_run.c.ended_at.desc(), etl_run.c.run_id.desc())
    ).scalars()
    return [json.loads(count).get("mark", "") for count in counts]


def repeat(previous: Previous) -> dict[str, Any]:
    """The results of a run that found all of the previous one's rows unchanged."""
    parts: dict[str, Any] = json.loads(json.dumps({n: previous.results[n] for n in _KEPT}))
    for counts in parts["dimension_loading_results"].values():
        _all_unchanged(counts, "")
        counts["inferred"] = 0
    _all_unchanged(parts["fact_loading_results"], "records_")
    parts["fact_loading_results"]["processing_time"] = 0.0
    for phase in parts["phases"].values():
        phase["duration_seconds"] = 0.0
    accounts = parts["validation_results"]["reconciliation"]
    for account in accounts["sources"].values():
        _all_unchanged(account, "")
    money = accounts["money"]
    money["unchanged"] = f"{Decimal(money['unchanged']) + Decimal(money['loaded']):.4f}"
    money["loaded"] = f"{Decimal(0):.4f}"
    return parts


def copy_rejects(config: StarSchemaConfig, previous: Previous, folder: Path) -> None:
    """The previous run's rejects are this one's too."""
    for path in _reject_files(config, previous):
        private_folder(folder)
        shutil.copy(path, folder / path.name)


def _all_unchanged(counts: dict[str, Any], prefix: str) -> None:
    for name in ("inserted", "updated"):
        counts[f"{prefix}unchanged"] += counts[f"{prefix}{name}"]
        counts[f"{prefix}{name}"] = 0


def _reject_files(config: StarSchemaConfig, previous: Previous) -> list[Path]:
    return [
        config.rejects_dir / previous.run_id / f"{result['source']}.csv"
        for result in previous.results["transformation_results"].values()
        if result["rejected"]
    ]


def _same_files(config: StarSchemaConfig, known: dict[str, list[dict[str, Any]]]) -> bool:
    configured = [name for name in SOURCES if config.source(name).path is not None]
    if sorted(known) != sorted(configured):
        return False
    try:
        return all(_same_content(config, name, known[name]) for name in configured)
    except (SourceError, OSError):
        return False  # the extraction will say what is wrong


def _same_content(config: StarSchemaConfig, name: str, known: Sequence[dict[str, Any]]) -> bool:
    path = config.source(name).path
    if path is None or isinstance(path, URL):
        return False
    places = find_places(path, f"{name.upper()}__PATH")
    return len(places) == len(known) and all(
        place.member is None and _sha256(place) == file["sha256"]
        for place, file in zip(places, known, strict=True)
    )


def _sha256(place: Place) -> str:
    digest = hashlib.sha256()
    with place.open_raw() as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

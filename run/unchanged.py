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
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import URL, Table

from common.files import private_folder
from common.star_model import Star
from config import StarSchemaConfig
from errors import SourceError
from sources.partitions import folder_values
from sources.places import find_places
from warehouse.history import Past

_DO_NOT_MATTER = {
    "warehouse_url", "warehouse_schema", "batch_rows", "workers", "log_file", "log_level",
    "rejects_dir", "work_dir", "lock_timeout_seconds", "retry_seconds",
}  # fmt: skip
_KEPT = (
    "phases", "extraction_results", "transformation_results", "dimension_loading_results",
    "fact_loading_results", "validation_results",
)  # fmt: skip


def signature(config: StarSchemaConfig, code_version: str) -> str:
    """Everything but the input that decides what a run loads; the year bounds its dates."""
    settings = config.model_dump(mode="python", exclude=_DO_NOT_MATTER)
    for source in settings["sources"].values():
        source["path"] = source["path"] is not None
    parts = [settings, _declared(config.star), code_version, datetime.now(UTC).year]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _declared(star: Star) -> list[Any]:
    """What a star makes of which columns of its sources."""
    columns = [(str(c), c.type, c.info) for table in star.tables for c in table.columns]
    return [columns, [(source.name, source.required, source.optional) for source in star.sources]]


def tables(star: Star) -> list[Table]:
    """The tables that a run of the same input leaves as they are."""
    return [*star.dimensions, star.fact]


def record(results: dict[str, Any]) -> dict[str, Any]:
    """What a run's row keeps of its results."""
    return {name: results[name] for name in _KEPT}


def same_input(config: StarSchemaConfig, signed: str, last: Past) -> bool:
    """Whether `last` was of the same settings and code and read the same sources, and its rejects
    are as it wrote them.
    """
    if last.counts.get("signature") != signed:
        return False
    try:
        repeat(last)
        return _same_files(config, last.sources) and _same_rejects(config, last)
    except (LookupError, TypeError, AttributeError, ArithmeticError):
        return False  # somebody has written into the row


def repeat(previous: Past) -> dict[str, Any]:
    """The results of a run that found all of the previous one's rows unchanged."""
    parts: dict[str, Any] = json.loads(json.dumps({n: previous.counts[n] for n in _KEPT}))
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


def copy_rejects(config: StarSchemaConfig, previous: Past, folder: Path) -> None:
    """The previous run's rejects are this one's too."""
    for path in _reject_files(config.rejects_dir / previous.run_id, previous.counts):
        private_folder(folder)
        shutil.copy(path, folder / path.name)


def reject_hashes(folder: Path, counts: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of each reject file in `folder` that a run with these `counts` has written."""
    return {path.name: _sha256(path.open("rb")) for path in _reject_files(folder, counts)}


def _all_unchanged(counts: dict[str, Any], prefix: str) -> None:
    for name in ("inserted", "updated"):
        counts[f"{prefix}unchanged"] += counts[f"{prefix}{name}"]
        counts[f"{prefix}{name}"] = 0


def _reject_files(folder: Path, counts: dict[str, Any]) -> list[Path]:
    results = counts["transformation_results"].values()
    return [folder / f"{result['source']}.csv" for result in results if result["rejected"]]


def _same_rejects(config: StarSchemaConfig, last: Past) -> bool:
    try:
        found = reject_hashes(config.rejects_dir / last.run_id, last.counts)
    except OSError:  # cleared away: they are made again
        return False
    return last.counts.get("reject_files") == found


def _same_files(config: StarSchemaConfig, known: dict[str, list[dict[str, Any]]]) -> bool:
    configured = [name for name, source in config.sources.items() if source.path is not None]
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
    places = find_places(path, f"{name.upper()}__PATH").places
    return len(places) == len(known) and all(
        place.member is None
        and not folder_values(place.label)  # they are in no bytes
        and _sha256(place.open_raw()) == file["sha256"]
        for place, file in zip(places, known, strict=True)
    )


def _sha256(opened: BinaryIO) -> str:
    digest = hashlib.sha256()
    with opened as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

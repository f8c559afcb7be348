"""The same input again: recognised by its content, so that nothing needs to be done twice.

A run may say "nothing changed" without reading its sources row by row only when all of this
holds: every file has the bytes that the last published run read, the settings and the code are
the same, and nobody has touched the star since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import URL, Table

from common import fingerprints
from common.outcomes import TableCleaned
from common.parallel import Task, Workers
from common.star_model import Star
from config import StarSchemaConfig
from errors import SourceError
from run.summary import Outcomes
from sources.file_names import archive_and_members
from sources.partitions import folder_values
from sources.places import find_places
from sources.streams import Place
from warehouse.history import Past

_DO_NOT_MATTER = {
    "warehouse_url", "warehouse_schema", "batch_rows", "workers", "log_file", "log_level",
    "rejects_dir", "work_dir", "lock_timeout_seconds", "retry_seconds", "dask_scheduler",
    "star_file", "warn_reject_rate", "keep_changes", "keep_personal_changes", "log_format",
    "log_keep_days", "rejects_keep_days", "changes_keep_days", "notify_url", "notify_on",
    "reports_dir", "reports_keep", "report_personal",
}  # fmt: skip

REJECTS_OF = "rejects_of"
"""The key, in the counts of a repetition, of the run in whose folder its rejects are."""


def signature(config: StarSchemaConfig, code_version: str) -> str:
    """Everything but the input that decides what a run loads; the year bounds its dates."""
    settings = config.model_dump(mode="python", exclude=_DO_NOT_MATTER)
    for source in settings["sources"].values():
        source["path"] = source["path"] is not None
    parts = [settings, _declared(config.star), code_version, datetime.now(UTC).year]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _declared(star: Star) -> list[Any]:
    """What a star makes of which columns of its sources, and what it says of them."""
    columns = [
        (str(column), column.type, column.info, column.table.comment)
        for table in star.tables
        for column in table.columns
    ]
    return [columns, [(source.name, source.required, source.optional) for source in star.sources]]


def tables(star: Star) -> list[Table]:
    """The tables that a run of the same input leaves as they are."""
    return [*star.dimensions, star.fact]


def repeated(
    config: StarSchemaConfig, signed: str, last: Past, workers: Workers
) -> Outcomes | None:
    """The outcomes of a run that finds all rows of `last` unchanged; None unless `last` was of the
    same settings and code and read the same sources, and its rejects are as it wrote them.
    """
    if last.counts.get("signature") != signed:
        return None
    try:
        last_found = Outcomes.from_dict(last.counts)
        if _may_skip_what_it_removed(config, last_found):
            return None
        found = last_found.all_unchanged()
        is_same = _same_files(config, last.sources, workers) and _same_rejects(
            config, last, found.tables
        )
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return None  # somebody has written into the row
    return found if is_same else None


def _may_skip_what_it_removed(config: StarSchemaConfig, last: Outcomes) -> bool:
    """Whether rows that have removed facts may count as skipped the next time: the counts do not
    say which of them did.
    """
    skips = any(source.skip_when for source in config.sources.values())
    return skips and last.facts is not None and last.facts.records_deleted.by_flag > 0


def rejects_folder(rejects_dir: Path, run_id: str, counts: Mapping[str, Any]) -> Path:
    """Where the rejects of a run are, by what is kept of it: a repetition has those of the run that
    it repeats.
    """
    holder = counts.get(REJECTS_OF)
    is_name = isinstance(holder, str) and holder == Path(holder).name
    return rejects_dir / (holder if is_name and holder else run_id)


def reject_hashes(folder: Path, tables: Mapping[str, TableCleaned]) -> dict[str, str]:
    """The fingerprint of each reject file in `folder` that a run has written, given what cleaning
    found.
    """
    return {path.name: fingerprint(path.open("rb")) for path in _reject_files(folder, tables)}


def _reject_files(folder: Path, tables: Mapping[str, TableCleaned]) -> list[Path]:
    return [folder / f"{table.source}.csv" for table in tables.values() if table.rejected]


def _same_rejects(config: StarSchemaConfig, last: Past, tables: Mapping[str, TableCleaned]) -> bool:
    try:
        found = reject_hashes(rejects_folder(config.rejects_dir, last.run_id, last.counts), tables)
    except OSError:  # cleared away: they are made again
        return False
    return last.counts.get("reject_files") == found


def _same_files(
    config: StarSchemaConfig, known: dict[str, list[dict[str, Any]]], workers: Workers
) -> bool:
    configured = [name for name, source in config.sources.items() if source.path is not None]
    if sorted(known) != sorted(configured):
        return False
    try:
        return all(_same_content(config, name, known[name], workers) for name in configured)
    except (SourceError, OSError):
        return False  # the extraction will say what is wrong


def _same_content(
    config: StarSchemaConfig, name: str, known: Sequence[dict[str, Any]], workers: Workers
) -> bool:
    path = config.source(name).path
    if path is None or isinstance(path, URL):
        return False
    if any(archive_and_members(file["path"])[1] != "*" for file in known):
        return False  # members of archives are not compared, and need not be unpacked for that
    places = find_places(path, f"{name.upper()}__PATH").places
    return len(places) == len(known) and all(
        place.member is None
        and not folder_values(place)  # they are in no bytes
        and content_of(place, workers) == file["sha256"]
        for place, file in zip(places, known, strict=True)
    )


def content_of(place: Place, workers: Workers) -> str:
    """The fingerprint of a file. Raises OSError."""
    path = place.file
    if path is None:
        return fingerprint(place.open_raw())
    leaves = fingerprints.leaves(path.stat().st_size)
    tasks = (Task(fingerprints.leaf, (path, *ends), label=place.label) for ends in leaves)
    return fingerprints.joined(list(workers.in_order(tasks)))


def fingerprint(opened: BinaryIO) -> str:
    """By what an open file is known again; it is closed."""
    digest = fingerprints.TreeHash()
    with opened as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.fingerprint()

"""What older runs have left is removed after a published run: logs, reject files, changes.

It comes after the commit and never changes the outcome: what cannot be removed is a warning. It
costs what there is to remove, however many runs there were.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from common.duck import is_interruption
from config import StarSchemaConfig
from run.failures import in_words
from run.log_files import older_logs
from run.logs import logger
from schema import etl_change, etl_run
from warehouse import Warehouse

_RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
_AT_ONCE = 500
"""Runs that are looked up by one statement."""


def tidy(config: StarSchemaConfig, warehouse: Warehouse, rejects_dir: str) -> list[str]:
    """Remove what is older than LOG_KEEP_DAYS, REJECTS_KEEP_DAYS and CHANGES_KEEP_DAYS, and keep
    `rejects_dir`, however old: the rejects of this run, or of the one that it has repeated. No
    transaction of `warehouse` is open, neither after it.

    Returns a warning for each of the three of which something could not be removed.
    """
    steps: list[tuple[str, int, Callable[[datetime], Iterable[str]]]] = [
        ("LOG_KEEP_DAYS", config.log_keep_days, lambda since: _logs(config.log_file, since)),
        (
            "REJECTS_KEEP_DAYS",
            config.rejects_keep_days,
            lambda since: _rejects(config.rejects_dir, since, warehouse, Path(rejects_dir).name),
        ),
        ("CHANGES_KEEP_DAYS", config.changes_keep_days, lambda since: _changes(warehouse, since)),
    ]
    warnings = []
    for setting, days, step in steps:
        if days:
            try:
                problems = list(step(_days_ago(days)))
            except Exception as error:  # whatever it is, the run is published
                if is_interruption(error):
                    raise KeyboardInterrupt from error
                problems = [in_words(error, config)]
            if problems:
                more = f", and {len(problems) - 1:,} more" if len(problems) > 1 else ""
                warnings.append(f"{setting}: not removed: {problems[0]}{more}")
    return warnings


def _days_ago(days: int) -> datetime:
    """The moment from which on all is kept; the first there is for more days than there were."""
    try:
        return datetime.now(UTC) - timedelta(days=days)
    except OverflowError:
        return datetime(1, 1, 1, tzinfo=UTC)


def _logs(log_file: Path, since: datetime) -> Iterator[str]:
    """Remove the logs of days before; yields what could not be."""
    removed = 0
    for path in list(older_logs(log_file, since.date())):
        try:
            path.unlink(missing_ok=True)
            removed += 1
        except OSError as error:
            yield f"{path} ({error.strerror})"
    _tell(removed, "older logs")


def _rejects(folder: Path, since: datetime, warehouse: Warehouse, kept: str) -> Iterator[str]:
    """Remove the folders of rejects of runs before, but the one called `kept`, if this warehouse
    knows the run; yields what could not be.
    """
    try:
        with os.scandir(folder) as entries:
            old = sorted(
                entry.name
                for entry in entries
                if _RUN_ID.fullmatch(entry.name)
                and entry.name < _run_id_at(since)
                and entry.name != kept
                and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:  # no row was ever rejected
        return
    removed = 0
    for name in _known(warehouse, old):
        try:
            shutil.rmtree(folder / name)
            removed += 1
        except OSError as error:
            yield f"{folder / name} ({error.strerror})"
    _tell(removed, "folders of older rejects")


def _known(warehouse: Warehouse, run_ids: Iterable[str]) -> list[str]:
    """Those of `run_ids` that are in `etl_run`."""
    known: list[str] = []
    waiting = iter(run_ids)
    while some := list(islice(waiting, _AT_ONCE)):
        warehouse.begin()
        try:
            query = sa.select(etl_run.c.run_id).where(etl_run.c.run_id.in_(some))
            known += warehouse.execute(query).scalars()
        finally:
            warehouse.rollback()
    return known


def _changes(warehouse: Warehouse, since: datetime) -> Iterator[str]:
    """Remove from `etl_change` what runs before have changed, in a transaction of its own; yields
    why it could not be.
    """
    is_old = etl_change.c.run_id < _run_id_at(since)
    warehouse.begin()
    try:
        present = warehouse.present([etl_change]).get(etl_change.name)
        there = sa.select(etl_change.c.run_id).where(is_old).limit(1)
        if present is None or warehouse.scalar(there) is None:
            return
        if not present.may_delete:
            yield (
                f"rows of {etl_change.name}: our role may not delete there; let the owner run "
                "`python main.py init`, which prints the GRANT"
            )
            return
        removed = warehouse.execute(sa.delete(etl_change).where(is_old)).rowcount
        warehouse.connection.commit()
        _tell(removed, f"rows of {etl_change.name}")
    finally:
        warehouse.rollback()


def _run_id_at(moment: datetime) -> str:
    """What the ids of all runs from `moment` on are not below: they begin with their time."""
    return f"{moment:%Y%m%dT%H%M%S}"


def _tell(removed: int, what: str) -> None:
    if removed > 0:
        logger.info("removed: %s %s", f"{removed:,}", what)

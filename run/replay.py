"""A replay: the corrected reject files of a run are loaded, and nothing else.

What was refused that night is older than what later runs have loaded. So a row whose key a later
run has loaded is not loaded, but listed: it becomes a reject (`loaded_later`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.reject_reading import Form, UnreadableError, form_of
from common.star_model import Source
from config import StarSchemaConfig
from errors import RequestError
from run.refused_rows import LOOKED_AT, files_in
from run.rekey import is_due
from run.unchanged import fingerprint
from sources.raw_source import RawSource
from warehouse import Warehouse, reading
from warehouse.history import last_published
from warehouse.runs import PastRun, find_run, last_runs, runs_called, with_repeated


@dataclass(frozen=True)
class Replay:
    """Which reject files are loaded, and what counts as later than they are."""

    run_id: str
    """The run that has refused the rows."""
    folder: Path
    files: dict[str, Form] = field(default_factory=dict)
    """By source of the star that has a file: how it is written."""
    root: int | None = None
    """The number of the run in whose input the rows were first; None where nobody knows."""
    was_published: bool = True
    force: bool = False
    """Whether rows are loaded whatever later runs have loaded."""
    warnings: tuple[str, ...] = ()

    def path(self, source: str) -> Path:
        """The reject file of a source."""
        return self.folder / f"{source}.csv"

    def settings(self, config: StarSchemaConfig) -> StarSchemaConfig:
        """The settings of the run: whatever a source is otherwise, these are changes of it, and any
        share of them may be refused.
        """
        config = config.model_copy(update={"max_reject_rate": Decimal(1)})
        for name in config.sources:
            settings: dict[str, Any] = {
                "extract": "changes", "period": None, "watermark": None, "lag": "0",
            }  # fmt: skip
            if name in self.files:
                form = self.files[name]
                settings |= {"path": str(self.path(name)), "query": None, "split_by": None}
                settings |= {"encoding": form.encoding, "delimiter": form.delimiter}
            config = config.with_source(name, **settings)
        return config

    def to_read(self, config: StarSchemaConfig) -> StarSchemaConfig:
        """Settings by which the reject files are read, and of the other sources only the orders of
        lines.
        """
        read = {*self.files, *([config.join.source] if self._joins(config) and config.join else [])}
        for name in config.sources.keys() - read:
            config = config.with_source(name, path=None, query=None)
        if not self._joins(config):
            config = config.with_source(config.star.sales.name, join=None)
        return config

    def _joins(self, config: StarSchemaConfig) -> bool:
        return config.join is not None and config.star.sales.name in self.files

    def with_others(
        self, config: StarSchemaConfig, extracted: dict[str, RawSource]
    ) -> dict[str, RawSource]:
        """`extracted`, and beside them each source that is set and not read, without a row: its
        members are looked up in the star.
        """
        others = [
            source
            for source in config.star.sources
            if source.name not in extracted and config.source(source.name).path is not None
        ]
        empty = {source.name: _without_rows(source, config) for source in others}
        return {**extracted, **empty}


def _without_rows(source: Source, config: StarSchemaConfig) -> RawSource:
    return RawSource(source, config.source(source.name))


def planned(config: StarSchemaConfig, named: str | None, *, force: bool) -> Replay:
    """What a replay of the run `named` would load; without a name, of the last run with rejects.

    Raises `RequestError` where there is nothing to load, or it cannot be, `WarehouseError` where
    the warehouse cannot be asked.
    """
    corrected = ""
    with reading(config) as warehouse:
        run = _named(warehouse, config, named) if named else _last_with_rejects(warehouse, config)
        folder = config.rejects_dir / run.run_id
        files, warnings = _files(config, folder)
        root = root_of(warehouse, run)
        if last_published(warehouse) is not None and is_due(warehouse):
            raise RequestError(
                "the star's keys are of other key rules than this version has; run "
                "`python main.py` once, then replay"
            )
        is_untouched = bool(files) and all(_is_as_written(run, folder, name) for name in files)
        if is_untouched and not named:
            corrected = _corrected(warehouse, config)
    if not files:
        raise RequestError(_nothing(config, run, folder))
    if run.status != "published":
        warnings.append(
            f"run {run.run_id} was not published: of its input only the corrected rejects are "
            "loaded now, the next run loads the rest"
        )
    if is_untouched:
        others = f"; those of run {corrected} were corrected: replay {corrected}"
        warnings.append(
            f"nothing was corrected: the reject files in {folder} are as run {run.run_id} wrote "
            f"them{others if corrected else ''}; what is loaded is what settings or star allow now"
        )
    return Replay(
        run.run_id, folder, files, root, run.status == "published", force, tuple(warnings)
    )


def _named(warehouse: Warehouse, config: StarSchemaConfig, named: str) -> PastRun:
    """The run called so. The rejects of a repetition are those of the run that it repeats."""
    run, *others = with_repeated(warehouse, find_run(warehouse, named))
    held = (each for each in (run, *others) if files_in(config, config.rejects_dir / each.run_id))
    return next(held, run)


def _last_with_rejects(warehouse: Warehouse, config: StarSchemaConfig) -> PastRun:
    for run in last_runs(warehouse, LOOKED_AT):
        if files_in(config, config.rejects_dir / run.run_id):
            return run
    raise RequestError(
        f"no run of this warehouse has reject files in {config.rejects_dir}: nothing was refused, "
        "or the files are gone (REJECTS_KEEP_DAYS)"
    )


def _files(config: StarSchemaConfig, folder: Path) -> tuple[dict[str, Form], list[str]]:
    """The files to load, and warnings of others. Raises `RequestError` for one that is damaged."""
    files, warnings = {}, []
    for name, path in files_in(config, folder).items():
        if config.join is not None and name == config.join.source:
            warnings.append(
                f"{path} is not loaded: orders are read from where {name.upper()}__PATH says; "
                "correct them there, then replay the lines"
            )
        elif config.source(name).path is None:
            warnings.append(f"{path} is not loaded: {name.upper()}__PATH is not set any more")
        else:
            try:
                files[name] = form_of(path, config.source(name).encoding)
            except (UnreadableError, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                raise RequestError(f"{path} cannot be loaded: {reason}") from error
    return files, warnings


def _nothing(config: StarSchemaConfig, run: PastRun, folder: Path) -> str:
    if not run.totals.rejected and not folder.exists():
        return f"run {run.run_id} has refused no row"
    keep = config.rejects_keep_days
    return (
        f"run {run.run_id} has no reject file that can be loaded in {folder}: they were moved, or "
        f"removed when they were older than {keep} days (REJECTS_KEEP_DAYS)"
    )


def root_of(warehouse: Warehouse, run: PastRun) -> int | None:
    """The number of the run at the beginning of a chain of replays: so old are the rows that a run
    has read. None where nobody knows it.
    """
    seen = {run.run_id}
    while run.totals.replays and run.totals.replays not in seen:
        seen.add(run.totals.replays)
        found = runs_called(warehouse, [run.totals.replays])
        if not found:
            return None
        (run,) = found.values()
    return run.sequence


def _corrected(warehouse: Warehouse, config: StarSchemaConfig) -> str:
    """The last run whose reject files somebody has changed; '' where there is none."""
    for run in last_runs(warehouse, LOOKED_AT):
        folder = config.rejects_dir / run.run_id
        noted = run.counts.get("reject_files") or {}
        names = [name for name in files_in(config, folder) if f"{name}.csv" in noted]
        if not all(_is_as_written(run, folder, name) for name in names):
            return run.run_id
    return ""


def _is_as_written(run: PastRun, folder: Path, source: str) -> bool:
    """Whether a reject file has the bytes that its run has noted."""
    noted: Mapping[str, str] = run.counts.get("reject_files", {})
    name = f"{source}.csv"
    return name in noted and noted[name] == fingerprint((folder / name).open("rb"))

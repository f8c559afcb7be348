"""The star as Parquet files: a folder a table, the facts in one a year, all of one moment."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import Table

from common.files import private_folder
from common.folder_swap import Swap, share_as, swapping
from common.progress import SILENT, Progress
from common.star_model import Star
from common.version import VERSION
from config import StarSchemaConfig
from errors import BusyError, EtlError, RequestError
from warehouse.answers import handed_on
from warehouse.base import Warehouse
from warehouse.engines import reading
from warehouse.export_marker import PART, Marker, found_in
from warehouse.fact_years import NO_YEAR, Year, as_texts, is_of, measures_of, years_of
from warehouse.parquet import ParquetFile, file_schema, totals
from warehouse.runs import last_published
from warehouse.star_questions import whole

Phases: TypeAlias = Callable[[str], Progress]
PHASES = ("members", "sales", "verify")


@dataclass
class Exported:
    """What was written, and where."""

    folder: Path
    run_id: str
    rows: dict[str, int]
    """By table."""
    written: list[str] = field(default_factory=list)
    """The years whose facts were written now."""
    kept: list[str] = field(default_factory=list)
    """Those that were taken over from the export before."""
    bytes: int = 0
    seconds: float = 0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "status": "exported",
            "exit_code": 0,
            "success": True,
            "errors": [],
            "warnings": self.notes,
            "folder": str(self.folder),
            "rows": self.rows,
            "years": {"written": self.written, "kept": self.kept},
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


def export_star(
    config: StarSchemaConfig,
    folder: Path,
    since: str | None = None,
    phase: Phases = lambda _: SILENT,
) -> Exported:
    """Write the star into `folder`, whose former export is replaced as a whole once all is written
    and has been read again. With `since`, an ISO date, the facts of years before its own are taken
    over as they are, where the star has not changed in them.

    Raises `RequestError` for a folder with anything else in it, or a date that is none; `BusyError`
    while a run has the DuckDB file, or another export writes there; `EtlError` where the files
    cannot be written. The former export is then as it was.
    """
    begun = time.monotonic()
    first_year = _year_of(since)
    target = _place(folder)
    before = found_in(target)
    with _written_beside(target) as swap:
        with reading(config) as warehouse:
            plan = _Plan.of(warehouse, target, before, first_year)
            rows = _write(warehouse, plan, swap, phase)
        _verify(plan, swap, phase("verify"))
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        fact = config.star.fact.name
        Marker(plan.run_id, VERSION, now, rows, plan.columns, fact, plan.years).write(swap.new)
        size = _bytes(swap.new)
        found_in(target)  # raises if somebody has put something into it meanwhile
        if before is not None:
            share_as(target, swap.new)
        swap.done()
    written = [name for name in plan.years if name not in plan.kept]
    seconds = time.monotonic() - begun
    return Exported(target, plan.run_id, rows, written, plan.kept, size, seconds, plan.notes)


def _year_of(since: str | None) -> int | None:
    if since is None:
        return None
    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise RequestError(f"--since {since!r} is no date; write it as 2024-01-31") from None
    if day > datetime.now(UTC).date():
        raise RequestError(f"--since {since} is still to come, so that nothing would be written")
    return day.year


def _place(folder: Path) -> Path:
    """Where the export is. A link may be ours, and not one that somebody else has put there."""
    if folder.is_symlink() and folder.lstat().st_uid != os.geteuid():
        raise RequestError(f"{folder} is a link that belongs to somebody else; name the folder")
    try:
        target = folder.resolve()
    except (OSError, RuntimeError) as error:  # as of links that lead to each other
        raise RequestError(f"{folder} leads nowhere: {error}") from None
    if not target.name:
        raise RequestError(f"{folder} is no folder to replace; name one in it")
    return target


@contextmanager
def _written_beside(target: Path) -> Iterator[Swap]:
    me = f"process {os.getpid()} on {socket.gethostname()}"
    try:
        private_folder(target.parent)
        with swapping(target, "export", me) as swap:
            yield swap
    except BlockingIOError as holder:
        raise BusyError(f"another export writes into {target}: {holder}") from None
    except OSError as error:
        raise EtlError(
            f"the export into {target} failed: {error.strerror or error}; what was there before is "
            "untouched. It is written beside that, so there must be room for both, and a right to "
            f"write into {target.parent}"
        ) from error


@dataclass(frozen=True)
class _Plan:
    """What is to be written, all of one moment."""

    star: Star
    run_id: str
    statements: dict[str, sa.Select[Any]]
    """By table, what all its rows are asked for with."""
    schemas: dict[str, pa.Schema]
    years: dict[str, Year]
    kept: list[str]
    """The years whose files are taken over."""
    notes: list[str]

    @classmethod
    def of(
        cls, warehouse: Warehouse, target: Path, before: Marker | None, first_year: int | None
    ) -> _Plan:
        star = warehouse.config.star
        tables = (*star.dimensions, star.fact)
        statements = {table.name: whole(table)(warehouse) for table in tables}
        columns = {name: list(s.selected_columns.keys()) for name, s in statements.items()}
        last = last_published(warehouse)
        run_id = last.run_id if last else ""
        schemas = {t.name: file_schema(t, columns[t.name], run_id) for t in tables}
        plan = cls(star, run_id, statements, schemas, {}, [], [])
        plan.years.update(years_of(warehouse, star, columns[star.fact.name]))
        if first_year is not None:
            plan._keep(target, before, first_year)
        return plan

    def _keep(self, target: Path, before: Marker | None, first_year: int) -> None:
        """Choose the years before `first_year` that are as the export before has them."""
        if before is None:
            self.notes.append("no earlier export is there: all years were written")
            return
        if before.version != VERSION or before.columns != self.columns:
            self.notes.append("the earlier export is of another version: all years were written")
            return
        what = self.star.sales.called
        for name in before.years.keys() - self.years.keys() - {NO_YEAR}:
            self.notes.append(f"there are no {what} of {name} any more, and none in the export")
        for name, year in self.years.items():
            if name == NO_YEAR or int(name) >= first_year:
                continue
            if before.years.get(name) == year and self.holds(target, name):
                self.kept.append(name)
            else:
                self.notes.append(f"{what} of {name} have changed since, and were written again")

    @property
    def columns(self) -> dict[str, dict[str, str]]:
        """By table, its columns and their types."""
        return {name: {f.name: str(f.type) for f in s} for name, s in self.schemas.items()}

    def file(self, folder: Path, year: str) -> Path:
        """The file of the facts of a year."""
        return folder / self.star.fact.name / f"year={year}" / PART

    def holds(self, folder: Path, year: str) -> bool:
        """Whether that file, read again, has the facts of a year."""
        names = self.schemas[self.star.fact.name].names
        currency = self.star.currency
        named = currency.name if currency is not None and currency.name in names else None
        try:
            rows, sums = totals(self.file(folder, year), measures_of(self.star, names), named)
        except (OSError, pa.ArrowException):
            return False
        return (rows, as_texts(sums)) == (self.years[year].rows, self.years[year].sums)


def _write(warehouse: Warehouse, plan: _Plan, swap: Swap, phase: Phases) -> dict[str, int]:
    """Write all files; returns the rows of each table."""
    rows: dict[str, int] = {}
    fact = plan.star.fact
    progress = phase("members")
    for table in plan.star.dimensions:
        path = swap.new / table.name / PART
        private_folder(path.parent)
        rows[table.name] = _written(
            warehouse, plan.statements[table.name], path, table, plan.schemas[table.name], progress
        )
    progress = phase("sales")
    progress.expect(sum(year.rows for name, year in plan.years.items() if name not in plan.kept))
    for name in plan.years:
        path = plan.file(swap.new, name)
        private_folder(path.parent)
        if name in plan.kept:
            _take_over(plan.file(swap.target, name), path)
        else:
            asked = plan.statements[fact.name].where(is_of(plan.star, name))
            _written(warehouse, asked, path, fact, plan.schemas[fact.name], progress)
    rows[fact.name] = sum(year.rows for year in plan.years.values())
    return rows


def _written(
    warehouse: Warehouse,
    asked: sa.Select[Any],
    path: Path,
    table: Table,
    schema: pa.Schema,
    progress: Progress,
) -> int:
    """Write a file; returns its rows."""
    with ParquetFile(path, schema, table) as file:

        def write(piece: pa.Table) -> None:
            file.write(piece)
            progress.advance(table.name, piece.num_rows)

        handed_on(warehouse, asked, write)
        return file.rows


def _take_over(before: Path, path: Path) -> None:
    """Have a file of the export before here, too."""
    try:
        os.link(before, path, follow_symlinks=False)
    except OSError:  # a file system without links, or links to others' files are forbidden
        with before.open("rb") as source, ParquetFile.created(path) as copy:
            shutil.copyfileobj(source, copy)


def _verify(plan: _Plan, swap: Swap, progress: Progress) -> None:
    """Read the new files of facts again. Raises `EtlError` where one has not what the star has."""
    new = [name for name in plan.years if name not in plan.kept]
    progress.expect(sum(plan.years[name].rows for name in new))
    for name in new:
        if not plan.holds(swap.new, name):
            raise EtlError(
                f"{plan.file(swap.target, name)}: read again, it has not the rows and sums of the "
                "star; the export before is untouched. See whether the disk is sound, and try again"
            )
        progress.advance(plan.star.fact.name, plan.years[name].rows)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

"""The reject files of a run, for people: counted, and row by row as they stand there."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.reject_reading import Form, UnreadableError, form_of, records
from common.rejects import REJECT_COLUMNS, ordered_reasons
from common.results import DETAIL, FILE, LINE, RAW, REASON
from config import StarSchemaConfig
from errors import RequestError
from sources.joins import all_sources
from warehouse import reading
from warehouse.runs import PastRun, find_run, last_runs, with_repeated

LOOKED_AT = 400
"""Of so many runs the last one with reject files is found."""
_EXAMPLES = 2


@dataclass(frozen=True)
class Refused:
    """A refused row: why, where, and its own cells."""

    reason: str
    detail: str
    place: str
    """File and line."""
    cells: list[tuple[str, str]]
    """The source's own columns that are not empty; or the record's text."""


@dataclass
class Reason:
    """Rows that were refused for one reason."""

    rows: int = 0
    examples: list[Refused] = field(default_factory=list)


@dataclass(frozen=True)
class RejectFile:
    """A reject file that is there."""

    source: str
    path: Path
    form: Form
    called: str
    """What people call its rows."""

    def rows(self) -> Iterator[Refused]:
        """Its rows, in their order. Raises `RequestError` where it is damaged."""
        names: list[str] = []
        for cells in self.cells():
            if not names:
                names = cells
                continue
            row = dict(zip(names, cells, strict=True))
            own = [(n, t) for n, t in row.items() if n not in REJECT_COLUMNS and t]
            own = own or [(RAW, row[RAW])] if row.get(RAW) else own
            place = f"{row[FILE]}:{row[LINE]}" if row[FILE] else ""
            yield Refused(row[REASON], row[DETAIL], place, own)

    def cells(self) -> Iterator[list[str]]:
        """Its records, the header first. Raises `RequestError` where it is damaged."""
        try:
            with records(self.path, self.form) as read:
                yield from (cells for _, cells in read)
        except (UnreadableError, csv.Error, UnicodeError, OSError) as error:
            raise RequestError(f"{self.path} cannot be read: {_reason(error)}") from error


@dataclass(frozen=True)
class RejectsOf:
    """The reject files of a run, and those that cannot be read."""

    run: PastRun
    folder: Path
    files: list[RejectFile]
    problems: list[str]


def files_in(config: StarSchemaConfig, folder: Path) -> dict[str, Path]:
    """The reject files in a folder, by source; none where it cannot be looked into."""
    paths = {name: folder / f"{name}.csv" for name in all_sources(config.star, config.join)}
    return {name: path for name, path in paths.items() if path.is_file()}


def opened(config: StarSchemaConfig, folder: Path, source: str | None = None) -> list[RejectFile]:
    """The reject files in a folder, of `source` or of all. Raises `RequestError` where one is
    damaged.
    """
    there = [i for i in files_in(config, folder).items() if source in (None, i[0])]
    files, problems = _opened(config, there)
    if problems:
        raise RequestError("; ".join(problems))
    return files


def rejects_of(config: StarSchemaConfig, named: str | None, source: str | None) -> RejectsOf:
    """The reject files of the run `named`, or else of the last one that has some; with `source` of
    that source alone.

    Raises `RequestError` where there are none, `WarehouseError` where etl_run cannot be asked.
    """
    sources = list(all_sources(config.star, config.join))
    if source is not None and source not in sources:
        raise RequestError(f"there is no source {source!r}; there are {', '.join(sources)}")
    with reading(config) as warehouse:
        if named:
            runs = with_repeated(warehouse, find_run(warehouse, named))
        else:
            runs = last_runs(warehouse, LOOKED_AT)
    for run in runs:
        folder = config.rejects_dir / run.run_id
        files = files_in(config, folder).items()
        there = [(name, path) for name, path in files if source in (None, name)]
        if there:
            return RejectsOf(run, folder, *_opened(config, there))
    raise RequestError(_none(config, runs, named, source))


def _opened(
    config: StarSchemaConfig, there: Sequence[tuple[str, Path]]
) -> tuple[list[RejectFile], list[str]]:
    """Files, and what is wrong with those that are damaged."""
    files, problems = [], []
    called = {source.name: source.called for source in config.star.sources}
    for name, path in there:
        try:
            form = form_of(path, config.source(name).encoding)
            files.append(RejectFile(name, path, form, called.get(name, name)))
        except (UnreadableError, OSError) as error:
            problems.append(f"{path}: {_reason(error)}")
    return files, problems


def _none(
    config: StarSchemaConfig, runs: Sequence[PastRun], named: str | None, source: str | None
) -> str:
    of_source = f" of {source}" if source else ""
    if named and runs[0].totals.rejected and not source:
        return (
            f"the {runs[0].totals.rejected:,} rows that run {runs[0].run_id} refused are not in "
            f"{config.rejects_dir / runs[0].run_id} any more: they were moved, or removed after "
            f"{config.rejects_keep_days} days (REJECTS_KEEP_DAYS)"
        )
    if named:
        return f"run {runs[0].run_id} has refused no row{of_source}"
    return f"no run of this star has a reject file{of_source} in {config.rejects_dir}"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def counted(file: RejectFile) -> dict[str, Reason]:
    """By reason, how many rows a file has, with some examples; in the order of the reasons."""
    found: dict[str, Reason] = {}
    counts: Counter[str] = Counter()
    for row in file.rows():
        counts[row.reason] += 1
        reason = found.setdefault(row.reason, Reason())
        if len(reason.examples) < _EXAMPLES:
            reason.examples.append(row)
    for name, count in counts.items():
        found[name].rows = count
    return {name: found[name] for name in ordered_reasons(found)}

"""Reading the sources: find the files, map their columns to ours, spill them batch by batch.

Nothing is cleaned here. All faults of all sources are reported together, before anything else
of the run happens.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import URL

import spool
from config import SOURCES, SourceSettings, StarSchemaConfig
from errors import ExtractionError, SourceError
from readers import Block, Opened, open_file
from spool import Spool, in_order

if TYPE_CHECKING:
    import pandas as pd

FILE, LINE = "_file", "_line"
"""Columns that every raw row carries: the file it came from and its line or record number."""
OWN_COLUMNS = (FILE, LINE, "_reason", "_detail")
"""Columns of our own reject files, ignored without a word when such a file is a source."""


@dataclass(frozen=True)
class SourceSpec:
    """The canonical columns of a source. The first required one is its business key."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    few_values: tuple[str, ...] = ()  # columns worth dictionary-encoding while they are read

    @property
    def columns(self) -> tuple[str, ...]:
        return self.required + self.optional


SPECS = {
    "customers": SourceSpec(
        ("customer_id",),
        ("first_name", "last_name", "company", "email", "phone", "address", "city", "state",
         "postal_code", "country", "segment"),
    ),
    "products": SourceSpec(
        ("product_id",), ("name", "category", "brand", "price", "cost", "specifications")
    ),
    "transactions": SourceSpec(
        ("transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
         "unit_price"),
        ("sales_rep_id", "discount_amount", "discount_rate"),
        few_values=(
            "transaction_date", "customer_id", "product_id", "quantity", "unit_price",
            "sales_rep_id", "discount_amount", "discount_rate",
        ),
    ),
    "sales_reps": SourceSpec(
        ("sales_rep_id",), ("first_name", "last_name", "email", "region", "hire_date")
    ),
}  # fmt: skip


@dataclass
class ExtractedBatch:
    """Where one batch was spilled, and how many good rows it holds."""

    rows: Path
    malformed: Path | None
    mapping: dict[str, list[str]]


@dataclass
class Extracted:
    """A source that was read and spilled. Batches are read back one at a time."""

    name: str
    columns: list[str] = field(default_factory=list)  # the source's own, over all its files
    batches: list[ExtractedBatch] = field(default_factory=list)
    records: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self.batches)

    def originals(self, index: int) -> pa.Table:
        """Batch `index` as it was read: the source's own columns as text, `_file`, `_line`."""
        return spool.read(self.batches[index].rows)

    def canonical(self, index: int) -> pa.Table:
        """Batch `index` under canonical names, text; absent optional columns are left out."""
        return to_canonical(self.originals(index), self.batches[index].mapping, self.name)

    def malformed(self, index: int) -> pa.Table | None:
        """Records of batch `index` that are not rows: `_file`, `_line`, `_detail`."""
        path = self.batches[index].malformed
        return None if path is None else spool.read(path)


class DataExtractor:
    """Reads the configured sources."""

    def __init__(self, config: StarSchemaConfig) -> None:
        self.config = config

    def extract_all_sources(self) -> dict[str, Any]:
        """Every source whole, for a notebook; a pipeline run streams instead.

        Returns a dict with a DataFrame of canonical text columns for each of `customers`,
        `products`, `transactions` and `sales_reps` (empty when not configured), and `_metadata`.
        Raises `ExtractionError` naming every faulty source.
        """
        with Spool(self.config.work_dir) as folder:
            extracted = self.extract(folder)
            frames: dict[str, Any] = {name: _frame(extracted.get(name), name) for name in SPECS}
        return {**frames, "_metadata": metadata(extracted)}

    def extract(
        self, folder: Spool, progress: Callable[[str, int], None] = lambda name, records: None
    ) -> dict[str, Extracted]:
        """Read every configured source into `folder`. `progress` hears of each batch.

        Raises `ExtractionError` with the problems of all sources.
        """
        problems: list[str] = []
        found: dict[str, list[tuple[Opened, os.stat_result, dict[str, list[str]]]]] = {}
        for name in SOURCES:
            settings = self.config.source(name)
            if settings.path is not None:
                found[name] = _collect(problems, name, self._open(name, settings))
        if problems:
            raise ExtractionError(problems)
        extracted = {}
        for name, opened in found.items():
            try:
                extracted[name] = self._read(name, opened, folder, progress)
            except SourceError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise ExtractionError(problems)
        return extracted

    def _open(
        self, name: str, settings: SourceSettings
    ) -> Iterator[Callable[[], tuple[Opened, os.stat_result, dict[str, list[str]]]]]:
        """One call per file of the source; each may raise its own `SourceError`."""
        setting = f"{name.upper()}__PATH"
        if isinstance(settings.path, URL):
            raise SourceError(f"{setting}: databases as sources are not supported yet")
        for path in find_files(settings.path or "", setting):

            def opened(path: Path = path) -> tuple[Opened, os.stat_result, dict[str, list[str]]]:
                spec = SPECS[name]
                encoded = {
                    column
                    for canonical in spec.few_values
                    for column in _as_list(settings.columns.get(canonical, canonical))
                }
                try:
                    before = path.stat()
                    file = open_file(
                        path,
                        encoding=settings.encoding,
                        delimiter=settings.delimiter,
                        batch_rows=self.config.batch_rows,
                        encoded=encoded,
                    )
                except OSError as error:
                    raise SourceError(f"{path}: {error.strerror}; see {setting}") from error
                return file, before, resolve_mapping(file, name, settings)

            yield opened

    def _read(
        self,
        name: str,
        opened: list[tuple[Opened, os.stat_result, dict[str, list[str]]]],
        folder: Spool,
        progress: Callable[[str, int], None],
    ) -> Extracted:
        result = Extracted(name)
        result.columns = list(dict.fromkeys(c for file, _, _ in opened for c in file.columns))
        result.warnings = _warnings(name, opened)
        with ThreadPoolExecutor(self.config.workers) as pool:
            for file, before, mapping in opened:
                records = 0
                tasks = (
                    _SpillTask(folder, f"{name}-{len(result.batches) + place:06}", file.path, piece)
                    for place, piece in enumerate(file.pieces)
                )
                for rows, malformed, count in in_order(pool, tasks, self.config.workers):
                    result.batches.append(ExtractedBatch(rows, malformed, mapping))
                    records += count
                    progress(name, count)
                after = file.path.stat()
                if _identity(before) != _identity(after):
                    raise SourceError(
                        f"{file.path}: the file changed while it was read; "
                        "run again when it is complete"
                    )
                result.records += records
                result.files.append(
                    {
                        "path": str(file.path),
                        "format": file.format,
                        "records": records,
                        "bytes": before.st_size,
                        "sha256": file.digest.hexdigest(),
                    }
                )
        return result


def metadata(extracted: dict[str, Extracted]) -> dict[str, Any]:
    """The `_metadata` of an extraction that succeeded."""
    return {
        "total_records": sum(source.records for source in extracted.values()),
        "success": True,
        "extraction_errors": [],
    }


def find_files(path: str, setting: str) -> list[Path]:
    """The files behind a path, directory or glob, in name order.

    Raises `SourceError` when there is none.
    """
    place = Path(path)
    if place.is_dir():
        files = [p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")]
        if not files:
            raise SourceError(f"{place}: the directory holds no files; see {setting}")
        return sorted(files)
    if place.exists():
        return [place]
    # Path.glob takes no absolute patterns.
    files = [Path(m) for m in glob.glob(path) if Path(m).is_file()]  # noqa: PTH207
    if not files:
        kind = "no file matches this pattern" if glob.has_magic(path) else "there is no such file"
        raise SourceError(f"{path}: {kind}; set {setting} to where the source is")
    return sorted(files)


def resolve_mapping(file: Opened, name: str, settings: SourceSettings) -> dict[str, list[str]]:
    """Canonical column -> the file's columns that make it.

    A column is found by `<SOURCE>__COLUMNS`, else by its own name, else by its name in another
    case. Raises `SourceError` naming what is missing, what there is, and the nearest match.
    """
    setting = f"{name.upper()}__COLUMNS"
    spec = SPECS[name]
    problems = [
        f"{setting} maps {canonical!r}, which is not a column of {name}"
        f"{_nearest(canonical, spec.columns)}"
        for canonical in settings.columns
        if canonical not in spec.columns
    ]
    mapping: dict[str, list[str]] = {}
    by_case: dict[str, list[str]] = {}
    for column in file.columns:
        by_case.setdefault(column.casefold(), []).append(column)
    for canonical in spec.columns:
        if canonical in settings.columns:
            wanted = _as_list(settings.columns[canonical])
            problems += [
                f"{setting} maps {canonical} to {column!r}, which the file does not have"
                f"{_nearest(column, file.columns)}"
                for column in wanted
                if column not in file.columns
            ]
            mapping[canonical] = wanted
        elif canonical in file.columns:
            mapping[canonical] = [canonical]
        elif len(by_case.get(canonical, [])) == 1:
            mapping[canonical] = by_case[canonical]
        elif canonical in spec.required and (file.columns or file.format == "csv"):
            near = _nearest(canonical, file.columns)
            problems.append(
                f"the required column {canonical} is missing{near}; "
                f'name it in {setting}, as {{"{canonical}": "<their column>"}}'
            )
    if problems:
        raise SourceError(
            f"{file.path}: {'; '.join(problems)} (it has: {', '.join(file.columns[:50])})"
        )
    return mapping


def to_canonical(rows: pa.Table, mapping: dict[str, list[str]], name: str) -> pa.Table:
    """`rows` under canonical names. A composite key with a blank part is blank as a whole."""
    columns = {}
    for canonical, own in mapping.items():
        parts = [rows[column] for column in own]
        if len(parts) > 1:
            texts = [pc.coalesce(part.cast(pa.string()), "") for part in parts]
            joined = pc.binary_join_element_wise(*texts, "-")
            for text in texts if canonical in SPECS[name].required else ():
                blank = pc.equal(pc.utf8_trim_whitespace(text), "")
                joined = pc.if_else(blank, "", joined)
            columns[canonical] = joined
        else:
            columns[canonical] = parts[0]
    return pa.table(columns) if columns else rows.select([])


@dataclass
class _SpillTask:
    """Parse one piece of a file and spill it; runs in a worker."""

    folder: Spool
    name: str
    file: Path
    piece: Callable[[], Block]

    def __call__(self) -> tuple[Path, Path | None, int]:
        block = self.piece()
        place = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(block.lines), np.int32)), pa.array([str(self.file)])
        )
        rows = block.rows
        for own in (FILE, LINE):
            if own in rows.column_names:  # a reject file of ours: its old places are history
                rows = rows.drop_columns([own])
        rows = rows.append_column(FILE, place).append_column(LINE, pa.array(block.lines))
        malformed = None
        if block.malformed:
            table = pa.table(
                {
                    FILE: [str(self.file)] * len(block.malformed),
                    LINE: pa.array(list(block.malformed), pa.int64()),
                    "_detail": list(block.malformed.values()),
                }
            )
            malformed = self.folder.write(f"{self.name}-malformed", table)
        return self.folder.write(self.name, rows), malformed, block.records


def _collect(problems: list[str], name: str, calls: Iterator[Callable[[], Any]]) -> list[Any]:
    """The results of `calls`; what they raise becomes one problem each."""
    results = []
    try:
        for call in calls:
            try:
                results.append(call())
            except SourceError as error:
                problems.append(f"{name}: {error}")
    except SourceError as error:
        problems.append(f"{name}: {error}")
    return results


def _warnings(
    name: str, opened: list[tuple[Opened, os.stat_result, dict[str, list[str]]]]
) -> list[str]:
    used = {column for _, _, mapping in opened for own in mapping.values() for column in own}
    ignored = dict.fromkeys(
        column
        for file, _, _ in opened
        for column in file.columns
        if column not in used and column not in OWN_COLUMNS
    )
    if not ignored:
        return []
    return [f"{name}: these columns are not used and are ignored: {', '.join(ignored)}"]


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (nearest: {close[0]!r})" if close else ""


def _frame(source: Extracted | None, name: str) -> pd.DataFrame:
    tables = [source.canonical(i) for i in range(len(source.batches))] if source else []
    if not tables:
        tables = [pa.table({column: pa.array([], pa.string()) for column in SPECS[name].columns})]
    plain = [
        pa.table({c: table[c].cast(pa.string()) for c in table.column_names}) for table in tables
    ]
    frame: pd.DataFrame = pa.concat_tables(plain, promote_options="default").to_pandas()
    return frame

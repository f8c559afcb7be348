"""Reading the sources: find the files, map their columns to ours, spill them batch by batch.

Nothing is cleaned here. All faults of all sources are reported together, before anything else
of the run happens.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import URL

import spool
from blocks import Block, Opened, Reading, as_text, exact_number
from config import SOURCES, SourceSettings, StarSchemaConfig
from errors import ExtractionError, SourceError
from places import Place, find_places
from readers import open_file
from rejects import rearmed
from spool import Spool, in_order
from typed_reader import Databases

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
        extracted: dict[str, Extracted] = {}
        with closing(Databases()) as databases:
            found = {
                name: self._collect(problems, name, databases)
                for name in SOURCES
                if self.config.source(name).path is not None
            }
            if problems:
                raise ExtractionError(problems)
            for name, files in found.items():
                try:
                    extracted[name] = self._read(name, files, folder, progress)
                except SourceError as error:
                    problems.append(f"{name}: {error}")
        if problems:
            raise ExtractionError(problems)
        return extracted

    def inspect(self, name: str, rows: int = 1000) -> Inspection:
        """What a run would find of a source, from no more than its first `rows` or so."""
        problems: list[str] = []
        with closing(Databases()) as databases:
            found = Inspection(name, problems)
            for call in self._files(problems, name, databases, min(rows, self.config.batch_rows)):
                file = _attempt(problems, name, call)
                if file is not None:
                    self._look_into(found, file.opened)
                    file.opened.close()
                    file.opened.pieces = iter(())  # they hold on to the whole archive
        return found

    def _look_into(self, found: Inspection, opened: Opened) -> None:
        """Note a file's mapping, and of the first file its first rows."""
        mapping = _attempt(found.problems, found.name, partial(self._mapping, found.name, opened))
        found.files.append(opened)
        found.mappings.append(mapping)
        if mapping is not None and len(found.files) == 1:
            block = _attempt(found.problems, found.name, partial(_first_block, opened))
            if block is not None:
                found.sample = to_canonical(block.rows, mapping, found.name)
                found.malformed = block.malformed

    def _collect(self, problems: list[str], name: str, databases: Databases) -> list[_File]:
        """The files of a source, opened and mapped; what is wrong with them is in `problems`.

        Of several, none stays open: a thousand files are more than a process may have.
        """
        files = []
        calls = self._files(problems, name, databases)
        for call in calls:
            file = _attempt(problems, name, call)
            if file is not None:
                mapping = _attempt(problems, name, partial(self._mapping, name, file.opened))
                files.append(replace(file, mapping=mapping or {}))
                if len(calls) > 1:
                    file.opened.close()
                    file.opened.pieces = iter(())  # they hold on to the whole archive
        return files

    def _mapping(self, name: str, opened: Opened) -> dict[str, list[str]]:
        return resolve_mapping(opened, name, self.config.source(name))

    def _files(
        self, problems: list[str], name: str, databases: Databases, batch_rows: int | None = None
    ) -> list[Callable[[], _File]]:
        """One call per file of the source that opens it; each may raise its own `SourceError`."""
        settings = self.config.source(name)
        reading = Reading(
            name,
            settings.encoding,
            settings.delimiter,
            batch_rows or self.config.batch_rows,
            _encoded(name, settings),
        )
        if isinstance(settings.path, URL):
            call = partial(databases.open, name, settings.path, settings.query or "", reading)
            return [lambda: _File(call, lambda: None, None, call())]
        setting = f"{name.upper()}__PATH"
        places = _attempt(problems, name, partial(find_places, settings.path or "", setting))

        def open_place(place: Place) -> _File:
            call = partial(_open_place, place, reading)
            before = _identity(place)
            if before is None:
                raise SourceError(f"{place.shown}: there is no such file; see {setting}")
            return _File(call, partial(_identity, place), before, call())

        return [partial(open_place, place) for place in places or []]

    def _read(
        self,
        name: str,
        files: list[_File],
        folder: Spool,
        progress: Callable[[str, int], None],
    ) -> Extracted:
        result = Extracted(name)
        used: set[str] = set()
        with ThreadPoolExecutor(self.config.workers) as pool:
            for file in files:
                opened = file.opened if len(files) == 1 else file.open()
                records, first = 0, len(result.batches)
                tasks = (
                    _SpillTask(folder, f"{name}-{number:06}", opened.shown, piece)
                    for number, piece in enumerate(opened.pieces, first)
                )
                for rows, malformed, count in in_order(pool, tasks, self.config.workers):
                    result.batches.append(ExtractedBatch(rows, malformed, file.mapping))
                    records += count
                    progress(name, count)
                if file.identity() != file.before:
                    raise SourceError(
                        f"{opened.shown}: the file changed while it was read; "
                        "run again when it is complete"
                    )
                mapping = self._mapping(name, opened)  # later records may have brought columns
                for batch in result.batches[first:]:
                    batch.mapping = mapping
                used.update(column for own in mapping.values() for column in own)
                result.columns = list(dict.fromkeys([*result.columns, *opened.columns]))
                result.records += records
                result.files.append(_fingerprint(opened, records))
        result.warnings = _warnings(result, used)
        return result


@dataclass(frozen=True)
class _File:
    """A file: how to open it, how to see whether it changed since, and the look at its header."""

    open: Callable[[], Opened]
    identity: Callable[[], object]
    before: object
    opened: Opened
    mapping: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Inspection:
    """What `check` says of one source: its files, each one's mapping, and its first rows."""

    name: str
    problems: list[str]
    files: list[Opened] = field(default_factory=list)
    mappings: list[dict[str, list[str]] | None] = field(default_factory=list)
    sample: pa.Table | None = None
    """The first rows under canonical names."""
    malformed: dict[int, str] = field(default_factory=dict)
    """Records among them that are no rows, by line, and why."""

    def unused(self) -> list[str]:
        """Columns of the files that nothing is mapped to."""
        mappings = [mapping for mapping in self.mappings if mapping is not None]
        used = {column for mapping in mappings for own in mapping.values() for column in own}
        columns = dict.fromkeys(column for file in self.files for column in file.columns)
        return _unused(columns, used)


Result = TypeVar("Result")


def _open_place(place: Place, reading: Reading) -> Opened:
    opened = open_file(place, reading)
    is_refused = opened.format == "csv" and set(OWN_COLUMNS) <= set(opened.columns)
    return _as_refused(opened) if is_refused else opened


def _as_refused(opened: Opened) -> Opened:
    """One of our reject files: its cells and names as they were in the source."""
    theirs = rearmed(pa.array(opened.columns)).to_pylist()
    pieces = (partial(_rearmed_block, piece) for piece in opened.pieces)
    return replace(opened, columns=theirs, pieces=pieces)


def _rearmed_block(piece: Callable[[], Block]) -> Block:
    block = piece()
    columns = []
    for column in block.rows.columns:
        texts = rearmed(column.cast(pa.string()))
        is_encoded = pa.types.is_dictionary(column.type)
        columns.append(texts.dictionary_encode() if is_encoded else texts)
    names = rearmed(pa.array(block.rows.column_names, pa.string())).to_pylist()
    return replace(block, rows=pa.table(columns, names))


def _attempt(problems: list[str], name: str, call: Callable[[], Result]) -> Result | None:
    """The result of `call`, or None and one more problem."""
    try:
        return call()
    except SourceError as error:
        problems.append(f"{name}: {error}")
        return None


def _identity(place: Place) -> object:
    """What the file is at this moment; None when it is not there."""
    try:
        return place.identity()
    except OSError:
        return None


def _first_block(opened: Opened) -> Block | None:
    piece = next(opened.pieces, None)
    return None if piece is None else piece()


def _encoded(name: str, settings: SourceSettings) -> frozenset[str]:
    """The file's columns behind the canonical ones that have few distinct values."""
    return frozenset(
        column
        for canonical in SPECS[name].few_values
        for column in _as_list(settings.columns.get(canonical, canonical))
    )


def _fingerprint(opened: Opened, records: int) -> dict[str, Any]:
    return {
        "path": opened.shown,
        "format": opened.format,
        "records": records,
        "sha256": opened.digest.hexdigest() if opened.digest else None,
    }


def metadata(extracted: dict[str, Extracted]) -> dict[str, Any]:
    """The `_metadata` of an extraction that succeeded."""
    return {
        "total_records": sum(source.records for source in extracted.values()),
        "success": True,
        "extraction_errors": [],
    }


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
    missing: dict[str, str] = {}
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
                if column not in file.columns and column.partition(".")[0] not in file.columns
            ]
            mapping[canonical] = wanted
        elif canonical in file.columns:
            mapping[canonical] = [canonical]
        elif len(by_case.get(canonical, [])) == 1:
            mapping[canonical] = by_case[canonical]
        elif canonical in spec.required and (file.columns or not file.is_schemaless):
            near = _nearest(canonical, file.columns)
            problems.append(f"the required column {canonical} is missing{near}")
            missing[canonical] = "<their column>"
    if problems and any(map(_is_value, file.columns)):  # somebody's data is not for the log
        raise SourceError(
            f"{file.shown}: the first line looks like a row, but must name the columns, among them "
            f"{', '.join(spec.required)}; add a header"
        )
    if missing:
        problems.append(f"give its name: {setting}='{json.dumps(missing)}'")
    if problems:
        raise SourceError(
            f"{file.shown}: {'; '.join(problems)} (it has: {', '.join(file.columns[:50])})"
        )
    return mapping


def _is_value(name: str) -> bool:
    """Whether it is an e-mail address, a number or a date rather than the name of a column."""
    return bool(re.search(r"@|^[+$(-]?\d[\d\s().,:/+-]*$", name))


def to_canonical(rows: pa.Table, mapping: dict[str, list[str]], name: str) -> pa.Table:
    """`rows` under canonical names. A composite key with a blank part is blank as a whole."""
    columns = {}
    for canonical, own in mapping.items():
        parts = [_own_column(rows, column) for column in own]
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


def _own_column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of the file; `specifications.color` is a value inside a JSON column."""
    if name in rows.column_names:
        return rows[name]
    head, *path = name.split(".")
    if head not in rows.column_names:  # it came with a later record of the file
        return pa.chunked_array([pa.nulls(len(rows), pa.string())])
    encoded = rows[head].combine_chunks().cast(pa.string()).dictionary_encode()
    values = [_value_at(text, path) for text in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string()).take(encoded.indices)])


def _value_at(text: str, path: list[str]) -> str | None:
    try:
        value = json.loads(text, parse_float=exact_number)
    except (ValueError, RecursionError):
        return None
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return as_text(value)


@dataclass
class _SpillTask:
    """Parse one piece of a file and spill it; runs in a worker."""

    folder: Spool
    name: str
    file: str
    piece: Callable[[], Block]

    def __call__(self) -> tuple[Path, Path | None, int]:
        block = self.piece()
        place = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(block.lines), np.int32)), pa.array([self.file])
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
                    FILE: [self.file] * len(block.malformed),
                    LINE: pa.array(list(block.malformed), pa.int64()),
                    "_detail": list(block.malformed.values()),
                }
            )
            malformed = self.folder.write(f"{self.name}-malformed", table)
        return self.folder.write(self.name, rows), malformed, block.records


def _warnings(source: Extracted, used: set[str]) -> list[str]:
    ignored = _unused(source.columns, used)
    if not ignored:
        return []
    return [f"{source.name}: these columns are not used and are ignored: {', '.join(ignored)}"]


def _unused(columns: Iterable[str], used: set[str]) -> list[str]:
    known = used | {column.partition(".")[0] for column in used} | set(OWN_COLUMNS)
    return [column for column in columns if column not in known]


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

"""Reading the sources: find the files, map their columns to ours, spill them batch by batch.

Nothing is cleaned here. All faults of all sources are reported together, before anything else
of the run happens.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import URL
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

import spool
from arrays import decoded
from blocks import (
    DATES,
    MAX_RAW,
    NUMBERS,
    Block,
    Opened,
    Piece,
    Reading,
    Refused,
    as_text,
    comma_text,
    key_text,
)
from config import SOURCES, SourceSettings, StarSchemaConfig
from database_reader import Databases
from errors import ExtractionError, SourceError, SourceLostError
from json_values import text_at
from key_rules import normal_keys
from parallel import in_order
from places import find_places
from readers import open_file
from record_looks import Looks, look, names_in
from rejects import WHY, rearmed
from spool import Spool
from streams import Place

if TYPE_CHECKING:
    import pandas as pd

FILE, LINE = "_file", "_line"
"""Columns that every raw row carries: the file it came from and its line or record number."""
OWN_COLUMNS = (*WHY, FILE, LINE)
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
    """Where one batch was spilled, how many records it had, and the mapping of its file."""

    rows: Path
    refused: Path | None
    records: int
    looks: Looks = field(default_factory=Looks)
    mapping: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Extracted:
    """A source that was read and spilled. Batches are read back one at a time."""

    name: str
    settings: SourceSettings
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
        mapping = self.batches[index].mapping
        return to_canonical(self.originals(index), mapping, self.name, self.settings)

    def refused(self, index: int) -> pa.Table | None:
        """Records of batch `index` that are not rows: `_file`, `_line`, `_reason`, `_detail` and
        `_raw`.
        """
        path = self.batches[index].refused
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
        looked = self.look(folder, progress)
        problems = [problem for source in looked.values() for problem in source.problems]
        if problems:
            raise ExtractionError(problems)
        return {n: source.extracted for n, source in looked.items() if source.extracted is not None}

    def look(
        self,
        folder: Spool,
        progress: Callable[[str, int], None] = lambda name, records: None,
        rows: int | None = None,
    ) -> dict[str, Looked]:
        """Read every configured source into `folder`, and tell what is wrong with each.

        With `rows`, no more of a source is read than the batches that hold its first so many.
        """
        problems, numbers = _Problems(), count()
        names = [name for name in SOURCES if self.config.source(name).path is not None]
        found: dict[str, list[_Read]] = {}

        def read_all() -> None:
            waiting = [name for name in names if name not in found]
            found.update(self._read_sources(problems, waiting, folder, numbers, progress, rows))
            if problems.lost and not problems.others:
                raise SourceLostError("; ".join(problems.told()))

        def begin_again(_: RetryCallState) -> None:
            for name in self._to_read_again(problems):
                progress(name, -sum(read.discarded() for read in found.pop(name)))
            problems.begin_again()

        with suppress(SourceLostError):  # the problems tell of it
            _again(self.config.retry_seconds, begin_again)(read_all)
        return {name: self._looked(name, found.get(name, []), problems) for name in names}

    def _looked(self, name: str, reads: list[_Read], problems: _Problems) -> Looked:
        told = problems.told(name)
        extracted = None if told else self._joined(name, reads, problems.notes(name))
        return Looked(name, [read.file for read in reads], told, extracted)

    def _read_sources(
        self,
        problems: _Problems,
        names: Sequence[str],
        folder: Spool,
        numbers: Iterator[int],
        progress: Callable[[str, int], None],
        rows: int | None,
    ) -> dict[str, list[_Read]]:
        """Read these sources. The sales come first: they are the most, and whatever they refer to
        is in a table that is read after them.
        """
        with closing(Databases()) as databases:
            found: dict[str, list[_Read]] = {}
            for name in sorted(names, key=lambda name: name != "transactions"):
                files = self._collect(problems, name, databases, rows)
                found[name] = [_Read(name, file, folder) for file in files]
            self._read(problems, list(chain.from_iterable(found.values())), numbers, progress, rows)
        return found

    def _to_read_again(self, problems: _Problems) -> list[str]:
        """The sources on a server to which a connection was lost: what they hold belongs together,
        as of one moment.
        """
        servers = {_server(self.config.source(name).path) for name in problems.lost}
        return [name for name in SOURCES if _server(self.config.source(name).path) in servers]

    def _collect(
        self, problems: _Problems, name: str, databases: Databases, rows: int | None
    ) -> list[_File]:
        """The files of a source, opened and mapped; what is wrong with them is in `problems`.

        Of several, none stays open: a thousand files are more than a process may have.
        """
        files: list[_File] = []
        calls = self._files(problems, name, databases, rows)
        for shown, call in calls:
            file = problems.attempt(name, shown, call)
            if file is None:
                continue
            mapping = problems.attempt(name, shown, partial(self._mapping, name, file.opened))
            if mapping is None:
                first = None if files else _first_rows(file.opened)
                files.append(replace(file, first=first))
            else:
                is_open = len(calls) == 1 and not file.opened.opens_later
                files.append(replace(file, mapping=mapping, is_mapped=True, is_open=is_open))
            if not files[-1].is_open:
                file.opened.close()
                file.opened.pieces = iter(())  # they hold on to the whole archive
        return files

    def _mapping(self, name: str, opened: Opened) -> dict[str, list[str]]:
        return resolve_mapping(opened, name, self.config.source(name))

    def _files(
        self, problems: _Problems, name: str, databases: Databases, rows: int | None
    ) -> list[tuple[str, Callable[[], _File]]]:
        """The files of the source, and a call that opens each; it may raise `SourceError`."""
        settings = self.config.source(name)
        reading = Reading(
            name,
            settings.encoding,
            settings.delimiter,
            min(rows or self.config.batch_rows, self.config.batch_rows),
            _behind(SPECS[name].few_values, settings),
            _behind(NUMBERS.get(name, ()), settings, in_lower_case=True)
            if settings.decimal_separator == ","
            else frozenset(),
            _behind(_keys(name), settings, in_lower_case=True),
            _behind(DATES.get(name, ()), settings, in_lower_case=True),
        )
        if isinstance(settings.path, URL):
            call = partial(databases.open, name, settings.path, settings.query or "", reading)
            shown = databases.shown(name, settings.path)
            return [(shown, lambda: _File(call, lambda: None, None, call()))]
        setting = f"{name.upper()}__PATH"
        path = settings.path or ""
        found = problems.attempt(name, path, partial(find_places, path, setting))
        problems.passed_over[name] = found.passed_over if found else []

        def open_place(place: Place) -> _File:
            call = partial(_open_place, place, reading)
            before = _identity(place)
            if before is None:
                raise SourceError(f"{place.shown}: there is no such file; see {setting}")
            return _File(call, partial(_identity, place), before, call())

        return (
            [(place.shown, partial(open_place, place)) for place in found.places] if found else []
        )

    def _read(
        self,
        problems: _Problems,
        reads: list[_Read],
        numbers: Iterator[int],
        progress: Callable[[str, int], None],
        rows: int | None,
    ) -> None:
        """Spill all files; after a fault in one the others are read: there may be more."""
        enough, done = set[str](), Counter[str]()
        mapped = (read for read in reads if read.file.is_mapped)
        tasks = (task for read in mapped for task in read.tasks(numbers, enough))
        with ThreadPoolExecutor(self.config.workers) as pool:
            for read, spilled in in_order(pool, tasks, self.config.workers + 2):
                if isinstance(spilled, ExtractedBatch) and read.fault is None:
                    if read.name in enough:  # it was read ahead
                        continue
                    read.batches.append(spilled)
                    done[read.name] += spilled.records
                    if rows is not None and done[read.name] >= rows:
                        enough.add(read.name)
                    progress(read.name, spilled.records)
                elif isinstance(spilled, SourceError):
                    read.fault = read.fault or spilled
                elif spilled is None:  # it was the last
                    problems.attempt(read.name, read.opened.shown, partial(self._finish, read))

    def _finish(self, read: _Read) -> None:
        """Map a file that was read. Raises `SourceError` if it could not be, or has changed."""
        if read.fault is not None:
            raise read.fault
        if read.file.identity() != read.file.before:
            raise SourceError(
                f"{read.opened.shown}: the file changed while it was read; "
                "run again when it is complete"
            )
        mapping = self._mapping(read.name, read.opened)  # later records may bring columns
        late = {name: own for name, own in mapping.items() if own != read.mapping.get(name)}
        for batch in read.batches:
            read.looks.add(batch.looks)
            if late:
                rows = spool.read(batch.rows)
                read.looks.add(look(rows, rows[LINE].to_numpy(), late))
        read.mapping = mapping
        if read.name == "transactions":
            _refuse_lost(read)

    def _joined(self, name: str, reads: list[_Read], notes: Sequence[str]) -> Extracted:
        """The files of a source as one; `notes` are what there is to be warned of already."""
        result = Extracted(name, self.config.source(name))
        opened = [read.opened for read in reads]
        for read in reads:
            result.batches += [replace(batch, mapping=read.mapping) for batch in read.batches]
            result.columns = list(dict.fromkeys([*result.columns, *read.opened.columns]))
            records = sum(batch.records for batch in read.batches)
            result.records += records
            result.files.append(_fingerprint(read.opened, records))
        used = {column for read in reads for own in read.mapping.values() for column in own}
        notes = [*notes, *(file.note for file in opened if file.note)]
        looks = Looks()
        for read in reads:
            looks.add(read.looks)
        notes += _seen(looks, reads[0].mapping if reads else {}, result.columns)
        notes += _partly_absent(opened, [read.mapping for read in reads])
        result.warnings = [*_warnings(result, used), *(f"{name}: {note}" for note in notes)]
        return result


@dataclass(frozen=True)
class _File:
    """A file: how to open it, how to see whether it changed since, and the look at its header."""

    open: Callable[[], Opened]
    identity: Callable[[], object]
    before: object
    opened: Opened
    mapping: dict[str, list[str]] = field(default_factory=dict)
    is_mapped: bool = False
    is_open: bool = False
    """Whether `opened` can still be read."""
    first: pa.Table | None = None
    """Its first rows, where they tell how its columns might be mapped."""


class _Problems:
    """What is wrong with the sources. What is wrong with many files is told once."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], list[str]] = {}
        self.passed_over: dict[str, list[str]] = {}
        """Names of files that are no part of a source, and why."""
        self.lost: set[str] = set()
        """Sources to which the connection was lost."""
        self.others = 0
        """Problems that reading again cannot solve."""
        self.read_again: dict[str, list[str]] = {}
        """What of a source went wrong before it was read again."""

    def attempt(self, name: str, shown: str, call: Callable[[], Result]) -> Result | None:
        """The result of `call`, or None and one more problem of the file `shown` of a source."""
        try:
            return call()
        except SourceError as error:
            if isinstance(error, SourceLostError):
                self.lost.add(name)
            else:
                self.others += 1
            problem = str(error)
            begins = problem.startswith(shown)
            key = name, problem.removeprefix(shown) if begins else problem
            self._files.setdefault(key, []).extend([shown] if begins else [])
            return None

    def begin_again(self) -> None:
        """Have what was wrong behind us: the sources that were lost are read again."""
        for name, line in self._lines():
            self.read_again.setdefault(name, []).append(f"{line}; it was read again")
        self._files, self.lost = {}, set()

    def notes(self, name: str) -> list[str]:
        """What to be warned of: the files of a source that were passed over, and what was read
        again.
        """
        names = self.passed_over.get(name, [])
        more = f" and {len(names) - _FILES_TOLD} more" if names[_FILES_TOLD:] else ""
        passed = [f"passed over: {', '.join(names[:_FILES_TOLD])}{more}"] if names else []
        return passed + self.read_again.get(name, [])

    def told(self, *sources: str) -> list[str]:
        """One line for each problem, in the order of the sources; of some of them only."""
        lines = sorted(self._lines(), key=lambda line: SOURCES.index(line[0]))
        return [f"{name}: {line}" for name, line in lines if not sources or name in sources]

    def _lines(self) -> Iterator[tuple[str, str]]:
        for (name, problem), files in self._files.items():
            more = f" and {len(files) - _FILES_TOLD} more files" if files[_FILES_TOLD:] else ""
            yield name, f"{', '.join(files[:_FILES_TOLD])}{more}{problem}"


_FILES_TOLD = 5
Result = TypeVar("Result")


@dataclass
class Looked:
    """A source as it was read: its files, what is wrong with them, and else their rows."""

    name: str
    files: list[_File]
    problems: list[str]
    extracted: Extracted | None

    @property
    def opened(self) -> list[Opened]:
        """The files that could be opened: their format, their delimiter, their columns."""
        return [file.opened for file in self.files]

    @property
    def mapping(self) -> dict[str, list[str]] | None:
        """How the columns of the first file are found; None where they are not."""
        return self.files[0].mapping if self.files and self.files[0].is_mapped else None

    def unused(self) -> list[str]:
        """Columns of the files that nothing is mapped to."""
        used = {column for f in self.files for own in f.mapping.values() for column in own}
        columns = dict.fromkeys(column for file in self.opened for column in file.columns)
        return _unused(columns, used)

    def inside(self) -> list[str]:
        """The names of values inside others, as a mapping reaches them."""
        rows = self.files[0].first if self.files else None
        if self.extracted is not None and self.extracted.batches:
            rows = self.extracted.originals(0).drop_columns([FILE, LINE])
        return [] if rows is None else names_in(rows)


def _again(seconds: float, before_sleep: Callable[[RetryCallState], None]) -> Retrying:
    """Calls a function again after a `SourceLostError`, at most four times within `seconds`."""
    return Retrying(
        retry=retry_if_exception_type(SourceLostError),
        stop=stop_after_attempt(4) | stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        before_sleep=before_sleep,
        reraise=True,
    )


def _server(path: str | URL | None) -> tuple[object, ...] | None:
    """What the sources of one server have in common; None for files."""
    return (path.get_backend_name(), path.host, path.port) if isinstance(path, URL) else None


def _open_place(place: Place, reading: Reading) -> Opened:
    opened = open_file(place, reading)
    is_refused = opened.format == "csv" and set(opened.columns) >= _OURS
    return _as_refused(opened) if is_refused else opened


_OURS = frozenset(OWN_COLUMNS) - {"_raw"}  # which the reject files of 0.1.0 do not have


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


def _identity(place: Place) -> object:
    """What the file is at this moment; None when it is not there."""
    try:
        return place.identity()
    except OSError:
        return None


def _first_rows(opened: Opened) -> pa.Table | None:
    try:
        piece = next(opened.pieces, None)
        return None if piece is None else piece().rows
    except SourceError:  # the file has been told to be faulty
        return None


def _behind(
    names: Iterable[str], settings: SourceSettings, *, in_lower_case: bool = False
) -> frozenset[str]:
    """The file's columns behind some canonical ones."""
    return frozenset(
        column.lower() if in_lower_case else column
        for canonical in names
        for column in _as_list(settings.columns.get(canonical, canonical))
    )


def _keys(name: str) -> list[str]:
    """The canonical columns of a source that are keys: its own, and those of others."""
    return [column for column in SPECS[name].columns if column.endswith("_id")]


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
    spec, columns = SPECS[name], file.columns
    by_case: dict[str, list[str]] = {}
    for column in columns:
        by_case.setdefault(column.casefold(), []).append(column)
    mapping: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}  # of the mapped columns, those that are not there
    missing = []
    for canonical in spec.columns:
        wanted = _as_list(settings.columns.get(canonical, canonical))
        found = [_own_name(column, by_case) for column in wanted]
        if canonical in settings.columns:
            mapping[canonical] = [own or given for own, given in zip(found, wanted, strict=True)]
            if not file.is_schemaless or (columns and canonical in spec.required):
                absent[canonical] = [w for w, own in zip(wanted, found, strict=True) if own is None]
        elif found[0] is not None:
            mapping[canonical] = [found[0]]
        elif canonical in spec.required and (columns or not file.is_schemaless):
            missing.append(canonical)
    strange = [canonical for canonical in settings.columns if canonical not in spec.columns]
    if strange or missing or any(absent.values()):
        raise SourceError(
            f"{file.shown}: {_misfit(file, name, settings, mapping, absent, missing)}"
        )
    return mapping


def _own_name(wanted: str, by_case: dict[str, list[str]]) -> str | None:
    """The file's column, or place inside one, that a name means: in just this case, or in any."""
    wanted = unicodedata.normalize("NFC", wanted.strip())
    for head, rest in ((wanted, ""), (wanted.partition(".")[0], wanted[wanted.find(".") :])):
        same = by_case.get(head.casefold(), [])
        if head in same:
            return head + rest
        if len(same) == 1:
            return same[0] + rest
    return None


def _misfit(
    file: Opened,
    name: str,
    settings: SourceSettings,
    mapping: dict[str, list[str]],
    absent: dict[str, list[str]],
    missing: list[str],
) -> str:
    """What is wrong with the columns of a file, and the setting that would be right."""
    spec, setting = SPECS[name], f"{name.upper()}__COLUMNS"
    free = [
        c for c in file.columns if c not in {own for found in mapping.values() for own in found}
    ]
    if len(free) == len(file.columns) and any(map(_is_value, free)):  # data is not for the log
        return (
            "the first line looks like a row, but must name the columns, among them "
            f"{', '.join(spec.required)}; add a header"
        )
    right: dict[str, str | list[str]] = {}
    problems = []
    for canonical, wanted in settings.columns.items():
        if canonical not in spec.columns:
            near = _near(canonical, spec.columns)
            problems.append(
                f"{setting} maps {canonical!r}, which is not a column of {name}{_nearest(near)}"
            )
            if near is not None:
                right[near] = wanted
            continue
        better = {w: _near(w, file.columns) for w in absent.get(canonical, [])}
        problems += [
            f"{setting} maps {canonical} to {w!r}, which the file does not have{_nearest(near)}"
            for w, near in better.items()
        ]
        names = [better.get(w) or (_THEIRS if w in better else w) for w in _as_list(wanted)]
        right[canonical] = names[0] if isinstance(wanted, str) else names
    if missing:
        near_by: dict[str, str | None] = {}
        for canonical in missing:
            near_by[canonical] = _near(canonical, [c for c in free if c not in near_by.values()])
        told = ", ".join(f"{canonical}{_nearest(near)}" for canonical, near in near_by.items())
        problems.append(
            f"the required column {missing[0]} is missing{_nearest(near_by[missing[0]])}"
            if len(missing) == 1
            else f"the required columns {told} are missing"
        )
        right |= {canonical: near or _THEIRS for canonical, near in near_by.items()}
    pasted = json.dumps(right, ensure_ascii=False).replace("\\", "\\\\").replace("'", "\\'")
    return (
        f"{'; '.join(problems)}; set {setting}='{pasted}' "
        f"(it has: {', '.join(file.columns[:50])}){_doubt(file, name)}"
        + (f"; {file.note}" if file.note else "")
    )


_THEIRS = "<their column>"


def _doubt(file: Opened, name: str) -> str:
    """What else may be wrong when the columns do not look like a header."""
    columns, doubts = file.columns, []
    others = [d for d in ",;|\t:" if d != file.delimiter and any(d in c for c in columns)]
    if file.delimiter and (len(columns) == 1 or others):
        doubts.append(
            f"if {file.delimiter!r} is not the delimiter, set {name.upper()}__DELIMITER"
            + (f", perhaps to {others[0]!r}" if others else "")
        )
    is_file = not file.is_schemaless and not file.format.startswith("database")
    if is_file and (len(columns) == 1 or any(map(_NAMELESS.fullmatch, columns))):
        doubts.append("if the header comes further down, remove the lines above it")
    return f"; {'; '.join(doubts)}" if doubts else ""


_NAMELESS = re.compile(r"column_\d+")


def _is_value(name: str) -> bool:
    """Whether it is an e-mail address, a number or a date rather than the name of a column."""
    return bool(re.search(r"@|^[+$(-]?\d[\d\s().,:/+-]*$", name))


def to_canonical(
    rows: pa.Table, mapping: dict[str, list[str]], name: str, settings: SourceSettings
) -> pa.Table:
    """`rows` under canonical names."""
    numbers = NUMBERS.get(name, ()) if settings.decimal_separator == "," else ()
    own_key = SPECS[name].required[0]
    columns = {}
    for canonical, own in mapping.items():
        written = comma_text if canonical in numbers else as_text
        written = key_text if canonical.endswith("_id") else written
        parts = [_own_column(rows, column, written) for column in own]
        if len(parts) == 1:
            columns[canonical] = parts[0]
        elif canonical in SPECS[name].required or canonical.endswith("_id"):
            none = ["", *(settings.null_tokens if canonical != own_key else ())]
            columns[canonical] = _joined_key(parts, none)
        else:
            columns[canonical] = _joined_text(parts)
    return pa.table(columns) if columns else rows.select([])


def _joined_key(parts: Sequence[pa.ChunkedArray], none: Sequence[str]) -> pa.Array:
    """Columns joined with `-`; blank where any part is one of `none`."""
    keys = [normal_keys(pc.coalesce(decoded(part), "")) for part in parts]
    is_whole = pc.invert(pc.is_in(keys[0], pa.array(none)))
    for key in keys[1:]:
        is_whole = pc.and_(is_whole, pc.invert(pc.is_in(key, pa.array(none))))
    return pc.if_else(is_whole, pc.binary_join_element_wise(*keys, "-"), "")


def _joined_text(parts: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Columns joined with `-`; a blank part is left out."""
    joined, *others = (pc.utf8_trim_whitespace(pc.coalesce(decoded(p), "")) for p in parts)
    for text in others:
        before, after = pc.equal(joined, ""), pc.equal(text, "")
        both = pc.binary_join_element_wise(joined, text, "-")
        joined = pc.if_else(before, text, pc.if_else(after, joined, both))
    return joined


def _own_column(rows: pa.Table, name: str, written: Callable[[Any], str | None]) -> pa.ChunkedArray:
    """A column of the file; `specifications.color` is a value inside a JSON column, `written` as
    the text it would be in a column of its own.
    """
    if name in rows.column_names:
        return rows[name]
    head, *path = name.split(".")
    if head not in rows.column_names:  # it came with a later record of the file
        return pa.chunked_array([pa.nulls(len(rows), pa.string())])
    encoded = rows[head].combine_chunks().cast(pa.string()).dictionary_encode()
    values = [text_at(text, path, written) for text in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string()).take(encoded.indices)])


@dataclass
class _Read:
    """A file that is being read, and what has become of it."""

    name: str
    file: _File
    folder: Spool
    batches: list[ExtractedBatch] = field(default_factory=list)
    mapping: dict[str, list[str]] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    fault: SourceError | None = None
    opened: Opened = field(init=False)

    def __post_init__(self) -> None:
        self.opened, self.mapping = self.file.opened, self.file.mapping

    def discarded(self) -> int:
        """Throw away what was read; returns how many records that were."""
        for batch in self.batches:
            for path in (batch.rows, batch.refused):
                if path is not None:
                    path.unlink(missing_ok=True)
        return sum(batch.records for batch in self.batches)

    def tasks(
        self, numbers: Iterator[int], enough: set[str]
    ) -> Iterator[Callable[[], tuple[_Read, ExtractedBatch | SourceError | None]]]:
        """A call per piece that spills it, until there is a fault, or enough was read of this
        source; then one that tells the end.
        """
        try:
            if not self.file.is_open and self.name not in enough:
                self.opened = self.file.open()
            for piece in self.opened.pieces:
                if self.fault is not None or self.name in enough:
                    self.opened.close()
                    break
                yield partial(self._spill, piece, f"{self.name}-{next(numbers):06}")
        except SourceError as fault:
            self.fault = self.fault or fault
        yield lambda: (self, None)

    def _spill(self, piece: Piece, name: str) -> tuple[_Read, ExtractedBatch | SourceError]:
        try:
            return self, self._spilled(piece(), name)
        except SourceError as fault:
            return self, fault

    def _spilled(self, block: Block, name: str) -> ExtractedBatch:
        shown = self.opened.shown
        place = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(block.lines), np.int32)), pa.array([shown])
        )
        rows = block.rows
        for own in (FILE, LINE):
            if own in rows.column_names:  # a reject file of ours: its old places are history
                rows = rows.drop_columns([own])
        rows = rows.append_column(FILE, place).append_column(LINE, pa.array(block.lines))
        refused = None
        if block.refused:
            refused = self.folder.write(f"{name}-refused", _refused_table(shown, block.refused))
        looks = look(block.rows, block.lines, self.mapping)
        return ExtractedBatch(self.folder.write(name, rows), refused, block.records, looks)


def _refused_table(shown: str, refused: Sequence[Refused]) -> pa.Table:
    return pa.table(
        {
            FILE: [shown] * len(refused),
            LINE: [record.line for record in refused],
            "_reason": [record.reason for record in refused],
            "_detail": [record.detail for record in refused],
            "_raw": [record.raw[:MAX_RAW] for record in refused],
        }
    )


IGNORED = "these columns are not used and are ignored"


def _refuse_lost(read: _Read) -> None:
    """Raise `SourceError` when records of sales hold values that no sale would be made of."""
    lost = read.looks.lost(in_sales=True)
    if lost:
        raise SourceError(
            f"{read.opened.shown}: {lost[0]}; one record is one sale, and the "
            "other values would be lost: write each as a record of its own, or read the file by a "
            "query that makes a row of each (TRANSACTIONS__PATH=duckdb:///:memory: and "
            "TRANSACTIONS__QUERY with read_json and unnest)"
        )


def _seen(looks: Looks, mapping: dict[str, list[str]], columns: Sequence[str]) -> list[str]:
    """What the looks over a source's records tell: what finds nothing, too much or not all."""
    told = []
    for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
        is_there = name in columns or name.partition(".")[0] in columns
        if looks.records and not is_there:
            near = _nearest(_near(name, columns))
            told.append(f"no record has {name!r}, which {canonical} is mapped to{near}")
    told += looks.warnings(mapping, columns)
    return [*told, *(f"{lost}: one record is one row" for lost in looks.lost(in_sales=False))]


def _warnings(source: Extracted, used: set[str]) -> list[str]:
    ignored = _unused(source.columns, used)
    return [f"{source.name}: {IGNORED}: {', '.join(ignored)}"] if ignored else []


def _unused(columns: Iterable[str], used: set[str]) -> list[str]:
    known = used | {column.partition(".")[0] for column in used} | set(OWN_COLUMNS)
    return [column for column in columns if column not in known]


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _near(name: str, names: Iterable[str]) -> str | None:
    """The name most like another one, whatever its case and punctuation."""
    plain = {re.sub(r"[\W_]+", "", other).casefold() or other: other for other in names}
    close = difflib.get_close_matches(re.sub(r"[\W_]+", "", name).casefold(), plain, 1, 0.6)
    return plain[close[0]] if close else None


def _nearest(near: str | None) -> str:
    return "" if near is None else f" (nearest: {near!r})"


def _partly_absent(
    files: Sequence[Opened], mappings: Sequence[dict[str, list[str]] | None]
) -> list[str]:
    """Which columns some files of a source have and others lack: is it another name there?

    A record of a JSON file need not name what it has no value for.
    """
    pairs = [(f, m) for f, m in zip(files, mappings, strict=True) if m is not None]
    told = []
    for canonical in dict.fromkeys(column for _, mapping in pairs for column in mapping):
        lacking = [f.shown for f, m in pairs if canonical not in m and not f.is_schemaless]
        if lacking:
            more = f" and {len(lacking) - _FILES_TOLD} more files" if lacking[_FILES_TOLD:] else ""
            told.append(
                f"{canonical} is in other files, not in {', '.join(lacking[:_FILES_TOLD])}{more}"
            )
    return told


def _frame(source: Extracted | None, name: str) -> pd.DataFrame:
    tables = [source.canonical(i) for i in range(len(source.batches))] if source else []
    if not tables:
        tables = [pa.table({column: pa.array([], pa.string()) for column in SPECS[name].columns})]
    plain = [
        pa.table({c: table[c].cast(pa.string()) for c in table.column_names}) for table in tables
    ]
    frame: pd.DataFrame = pa.concat_tables(plain, promote_options="default").to_pandas()
    return frame

"""The files of a source: each is opened, mapped, and then written batch by batch to the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common import spool
from common.rejects import REJECT_FILE, rearmed
from common.results import DETAIL, FILE, LINE, RAW, REASON
from common.source_settings import SourceSettings
from common.star_model import Source
from errors import SourceError
from sources.batches import MAX_RAW, OpenSource, Piece, ReadOptions, RefusedRecord, TextBatch
from sources.canonical import to_canonical
from sources.formats import open_file
from sources.inspection import Inspection, inspect_rows
from sources.mapping import unused
from sources.meanings import Meanings, look_for_meanings
from sources.streams import Place


@dataclass
class RawBatch:
    """One batch in the spool: the file of its rows, and that of its refused records, if any.

    `records` counts both. `mapping` is that of its file, set when the whole file has been read.
    """

    rows: Path
    refused: Path | None
    records: int
    inspection: Inspection = field(default_factory=Inspection)
    meanings: Meanings = field(default_factory=Meanings)
    mapping: dict[str, list[str]] = field(default_factory=dict)
    before: int = 0
    """How many lines of its file come before the line that its rows are numbered from."""

    def originals(self) -> pa.Table:
        """The rows as they were read: the source's own columns as text, `_file`, `_line`."""
        return self._numbered(spool.read(self.rows))

    def canonical(self, source: Source, settings: SourceSettings) -> pa.Table:
        """The rows under canonical names, text; absent optional columns are left out."""
        return to_canonical(spool.read(self.rows), self.mapping, source, settings)

    def no_rows(self) -> pa.Table | None:
        """Records that are not rows: `_file`, `_line`, `_reason`, `_detail` and `_raw`."""
        return None if self.refused is None else self._numbered(spool.read(self.refused))

    def _numbered(self, rows: pa.Table) -> pa.Table:
        """The rows with their lines counted from the beginning of the file."""
        if not self.before:
            return rows
        place = rows.column_names.index(LINE)
        return rows.set_column(place, LINE, pc.add(rows[LINE], self.before))


@dataclass(frozen=True)
class SourceFile:
    """A file or table of a source, whose columns are known.

    `open` opens it (again); `identity` returns what changes when somebody writes to it, and
    `before` is what it returned before the file was opened.
    """

    open: Callable[[], OpenSource]
    identity: Callable[[], object]
    before: object
    opened: OpenSource
    mapping: dict[str, list[str]] = field(default_factory=dict)
    is_mapped: bool = False
    is_open: bool = False
    """Whether `opened` is still open, so that its pieces can be taken."""
    first: pa.Table | None = None
    """The first rows of a file without a mapping: `check` proposes one by them."""


def place_file(place: Place, options: ReadOptions, setting: str) -> SourceFile:
    """Open the file at `place`. Raises `SourceError`, which names `setting` if there is no file."""
    call = partial(_open_place, place, options)
    before = _identity(place)
    if before is None:
        raise SourceError(f"{place.label}: there is no such file; see {setting}")
    return SourceFile(call, partial(_identity, place), before, call())


def _open_place(place: Place, options: ReadOptions) -> OpenSource:
    opened = open_file(place, options)
    is_refused = opened.format == "csv" and set(opened.columns) >= REJECT_FILE
    return _as_refused(opened) if is_refused else opened


def _as_refused(opened: OpenSource) -> OpenSource:
    """A reject file of ours as a source: cells and names without the apostrophes of `disarmed`."""
    theirs = rearmed(pa.array(opened.columns)).to_pylist()
    pieces = (partial(_rearmed_batch, piece) for piece in opened.pieces)
    return replace(opened, columns=theirs, pieces=pieces)


def _rearmed_batch(piece: Callable[[], TextBatch]) -> TextBatch:
    batch = piece()
    columns = []
    for column in batch.rows.columns:
        texts = rearmed(column.cast(pa.string()))
        is_encoded = pa.types.is_dictionary(column.type)
        columns.append(texts.dictionary_encode() if is_encoded else texts)
    names = rearmed(pa.array(batch.rows.column_names, pa.string())).to_pylist()
    return replace(batch, rows=pa.table(columns, names))


def _identity(place: Place) -> object:
    """The file's identity at this moment; None when it does not exist."""
    try:
        return place.identity()
    except OSError:
        return None


def first_rows(opened: OpenSource) -> pa.Table | None:
    """The first batch of an open file; None where it has none or cannot be read."""
    try:
        piece = next(opened.pieces, None)
        return None if piece is None else piece().rows
    except SourceError:  # the file has a problem already
        return None


@dataclass
class ReadFile:
    """A file that is being read: its batches so far, what was counted in them, and its fault."""

    source: Source
    file: SourceFile
    folder: Path
    batches: list[RawBatch] = field(default_factory=list)
    mapping: dict[str, list[str]] = field(default_factory=dict)
    inspection: Inspection = field(default_factory=Inspection)
    meanings: Meanings = field(default_factory=Meanings)
    fault: SourceError | None = None
    opened: OpenSource = field(init=False)

    def __post_init__(self) -> None:
        self.opened, self.mapping = self.file.opened, self.file.mapping

    @property
    def name(self) -> str:
        """What its source is called."""
        return self.source.name

    def discarded(self) -> int:
        """Delete the batches read so far; returns how many records they had."""
        for batch in self.batches:
            for path in (batch.rows, batch.refused):
                if path is not None:
                    path.unlink(missing_ok=True)
        return sum(batch.records for batch in self.batches)

    def tasks(
        self, numbers: Iterator[int], enough: set[str]
    ) -> Iterator[Callable[[], tuple[ReadFile, RawBatch | SourceError | None]]]:
        """Calls that each read a piece and write it to the spool, until there is a fault or enough
        has been read of this source; the last call returns None.
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

    def _spill(self, piece: Piece, name: str) -> tuple[ReadFile, RawBatch | SourceError]:
        try:
            return self, self._spilled(piece(), name)
        except SourceError as fault:
            return self, fault

    def _spilled(self, batch: TextBatch, name: str) -> RawBatch:
        label = self.opened.label
        place = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(batch.lines), np.int32)), pa.array([label])
        )
        rows = batch.rows
        for own in (FILE, LINE):
            if own in rows.column_names:  # a reject file of ours: its old places are history
                rows = rows.drop_columns([own])
        rows = rows.append_column(FILE, place).append_column(LINE, pa.array(batch.lines))
        refused = None
        if batch.refused:
            refused = spool.write(
                self.folder, f"{name}-refused", _refused_table(label, batch.refused)
            )
        inspection = inspect_rows(batch.rows, batch.lines, self.mapping, self.source)
        used = {column for own in self.mapping.values() for column in own}
        ignored = unused(batch.rows.column_names, used)
        meanings = look_for_meanings(self.source, batch.rows, self.mapping, ignored)
        return RawBatch(
            spool.write(self.folder, name, rows), refused, batch.records, inspection, meanings
        )


def _refused_table(label: str, refused: Sequence[RefusedRecord]) -> pa.Table:
    return pa.table(
        {
            FILE: [label] * len(refused),
            LINE: [record.line for record in refused],
            REASON: [record.reason for record in refused],
            DETAIL: [record.detail for record in refused],
            RAW: [record.raw[:MAX_RAW] for record in refused],
        }
    )


def refuse_lost(read: ReadFile) -> None:
    """Raise `SourceError` when records of sales have lists with more values than are mapped."""
    lost = read.inspection.lost(in_sales=True)
    if lost:
        raise SourceError(
            f"{read.opened.label}: {lost[0]}; one record is one sale, and the "
            f"other values would be lost: {_unfolded(read.opened.format)}"
        )


def fingerprint(opened: OpenSource, records: int) -> dict[str, Any]:
    """What `etl_run` records of a file: path, format, number of records, SHA-256."""
    return {
        "path": opened.label,
        "format": opened.format,
        "records": records,
        "sha256": opened.digest.hexdigest() if opened.digest else None,
    }


def _unfolded(form: str) -> str:
    """How to make a row of each value of a list, in a source of the format `form`."""
    if form.startswith("database"):
        return "make a row of each in TRANSACTIONS__QUERY, by unnest or the like"
    alone = "write each as a record of its own"
    reader = _BY_QUERY.get(form.partition(" ")[0])
    if reader is None:
        return alone
    return (
        f"{alone}, or read the file by a query that makes a row of each "
        f"(TRANSACTIONS__PATH=duckdb:///:memory: and TRANSACTIONS__QUERY with {reader} and unnest; "
        "docs/recipes.md shows how)"
    )


_BY_QUERY = {"json": "read_json", "csv": "read_csv", "parquet": "read_parquet"}

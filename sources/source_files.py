"""The files of a source: each is opened, mapped, and then written batch by batch to the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common import spool
from common.arrays import with_columns
from common.rejects import REJECT_FILE, rearmed
from common.results import DETAIL, FILE, JOINED, LINE, LOST, RAW, REASON
from common.source_settings import SourceSettings
from common.star_model import Source
from errors import SourceError
from sources.batches import MAX_RAW, ReadOptions, RefusedRecord, TextBatch
from sources.canonical import to_canonical
from sources.explode import with_lists_in_text
from sources.formats import open_file
from sources.inspection import Inspection, inspect_rows
from sources.mapping import unused
from sources.meanings import Meanings, look_for_meanings
from sources.pieces import Findings, OpenSource, Piece, Step
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
    place: str = ""
    """The file and the bytes of it that it is from, for messages."""
    beside: tuple[Path, ...] = ()
    """Files of columns that belong to its rows, but were found later: those of the same name are
    replaced.
    """
    empty: int = 0
    """How many records have an empty list where each element would be a row: they are skipped."""
    before: int = 0
    """How many lines of its file come before the line that its rows are numbered from."""
    file: int = 0
    """The number of its file among those of its source, from 1."""

    def forget(self) -> None:
        """Forget what was counted, once it is known of the whole file."""
        self.inspection, self.meanings = Inspection(), Meanings()

    def originals(self) -> pa.Table:
        """The rows as they were read: the source's own columns as text, `_file`, `_line`."""
        rows = self._with_beside()
        hidden = [n for n in rows.column_names if n == LOST or n.startswith(JOINED)]
        return self._numbered(rows.drop_columns(hidden))

    def canonical(self, source: Source, settings: SourceSettings) -> pa.Table:
        """The rows under canonical names, text; absent optional columns are left out."""
        return to_canonical(self._with_beside(), self.mapping, source, settings)

    def _with_beside(self) -> pa.Table:
        rows = spool.read(self.rows)
        for path in self.beside:
            rows = with_columns(rows, spool.read(path))
        return rows

    def lines(self) -> pa.ChunkedArray:
        """The line of each row in its file, or its number there, from 1."""
        lines = spool.read(self.rows)[LINE]
        return pc.add(lines, self.before) if self.before else lines

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
    path: Path | None = None
    """Where it is on a disk, to be hashed there."""
    mapping: dict[str, list[str]] = field(default_factory=dict)
    is_mapped: bool = False
    is_open: bool = False
    """Whether `opened` is still open, so that its pieces can be taken."""
    first: pa.Table | None = None
    """The first rows of a file without a mapping: `check` proposes one by them."""


def place_file(place: Place, options: ReadOptions, setting: str, folder: Path) -> SourceFile:
    """Open the file at `place`, with copies in `folder`. Raises `SourceError`, which names
    `setting` if there is no file.
    """
    call = partial(_open_place, place, options, folder)
    before = _identity(place)
    if before is None:
        raise SourceError(f"{place.label}: there is no such file; see {setting}")
    return SourceFile(call, partial(_identity, place), before, call(), place.file)


def _open_place(place: Place, options: ReadOptions, folder: Path) -> OpenSource:
    opened = open_file(place, options, folder)
    if opened.format == "csv" and set(opened.columns) >= REJECT_FILE:
        # A reject file of ours: cells and names without the apostrophes of `disarmed`.
        opened.columns = rearmed(pa.array(opened.columns)).to_pylist()
        opened.steps.insert(0, _rearmed_batch)
        return opened  # its lists are rows already
    return with_lists_in_text(opened, options)


def _rearmed_batch(batch: TextBatch) -> TextBatch:
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
        for piece in opened.pieces:
            for batch in batches_of(piece, opened.steps, Findings()):
                return batch.rows
    except SourceError:  # the file has a problem already
        pass
    return None


def batches_of(piece: Piece, steps: Sequence[Step], found: Findings) -> Iterator[TextBatch]:
    """The batches of a piece, as the source's rows."""
    for batch in piece.batches(found):
        for step in steps:
            batch = step(batch)  # noqa: PLW2901
        if batch.is_exploded:
            found.columns = list(dict.fromkeys([*found.columns, *batch.rows.column_names]))
        yield batch


@dataclass(frozen=True)
class Spilling:
    """How the rows of a file are written to the spool."""

    label: str
    mapping: dict[str, list[str]]
    steps: Sequence[Step]
    folder: Path


def place_of(label: str, piece: Piece) -> str:
    """Which part of the file with this label a piece is, in words."""
    return ", ".join(filter(None, [label, piece.place]))


@dataclass
class Spilled:
    """What became of a piece: its batches in the spool, what was found, and its fault, if any."""

    batches: list[RawBatch]
    found: Findings
    fault: SourceError | None = None

    def discard(self) -> None:
        """Delete the batches."""
        for batch in self.batches:
            for path in (batch.rows, batch.refused, *batch.beside):
                if path is not None:
                    path.unlink(missing_ok=True)


def spill(source: Source, how: Spilling, piece: Piece, name: str) -> Spilled:
    """Read a piece and write its batches to the spool; any worker can do this."""
    spilled, place = Spilled([], Findings()), place_of(how.label, piece)
    try:
        for batch in batches_of(piece, how.steps, spilled.found):
            if batch.records:
                spilled.batches.append(replace(_spilled(source, how, batch, name), place=place))
    except SourceError as fault:
        spilled.fault = fault
    return spilled


def _spilled(source: Source, how: Spilling, batch: TextBatch, name: str) -> RawBatch:
    place = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(batch.lines), np.int32)), pa.array([how.label])
    )
    rows = batch.rows
    for own in (FILE, LINE):
        if own in rows.column_names:  # a reject file of ours: its old places are history
            rows = rows.drop_columns([own])
    rows = rows.append_column(FILE, place).append_column(LINE, pa.array(batch.lines))
    refused = None
    if batch.refused:
        table = _refused_table(how.label, batch.refused)
        refused = spool.write(how.folder, f"{name}-refused", table)
    inspection = inspect_rows(batch.rows, batch.lines, how.mapping, source)
    used = {column for own in how.mapping.values() for column in own}
    ignored = unused(batch.rows.column_names, used)
    meanings = look_for_meanings(source, batch.rows, how.mapping, ignored)
    path = spool.write(how.folder, name, rows)
    return RawBatch(path, refused, batch.records, inspection, meanings, empty=batch.empty)


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

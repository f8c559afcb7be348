"""Parquet files, whose columns have types: read by row groups, each of which any worker opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from common.values import first_line
from errors import SourceError
from sources.arrow_batches import gathered, parse_arrow
from sources.batches import MAX_PIECE_BYTES, ReadOptions, TextBatch, column_names
from sources.explode_arrow import explode, has_nested
from sources.pieces import Findings, OpenSource, Piece
from sources.ranges import changed, version

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_FEW = 8_192
"""Rows that are decoded at a time: where they are long, no more than these are in memory."""


def open_parquet(label: str, path: Path, options: ReadOptions) -> OpenSource:
    """Open a Parquet file; its rows come by row groups.

    Raises `SourceError` when it is damaged; the pieces raise it as well.
    """
    before = version(path.stat())
    try:
        with _reader(path) as parquet:
            schema, metadata = parquet.schema_arrow, parquet.metadata
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{label}: not a whole Parquet file ({first_line(error)})") from error
    columns = column_names(label, schema.names, options)
    file = _File(path, label, tuple(columns), options, before)
    pieces = (ParquetPiece(file, span) for span in _spans(metadata, options))
    if has_nested(columns, schema.types, options):
        none = [pa.nulls(0, kind) for kind in schema.types]
        columns = explode(label, columns, none, options).names
    return OpenSource(label, "parquet", columns, pieces)


def _reader(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas, 0.5 s that CSV does not need

    return pq.ParquetFile(path)


@dataclass(frozen=True)
class _Span:
    """The first so many records of the row groups from `begin` to before `end`, by what the file
    says of itself. `before` come before them in the file.
    """

    begin: int
    end: int
    before: int
    records: int


@dataclass(frozen=True)
class _File:
    """A Parquet file that any worker can read; `version` is what it still must have."""

    path: Path
    label: str
    columns: tuple[str, ...]
    options: ReadOptions
    version: tuple[int, int]

    def batches(self, span: _Span) -> Iterator[pa.RecordBatch]:
        """The records of a span. Raises `SourceError` when the file is another one by now."""
        self.refuse_changed()
        rows, groups = min(self.options.batch_rows, _FEW), range(span.begin, span.end)
        with _reader(self.path) as parquet:
            few = _first(parquet.iter_batches(rows, row_groups=groups), span.records)
            yield from gathered(few, self.options)

    def refuse_changed(self) -> None:
        """Raise `SourceError` when somebody has written to the file since it was opened."""
        try:
            is_same = version(self.path.stat()) == self.version
        except OSError:
            is_same = False
        if not is_same:
            raise changed(self.label)


@dataclass(frozen=True)
class ParquetPiece(Piece):
    """Records of a file that are read together."""

    file: _File
    span: _Span

    @property
    def place(self) -> str:
        return f"records {self.span.before + 1:,} to {self.span.before + self.span.records:,}"

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        file, count = self.file, self.span.before
        try:
            for batch in file.batches(self.span):
                yield parse_arrow(
                    file.label, batch, file.columns, count + 1, file.options, found.binary_keys
                )
                count += len(batch)
        except (pa.ArrowException, OSError) as error:
            file.refuse_changed()
            raise SourceError(
                f"{file.label}, after record {count}: damaged ({first_line(error)})"
            ) from error
        if count != self.span.before + self.span.records:
            raise SourceError(
                f"{file.label}: of the {self.place} only {count - self.span.before:,} are there; "
                "it is damaged"
            )


def _spans(metadata: pq.FileMetaData, options: ReadOptions) -> Iterator[_Span]:
    """Small row groups are gathered to about one batch, and a large one is a span by itself."""
    if options.most is not None:
        yield _Span(0, metadata.num_row_groups, 0, min(options.most, metadata.num_rows))
        return
    begin = before = records = size = 0
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        is_too_much = (
            records + group.num_rows > options.batch_rows
            or size + group.total_byte_size > MAX_PIECE_BYTES
        )
        if records and is_too_much:
            yield _Span(begin, place, before, records)
            begin, before, records, size = place, before + records, 0, 0
        records, size = records + group.num_rows, size + group.total_byte_size
    if records:
        yield _Span(begin, metadata.num_row_groups, before, records)


def _first(few: Iterator[pa.RecordBatch], records: int) -> Iterator[pa.RecordBatch]:
    """So many records."""
    for batch in few:
        part = batch.slice(0, records)
        records -= len(part)
        if len(part):
            yield part
        if not records:
            return

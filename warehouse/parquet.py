"""Parquet files that others read: exact decimals, real dates, what each column means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column, Table

from common.arrow_types import arrow_type
from common.descriptions import meaning, plain
from common.star_model import Role
from common.sums import Sums, plus, summed
from common.version import VERSION
from errors import EtlError

_GROUP_ROWS = 1 << 18
"""Rows of a row group: enough to be read fast, few enough to be held in memory."""
_BATCH_ROWS = 1 << 16
_KEYS = Role.SURROGATE_KEY, Role.BUSINESS_KEY, Role.SMART_KEY


def file_schema(table: Table, names: Sequence[str], run_id: str) -> pa.Schema:
    """The schema of a file of `table` with the columns `names`: what each means is with it, and
    whose state of the star it is.
    """
    about = {"table": table.name, "run_id": run_id, "version": VERSION}
    return pa.schema([_field(table.columns[name]) for name in names], metadata=about)


def _field(column: Column[object]) -> pa.Field:
    described = {"description": plain(meaning(column))}
    return pa.field(column.name, arrow_type(column), metadata=described)


class ParquetFile:
    """A new file, which only we can read. Rows are handed to it in pieces of any size."""

    def __init__(self, path: Path, schema: pa.Schema, table: Table) -> None:
        self._file = self.created(path)
        self._schema, self._table = schema, table
        keys = {column.name for column in table.columns if column.info.get("role") in _KEYS}
        self._writer = pq.ParquetWriter(
            self._file, schema, compression="zstd",
            use_dictionary=[name for name in schema.names if name not in keys],
        )  # fmt: skip
        self._pieces: list[pa.Table] = []
        self.rows = 0

    @staticmethod
    def created(path: Path) -> BinaryIO:
        """A new file for whatever is to be in it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o600), "wb")

    def write(self, piece: pa.Table) -> None:
        """Add rows. Raises `EtlError` where a value does not fit the declared type."""
        self._pieces.append(self._as_declared(piece))
        self.rows += piece.num_rows
        if sum(held.num_rows for held in self._pieces) >= _GROUP_ROWS:
            self._write_group()

    def _as_declared(self, piece: pa.Table) -> pa.Table:
        columns = []
        for field, column in zip(self._schema, piece.columns, strict=True):
            try:
                columns.append(column.cast(field.type))
            except pa.ArrowException as error:
                raise EtlError(
                    f"{self._table.name}.{field.name} has a value that its declared type, "
                    f"{field.type}, cannot hold ({error}): somebody has changed the column"
                ) from error
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _write_group(self) -> None:
        held, self._pieces = pa.concat_tables(self._pieces), []
        self._writer.write_table(held, row_group_size=held.num_rows or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            try:
                if kind is None:
                    if self._pieces:
                        self._write_group()
                    self._writer.close()
            finally:
                self._writer.is_open = False  # else it would write an end when it is forgotten


def totals(
    path: Path, measures: Sequence[str], currency: str | None
) -> tuple[int, dict[str, Sums]]:
    """What a file holds, as it is read again: its rows, and the sums of measures by currency."""
    sums: dict[str, Sums] = {name: {} for name in measures}
    wanted = [*measures, *([currency] if currency else [])]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted) if measures else ():
            names = None if currency is None else batch.column(currency)
            for name in measures:
                sums[name] = plus(sums[name], summed(batch.column(name), names))
        return file.metadata.num_rows, sums

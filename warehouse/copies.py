"""COPY by psycopg2, into PostgreSQL and out of it.

When the server ends the session in the middle of a COPY, psycopg2 raises the last error, such as
"invalid socket". The one before it, which is the reason, it prints on stderr, with values of the
row in it. Here that one is raised, and nothing is printed.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from common.arrow_types import arrow_type
from warehouse import binary_copy

MOST_BYTES = (1 << 31) - 1
"""Of CSV that is parsed at once."""
_PIECE_BYTES = 4 << 20
_lock = threading.Lock()
_printed: dict[int, list[psycopg2.Error]] = {}
"""By thread that copies, the errors that psycopg2 has had printed."""
_usual = sys.excepthook


def copy_in(connection: Any, statement: str, batches: Iterable[Iterable[Any]]) -> None:
    """Run a binary COPY from batches that `binary_copy` has encoded.

    Raises what making a batch raised, which psycopg2 makes "the statement was cancelled" of.
    """
    stream = Stream(batches)
    try:
        with connection.cursor() as cursor:
            copy(cursor, statement, stream)
    except psycopg2.Error:
        if stream.error is not None:
            raise stream.error from None
        raise


def copy_out(connection: Any, statement: str, columns: Sequence[sa.Column[Any]]) -> pa.Table:
    """The rows of a COPY to CSV as one Arrow table with the types of `columns`."""
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        copy(cursor, statement, buffer)
    return _parsed(buffer.getvalue(), {c.name: arrow_type(c) for c in columns})


def copy_pieces(
    connection: Any, statement: str, names: Sequence[str], write: Callable[[pa.Table], None]
) -> None:
    """Hand the rows of a COPY to CSV, which are text, to `write` in pieces.

    Raises what `write` raised; the rest of the rows is not looked at then.
    """
    types = dict.fromkeys(names, pa.string())
    with connection.cursor() as cursor:
        copy_parsed(cursor, statement, partial(_parsed, types=types, block=MOST_BYTES), write)


def copy_parsed(
    cursor: Any,
    statement: str,
    parse: Callable[[bytes], pa.Table],
    write: Callable[[pa.Table], None],
) -> None:
    """Hand the rows of a COPY to CSV to `write` in pieces, as `parse` reads them.

    Raises what `parse` or `write` raised; the rest of the rows is not looked at then.
    """
    pieces = _Pieces(parse, write)
    copy(cursor, statement, pieces)
    pieces.hand_on()
    if pieces.error is not None:
        raise pieces.error


def _parsed(rows: bytes, types: Mapping[str, pa.DataType], block: int | None = None) -> pa.Table:
    """Rows of CSV; `block` bytes of them are parsed at once, and no row may be longer."""
    return pa_csv.read_csv(
        pa.BufferReader(rows or b"\n"),
        read_options=pa_csv.ReadOptions(column_names=list(types), block_size=block),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class _Pieces(io.RawIOBase):
    """The file that COPY writes whole rows to; it hands them on, some megabytes at a time."""

    def __init__(
        self, parse: Callable[[bytes], pa.Table], write: Callable[[pa.Table], None]
    ) -> None:
        self.error: Exception | None = None
        self._parse, self._write = parse, write
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: Any) -> int:
        """Take a row."""
        self._rows.append(bytes(row))
        self._size += len(row)
        if self._size > _PIECE_BYTES:
            self.hand_on()
        return len(row)

    def hand_on(self) -> None:
        """Hand on what is there. An error is kept: psycopg2 must see the end of the COPY."""
        rows, self._rows, self._size = self._rows, [], 0
        try:
            if rows and self.error is None:
                self._write(self._parse(b"".join(rows)))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised in the end
            self.error = error


class Stream(io.RawIOBase):
    """Encoded batches as the one file that COPY reads."""

    def __init__(self, batches: Iterable[Iterable[Any]]) -> None:
        self.error: BaseException | None = None
        pieces = chain.from_iterable(batches)
        self._chunks = chain([binary_copy.HEADER], pieces, [binary_copy.TRAILER])

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        """The next piece, whatever its size: only libpq copies it then."""
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            self.error = error
            raise


def copy(cursor: Any, statement: str, file: io.IOBase) -> None:
    """Run a COPY from or to `file`. Raises psycopg2's error, of several the first."""
    with _listening() as printed:
        try:
            cursor.copy_expert(statement, file)
        except psycopg2.Error as last:
            raise (printed[0] if printed else last) from None


@contextmanager
def _listening() -> Iterator[list[psycopg2.Error]]:
    """Take what would be printed by this thread. All threads of a process share one hook."""
    global _usual
    thread = threading.get_ident()
    with _lock:
        if not _printed:
            _usual, sys.excepthook = sys.excepthook, _hear
        printed = _printed[thread] = []
    try:
        yield printed
    finally:
        with _lock:
            del _printed[thread]
            if not _printed and sys.excepthook is _hear:
                sys.excepthook = _usual


def _hear(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Keep an error that psycopg2 lost while it made the next one; hand on all others."""
    printed, lost = _printed.get(threading.get_ident()), error.__cause__
    if printed is not None and isinstance(lost, psycopg2.Error):
        printed.append(lost)
    else:
        _usual(kind, error, trace)

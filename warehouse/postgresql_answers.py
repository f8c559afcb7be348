"""What PostgreSQL answers, as Arrow tables: by COPY, with the types that the server tells."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv as pa_csv

from common import watchdog
from errors import RequestError
from warehouse import copies
from warehouse.questions import UNBOUND, Question

_TYPES = {
    16: pa.bool_(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 26: pa.int64(),
    700: pa.float32(), 701: pa.float64(), 1082: pa.date32(), 1083: pa.time64("us"),
    1114: pa.timestamp("us"), 1184: pa.timestamp("us", "UTC"),
}  # fmt: skip
"""By the number of a type in the catalog; all others come as text."""
_NUMERIC = 1700
_MOST_DIGITS = 38
_NO_CURSOR = psycopg2.errors.SyntaxError, psycopg2.errors.FeatureNotSupported
_TOLD = re.compile(r"(EXPLAIN|SHOW)\b", re.IGNORECASE)
"""What the server answers without a cursor, and changes nothing."""
_ROWS = re.compile(r"\(*\s*(SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE)
_CANCEL_SECONDS = 3
_UNTOLD = 0xFFFF
"""What stands for the scale of a number of any size."""


def ask(
    connection: Any, question: Question, schema: str, write: Callable[[pa.Table], None]
) -> pa.Schema:
    """Hand the answer to `write` in pieces; returns their schema. Names mean those of `schema`.

    An interruption ends the statement: the server is asked for that, and if it does not answer,
    the connection is cut.
    """
    over = threading.Event()

    def work() -> pa.Schema:
        try:
            return _answered(connection, question, schema, write)
        finally:
            over.set()

    try:
        return watchdog.in_a_thread(work, lambda _: None, threading.TIMEOUT_MAX)
    except KeyboardInterrupt:  # a thread raises none: it came to us while it worked
        with suppress(psycopg2.Error, TimeoutError):
            watchdog.in_a_thread(connection.cancel, lambda _: None, _CANCEL_SECONDS)
        if not over.wait(_CANCEL_SECONDS):
            with socket.socket(fileno=os.dup(connection.fileno())) as ours, suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            over.wait(_CANCEL_SECONDS)
        raise


def _answered(
    connection: Any, question: Question, schema: str, write: Callable[[pa.Table], None]
) -> pa.Schema:
    with connection.cursor() as cursor:
        cursor.execute(_SEARCHED, (schema,))
        text = question.text
        if question.values:
            placed = question.text_for("%({})s".format, lambda part: part.replace("%", "%%"))
            text = cursor.mogrify(placed, dict(question.values)).decode()
        fields = _described(cursor, text)
        if fields is None:
            return _told(cursor, text, write)
        if not fields:
            raise RequestError("the answer to the question has no columns")
        made = pa.schema(fields)
        copies.copy_parsed(
            cursor, f"COPY ({text}\n) TO STDOUT (FORMAT csv)", partial(_parsed, made), write
        )
        return made


_SEARCHED = (
    "SELECT set_config('search_path', 'pg_catalog, ' || quote_ident(%s) || ', pg_temp', true),"
    " set_config('default_transaction_read_only', 'on', false),"  # until it is rolled back
    " set_config('standard_conforming_strings', 'on', true)"  # as we understand a question
)


def _described(cursor: Any, text: str) -> list[pa.Field] | None:
    """The columns of the answer, before it is asked for; None of EXPLAIN and SHOW, which no cursor
    can be declared for. What else has none is never sent by itself: a superuser's COPY writes files
    in a transaction that is for reading only.
    """
    cursor.execute("SAVEPOINT question")
    try:
        cursor.execute(f"DECLARE question NO SCROLL CURSOR FOR {text}")
    except _NO_CURSOR:
        cursor.execute("ROLLBACK TO SAVEPOINT question")
        if _TOLD.match(text):
            return None
        if _ROWS.match(text):
            raise
        word = text.split(maxsplit=1)[0]
        raise RequestError(
            f"the star is opened for reading only, and {word} is no question"
        ) from None
    cursor.execute("FETCH 0 FROM question")
    columns = [_field(column) for column in cursor.description or ()]
    cursor.execute("CLOSE question")
    return columns


def _field(column: Any) -> pa.Field:
    if column.type_code != _NUMERIC:
        return pa.field(column.name, _TYPES.get(column.type_code, pa.string()))
    precision, scale = column.precision, column.scale
    if _UNTOLD in (precision, scale) or not 0 <= scale <= precision <= _MOST_DIGITS:
        return pa.field(column.name, pa.string(), metadata={UNBOUND: b""})
    return pa.field(column.name, pa.decimal128(precision, scale))


def _parsed(made: pa.Schema, rows: bytes) -> pa.Table:
    """Rows of CSV. A blank line is a row, too: of one column without a value."""
    names = [str(place) for place in range(len(made))]  # those of the answer may come twice
    table = pa_csv.read_csv(
        pa.BufferReader(rows),
        read_options=pa_csv.ReadOptions(column_names=names, block_size=copies.MOST_BYTES),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(zip(names, made.types, strict=True)),
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return pa.Table.from_arrays(table.columns, schema=made)


def _told(cursor: Any, text: str, write: Callable[[pa.Table], None]) -> pa.Schema:
    """What the server itself says to a statement that is no query: rows of text, or an error."""
    cursor.execute(text)
    if cursor.description is None:
        raise RequestError(f"there is no answer to {cursor.statusmessage}")
    made = pa.schema([pa.field(column.name, pa.string()) for column in cursor.description])
    columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(made)
    texts = [pa.array([None if v is None else str(v) for v in c], pa.string()) for c in columns]
    write(pa.Table.from_arrays(texts, schema=made))
    return made

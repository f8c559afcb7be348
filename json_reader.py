"""JSON arrays and JSON Lines, record by record, with exact numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from blocks import (
    MAX_COLUMNS,
    MAX_RECORD_BYTES,
    SHOWN,
    Block,
    Opened,
    Piece,
    Reading,
    as_text,
)
from errors import SourceError


class _Malformed(dict[str, Any]):
    """A JSON object that names a key twice: which value was meant is anybody's guess."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Malformed(value)


def _integer(digits: str) -> int | str:
    """An integer; one that no column could hold stays text, and is refused as a number later."""
    return int(digits) if len(digits) < 100 else digits


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=Decimal,
    parse_int=_integer,
    parse_constant=str,
    strict=False,
)


def open_json(shown: str, utf8: Iterator[bytes], reading: Reading) -> Opened:
    """A JSON array of objects, or JSON Lines; told apart by the first character."""
    chunks = (chunk.decode("utf-8", "surrogatepass") for chunk in utf8)
    head = ""
    for chunk in chunks:
        head = (head + chunk).lstrip()
        if head:
            break
    if not head:
        raise SourceError(f"{shown}: the file is empty; expected a JSON array or JSON Lines")
    if head[0] == "[":
        items, kind = _array_items(shown, head[1:], chunks), "json array"
    elif head[0] == "{":
        items, kind = _line_items(shown, head, chunks), "json lines"
    else:
        raise SourceError(f"{shown}: expected a JSON array of objects or JSON Lines")
    batches = _in_batches(items, reading.batch_rows)
    first = next(batches, [])
    columns = list(
        dict.fromkeys(key for _, item in first if isinstance(item, dict) for key in item)
    )
    if len(columns) > MAX_COLUMNS:
        raise SourceError(f"{shown}: {len(columns)} keys exceed the limit of {MAX_COLUMNS} columns")

    def pieces() -> Iterator[Piece]:
        batch = first
        while batch:
            yield partial(_parse_json, columns, batch)
            batch = next(batches, [])

    return Opened(shown, kind, columns, pieces())


Item = tuple[int, Any]
"""A record's number or line, and its value: a dict, or what stands there instead."""


def _array_items(shown: str, buffer: str, chunks: Iterator[str]) -> Iterator[Item]:
    """The elements of a JSON array, decoded one by one from a growing and shrinking buffer."""
    number, at, ended = 0, 0, False
    while True:
        while at < len(buffer) and buffer[at] in " \t\n":
            at += 1
        if at < len(buffer) and buffer[at] == "]":
            if buffer[at + 1 :].strip() or any(chunk.strip() for chunk in chunks):
                raise SourceError(f"{shown}: there is text after the JSON array's end")
            return
        if at < len(buffer) and buffer[at] == "," and number:
            at += 1
            continue
        try:
            value, at = _DECODER.raw_decode(buffer, at)
            number += 1
            yield number, value
            continue
        except RecursionError:
            raise SourceError(f"{shown}, record {number + 1}: nested too deep") from None
        except ValueError as error:
            problem = error
        if ended:
            raise SourceError(
                f"{shown}, record {number + 1}: not valid JSON ({problem}); the file may be cut off"
            )
        if len(buffer) - at > MAX_RECORD_BYTES:
            raise SourceError(
                f"{shown}, record {number + 1}: not valid JSON ({problem}), or above the limit of "
                f"{MAX_RECORD_BYTES} bytes for one record"
            )
        more = next(chunks, "")
        ended = not more
        buffer, at = buffer[at:] + more, 0


def _line_items(shown: str, buffer: str, chunks: Iterator[str]) -> Iterator[Item]:
    number = 0
    while True:
        *lines, buffer = buffer.split("\n")
        for line in lines:
            number += 1
            if line.strip():
                yield number, _decode_line(line)
        if len(buffer) > MAX_RECORD_BYTES:
            raise SourceError(
                f"{shown}, line {number + 1}: exceeds the limit of {MAX_RECORD_BYTES} bytes"
            )
        more = next(chunks, "")
        if not more:
            if buffer.strip():
                yield number + 1, _decode_line(buffer)
            return
        buffer += more


def _decode_line(line: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(line.strip())
        return value if end == len(line.strip()) else line
    except (ValueError, RecursionError):
        return line


def _in_batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _parse_json(columns: list[str], batch: list[Item]) -> Block:
    rows, lines, malformed = [], [], {}
    for number, value in batch:
        if isinstance(value, dict) and not isinstance(value, _Malformed):
            rows.append(value)
            lines.append(number)
        else:
            problem = "a key appears twice" if isinstance(value, dict) else "not a JSON object"
            malformed[number] = f"{problem}: {str(value)[:SHOWN]}"
    table = pa.table(
        {name: pa.array([as_text(row.get(name)) for row in rows], pa.string()) for name in columns}
    )
    return Block(table, np.array(lines, np.int64), malformed, len(batch))

"""Answers of a warehouse as Arrow tables with exact types, piece by piece or as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common.duck import is_interruption
from common.star_model import MONEY_SCALE
from errors import EtlError, RequestError, WarehouseError
from warehouse.base import Warehouse
from warehouse.failures import in_words
from warehouse.questions import UNBOUND, Question

_MOST_DIGITS, _MANY_DIGITS = 38, 76


def answer(warehouse: Warehouse, asked: sa.Select[Any] | Question) -> pa.Table:
    """All that a warehouse answers. A column of numbers without a declared scale gets the one that
    its values have.

    Raises as `handed_on` does.
    """
    pieces: list[pa.Table] = []
    schema = handed_on(warehouse, asked, pieces.append)
    whole = pa.concat_tables(pieces) if pieces else schema.empty_table()
    pieces.clear()
    return _named_once(_settled(whole))


def handed_on(
    warehouse: Warehouse, asked: sa.Select[Any] | Question, write: Callable[[pa.Table], None]
) -> pa.Schema:
    """Hand an answer to `write` in pieces, as it comes; returns their schema.

    Raises what `write` raises, `RequestError` for what the warehouse refuses of somebody's own
    question, and `WarehouseError` for what it refuses of ours, or where it was lost.
    """
    question = Question(warehouse.text_of(asked)) if isinstance(asked, sa.Select) else asked
    try:
        return warehouse.ask(question, write)
    except EtlError:
        raise
    except Exception as error:
        if is_interruption(error):
            raise KeyboardInterrupt from error
        is_theirs = isinstance(asked, Question) and warehouse.transient(error) is None
        raise (RequestError if is_theirs else WarehouseError)(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, pa.ArrowException):
        return f"the answer has a value that no frame can hold; have it as text: {error}"
    reason = in_words(error)
    if reason is None:
        raise error
    return reason


def _settled(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if UNBOUND in (field.metadata or {}):
            values = _numbers(table.column(place))
            table = table.set_column(place, pa.field(field.name, values.type), values)
        elif pa.types.is_timestamp(field.type) and field.type.tz:  # of the session, where that is
            moments = table.column(place).cast(pa.timestamp("us", "UTC"))
            table = table.set_column(place, pa.field(field.name, moments.type), moments)
    return table


def _numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as decimals with the largest scale among them; text where one is none, such as NaN,
    or has more digits than decimals can have.
    """
    plain = pc.match_substring_regex(texts, r"^-?\d+(\.\d*)?$")
    if not pc.all(plain, min_count=0).as_py():
        return texts
    parts = pc.split_pattern(pc.utf8_trim(texts, "-"), ".", max_splits=1)
    digits = pc.max(pc.utf8_length(pc.list_element(parts, 0))).as_py() or 0
    length = pc.utf8_length(pc.replace_substring_regex(texts, r"^-?\d+\.?", ""))
    scale = pc.max(length).as_py()
    scale = MONEY_SCALE if scale is None else scale
    if digits + scale > _MANY_DIGITS:
        return texts
    if digits + scale > _MOST_DIGITS:
        return texts.cast(pa.decimal256(_MANY_DIGITS, scale))
    return texts.cast(pa.decimal128(_MOST_DIGITS, scale))


def _named_once(table: pa.Table) -> pa.Table:
    """A table whose columns have different names: the second `n` is `n_2`."""
    names: dict[str, None] = {}
    often: Counter[str] = Counter()
    for name in table.column_names:
        often[name] += 1
        unique = name if often[name] == 1 else f"{name}_{often[name]}"
        while unique in names:
            often[name] += 1
            unique = f"{name}_{often[name]}"
        names[unique] = None
    return table.rename_columns([*names])

"""The currency of a sale: its column, what is told beside its amounts, and the one declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.columns import Reader, each
from common.amount_marks import tells_currencies, told_currencies
from common.arrays import decoded, on_values, per_distinct, whole
from common.currencies import can_be_one, currency

_REASON = "other_currency"


def sale_currencies(read: Reader, amounts: Iterable[str]) -> pa.Array:
    """The currency of each sale, which has its `amounts` in these columns: the declared one, else
    what its column says, null where that is blank.

    A row is refused where the column is no currency, or it, or what is beside an amount, another
    one. It keeps what its column says, so that its amount is counted as none of the declared
    currency.
    """
    cells, declared = read.cells("currency", each(currency)), read.settings.currency
    if not cells.is_readable():
        details = pc.binary_join_element_wise(cells.given(), "is no currency", " ")
        read.verdict.reject(_REASON, cells.unreadable(), details)
    named = [*_beside(read, amounts)]
    if not cells.is_absent():
        named.append(cells.plain)
    if named and (declared or len(named) > 1):
        texts = [pc.coalesce(name, "") for name in named]
        together = pc.binary_join_element_wise(*texts, " ")
        wrong = per_distinct(together, lambda text: _wrong(text, declared))
        read.verdict.reject(_REASON, pc.is_valid(wrong), wrong)
    else:
        wrong = pa.nulls(len(read.batch), pa.string())
    if declared is None:
        return cells.values
    is_other = pc.or_(pc.is_valid(wrong), cells.unreadable())
    if pc.any(is_other).as_py():
        return pc.if_else(is_other, cells.plain, declared)
    every = pa.array(np.zeros(len(read.batch), np.int32))
    return pa.DictionaryArray.from_arrays(every, pa.array([declared]))


def not_in(texts: pa.Array, declared: str | None) -> pa.Array:
    """Booleans: whether an amount says another currency than the `declared` one."""
    if declared is None:
        return pa.array(np.zeros(len(texts), bool))
    return pc.is_valid(per_distinct(told_currencies(texts), lambda text: _wrong(text, declared)))


def counted(currencies: pa.Array) -> Counter[str]:
    """How many sales are in each currency."""
    pairs = pc.value_counts(decoded(currencies).drop_null()).to_pylist()
    return Counter({pair["values"]: pair["counts"] for pair in pairs})


def _beside(read: Reader, columns: Iterable[str]) -> Iterator[pa.Array]:
    """Of each of the columns whose amounts say any: their currencies."""
    for name in columns:
        if name not in read.batch.column_names:
            continue
        column = whole(read.batch[name])
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        if tells_currencies(texts):
            yield decoded(on_values(column, told_currencies))


def _wrong(text: str, declared: str | None) -> str | None:
    """What contradicts the declared currency, or each other; None where nothing does."""
    names = list(dict.fromkeys(filter(None, map(currency, text.split()))))
    if declared is None:
        return None if can_be_one(names) else f"{' and '.join(names)} in one row"
    other = [name for name in names if not can_be_one([name, declared])]
    return f"{' and '.join(other)} is not {declared}" if other else None

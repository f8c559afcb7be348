"""Rows that take something away: flagged as deleted, or left out by SKIP_WHEN."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.columns import Reader
from cleaning.flags import flags
from cleaning.verdicts import as_mask
from common.arrays import decoded, unreadable, whole
from common.results import DELETES, PLACE, REMOVAL, SKIPPED, SKIPS, CleanBatch
from common.star_model import DELETED_FLAG
from common.values import UNREADABLE

Kinds = npt.NDArray[np.int8]
"""Of each row: 0, `DELETES` or `SKIPS`."""


def leave_out_skipped(read: Reader) -> Kinds:
    """Set the rows aside that SKIP_WHEN leaves out. Where a cell that it asks cannot be read,
    nobody can tell: such a row is rejected.
    """
    kinds = np.zeros(len(read.batch), np.int8)
    if SKIPPED in read.batch.column_names:
        answer = decoded(whole(read.batch[SKIPPED]))
        read.verdict.reject(
            "invalid_text", pc.equal(answer, UNREADABLE), "a column of SKIP_WHEN cannot be read"
        )
        kinds[as_mask(pc.and_(pc.equal(answer, "true"), read.verdict.good()))] = SKIPS
        read.verdict.set_aside(kinds > 0)
    return kinds


def take_out_deleted(read: Reader, kinds: Kinds) -> Kinds:
    """Set the rows aside that are flagged as deleted; of the other columns they need none."""
    if DELETED_FLAG in read.batch.column_names:
        cells = read.cells(DELETED_FLAG, flags)
        detail = pc.binary_join_element_wise(
            f"{DELETED_FLAG}: ", decoded(cells.given()), " is neither yes nor no", ""
        )
        read.verdict.reject("invalid_text", cells.unreadable(), detail)
        is_deleted = pc.and_(pc.fill_null(cells.plain, False), read.verdict.good())
        kinds[as_mask(is_deleted)] = DELETES
        read.verdict.set_aside(kinds > 0)
    return kinds


def with_removals(
    read: Reader, columns: dict[str, pa.Array], keys: Sequence[str], kinds: Kinds
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """The accepted rows of a batch of facts with the removals among them, and which rows are left
    out for good, as they have no key.

    `keys` are the columns that a removal keeps: its key, its net amount, and its currency.
    """
    table = pa.table({**columns, PLACE: read.verdict.places()})
    is_here = SKIPPED in read.batch.column_names or DELETED_FLAG in read.batch.column_names
    good = as_mask(read.verdict.good())
    if not is_here:
        return table.filter(pa.array(good)), np.zeros(len(good), bool)
    is_removal = kinds > 0
    is_nameless = is_removal & as_mask(pc.equal(decoded(columns[keys[0]]), ""))
    where, net = pa.array(is_removal), table.column_names.index(keys[1])
    known = pc.if_else(pc.and_(where, pc.is_null(table[net])), Decimal(0), table[net])
    table = table.set_column(net, keys[1], known.cast(table[net].type))
    for number, name in enumerate(table.column_names):
        if is_removal.any() and name not in (*keys, PLACE):
            table = table.set_column(number, name, blanked(whole(table[name]), where))
    table = table.append_column(REMOVAL, pa.array(kinds))
    return table.filter(pa.array((good | is_removal) & ~is_nameless)), is_nameless


def without_removals(rows: pa.Table) -> pa.Table:
    """The rows to load."""
    if REMOVAL not in rows.column_names:
        return rows
    return rows.filter(pc.equal(rows[REMOVAL], 0)).drop_columns([REMOVAL])


def blanked(column: pa.Array, where: pa.Array) -> pa.Array:
    """A column without the values of some rows."""
    if pa.types.is_dictionary(column.type):
        indices = pc.if_else(where, None, column.indices)
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)
    return pc.if_else(where, None, column)


def note_keys(cleaned: CleanBatch, read: Reader, key: pa.Array) -> CleanBatch:
    """Note the keys of the rows that do not go on, and how many of the rejected ones have none."""
    rejected, others = read.verdict.rejected(), pc.invert(read.verdict.good())
    if pc.any(others).as_py():
        plain = decoded(key)
        is_named = pc.and_(pc.not_equal(plain, ""), pc.invert(unreadable(plain)))
        cleaned.borne = plain.filter(pc.and_(others, is_named))
        cleaned.nameless = int(as_mask(pc.and_(rejected, pc.invert(is_named))).sum())
    return cleaned

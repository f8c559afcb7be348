"""Keys that are one whatever the case of their letters: the star has them as the source does."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common.arrays import decoded
from common.key_folding import folded_keys
from common.star_model import INFERRED_FLAG, ONLY_NAMED, UNKNOWN_ID, business_key
from errors import GateError
from warehouse.base import Warehouse

_TOLD = 3


def with_one_spelling(
    warehouse: Warehouse, dimension: sa.Table, tables: Sequence[pa.Table]
) -> tuple[list[pa.Table], str]:
    """Rows for `dimension`, and a warning, or '', of members that are now spelt as the source does.

    A member that is described tonight takes the spelling of tonight and keeps its surrogate key. A
    placeholder takes that of the member which it names. Raises `GateError` where two members, of
    tonight or of the star, differ only in case.
    """
    key = business_key(dimension)
    rows = warehouse.fetch(sa.select(key).where(key != UNKNOWN_ID))
    stored = pa.concat_arrays([pa.array([], pa.string()), *rows[key.name].chunks])
    _refuse_twins(stored, f"{dimension.name} has both", "point the sales of one at the other there")
    masks = [_is_placeholder(table) for table in tables]
    given = [decoded(table[key.name]).cast(pa.string()) for table in tables]
    described = [keys.filter(pc.invert(mask)) for keys, mask in zip(given, masks, strict=True)]
    tonight = pc.unique(pa.concat_arrays([pa.array([], pa.string()), *described]))
    _refuse_twins(tonight, f"the source of {dimension.name} has both", "correct one of them there")
    found = pc.index_in(folded_keys(stored), value_set=folded_keys(tonight))
    spelt = pc.coalesce(tonight.take(found), stored)
    is_other = pc.not_equal(spelt, stored)
    renamed = pa.table({"old": stored.filter(is_other), "new": spelt.filter(is_other)})
    if len(renamed):
        _rename(warehouse, dimension, renamed)
    forms = folded_keys(spelt)
    placed = []
    for table, keys, mask in zip(tables, given, masks, strict=True):
        known = spelt.take(pc.index_in(folded_keys(keys), value_set=forms))
        own = pc.if_else(mask, pc.coalesce(known, keys), keys)
        placed.append(table.set_column(table.column_names.index(key.name), key.name, own))
    return placed, _told(dimension, renamed)


def _is_placeholder(table: pa.Table) -> pa.Array:
    """Which rows only stand in for members whose record has not come."""
    if ONLY_NAMED.encode() in (table.schema.metadata or {}):
        return pa.array([True] * len(table), pa.bool_())
    if INFERRED_FLAG not in table.column_names:
        return pa.array([False] * len(table), pa.bool_())
    return decoded(table[INFERRED_FLAG]).cast(pa.bool_())


def _refuse_twins(keys: pa.Array, where: str, remedy: str) -> None:
    """Raises `GateError` that names keys which differ only in case."""
    forms = folded_keys(keys).dictionary_encode()
    twice = pc.value_counts(forms.indices)
    twice = twice.filter(pc.greater(twice.field("counts"), 1)).field("values")
    if not len(twice):
        return
    groups = [
        " and ".join(map(ascii, keys.filter(pc.equal(forms.indices, number)).to_pylist()))
        for number in twice[:_TOLD]
    ]
    raise GateError(
        f"{where} {'; '.join(groups)}, which are one by KEY_CASE=fold; {remedy}, or set "
        "KEY_CASE=exact; nothing was published"
    )


def _rename(warehouse: Warehouse, dimension: sa.Table, renamed: pa.Table) -> None:
    columns = [sa.Column("old", sa.Text()), sa.Column("new", sa.Text())]
    staged = warehouse.temporary(f"respelt_{dimension.name}", columns, dimension)
    warehouse.append(staged, [warehouse.encode(renamed, staged)])
    warehouse.rename_keys(dimension, staged)
    warehouse.drop(staged)


def _told(dimension: sa.Table, renamed: pa.Table) -> str:
    if not len(renamed):
        return ""
    return (
        f"{dimension.name}: {len(renamed):,} keys are now written as the source has them, which "
        "differ from those of the star in case only (KEY_CASE=fold)"
    )

"""A key rule that changed: the keys that the star holds pass through the new one.

Done once, in the first run under another version of the rules and in its transaction, before
anything is merged: so no member and no sale comes a second time under a key of another spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from common.key_rules import KEY_RULES, normal_keys
from common.star_model import business_key, surrogate_key
from errors import GateError
from schema import etl_run
from warehouse import Warehouse
from warehouse.changes import ChangeRecord
from warehouse.history import of_last_published

_WITH_ZEROS = r"^-?[0-9]+\.0+$"
_ASCII_EDGES = "".join(map(chr, [*range(0x01, 0x21), 0x7F]))
_TOLD = 3


@dataclass(frozen=True)
class Spellings:
    """The keys of one column that a source has tonight, batch by batch."""

    is_typed: bool
    """Whether the source has numbers that are no text: JSON, Excel, Parquet, a database."""
    batches: Iterable[pa.Array]
    """Can be gone through more than once."""


def is_due(warehouse: Warehouse) -> bool:
    """Whether the star was last published under other key rules, or nobody knows by which."""
    last = of_last_published(warehouse, etl_run.c.key_rules)
    rules = 1 if last is None or last.key_rules is None else last.key_rules
    return last is None or bool(rules != KEY_RULES)


def rekey_star(
    warehouse: Warehouse,
    tonight: Mapping[sa.Table, list[Spellings]],
    record: ChangeRecord | None = None,
) -> list[str]:
    """Rewrite the keys of each table of `tonight` that the rules have changed; says which, and
    tells the `record`.

    Unseen marks at the edges go. A `.0`, which whole numbers of typed sources had as keys, goes
    where tonight's input has the number and not the old spelling: in texts it stays. Surrogate keys
    stay as they are. Raises `GateError` where two keys become one.
    """
    warnings = []
    fact = next(table.name for table in tonight if table.foreign_keys)
    for table, spellings in tonight.items():
        if warehouse.is_created(table):
            continue
        old = _suspects(warehouse, table)
        new = _without_zeros(normal_keys(old), spellings)
        is_other = pc.and_(pc.not_equal(old, new), pc.not_equal(new, ""))
        if pc.any(is_other).as_py():
            changes = pa.table({"old": old.filter(is_other), "new": new.filter(is_other)})
            _rewrite(warehouse, table, changes, fact, record)
            warnings.append(
                f"{table.name}: {len(changes):,} keys, such as {_pair(changes, 0)}, are now "
                "written as the key rules of this version have them"
            )
    return warnings


def _suspects(warehouse: Warehouse, table: sa.Table) -> pa.Array:
    """The keys that may be other ones by the rules: all but plain ASCII."""
    key, length = business_key(table), sa.func.length
    first, last = sa.func.substr(key, 1, 1), sa.func.substr(key, length(key), 1)
    is_plain = sa.and_(
        sa.func.bit_length(key) == 8 * length(key),
        sa.func.strpos(_ASCII_EDGES, first) == 0,
        sa.func.strpos(_ASCII_EDGES, last) == 0,
        key.not_like("%.%0"),
    )
    found = warehouse.fetch(sa.select(key).where(key != "", sa.not_(is_plain)))
    return pa.concat_arrays([pa.array([], pa.string()), *found[key.name].chunks])


def _without_zeros(keys: pa.Array, spellings: Iterable[Spellings]) -> pa.Array:
    """`keys` without `.0` where tonight's input says that they are whole numbers."""
    zeros = keys.filter(pc.match_substring_regex(keys, _WITH_ZEROS))
    if not len(zeros):
        return keys
    numbers = _number(zeros)
    wanted = pa.concat_arrays([zeros, numbers])
    typed, others = (
        _present(spellings, wanted, typed=True),
        _present(spellings, wanted, typed=False),
    )
    is_number = pc.and_(
        pc.is_in(numbers, typed),
        pc.invert(pc.is_in(zeros, pa.concat_arrays([typed, others]))),
    )
    return pc.if_else(pc.is_in(keys, zeros.filter(is_number)), _number(keys), keys)


def _number(keys: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(keys, r"\.0+$", "")


def _present(spellings: Iterable[Spellings], wanted: pa.Array, *, typed: bool) -> pa.Array:
    """Which of `wanted` the sources of one kind have tonight."""
    found = [
        pc.unique(keys.filter(pc.is_in(keys, wanted)))
        for source in spellings
        if source.is_typed == typed
        for keys in source.batches
    ]
    return pc.unique(pa.concat_arrays([pa.array([], pa.string()), *found]))


def _rewrite(
    warehouse: Warehouse,
    table: sa.Table,
    changes: pa.Table,
    fact: str,
    record: ChangeRecord | None,
) -> None:
    columns = [sa.Column("old", sa.Text()), sa.Column("new", sa.Text())]
    staged = warehouse.temporary(f"rekeyed_{table.name}", columns, table)
    warehouse.append(staged, [warehouse.encode(changes, staged)])
    _refuse_collisions(warehouse, table, staged, fact)
    if record is not None:
        record.renamed(table, staged)
    warehouse.rename_keys(table, staged)
    warehouse.drop(staged)


def _refuse_collisions(warehouse: Warehouse, table: sa.Table, staged: sa.Table, fact: str) -> None:
    """Raises `GateError` naming keys that would be one."""
    key, other = business_key(table), staged.alias()
    is_taken = sa.select(staged.c.old, key.label("new")).where(key == staged.c.new)
    are_alike = sa.select(staged.c.old, other.c.old.label("new")).where(
        staged.c.new == other.c.new, staged.c.old < other.c.old
    )
    found = warehouse.fetch(sa.union_all(is_taken, are_alike).subquery().select())
    if len(found):
        pairs = "; ".join(_pair(found, row) for row in range(min(len(found), _TOLD)))
        raise GateError(
            f"{table.name}: {len(found):,} pairs of keys become one by the key rules of this "
            f"version ({pairs}); {_remedy(table, fact)}, then run again; nothing was published"
        )


def _pair(keys: pa.Table, row: int) -> str:
    old, new = (ascii(keys[name][row].as_py()) for name in ("old", "new"))
    return f"{old} and {new}"


def _remedy(table: sa.Table, fact: str) -> str:
    if table.foreign_keys:
        return f"delete of each pair the row of {table.name} that is wrong"
    key = surrogate_key(table).name
    return (
        f"of each pair choose the member to keep, point the sales of the other at it (UPDATE "
        f"{fact} SET {key} = ...) and delete the other from {table.name}"
    )

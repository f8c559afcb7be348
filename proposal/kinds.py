"""Rows of another kind than sales: credit notes, returns, and marks that nobody explains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from proposal.roles import Reading
from proposal.words import is_one_of

_MOST_KINDS = 12
_BELOW = r"^[^\w]*[-\x{2212}(]|[-\x{2212}]$"
"""How an amount below 0 is written; the second sign is a minus."""
_AMOUNTS = ("quantity", "unit_price", "line_amount")


def other_kinds(reading: Reading, asked: Iterable[str]) -> Iterator[str]:
    """What is to be said of columns by which some rows may be no sales; those in `asked` are known
    to tell it.
    """
    known = {*asked, *reading.columns.values()} - {reading.columns.get("transaction_id")}
    for name, shape in reading.table.shapes.items():
        if name in known or shape.is_number or shape.is_date or shape.distinct > _MOST_KINDS:
            continue
        kinds = [v for v in shape.values if is_one_of(v, "unclear") or is_one_of(v, "none")]
        if kinds and len(kinds) < shape.distinct and not _are_below_zero(reading, name, kinds):
            rows = sum(n for v, n in zip(shape.values, shape.counts, strict=True) if v in kinds)
            yield (
                f"{name} is {', '.join(kinds)} in {rows:,} rows, which count as any sale does: "
                "skip_when leaves them out"
            )
        elif shape.distinct == 1 and shape.filled < shape.rows / 2 and len(shape.values[0]) <= 2:
            yield (
                f"{name} is {shape.values[0]} in {shape.filled:,} rows: if it means that a sale "
                "does not count, skip_when leaves it out"
            )


def _are_below_zero(reading: Reading, name: str, kinds: list[str]) -> bool:
    """Whether the amounts of these rows have the sign of a return."""
    rows = pc.is_in(reading.table.texts(name), pa.array(kinds, pa.string()))
    for role in _AMOUNTS:
        column = reading.columns.get(role)
        if column is not None:
            texts = reading.table.texts(column).filter(rows)
            if pc.all(pc.match_substring_regex(texts, _BELOW)).as_py():
                return True
    return False

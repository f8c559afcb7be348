"""What the columns of a table without names may be, by their values alone."""

from __future__ import annotations

from proposal.shapes import Shape
from proposal.tables import Found

GUESSED = 0.7
"""How much the values alone speak for a role."""
_MOST_PIECES = 1000


def guessed(table: Found) -> dict[tuple[str, str], float]:
    """By column and role, how much speaks for it: a date, small whole numbers, amounts, a key."""
    found: dict[tuple[str, str], float] = {}
    free = list(table.shapes.values())
    date = next((shape for shape in free if shape.is_date), None)
    if date is None:
        return {}
    found[date.name, "transaction_date"] = 1.0
    free = [shape for shape in free if not shape.is_date]
    key = next((shape for shape in free if shape.is_unique and not _is_amount(shape)), None)
    if key is not None:
        found[key.name, "transaction_id"] = 1.0
        free.remove(key)
    pieces = next((shape for shape in free if _is_pieces(shape)), None)
    if pieces is not None:
        found[pieces.name, "quantity"] = GUESSED
        free.remove(pieces)
    amounts = [shape for shape in free if _is_amount(shape)]
    for shape, role in zip(amounts, ("unit_price", "line_amount"), strict=False):
        found[shape.name, role] = GUESSED
    return found


def told(table: Found) -> str:
    """What to say of such a table."""
    return (
        f"{table.label} has no names of columns: what they are is told by their values alone, so "
        "look at the sample that check shows"
    )


def _is_pieces(shape: Shape) -> bool:
    small = shape.is_whole and all(0 < abs(n) < _MOST_PIECES for n in shape.numbers)
    return small and 1 <= shape.distinct <= 100 and any(n == 1 for n in shape.numbers)


def _is_amount(shape: Shape) -> bool:
    return shape.is_number and not shape.is_whole

"""How the measures of a fact make each other, by what is declared of them: `a x b - c`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Table

from common.star_model import Role, columns_of

_OPERATORS = {"x", "-", "+"}
_PLACES = Decimal("0.0001")


def formula(column: Column[Any]) -> list[str] | None:
    """What a measure is declared to be made of, as names of columns with operators between them;
    None where it is none.
    """
    words = str(column.info.get("description", "")).partition(";")[0].split()
    names, operators = words[::2], words[1::2]
    columns = column.table.columns
    is_one = len(words) > 2 and len(words) % 2 == 1 and set(operators) <= _OPERATORS
    return words if is_one and all(name in columns for name in names) else None


def derivations(fact: Table, row: Mapping[str, Any]) -> dict[str, list[str | Decimal]]:
    """By measure, the numbers that it was made of in this row, with operators between them. Where
    they do not make it, as where something was rounded, there is none.
    """
    found: dict[str, list[str | Decimal]] = {}
    for column in columns_of(fact, Role.MEASURE):
        words = formula(column)
        if words is None or any(row.get(name) is None for name in [column.name, *words[::2]]):
            continue
        parts = [w if w in _OPERATORS else Decimal(row[w]) for w in words]
        if _value(parts) == Decimal(row[column.name]):
            found[column.name] = _expanded(words, row, found)
    return found


def _expanded(
    words: list[str], row: Mapping[str, Any], known: Mapping[str, list[str | Decimal]]
) -> list[str | Decimal]:
    """The numbers; what is a product itself is written as that, where it stands in a sum."""
    parts: list[str | Decimal] = []
    for place, word in enumerate(words):
        inner = known.get(word, [])
        is_product = bool(inner) and set(inner[1::2]) == {"x"}
        beside = {*words[place - 1 : place], *words[place + 1 : place + 2]}
        if word in _OPERATORS:
            parts.append(word)
        elif is_product and "x" not in beside:
            parts += inner
        else:
            parts.append(Decimal(row[word]))
    return parts


def _value(parts: list[str | Decimal]) -> Decimal:
    """The sum of products, rounded as the star rounds."""
    total, product, sign = Decimal(0), Decimal(parts[0]), Decimal(1)
    for operator, number in zip(parts[1::2], parts[2::2], strict=True):
        if operator == "x":
            product *= Decimal(number)
        else:
            total += sign * product
            product, sign = Decimal(number), Decimal(1 if operator == "+" else -1)
    return (total + sign * product).quantize(_PLACES)

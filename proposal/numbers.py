"""The numbers of a table: by which separator they are written, and as arrays to calculate with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from cleaning.numbers import numbers
from proposal.shapes import Shape
from proposal.tables import Found

Floats = npt.NDArray[np.float64]


@dataclass
class Separator:
    """The decimal separator of a table: what speaks for it, and whether anything does."""

    sign: str = "."
    evidence: str = ""
    doubtful: list[str] = field(default_factory=list)
    """Values that are other numbers by the other separator, where nothing else speaks."""
    mixed: str = ""
    """What is wrong when some numbers have a point, and others a comma."""


def separator_of(table: Found, columns: Iterable[str]) -> Separator:
    """The separator by which the numbers in these columns are written."""
    point, comma, doubtful = dict[str, str](), dict[str, str](), list[str]()
    for name in columns:
        shape = table.shapes.get(name)
        if shape is None or shape.is_typed:
            continue
        for value, by_point, by_comma in zip(
            shape.values, shape.by_point, shape.by_comma, strict=True
        ):
            if by_point == by_comma:
                continue
            if by_comma is None:
                point.setdefault(name, value)
            elif by_point is None:
                comma.setdefault(name, value)
            else:
                doubtful.append(value)
    return _judged(table, point, comma, doubtful)


def _judged(
    table: Found, point: dict[str, str], comma: dict[str, str], doubtful: list[str]
) -> Separator:
    if point and comma:
        pointed = sum(_share(table.shapes[name], ".") for name in point)
        with_comma = sum(_share(table.shapes[name], ",") for name in comma)
        sign = "." if pointed >= with_comma else ","
        found = Separator(sign)
        other = comma if sign == "." else point
        name, value = next(iter(other.items()))
        if _share(table.shapes[name], sign) < 0.97:
            found.mixed = (
                f"{name} has numbers such as {value}, other columns such as "
                f"{next(iter((point if sign == '.' else comma).values()))}"
            )
        return found
    if comma:
        name, value = next(iter(comma.items()))
        return Separator(",", f"numbers such as {value} in {name}")
    if point or not doubtful:
        return Separator(".", "")
    return Separator(".", "", doubtful[:3])


def _share(shape: Shape, sign: str) -> float:
    return shape.share(shape.by_point if sign == "." else shape.by_comma)


def floats(table: Found, column: str | None, sign: str) -> Floats:
    """The numbers of a column; NaN where there is none."""
    if column is None:
        return np.full(table.rows.num_rows, np.nan)
    texts = table.texts(column)
    is_typed = column in table.typed
    if table.shapes[column].is_percent:
        texts = pc.utf8_trim_whitespace(pc.replace_substring(texts, "%", ""))
    parsed = numbers(texts, "." if is_typed else sign)
    return np.asarray(pc.cast(parsed, "float64").to_numpy(zero_copy_only=False), np.float64)


def agree(one: Floats, other: Floats, *, relative: float = 0.0) -> float:
    """The share of the rows with both numbers in which they are the same, to a cent."""
    both = ~np.isnan(one) & ~np.isnan(other)
    if not both.any():
        return 0.0
    close = np.abs(one[both] - other[both]) <= 0.0101 + relative * np.abs(other[both])
    return float(close.mean())


def has_parts_of_cents(one: Floats, other: Floats) -> bool:
    """Whether numbers that are the same to a cent are not quite the same."""
    return bool((np.abs(np.nan_to_num(one - other)) > 0.0005).any())


def slope(
    values: Floats, quantity: Floats, groups: npt.NDArray[np.int64]
) -> tuple[float, float, int]:
    """How values grow with the quantity among rows of one product: 0 not at all, 1 in step with it;
    the error of that; and how many rows tell it.
    """
    good = ~np.isnan(values) & ~np.isnan(quantity) & (values > 0) & (quantity > 0)
    if not good.any():
        return 0.0, np.inf, 0
    x, y, own = np.log(quantity[good]), np.log(values[good]), groups[good]
    counts = np.bincount(own)
    x = x - (np.bincount(own, x) / np.maximum(counts, 1))[own]
    y = y - (np.bincount(own, y) / np.maximum(counts, 1))[own]
    spread = float((x * x).sum())
    telling = int((np.abs(x) > 0.05).sum())
    if telling < 2 or spread < 0.1:
        return 0.0, np.inf, telling
    found = float((x * y).sum()) / spread
    rest = float(((y - found * x) ** 2).sum()) / max(1, telling - 1)
    return found, float(np.sqrt(rest / spread)), telling

"""Charts as SVG that stands in a page: no script, no font and no colour of its own.

Its texts are escaped by the library that writes the XML. The style of the page draws it by its
classes, so that it is light or dark as the page is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

import pygal

from pages.shown import signed

_PLAIN = {
    "js": [],
    "css": [],
    "no_prefix": True,
    "show_legend": False,
    "disable_xml_declaration": True,
    "margin": 0,
}
_LEFT_OUT = ("defs", "title", "desc")
"""What pygal puts into a chart that a page has already, or has no use for."""
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_TICKS = 4
"""About so many lines across a chart."""


@dataclass(frozen=True)
class Point:
    """A value of a chart; `tells` appears when one points at it."""

    value: float | None
    tells: str
    mark: str = ""
    """`odd` for one that is unlike the others, `now` for the one that the page is of."""


def columns(
    told: str,
    labels: Sequence[str],
    series: Sequence[Sequence[Point]],
    *,
    width: int,
    height: int,
) -> str:
    """Columns side by side, one of each series per label. `told` says in words what is to be
    seen.
    """
    values = [point.value for each in series for point in each if point.value is not None]
    marks = ticks(min([0.0, *values]), max([0.0, *values]))
    at_axis = [{"value": m, "label": t} for m, t in zip(marks, scaled(marks), strict=True)]
    chart = pygal.Bar(
        **_PLAIN, width=width, height=height, spacing=6, range=(marks[0], marks[-1]),
        y_labels=at_axis,
    )  # fmt: skip
    chart.x_labels = list(labels)
    for each in series:
        chart.add("", [_value(point) for point in each])
    return _drawn(chart, told, "columns" if len(series) > 1 else "columns alone")


def line(told: str, points: Sequence[Point], *, width: int = 240, height: int = 56) -> str:
    """A line without axes through the points, the odd ones marked."""
    chart = pygal.Line(
        **_PLAIN, width=width, height=height, spacing=0, show_x_labels=False, show_y_labels=False,
        show_x_guides=False, show_y_guides=False, dots_size=2, margin_top=7, margin_bottom=7,
        margin_left=7, margin_right=7, range=_around(points),
    )  # fmt: skip
    chart.add("", [_value(point) for point in points])
    return _drawn(chart, told, "line")


def ticks(low: float, high: float) -> list[float]:
    """Round values from below `low` to above `high`."""
    if high <= low:
        high = low + 1
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def scaled(marks: Sequence[float]) -> list[str]:
    """Round values as they stand at an axis, all in the same unit: 0, 0.5 M, 1.0 M."""
    most = max(map(abs, marks))
    unit, letter = next((each for each in _UNITS if most >= each[0]), (1.0, ""))
    step = min(abs(a - b) for a, b in pairwise(marks)) / unit
    places = 0 if step == int(step) else 2 if round(step, 1) != round(step, 2) else 1
    shown = (f"{mark / unit:,.{places}f} {letter}".strip() if mark else "0" for mark in marks)
    return [signed(text) for text in shown]


def _around(points: Sequence[Point]) -> tuple[float, float]:
    """What the values lie between; of values that are all the same, with room on both sides."""
    values = [point.value for point in points if point.value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = (high - low) * 0.02 or abs(high) * 0.5 or 1.0
    return low - room, high + room


def _value(point: Point) -> dict[str, Any] | None:
    if point.value is None:
        return None
    node = {"r": 5} if point.mark else {}
    return {
        "value": point.value,
        "formatter": lambda _, tells=point.tells: tells,
        "node": {"class": f"dot {point.mark}".strip(), **node},
    }


def _drawn(chart: Any, told: str, kind: str) -> str:
    chart.add_xml_filter(lambda root: _bared(root, told, kind))
    text: str = chart.render(is_unicode=True)
    return text


def _bared(root: Element, told: str, kind: str) -> Element:
    """The drawing alone, with what it shows in words, and a text at each value."""
    root.attrib.pop("id", None)
    root.attrib.update({"class": f"chart {kind}", "role": "img", "aria-label": told})
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "desc" and child.get("class") == "value":
                child.tag = "title"
                child.attrib.clear()
            elif _is_left_out(child):
                parent.remove(child)
        for name in ("cx", "cy", "r", "x", "y", "width", "height", "d"):
            if name in parent.attrib:
                parent.set(name, _rounded(parent.get(name, "")))
        for name in ("rx", "ry"):
            if parent.tag == "rect":
                parent.attrib.pop(name, None)
    for dots in root.iter("g"):
        _told_at_its_dot(dots)
    for dot in root.iter("circle"):
        if "odd" in dot.get("class", "").split():
            _as_diamond(dot)
    return root


def _is_left_out(node: Element) -> bool:
    if not isinstance(node.tag, str):  # a comment
        return True
    classes = node.get("class", "").split()
    return (
        node.tag in _LEFT_OUT
        or "background" in classes
        or "tooltip-overlay" in classes
        or "text-overlay" in classes
        or (node.tag == "g" and classes == ["titles"])
    )


def _told_at_its_dot(group: Element) -> None:
    """Move the text of a value into its shape, where a browser looks for it."""
    shapes = [child for child in group if child.tag in ("circle", "rect")]
    titles = [child for child in group if child.tag == "title"]
    if len(shapes) == len(titles) == 1:
        group.remove(titles[0])
        shapes[0].append(titles[0])


def _as_diamond(dot: Element) -> None:
    """Give a value that is unlike the others another shape, not only another colour."""
    x, y = float(dot.attrib.pop("cx")), float(dot.attrib.pop("cy"))
    r = float(dot.attrib.pop("r")) + 1
    dot.tag = "path"
    dot.set("d", f"M{x} {y - r:g} L{x + r:g} {y} {x} {y + r:g} {x - r:g} {y}z")


def _rounded(numbers: str) -> str:
    """Lengths with one decimal: more than that is not to be seen."""
    found = []
    for part in numbers.split():
        letter = part[0] if part[0].isalpha() else ""
        try:
            found.append(f"{letter}{float(part.removeprefix(letter)):.1f}".replace(".0", ""))
        except ValueError:
            found.append(part)
    return " ".join(found)

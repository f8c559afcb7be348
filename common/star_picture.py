"""The star as a picture: dimensions at the sides, the fact between them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import chain

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from common.star_model import Role, Star, columns_of, plain_type

_WIDTH, _GAP, _LINE, _HEAD = 256, 72, 18, 30
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
STYLE = """
    .card { fill: #ffffff; stroke: #8c959f; }
    .head { fill: #57606a; } .dimension .head { fill: #0a6ebd; } .fact .head { fill: #b35900; }
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #24292f; }
    .name { font-weight: bold; font-size: 14px; fill: #ffffff; }
    .key { font-weight: bold; }
    .type { fill: #57606a; text-anchor: end; }
    .reference { fill: none; stroke: #8c959f; stroke-width: 1.5; }
    .log { stroke-dasharray: 4 4; }
    .end { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #161b22; stroke: #6e7681; }
      text { fill: #e6edf3; }
      .name { fill: #ffffff; }
      .type { fill: #9ea7b3; }
    }"""
"""How it looks where nothing else says so; a page has a style of its own."""


def picture(star: Star, beside: Sequence[Table], *, style: str) -> str:
    """The star as SVG, readable light and dark; `beside` are tables below the fact that belong to
    no dimension.
    """
    left, right = list(star.dimensions[::2]), list(star.dimensions[1::2])
    middle = [star.fact, *beside]
    height = max(_height(left), _height(right), _height(middle))
    places: dict[str, tuple[int, int]] = {}
    for column, tables in enumerate((left, middle, right)):
        y = 10 + (height - _height(tables)) // 2
        for table in tables:
            places[table.name] = 10 + column * (_WIDTH + _GAP), y
            y += _height([table]) + _LINE
    width = 3 * _WIDTH + 2 * _GAP + 20
    cards = chain(star.dimensions, middle)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 20}" '
        f'width="{width}" height="{height + 20}" role="img">',
        f"  <title>{escape(_told(star, beside))}</title>",
        *([f"  <style>{style}\n  </style>"] if style else []),
        *_references(star, beside, places),
        *chain.from_iterable(_card(star, table, *places[table.name]) for table in cards),
        "</svg>",
    ]
    return "\n".join(lines)


def _told(star: Star, beside: Sequence[Table]) -> str:
    """What is to be seen."""
    count = len(star.dimensions)
    number = _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"
    dimensions = "dimension" if count == 1 else "dimensions"
    others = "".join(f"; {table.name} beside it" for table in beside)
    return f"The star: {star.fact.name} between its {number} {dimensions}{others}"


def _height(tables: Sequence[Table]) -> int:
    cards = sum(_HEAD + _LINE * len(table.columns) + 8 for table in tables)
    return cards + _LINE * (len(tables) - 1)


def _middle(table: Table, column: str, top: int) -> int:
    return top + _HEAD + 4 + _LINE * list(table.columns.keys()).index(column) + _LINE // 2


def _references(
    star: Star, beside: Sequence[Table], places: dict[str, tuple[int, int]]
) -> list[str]:
    """A line from each key of the fact to the dimension's key; each turns at a place of its own."""
    fact = star.fact
    x, y = places[fact.name]
    lines = []
    for number, column in enumerate(columns_of(fact, Role.DIMENSION_KEY)):
        target = next(iter(column.foreign_keys)).column
        to_x, to_y = places[target.table.name]
        start, end = (x, to_x + _WIDTH) if to_x < x else (x + _WIDTH, to_x)
        turn = (start + end) // 2 + (12 if number % 2 else -12)
        here = _middle(fact, column.name, y)
        there = _middle(target.table, target.name, to_y)
        lines += [
            f'  <path class="reference" d="M{start} {here} H{turn} V{there} H{end}"/>',
            f'  <circle class="end" cx="{end}" cy="{there}" r="4"/>',
        ]
    bottom = y + _height([fact])
    return lines + [
        f'  <path class="reference log" d="M{x + _WIDTH // 2} {bottom} V{places[table.name][1]}"/>'
        for table in beside
    ]


def _card(star: Star, table: Table, x: int, y: int) -> list[str]:
    kind = "fact" if table is star.fact else "dimension" if table in star.dimensions else "log"
    lines = [
        f'  <g class="{kind}">',
        f'    <rect class="card" x="{x}" y="{y}" width="{_WIDTH}" height="{_height([table])}" '
        'rx="6"/>',
        f'    <path class="head" d="M{x} {y + _HEAD} v-{_HEAD - 6} q0 -6 6 -6 h{_WIDTH - 12} '
        f'q6 0 6 6 v{_HEAD - 6} z"/>',
        f'    <text class="name" x="{x + 12}" y="{y + 20}">{escape(table.name)}</text>',
    ]
    for column in table.columns:
        base = _middle(table, column.name, y) + 4
        is_key = column.primary_key or bool(column.foreign_keys)
        mark = ' class="key"' if is_key or column.info.get("role") is Role.BUSINESS_KEY else ""
        lines += [
            f'    <text{mark} x="{x + 12}" y="{base}">{escape(column.name)}</text>',
            f'    <text class="type" x="{x + _WIDTH - 12}" y="{base}">'
            f"{sql_type(table, column.name)}</text>",
        ]
    return [*lines, "  </g>"]


def sql_type(table: Table, column: str) -> str:
    """The type of a column in PostgreSQL's words, short."""
    kind = plain_type(table.columns[column]).compile(postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return {"timestamp with time zone": "timestamptz"}.get(kind, kind.replace(", ", ","))

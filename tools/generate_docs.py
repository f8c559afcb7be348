"""Writes those parts of the documents that the code knows best: `make docs`.

`.env.example`, the JSON Schema of `star.toml`, the picture of the star, and in README.md and docs/
the parts between `<!-- generated: name -->` and `<!-- end -->`. A test compares them with the code.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from click.testing import CliRunner
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from cli import cli
from common.star_model import Role, columns_of, plain_type
from config import env_example, setting_names
from schema import STAR, etl_run, fact_sales
from tools import book
from tools.settings_schema import settings_schema

ROOT = Path(__file__).parents[1]
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents() -> dict[Path, str]:
    """Every generated document and what it should say.

    Raises `LookupError`, which says what to write, where a page of docs/ is not in its book.
    """
    pages = (ROOT / "README.md", *(book.FOLDER / name for name in book.order()))
    start = book.FOLDER / "README.md"
    return {
        ROOT / ".env.example": env_example(),
        ROOT / "docs" / "star.schema.json": settings_schema(),
        ROOT / "docs" / "star.svg": star(),
        start: book.index(start.read_text(encoding="utf-8")),
        **{page: filled_in(page) for page in pages},
    }


def filled_in(page: Path) -> str:
    """What a page says, with its generated parts made anew."""
    text = page.read_text(encoding="utf-8")
    if page.parent == book.FOLDER:
        text = book.bound(text)
    parts: dict[str, Callable[[], str]] = {
        "costs": costs, "help": command_help, "settings": settings_table,
        "pages": book.contents, "sources": source_columns, "turn": partial(book.turn, page.name),
        **{t.name: partial(table_of_columns, t) for t in (*STAR.dimensions, fact_sales)},
    }  # fmt: skip
    return _GENERATED.sub(lambda found: f"{found[1]}{parts[found[2]]()}\n{found[3]}", text)


def command_help() -> str:
    """What `python main.py --help` prints on a terminal 80 wide."""
    # click leaves two columns of the terminal free
    result = CliRunner().invoke(cli, ["--help"], prog_name="main.py", terminal_width=78)
    return f"```text\n$ python main.py --help\n{result.output}```"


# --- what a run costs -----------------------------------------------------------------------


def costs() -> str:
    """The time and memory of ten million sales, as `make bench` has measured them."""
    results = json.loads((ROOT / "benchmarks" / "results-10000000.json").read_text("utf-8"))
    machine = ", ".join(results["machine"].split(", ")[1:3])
    duckdb, postgresql = (results["engines"][name]["runs"] for name in ("duckdb", "postgresql"))
    first, again = (_median(duckdb, work, "wall_seconds") for work in ("first load", "same again"))
    on_server = _median(postgresql, "first load", "wall_seconds")
    memory = _median(duckdb, "first load", "peak_mib")
    return (
        f"- **{first:.0f} seconds** for ten million sales from CSV into DuckDB, "
        f"{on_server:.0f} into PostgreSQL, {again:.0f} when nothing\n"
        f"  has changed ({machine}; [benchmarks](benchmarks/README.md)).\n"
        f"- **{memory:.0f} MiB** of memory is the most that this takes; its batches wait on disk."
    )


def _median(runs: list[dict[str, Any]], work: str, figure: str) -> float:
    values: list[float] = [run[figure] for run in runs if run["work"] == work]
    return median(values)


# --- settings -------------------------------------------------------------------------------


def settings_table() -> str:
    """Every setting with its default and meaning; those of the four sources in one row each."""
    known = setting_names()
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, (default, meaning) in known.items():
        part = name.partition("__")[2]
        first = f"{STAR.sources[0].name.upper()}__{part}"
        if part and first in known and name != first:
            continue  # told by the row of the first source
        if part and name == first:
            defaults = dict.fromkeys(
                _shown(known[f"{s.name.upper()}__{part}"][0]) or "not set" for s in STAR.sources
            )
            rows.append(_row(f"`<SOURCE>__{part}`", ", ".join(defaults), meaning))
        else:
            rows.append(_row(f"`{name}`", "" if name == "WORKERS" else _shown(default), meaning))
    return "\n".join(rows)


def _shown(default: object) -> str:
    if default is None:
        return ""
    text = json.dumps(default) if isinstance(default, list | dict | bool) else str(default)
    return f"`{text}`"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def source_columns() -> str:
    """The columns of every source, the required ones in bold."""
    rows = ["| Source | Columns |", "|---|---|"]
    for source in STAR.sources:
        columns = [*(f"**{column}**" for column in source.required), *source.optional]
        rows.append(_row(source.name, ", ".join(columns)))
    return "\n".join(rows)


# --- the star -------------------------------------------------------------------------------

_WIDTH, _GAP, _LINE, _HEAD = 256, 72, 18, 30
_STYLE = """
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


def table_of_columns(table: Table) -> str:
    """Each column of a table with its type and meaning; personal ones say so."""
    rows = ["| Column | Type | Meaning |", "|---|---|---|"]
    for column in table.columns:
        personal = "; personal" if column.info.get("is_personal") else ""
        meaning = f"{column.info['description']}{personal}"
        rows.append(_row(column.name, sql_type(table, column.name), meaning))
    return "\n".join(rows)


def star() -> str:
    """The star as SVG: dimensions at the sides, the fact between them, readable light and dark."""
    everything = (*STAR.dimensions, fact_sales, etl_run)
    left, right = list(STAR.dimensions[::2]), list(STAR.dimensions[1::2])
    height = max(_height(left), _height(right), _height([fact_sales, etl_run]))
    places: dict[str, tuple[int, int]] = {}
    for column, tables in enumerate((left, [fact_sales, etl_run], right)):
        y = 10 + (height - _height(tables)) // 2
        for table in tables:
            places[table.name] = 10 + column * (_WIDTH + _GAP), y
            y += _height([table]) + _LINE
    width = 3 * _WIDTH + 2 * _GAP + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 20}" '
        f'width="{width}" height="{height + 20}" role="img">',
        "  <title>The star: fact_sales between its four dimensions; etl_run beside it</title>",
        f"  <style>{_STYLE}\n  </style>",
        *_references(places),
        *chain.from_iterable(_card(t, *places[t.name]) for t in everything),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _height(tables: list[Table]) -> int:
    cards = sum(_HEAD + _LINE * len(table.columns) + 8 for table in tables)
    return cards + _LINE * (len(tables) - 1)


def _middle(table: Table, column: str, top: int) -> int:
    return top + _HEAD + 4 + _LINE * list(table.columns.keys()).index(column) + _LINE // 2


def _references(places: dict[str, tuple[int, int]]) -> list[str]:
    """A line from each key of the fact to the dimension's key; each turns at a place of its own."""
    x, y = places[fact_sales.name]
    lines = []
    for number, column in enumerate(columns_of(fact_sales, Role.DIMENSION_KEY)):
        target = next(iter(column.foreign_keys)).column
        to_x, to_y = places[target.table.name]
        start, end = (x, to_x + _WIDTH) if to_x < x else (x + _WIDTH, to_x)
        turn = (start + end) // 2 + (12 if number % 2 else -12)
        here = _middle(fact_sales, column.name, y)
        there = _middle(target.table, target.name, to_y)
        lines += [
            f'  <path class="reference" d="M{start} {here} H{turn} V{there} H{end}"/>',
            f'  <circle class="end" cx="{end}" cy="{there}" r="4"/>',
        ]
    bottom, top = y + _height([fact_sales]), places[etl_run.name][1]
    lines.append(f'  <path class="reference log" d="M{x + _WIDTH // 2} {bottom} V{top}"/>')
    return lines


def _card(table: Table, x: int, y: int) -> list[str]:
    kind = "fact" if table is fact_sales else "dimension" if table in STAR.dimensions else "log"
    lines = [
        f'  <g class="{kind}">',
        f'    <rect class="card" x="{x}" y="{y}" width="{_WIDTH}" height="{_height([table])}" '
        'rx="6"/>',
        f'    <path class="head" d="M{x} {y + _HEAD} v-{_HEAD - 6} q0 -6 6 -6 h{_WIDTH - 12} '
        f'q6 0 6 6 v{_HEAD - 6} z"/>',
        f'    <text class="name" x="{x + 12}" y="{y + 20}">{table.name}</text>',
    ]
    for column in table.columns:
        base = _middle(table, column.name, y) + 4
        is_key = column.primary_key or bool(column.foreign_keys)
        mark = ' class="key"' if is_key or column.info.get("role") is Role.BUSINESS_KEY else ""
        kind = sql_type(table, column.name)
        lines += [
            f'    <text{mark} x="{x + 12}" y="{base}">{escape(column.name)}</text>',
            f'    <text class="type" x="{x + _WIDTH - 12}" y="{base}">{kind}</text>',
        ]
    return [*lines, "  </g>"]


def sql_type(table: Table, column: str) -> str:
    """The type of a column in PostgreSQL's words, short."""
    kind = plain_type(table.columns[column]).compile(postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return {"timestamp with time zone": "timestamptz"}.get(kind, kind.replace(", ", ","))


def main() -> int:
    """Write every document that is out of date; says which."""
    try:
        made = documents()
    except LookupError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    for path, text in made.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

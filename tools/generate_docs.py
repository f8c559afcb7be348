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
from pathlib import Path
from statistics import median
from typing import Any

from click.testing import CliRunner
from sqlalchemy import Table

from cli import cli
from common.descriptions import in_full
from common.star_picture import STYLE, picture, sql_type
from config import env_example, setting_names
from schema import STAR, etl_run
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
        **{table.name: partial(table_of_columns, table) for table in STAR.tables},
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
    for name, (default, told) in known.items():
        part = name.partition("__")[2]
        first = f"{STAR.sources[0].name.upper()}__{part}"
        if part and first in known and name != first:
            continue  # told by the row of the first source
        if part and name == first:
            defaults = dict.fromkeys(
                _shown(known[f"{s.name.upper()}__{part}"][0]) or "not set" for s in STAR.sources
            )
            rows.append(_row(f"`<SOURCE>__{part}`", ", ".join(defaults), told))
        else:
            rows.append(_row(f"`{name}`", "" if name == "WORKERS" else _shown(default), told))
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


def table_of_columns(table: Table) -> str:
    """What a table is, and each column with its type and meaning; personal ones say so."""
    told = in_full(table)
    rows = [f"{told[:1].upper()}{told[1:]}.", "", "| Column | Type | Meaning |", "|---|---|---|"]
    rows += [_row(c.name, sql_type(table, c.name), in_full(c)) for c in table.columns]
    return "\n".join(rows)


def star() -> str:
    """The star as SVG, with the table of its runs."""
    return picture(STAR, (etl_run,), style=STYLE) + "\n"


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

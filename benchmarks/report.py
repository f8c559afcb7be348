"""Results: medians, ratios against targets, and the tables of README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

Results = dict[str, Any]
HERE = Path(__file__).parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
MILLION = 1_000_000
ENGINES = {"postgresql": "PostgreSQL", "duckdb": "DuckDB"}


class Target(NamedTuple):
    """`work` may take at most `limit` times what `against` takes."""

    engine: str
    work: str
    against: str
    limit: float


TARGETS = (
    Target("postgresql", "first load", "floor", 1.3),
    Target("postgresql", "same again", "first load", 0.3),
    Target("postgresql", "night", "night in plain SQL", 1.5),
    Target("postgresql", "removal night", "removal night in plain SQL", 1.5),
    Target("duckdb", "first load", "SQL script", 1.5),
    Target("duckdb", "same again", "first load", 0.6),
    Target("duckdb", "removal night", "removal night by the script", 1.5),
)
START_UP = {"first progress line": 1.0, "`--help`": 0.5, "sample data, whole run": 4.0}
SCALE_LIMIT = 11.0
MEMORY_LIMIT_MIB, MEMORY_GROWTH_LIMIT = 1024.0, 1.3
BASELINES = {target.against for target in TARGETS} - {"first load"}


def path_of(rows: int, trials: Path) -> Path:
    """Where the results of a size are kept; small sizes are trials, and not kept with the code."""
    return (HERE if rows >= MILLION else trials) / f"results-{rows}.json"


def save(path: Path, results: Results) -> None:
    """Write results; an engine that was not measured this time keeps its last figures."""
    if path.is_file():
        results["engines"] = json.loads(path.read_text())["engines"] | results["engines"]
    path.write_text(json.dumps(results, indent=1) + "\n")


def update_readme() -> None:
    """Put the tables of all kept results between the README's markers."""
    kept = [json.loads(path.read_text()) for path in HERE.glob("results-*.json")]
    put_into_readme(BEGIN, END, list(render(kept)))


def put_into_readme(begin: str, end: str, texts: list[str]) -> None:
    """Put `texts` between two markers of the README."""
    readme = HERE / "README.md"
    head, _, rest = readme.read_text(encoding="utf-8").partition(begin)
    tail = rest.partition(end)[2]
    readme.write_text(head + "\n\n".join([begin, *texts, end]) + tail, encoding="utf-8")


def render(kept: list[Results]) -> Iterator[str]:
    """Markdown: for each size its targets and its works, then what compares sizes."""
    kept = sorted(kept, key=lambda results: int(results["rows"]))
    for results in kept:
        yield f"### {results['rows']:,} sales"
        yield "\n".join([_machine(results), *map(_measured, results["engines"].items())])
        yield table(("Target", "Ratio", "Limit", ""), _ratios(results))
        columns = ("Work", "Seconds", "Spread", "Rows/s", "Peak MiB", "Client CPU s",
                   "Server CPU s", "WAL MiB", "Phases, s")  # fmt: skip
        yield table(columns, _works(results))
    sizes = list(_sizes({int(results["rows"]): results for results in kept}))
    if sizes:
        yield "### Across sizes, and starting up"
        yield table(("Target", "Found", "Limit", ""), sizes)


def _machine(results: Results) -> str:
    return f"{results['machine']}."


def _measured(item: tuple[str, Results]) -> str:
    engine = item[1]
    rounds = max(sum(r["work"] == run["work"] for r in engine["runs"]) for run in engine["runs"])
    return (
        f"{engine['version']}: medians of {rounds}, measured {engine['at']} at {engine['commit']}."
    )


def table(columns: tuple[str, ...], rows: Iterator[list[str]] | list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [list(columns), ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _found(runs: list[Results], work: str, figure: str) -> float | None:
    values = [run[figure] for run in runs if run["work"] == work and run[figure] is not None]
    return median(values) if values else None


def _verdict(what: str, found: float, limit: float, form: str) -> list[str]:
    verdict = "ok" if found <= limit else "**over**"
    return [what, form.format(found), f"≤ {form.format(limit)}", verdict]


def _ratios(results: Results) -> Iterator[list[str]]:
    for engine, work, against, limit in TARGETS:
        runs = results["engines"].get(engine, {"runs": []})["runs"]
        seconds, base = (_found(runs, name, "wall_seconds") for name in (work, against))
        if seconds and base:
            what = f"{ENGINES[engine]}, {work} : {against}"
            yield _verdict(what, seconds / base, limit, "{:.2f}")


def _works(results: Results) -> Iterator[list[str]]:
    for engine, measured in results["engines"].items():
        runs = measured["runs"]
        for work in dict.fromkeys(run["work"] for run in runs):
            walls = [run["wall_seconds"] for run in runs if run["work"] == work]
            phases = [run["phases"] for run in runs if run["work"] == work]
            parts = ", ".join(
                f"{name.split('_')[0]} {median(phase[name] for phase in phases):.2f}"
                for name in phases[0]
            )
            label = f"{ENGINES[engine]}, {work}"
            yield [
                f"*{label}*" if work in BASELINES else label,
                f"{median(walls):.2f}",
                f"{min(walls):.2f}-{max(walls):.2f}",
                f"{_found(runs, work, 'rows_per_second') or 0:,.0f}",
                _shown(_found(runs, work, "peak_mib"), ".0f"),
                _shown(_found(runs, work, "client_cpu_seconds"), ".2f"),
                _shown(_found(runs, work, "server_cpu_seconds"), ".2f"),
                _shown(_found(runs, work, "wal_mib"), ",.0f"),
                parts,
            ]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _sizes(kept: dict[int, Results]) -> Iterator[list[str]]:
    for engine, name in ENGINES.items():
        small, middle, large = (
            kept.get(size * MILLION, {}).get("engines", {}).get(engine, {}).get("runs", [])
            for size in (1, 2, 10)
        )
        seconds = [_found(runs, "first load", "wall_seconds") for runs in (small, large)]
        if seconds[0] and seconds[1]:
            ratio = seconds[1] / seconds[0]
            yield _verdict(f"{name}, first load, 10M : 1M", ratio, SCALE_LIMIT, "{:.1f}")
        peaks = [_peak(runs) for runs in (middle, large)]
        if peaks[1]:
            what = f"{name}, highest peak at 10M, MiB"
            yield _verdict(what, peaks[1], MEMORY_LIMIT_MIB, "{:.0f}")
        if peaks[0] and peaks[1]:
            what = f"{name}, highest peak, 10M : 2M"
            yield _verdict(what, peaks[1] / peaks[0], MEMORY_GROWTH_LIMIT, "{:.2f}")
    start_up = kept[max(kept)]["start_up"] if kept else {}
    for what, limit in START_UP.items():
        if what in start_up:
            yield _verdict(f"{what}, s", median(start_up[what]), limit, "{:.2f}")


def _peak(runs: list[Results]) -> float:
    """The highest median among the pipeline's own works."""
    works = {run["work"] for run in runs} - BASELINES
    return max((_found(runs, work, "peak_mib") or 0 for work in works), default=0)

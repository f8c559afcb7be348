"""Loads at several counts of cores: measured as far as this machine has them, then extrapolated."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.threads import Spent
from benchmarks.works import DuckDb, PostgreSql, Threads

Results = dict[str, Any]
BEGIN, END = "<!-- cores -->", "<!-- end of cores -->"
LIMIT, FROM_CORES = 0.8, 8
"""Limit of DuckDB's first load : SQL script on so many cores and more."""


def counts_in(text: str) -> list[int]:
    """Counts of cores, as in "1 2" or "2,4,8". Raises ArgumentTypeError for what is none."""
    counts = text.replace(",", " ").split()
    if not counts or not all(re.fullmatch("[1-9][0-9]*", count) for count in counts):
        raise ArgumentTypeError(f"{text!r} is no list of counts, such as 2,4,8")
    return sorted({int(count) for count in counts})


def measure(
    counts: Sequence[int],
    loads: Callable[[Threads], tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]],
) -> Results:
    """The loads at each of `counts`. `loads` does them all, and returns what there is to say of
    each engine, and its runs.

    This process, and with it all that it starts, a server too, is kept to that many cores. Where
    the machine has fewer, they get as many threads on those that it has, for the extrapolation.
    """
    allowed = os.sched_getaffinity(0)
    found: dict[str, Any] = {}
    try:
        for count in counts:
            is_there = count <= len(allowed)
            os.sched_setaffinity(0, sorted(allowed)[:count])
            threads = Threads(None if is_there else count, are_watched=True)
            about, runs = loads(threads)
            for name, done in runs.items():
                engine = found.setdefault(name, {**about[name], "counts": {}})
                engine["counts"][str(count)] = done
    finally:
        os.sched_setaffinity(0, allowed)
    return {"cores": len(allowed), "engines": found}


def rounds(
    engines: dict[str, PostgreSql | DuckDb], runs: int, threads: Threads
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The loads of all engines, `runs` times, one after the other."""
    for engine in engines.values():
        engine.threads = threads
        engine.prepare_loads()
    for _ in range(runs):
        for name, engine in engines.items():
            for done in engine.loads():
                yield name, done.as_dict()


def path_of(rows: int, trials: Path) -> Path:
    """Where the results are kept, beside those of `report`."""
    path = report.path_of(rows, trials)
    return path.with_name(path.name.replace("results", "cores"))


def save(path: Path, results: Results) -> None:
    """Write results; an engine that was not measured this time, on this machine, keeps its own."""
    if path.is_file():
        last = json.loads(path.read_text())
        if last["machine"] == results["machine"]:
            results["engines"] = last["engines"] | results["engines"]
    path.write_text(json.dumps(results, indent=1) + "\n")


def update_readme() -> None:
    """Put the tables of all kept results between the README's markers."""
    kept = [json.loads(path.read_text()) for path in report.HERE.glob("cores-*.json")]
    kept.sort(key=lambda results: int(results["rows"]))
    report.put_into_readme(BEGIN, END, [text for results in kept for text in render(results)])


def render(results: Results) -> Iterator[str]:
    """Markdown: the works at each count of cores, and the phases of DuckDB's."""
    yield f"### {results['rows']:,} sales, by cores"
    yield "\n".join([f"{results['machine']}.", *map(_measured, results["engines"].items())])
    for name, engine in results["engines"].items():
        yield _works(name, engine["counts"], results["cores"])
    if "duckdb" in results["engines"]:
        yield _phases(results["engines"]["duckdb"]["counts"], results["cores"])


def _measured(item: tuple[str, Results]) -> str:
    engine = item[1]
    return f"{engine['version']}: measured {engine['at']} at {engine['commit']}."


def _heads(counts: Results, cores: int) -> list[str]:
    return [count if int(count) <= cores else f"{count}\\*" for count in counts]


def _works(name: str, counts: Results, cores: int) -> str:
    """Seconds of each work at each count of cores; with a star where they are extrapolated."""
    last = next(iter(counts.values()))
    works = list(dict.fromkeys(run["work"] for run in last))
    seconds = {
        work: [_seconds(runs, work, int(count), cores) for count, runs in counts.items()]
        for work in works
    }
    rows = [
        [f"{report.ENGINES[name]}, {work}", *(f"{found:.2f}" for found in seconds[work])]
        for work in works
    ]
    for work in works[:2] if name == "duckdb" else []:
        modelled = (_modelled(runs, work, int(count)) for count, runs in counts.items())
        rows.append([f"{work}, by the model", *(f"{found:.2f}" for found in modelled)])
    peaks = [median(_figures(runs, "first load", "peak_mib")) for runs in counts.values()]
    rows.append(["first load, peak MiB", *(f"{peak:.0f}" for peak in peaks)])
    for target in report.TARGETS:
        if target.engine == name and target.work in seconds and target.against in seconds:
            pairs = zip(counts, seconds[target.work], seconds[target.against], strict=True)
            what = f"{target.work} : {target.against}"
            rows.append([what, *(_ratio(target, int(n), a / b) for n, a, b in pairs)])
    return report.table(("Seconds on so many cores", *_heads(counts, cores)), rows)


def _ratio(target: report.Target, count: int, ratio: float) -> str:
    if target.engine != "duckdb" or target.work != "first load" or count < FROM_CORES:
        return f"{ratio:.2f}"
    return f"{ratio:.2f} ({'ok' if ratio <= LIMIT else '**over**'}, ≤ {LIMIT:.2f})"


def _seconds(runs: list[Results], work: str, count: int, cores: int) -> float:
    """Measured, if the machine has so many cores; else as the model has it."""
    if count > cores:
        return _modelled(runs, work, count)
    return median(_figures(runs, work, "wall_seconds"))


def _figures(runs: list[Results], work: str, figure: str) -> list[float]:
    return [float(run[figure]) for run in runs if run["work"] == work]


def _modelled(runs: list[Results], work: str, count: int) -> float:
    return sum(
        median(spent.on(count) for spent in spents) for spents in _spent(runs, work).values()
    )


def _spent(runs: list[Results], work: str) -> dict[str, list[Spent]]:
    """What each phase of a work needed, in each run."""
    found: dict[str, list[Spent]] = {}
    for run in runs:
        if run["work"] == work:
            for phase, spent in run["spent"].items():
                found.setdefault(phase, []).append(Spent(**spent))
    return found


def _phases(counts: Results, cores: int) -> str:
    """What each phase needs, at the highest count, and how long it takes by the model."""
    last = list(counts.values())[-1]
    rows = []
    for work, label in (("SQL script", "SQL script"), ("first load", "")):
        for phase, spents in _spent(last, work).items():
            needed = zip(*(astuple(spent) for spent in spents), strict=True)
            by_count = (
                median(spent.on(int(count)) for spent in _spent(runs, work)[phase])
                for count, runs in counts.items()
            )
            seconds = [*map(median, needed), *by_count]
            rows.append([label or phase, *(f"{found:.2f}" for found in seconds)])
    heads = ("By the model", "CPU s", "of it one thread alone", "busiest thread")
    return report.table((*heads, *_heads(counts, cores)), rows)

"""`make bench`: measure the pipeline on both engines beside its baselines."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cores, report, works
from benchmarks.data import ROOT, Bench, prepare
from benchmarks.measure import FailedError
from benchmarks.server import open_server

SMALLEST = 20_000
"""Below this the sample has not every kind of fault, and no increment to speak of."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and save. Exit code 1 when a run fails or leaves a wrong star behind."""
    args = _arguments(argv)
    _say(f"data of {args.rows:,} sales")
    bench = prepare(args.rows)
    folder = bench.folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        results = (
            _measure_cores(bench, args.engines, args.runs, folder, args.cores)
            if args.cores
            else _measure(bench, args.engines, args.runs, folder)
        )
    except FailedError as error:
        _say(f"stopped: {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kind: Any = cores if args.cores else report
    path = kind.path_of(args.rows, bench.folder)
    kind.save(path, results)
    if args.rows >= report.MILLION:
        kind.update_readme()
    tables = cores.render(results) if args.cores else report.render([results])
    sys.stdout.write("\n\n".join(tables) + "\n")
    _say(f"saved in {path}")
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="sales in the file")
    parser.add_argument("--runs", type=int, default=3, help="runs of each work; medians are shown")
    parser.add_argument(
        "--cores",
        type=cores.counts_in,
        help="loads alone, on so many cores: 2,4,8,16; more than there are is extrapolated",
    )
    parser.add_argument("engines", nargs="*", default=["duckdb", "postgresql"], help="to measure")
    args = parser.parse_args(argv)
    if unknown := set(args.engines) - set(report.ENGINES):
        parser.error(f"no such engine: {', '.join(unknown)}; there are {', '.join(report.ENGINES)}")
    if args.rows < SMALLEST or args.runs < 1:
        parser.error(f"--rows must be {SMALLEST:,} or more, --runs 1 or more")
    return args


def _measure(bench: Bench, names: list[str], runs: int, folder: Path) -> dict[str, Any]:
    """Round after round, every work of both engines; so a slow minute hits all alike."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    start_up: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        engines = {name: _engine(name, bench, folder, stack) for name in names}
        for engine in engines.values():
            _say(f"{engine.version}: preparing")
            engine.prepare()
        for number in range(1, runs + 1):
            for name, engine in engines.items():
                for done in engine.round():
                    found[name].append(done.as_dict())
                    _say_run(
                        f"{number}/{runs} {report.ENGINES[name]}, {done.work}", found[name][-1]
                    )
            for what, seconds in works.start_up(folder):
                start_up[what].append(seconds)
        measured = {
            name: {**_about(engine), "runs": found[name]} for name, engine in engines.items()
        }
    return {
        "rows": bench.rows, "machine": _machine(), "engines": measured, "start_up": dict(start_up)
    }  # fmt: skip


def _measure_cores(
    bench: Bench, names: list[str], runs: int, folder: Path, counts: list[int]
) -> dict[str, Any]:
    def loads(
        threads: works.Threads,
    ) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        number = threads.number or len(os.sched_getaffinity(0))
        # What more threads do to the client is seen on fewer cores; to the server it is not.
        chosen = [name for name in names if name == "duckdb" or threads.number is None]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
        place = folder / str(number)
        place.mkdir()
        with ExitStack() as stack:
            engines = {name: _engine(name, bench, place, stack) for name in chosen}
            for name, run in cores.rounds(engines, runs, threads):
                found[name].append(run)
                _say_run(f"cores: {number}, {report.ENGINES[name]}, {run['work']}", run)
            about = {name: _about(engine) for name, engine in engines.items()}
        shutil.rmtree(place)
        return about, found

    measured = cores.measure(counts, loads)
    return {"rows": bench.rows, "machine": _machine(), **measured}


def _about(engine: works.PostgreSql | works.DuckDb) -> dict[str, Any]:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return {"version": engine.version, "at": now, "commit": _commit()}


def _engine(
    name: str, bench: Bench, folder: Path, stack: ExitStack
) -> works.PostgreSql | works.DuckDb:
    place = folder / name
    place.mkdir()
    if name == "duckdb":
        return works.DuckDb(bench, place)
    return works.PostgreSql(bench, stack.enter_context(open_server()), place)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _say_run(label: str, run: dict[str, Any]) -> None:
    _say(
        f"{label}: {run['wall_seconds']:.2f} s, {run['rows_per_second']:,} rows/s, "
        f"{run['peak_mib']:.0f} MiB"
    )


def _machine() -> str:
    cpu = next(
        line.partition(":")[2].strip()
        for line in [
            *Path("/proc/cpuinfo").read_text().splitlines(),
            f"model name:{platform.machine()}",
        ]
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def _commit() -> str:
    """The commit that was measured, marked when the code differed from it."""
    told = subprocess.run(
        ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() or "an unknown commit"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped
    sys.exit(main())

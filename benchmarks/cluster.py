"""`python -m benchmarks.cluster`: what a task costs the coordinator of a Dask cluster.

A run with a cluster of this machine reads and cleans the same sales in batches of several sizes.
Processor time is measured, of the run itself and of its workers: that depends little on what else
the machine does, and on how many cores it has.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from distributed import Client

from benchmarks.data import Bench, prepare
from benchmarks.report import table
from config import load_config
from main import StarSchemaETLPipeline
from run.cluster import ClusterWorkers
from tools.local_cluster import address_in, running

_WORKERS = 2
_SIZES = (10_000, 50_000, 250_000, 1_000_000)


class Counted(StarSchemaETLPipeline):
    """A pipeline that measures its own processor time while it reads and cleans."""

    seconds = 0.0

    def _run_extraction_phase(self, run: Any) -> Any:
        return self._timed(super()._run_extraction_phase, run)

    def _run_transformation_phase(self, run: Any, extracted: Any) -> Any:
        return self._timed(super()._run_transformation_phase, run, extracted)

    def _timed(self, phase: Any, *arguments: Any) -> Any:
        before = time.process_time()
        try:
            return phase(*arguments)
        finally:
            self.seconds += time.process_time() - before


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="sales in the file")
    rows = parser.parse_args(argv).rows
    bench = prepare(rows)
    folder = bench.folder / "cluster"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with running(folder, _WORKERS) as file:
            while not (address := address_in(file)):
                time.sleep(0.05)
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(_WORKERS)
                _measured(client, bench, folder, address, max(_SIZES))  # they import all
                found = [_measured(client, bench, folder, address, s) for s in _SIZES if s <= rows]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(render(found, rows))
    return 0


def _measured(
    client: Client, bench: Bench, folder: Path, address: str, batch_rows: int
) -> dict[str, float]:
    """One run into an empty warehouse: its tasks, and the processor time that they take."""
    tasks, usual = 0, ClusterWorkers._submit  # noqa: SLF001  # nothing else passes all of them

    def counting(workers: ClusterWorkers, task: Any) -> Any:
        nonlocal tasks
        tasks += task.is_portable
        return usual(workers, task)

    own = folder / "run"
    config = load_config(
        None,
        {
            "CUSTOMERS__PATH": str(bench.base / "customers.csv"),
            "PRODUCTS__PATH": str(bench.base / "products.json"),
            "TRANSACTIONS__PATH": str(bench.base / "sales_transactions.csv"),
            "WAREHOUSE_URL": f"duckdb:///{own}/warehouse.duckdb",
            "LOG_FILE": str(own / "etl.log"),
            "REJECTS_DIR": str(own / "rejects"),
            "REPORTS_DIR": "",
            "WORK_DIR": str(own / "work"),
            "BATCH_ROWS": str(batch_rows),
            "DASK_SCHEDULER": address,
        },
    )
    before = sum(client.run(time.process_time).values())
    pipeline = Counted(config, quiet=True)
    with patch.object(ClusterWorkers, "_submit", counting):
        results = pipeline.run_full_pipeline()
    shutil.rmtree(own, ignore_errors=True)
    if not results["success"]:
        raise SystemExit("\n".join(results["errors"]))
    workers = sum(client.run(time.process_time).values()) - before
    return {"size": batch_rows, "tasks": tasks, "own": pipeline.seconds, "workers": workers}


def render(found: list[dict[str, float]], rows: int) -> str:
    """The figures as a table, and what one more task costs."""
    millions = rows / 1_000_000
    lines = [
        [
            f"{run['size']:,}", f"{run['tasks']:,}", f"{run['own'] / millions:.2f}",
            f"{run['workers'] / millions:.2f}", f"{run['workers'] / run['own']:.0f}",
        ]
        for run in found
    ]  # fmt: skip
    columns = (
        "BATCH_ROWS", "tasks", "coordinator, s per million", "workers, s per million",
        "cores kept busy",
    )  # fmt: skip
    first, last = found[0], found[-1]
    task = (first["own"] - last["own"]) / max(first["tasks"] - last["tasks"], 1)
    told = f"One task more costs the coordinator {task * 1000:.1f} ms of processor time."
    return f"{table(columns, lines)}\n\n{told}\n"


if __name__ == "__main__":
    sys.exit(main())

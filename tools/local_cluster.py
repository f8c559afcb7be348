"""Loads the samples by a Dask cluster on this machine, and stops it again: `make cluster`.

The warehouse, the log and what the processes of the cluster say are in data/cluster/ then.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
PLACE = Path("data") / "cluster"
_WORKERS = 2
_START_SECONDS = 60
_END_SECONDS = 10


class Stop:
    """Hears of Ctrl-C and SIGTERM. As an exception they could come between the start of a process
    and the moment from which on somebody ends it.
    """

    def __init__(self) -> None:
        self.number = 0
        self.run: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.hear)

    def hear(self, number: int, frame: FrameType | None = None) -> None:  # noqa: ARG002
        """Hand a signal on to the run, which ends in good order; a second one it ignores."""
        self.number = number
        if self.run is not None:
            self.run.send_signal(number)

    def watch(self, run: subprocess.Popen[bytes]) -> None:
        """From now on this is the run."""
        self.run = run
        if self.number:
            self.hear(self.number)


def main(arguments: Sequence[str]) -> int:
    """Run `main.py` with these arguments and the samples; returns its exit code."""
    stop = Stop()
    os.chdir(ROOT)
    shutil.rmtree(PLACE, ignore_errors=True)
    with running(PLACE, _WORKERS, pages=True) as file:
        return _load(file, arguments, stop)


@contextmanager
def running(place: Path, workers: int, *, pages: bool = False) -> Iterator[Path]:
    """A cluster on this machine, whose processes are started in the folder of the application;
    what they say goes to `place`, and so does the file with the scheduler's address, which comes in
    a moment: see `address_in`. With `pages` it has a dashboard.
    """
    place.mkdir(parents=True, exist_ok=True)
    file = place / "scheduler.json"
    both = ("--host", "tcp://127.0.0.1", "--scheduler-file", str(file))
    dashboard = ("--dashboard-address", "127.0.0.1:0") if pages else ("--no-dashboard",)
    own = ("--nworkers", str(workers), "--nthreads", "1", "--local-directory", str(place))
    scheduler = ("--port", "0", "--idle-timeout", "10 minutes", *dashboard)
    with (
        _process(place, "scheduler", *both, *scheduler),
        _process(place, "worker", *both, *own, "--no-dashboard"),
    ):
        yield file


def _load(scheduler_file: Path, arguments: Sequence[str], stop: Stop) -> int:
    """Load the samples once the scheduler is there."""
    until = time.monotonic() + _START_SECONDS
    while not (address := address_in(scheduler_file)):
        if stop.number:
            return 128 + stop.number
        if time.monotonic() > until:
            sys.stderr.write(f"the scheduler has not begun; see {PLACE / 'scheduler.log'}\n")
            return 1
        time.sleep(0.05)
    settings = {
        "DASK_SCHEDULER": address,
        "WAREHOUSE_URL": f"duckdb:///{PLACE / 'warehouse.duckdb'}",
        "LOG_FILE": str(PLACE / "etl.log"),
        "REJECTS_DIR": str(PLACE / "rejects"),
        "WORK_DIR": str(PLACE / "work"),
    }
    command = [sys.executable, "main.py", "--env-file", os.devnull, *arguments]
    environment = {**os.environ, **settings}
    with subprocess.Popen(command, env=environment) as run:  # noqa: S603  # our own command
        stop.watch(run)
        return run.wait()


def address_in(scheduler_file: Path) -> str:
    """What the scheduler has written of itself; '' before it has."""
    try:
        return str(json.loads(scheduler_file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError):
        return ""


@contextmanager
def _process(place: Path, role: str, *options: str) -> Iterator[None]:
    """A process of the cluster; Ctrl-C is not for it, as it would end before the run."""
    with (place / f"{role}.log").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603  # our own commands
            [sys.executable, "-m", "dask", role, *options],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, cwd=ROOT,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # its own session: its nannies and workers too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

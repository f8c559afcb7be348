"""A Dask cluster on this machine, each of its processes one that a test may kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from support import cluster_hooks
from support.processes import Warm
from support.waiting import HANGS, wait_until


class Process(Protocol):
    """A process of the cluster."""

    pid: int

    def wait(self) -> int: ...


@dataclass
class DaskCluster:
    """A scheduler and its workers, who listen on this machine only and die for good.

    `folder` takes what they say. Their processes are forked by `warm`, as that takes a tenth of
    the time, but for those with a `path` of their own to import from.
    """

    folder: Path
    warm: Warm
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    options: Sequence[str] = ("--host", "tcp://127.0.0.1")
    scheduler: Process | None = None
    workers: list[Process] = field(default_factory=list)

    @property
    def hooks(self) -> Path:
        """The folder of `support.cluster_hooks`."""
        return self.folder / "hooks"

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        found = json.loads((self.folder / "scheduler.json").read_text(encoding="utf-8"))
        return str(found["address"])

    def start(self, workers: int = 2) -> DaskCluster:
        """Start the scheduler, and so many workers."""
        self.hooks.mkdir(parents=True, exist_ok=True)
        self.scheduler = self._process(
            "scheduler", "scheduler", "--port", "0", "--no-dashboard", path=self.path
        )
        wait_until(self._has_begun, "the scheduler has begun")
        for _ in range(workers):
            self.start_worker(path=self.path)
        return self

    def start_worker(self, path: str | None = None) -> None:
        """Start one more worker."""
        name = f"worker{len(self.workers)}"
        self.workers.append(
            self._process(
                name, "worker", "--nthreads", "1", "--no-dashboard", "--no-nanny",
                "--local-directory", str(self.folder / name), "--death-timeout", str(HANGS),
                path=path,
            )
        )  # fmt: skip

    def made_whole(self) -> DaskCluster:
        """This cluster with two workers again, who do nothing of their own accord."""
        shutil.rmtree(self.hooks, ignore_errors=True)
        self.hooks.mkdir()
        for _ in range(2 - self.alive()):
            self.start_worker()
        self.all_registered()
        return self

    def all_registered(self) -> None:
        """Wait until the scheduler knows all workers."""
        wait_until(self._are_all_registered, "the workers are there")

    def alive(self) -> int:
        """How many workers there are."""
        return sum(not _has_ended(worker.pid) for worker in self.workers)

    def hook(self, name: str, word: str) -> None:
        """Have a worker do something at a batch whose name has this word in it."""
        waiting = self.hooks / f"{name}.tmp"
        waiting.write_text(word, encoding="utf-8")
        waiting.rename(self.hooks / name)

    def reached(self, name: str) -> None:
        """Wait until a worker has come to that batch."""
        wait_until((self.hooks / f"{name}.reached").exists, f"a worker comes to {name}")

    def release(self) -> None:
        """Have those go on that pause."""
        (self.hooks / "pause").unlink()

    def written(self) -> list[set[str]]:
        """The batches that each worker has written or begun to write."""
        return [set(p.read_text().splitlines()) for p in self.hooks.glob("written-by-*")]

    def tasks(self) -> list[str]:
        """What the scheduler still has to do, or keeps."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            found: list[str] = client.run_on_scheduler(cluster_hooks.tasks)
            return found

    def silence_scheduler(self) -> None:
        """As if its machine hung: it is there, and answers nothing."""
        assert self.scheduler is not None
        os.kill(self.scheduler.pid, signal.SIGSTOP)

    def processes(self) -> list[Process]:
        """All that are alive."""
        every = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        return [process for process in every if not _has_ended(process.pid)]

    def kill_worker(self) -> None:
        """The first one."""
        os.kill(self.workers[0].pid, signal.SIGKILL)

    def kill_scheduler(self) -> None:
        """As if its machine had lost its power."""
        assert self.scheduler is not None
        os.kill(self.scheduler.pid, signal.SIGKILL)
        self.scheduler.wait()

    def close(self) -> None:
        """End all of its processes."""
        for process in self.processes():
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    def _has_begun(self) -> bool:
        with suppress(OSError, ValueError):
            return bool(self.address)
        return False

    def _are_all_registered(self) -> bool:
        said = (p.read_text(errors="replace") for p in self.folder.glob("worker*/*.err"))
        return sum("Registered to" in text for text in said) == len(self.workers)

    def _process(self, name: str, *arguments: str, path: str | None) -> Process:
        place = self.folder / name
        place.mkdir()
        environment = {"HOOKS": str(self.hooks), **self.environment}
        given = [*arguments, *self.options, "--scheduler-file", str(self.folder / "scheduler.json")]
        if path is None:
            return self.warm.start(place, "dask_process", environment, *given)
        with (place / "1.err").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *given], cwd=place, stdout=said, stderr=said,
                env={**os.environ, **environment, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
            )  # fmt: skip


def _has_ended(pid: int) -> bool:
    """Whether a process has gone, or waits for somebody to hear of its end."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"

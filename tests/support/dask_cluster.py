"""A Dask cluster on this machine, each of its processes one that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.application import ROOT, TESTS
from support.waiting import HANGS, wait_until


@dataclass
class DaskCluster:
    """A scheduler and its workers, who listen on this machine only.

    `folder` takes what they say. `hooks` is the folder of `support.cluster_hooks`.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ("--host", "tcp://127.0.0.1")
    preload: Sequence[str] = ("--preload", "support.cluster_hooks")
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def hooks(self) -> Path:
        return self.folder / "hooks"

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        found = json.loads((self.folder / "scheduler.json").read_text(encoding="utf-8"))
        return str(found["address"])

    def start(self, workers: int = 2, *options: str) -> DaskCluster:
        """Start the scheduler, and so many workers."""
        self.hooks.mkdir(parents=True, exist_ok=True)
        self.scheduler = self._process(
            "scheduler", "scheduler", "--port", "0", "--no-dashboard", *self.options
        )
        wait_until(lambda: self._has("scheduler.json"), "the scheduler has begun")
        for _ in range(workers):
            self.start_worker(*options)
        return self

    def start_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start one more worker; it dies for good when it dies."""
        name = f"worker{len(self.workers)}"
        made = self._process(
            name, "worker", "--nthreads", "1", "--no-dashboard", "--no-nanny",
            "--local-directory", str(self.folder / name), "--death-timeout", str(HANGS),
            *self.preload, *self.options, *options, **environment,
        )  # fmt: skip
        self.workers.append(made)
        return made

    def kill_scheduler(self) -> None:
        """As if its machine had lost its power."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def said(self) -> str:
        """All that its processes have said."""
        return "\n".join(p.read_text(errors="replace") for p in self.folder.glob("*.err"))

    def close(self) -> None:
        """End all of its processes."""
        processes = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in processes:
            process.wait()

    def _has(self, name: str) -> bool:
        with suppress(OSError, ValueError):
            return bool(json.loads((self.folder / name).read_text(encoding="utf-8")))
        return False

    def _process(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        said = (self.folder / f"{name}.err").open("wb")
        own = {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}",
            "HOOKS": str(self.hooks),
            **self.environment,
            **environment,
        }
        with said:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments,
                 "--scheduler-file", str(self.folder / "scheduler.json")],
                cwd=self.folder, env={**os.environ, **own}, stdout=said, stderr=said,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

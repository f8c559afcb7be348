"""One measured run: a whole process from start to exit, with all that it makes the server do."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_POLL_SECONDS = 0.02
_THREADS_SECONDS = 0.05
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class FailedError(Exception):
    """A measured process failed, or left something wrong behind: no figure is worth anything."""


Sample = tuple[float, dict[str, float]]
"""A moment (`time.time`), and the CPU seconds that each thread has used until then."""


class Counted(Protocol):
    """What a server counts while a process uses it; `server.Server` is one."""

    def counters(self) -> tuple[float | None, int]:
        """CPU seconds of all its processes (None when they are out of sight), WAL bytes."""


@dataclass(frozen=True)
class Usage:
    """What one process, its children and its server needed."""

    wall_seconds: float
    first_line_seconds: float | None
    peak_mib: float
    client_cpu_seconds: float
    server_cpu_seconds: float | None
    wal_mib: float | None
    output: str
    began: float = 0
    """When, as `time.time` has it."""
    samples: list[Sample] = field(default_factory=list)
    """What each thread of the process has used, if that was asked for."""


def run(
    command: Sequence[str | Path],
    folder: Path,
    settings: Mapping[str, str],
    server: Counted | None = None,
    *,
    by_thread: bool = False,
) -> Usage:
    """Run `command` in `folder` with `settings` as environment; raises `FailedError`. `by_thread`:
    its threads are watched, too, which takes some processor time.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    out, err = folder / "stdout", folder / "stderr"
    os.sync()  # what earlier runs wrote is not this run's to wait for
    cpu, wal = server.counters() if server else (None, 0)
    began, started = time.time(), time.perf_counter()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603  # our own commands
            command, cwd=folder, env={**environment, **settings}, stdout=stdout, stderr=stderr
        )
    with _Sampler(process.pid, err, started, by_thread=by_thread) as sampler:
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_after, wal_after = server.counters() if server else (None, 0)
    if process.returncode:
        told = err.read_text(errors="replace")[-2000:]
        raise FailedError(f"{command[1:3]} ended with exit code {process.returncode}:\n{told}")
    return Usage(
        wall_seconds=round(wall, 3),
        first_line_seconds=sampler.first_line,
        peak_mib=round(sampler.peak_kib / 1024, 1),
        client_cpu_seconds=round(usage.ru_utime + usage.ru_stime, 3),
        server_cpu_seconds=None if cpu_after is None or cpu is None else round(cpu_after - cpu, 3),
        wal_mib=round((wal_after - wal) / 2**20, 1) if server else None,
        output=out.read_text(),
        began=began,
        samples=sampler.samples,
    )


class _Sampler(threading.Thread):
    """Watches a process tree: its memory, its threads, and when the first line is on stderr."""

    def __init__(self, pid: int, stderr: Path, started: float, *, by_thread: bool) -> None:
        super().__init__(daemon=True)
        self._by_thread = by_thread
        self.samples: list[Sample] = []
        self._root, self._stderr, self._begin = pid, stderr, started
        self._stop_now = threading.Event()
        self.peak_kib = 0
        self.first_line: float | None = None

    def run(self) -> None:
        while True:
            self.peak_kib = max(self.peak_kib, sum(map(_peak_kib, _tree(self._root))))
            if self.first_line is None and self._stderr.stat().st_size:
                self.first_line = round(time.perf_counter() - self._begin, 3)
            if self._by_thread:
                self.samples.append((time.time(), _cpu_by_thread(self._root)))
            if self._stop_now.wait(_THREADS_SECONDS if self._by_thread else _POLL_SECONDS):
                return

    def __enter__(self) -> _Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_now.set()
        self.join()


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they are alive."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _peak_kib(pid: int) -> int:
    """VmHWM, the most that a process ever held; ru_maxrss would count its parent's as well."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def _cpu_by_thread(pid: int) -> dict[str, float]:
    """The CPU seconds of each thread that is alive."""
    used = {}
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                nanoseconds = (thread / "schedstat").read_text().split()[0]
                used[thread.name] = int(nanoseconds) / 1e9
    return used

"""Runs in processes of their own, which cost a tenth of a second each."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.application import TESTS
from support.waiting import HANGS


class Warm:
    """A process that has imported the application, and forks for each run.

    A run is a call of a function of `support.loads` by its name.
    """

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.loads"],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._changed = threading.Condition()
        self._pids: dict[int, int] = {}
        self._codes: dict[int, int] = {}
        self._tickets = itertools.count(1)
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, output: Path, call: str, *arguments: object) -> Run:
        """Start a run, whose stdout and stderr go to files in the folder `output`."""
        ticket = next(self._tickets)
        out, err = output / f"{ticket}.out", output / f"{ticket}.err"
        request = {
            "ticket": ticket, "call": call, "arguments": arguments, "cwd": str(output),
            "out": str(out), "err": str(err),
        }  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Run(self, self.awaited(self._pids, ticket), out, err)

    def awaited(self, known: dict[int, int], key: int) -> int:
        """What the server tells of `key`, as soon as it does."""
        with self._changed:
            assert self._changed.wait_for(lambda: key in known, HANGS), "the run hangs"
            return known[key]

    def code(self, pid: int) -> int:
        """The exit code of a run that has ended or is about to; minus the signal, if killed."""
        return self.awaited(self._codes, pid)

    def has_ended(self, pid: int) -> bool:
        """Whether a run has ended."""
        with self._changed:
            return pid in self._codes

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            what, key, value = line.split()
            with self._changed:
                if what == "started":
                    self._codes.pop(int(value), None)  # of an earlier process of that number
                (self._pids if what == "started" else self._codes)[int(key)] = int(value)
                self._changed.notify_all()


@dataclass
class Run:
    """A run in a process of its own."""

    warm: Warm
    pid: int
    out: Path
    err: Path

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self.warm.code(self.pid)

    def has_ended(self) -> bool:
        """Whether it has."""
        return self.warm.has_ended(self.pid)

    def send(self, *signals: int) -> None:
        """Send signals, unless it has ended."""
        for number in signals:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def stdout(self) -> str:
        return self.out.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        """Nothing, where it was killed before it had opened it."""
        return self.err.read_text(encoding="utf-8") if self.err.exists() else ""

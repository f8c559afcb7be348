"""The command line, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import main
from support.application import ROOT
from support.retailer import Retailer
from support.tables import Row

_CHILD = """
import os, re, resource, sys, time
root, file_bytes, cpu_seconds, umask, *arguments = sys.argv[1:]
sys.path.insert(0, root)
if cpu_seconds != "0":
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
if file_bytes != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes), int(file_bytes)))
os.umask(int(umask, 8))
import cli
code = cli.main(arguments)
with open("/proc/self/status") as status:
    peak = re.search(r"VmHWM:\\s*([0-9]+) kB", status.read())[1]
sys.stdout.flush()
sys.stderr.write(f"peak={peak}")
sys.stderr.flush()
os._exit(code)
"""


@dataclass
class Ended:
    """How a command in a process of its own ended."""

    code: int
    out: str
    err: str
    peak_mib: float
    seconds: float

    @property
    def results(self) -> Row:
        """The summary that `--json` printed."""
        summary: Row = json.loads(self.out)
        return summary


def in_a_child(
    *arguments: str,
    file_bytes: int = 0,
    cpu_seconds: int = 0,
    umask: int = 0o022,
    environment: dict[str, str] | None = None,
    timeout: float = 600,
    root: Path = ROOT,
) -> Ended:
    """Run `python main.py` of `root` in a process of its own, which tells its peak memory.

    `file_bytes` limits how long a file may get, as a full disk does; `cpu_seconds` is what it may
    compute, which other processes do not prolong.
    """
    given = [str(root), str(file_bytes), str(cpu_seconds), f"{umask:o}", *arguments]
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, *given],
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    err, _, peak = ended.stderr.rpartition("peak=")
    assert peak.isdigit(), ended.stderr[-3000:]
    seconds = time.monotonic() - started
    return Ended(ended.returncode, ended.stdout, err, int(peak) / 1024, seconds)


def run_command(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *options: str, **settings: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python main.py`."""
    capsys.readouterr()
    code = main(["--env-file", shop.env_file(**settings), *options])
    told = capsys.readouterr()
    return code, told.out, told.err


def run_json(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *options: str, **settings: object
) -> tuple[int, Row, str]:
    """Exit code, summary and stderr of `python main.py --json`."""
    capsys.readouterr()
    code = main(["--env-file", shop.env_file(**settings), "--json", *options])
    told = capsys.readouterr()
    return code, json.loads(told.out), told.err

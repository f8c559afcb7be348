"""`make cluster`: the samples by a cluster of this machine, which is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support.application import ROOT, copy_application, copy_samples
from support.waiting import wait_until


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with the application, its tools and its samples."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    copy_application(folder)
    copy_samples(folder)
    shutil.copytree(ROOT / "tools", folder / "tools")
    return folder


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`make cluster` as a job of a shell."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.local_cluster", *options],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def processes_in(folder: Path) -> list[str]:
    """The processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_a_cluster_of_this_machine_loads_the_samples(fresh: Path) -> None:
    job = started(fresh, "--json")
    out, err = job.communicate()
    assert job.returncode == 0, err
    results = json.loads(out)
    assert results["status"] == "published"
    assert results["fact_loading_results"]["records_inserted"] == 19_710
    assert "the cluster at tcp://127.0.0.1:" in err
    assert "dashboard is http://127.0.0.1:" in err
    assert (fresh / "data" / "cluster" / "warehouse.duckdb").exists()
    assert not list((fresh / "data" / "cluster" / "work").iterdir())
    assert processes_in(fresh) == []


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("scheduler.log", signal.SIGINT),
        ("scheduler.log", signal.SIGTERM),
        ("etl.log", signal.SIGINT),
    ],
)
def test_it_can_be_interrupted_at_any_time(file: str, number: int, fresh: Path) -> None:
    """Ctrl-C reaches every process of the job; a SIGTERM the first one alone."""
    job = started(fresh)
    wait_until((fresh / "data" / "cluster" / file).exists, "it has begun")
    if number == signal.SIGINT:
        os.killpg(job.pid, number)
    else:
        job.send_signal(number)
    _, err = job.communicate()
    assert job.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM), err
    assert "Traceback" not in err
    assert processes_in(fresh) == []

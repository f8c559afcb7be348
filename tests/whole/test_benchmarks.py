"""The benchmark measures what it says, and proves each star that it has loaded."""

from __future__ import annotations

import json
import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cores, data, json_documents
from benchmarks.__main__ import main
from benchmarks.threads import Spent, spent

ROWS = 20_000


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the data and the results of the measured size are."""
    monkeypatch.setattr(data, "ROOT", tmp_path)
    return tmp_path / "data" / "bench" / str(ROWS)


def test_loads_are_measured_on_the_cores_that_are_there_and_extrapolated_to_others(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = os.sched_getaffinity(0)
    more = len(allowed) + 1

    code = main(["--rows", str(ROWS), "--runs", "1", "--cores", f"1,{more}", "duckdb"])

    assert code == 0
    assert os.sched_getaffinity(0) == allowed
    results = json.loads((kept / f"cores-{ROWS}.json").read_text())
    counts: dict[str, list[dict[str, Any]]] = results["engines"]["duckdb"]["counts"]
    assert list(counts) == ["1", str(more)]
    for runs in counts.values():
        assert [run["work"] for run in runs] == ["SQL script", "first load", "same again"]
        script, load, _ = runs
        assert list(script["spent"]) == ["start"]
        assert {"extraction", "transformation", "fact", "validation"} <= load["spent"].keys()
        assert sum(phase["cpu_seconds"] for phase in load["spent"].values()) > 0
    lines = capsys.readouterr().out.splitlines()
    assert f"| Seconds on so many cores | 1 | {more}\\* |" in lines
    for told in ("first load : SQL script", "first load, by the model", "first load, peak MiB"):
        assert any(line.startswith(f"| {told} |") for line in lines)


def test_work_of_one_thread_alone_is_told_from_work_that_is_shared() -> None:
    samples = [
        (0.0, {"a": 0.0}),
        (1.0, {"a": 1.0, "b": 0.0}),
        (2.0, {"a": 1.5, "b": 0.5}),
        (3.0, {"a": 2.0, "b": 1.0}),
        (4.0, {"a": 2.0, "b": 1.0, "c": 0.9}),
    ]

    found = spent(samples, 0.0, [("extraction", 1.0), ("validation", 3.0)])

    assert found == {
        "start": {"cpu_seconds": 1.0, "alone_seconds": 1.0, "busiest_seconds": 1.0},
        "extraction": {"cpu_seconds": 2.0, "alone_seconds": 0.0, "busiest_seconds": 1.0},
        "validation": {"cpu_seconds": 0.9, "alone_seconds": 0.9, "busiest_seconds": 0.9},
    }


@pytest.mark.parametrize(
    ("needed", "count", "seconds"),
    [
        (Spent(10, 2, 3), 1, 10),
        (Spent(10, 2, 3), 4, 4),
        (Spent(10, 2, 3), 16, 3),  # the busiest thread has that much to do
    ],
)
def test_more_cores_help_what_is_shared_alone(needed: Spent, count: int, seconds: float) -> None:
    assert needed.on(count) == seconds


def test_counts_of_cores_are_told_in_any_order_and_checked() -> None:
    assert cores.counts_in("8, 2 4,2") == [2, 4, 8]
    for wrong in ("", "0", "two"):
        with pytest.raises(ArgumentTypeError, match="such as 2,4,8"):
            cores.counts_in(wrong)


def test_json_of_two_sizes_and_two_shapes_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(json_documents, "FOLDER", tmp_path / "json")
    few = ["--small", "1", "--large", "2", "--rows", "3000", "--runs", "1"]
    assert json_documents.main(few) == 0
    told = capsys.readouterr().out
    for begin in ("| document, 1 MB |", "| document, 2 MB |", "| JSON Lines, exploded | 3,000 |"):
        assert begin in told
    assert "exploded : flat, CPU s per million" in told
    assert not (tmp_path / "json").exists()

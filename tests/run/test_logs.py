"""The log: a file a day, each line with its time and zone, as text or as JSON."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from main import StarSchemaETLPipeline
from run.log_files import put_aside
from support.application import ROOT
from support.commands import in_a_child, run_command
from support.retailer import Retailer
from support.tables import Row

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
KEYS = {"time", "run_id", "level", "thread", "message"}


def aged(path: Path, days: int, text: str = "a line of old\n") -> date:
    """Make a log whose last line is so many days old; returns the day."""
    moment = datetime.now(UTC) - timedelta(days=days)
    path.write_text(text)
    path.chmod(0o600)
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    return moment.date()


def logs_of(folder: Path) -> dict[str, str]:
    """Name and content of each log in a folder."""
    return {path.name: path.read_text() for path in folder.glob("etl.log*")}


def test_every_line_has_its_time_with_the_zone_and_its_run(duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish()
    before = datetime.now(UTC) - timedelta(minutes=10)
    for line in duckdb_shop.log.splitlines():
        found = re.match(rf"({TIME}\.\d{{3}}\+00:00) {results['run_id']} (INFO|WARNING) ", line)
        assert found, line
        assert before < datetime.fromisoformat(found[1]) <= datetime.now(UTC)


def test_lines_on_stderr_have_their_time_with_the_zone(duckdb_shop: Retailer) -> None:
    ended = in_a_child("--env-file", duckdb_shop.env_file())
    lines = [line for line in ended.err.splitlines() if "INFO" in line]
    assert lines
    assert all(re.match(rf"{TIME}\+00:00 INFO: ", line) for line in lines)


def test_the_log_of_an_earlier_day_gets_its_date(duckdb_shop: Retailer) -> None:
    log = duckdb_shop.folder / "etl.log"
    day = aged(log, 3)
    first = duckdb_shop.publish()
    again = duckdb_shop.publish()  # on the same day
    found = logs_of(duckdb_shop.folder)
    assert set(found) == {"etl.log", f"etl.log.{day}"}
    assert found[f"etl.log.{day}"] == "a line of old\n"
    assert first["run_id"] in found["etl.log"]
    assert again["run_id"] in found["etl.log"]
    assert "old" not in found["etl.log"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in duckdb_shop.folder.glob("etl.log*")} == {
        0o600
    }


def test_no_log_is_lost_when_its_name_is_taken(tmp_path: Path) -> None:
    """As after a clock was set back."""
    log = tmp_path / "etl.log"
    for text in ("one\n", "two\n", "three\n"):
        day = aged(log, 5, text)
        assert put_aside(log) == ""
    assert logs_of(tmp_path) == {
        f"etl.log.{day}": "one\n", f"etl.log.{day}.1": "two\n", f"etl.log.{day}.2": "three\n",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder", "empty", "absent"])
def test_what_is_no_log_of_its_own_is_left_alone(tmp_path: Path, kind: str) -> None:
    log, other = tmp_path / "etl.log", tmp_path / "other"
    aged(other, 5)
    if kind == "link":
        log.symlink_to(other)
    elif kind == "hard link":
        log.hardlink_to(other)
    elif kind == "pipe":
        os.mkfifo(log)
    elif kind == "folder":
        log.mkdir()
    elif kind == "empty":
        aged(log, 5, "")
    before = sorted(tmp_path.iterdir())
    assert put_aside(log) == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("device", ["/dev/stderr", "/dev/null"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_device_is_a_log(duckdb_shop: Retailer, device: str, form: str) -> None:
    env = duckdb_shop.env_file(LOG_FILE=device, LOG_FORMAT=form)
    ended = in_a_child("--quiet", "--env-file", env)
    assert ended.code == 0
    assert ended.err.count("Validation begins") == (device == "/dev/stderr")
    if form == "json":
        assert all(json.loads(line) for line in ended.err.splitlines())


def test_runs_that_begin_together_put_the_log_aside_once(tmp_path: Path) -> None:
    log = tmp_path / "etl.log"
    day = aged(log, 2)
    script = (
        "import sys; from pathlib import Path; from run import logs\n"
        "sys.stdin.readline()\n"
        "with logs.logging_to(Path(sys.argv[1]), 'INFO', sys.argv[2], quiet=True):\n"
        "    logs.logger.info('a line')\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(log), f"run-{number}"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(6)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write(b"\n")
        run.stdin.flush()
    assert [run.wait() for run in runs] == [0] * len(runs)
    found = logs_of(tmp_path)
    assert set(found) == {"etl.log", f"etl.log.{day}"}
    assert found[f"etl.log.{day}"] == "a line of old\n"
    lines = found["etl.log"].splitlines()
    assert {line.split()[1] for line in lines} == {f"run-{number}" for number in range(len(runs))}


def test_a_log_that_cannot_be_put_aside_goes_on(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(duckdb_shop.folder / "etl.log", 2)

    def denied(path: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rename", denied)
    duckdb_shop.publish()
    assert duckdb_shop.log.startswith("a line of old\n")
    assert "could not be put aside (Permission denied)" in duckdb_shop.log


def json_lines(shop: Retailer) -> list[Row]:
    """The log, each line of it an object."""
    return [json.loads(line) for line in shop.log.splitlines()]


def test_a_log_of_json_has_an_object_a_line_and_the_summary(shop: Retailer) -> None:
    shop.sales[0]["quantity"] = "x"
    results = shop.publish(LOG_FORMAT="json")
    lines = json_lines(shop)
    assert all(line.keys() >= KEYS for line in lines)
    assert {line["run_id"] for line in lines} == {results["run_id"]}
    assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in lines)
    summaries = [line["summary"] for line in lines if "summary" in line]
    assert summaries == [json.loads(json.dumps(results))]
    assert "Extraction begins" in [line["message"] for line in lines]


def test_a_log_of_json_has_the_traceback_of_a_surprise(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its object, and without the values that the error quotes."""

    def broken(*_: object) -> None:
        float(duckdb_shop.customers[0]["email"])

    monkeypatch.setattr(StarSchemaETLPipeline, "_run_transformation_phase", broken)
    duckdb_shop.run(LOG_FORMAT="json")
    (traced,) = [line for line in json_lines(duckdb_shop) if "traceback" in line]
    assert "in broken" in traced["traceback"]
    assert "ada@example.org" not in duckdb_shop.log


def test_text_from_data_forges_no_line(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of columns come from files."""
    duckdb_shop.files["customers"] = 'customer_id,"x\n2026-01-01 INFO\u2028\x1b[2J"\nC1,\n'
    run_command(duckdb_shop, capsys, LOG_FORMAT="json")
    for line in json_lines(duckdb_shop):
        assert not re.search(r"[\n\x1b\u2028]", line["message"])


def test_a_run_that_crosses_midnight_ends_in_the_file_it_began_in(duckdb_shop: Retailer) -> None:
    """Another run may put that file aside meanwhile: no line is lost."""
    log = duckdb_shop.folder / "etl.log"
    moved = log.with_name(f"etl.log.{datetime.now(UTC).date() - timedelta(days=1)}")

    class Crossing(StarSchemaETLPipeline):
        def _run_transformation_phase(self, *given: object) -> object:  # type: ignore[override]
            log.rename(moved)
            return super()._run_transformation_phase(*given)  # type: ignore[arg-type]

    results = duckdb_shop.run(Crossing)
    assert results["status"] == "published"
    assert not log.exists()
    *_, verdict = re.findall(r" (. published) .*run (\S+)$", moved.read_text(), re.MULTILINE)
    assert verdict == ("✔ published", results["run_id"])

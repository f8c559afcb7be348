"""How far a run is: live lines on a terminal that fit it, lines in a log elsewhere, or nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from main import StarSchemaETLPipeline
from run import progress
from run.meter import Meter
from run.progress_lines import lines
from support.application import copy_samples
from support.commands import in_a_child
from support.disturbances import INT, stalling_file
from support.formats import gzipped, json_lines, parquet
from support.retailer import Retailer
from support.terminal import at_a_terminal

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
WIDTHS = [24, 40, 60, 80, 100, 140]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with the samples, as a first run finds them."""
    copy_samples(tmp_path)
    return tmp_path


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Has so many seconds pass."""
    now = 1000.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return pass_by


def halfway(pass_by: Callable[[float], None], display: progress.Display) -> None:
    """A million rows are read, 300,000 of them cleaned in three seconds."""
    reading = display.phase("read")
    reading.expect(60_000_000, "bytes")
    reading.advance("transactions", 1_000_000)
    pass_by(2)
    reading.finish(1_000_000)
    cleaning = display.phase("clean")
    cleaning.expect(1_000_000)
    for _ in range(3):
        pass_by(1)
        cleaning.advance("transactions", 100_000)


def shown(display: progress.Display, width: int, encoding: str = "utf-8") -> list[str]:
    return lines(display.meters, width, encoding).plain.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_live_lines_fit_the_terminal_and_its_letters(
    width: int, encoding: str, passing: Callable[[float], None]
) -> None:
    display = progress.Display(["open", "read", "clean", "members", "facts", "check", "publish"])
    display.phase("open")
    halfway(passing, display)
    told = shown(display, width, encoding)
    assert len(told) == 4
    assert max(map(len, told)) <= width
    "\n".join(told).encode(encoding)
    *_, now, ahead = told
    assert "clean" in now
    assert "0:07 left" in now
    assert ("30 %" in now) == (width >= 40)
    assert ("100k rows/s" in now) == (width >= 60)
    assert ("300,000 of 1,000,000" in now) == (width >= 80)
    assert ("transactions" in now) == (width >= 140)
    assert "members" in ahead


def test_what_nobody_can_count_has_rows_and_a_rate_but_no_share(
    passing: Callable[[float], None],
) -> None:
    display = progress.Display()
    reading = display.phase("read")
    for _ in range(4):
        passing(1)
        reading.advance("transactions", 50_000)
    (now,) = shown(display, 100)
    assert re.search(r"200,000 rows +50k rows/s +4\.0 s +transactions", now)
    assert "%" not in now
    assert "left" not in now


def test_a_rate_is_that_of_late(passing: Callable[[float], None]) -> None:
    """A source that is slow to clean says nothing of the next one."""
    meter = Meter("clean", "now", total=1_000_000)
    for rows in (*[10] * 60, *[50_000] * 10):
        passing(1)
        meter.rows = meter.done = meter.rows + rows
        meter.note()
    assert meter.left == pytest.approx((1_000_000 - 500_600) / 50_000, rel=0.1)


def test_what_is_tried_again_begins_again(passing: Callable[[float], None]) -> None:
    display = progress.Display(["members", "facts", "check"])
    display.phase("members").finish(10)
    display.phase("facts").finish(5, failed=True)
    display.phase("members").advance("dim_customer")
    told = shown(display, 80)
    assert len(told) == 2
    assert "members" in told[0]
    assert "rows" not in told[0]
    assert "facts · check" in told[1]


# --- in a log -------------------------------------------------------------------------------------


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log hears of each step."""
    monkeypatch.setattr(progress, "_EVERY_SECONDS", -1)


def last_of(log: str, phase: str) -> str:
    return next(line for line in reversed(log.splitlines()) if f"{phase}: " in line)


@pytest.mark.usefixtures("talkative")
def test_the_log_of_each_phase_arrives_at_its_end(shop: Retailer) -> None:
    shop.publish(BATCH_ROWS="1")
    for phase, told in {
        "Extraction": "Extraction: 7 rows, 100 %",
        "Transformation": "Transformation: 7 of 7 rows, 100 %",
        "Dimension loading": "Dimension loading: 372 of 372 rows, 100 %",
        "Fact loading": "Fact loading: 3 of 3 rows, 100 %",
        "Validation": "Validation: 100 %, at fact_sales",
    }.items():
        assert told in last_of(shop.log, phase)


@pytest.mark.usefixtures("talkative")
@pytest.mark.parametrize("form", [json_lines, parquet, gzipped])
def test_files_of_any_format_are_read_by_their_share(
    form: Callable[..., bytes], duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    shop.sales = [shop.sales[0] | {"transaction_id": f"T{n}"} for n in range(500)]
    path = shop.folder / "sales.data"
    path.write_bytes(form(shop.sales))
    shop.publish(TRANSACTIONS__PATH=path, BATCH_ROWS="100")
    shares = [int(share) for share in re.findall(r"Extraction: .*?(\d+) %", shop.log)]
    assert shares == sorted(shares)
    assert shares[-1] == 100


# --- at a terminal, and without one ---------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_a_run_at_a_terminal_leaves_no_trace_of_its_progress(columns: int, sample: Path) -> None:
    with at_a_terminal(sample, columns=columns) as terminal:
        assert terminal.ends() == 0
    drawn = terminal.shown
    assert "read" in drawn
    assert "members · facts" in drawn
    assert drawn.rfind(SHOW) > drawn.rfind(HIDE) >= 0


def test_a_run_that_is_interrupted_gives_the_terminal_back(duckdb_shop: Retailer) -> None:
    with stalling_file() as (address, stalled):
        env = duckdb_shop.env_file(TRANSACTIONS__PATH=address)
        with at_a_terminal(duckdb_shop.folder, "--env-file", env) as terminal:
            assert stalled.wait(60)
            terminal.sees("clean · members")
            terminal.presses("c")
            assert terminal.ends() == 128 + INT
    assert terminal.shown.rfind(SHOW) > terminal.shown.rfind(HIDE) >= 0
    assert "nothing was published" in " ".join(" ".join(terminal.lines[-8:]).split())


@pytest.mark.parametrize("command", [(), ("check",), ("setup", "--print")])
def test_a_terminal_that_cannot_draw_is_given_lines(
    command: tuple[str, ...], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with at_a_terminal(sample, *command) as terminal:
        assert terminal.ends() in (0, 3)
    assert "\x1b" not in terminal.shown
    assert ("Extraction done" in terminal.shown) == (not command)


def test_without_a_terminal_nothing_is_drawn_and_a_quiet_run_is_silent(
    duckdb_shop: Retailer,
) -> None:
    env = duckdb_shop.env_file()
    told = in_a_child("--env-file", env)
    assert "\x1b" not in told.err + told.out
    assert "Extraction done: 7 rows" in told.err
    assert in_a_child("--env-file", env, "--quiet").err == ""


def test_two_runs_share_no_display(duckdb_shop: Retailer) -> None:
    """What one of them counts is not on the lines of the other."""
    with progress.live_progress(quiet=True) as first, progress.live_progress(quiet=True) as second:
        first.phase("read").advance("transactions", 10)
        assert second.meters == []
    assert not progress.is_shown()
    assert StarSchemaETLPipeline(duckdb_shop.config(), quiet=True).run_full_pipeline()["success"]

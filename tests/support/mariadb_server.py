"""A real MariaDB for the tests, if one is installed: one server, whatever the number of workers."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql

PASSWORD = "s3cret"  # noqa: S105
DRIVERS = {
    "mysql+pymysql": "pymysql",
    "mysql+mysqldb": "MySQLdb",
    "mysql+mysqlconnector": "mysql.connector",
}
"""What a URL begins with, and the module that must be there for it."""


@dataclass
class MariaDb:
    """A database of its own in the server, and the user `shop` who reads it."""

    port: int
    name: str

    def url(self, driver: str, password: str = PASSWORD) -> str:
        """Its address for a driver."""
        return f"{driver}://shop:{password}@127.0.0.1:{self.port}/{self.name}"

    def execute(self, *statements: str) -> None:
        """Change it, by rules that let dates of zeros in."""
        with connected(self.port) as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            cursor.execute(f"USE {self.name}")
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def disconnect_readers(self) -> int:
        """End the connections of the user `shop` to this database; returns how many."""
        with connected(self.port) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE user = 'shop' AND db = %s",
                (self.name,),
            )
            readers = [number for (number,) in cursor.fetchall()]
            for number in readers:
                cursor.execute("KILL CONNECTION %s", (number,))
            return len(readers)


@contextmanager
def connected(port: int) -> Iterator[pymysql.Connection]:
    """A connection of the server's owner."""
    connection = pymysql.connect(host="127.0.0.1", port=port, user="root")
    try:
        yield connection
    finally:
        connection.close()


def is_installed() -> bool:
    """Whether this machine has a MariaDB to start."""
    return _program("mariadbd") is not None and _program("mariadb-install-db") is not None


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def server(meeting: Path) -> Iterator[int]:
    """The port of the server that all workers share; `meeting` is a folder that they have in
    common. The first to come starts it, the last to go stops it.
    """
    port = _come(meeting)
    try:
        yield port
    finally:
        _go(meeting)


@contextmanager
def _state(meeting: Path) -> Iterator[dict[str, int | str]]:
    """What is known of the server, for one worker at a time."""
    with (meeting / "mariadb.json").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state: dict[str, int | str] = json.loads(file.read() or '{"users": 0}')
        yield state
        file.seek(0)
        file.truncate()
        json.dump(state, file)


def _come(meeting: Path) -> int:
    with _state(meeting) as state:
        if not state["users"]:
            state.update(_start())
        state["users"] = int(state["users"]) + 1
        return int(state["port"])


def _go(meeting: Path) -> None:
    with _state(meeting) as state:
        state["users"] = int(state["users"]) - 1
        if not state["users"]:
            pid = int(state["pid"])
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            _wait(lambda: not Path(f"/proc/{pid}/stat").exists() or _is_zombie(pid), "it ends")
            shutil.rmtree(str(state["folder"]), ignore_errors=True)


def _is_zombie(pid: int) -> bool:
    return (
        Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    )


def _start() -> dict[str, int | str]:
    """Make an empty server and start it, as the user that a MariaDB runs as when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    folder.chmod(0o755)
    user = "mysql" if os.geteuid() == 0 else getpass.getuser()
    common = [f"--user={user}", f"--datadir={folder / 'data'}"]
    subprocess.run(
        [
            str(_program("mariadb-install-db")), "--no-defaults", *common,
            "--auth-root-authentication-method=normal", "--skip-test-db",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            str(_program("mariadbd")), "--no-defaults", *common, f"--port={port}",
            f"--socket={folder / 'data' / 'socket'}", f"--pid-file={folder / 'data' / 'pid'}",
            "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    _wait(lambda: _answers(port), "the server answers")
    with connected(port) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER 'shop'@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute("GRANT ALL ON *.* TO 'shop'@'%'")
    return {"port": port, "pid": process.pid, "folder": str(folder)}


def _answers(port: int) -> bool:
    try:
        with connected(port):
            return True
    except pymysql.err.OperationalError:
        return False


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)

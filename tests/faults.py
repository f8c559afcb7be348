"""Faults on purpose: a proxy that kills or cuts at the N-th message, and the loop that tries all N.

A load is a function that a child process runs; it ends with the child's exit code. After each
fault the state must be yesterday's or today's, what the child said must be true, and a plain
run afterwards must give today's. Deliberately wrong loaders show that the loop sees what is wrong.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["kill", "cut", "cut after forward", "away"]
MODES: tuple[Mode, ...] = ("kill", "cut", "cut after forward", "away")
"""Kill the client; cut before a message; pass it on and swallow the answer; and stay away."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["main", "warehouse", "extract", "prepare", "load_facts",
                                 "load_dimensions", "validate", "unchanged", "report"])  # fmt: skip


class Proxy:
    """Between a client and PostgreSQL: counts the client's messages, and acts at the N-th."""

    def __init__(self, server: tuple[str, int] | str) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.arm(0, "cut")
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int, mode: Mode, kill: Callable[[], None] = lambda: None) -> None:
        """Count from 0 again, and act at message `at` (never, if 0)."""
        self._at, self._mode, self._kill = at, mode, kill
        self.seen, self.struck = 0, False

    def close(self) -> None:
        """Cut all connections and accept no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.struck and self._mode == "away":
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if isinstance(self._server, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
        else:
            server = socket.create_connection(self._server)
        with self._lock:
            self._sockets += [client, server]
        muted = threading.Event()
        back = threading.Thread(target=_answers, args=(server, client, muted), daemon=True)
        back.start()
        with suppress(OSError, ValueError):
            for message in _messages(client):
                with self._lock:
                    self.seen += 1
                    strikes = self.seen == self._at and not self.struck
                    self.struck = self.struck or strikes
                if strikes:
                    self._strike(server, message, muted)
                    break
                server.sendall(message)
        for each in (client, server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        back.join(5)

    def _strike(self, server: socket.socket, message: bytes, muted: threading.Event) -> None:
        if self._mode == "kill":
            self._kill()
        if self._mode in ("cut after forward", "away"):
            muted.set()  # first, or the answer slips through
            server.sendall(message)
            server.shutdown(socket.SHUT_WR)  # the server answers, sees the end, and goes
            threading.Event().wait(0.05)


def _messages(client: socket.socket) -> Iterable[bytes]:
    """The client's messages, whole; the first ones have no type byte."""
    reader = client.makefile("rb")
    starting = True
    while True:
        head = reader.read(4 if starting else 5)
        if not head:
            return
        (length,) = struct.unpack("!I", head[-4:])
        body = reader.read(length - 4)
        # A request for SSL or GSS comes before the start-up message, and has its form.
        starting = starting and body[:4] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30")
        yield head + body


def _answers(server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(1 << 16):
            if not muted.is_set():
                client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


@dataclass
class Figures:
    """What a loop over all fault points has seen."""

    runs: int = 0
    points: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        """One more run that ended like this."""
        self.runs += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass
class Case:
    """A load under test: how to run it in a child, and what its warehouse may look like."""

    load: Callable[..., int]
    arguments: tuple[Any, ...]
    reset: Callable[[], None]
    digest: Callable[[], str]
    plain: Callable[[], None]
    """A run without a fault."""


def loop(case: Case, points: Iterable[int], strike: Strike) -> Figures:
    """Run the load with a fault at each of `points`, until one is past its end."""
    figures = Figures()
    case.reset()
    yesterday = case.digest()
    case.plain()
    today = case.digest()
    assert yesterday != today
    for point in points:
        case.reset()
        code, struck = strike(case, point)
        figures.count({0: "published", -signal.SIGKILL: "killed", 5: "unknown"}.get(code, "failed"))
        figures.points += struck
        state = case.digest()
        where = f"at {point}, exit code {code}"
        if state not in (yesterday, today):
            figures.wrong.append(f"{where}: the star is torn")
        elif code == 0 and state != today:
            figures.wrong.append(f"{where}: a false success")
        elif code in (1, 2, 3, 4) and state != yesterday:
            figures.wrong.append(f"{where}: a false failure")
        case.plain()
        if case.digest() != today:
            figures.wrong.append(f"{where}: running again does not give today's star")
        if not struck:
            break
    return figures


Strike = Callable[[Case, int], tuple[int, bool]]
"""Runs a case with a fault at a point: the exit code, and whether the point was reached."""


def through(proxy: Proxy, mode: Mode) -> Strike:
    """Faults at a client's messages to PostgreSQL."""

    def strike(case: Case, point: int) -> tuple[int, bool]:
        child = _context.Process(target=_run_child, args=(case.load, case.arguments))
        proxy.arm(point, mode, lambda: os.kill(child.pid or 0, signal.SIGKILL))
        child.start()
        child.join(120)
        assert child.exitcode is not None, f"the run hangs after {mode} at {point}"
        proxy.cut()
        struck = proxy.struck
        proxy.arm(0, mode)
        return child.exitcode, struck

    return strike


def inside(case: Case, point: int) -> tuple[int, bool]:
    """Faults in the process itself: the load gets the point as its last argument."""
    child = _context.Process(target=_run_child, args=(case.load, (*case.arguments, point)))
    child.start()
    child.join(120)
    assert child.exitcode is not None, f"the run hangs at {point}"
    return child.exitcode, child.exitcode == -signal.SIGKILL


def _run_child(load: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.exit(load(*arguments))

"""Between a run and its PostgreSQL: a proxy that kills or cuts at the N-th message."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

import sqlalchemy as sa

from support.star import Star
from support.waiting import HANGS

Act = Literal["kill", "cut", "away"]
"""Kill the client; cut its connection; cut it, and let nobody in any more."""


class Proxy:
    """Between clients and PostgreSQL: counts the clients' messages, and acts at the N-th."""

    def __init__(self, server: tuple[str, int] | str) -> None:
        self.server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.refuses: Callable[[int], bool] = lambda connection: False
        """Whether the n-th connection is closed at once."""
        self.may_leave = threading.Event()
        """Unless it is set, the server is not told of clients that leave."""
        self.may_leave.set()
        self.arm(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(
        self,
        at: int,
        act: Act = "cut",
        *,
        after: bool = False,
        kill: Callable[[], None] = lambda: None,
    ) -> None:
        """Cut what there is, count from 0 again, and act at message `at` (never, if 0): before
        it is passed on, or after that, when its answer is swallowed.
        """
        self.cut()
        self._at, self._act, self._after, self._kill = at, act, after, kill
        self.seen: list[str] = []
        self.connections = 0
        self.struck = False

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

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if (self.struck and self._act == "away") or self.refuses(self.connections):
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _dial(self) -> socket.socket:
        if not isinstance(self.server, str):
            return socket.create_connection(self.server)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        return server

    def _serve(self, client: socket.socket) -> None:
        server = self._dial()
        with self._lock:
            self._sockets += [client, server]
        muted = threading.Event()
        back = threading.Thread(target=_answers, args=(server, client, muted), daemon=True)
        back.start()
        with suppress(OSError):
            for message in _messages(client):
                with self._lock:
                    self.seen.append(_label(message))
                    strikes = len(self.seen) == self._at and not self.struck
                    self.struck = self.struck or strikes
                if strikes:
                    self._strike(server, message, muted)
                    break
                if message[:1] == b"X":
                    self.may_leave.wait(HANGS)
                server.sendall(message)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # what was passed on is answered, and the session ends
        muted.set()
        back.join(HANGS)
        for each in (client, server):
            each.close()

    def _strike(self, server: socket.socket, message: bytes, muted: threading.Event) -> None:
        muted.set()  # first, or the answer slips through
        if self._act == "kill":
            self._kill()
        if self._after:
            server.sendall(message)


class Pooler(Proxy):
    """A proxy with two sessions for each client, and every transaction is in the other one, as
    in a pool of transactions. Only for a server that lets its users in without a question.
    """

    def _serve(self, client: socket.socket) -> None:
        messages = _messages(client)
        start, sessions = next(messages), (self._dial(), self._dial())
        for server in sessions:
            server.sendall(start)
            answer, state = _answer(server)
        with suppress(OSError):
            client.sendall(answer)
            for turn in itertools.count():
                server, state = sessions[turn % 2], "T"
                while state != "I":
                    message = next(messages, b"X")
                    server.sendall(message)
                    if message[:1] == b"X":
                        return
                    if message[:1] != b"d":  # a piece of a COPY has no answer
                        answer, state = _answer(server)
                        client.sendall(answer)


def _answer(server: socket.socket) -> tuple[bytes, str]:
    """What the server says until it waits: for a query in or outside of a transaction, for data."""
    answer = b""
    while True:
        head = server.recv(5, socket.MSG_WAITALL)
        body = server.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)
        answer += head + body
        if head[:1] in b"ZG":
            return answer, body.decode() if head[:1] == b"Z" else "T"


def _messages(client: socket.socket) -> Iterator[bytes]:
    """The client's messages, whole; the first ones have no type byte."""
    with client.makefile("rb") as reader:
        starting = True
        while head := reader.read(4 if starting else 5):
            (length,) = struct.unpack("!I", head[-4:])
            body = reader.read(length - 4)
            # A request for SSL or GSS comes before the start-up message, and has its form.
            starting = starting and body[:4] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30")
            yield head + body


def _label(message: bytes) -> str:
    return message[:1].decode("latin-1") + " " + message[5:65].decode("latin-1").strip("\0\n ")


def _answers(server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(1 << 16):
            if not muted.is_set():
                client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def via(star: Star, proxy: Proxy) -> str:
    """The star's URL with the proxy in the server's place. That is here, so without TLS."""
    direct = sa.make_url(star.url)
    query = {k: v for k, v in direct.query.items() if k != "host"} | {"sslmode": "disable"}
    changed = direct.set(host="127.0.0.1", port=proxy.port, query=query)
    return changed.render_as_string(hide_password=False)


class Hushed(Proxy):
    """A proxy that can fall silent, also in the middle of a table: what comes then goes nowhere."""

    def __init__(self, server: tuple[str, int] | str) -> None:
        super().__init__(server)
        self.quiet = threading.Event()
        self.new_ones_too = True
        self.swallowed = threading.Event()
        self._passed = 0
        self._when: tuple[int, Callable[[], object]] | None = None

    def when(self, passed: int, act: Callable[[], object]) -> None:
        """Do something once, as soon as so many bytes have come, of both sides together."""
        self._when = (passed, act)

    def _serve(self, client: socket.socket) -> None:
        server = self._dial()
        with self._lock:
            self._sockets += [client, server]
        for pair in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        is_new = self.quiet.is_set() and not self.new_ones_too
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._count(len(data))
                if self.quiet.is_set() and not is_new:
                    self.swallowed.set()
                else:
                    target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _count(self, size: int) -> None:
        with self._lock:
            self._passed += size
            if self._when is None or self._passed < self._when[0]:
                return
            _, act = self._when
            self._when = None
        act()

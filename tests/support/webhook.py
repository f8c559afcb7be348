"""A web server that takes notifications, and others that behave badly."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """What a web server was sent, in its order."""

    port: int
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, which has a secret in it."""
        return f"http://127.0.0.1:{self.port}/hook/s3cr3t-token"


@contextmanager
def webhook(status: int = 200, location: str = "") -> Iterator[Webhook]:
    """A real server, which answers every call with `status`, or with a redirect."""
    found: Webhook

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.bodies.append(json.loads(body))
            found.paths.append(self.path)
            found.headers.append(dict(self.headers))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:  # http.server's name
            found.paths.append(f"GET {self.path}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def bad_server(answer: bytes | None, *, drips: bool = False) -> Iterator[str]:
    """The address of a server that sends `answer` and hangs up, whatever it is asked. None: it says
    nothing, and keeps the connection; `drips`: it sends a byte now and then, without end.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    if answer is not None:
                        connection.sendall(answer)
                    while drips and not over.wait(0.1):
                        connection.sendall(b"x")
                except OSError:
                    return
                if answer is None and not drips:
                    over.wait()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook/s3cr3t-token"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()

"""Another machine must prove who it is."""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from support.certificates import certificate
from support.commands import run_command
from support.retailer import Retailer

NAME = "warehouse.example"
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


class Front:
    """A PostgreSQL server's TLS: the wheel's server has none, so it is done in front of it."""

    def __init__(self, url: str, identity: tuple[Path, Path] | None) -> None:
        self._url = sa.make_url(url)
        self._context = None
        if identity:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*identity)
        self.encrypted = 0
        """Sessions that began over TLS."""
        self.in_clear = b""
        """What clients sent without it, beside the question for it."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def url(self, host: str, **query: str) -> str:
        """The URL by which it is the server called `host`."""
        where = {"hostaddr": "127.0.0.1"} if host == NAME else {}
        url = self._url.set(host=host, port=self.port, query={**where, **query})
        return url.render_as_string(hide_password=False)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client):
            while True:
                head = client.recv(8, socket.MSG_WAITALL)
                code = struct.unpack("!II", head)[1] if len(head) == 8 else 0
                if code == _SSL_REQUEST and self._context:
                    client.sendall(b"S")
                    client = self._context.wrap_socket(client, server_side=True)
                    self.encrypted += 1
                    head = b""
                    break
                if code not in (_SSL_REQUEST, _GSS_REQUEST):
                    self.in_clear += head
                    break
                client.sendall(b"N")
            with closing(self._server()) as server:
                server.sendall(head)
                _pump(client, server)

    def _server(self) -> socket.socket:
        folder = self._url.query.get("host")
        if folder:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{self._url.query.get('port', 5432)}")
            return server
        return socket.create_connection((self._url.host or "127.0.0.1", self._url.port or 5432))


def _pump(client: socket.socket, server: socket.socket) -> None:
    """Bytes from each to the other until one has no more."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while True:
            for key, _ in selector.select():
                source: Any = key.fileobj
                data = source.recv(1 << 16)
                if not data:
                    return
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(1 << 16)
                key.data.sendall(data)


@dataclass
class Secured:
    """A shop, a server with a certificate, and certificates of this and another name."""

    shop: Retailer
    server: Callable[[tuple[Path, Path] | None], Front]
    mine: tuple[Path, Path]
    other: tuple[Path, Path]


@pytest.fixture
def secured(
    postgresql_shop: Retailer, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Secured]:
    """What TLS is tested with. The home folder has no certificates of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    fronts: list[Front] = []

    def server(identity: tuple[Path, Path] | None) -> Front:
        fronts.append(Front(postgresql_url, identity))
        return fronts[-1]

    mine, other = certificate(tmp_path, NAME), certificate(tmp_path, "elsewhere.example")
    yield Secured(postgresql_shop, server, mine, other)
    for front in fronts:
        front.close()


def test_a_server_that_proves_who_it_is_is_used(secured: Secured) -> None:
    """`verify-full` needs no setting but where the certificate authority is."""
    front = secured.server(secured.mine)
    results = secured.shop.publish(WAREHOUSE_URL=front.url(NAME, sslrootcert=str(secured.mine[0])))
    assert results["warnings"] == []
    assert (front.encrypted > 0, front.in_clear) == (True, b"")


@pytest.mark.parametrize(
    ("identity", "trusted"),
    [("mine", None), ("other", "other"), ("mine", "other"), (None, "mine")],
    ids=["unknown authority", "another host's", "another's signature", "no TLS"],
)
def test_a_server_that_does_not_prove_who_it_is_is_refused(
    secured: Secured, capsys: pytest.CaptureFixture[str], identity: str | None, trusted: str | None
) -> None:
    """By default, before user, database or password were sent; and the way out is told."""
    front = secured.server(getattr(secured, identity) if identity else None)
    query = {"sslrootcert": str(getattr(secured, trusted)[0])} if trusted else {}
    code, _, err = run_command(
        secured.shop, capsys, WAREHOUSE_URL=front.url(NAME, **query), LOG_LEVEL="DEBUG"
    )
    assert code == 1
    assert "sslmode" in err
    assert front.in_clear == b""
    assert secured.shop.star.tables() == set()


@pytest.mark.parametrize(
    "how", ["PGHOST", "PGSERVICE", "service", "host after ?", "one of two", "looks local"]
)
def test_a_host_named_in_any_way_must_prove_itself(
    secured: Secured,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    how: str,
) -> None:
    """Wherever libpq takes the host from, plain text is not what it comes to."""
    front = secured.server(None)
    url = sa.make_url(front.url(NAME))
    service = f"[prod]\nhost={NAME}\nhostaddr=127.0.0.1\nport={front.port}\n"
    (tmp_path / ".pg_service.conf").write_text(service)
    local = {"hostaddr": "127.0.0.1", "port": str(front.port)}
    if how == "PGHOST":
        monkeypatch.setenv("PGHOST", NAME)
        url = url.set(host=None, port=None, query=local)
    elif how == "PGSERVICE":
        monkeypatch.setenv("PGSERVICE", "prod")
        url = url.set(host=None, port=None, query={})
    elif how == "service":
        url = url.set(host=None, port=None, query={"service": "prod"})
    elif how == "host after ?":
        url = url.set(host=None, port=None, query={"host": NAME, **local})
    elif how == "one of two":
        url = url.set(host=None, port=None, query={"host": f"127.0.0.1:1,{NAME}:{front.port}"})
    else:
        url = url.set(host=f"127.0.0.1.{NAME}")
    text = url.render_as_string(hide_password=False)
    code, _, err = run_command(secured.shop, capsys, WAREHOUSE_URL=text)
    assert code == 1, err
    assert front.in_clear == b""


def test_a_weaker_mode_of_tls_is_obeyed_warned_of_and_recorded(secured: Secured) -> None:
    """Who insists gets it, and the run's row says so."""
    front = secured.server(None)
    results = secured.shop.publish(WAREHOUSE_URL=front.url(NAME, sslmode="prefer"))
    (warning,) = results["warnings"]
    assert "sslmode=prefer" in warning
    assert NAME in warning
    counts = json.loads(secured.shop.star.scalar("SELECT counts FROM etl_run"))
    assert counts["warehouse_warnings"] == [warning]


def test_a_server_on_this_machine_needs_no_certificate(secured: Secured) -> None:
    """What never leaves the machine may be in clear."""
    for host in ("127.0.0.1", "localhost"):
        front = secured.server(None)
        results = secured.shop.publish(WAREHOUSE_URL=front.url(host))
        assert results["warnings"] == []
        assert front.in_clear


PEOPLE = (
    "SELECT column1 AS customer_id, column2 AS company"
    " FROM (VALUES ($$7$$, 1815), ($$C1$$, 1), ($$C2$$, 2)) AS people"
)


def test_a_source_that_proves_who_it_is_is_read(secured: Secured) -> None:
    """What is read of another machine is as private as what is written there."""
    front = secured.server(secured.mine)
    url = front.url(NAME, sslrootcert=str(secured.mine[0]))
    results = secured.shop.publish(CUSTOMERS__PATH=url, CUSTOMERS__QUERY=PEOPLE)
    assert results["warnings"] == []
    assert (front.encrypted > 0, front.in_clear) == (True, b"")
    assert secured.shop.star.member("dim_customer", "7")["company"] == "1815"


@pytest.mark.parametrize(
    ("identity", "trusted"),
    [("mine", None), ("other", "other"), (None, "mine")],
    ids=["unknown authority", "another host's", "no TLS"],
)
def test_a_source_that_does_not_prove_who_it_is_is_refused(
    secured: Secured, capsys: pytest.CaptureFixture[str], identity: str | None, trusted: str | None
) -> None:
    """Before user, database or password were sent; `check` says it beforehand."""
    front = secured.server(getattr(secured, identity) if identity else None)
    query = {"sslrootcert": str(getattr(secured, trusted)[0])} if trusted else {}
    settings = {"CUSTOMERS__PATH": front.url(NAME, **query), "CUSTOMERS__QUERY": PEOPLE}
    code, _, err = run_command(secured.shop, capsys, **settings)
    assert code == 1
    assert "see sslmode and sslrootcert" in err
    code, out, _ = run_command(secured.shop, capsys, "check", **settings)
    assert code == 2
    assert "see sslmode and sslrootcert" in out
    assert front.in_clear == b""


def test_a_weaker_mode_of_tls_to_a_source_is_obeyed_and_warned_of(secured: Secured) -> None:
    """And a source on this machine needs nothing."""
    front = secured.server(None)
    settings = {"CUSTOMERS__QUERY": PEOPLE}
    results = secured.shop.publish(CUSTOMERS__PATH=front.url(NAME, sslmode="disable"), **settings)
    (warning,) = results["warnings"]
    assert "CUSTOMERS__PATH: with sslmode=disable" in warning
    assert NAME in warning
    results = secured.shop.publish(CUSTOMERS__PATH=front.url("localhost"), **settings)
    assert results["warnings"] == []

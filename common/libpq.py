"""Options for connections to PostgreSQL, the warehouse as well as sources: time limits, and a TLS
certificate from a server on another machine.
"""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from pathlib import Path

import sqlalchemy as sa

DRIVERS = ("psycopg2", "psycopg")
"""Drivers that pass these options on to libpq."""
_LOCAL_HOSTS = ("", "localhost")


def connection_options(url: sa.URL) -> dict[str, str | int]:
    """libpq's options for a connection; what `url` itself sets is left out, so it wins."""
    options: dict[str, str | int] = {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "client_encoding": "utf8",
    }
    if _remote_host(url) and _ssl_mode(url) in (None, "verify-full"):
        options |= {"sslmode": "verify-full", **_trusted(url)}
    return {name: value for name, value in options.items() if name not in url.query}


def doubt(url: sa.URL, setting: str) -> str:
    """A warning when the settings connect to another machine without checking who it is; or ''."""
    remote, mode = _remote_host(url), _ssl_mode(url)
    if remote is None or mode in (None, "verify-full"):
        return ""
    return (
        f"{setting}: with sslmode={mode} nobody makes sure that {remote} is the right server; "
        "use sslmode=verify-full"
    )


def hint(reason: str) -> str | None:
    """Where to look when TLS is why a connection failed; None for any other `reason`."""
    is_tls = "ssl" in reason.lower() or "certificate" in reason.lower()
    return "see sslmode and sslrootcert in docs/settings.md" if is_tls else None


def _ssl_mode(url: sa.URL) -> str | None:
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE")
    return None if mode is None else str(mode)


def _trusted(url: sa.URL) -> dict[str, str]:
    """The option for this machine's certificate authorities; none where others are named."""
    given = url.query.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if given or Path("~/.postgresql/root.crt").expanduser().exists():
        return {}
    return {"sslrootcert": ssl.get_default_verify_paths().cafile or "system"}


def _remote_host(url: sa.URL) -> str | None:
    """The first host of the connection that is another machine."""
    return next((host for host in _hosts(url) if not _is_this_machine(host)), None)


def _hosts(url: sa.URL) -> list[str]:
    """Every host that the connection may be made to."""
    if url.query.get("service") or os.environ.get("PGSERVICE"):
        return ["the host of the service"]  # libpq finds it in a file of its own
    named = [url.query.get("host"), url.query.get("hostaddr")]
    given: list[str] = [url.host] if url.host else []
    for value in named:
        given += [value] if isinstance(value, str) else list(value or ())
    given = given or [os.environ.get("PGHOST", ""), os.environ.get("PGHOSTADDR", "")]
    return [host for hosts in given for host in hosts.split(",")]


def _is_this_machine(host: str) -> bool:
    """Whether `host` is a socket in the file system, or a loopback address."""
    if host in _LOCAL_HOSTS or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, perhaps 127.0.0.1.example.com
        return False

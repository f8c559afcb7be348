"""Whether a Dask cluster is fit for a run: all that can be known before it begins."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import urlsplit

from distributed import Client
from distributed.security import Security

from common.remote import SHARE, Answer, Ticket, has_left, introduce, other_versions
from errors import ConfigError
from run.logs import logger

_WAIT_SECONDS = 10
_START = "start its processes in the application's folder, as docs/cluster.md says"


def refuse_without_certificates(address: str) -> None:
    """Raises `ConfigError` when Dask's configuration lacks what `tls://` needs."""
    needed = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": "tls_ca_file",
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": "tls_client_cert",
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": "tls_client_key",
    }
    found = Security()
    missing = [name for name, part in needed.items() if not getattr(found, part)]
    if address.startswith("tls://") and missing:
        raise ConfigError(
            [
                f"DASK_SCHEDULER {address} needs certificates; put their paths into the "
                f"environment: {', '.join(missing)}"
            ]
        )


def first_cause(error: BaseException) -> str:
    """The deepest reason that an exception gives, in one line."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return " ".join(str(error).split()) or type(error).__name__


def look(
    client: Client, address: str, ticket: Ticket, files: Mapping[str, tuple[int, int]]
) -> list[str]:
    """Look whether every process of the cluster is fit for a run with these files; returns
    warnings.

    Raises `ConfigError` with all that is in the way.
    """
    problems: dict[str, list[str]] = {}
    try:
        scheduler = _scheduler_problems(client, ticket)
        client.wait_for_workers(1, timeout=_WAIT_SECONDS)
        answers: dict[str, Any] = client.run(introduce, ticket, dict(files), on_error="return")
    except TimeoutError:
        raise ConfigError(
            [
                f"DASK_SCHEDULER {address}: no worker is there, nor has come within "
                f"{_WAIT_SECONDS} s; start some as docs/cluster.md says. A cluster that grows on "
                "demand has to keep one"
            ]
        ) from None
    except (OSError, CancelledError) as error:
        reason = first_cause(error)
        raise ConfigError(
            [f"DASK_SCHEDULER {address}: the scheduler was lost at once ({reason})"]
        ) from error
    for problem in scheduler:
        problems.setdefault(problem, []).append(f"the scheduler {address}")
    for worker, answer in answers.items():
        for problem in _worker_problems(ticket, answer):
            problems.setdefault(problem, []).append(f"the worker {worker}")
    if problems:
        raise ConfigError([f"{_some(who)}: {problem}" for problem, who in problems.items()])
    logger.info(
        "the cluster at %s reads and cleans, with %d worker(s) so far; its dashboard is %s",
        address, len(answers), client.dashboard_link,
    )  # fmt: skip
    return in_the_clear([address, *answers])


def _scheduler_problems(client: Client, ticket: Ticket) -> list[str]:
    try:
        found: list[str] = client.run_on_scheduler(other_versions, ticket.versions)
    except ImportError as error:
        return [f"cannot import the application ({error}); {_START}"]
    return found


def _worker_problems(ticket: Ticket, answer: Any) -> list[str]:
    """Why a worker does not fit, by its answer or by the exception in its place."""
    if not isinstance(answer, Answer):
        return [f"cannot import the application ({answer}); {_START}"]
    if not answer.problems and not has_left(ticket, answer):
        return [f"what it writes into {ticket.folder} is not seen here; {SHARE}"]
    return answer.problems


def _some(names: list[str]) -> str:
    """A few names out of many."""
    rest = f" and {len(names) - 2} others" if len(names) > 2 else ""
    return ", ".join(names[:2]) + rest


def in_the_clear(addresses: list[str]) -> list[str]:
    """A warning of connections to other machines that anybody on the way can read."""
    others = [a for a in addresses if not a.startswith("tls://") and not _is_here(a)]
    if not others:
        return []
    return [
        f"DASK_SCHEDULER: {_some(others)} is another machine, and tcp:// neither hides what goes "
        "there, such as keys of rejected rows, nor asks who is there: whoever reaches it can run "
        "programs as its user. Use tls:// and certificates, as docs/cluster.md says"
    ]


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine: only then can it be bound."""
    host = urlsplit(address).hostname or ""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, place in found:
            with socket.socket(family, kind, protocol) as tried:
                tried.bind(place)
    except OSError:
        return False
    return bool(found)

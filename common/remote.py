"""What the processes of a cluster do for a run: they tell whether they fit, and make its calls."""

from __future__ import annotations

import functools
import os
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.version import VERSION
from errors import ClusterError

APPLICATION = "star-schema-etl"
_PACKAGES = ("dask", "distributed", "duckdb", "numpy", "pyarrow")
"""Those whose bytes or results go from one machine to another."""
_TOKEN = "token"  # noqa: S105  # the name of a file
SHARE = "set WORK_DIR to a folder that all machines have under this name, and that their user owns"

Versions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ticket:
    """By what a process knows whether it may work for a run: the versions that it has to have, and
    the run's folder with the token in it.
    """

    versions: Versions
    folder: Path
    token: str


@dataclass(frozen=True)
class Slot:
    """Stands in the arguments of a call for the shared value of this number."""

    number: int


@dataclass(frozen=True)
class Call:
    """A call to be made elsewhere. What it holds is nothing that Dask looks into."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """What a process says of itself: why it does not fit, and the file that it has left."""

    problems: list[str]
    left: str


def issue_ticket(folder: Path) -> Ticket:
    """The ticket of a run whose working folder this is."""
    ticket = Ticket(own_versions(), folder, secrets.token_hex(16))
    (folder / _TOKEN).write_text(ticket.token, encoding="ascii")
    return ticket


def own_versions() -> Versions:
    """The versions of all that has to be the same everywhere."""
    python = ".".join(map(str, sys.version_info[:2]))
    packages = [(name, _version(name)) for name in _PACKAGES]
    return ((APPLICATION, VERSION), ("Python", python), *packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def other_versions(wanted: Versions) -> list[str]:
    """What this process has in other versions than `wanted`."""
    own = dict(own_versions())
    return [
        f"{name} is {own[name]} there and {wanted_version} here; install the same release and the "
        "same requirements there, and start them again"
        for name, wanted_version in wanted
        if own[name] != wanted_version
    ]


def introduce(ticket: Ticket, files: Mapping[str, tuple[int, int]]) -> Answer:
    """This process as a worker for a run that reads `files`, by their size and time of change."""
    problems = [*other_versions(ticket.versions), *_without_folder(ticket)]
    left = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if not problems:
            (ticket.folder / left).write_text(ticket.token, encoding="ascii")
    except OSError as error:
        problems.append(f"{ticket.folder} cannot be written there ({error.strerror}); {SHARE}")
    problems += [problem for path, seen in files.items() if (problem := _other_file(path, seen))]
    return Answer(problems, left)


def has_left(ticket: Ticket, answer: Answer) -> bool:
    """Whether the file that a worker has left is seen here; removes it."""
    try:
        path = ticket.folder / answer.left
        is_its_own = path.read_text(encoding="ascii") == ticket.token
        path.unlink()
    except OSError:
        return False
    return is_its_own


def attempt(ticket: Ticket, call: Call, *shared: Any) -> Any:
    """Make a call as a worker.

    Raises `ClusterError` in a process that does not fit: it may have joined after the run began.
    """
    for problem in _misfits(ticket):
        raise ClusterError(f"a worker on {socket.gethostname()} that has joined late: {problem}")
    return call.function(*(shared[a.number] if isinstance(a, Slot) else a for a in call.arguments))


def suspects(token: str, dask_scheduler: Any = None) -> list[str]:
    """The tasks of a run at which workers have died, by the memory of the scheduler that this is
    called in; those that have seen most of them first.
    """
    found = [
        (-task.suspicious, str(key))
        for key, task in dask_scheduler.tasks.items()
        if task.suspicious and token in str(key)
    ]
    return [key for _, key in sorted(found)]


def itself(value: Any) -> Any:
    """The value."""
    return value


@functools.lru_cache(maxsize=8)
def _misfits(ticket: Ticket) -> Sequence[str]:
    return [*other_versions(ticket.versions), *_without_folder(ticket)]


def _without_folder(ticket: Ticket) -> list[str]:
    """Why this process does not see the run's folder."""
    try:
        found = (ticket.folder / _TOKEN).read_text(encoding="ascii")
    except OSError as error:
        return [f"{ticket.folder} is not seen there ({error.strerror}); {SHARE}"]
    return [] if found == ticket.token else [f"{ticket.folder} is another folder there; {SHARE}"]


def _other_file(path: str, seen: tuple[int, int]) -> str:
    """Why a source's file is not seen here as it is where the run is."""
    help_with_it = "put the sources where all machines see the same files under the same names"
    try:
        found = Path(path).stat()
    except OSError as error:
        return f"{path} is not seen there ({error.strerror}); {help_with_it}"
    if (found.st_size, found.st_mtime_ns) == seen:
        return ""
    return f"{path} is another file there, by its size or time of change; {help_with_it}"

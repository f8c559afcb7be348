"""The files of the log: one a day, the older ones with their date behind the name.

All dates and times here are UTC, as those in a run's id.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TextIO

from common.files import alone_in, open_private, private_folder
from errors import ConfigError

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(\.\d+)?")


def open_log(path: Path) -> TextIO:
    """Open the log file for more lines; one that is new is for its owner alone.

    Raises `ConfigError` when it cannot be written.
    """
    try:
        private_folder(path.parent)
        descriptor = open_private(path, os.O_CREAT | os.O_APPEND)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise ConfigError(
            [f"LOG_FILE {path} cannot be written ({reason}); set it to another place"]
        ) from error
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def put_aside(path: Path) -> str:
    """Give the log of an earlier day its date: `etl.log` becomes `etl.log.2026-11-26`, the day of
    its last line. What is no file of its own, such as a link or a device, is left alone.

    Two runs may do this at once: one of them does it, and no line is lost. Returns why it could not
    be done; blank when all is well.
    """
    try:
        if _ended_before_today(path):
            with alone_in(path.parent):
                ended = _ended_before_today(path)
                if ended:  # nobody else was quicker
                    path.rename(_free(path, ended))
    except OSError as error:
        return (
            f"the log of an earlier day could not be put aside ({error.strerror}); this one goes on"
        )
    return ""


def older_logs(path: Path, first_kept: date) -> Iterator[Path]:
    """The files that `put_aside` has made of the log at `path`, of days before `first_kept`.

    Raises `OSError` where the folder cannot be read.
    """
    with os.scandir(path.parent) as entries:
        for entry in entries:
            name, dot, dated = entry.name.partition(f"{path.name}.")
            found = _DATE.fullmatch(dated) if dot and not name else None
            if found and entry.is_file(follow_symlinks=False):
                with suppress(ValueError):  # no such day
                    if date.fromisoformat(found[1]) < first_kept:
                        yield Path(entry.path)


def _ended_before_today(path: Path) -> date | None:
    """The day of the last line of a log file of an earlier day; None for all else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    is_plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if not is_plain or found.st_size == 0 or found.st_uid != os.geteuid():
        return None
    day = datetime.fromtimestamp(found.st_mtime, UTC).date()
    return day if day < datetime.now(UTC).date() else None


def _free(path: Path, day: date) -> Path:
    """A name that no file has yet: a clock that was set back may bring a day twice."""
    name, number = path.with_name(f"{path.name}.{day}"), 0
    while os.path.lexists(name):
        number += 1
        name = path.with_name(f"{path.name}.{day}.{number}")
    return name

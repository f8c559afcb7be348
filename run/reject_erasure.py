"""Rows taken out of reject files, because somebody is to be forgotten."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Table

from common.files import open_private
from common.reject_reading import Form, UnreadableError, form_of, records
from config import StarSchemaConfig
from run.reject_search import ROWS, Search, named_by, reject_files
from sources.joins import all_sources


@dataclass
class Erased:
    """What was taken out of the reject files."""

    rows: int = 0
    files: int = 0
    looked_at: int = 0
    problems: list[str] = field(default_factory=list)
    """The files that could not be read or replaced, and why."""


def erase(config: StarSchemaConfig, table: Table, member: str, *, dry_run: bool) -> Erased:
    """Take the rows that bear the key `member` of `table` out of all runs' reject files.

    A file is replaced as a whole, and removed where no row is left. One that cannot be read is
    named, and stays as it is. With `dry_run` all of them stay.
    """
    erased = Erased()
    found = all_sources(config.star, config.join)
    sources = [source for source in found.values() if named_by(source, table)]
    for path, source in reject_files(config.rejects_dir, sources, erased.problems):
        erased.looked_at += 1
        settings = config.source(source.name)
        search = partial(Search, source=source, table=table, settings=settings, key=member)
        try:
            gone = _rewrite(path, settings.encoding, search, dry_run=dry_run)
        except OSError as error:
            erased.problems.append(f"{path}: {error.strerror}")
        except (UnreadableError, csv.Error) as error:
            erased.problems.append(f"{path}: {error}")
        else:
            erased.rows += gone
            erased.files += bool(gone)
    return erased


def _rewrite(
    path: Path, encoding: str, search: Callable[[list[str]], Search], *, dry_run: bool
) -> int:
    """Replace a file by one without the rows that are found; returns how many these are."""
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is no file of its own; remove it, or what it stands for")
    form = form_of(path, encoding)
    with records(path, form) as read:
        _, header = next(read)
        searched, found = search(header), list[bool]()
        while rows := [row for _, row in islice(read, ROWS)]:
            found += searched.bearing(rows)
    if any(found) and not dry_run:
        if all(found):
            path.unlink()
        else:
            _replace(path, form, [False, *found])
    return sum(found)


def _replace(path: Path, form: Form, gone: list[bool]) -> None:
    """Write the records that are not `gone` to a new file, which then takes the place of `path`."""
    part = path.with_name(f"{path.name}.forget")
    part.unlink(missing_ok=True)  # what a killed command has left
    try:
        descriptor = open_private(part, os.O_CREAT | os.O_EXCL)
        with (
            os.fdopen(descriptor, "w", encoding=form.encoding, newline="\n") as left,
            records(path, form) as read,
        ):
            left.writelines(
                text for (text, _), is_gone in zip(read, gone, strict=True) if not is_gone
            )
            left.flush()
            os.fsync(left.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)

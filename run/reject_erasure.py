"""Rows taken out of reject files, because somebody is to be forgotten."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from common.arrays import decoded
from common.files import open_private
from common.key_rules import normal_keys
from common.reject_reading import Form, UnreadableError, form_of, records
from common.rejects import REJECT_COLUMNS, rearmed
from common.results import RAW
from common.source_settings import SourceSettings
from common.star_model import Source, references, target_of
from config import StarSchemaConfig
from sources.canonical import to_canonical
from sources.joins import all_sources
from sources.mapping import own_columns

_ROWS = 20_000


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
    sources = [source for source in found.values() if _named_by(source, table)]
    for path, source in _files(config.rejects_dir, sources, erased):
        erased.looked_at += 1
        settings = config.source(source.name)
        search = partial(_Search, source=source, table=table, settings=settings, member=member)
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


def _files(place: Path, sources: Sequence[Source], erased: Erased) -> Iterator[tuple[Path, Source]]:
    """The reject files of `sources` in all folders; what cannot be looked into is a problem."""
    for folder in sorted(_listed(place, erased)):
        names = set(_listed(folder, erased)) if folder.is_dir() else set()
        for source in sources:
            path = folder / f"{source.name}.csv"
            part = path.with_name(f"{path.name}.part")
            if part in names:
                erased.problems.append(f"{part}: a run that did not end has left it; remove it")
            if path in names:
                yield path, source


def _listed(folder: Path, erased: Erased) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # no row was ever rejected
        return []
    except OSError as error:
        erased.problems.append(f"{folder}: {error.strerror}")
        return []


def _named_by(source: Source, table: Table) -> list[str]:
    """The columns of `source` that hold keys of `table`."""
    if source.feeds is table:
        return [source.key]
    return [key.info["finds_by"] for key in references(source.feeds) if target_of(key) is table]


class _Search:
    """Which rows of one reject file bear the key of a member."""

    def __init__(
        self, header: list[str], source: Source, table: Table, settings: SourceSettings, member: str
    ) -> None:
        self._source, self._settings, self._member = source, settings, member
        self._word = re.compile(rf"(?<!\w){re.escape(member)}(?!\w)")
        names = rearmed(pa.array(header, pa.string())).to_pylist()
        own = [name for name in names if name not in REJECT_COLUMNS]
        if RAW not in names:
            raise UnreadableError(
                f"it has no column {RAW}, by which records that are no rows are found"
            )
        self._mapping: dict[str, list[str]] = {}
        for name in _named_by(source, table):
            if found := own_columns(own, name, settings):
                self._mapping[name] = found
            elif own and name in source.required:
                raise UnreadableError(
                    f"none of its columns is {name}; say in {source.name.upper()}__COLUMNS which"
                )
        parts = [part for found in self._mapping.values() for part in found]
        used = {*parts, *(part.partition(".")[0] for part in parts), RAW}
        self._places = {name: place for place, name in enumerate(names) if name in used}

    def bearing(self, rows: list[list[str]]) -> list[bool]:
        """Of each row whether it does: in its column, or as a word of a text that is no row."""
        cells = {
            name: rearmed(pa.array([row[place] for row in rows], pa.string()))
            for name, place in self._places.items()
        }
        texts = normal_keys(cells[RAW]).to_pylist()
        found = pa.array([bool(self._word.search(text)) for text in texts])
        keys = to_canonical(pa.table(cells), self._mapping, self._source, self._settings)
        for column in keys.columns:
            is_named = pc.equal(normal_keys(decoded(column)), self._member)
            found = pc.or_(found, pc.fill_null(is_named, False))
        answer: list[bool] = found.to_pylist()
        return answer


def _rewrite(
    path: Path, encoding: str, search: Callable[[list[str]], _Search], *, dry_run: bool
) -> int:
    """Replace a file by one without the rows that are found; returns how many these are."""
    if path.is_symlink() or not path.is_file():
        raise UnreadableError("it is no file of its own; remove it, or what it stands for")
    form = form_of(path, encoding)
    with records(path, form) as read:
        _, header = next(read)
        searched, found = search(header), list[bool]()
        while rows := [row for _, row in islice(read, _ROWS)]:
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

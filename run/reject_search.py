"""Rows with a key in the reject files of all runs: they are found by the mapping of their source,
and records that are no rows by their text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from common.arrays import decoded
from common.key_rules import normal_keys
from common.progress import Progress
from common.reject_reading import UnreadableError, form_of, records
from common.rejects import REJECT_COLUMNS, rearmed
from common.results import DETAIL, FILE, LINE, RAW, REASON
from common.source_settings import SourceSettings
from common.star_model import Source, references, target_of
from config import StarSchemaConfig
from run.key_search import as_word
from sources.canonical import to_canonical
from sources.mapping import own_columns

ROWS = 20_000
"""So many rows are looked at together."""


@dataclass(frozen=True)
class Refused:
    """A row of a reject file."""

    run_id: str
    path: Path
    reason: str
    detail: str
    file: str
    line: int | None
    row: dict[str, str]
    """Its cells, as they were read; of a record that was no row, none."""
    raw: str = ""
    """The text of a record that was no row."""


def reject_files(
    place: Path, sources: Sequence[Source], problems: list[str]
) -> Iterator[tuple[Path, Source]]:
    """The reject files of `sources` in all folders, the oldest run's first; what cannot be looked
    into is a problem.
    """
    for folder in sorted(_listed(place, problems)):
        names = set(_listed(folder, problems)) if folder.is_dir() else set()
        for source in sources:
            path = folder / f"{source.name}.csv"
            part = path.with_name(f"{path.name}.part")
            if part in names:
                problems.append(f"{part}: a run that did not end has left it; remove it")
            if path in names:
                yield path, source


def _listed(folder: Path, problems: list[str]) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # no row was ever rejected
        return []
    except OSError as error:
        problems.append(f"{folder}: {error.strerror}")
        return []


def named_by(source: Source, table: Table) -> list[str]:
    """The columns of `source` that hold keys of `table`."""
    if source.feeds is table:
        return [source.key]
    return [key.info["finds_by"] for key in references(source.feeds) if target_of(key) is table]


class Search:
    """Which rows of one reject file bear a key of a table."""

    def __init__(
        self, header: list[str], source: Source, table: Table, settings: SourceSettings, key: str
    ) -> None:
        """Raises `UnreadableError` where the file has no column with such keys."""
        self._source, self._key = source, key
        self._settings = settings.model_copy(update={"skip_when": {}})  # it asks other columns
        self._word = as_word(key)
        names = rearmed(pa.array(header, pa.string())).to_pylist()
        own = [name for name in names if name not in REJECT_COLUMNS]
        if RAW not in names:
            raise UnreadableError(
                f"it has no column {RAW}, by which records that are no rows are found"
            )
        self._mapping: dict[str, list[str]] = {}
        for name in named_by(source, table):
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
            is_named = pc.equal(normal_keys(decoded(column)), self._key)
            found = pc.or_(found, pc.fill_null(is_named, False))
        answer: list[bool] = found.to_pylist()
        return answer


def refusals(
    config: StarSchemaConfig,
    key: str,
    problems: list[str],
    progress: Progress,
    *,
    runs: Mapping[str, int],
    since: str,
    most: int,
) -> list[Refused]:
    """The rows of facts with this key in the reject files of all runs from the one called `since`
    on, the newest run's first: those of the newest runs, until there are `most`. Files that cannot
    be read are problems.

    `runs` has the place of each run of the star; a folder of another is another star's. Where the
    star knows no run, all folders are looked into.
    """
    source = config.star.sales
    found: list[Refused] = []
    paths = [path for path, _ in reject_files(config.rejects_dir, [source], problems)]
    if runs:
        first = runs.get(since, 0)
        paths = [path for path in paths if runs.get(path.parent.name, -1) >= first]
        paths.sort(key=lambda path: runs[path.parent.name])
    progress.expect(len(paths), "files")
    for path in reversed(paths):
        progress.advance(path.parent.name)
        progress.reach(1)
        try:
            found += _refused_in(path, source, config, key)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except (UnreadableError, csv.Error) as error:
            problems.append(f"{path}: {error}")
        if len(found) >= most:
            break
    return found


def _refused_in(
    path: Path, source: Source, config: StarSchemaConfig, key: str
) -> Iterator[Refused]:
    settings = config.source(source.name)
    with records(path, form_of(path, settings.encoding)) as read:
        _, header = next(read)
        search = Search(header, source, source.feeds, settings, key)
        names = rearmed(pa.array(header, pa.string())).to_pylist()
        while rows := [row for _, row in islice(read, ROWS)]:
            for row, is_found in zip(rows, search.bearing(rows), strict=True):
                if is_found:
                    cells = rearmed(pa.array(row, pa.string())).to_pylist()
                    yield _refused(path, dict(zip(names, cells, strict=True)))


def _refused(path: Path, cells: dict[str, str]) -> Refused:
    line, raw = cells[LINE], cells[RAW]
    own = {n: v for n, v in cells.items() if n not in REJECT_COLUMNS}
    return Refused(
        path.parent.name, path, cells[REASON], cells[DETAIL], cells[FILE],
        int(line) if line.isdecimal() else None, {} if raw else own, raw,
    )  # fmt: skip

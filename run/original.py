"""A row as it stands in its file, by the file's name and its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pyarrow.compute as pc
from sqlalchemy import URL

from common.parallel import Workers
from common.progress import Progress
from common.results import FILE, LINE
from config import StarSchemaConfig
from errors import SourceError
from run.check import Phase, working_folder
from run.key_search import keys_of
from run.refused import without_marks
from run.unchanged import content_of
from sources.places import find_places
from sources.raw_source import RawSource, ReadSource

Look: TypeAlias = Callable[
    [StarSchemaConfig, dict[str, str], Path, Progress, int | None, Workers], dict[str, ReadSource]
]
"""Reads the sources of some settings into a folder: of a source that is in the second argument only
the file with that label; of each file, where there is a number, only so many records.
"""
ReadRow: TypeAlias = dict[str, str | None]


@dataclass
class Original:
    """What has become of the file of a row, and of the row."""

    state: str
    """`same`: the file is as it was read; `changed`; `unknown`: nobody noted how it was; `gone`;
    `database`: it was the answer to a query; `unreadable`.
    """
    rows: list[ReadRow] = field(default_factory=list)
    """What stands on this line now under the key that is looked for."""
    problem: str = ""


def original_row(
    config: StarSchemaConfig,
    look: Look,
    where: tuple[str, int],
    key: str,
    sha256: str | None,
    phase: Phase,
) -> Original:
    """The row with the key `key` at `where`, a line of a file that had `sha256` when it was read;
    None where that is not known.
    """
    file, line = where
    name = config.star.sales.name
    if isinstance(config.source(name).path, URL) and file.endswith(f" ({name})"):
        return Original("database")
    path = _path_in(file)
    if path is None:
        return Original("gone")
    own = config.with_source(name, path=path)
    if config.join is None:
        own = own.model_copy(update={"sources": {name: own.source(name)}})
    with working_folder(config.work_dir) as folder, Workers(config.workers) as workers:
        read = look(own, {name: file}, folder, phase("read"), line, workers)[name]
        if not read.files and not read.problems:
            return Original("gone")
        if read.extracted is None:
            return Original("unreadable", problem="; ".join(read.problems))
        rows = list(_rows_at(read.extracted, line, key))
        return Original(_state(path, file, sha256, workers), rows)


def _path_in(label: str) -> str | None:
    """The file on the disk, or the URL, that a label begins with; None where it is not there."""
    if "://" in label:
        return label.partition("!")[0]
    parts = label.split("!")
    candidates = ("!".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((path for path in candidates if Path(path).is_file()), None)


def _rows_at(raw: RawSource, line: int, key: str) -> list[ReadRow]:
    found: list[ReadRow] = []
    for batch in raw.batches:
        chosen = pc.indices_nonzero(pc.equal(batch.lines(), line))
        if not len(chosen):
            continue
        keys = keys_of(batch, raw.source, raw.settings).take(chosen).to_pylist()
        own = batch.originals().drop_columns([FILE, LINE]).take(chosen)
        texts = without_marks(own).to_pylist()
        found += [text for text, its_key in zip(texts, keys, strict=True) if its_key == key]
    return found


def _state(path: str, label: str, sha256: str | None, workers: Workers) -> str:
    """Whether a file is as it was; of members of archives, and of sheets, nobody knows."""
    if sha256 is None or label != path or "://" in label:
        return "unknown"
    try:
        (place,) = find_places(path, "").places
        return "same" if content_of(place, workers) == sha256 else "changed"
    except (SourceError, OSError, ValueError):
        return "unknown"

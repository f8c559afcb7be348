"""Columns in the names of folders, as Hive and Spark write them: `region=EMEA/part-0.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from sources.batches import ReadOptions, TextBatch
from sources.pieces import OpenSource
from sources.streams import Place

_NO_VALUE = ("", "__HIVE_DEFAULT_PARTITION__")


def folder_values(place: Place) -> dict[str, str | None]:
    """The columns in the names of the folders above a file, with their values; those in an archive
    are nearer than those above it.
    """
    paths = (PurePosixPath(place.name), PurePosixPath(place.member or ""))
    folders = [folder for path in paths for folder in path.parts[:-1]]
    pairs = (folder.partition("=") for folder in folders)
    return {
        unquote(name): None if value in _NO_VALUE else unquote(value)
        for name, equals, value in pairs
        if name and equals
    }


def with_folder_values(
    opened: OpenSource, values: Mapping[str, str | None], options: ReadOptions
) -> OpenSource:
    """`opened` with these columns in addition to its own.

    Where the file has such a column itself, its own values are used, and a warning says so.
    """
    own = {column.casefold() for column in opened.columns}
    twice = [name for name in values if name.casefold() in own]
    new = {name: value for name, value in values.items() if name not in twice}
    if opened.is_schemaless:  # its reader adds keys of later records to this list
        opened.columns += new
    else:
        opened.columns = [*opened.columns, *new]
    opened.steps.append(partial(_filled, values=new, options=options))
    if twice:
        names = ", ".join(twice)
        opened.warn(f"of {names} the file's own values are read, not the folder's")
    return opened


def _filled(batch: TextBatch, values: Mapping[str, str | None], options: ReadOptions) -> TextBatch:
    """A batch with a column for each value; a record's own value takes precedence."""
    rows = batch.rows
    for name, value in values.items():
        column = pa.array([value] * len(rows), pa.string())
        if name in rows.column_names:
            column = pc.coalesce(rows[name].cast(pa.string()), column)
            rows = rows.drop_columns([name])
        rows = rows.append_column(
            name, column.dictionary_encode() if name in options.encoded else column
        )
    return replace(batch, rows=rows)

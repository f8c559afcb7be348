"""Rows of a source that has been read, by their key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import decoded, whole
from common.key_rules import normal_keys
from common.parallel import Task, Workers
from common.progress import Progress
from common.results import RAW
from common.source_settings import SourceSettings
from common.star_model import Source
from sources.raw_source import RawSource
from sources.source_files import RawBatch

_NEAR = 5


@dataclass
class Found:
    """What a batch has of a key."""

    number: int
    rows: list[int] = field(default_factory=list)
    """The numbers of the rows that have it."""
    near: list[str] = field(default_factory=list)
    """Keys that differ from it in case, spaces and leading zeros only."""
    records: list[int] = field(default_factory=list)
    """The numbers of records that are no rows, and have it as a word."""


def keys_of(batch: RawBatch, source: Source, settings: SourceSettings) -> pa.Array:
    """The key of each row of a batch, as the star would have it."""
    own = {source.key: batch.mapping[source.key]} if source.key in batch.mapping else {}
    plain = settings.model_copy(update={"skip_when": {}})
    rows = replace(batch, mapping=own).canonical(source, plain)
    if source.key not in rows.column_names:  # no record of the batch is a row
        return pa.array([""] * len(batch.lines()), pa.string())
    return normal_keys(decoded(whole(rows[source.key])))


def look_for(raw: RawSource, key: str, workers: Workers, progress: Progress) -> Iterator[Found]:
    """What each batch of a source has of a key."""
    settings = raw.settings
    progress.expect(raw.records)
    tasks = (
        Task(_looked_through, (number, batch, raw.source, settings, key), is_portable=False)
        for number, batch in enumerate(raw.batches)
    )
    for batch, found in zip(raw.batches, workers.in_order(tasks), strict=True):
        progress.advance(raw.name, batch.records)
        yield found


def _looked_through(
    number: int, batch: RawBatch, source: Source, settings: SourceSettings, key: str
) -> Found:
    keys = keys_of(batch, source, settings)
    is_same = pc.fill_null(pc.equal(keys, key), False).to_numpy(zero_copy_only=False)
    found = Found(number, np.flatnonzero(is_same).tolist())
    alike = pc.fill_null(pc.equal(folded(keys), folded(pa.array([key]))[0]), False)
    others = pc.unique(keys.filter(alike)).to_pylist()
    found.near = [other for other in others if other != key][:_NEAR]
    no_rows = batch.no_rows()
    if no_rows is not None:
        word = as_word(key)
        texts = normal_keys(decoded(whole(no_rows[RAW]))).to_pylist()
        found.records = [place for place, text in enumerate(texts) if word.search(text or "")]
    return found


def as_word(key: str) -> re.Pattern[str]:
    """What finds a key in the text of a record that is no row."""
    return re.compile(rf"(?<!\w){re.escape(key)}(?!\w)")


def folded(keys: pa.Array) -> pa.Array:
    """Keys without case, spaces and leading zeros."""
    without_spaces = pc.replace_substring_regex(pc.utf8_lower(keys), r"\s+", "")
    return pc.utf8_ltrim(without_spaces, "0")

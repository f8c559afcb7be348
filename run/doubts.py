"""Whether a source's mapped key may be none: the rows that tell are fetched from its batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cleaning import own_keys
from common import spool
from common.parallel import Task, Workers
from common.results import PLACE, ROW_BITS
from run.clean_source import CleanSource
from sources.raw_source import RawSource
from sources.source_files import RawBatch

_LABEL = "rows with the same key"


def doubt_of(
    source: CleanSource,
    raw: RawSource,
    parts: Sequence[str],
    conflicts: Mapping[int, Path],
    folder: Path,
    workers: Workers,
) -> str:
    """A warning where the key may be none; `parts` are the columns that make it, `conflicts` the
    files of rows, by batch, that lose to a later row with other content.
    """
    lost = source.rejected["conflicting_duplicate"]
    if not own_keys.is_doubtful(lost, source.read):
        return ""
    keys = pa.array([], pa.string())
    tasks = (
        Task(_contested_keys, (source.batches[number].rows, path, source.key), label=_LABEL)
        for number, path in conflicts.items()
    )
    for found in workers.in_order(tasks):
        keys = pc.unique(pa.concat_arrays([keys, found]))[: own_keys.KEYS]
        if len(keys) == own_keys.KEYS:
            break
    contested = pa.concat_tables(
        _contested(source, raw, keys, folder, workers), promote_options="default"
    ).slice(0, own_keys.ROWS)
    of_facts = source.about.describes_facts
    return own_keys.doubt(
        source.name, source.key, parts, lost, source.read, contested, of_facts=of_facts
    )


def _contested(
    source: CleanSource, raw: RawSource, keys: pa.Array, folder: Path, workers: Workers
) -> Iterator[pa.Table]:
    shared, count = workers.share(keys), 0
    tasks = (
        Task(_contested_rows, (shared, cleaned.rows, batch, source.key, folder), label=_LABEL)
        for cleaned, batch in zip(source.batches, raw.batches, strict=True)
    )
    for path in workers.in_order(tasks):
        rows = spool.read(path)
        yield rows
        count += len(rows)
        if count >= own_keys.ROWS:
            return


# --- the tasks -------------------------------------------------------------------------------


def _contested_keys(rows: Path, conflicts: Path, key: str) -> pa.Array:
    lost = spool.read(conflicts)[PLACE].to_numpy() & ROW_BITS
    return own_keys.contested_keys(spool.read(rows), key, lost)


def _contested_rows(keys: pa.Array, cleaned: Path, batch: RawBatch, key: str, folder: Path) -> Path:
    rows = own_keys.contested_rows(spool.read(cleaned), batch.originals(), key, keys)
    return spool.write(folder, "contested", rows)

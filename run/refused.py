"""Refused rows: kept by their places while they are found, and put in file order at the end.

Batches are cleaned side by side, and a row may still be refused when all others are clean. So no
more than place and reason is kept at first, in the run's working folder, where the rows themselves
are as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from common import spool
from common.parallel import Task
from common.results import DETAIL, LINE, PLACE, REASON, ROW_BITS
from common.sums import Sums
from common.values import UNREADABLE
from sources.raw_source import RawSource
from sources.source_files import RawBatch

_OURS = (REASON, DETAIL)
"""What a reject file that is loaded says of a row, and what is said anew."""


@dataclass(frozen=True)
class Kept:
    """Rows of one batch that were refused together: where that is kept, and how many for what."""

    number: int
    path: Path
    reasons: Counter[str]
    money: Mapping[str, Sums] = field(default_factory=dict)
    """By reason, their net amounts, as far as these are known."""


def keep(
    folder: Path,
    source: str,
    number: int,
    by: str,
    refused: pa.Table,
    money: Mapping[str, Sums] | None = None,
) -> Kept | None:
    """Keep the `_place`, `_reason` and `_detail` of rows that batch `number` of a source loses, if
    it loses any.

    `by` is what has refused them, once for each batch; `money` has their net amounts by reason.
    Raises `SpoolError`.
    """
    if not len(refused):
        return None
    path = spool.write(folder, f"{source}-refused-{by}-{number:06}", refused)
    return Kept(number, path, Counter(refused[REASON].to_pylist()), money or {})


def in_file_order(
    source: RawSource, kept: Mapping[int, Sequence[Path]]
) -> Iterator[Task[pa.Table]]:
    """A call per batch that has lost records; together they give these in the order of the files.

    Each returns a table of the source's own columns as they were read, `_file`, `_line`, `_reason`
    and `_detail`; `_raw` where records are, or were, no rows. `kept` has the paths of `keep`, by
    batch.
    """
    for number, batch in enumerate(source.batches):
        if number in kept or batch.refused is not None:
            yield Task(_lost, (batch, kept.get(number, ())))


def _lost(batch: RawBatch, paths: Sequence[Path]) -> pa.Table:
    no_rows = batch.no_rows()
    tables = [] if no_rows is None else [no_rows]
    if paths:
        tables.append(_rows(batch.originals(), pa.concat_tables(map(spool.read, paths))))
    lost = pa.concat_tables(tables, promote_options="default")
    return lost.take(pc.sort_indices(lost[LINE]))  # which keeps the order within a line


def _rows(originals: pa.Table, refused: pa.Table) -> pa.Table:
    """The original rows at the places of `refused`, with their reasons, in file order."""
    refused = refused.sort_by(PLACE)
    own = originals.drop_columns([name for name in _OURS if name in originals.column_names])
    rows = without_marks(own.take(pa.array(refused[PLACE].to_numpy() & ROW_BITS)))
    for name in (REASON, DETAIL):
        rows = rows.append_column(name, refused[name])
    return rows


def without_marks(rows: pa.Table) -> pa.Table:
    """`rows` as people may see them: as text, without the mark of what cannot be read."""
    for number, name in enumerate(rows.column_names):
        if not pa.types.is_integer(rows[name].type):
            texts = rows[name].cast(pa.string())
            texts = pc.replace_substring(texts, UNREADABLE, "")
            rows = rows.set_column(number, name, texts)
    return rows

"""What the next run would make of the rows with a key: the input is read, and they are cleaned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import Table

from common import spool
from common.arrays import decoded, whole
from common.results import (
    DELETES,
    DETAIL,
    FILE,
    LINE,
    PLACE,
    RAW,
    REASON,
    REMOVAL,
    ROW_BITS,
    SKIPPED,
    Clean,
)
from common.star_model import references, target_of, unknown_reason
from common.values import as_text
from config import StarSchemaConfig
from errors import ExtractionError
from run.check import Phase, working_folder
from run.clean_source import CleanSource
from run.key_search import Found, look_for
from run.original import Look, ReadRow
from run.refused import without_marks
from run.staging import clean_sources
from run.workers import workers_for
from sources.canonical import own_column
from sources.raw_source import RawSource, ReadSource
from sources.source_files import RawBatch

Knows = Callable[[Table, str], bool]
"""Whether the star knows the member of a dimension with a business key."""


@dataclass
class InputRow:
    """A row of the input, and what the next run would make of it."""

    file: str
    line: int
    outcome: str
    """`loaded`, `refused`, `skipped`, `deleted`: it is flagged so, or `duplicate`."""
    reason: str = ""
    detail: str = ""
    row: ReadRow = field(default_factory=dict)
    raw: str = ""
    """The text of a record that is no row."""
    wins: InputRow | None = None
    """The row with the same key that counts instead of this one."""


@dataclass
class Input:
    """What the input has of a key."""

    rows: list[InputRow] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    records: int = 0
    """How many records were looked through."""
    files: int = 0
    is_part: bool = False
    """Whether only rows from a WATERMARK on were read, as the next run does."""


def look_in_input(
    config: StarSchemaConfig,
    look: Look,
    cleaning: Callable[[StarSchemaConfig], Clean],
    key: str,
    knows: Knows,
    phase: Phase,
) -> Input:
    """What the next run would make of the rows with this key.

    Raises `ExtractionError` where the sales cannot be read.
    """
    own = _only_what_counts(config)
    with working_folder(config.work_dir) as folder, workers_for(config, folder) as workers:
        looked = look(own, {}, folder, phase("read"), None, workers)
        raw = _read(looked[config.star.sales.name])
        found = list(look_for(raw, key, workers, phase("look")))
        result = Input(
            near=list(dict.fromkeys(near for each in found for near in each.near)),
            records=raw.records,
            files=len(raw.files),
            is_part=bool(raw.settings.watermark),
        )
        having = [each for each in found if each.rows]
        some = replace(raw, batches=[raw.batches[each.number] for each in having])
        judge = _Judge(own, some, having, knows)
        if having:
            others = [s.extracted for n, s in looked.items() if n != raw.name and s.extracted]
            read = [some, *(other for other in others if other.name not in _joined(own))]
            hears = phase("clean")
            cleaned = clean_sources(read, cleaning, own, folder, workers, progress=hears)
            result.rows = judge.rows(cleaned[raw.name])
        for each in found:
            result.rows += _no_rows(raw.batches[each.number], each)
    return result


def _only_what_counts(config: StarSchemaConfig) -> StarSchemaConfig:
    """The settings with the sources alone that what becomes of a sale depends on: members matter
    where a sale of one that nobody knows is refused.
    """
    if config.orphan_policy == "reject":
        return config
    kept = {config.star.sales.name, *_joined(config)}
    sources = {name: source for name, source in config.sources.items() if name in kept}
    return config.model_copy(update={"sources": sources})


def _joined(config: StarSchemaConfig) -> set[str]:
    return set() if config.join is None else {config.join.source}


def _read(looked: ReadSource) -> RawSource:
    if looked.extracted is None:
        raise ExtractionError(looked.problems)
    return looked.extracted


@dataclass
class _Judge:
    """Tells what became of the rows that were found, whose batches are cleaned by themselves."""

    config: StarSchemaConfig
    raw: RawSource
    found: list[Found]
    knows: Knows

    def rows(self, cleaned: CleanSource) -> list[InputRow]:
        """The rows in the order of their files."""
        rows = [
            row
            for number, each in enumerate(self.found)
            for row in self._of_batch(number, each.rows, cleaned)
        ]
        last = rows[-1]
        for row in rows[:-1]:
            if row.outcome == "duplicate" or row.reason == "conflicting_duplicate":
                row.wins = (
                    next(r for r in reversed(rows) if r.outcome in _GO_ON)
                    if any(r.outcome in _GO_ON for r in rows)
                    else last
                )
        return rows

    def _of_batch(self, number: int, wanted: list[int], cleaned: CleanSource) -> Iterator[InputRow]:
        batch = self.raw.batches[number]
        originals = batch.originals()
        refused = _refused(cleaned.kept.get(number, ()))
        left_out = cleaned.left_out.get(number)
        lost = set() if left_out is None else set(np.fromfile(left_out, np.int64).tolist())
        good = spool.read(cleaned.batches[number].rows)
        at = {place & ROW_BITS: row for row, place in enumerate(good[PLACE].to_pylist())}
        for place in wanted:
            one = originals.slice(place, 1)
            (cells,) = without_marks(one.drop_columns([FILE, LINE])).to_pylist()
            row = InputRow(one[FILE][0].as_py(), one[LINE][0].as_py(), "loaded", row=cells)
            if place in refused:
                row.outcome, (row.reason, row.detail) = "refused", refused[place]
            elif place in lost:
                row.outcome = "duplicate"
            elif place not in at:
                row.outcome, row.detail = "skipped", self._why_skipped(batch, one)
            else:
                self._judge_good(row, good.slice(at[place], 1), batch, one, cleaned, number)
            yield row

    def _judge_good(
        self,
        row: InputRow,
        good: pa.Table,
        batch: RawBatch,
        one: pa.Table,
        cleaned: CleanSource,
        number: int,
    ) -> None:
        kind = good[REMOVAL][0].as_py() if REMOVAL in good.column_names else 0
        if kind == DELETES:
            row.outcome = "deleted"
        elif kind:
            row.outcome, row.detail = "skipped", self._why_skipped(batch, one)
        elif self.config.orphan_policy == "reject":
            for key in references(self.config.star.fact):
                name = key.info["finds_by"]
                member = decoded(whole(good[name]))[0].as_py()
                strange = cleaned.strange.get(name, {}).get(number, pa.array([], pa.string()))
                is_described = self._has_source(target_of(key))
                if not member or not is_described or member not in strange.to_pylist():
                    continue
                if not self.knows(target_of(key), member):
                    row.outcome, row.reason, row.detail = "refused", unknown_reason(key), member
                    return

    def _has_source(self, dimension: Table) -> bool:
        name = self.config.star.source_of(dimension).name
        return self.config.source(name).path is not None

    def _why_skipped(self, batch: RawBatch, one: pa.Table) -> str:
        """The column and the value that SKIP_WHEN names."""
        asked = self.raw.settings.skip_when.values()
        for own, texts in zip(batch.mapping.get(SKIPPED, []), asked, strict=True):
            value = own_column(one, own, as_text)[0].as_py()
            if value is not None and str(value).strip() in {text.strip() for text in texts}:
                return f"{own} is {str(value).strip()!r}"
        return ""


_GO_ON = ("loaded", "deleted", "skipped")


def _refused(paths: tuple[Path, ...]) -> dict[int, tuple[str, str]]:
    """By the number of a row, why it is refused."""
    found: dict[int, tuple[str, str]] = {}
    for table in map(spool.read, paths):
        for row in table.select([PLACE, REASON, DETAIL]).to_pylist():
            found[row[PLACE] & ROW_BITS] = row[REASON], row[DETAIL] or ""
    return found


def _no_rows(batch: RawBatch, found: Found) -> Iterator[InputRow]:
    """The records that are no rows, and have the key as a word."""
    records = batch.no_rows()
    if records is None:
        return
    for record in records.take(pa.array(found.records, pa.int64())).to_pylist():
        yield InputRow(
            record[FILE], record[LINE], "refused", record[REASON], record[DETAIL] or "",
            raw=record[RAW] or "",
        )  # fmt: skip

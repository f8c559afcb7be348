"""A source after it was read: its batches in the spool, its counts and its warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from common.rejects import REJECT_FILE
from common.results import FILE, LINE, NUMBER
from common.source_settings import SourceSettings
from common.star_model import Source
from sources.inspection import Inspection, names_in
from sources.json_values import head_and_path
from sources.mapping import asked_for, unused
from sources.mapping_errors import near_name, nearest, partly_absent
from sources.meanings import Meanings
from sources.pieces import OpenSource
from sources.read_files import ReadFile, fingerprint
from sources.source_files import RawBatch, SourceFile

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class RawSource:
    """A source whose batches are in the spool, from where they are read one at a time.

    `records` counts all records, `files` has the fingerprint of each file.
    """

    source: Source
    settings: SourceSettings
    columns: list[str] = field(default_factory=list)  # the source's own, over all its files
    mapped: set[str] = field(default_factory=set)
    """The canonical columns that any of its files has, with rows or without."""
    batches: list[RawBatch] = field(default_factory=list)
    records: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    currencies: Counter[str] = field(default_factory=Counter)
    """How many amounts are in which currency, by symbols and by columns that are not used."""
    empty_files: list[str] = field(default_factory=list)
    """Files without a byte, which were passed over."""
    joined: list[RawSource] = field(default_factory=list)
    """The source of the orders of these lines, if there is one."""
    kept: dict[int, tuple[Path, ...]] = field(default_factory=dict)
    """Of a source of orders: by batch, files with the places of rows that are rejected, and why."""
    duplicates: int = 0
    """Of a source of orders: rows that say the same as a later one."""

    @property
    def name(self) -> str:
        """What its source is called."""
        return self.source.name

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self.batches)

    def originals(self, index: int) -> pa.Table:
        """Batch `index` as it was read: the source's own columns as text, `_file`, `_line`."""
        return self.batches[index].originals()

    def canonical(self, index: int) -> pa.Table:
        """Batch `index` under canonical names, text; absent optional columns are left out."""
        return self.batches[index].canonical(self.source, self.settings)

    def refused(self, index: int) -> pa.Table | None:
        """Records of batch `index` that are not rows: `_file`, `_line`, `_reason`, `_detail` and
        `_raw`.
        """
        return self.batches[index].no_rows()


@dataclass
class ReadSource:
    """A source after an attempt to read it: its files, and its problems or else its rows."""

    name: str
    files: list[SourceFile]
    problems: list[str]
    extracted: RawSource | None

    @property
    def opened(self) -> list[OpenSource]:
        """The files that could be opened, with their format, delimiter and columns."""
        return [file.opened for file in self.files]

    @property
    def mapping(self) -> dict[str, list[str]] | None:
        """The mapping of the first file; None where its columns were not found."""
        return self.files[0].mapping if self.files and self.files[0].is_mapped else None

    def unused(self) -> list[str]:
        """The columns of the files to which nothing is mapped."""
        used = {column for f in self.files for own in f.mapping.values() for column in own}
        columns = dict.fromkeys(column for file in self.opened for column in file.columns)
        if self.extracted is not None:
            used |= asked_for(list(columns), self.extracted.settings)
        return unused(columns, used)

    def inside(self) -> list[str]:
        """The names of values inside JSON columns, as a mapping writes them."""
        rows = self.files[0].first if self.files else None
        if self.extracted is not None and self.extracted.batches:
            rows = self.extracted.originals(0).drop_columns([FILE, LINE])
        return [] if rows is None else names_in(rows)


def join_files(
    source: Source, settings: SourceSettings, reads: Sequence[ReadFile], notes: Sequence[str]
) -> RawSource:
    """The files of a source as one source; `notes` are warnings that exist already."""
    result = RawSource(source, settings)
    opened = [read.opened for read in reads]
    for number, read in enumerate(reads, 1):
        result.batches += [
            replace(batch, mapping=read.mapping, file=number) for batch in read.batches
        ]
        result.mapped |= read.mapping.keys()
        result.columns = list(dict.fromkeys([*result.columns, *read.opened.columns]))
        result.records += read.records
        result.files.append(fingerprint(read.opened, read.records, read.sha256))
    used = {column for read in reads for own in read.mapping.values() for column in own}
    used |= asked_for(result.columns, settings)
    notes = [*notes, *(file.note for file in opened if file.note)]
    inspection, meanings = Inspection(), Meanings()
    for read in reads:
        inspection.add(read.inspection)
        meanings.add(read.meanings)
    notes += _seen(inspection, reads[0].mapping if reads else {}, result.columns)
    notes += partly_absent(opened, [read.mapping for read in reads])
    notes += meanings.warnings(source.name, unused(result.columns, used))
    notes += _of_empty_lists(result)
    result.currencies = meanings.amounts_in(unused(result.columns, used))
    if any(NUMBER in own for read in reads for own in read.mapping.values()):
        result.columns = list(dict.fromkeys([*result.columns, NUMBER]))
    result.warnings = [*_ignored(result, used), *(f"{source.name}: {note}" for note in notes)]
    return result


def extraction_metadata(extracted: dict[str, RawSource]) -> dict[str, Any]:
    """The `_metadata` of an extraction that succeeded."""
    return {
        "total_records": sum(source.records for source in extracted.values()),
        "success": True,
        "extraction_errors": [],
    }


def frame(read: RawSource | None, source: Source) -> pd.DataFrame:
    """A whole source as a DataFrame of canonical text columns; empty if it is not configured."""
    tables = [read.canonical(i) for i in range(len(read))] if read is not None else []
    if not tables:
        tables = [pa.table({column: pa.array([], pa.string()) for column in source.columns})]
    plain = [
        pa.table({c: table[c].cast(pa.string()) for c in table.column_names}) for table in tables
    ]
    frame: pd.DataFrame = pa.concat_tables(plain, promote_options="default").to_pandas()
    return frame


IGNORED = "these columns are not used and are ignored"


def _seen(
    inspection: Inspection, mapping: dict[str, list[str]], columns: Sequence[str]
) -> list[str]:
    """Warnings from the inspection of a source's records."""
    notes = []
    for canonical, name in ((c, name) for c, own in mapping.items() for name in own):
        is_there = name == NUMBER or head_and_path(name, columns)[0] in columns
        if inspection.records and not is_there:
            near = nearest(near_name(name, columns))
            notes.append(f"no record has {name!r}, which {canonical} is mapped to{near}")
    notes += inspection.warnings(mapping, columns)
    lost = inspection.lost(in_sales=False).values()
    return [*notes, *(f"{what}: one record is one row" for what in lost)]


def _of_empty_lists(source: RawSource) -> list[str]:
    """A warning of records whose list has no element, so that no row is made of them."""
    empty = sum(batch.empty for batch in source.batches)
    if not empty:
        return []
    doubt = "; is that where the list is?" if empty == source.records else ""
    path = source.settings.explode
    return [f"{empty:,} of {source.records:,} rows are records without an element at {path!r}: "
            f"they are skipped{doubt}"]  # fmt: skip


def _ignored(source: RawSource, used: set[str]) -> list[str]:
    """A warning of unused columns; those of a reject file were told by the run that wrote it."""
    if set(source.columns) >= REJECT_FILE:
        return []
    ignored = unused(source.columns, used)
    return [f"{source.name}: {IGNORED}: {', '.join(ignored)}"] if ignored else []

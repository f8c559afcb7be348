"""A file while it is read: its pieces become tasks, and their results are put together in order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import fingerprints
from common.parallel import Task
from common.star_model import Source
from errors import LineError, SourceError
from sources.inspection import Inspection
from sources.meanings import Meanings
from sources.pieces import Findings, OpenSource, Piece
from sources.ranges import Range, changed, unreadable
from sources.source_files import RawBatch, SourceFile, Spilled, Spilling, place_of, spill
from sources.undecodable import Seen


@dataclass(frozen=True)
class Leaf:
    """A part of a file that is hashed by itself."""

    begin: int
    end: int


Part = Piece | Leaf | None
"""What a task is of; None after the last one of a file."""


@dataclass
class ReadFile:
    """A file that is being read: its batches so far, what was counted in them, and its fault."""

    source: Source
    shared: Source
    """The source as an argument of tasks."""
    file: SourceFile
    folder: Path
    batches: list[RawBatch] = field(default_factory=list)
    mapping: dict[str, list[str]] = field(default_factory=dict)
    inspection: Inspection = field(default_factory=Inspection)
    meanings: Meanings = field(default_factory=Meanings)
    fault: SourceError | None = None
    opened: OpenSource = field(init=False)
    size: int | None = None
    """How many bytes it has; None where that says nothing, as of a database."""
    _found: set[str] = field(default_factory=set)
    """The columns that the records themselves name."""
    _hashes: list[bytes] = field(default_factory=list)
    _counts: Seen | None = None
    _lines: int = 0
    """How many lines come before the next range."""
    _end: int = 0
    """The byte at which the last range has ended."""

    def __post_init__(self) -> None:
        self.opened, self.mapping = self.file.opened, self.file.mapping
        path = self.file.path
        self.size = None if path is None else path.stat().st_size

    @property
    def name(self) -> str:
        """What its source is called."""
        return self.source.name

    @property
    def records(self) -> int:
        """How many records were read so far."""
        return sum(batch.records for batch in self.batches)

    @property
    def reached(self) -> int:
        """How many of its bytes are read so far, as far as that can be told before its end."""
        expected = self.opened.expected
        if self.opened.copy is not None:  # of what is unpacked only the copy's bytes are known
            return 0
        if self._end or not self.size or not expected:
            return self._end
        return self.size * min(self._lines, expected) // expected

    @property
    def sha256(self) -> str | None:
        """By what its bytes are known again; None of a database."""
        if self._hashes:
            return fingerprints.joined(self._hashes)
        return self.opened.digest.fingerprint() if self.opened.digest else None

    def discard(self) -> None:
        """Delete the batches read so far."""
        Spilled(self.batches, Findings()).discard()

    def tasks(self, numbers: Iterator[int], enough: set[str]) -> Iterator[tuple[Part, Task[Any]]]:
        """Tasks that each read a piece and write it to the spool, or hash a part of the file, until
        there is a fault or enough has been read of this source. Their results are for `take`.
        """
        try:
            if not self.file.is_open and self.name not in enough:
                self.opened = self.file.open()
            self._lines = self.opened.lines_before
            leaves = self._leaves()
            for piece in self.opened.pieces:
                if self.fault is not None or self.name in enough:
                    self.opened.close()
                    break
                while leaves and (not isinstance(piece, Range) or leaves[0].begin <= piece.begin):
                    yield self._hashing(leaves.popleft())  # while these bytes are in memory
                yield piece, self._spilling(piece, f"{self.name}-{next(numbers):06}")
            yield from map(self._hashing, leaves)
        except SourceError as fault:
            self.fault = self.fault or fault
        yield None, Task(_nothing, is_portable=False)

    def take(self, part: Part, result: Any) -> tuple[Part, Task[Spilled]] | None:
        """Take the result of a task into account; results come in the order of the tasks.

        When a range has begun elsewhere than the one before it has ended, it returns a task that
        reads it again: its result is to be taken before that of the next.
        """
        if isinstance(part, Leaf):
            if isinstance(result, SourceError):
                self.fault = self.fault or result
            else:
                self._hashes.append(result)
            return None
        spilled: Spilled = result
        if isinstance(part, Range):
            if part.stop <= self._end:  # its lines are of a record that was read already
                spilled.discard()
                return None
            if not part.is_exact and spilled.found.begin != self._end:
                spilled.discard()
                exact = part.exactly(self._end)
                return exact, self._spilling(exact, f"{self.name}-again-{self._end}")
            self._end = spilled.found.end
        self._add(spilled)
        return None

    def finish(self) -> None:
        """To be called after the last result. Raises `SourceError` where the file has a fault."""
        if self.opened.copy is not None:
            self.opened.copy.unlink(missing_ok=True)
        stand_in = {self.opened.list_column} - self._found if self._found else set()
        self.opened.columns[:] = [name for name in self.opened.columns if name not in stand_in]
        if self.fault is None and self._counts is not None:
            self._counts.judge()
        if self.fault is not None:
            raise self.fault
        if self.file.identity() != self.file.before:
            raise changed(self.opened.label)
        if self.opened.expected not in (None, self._lines):
            setting = f"{self.name.upper()}__SPLIT_BY"
            raise SourceError(
                f"{self.opened.label}: it has {self.opened.expected:,} records, and its ranges "
                f"have {self._lines:,}: it gives others each time it is asked, as by LIMIT "
                f"without ORDER BY, or random(); correct that, or leave {setting} out"
            )

    def _add(self, spilled: Spilled) -> None:
        found, fault = spilled.found, spilled.fault
        if fault is not None:
            moved = fault.moved(self._lines) if isinstance(fault, LineError) else fault
            self.fault = self.fault or moved
        for batch in spilled.batches:
            batch.before = self._lines
            batch.inspection.move(self._lines)
        self.batches += spilled.batches
        self._lines += found.lines
        self.opened.binary_keys |= found.binary_keys
        if self.opened.is_schemaless:
            self.opened.add_columns(found.columns)
            self._found.update(found.columns)
        if found.counts is not None:
            self._counts = self._counts or found.counts
            if self._counts is not found.counts:
                self._counts.add(found.counts)

    def _spilling(self, piece: Piece, name: str) -> Task[Spilled]:
        how = Spilling(self.opened.label, self.mapping, tuple(self.opened.steps), self.folder)
        label = place_of(self.opened.label, piece)
        return Task(spill, (self.shared, how, piece, name), piece.is_portable, label)

    def _leaves(self) -> deque[Leaf]:
        path = self.file.path
        if path is None:
            return deque()
        return deque(Leaf(*ends) for ends in fingerprints.leaves(path.stat().st_size))

    def _hashing(self, leaf: Leaf) -> tuple[Leaf, Task[bytes | SourceError]]:
        name = self.opened.label
        label = f"{name}, bytes {leaf.begin:,} to {leaf.end:,}"
        arguments = (name, self.file.path, leaf.begin, leaf.end)
        return leaf, Task(_leaf_hash, arguments, label=label)


def _leaf_hash(label: str, path: Path, begin: int, end: int) -> bytes | SourceError:
    try:
        return fingerprints.leaf(path, begin, end)
    except OSError as error:
        return unreadable(label, error)


def _nothing() -> None:
    """The last task of a file."""


def fingerprint(opened: OpenSource, records: int, sha256: str | None) -> dict[str, Any]:
    """What `etl_run` records of a file: path, format, number of records, and by what its bytes are
    known again.
    """
    return {
        "path": opened.label,
        "format": opened.format,
        "records": records,
        "sha256": sha256,
    }


def refuse_lost(read: ReadFile) -> None:
    """Raise `SourceError` when records of sales have lists with more values than are mapped."""
    lost = read.inspection.lost(in_sales=True)
    if not lost:
        return
    found = next(iter(lost))
    path = ".".join(step for step in found.split(".") if not step.isdecimal())
    setting = f"{read.name.upper()}__EXPLODE"
    raise SourceError(
        f"{read.opened.label}: {lost[found]}; one record is one sale, and the other values would "
        f"be lost; where each is a sale, set {setting}={path}, and map the columns of its "
        f"elements, such as {_example(path, read.mapping)}, in {read.name.upper()}__COLUMNS"
    )


def _example(path: str, mapping: dict[str, list[str]]) -> str:
    """How a column of the list at `path` is mapped when each of its elements is a row."""
    for canonical, own in mapping.items():
        for name in own:
            plain = ".".join(step for step in name.split(".") if not step.isdecimal())
            if plain.startswith(f"{path}."):
                return json.dumps({canonical: plain})
    return json.dumps({"product_id": f"{path}.sku"})

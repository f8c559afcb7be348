"""Pieces of a source: each is read by itself.

A piece is a small description. That of a file can be opened by any process that sees the file; all
that is found while it is read, beside the rows, is returned as a value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.fingerprints import TreeHash
from errors import SourceError
from sources.batches import MAX_COLUMNS, TextBatch
from sources.undecodable import Seen

Step = Callable[[TextBatch], TextBatch]
"""What is done to each batch of a source after it was read."""


@dataclass
class Findings:
    """What is found while a piece is read, beside its rows."""

    begin: int | None = None
    """The byte at which its first record begins; None where it has none, or where none is found."""
    end: int = 0
    """The byte behind its last record."""
    lines: int = 0
    """How many lines it has; of a source without lines, records."""
    columns: list[str] = field(default_factory=list)
    """The columns of its records, where these name their own."""
    counts: Seen | None = None
    """Counts of its lines, by which it is judged whether the encoding fits."""
    binary_keys: set[str] = field(default_factory=set)
    """Key columns that hold bytes."""


@dataclass(frozen=True)
class Piece:
    """A part of a source, which is read by itself."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can read it."""
        return True

    @property
    def place(self) -> str:
        """Where in its file it is, for messages."""
        return ""

    def batches(self, found: Findings) -> Iterator[TextBatch]:
        """Its rows, numbered from 1 where it has lines. Raises `SourceError`.

        `found` is complete after the last batch; what was found before an error is in it.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LocalPiece(Piece):
    """Rows that this process has read already: `call` parses them. They know their numbers."""

    call: Callable[[], TextBatch]

    @property
    def is_portable(self) -> bool:
        return False

    def batches(self, found: Findings) -> Iterator[TextBatch]:  # noqa: ARG002
        yield self.call()


@dataclass
class OpenSource:
    """A source file or table that is open: its columns are known, its rows come as pieces.

    `label` is its name in messages and reject files, without credentials.
    """

    label: str
    format: str
    columns: list[str]
    pieces: Iterator[Piece]
    steps: list[Step] = field(default_factory=list)
    """What is done to each batch after it was read."""
    digest: TreeHash | None = None
    """The fingerprint of the bytes read so far: of the whole file once `pieces` is exhausted. None
    of a file on a disk, which is hashed by itself.
    """
    copy: Path | None = None
    """A copy that the pieces read, to be removed after the last."""
    lines_before: int = 0
    """How many lines come before the first piece."""
    delimiter: str = ""
    is_schemaless: bool = False
    """Whether each record names its own columns, as in JSON: without records there are none."""
    list_column: str = ""
    """A column with lists of which each element becomes a row: it stands for the columns that these
    bring, which only the records tell.
    """
    note: str = ""
    """Warnings in one line, see `warn`; '' without any."""
    widths: list[int] = field(default_factory=list)
    """Of a file of one column: the widths of its columns, if it is one of fixed width."""
    hint: str = ""
    """If the header is wrong: where a header with the required names is, and how to choose it."""
    binary_keys: set[str] = field(default_factory=set)
    """Key columns found to hold bytes so far."""
    expected: int | None = None
    """How many records it has, by a count of its own; None where there is none."""
    opens_later: bool = False
    """Whether it must be opened again when its rows are read, because it is no snapshot."""
    close: Callable[[], None] = lambda: None
    """Closes it when not all pieces are taken; it closes itself after the last piece."""

    def add_columns(self, names: Iterable[str]) -> None:
        """Add columns that later records have. Raises `SourceError` when there are too many."""
        self.columns[:] = dict.fromkeys([*self.columns, *names])
        refuse_too_many(self.label, self.columns)

    def warn(self, *notes: str) -> None:
        """Add warnings to `note`."""
        begins = f"{self.note}; " if self.note else f"{self.label}: "
        self.note = begins + "; ".join(notes) if notes else self.note

    def warn_of_bytes(self) -> None:
        """Warn of key columns that hold bytes. To be called when all pieces have been read."""
        if self.binary_keys:
            where = "query" if self.format.startswith("database") else "export"
            self.warn(
                f"the key column {', '.join(sorted(self.binary_keys))} holds bytes, written as "
                f"hexadecimal digits; cast it to text in the {where} where text is meant"
            )


def refuse_too_many(label: str, columns: Collection[str]) -> None:
    """Raise `SourceError` when records have too many keys."""
    if len(columns) > MAX_COLUMNS:
        raise SourceError(f"{label}: {len(columns)} keys exceed the limit of {MAX_COLUMNS} columns")

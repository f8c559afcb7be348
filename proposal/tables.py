"""Tables that were found in files: their rows as text, and the settings that read them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from proposal.shapes import Shape, shape_of

Flags = npt.NDArray[np.bool_]


@dataclass
class Found:
    """A table: one file or several of one source, a sheet, or a list in a document."""

    path: str
    """As the setting names it."""
    title: str
    """What its name says: that of the file, of the sheet, or of the list."""
    format: str
    rows: pa.Table
    """Columns of text, as a run would read them; or the first rows of a large one."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What a run needs to read it so."""
    evidence: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    is_whole: bool = True
    """Whether `rows` are all of them."""
    typed: frozenset[str] = frozenset()
    """Columns whose numbers are no texts."""
    other_names: dict[str, list[str]] = field(default_factory=dict)
    """By column, what it is called in other files of the same source."""
    elements: str = ""
    """The list of which each element is a row, if the table was made so."""
    refused: int = 0
    """How many records were no rows."""
    headless: bool = False
    """Whether its columns have no names, only numbers."""

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each column that has a value."""
        found = {
            name: shape_of(name, self.rows[name], is_typed=name in self.typed)
            for name in self.rows.column_names
        }
        return {name: shape for name, shape in found.items() if shape.filled}

    @property
    def columns(self) -> list[str]:
        """The columns that have a value."""
        return list(self.shapes)

    def texts(self, column: str) -> pa.Array:
        """The values of a column, trimmed; '' where there is none."""
        texts = self.rows[column].cast(pa.string()).combine_chunks()
        return pc.fill_null(pc.utf8_trim_whitespace(texts), "")

    def blank(self, column: str) -> Flags:
        """Which rows have no value in a column."""
        return np.asarray(pc.equal(self.texts(column), "").to_numpy(zero_copy_only=False), bool)

    def distinct(self, columns: Sequence[str]) -> int:
        """How many different rows these columns have."""
        if len(columns) == 1:
            return len(pc.unique(self.texts(columns[0])))
        some = pa.table({str(n): self.texts(name) for n, name in enumerate(columns)})
        return len(some.group_by(some.column_names).aggregate([]))

    def is_unique(self, columns: Sequence[str]) -> bool:
        """Whether these columns tell all rows apart, and none is blank."""
        filled = all(self.shapes[name].filled == self.rows.num_rows for name in columns)
        return filled and self.distinct(columns) == self.rows.num_rows

    @property
    def label(self) -> str:
        """What it is called in messages."""
        inside = self.settings.get("sheet") or self.settings.get("records")
        return f"{self.path} ({inside})" if inside else self.path


def overlap(table: Found, column: str, other: Found, key: str) -> tuple[int, int]:
    """How many rows of `table` have a value in a column, and how many of these `other` has."""
    values = table.texts(column)
    values = values.filter(pc.not_equal(values, ""))
    known = pc.unique(other.texts(key))
    return len(values), pc.sum(pc.is_in(values, known)).as_py() or 0

"""Rows that are no records: the header again in the middle of a file, and lines of totals.

They come with exports that were glued together or made for print. In sales they would be refused
for their dates; in a dimension every text is a name, so they have to be recognised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import on_values, whole

HEADER, TOTAL = "the header again", "a line of totals, not a record"

_WORDS = (
    "total", "totals", "grand total", "subtotal", "sub-total", "sub total", "sum", "sums",
    "overall", "summe", "gesamt", "gesamtsumme", "zwischensumme", "insgesamt", "totaal", "totale",
    "total général", "sous-total", "somme", "suma", "total general", "gran total", "soma",
    "razem", "totalt", "итого", "всего", "合计", "合計", "总计", "小计",
)  # fmt: skip
_TOTALS = [f"{word}{end}" for word in _WORDS for end in ("", ":")]
_NUMBER = re.compile(r"[^\w]{0,3}[0-9][0-9.,' ]{0,40}[^\w]{0,3}")


def stray_rows(rows: pa.Table, key: pa.ChunkedArray, *, totals: bool) -> dict[int, str]:
    """Row number and what it is, of rows that are no records.

    `rows` has the source's own columns as text, `key` the business key of each row. A header is a
    row of at least two cells (one, where there is one column) that all say their column's name; a
    line of `totals` has a word for it as key, and beside it nothing but numbers.
    """
    own = [name for name in rows.column_names if not name.startswith("_")]
    found = {row: HEADER for row in _named_like(rows, own) if _is_header(rows, own, row)}
    if totals:
        words = _where(key, _TOTALS)
        found |= {row: TOTAL for row in words if _is_total(rows, own, row, key[row].as_py())}
    return found


def _named_like(rows: pa.Table, own: list[str]) -> list[int]:
    """Rows whose cell in some column that every header has is the column's name."""
    if not own:
        return []
    encoded = (name for name in own if pa.types.is_dictionary(rows[name].type))
    name = next(encoded, own[0])  # of few values that is told at once
    return _where(rows[name], [name.lower()])


def _where(column: pa.ChunkedArray, texts: Sequence[str]) -> list[int]:
    """Rows that say one of `texts`, in whatever case."""
    wanted = pa.array(texts)

    def rule(values: pa.Array) -> pa.Array:
        return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(values)), wanted)

    found = on_values(whole(column), rule)
    mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    places: list[int] = np.flatnonzero(mask).tolist()
    return places


def _cells(rows: pa.Table, own: list[str], row: int) -> list[tuple[str, str]]:
    """Name and trimmed text of the cells of one row that are not blank."""
    texts = ((name, (rows[name][row].as_py() or "").strip()) for name in own)
    return [(name, text) for name, text in texts if text]


def _is_header(rows: pa.Table, own: list[str], row: int) -> bool:
    cells = _cells(rows, own, row)
    return len(cells) >= min(2, len(own)) and all(
        text.casefold() == name.casefold() for name, text in cells
    )


def _is_total(rows: pa.Table, own: list[str], row: int, word: str) -> bool:
    others = (text for _, text in _cells(rows, own, row) if text != word.strip())
    return all(map(_NUMBER.fullmatch, others))

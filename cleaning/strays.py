"""Rows that are no records: a header in the middle of a file, and lines of totals.

They come from exports that were concatenated or made for print. Among sales they would be rejected
for their dates anyway. In a dimension any text may be a name, so they have to be recognised.
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
    """The rows that are no records, by row number, each with `HEADER` or `TOTAL`.

    `rows` has the source's own columns as text, `key` the business key of each row. A header is a
    row of at least two filled cells (one, in a file of one column), each with its column's name. A
    line of totals, looked for if `totals`, has a word for it as key, and otherwise only numbers.
    """
    own = [name for name in rows.column_names if not name.startswith("_")]
    found = {row: HEADER for row in _named_like(rows, own) if _is_header(rows, own, row)}
    if totals:
        words = _where(key, _TOTALS)
        found |= {row: TOTAL for row in words if _is_total(rows, own, row, key[row].as_py())}
    return found


def _named_like(rows: pa.Table, own: list[str]) -> list[int]:
    """Rows with the name of one column in it: the candidates for headers.

    Any column will do, because a header has all names; a dictionary-encoded one is searched fast.
    """
    if not own:
        return []
    encoded = (name for name in own if pa.types.is_dictionary(rows[name].type))
    name = next(encoded, own[0])
    return _where(rows[name], [name.lower()])


def _where(column: pa.ChunkedArray, texts: Sequence[str]) -> list[int]:
    """The numbers of the rows with one of `texts` (lower case) in the column, in any case."""
    wanted = pa.array(texts)

    def rule(values: pa.Array) -> pa.Array:
        return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(values)), wanted)

    found = on_values(whole(column), rule)
    mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    places: list[int] = np.flatnonzero(mask).tolist()
    return places


def _cells(rows: pa.Table, own: list[str], row: int) -> list[tuple[str, str]]:
    """The filled cells of one row: column name and trimmed text."""
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

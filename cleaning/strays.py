"""Rows that are no records: a header in the middle of a file, lines of totals, titles of groups.

They come from exports that were concatenated or made for print. Among sales they would be rejected
for their dates anyway, but not for what they are. In a dimension any text may be a name, so they
have to be recognised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import on_values, whole
from common.results import RAW, REASON

UNCORRECTED = f"a record that was no row, and has only its {RAW}: put its values into the columns"
HEADER, TOTAL = "the header again", "a line of totals, not a record"
TITLE = "a title or a remark, not a record: only its first column has a text"

_WORDS = (
    "total", "totals", "grand total", "subtotal", "sub-total", "sub total", "sum", "sums",
    "overall", "summe", "gesamt", "gesamtsumme", "zwischensumme", "insgesamt", "totaal", "totale",
    "total général", "sous-total", "somme", "suma", "total general", "gran total", "soma",
    "razem", "totalt", "итого", "всего", "合计", "合計", "总计", "小计",
)  # fmt: skip
_TOTALS = [f"{word}{end}" for word in _WORDS for end in ("", ":")]
_IS_TOTAL = rf"^\s*(?:{'|'.join(map(re.escape, _WORDS))})(?:\s*[:.]|\s+\S.*)?\s*$"
"""A word for a total, perhaps with what it is the total of."""
_IS_TITLE = r"\S\s+\S|:\s*$|^\s*[#*]"
"""A text that is no key, as it has more than one word, or is marked as a remark."""
_IS_NO_KEY = r"[\s:#*]"
"""What every text of `_IS_TITLE` has, and few keys."""

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_NUMBER = re.compile(r"[^\w]{0,3}[0-9][0-9.,' ]{0,40}[^\w]{0,3}")


def stray_rows(rows: pa.Table, key: pa.ChunkedArray) -> dict[int, str]:
    """The rows that are no records, by row number, each with `HEADER`, `TOTAL` or `TITLE`; and, in
    a reject file, with `UNCORRECTED` those that still are none.

    `rows` has the source's own columns as text, `key` the business key of each row. A header is a
    row of at least two filled cells (one, in a file of one column), each with its column's name. A
    line of totals begins with a word for it, or has it as key, and otherwise only numbers. A title
    of a group, or a remark, is all that its row has, in the first of three columns or more.
    """
    if not len(rows):
        return {}
    own = [name for name in rows.column_names if not name.startswith("_")]
    found = {row: HEADER for row in _named_like(rows, own) if _is_header(rows, own, row)}
    found |= dict.fromkeys(_uncorrected(rows, own), UNCORRECTED)
    candidates = _candidates(rows, own, key)
    if not own or not len(candidates):
        return found
    places = candidates.tolist()
    few, keys = rows.take(pa.array(candidates)), key.take(pa.array(candidates))
    for column in (keys, few[own[0]]):
        for row in np.flatnonzero(_matching(column, _IS_TOTAL)).tolist():
            if _is_total(few, own, row, column[row].as_py()):
                found.setdefault(places[row], TOTAL)
    for row in _titles(few, own):
        found.setdefault(places[row], TITLE)
    return found


def _uncorrected(rows: pa.Table, own: list[str]) -> list[int]:
    """The rows of a reject file that have nothing but the text of a record that was no row."""
    if not {RAW, REASON} <= set(rows.column_names):
        return []
    flags = ~_is_blank(whole(rows[RAW]))
    for name in own:
        if not flags.any():
            break
        flags = flags & _is_blank(whole(rows[name]))
    places: list[int] = np.flatnonzero(flags).tolist()
    return places


def _candidates(rows: pa.Table, own: list[str], key: pa.ChunkedArray) -> Places:
    """The rows that may be totals or titles: few, found fast.

    Where columns are dictionary-encoded, these are the rows in which at least half of them are
    blank; else those with a word for a total as key, or with a first column that can be no key.
    """
    encoded = [whole(rows[name]) for name in own if pa.types.is_dictionary(rows[name].type)]
    if encoded:
        blank = np.zeros(len(rows), np.int16)
        for column in encoded:
            blanks = pc.equal(pc.utf8_trim_whitespace(column.dictionary), "")
            if column.null_count or pc.any(blanks).as_py():
                blank += _is_blank(column)
        return np.flatnonzero(2 * blank >= len(encoded))
    flags = _matching(rows[own[0]], _IS_NO_KEY) if own else np.zeros(len(rows), bool)
    flags[_where(key, _TOTALS)] = True
    return np.flatnonzero(flags)


def _is_blank(column: pa.Array) -> Flags:
    found = on_values(column, lambda values: pc.equal(pc.utf8_trim_whitespace(values), ""))
    flags: Flags = pc.fill_null(found, True).to_numpy(zero_copy_only=False)
    return flags


def _matching(column: pa.ChunkedArray, pattern: str) -> Flags:
    """Which rows of a column match a pattern, in any case."""

    def rule(values: pa.Array) -> pa.Array:
        return pc.match_substring_regex(values, pattern, ignore_case=True)

    found = on_values(whole(column), rule)
    flags: Flags = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return flags


def _titles(rows: pa.Table, own: list[str]) -> list[int]:
    """Rows of a text that is no key in the first column, and of nothing else."""
    first, *others = own or [""]
    if len(others) < 2:
        return []
    flags = _matching(rows[first], _IS_TITLE)
    for name in others:
        if not flags.any():
            break
        flags = flags & _is_blank(whole(rows[name]))
    places: list[int] = np.flatnonzero(flags).tolist()
    return places


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

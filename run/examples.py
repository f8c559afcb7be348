"""The first row of each reject reason, with its detail where that gives nobody away.

Summary, log and notification show these. A detail may quote a value, or a whole line of a file, so
that by itself it is no example: only what is known to be harmless is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Date, Numeric, Table

from cleaning.strays import HEADER, TITLE, TOTAL
from common.currencies import CODES
from common.outcomes import Place
from common.parallel import Task
from common.rejects import Batch, ordered_reasons
from common.results import DETAIL, FILE, LINE, REASON
from run.check_advice import HINT

_OF_RECORDS = (
    "malformed_row", "invalid_text", "missing_key", "conflicting_duplicate", "unknown_order",
)  # fmt: skip
"""Reasons whose details may quote keys, whole records, and columns that are not used."""
_SAID = re.compile(
    r"(?:\d+ fields, the header has \d+|more cells than the header's \d+|misplaced quote"
    r"|bytes that are not [\w.-]+|\w+ is blank|\w+: a NUL, or what cannot be decoded"
    r"|a later row has the same \w+"
    rf"|{re.escape(HEADER)}|{re.escape(TOTAL)}|{re.escape(TITLE)})(?=: |$)"
)
"""What the rules say in words of their own, before they quote anything."""
_OF_VALUES = (
    "invalid_date", "date_out_of_range", "invalid_quantity", "non_positive_quantity",
    "invalid_unit_price", "non_positive_price", "invalid_discount", "negative_net_amount",
    "invalid_unit_cost", "other_currency",
)  # fmt: skip
"""Reasons whose details quote a date, a number or a currency of a sale."""
_LONGEST = 30
BLANK = "it is blank"
"""What is said of a value that is not there."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_NOTHING = {
    "na", "nan", "null", "none", "nil", "inf", "infinity", "true", "false", "unknown", "ref",
    "value", "div", "name", "num",
}  # fmt: skip
"""Words that stand for no value, those of spreadsheets' error cells too."""
_OF_DATES = {
    "am", "pm", "utc", "gmt", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep",
    "sept", "oct", "nov", "dec", "january", "february", "march", "april", "june", "july",
    "august", "september", "october", "november", "december",
}  # fmt: skip
_OF_CURRENCIES = {"is", "not", "no", "and", "in", "one", "row", "currency"}
_PHONE = re.compile(
    r"(?:\+|00|\(0?\d{2,})[\d\s()/.-]{7,}$|\d{3}[\s.-]\d{3}[\s.-]\d{4}$|0\d{2,4}[\s/-]\d[\d\s/-]{4,}$"
)
"""Phone numbers as they are written, those without the code of a country too."""


class Firsts:
    """Notes the first row of each reason while rejects pass on to their file."""

    def __init__(self, table: Table) -> None:
        """`table` is the one that their source feeds."""
        self._table = table
        self._found: dict[str, tuple[int, Place]] = {}
        self._noting = threading.Lock()

    def noted(self, batches: Iterable[Task[pa.Table]]) -> Iterator[Batch]:
        """Calls that return the same rows, in the same order; each notes what is first in it."""
        for number, batch in enumerate(batches):
            yield partial(self._pass_on, number, batch)

    @property
    def places(self) -> dict[str, Place]:
        """By reason, its first row."""
        return {reason: self._found[reason][1] for reason in ordered_reasons(self._found)}

    def _pass_on(self, number: int, batch: Task[pa.Table]) -> pa.Table:
        rows = batch()
        reasons = rows[REASON]
        for reason in pc.unique(reasons).to_pylist():
            known = self._found.get(reason)
            if known is None or number < known[0]:
                at = pc.index(reasons, reason).as_py()
                file, line, detail = (rows[name][at].as_py() for name in (FILE, LINE, DETAIL))
                place = Place(str(file), int(line), harmless(self._table, reason, detail or ""))
                self._note(reason, number, place)
        return rows

    def _note(self, reason: str, number: int, place: Place) -> None:
        with self._noting:
            known = self._found.get(reason)
            if known is None or number < known[0]:
                self._found[reason] = number, place


def harmless(table: Table, reason: str, detail: str) -> str:
    """As much of a reject's detail as says nothing about a person; `table` is what the row was for.

    A value is shown of a column of dates, numbers or currencies that is not personal, and even
    there only if it looks like one: what has come from a neighbouring column may be a name.
    """
    if reason in _OF_RECORDS:
        said = _SAID.match(detail)
        return said[0] if said else ""
    if reason not in _OF_VALUES and not _quotes_a_number(table, reason):
        return ""
    value = HINT.sub("", detail).strip()
    if not detail:
        return BLANK
    is_foreign = "@" in value or _PHONE.match(value) or not _is_of_numbers(value, reason)
    return "" if len(value) > _LONGEST or is_foreign else value


def _is_of_numbers(value: str, reason: str) -> bool:
    """Whether all words in a text are such as stand beside numbers and dates, or in their place."""
    words, has_digits = _WORD.findall(value), any(map(str.isdigit, value))
    if reason == "other_currency":
        return all(word in CODES or word in _OF_CURRENCIES for word in words)
    beside = _OF_DATES if has_digits else set()
    return all(
        (has_digits and word in CODES) or word.casefold() in _NOTHING | beside for word in words
    )


def _quotes_a_number(table: Table, reason: str) -> bool:
    """Whether a reason is that of a column of the star that holds numbers or dates of nobody."""
    column = table.columns.get(reason.removeprefix("invalid_"))
    if column is None or column.info.get("is_personal"):
        return False
    return isinstance(column.type, Numeric | Date)

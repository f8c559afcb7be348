"""The values of an Excel sheet's cells: each cell has a type, and a number has a format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from common.values import as_text, key_text, unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NOT_CALCULATED = unreadable("formula without a stored value: open the file in Excel and save it")


@dataclass(frozen=True)
class Format:
    """What a number format makes of a number: a date, a duration, or digits with leading zeros."""

    is_date: bool = False
    is_duration: bool = False
    zeros: int = 0


PLAIN = Format()
_ZEROS = re.compile(r"(?:\[\$-[0-9A-Fa-f]+\])?(0{2,})")
"""A number format of zeros only, with or without a language: it shows leading zeros."""
_EAST_ASIAN_DATES = {*range(27, 37), *range(50, 59)}
"""Numbers of built-in formats that are dates and times in East Asian versions of Excel."""


def number_format(number: int, code: str | None) -> Format:
    """The built-in format `number`, or the format `code` where the workbook declares one."""
    from openpyxl.styles.numbers import (  # noqa: PLC0415  # 0.2 s, only for Excel
        BUILTIN_FORMATS,
        is_date_format,
        is_timedelta_format,
    )

    code = code or BUILTIN_FORMATS.get(number, "General")
    is_date = number in _EAST_ASIAN_DATES or is_date_format(code)
    zeros = _ZEROS.fullmatch(code)
    form = Format(is_date, is_timedelta_format(code), len(zeros[1]) if zeros else 0)
    return PLAIN if form == PLAIN else form


@dataclass(frozen=True)
class Stored:
    """What the cells of a workbook refer to. `begins_1904`: whether dates count from 1904."""

    namespace: str
    texts: Sequence[str]
    formats: Mapping[str, Format]
    begins_1904: bool
    is_recalculated: bool
    """Whether Excel is to calculate all formulas when it opens the file: then the stored value of a
    formula is missing, or 0.
    """


class Cells:
    """Converts the cells of a sheet's XML to values.

    A value is text, `Decimal`, a date or time, a bool, or None for a blank cell. A cell without a
    readable value, such as an error, is `unreadable` text.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._cell, self._text = (f"{stored.namespace}{tag}" for tag in ("c", "v"))
        self._formula, self._inline = (f"{stored.namespace}{tag}" for tag in ("f", "is"))
        self._date = lru_cache(1 << 14)(self._date_of)

    def row(self, row: Element) -> list[Any]:
        """The values of a row, by column position; None for cells that the file leaves out."""
        values: list[Any] = []
        for cell in row.findall(self._cell):
            name = cell.get("r")
            place = column_place(name.rstrip("0123456789")) if name else len(values)
            if place >= len(values):
                values += [None] * (place + 1 - len(values))
            values[place] = self._value(cell)
        return values

    def _value(self, cell: Element) -> Any:  # noqa: PLR0911  # one line per type
        kind, text = cell.get("t", "n"), cell.findtext(self._text)
        if kind == "s" and text:
            return self._stored.texts[int(text)]
        if kind == "inlineStr":
            inline = cell.find(self._inline)
            return None if inline is None else cell_text(inline, self._stored.namespace)
        if self._is_not_calculated(cell, kind, text):
            return NOT_CALCULATED
        if not text:
            return None
        if kind == "n":
            return self._number(text, self._stored.formats.get(cell.get("s", "0"), PLAIN))
        if kind == "b":
            return text in ("1", "true")
        if kind == "d":  # a date in ISO 8601; cells have no time zone
            return _iso_date(text.strip().removesuffix("Z"))
        return unreadable(text) if kind == "e" else decoded(text)

    def _is_not_calculated(self, cell: Element, kind: str, text: str | None) -> bool:
        """Whether the cell is a formula without a stored result."""
        if text and not (text == "0" and self._stored.is_recalculated):
            return False
        is_empty_text = kind == "str" and text == ""
        return not is_empty_text and cell.find(self._formula) is not None

    def _number(self, text: str, form: Format) -> Any:
        if form is PLAIN:
            return exact(text)
        if form.is_date or form.is_duration:
            return self._date(text, form.is_duration)
        value = exact(text)
        digits = as_text(value) or ""
        return digits.zfill(form.zeros) if digits.isdecimal() and len(digits) <= 15 else value

    def _date_of(self, text: str, is_duration: bool) -> Any:
        from openpyxl.utils.datetime import (  # noqa: PLC0415  # 0.2 s, only for Excel
            MAC_EPOCH,
            WINDOWS_EPOCH,
            from_excel,
        )

        epoch = MAC_EPOCH if self._stored.begins_1904 else WINDOWS_EPOCH
        try:
            serial = float(text)
            if 60 <= serial < 61 and epoch == WINDOWS_EPOCH:
                return unreadable("1900-02-29, a day that Excel has and no calendar")
            if serial < 0 and not is_duration:
                return unreadable(f"{text}, which is no date")
            return from_excel(serial, epoch, timedelta=is_duration)
        except (ValueError, OverflowError):
            return unreadable(f"{text}, which is no date")


def _iso_date(text: str) -> Any:
    """A datetime, if the text is one; anything else, such as a time of day, stays text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


_SHOWN_DIGITS = Context(prec=15, rounding=ROUND_HALF_UP)
_ALL_DIGITS = Context(prec=40)
_AMOUNTS_AS_SHOWN = 10**11


@lru_cache(1 << 14)
def exact(text: str) -> Decimal | str:
    """A number with the 15 digits that Excel shows, so 0.1 + 0.2 is 0.3; a whole one is text.

    From 10^11 on, 15 digits leave no room for the four decimals of an amount: all digits are kept.
    """
    if text.isdecimal() and len(text) <= 15 and (text[0] != "0" or text == "0"):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return unreadable(text)
    if not number.is_finite():
        return unreadable(text)
    context = _SHOWN_DIGITS if abs(number) < _AMOUNTS_AS_SHOWN else _ALL_DIGITS
    return context.plus(number).normalize(context)


def excel_key(value: Any) -> str | None:
    """The text of a key. Two kinds of values are unreadable: dates, which may be ids such as 3-1
    that Excel converted, and numbers of more than 15 digits, of which Excel loses the last ones.
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Decimal) and abs(value) >= 10**15:
        return unreadable(
            f"{value}, a number of more than 15 digits: its last digits are gone; "
            "format the column as text"
        )
    if isinstance(value, date | time | timedelta):
        return unreadable(
            f"{as_text(value)}, a date: Excel may have read an id as one; format the column as text"
        )
    return key_text(value)


@lru_cache(1 << 10)
def column_place(letters: str) -> int:
    """The position of a column, 0 for A. Raises `ValueError` when it is no column of Excel's."""
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise ValueError(f"there is no column {letters[:10]!r}")
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def cell_text(element: Element, namespace: str) -> str:
    """The text of a cell, which may consist of runs in several fonts; phonetic text is left out."""
    plain, run = f"{namespace}t", f"{namespace}r"
    pieces = [
        piece.text if piece.tag == plain else piece.findtext(plain)
        for piece in element
        if piece.tag in (plain, run)
    ]
    return decoded("".join(piece or "" for piece in pieces))


_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def decoded(text: str) -> str:
    """Text with its escapes (`_x0041_` for A) decoded, and LF as line end."""
    if "_x" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
        if not text.isascii():  # two escapes may make one character
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text

"""Dates that are numbers: days of a spreadsheet, seconds of Unix, days of astronomers.

Each form takes numbers of its own size only, so that several can be declared and the order does not
decide: what is a day of Excel is no second of 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

_NUMBER = re.compile(r"(?P<whole>[0-9]+)(?:[.,](?P<fraction>[0-9]+))?")
_LONGEST = 40
_MIDNIGHT = datetime(1899, 12, 30)
_NOON = datetime(2000, 1, 1, 12)
_NOON_DAY = 2_451_545


def numbered(text: str, form: str) -> date | datetime | None:
    """The day or moment that a number is by one of `FORMS`; None where it is none.

    A day is a date, a moment of Unix is in UTC, others are without an offset.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST and text.isascii() else None
    if match is None:
        return None
    return FORMS[form](match["whole"], Decimal(f"0.{match['fraction'] or '0'}"))


def _of_excel(whole: str, fraction: Decimal) -> date | datetime | None:
    """Days since 1900, of the system of Windows; the fraction is the time of day.

    Excel has a 29 February 1900, number 60, that never was: numbers before it are a day later than
    those after it would have them, and 60 is no day.
    """
    number = int(whole) if len(whole) <= 5 else 0
    if number in (0, 60):
        return None
    moment = _MIDNIGHT + timedelta(days=number + (number < 60)) + _part_of_a_day(fraction)
    return moment if fraction else moment.date()


def _of_unix(whole: str, fraction: Decimal) -> datetime | None:
    """Seconds since 1970 in UTC, with nine or ten digits: from March 1973 on."""
    if len(whole) not in (9, 10):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(whole) + float(fraction))


def _of_unix_ms(whole: str, fraction: Decimal) -> datetime | None:
    """Milliseconds since 1970 in UTC, with twelve or thirteen digits: from March 1973 on."""
    if len(whole) not in (12, 13):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(whole) + float(fraction))


def _of_julian(whole: str, fraction: Decimal) -> datetime | None:
    """The Julian day of astronomers, which begins at noon (`julianday` of SQLite): 2460384.5 is the
    midnight at which 15 March 2024 begins, 2460385 its noon.
    """
    if len(whole) != 7 or not whole.startswith("24"):
        return None
    return _NOON + timedelta(days=int(whole) - _NOON_DAY) + _part_of_a_day(fraction)


def _part_of_a_day(fraction: Decimal) -> timedelta:
    """To the millisecond, as such numbers are floats: 0.999999999 is midnight."""
    milliseconds = (fraction * 86_400_000).quantize(Decimal(1), ROUND_HALF_UP)
    return timedelta(milliseconds=int(milliseconds))


FORMS: dict[str, Callable[[str, Decimal], date | datetime | None]] = {
    "EXCEL": _of_excel,
    "EPOCH": _of_unix,
    "EPOCH_MS": _of_unix_ms,
    "JULIAN": _of_julian,
}
"""By the name that declares it, how a number is read: from its digits and its fraction."""

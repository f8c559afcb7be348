"""Text to calendar dates, the range of accepted dates, and the rows of `dim_date`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from common.arrays import on_values
from common.arrow_types import arrow_schema
from common.date_formats import ISO_8601, moment
from config import StarSchemaConfig

_LONGEST = 100
_ISO_BASIC = re.compile(r"[0-9]{8}")
_ISO_NAIVE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?$"
)
_ISO_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[T ]"
    r"(?P<time>(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]+)?)?)?)"
    r"(?: ?(?P<offset>[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))?"
    r"(?: ?(?P<utc>(?i:Z|UTC|GMT)))?"
)
_LOOKS_LIKE = (
    ("Unix seconds", r"^[0-9]{10}(?:\.[0-9]+)?$"),
    ("Unix milliseconds", r"^[0-9]{13}$"),
    ("a serial date of Excel", r"^[2-7][0-9]{4}(?:\.[0-9]+)?$"),
    ("a Julian day", r"^24[0-9]{5}(?:\.[0-9]+)?$"),
)


def dates(values: pa.Array, formats: Sequence[str], zone: ZoneInfo) -> pa.Array:
    """Text to date32, by the first of `formats` that fits; null where none does.

    A timestamp with an offset gets its date in `zone`. Timestamps without one are cut to their date
    in bulk; then each distinct text is parsed once.
    """
    if list(formats) == [ISO_8601]:
        naive = pc.fill_null(pc.match_substring_regex(values, _ISO_NAIVE), False)
        values = pc.if_else(naive, pc.utf8_slice_codeunits(values, 0, 10), values)
    encoded = values.dictionary_encode()
    parsed = [
        None if text is None or len(text) > _LONGEST else _parse_once(text, tuple(formats), zone)
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(parsed, pa.date32()).take(encoded.indices)


def parse_date(text: str, formats: Sequence[str], zone: ZoneInfo) -> date | None:
    """The date in `zone` of one text, by the first of `formats` that fits; None if none does."""
    for pattern in formats:
        try:
            is_iso = pattern == ISO_8601
            found = _iso_date(text, zone) if is_iso else _local_date(moment(text, pattern), zone)
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return found
    return None if ISO_8601 in formats else _typed_date(text, formats, zone)


_parse_once = lru_cache(1 << 16)(parse_date)


def _typed_date(text: str, formats: Sequence[str], zone: ZoneInfo) -> date | None:
    """A date as typed sources (Parquet, Excel, databases) write it: ISO 8601 whatever is declared.

    None where a declared format begins with year and day: `2024-03-04` could then mean either.
    """
    if text[4:5] != "-" or any(pattern.startswith("%Y-%d") for pattern in formats):
        return None
    try:
        return _iso_date(text, zone)
    except ValueError:
        return None


def _iso_date(text: str, zone: ZoneInfo) -> date | None:
    if len(text) == 10 and text.isascii() and text[4] == "-" and text[7] == "-":
        digits = text[:4] + text[5:7] + text[8:]
        return date(int(text[:4]), int(text[5:7]), int(text[8:])) if digits.isdigit() else None
    if _ISO_BASIC.fullmatch(text):
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    if match["offset"] is None and match["utc"] is None:
        return date.fromisoformat(match["date"])
    offset = match["offset"] or "+00"
    found = datetime.fromisoformat(f"{match['date']}T{match['time'].replace(',', '.')}{offset}")
    if match["utc"] and found.utcoffset() != timedelta(0):
        return None  # two zones
    return _local_date(found, zone)


def _local_date(found: datetime | None, zone: ZoneInfo) -> date | None:
    """The date of a datetime: as it stands if it is naive, in `zone` if it has an offset."""
    if found is None:
        return None
    return found.date() if found.tzinfo is None else found.astimezone(zone).date()


def with_hints(texts: pa.Array) -> pa.Array:
    """Texts that are no dates, each followed by what it looks like, such as Unix seconds."""
    details = texts
    for kind, pattern in _LOOKS_LIKE:
        hint = f" (it looks like {kind}: convert it to a date in the query or the export)"
        hinted = pc.binary_join_element_wise(texts, hint, "")
        details = pc.if_else(pc.match_substring_regex(texts, pattern), hinted, details)
    return details


def date_range(config: StarSchemaConfig) -> tuple[pa.Scalar, pa.Scalar]:
    """The first and last accepted date of a sale, both date32: 1900 to the end of next year."""
    today = datetime.now(ZoneInfo(config.business_timezone)).date()
    first, last = date(1900, 1, 1), date(today.year + 1, 12, 31)
    return pa.scalar(first, pa.date32()), pa.scalar(last, pa.date32())


def date_key(days: pa.Array) -> pa.Array:
    """date32 to int32 YYYYMMDD, the key of `dim_date`; computed once per distinct date."""

    def rule(days: pa.Array) -> pa.Array:
        year, month = pc.multiply(pc.year(days), 10_000), pc.multiply(pc.month(days), 100)
        return pc.add(pc.add(year, month), pc.day(days)).cast(pa.int32())

    return on_values(days.dictionary_encode(), rule)


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def calendar(dates: Table, first_year: int, last_year: int) -> pa.Table:
    """Rows of the dimension `dates` from the first day of `first_year` to the last of `last_year`.

    There are none when the last year is before the first.
    """
    schema = arrow_schema(dates.columns)
    if last_year < first_year:
        return schema.empty_table()
    start = date(first_year, 1, 1)
    count = (date(last_year, 12, 31) - start).days + 1
    days = [start + timedelta(days=n) for n in range(count)]
    rows = [
        {
            "date_key": day.year * 10_000 + day.month * 100 + day.day,
            "full_date": day,
            "year": day.year,
            "quarter": (day.month + 2) // 3,
            "month": day.month,
            "month_name": _MONTHS[day.month - 1],
            "iso_week": day.isocalendar().week,
            "day_of_month": day.day,
            "day_of_week": day.isoweekday(),
            "day_name": _DAYS[day.weekday()],
            "is_weekend": day.isoweekday() > 5,
        }
        for day in days
    ]
    return pa.Table.from_pylist(rows, schema)

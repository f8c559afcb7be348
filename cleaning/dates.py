"""Text to calendar dates, the range of accepted dates, and the rows of `dim_date`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from common.arrays import on_values
from common.arrow_types import arrow_schema
from common.date_formats import ISO_8601, NAMED, moment
from common.date_numbers import numbered
from common.zones import named_zone, zone_called
from config import StarSchemaConfig

_LONGEST = 100
_ISO_BASIC = re.compile(r"[0-9]{8}")
_ISO_NAIVE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?$"
)
_ISO_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[T ]"
    r"(?P<time>(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]+)?)?)?"
    r"|24(?::?00(?::?00(?:[.,]0+)?)?)?)"
    r"(?: ?(?P<offset>[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))?"
    r"(?: ?(?P<utc>(?i:Z|UTC|GMT)))?"
    r"(?: (?P<name>[A-Za-z]{2,5}|[A-Za-z]+(?:/[A-Za-z_+-]+){1,2}))?"
    r"(?: ?\[(?P<region>[A-Za-z0-9_+/-]+)\])?"
)
_ZONE_NAME = r":[0-9]{2}(?:[.,][0-9]+)? ?(?:[AP]M )?(?:[A-Z]{3,5}|[A-Za-z]+/[A-Za-z_]+)$"
_LOOKS_LIKE = (
    ("Unix seconds", "EPOCH", r"^[0-9]{9,10}(?:\.[0-9]+)?$"),
    ("Unix milliseconds", "EPOCH_MS", r"^[0-9]{12,13}$"),
    ("a serial date of Excel", "EXCEL", r"^[2-7][0-9]{4}(?:\.[0-9]+)?$"),
    ("a Julian day", "JULIAN", r"^24[0-9]{5}(?:\.[0-9]+)?$"),
)


def dates(
    values: pa.Array,
    formats: Sequence[str],
    zone: ZoneInfo,
    own: ZoneInfo | None = None,
    locale: str = "en",
) -> pa.Array:
    """Text to date32, by the first of `formats` that fits; null where none does.

    A timestamp gets its date in `zone`: one with an offset, and if the source has a zone of its
    `own`, one without. Where it has none, those are cut to their date in bulk; then each distinct
    text is parsed once.
    """
    if list(formats) == [ISO_8601] and own in (None, zone):
        naive = pc.fill_null(pc.match_substring_regex(values, _ISO_NAIVE), False)
        values = pc.if_else(naive, pc.utf8_slice_codeunits(values, 0, 10), values)
    encoded = values.dictionary_encode()
    parse = partial(_parse_once, formats=tuple(formats), zone=zone, own=own, locale=locale)
    parsed = [
        None if text is None or len(text) > _LONGEST else parse(text)
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(parsed, pa.date32()).take(encoded.indices)


def parse_date(
    text: str,
    formats: Sequence[str],
    zone: ZoneInfo,
    own: ZoneInfo | None = None,
    locale: str = "en",
) -> date | None:
    """The date in `zone` of one text, by the first of `formats` that fits; None if none does."""
    for pattern in formats:
        try:
            found = _local_date(_moment(text, pattern, own, locale), zone, own)
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return found
    return None if ISO_8601 in formats else _typed_date(text, formats, zone, own)


_parse_once = lru_cache(1 << 16)(parse_date)


def _moment(text: str, pattern: str, own: ZoneInfo | None, locale: str) -> date | None:
    """The day, or moment (a `datetime`), that a text is by one format."""
    if pattern == ISO_8601:
        return _iso_moment(text, own)
    if pattern in NAMED:
        return numbered(text, pattern)
    found = moment(text, pattern, own, locale)
    return found if found is None or found.tzinfo or _has_time(pattern) else found.date()


@lru_cache(256)
def _has_time(pattern: str) -> bool:
    """Whether a declared format has a time of day."""
    return bool({*"HIcX"} & {*re.findall(r"%(.)", pattern, re.DOTALL)})


def _typed_date(
    text: str, formats: Sequence[str], zone: ZoneInfo, own: ZoneInfo | None
) -> date | None:
    """A date as typed sources (Parquet, Excel, databases) write it: ISO 8601 whatever is declared.

    None where a declared format begins with year and day: `2024-03-04` could then mean either.
    """
    if text[4:5] != "-" or any(pattern.startswith("%Y-%d") for pattern in formats):
        return None
    try:
        return _local_date(_iso_moment(text, own), zone, own)
    except (ValueError, OverflowError):
        return None


def _iso_moment(text: str, own: ZoneInfo | None) -> date | None:
    if len(text) == 10 and text.isascii() and text[4] == "-" and text[7] == "-":
        digits = text[:4] + text[5:7] + text[8:]
        return date(int(text[:4]), int(text[5:7]), int(text[8:])) if digits.isdigit() else None
    if _ISO_BASIC.fullmatch(text):
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    time, offset = match["time"].replace(",", "."), match["offset"] or ""
    is_over = time.startswith("24")  # the midnight that ends the day
    time = f"00{time[2:]}" if is_over else time
    found = datetime.fromisoformat(f"{match['date']}T{time}{offset}")
    found += timedelta(days=1 if is_over else 0)
    return _in_zone(found, match, own)


def _in_zone(found: datetime, match: re.Match[str], own: ZoneInfo | None) -> datetime | None:
    """The moment in the zones that its text names; None where one is not known, or two differ."""
    utc, name, region = match.group("utc", "name", "region")
    if name and "/" in name and own is None:  # whoever has such names says so by the setting
        return None
    zones = [zone_called(name, found, own) for name in (utc, name) if name]
    zones += [named_zone(region)] if region else []
    for zone in zones:
        there = found if zone is None else found.replace(tzinfo=zone)
        if zone is None or (found.tzinfo and found.utcoffset() != there.utcoffset()):
            return None
        found = there
    return found


def _local_date(
    found: date | datetime | None, zone: ZoneInfo, own: ZoneInfo | None = None
) -> date | None:
    """The date in `zone`: of a day, or of a moment without a zone, as it stands.

    A moment without an offset is one of the source's `own` zone, if it has one. Where the clocks go
    back it is the first of the two that have that time; where they go forward, a time that is left
    out is counted by the offset before.
    """
    if not isinstance(found, datetime):
        return found
    if found.tzinfo is None and own is not None:
        found = found.replace(tzinfo=own)
    return found.date() if found.tzinfo is None else found.astimezone(zone).date()


def with_hints(texts: pa.Array) -> pa.Array:
    """Texts that are no dates, each followed by what it looks like, and the setting for that."""
    details = texts
    hints = [
        (f"it looks like {kind}: {name} in DATE_FORMATS reads them", pattern)
        for kind, name, pattern in _LOOKS_LIKE
    ]
    hints.append(
        ("it ends in the name of a zone: set TIMEZONE to the zone of the source", _ZONE_NAME)
    )
    for hint, pattern in hints:
        hinted = pc.binary_join_element_wise(texts, f" ({hint})", "")
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
            "year_month": f"{day.year:04}-{day.month:02}",
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

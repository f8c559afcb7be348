"""By which format dates are written, and in whose calendar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from cleaning.dates import parse_date
from common.date_formats import ISO_8601
from proposal.shapes import DateFormat, Shape, date_formats
from proposal.tables import Found
from proposal.words import fits

_ZONES = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Athens", "America/Sao_Paulo",
    "Asia/Tokyo", "Asia/Shanghai", "Asia/Kolkata", "Australia/Sydney", "America/Phoenix",
    "America/Toronto", "Pacific/Auckland",
)  # fmt: skip
_CALLED = 0.5
_OFFSET = re.compile(r"([+-]\d\d):?(\d\d)$")


@dataclass
class Days:
    """The formats of a date column, with what speaks for them."""

    settings: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""
    unknown: list[str] = field(default_factory=list)
    choices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Where nobody but a person can tell: the text of each reading, and the settings it means."""
    zone: str = ""
    """The zone in whose calendar days are as they are written."""
    zone_choices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def days_of(table: Found, column: str, others: Sequence[str] = ()) -> Days:
    """How the dates of a column are written; `others` are columns whose dates may tell it."""
    shape = table.shapes[column]
    readings = _different(shape.formats)
    found = Days()
    if not readings:
        found.unknown.append(f"{column}: no format reads its values, such as {shape.values[:1]}")
        return found
    best, why = readings[0], ""
    if len(readings) > 1:
        best, why = _decided(table, column, others, readings)
        if not why:
            for reading in readings[:3]:
                text = f"{shape.values[0]} is {reading.days[0]}" if reading.days[0] else ""
                found.choices.append((f"{reading.pattern}: {text}", _settings(reading, [])))
    more = _more(shape, best)
    found.settings = _settings(best, more)
    name = best.pattern.replace(ISO_8601, "ISO 8601")
    rows = sum(n for n, day in zip(shape.counts, best.days, strict=True) if day) * shape.filled
    share = rows // max(1, sum(shape.counts))
    found.evidence = f"{share:,} of {table.rows.num_rows:,} are dates ({name})"
    found.evidence += f"; {why}" if why else ""
    if share < 0.9 * shape.filled:
        found.unknown.append(
            f"only {share:,} of {shape.filled:,} values of {column} are dates by the formats here"
        )
    _look_for_zone(found, shape)
    return found


def unread_dates(table: Found) -> str:
    """What is said of columns that are called as a date, and whose values no format reads."""
    for name, shape in table.shapes.items():
        is_called = fits(name, "transactions").get("transaction_date", 0.0) >= _CALLED
        if is_called and not shape.formats and re.search(r"\d", shape.values[0]):
            return (
                f"{name} has values such as {shape.values[0]}, which no format that is known here "
                "reads: date_formats, locale and timezone may"
            )
    return ""


def _settings(best: DateFormat, more: Sequence[DateFormat]) -> dict[str, Any]:
    patterns = list(dict.fromkeys([best.pattern, *(other.pattern for other in more)]))
    settings: dict[str, Any] = {} if patterns == [ISO_8601] else {"date_formats": patterns}
    if best.locale:
        settings["locale"] = best.locale
    return settings


def _different(formats: Sequence[DateFormat]) -> list[DateFormat]:
    """The formats that read most, and make different dates of the values."""
    found: list[DateFormat] = []
    for own in formats:
        if own.read < formats[0].read * 0.995:
            continue
        if own.is_number and any(not other.is_number for other in found):
            continue
        if all(own.days != other.days for other in found):
            found.append(own)
    return found


def _decided(
    table: Found, column: str, others: Sequence[str], readings: Sequence[DateFormat]
) -> tuple[DateFormat, str]:
    """The format that something else speaks for, and what; or the first, and ''."""
    for other in others:
        theirs = {own.pattern for own in _different(table.shapes[other].formats)}
        fitting = [own for own in readings if own.pattern in theirs]
        if len(theirs) == 1 and len(fitting) == 1:
            return fitting[0], f"{other} has days over 12"
    sorted_by = [own for own in readings if _is_rising(table, column, own)]
    if len(sorted_by) == 1:
        return sorted_by[0], "so they rise from row to row"
    by_dot = [own for own in readings if own.pattern.startswith("%d.%m")]
    if by_dot and len(by_dot) == 1:
        return by_dot[0], "with points the day comes first"
    today = datetime.now(UTC).date()
    past = [own for own in readings if all(day is None or day <= today for day in own.days)]
    if len(past) == 1:
        return past[0], "by other formats some would be to come"
    return readings[0], ""


def _is_rising(table: Found, column: str, own: DateFormat) -> bool:
    """Whether the dates of a column rise, or fall, from row to row."""
    shape = table.shapes[column]
    days = dict(zip(shape.values, own.days, strict=True))
    known = [day for day in map(days.get, table.texts(column).to_pylist()) if day is not None]
    if len(set(known)) < 10:
        return False
    steps = [(b - a).days for a, b in pairwise(known) if a != b]
    rising = sum(step > 0 for step in steps)
    return max(rising, len(steps) - rising) >= 0.98 * len(steps)


def _more(shape: Shape, best: DateFormat) -> list[DateFormat]:
    """Formats for the values that the best one does not read."""
    rest = [
        (value, n)
        for value, n, day in zip(shape.values, shape.counts, best.days, strict=True)
        if day is None and re.search(r"\d", value)
    ]
    if not rest or best.is_number:
        return []
    found = _different(date_formats([v for v, _ in rest], [n for _, n in rest]))
    return found if len(found) == 1 and not found[0].is_number else []


def _look_for_zone(found: Days, shape: Shape) -> None:
    """Timestamps with an offset have another date in another zone: which calendar counts?"""
    formats = found.settings.get("date_formats", [ISO_8601])
    if not (formats == [ISO_8601] or any("%z" in pattern for pattern in formats)):
        return
    texts = [value for value in shape.values if _OFFSET.search(value) and ":" in value]
    if len(texts) < len(shape.values) / 2:
        return
    written = [
        parse_date(_OFFSET.sub("", text).strip(), _bare(formats), ZoneInfo("UTC")) for text in texts
    ]
    in_utc = [parse_date(text, formats, ZoneInfo("UTC")) for text in texts]
    if written == in_utc or None in written:
        return
    zones = [zone for zone in _ZONES if _days_in(texts, formats, zone) == written]
    if zones:
        found.zone = zones[0]
        differ = sum(a != b for a, b in zip(written, in_utc, strict=True))
        example = next(t for t, a, b in zip(texts, written, in_utc, strict=True) if a != b)
        found.zone_choices = [
            (f"the shop's, as it is written ({example})", {"business_timezone": zones[0]}),
            ("UTC", {}),
        ]
        found.evidence += f"; {differ:,} have another date in UTC"


def _bare(formats: Sequence[str]) -> list[str]:
    return [pattern.replace("%z", "").strip() for pattern in formats]


def _days_in(texts: Sequence[str], formats: Sequence[str], zone: str) -> list[date | None]:
    return [parse_date(text, formats, ZoneInfo(zone)) for text in texts]

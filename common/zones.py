"""Names of time zones in timestamps: UTC, those of IANA, and the short names of one's own zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

UTC_NAMES = frozenset({"Z", "UTC", "GMT"})


def zone_called(name: str, moment: datetime, own: ZoneInfo | None) -> tzinfo | None:
    """The zone that a timestamp names; None where that is not known.

    A short name such as CEST means several zones in the world. It is known only where it is a name
    of the source's `own` zone in that year, and means the offset that it has there: in New York EST
    is five hours behind UTC, in July as well.
    """
    if name.upper() in UTC_NAMES:
        return UTC
    if "/" in name:
        return named_zone(name)
    if own is None:
        return None
    offset = _short_names(own, moment.year).get(name.upper())
    return None if offset is None else timezone(offset, name)


@lru_cache(1024)
def named_zone(name: str) -> tzinfo | None:
    """The zone of a name of IANA, such as Europe/Berlin; None where there is none."""
    if name.upper() in UTC_NAMES:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


@lru_cache(1024)
def _short_names(zone: ZoneInfo, year: int) -> dict[str, timedelta]:
    """The short names that a zone has in a year, in letters, each with its offset."""
    found = {}
    for month in range(1, 13):
        moment = datetime(year, month, 1, tzinfo=zone)
        name, offset = moment.tzname(), moment.utcoffset()
        if name and name.isalpha() and offset is not None:
            found[name.upper()] = offset
    return found

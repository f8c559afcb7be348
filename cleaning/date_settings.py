"""How the dates of a source are read, by its settings."""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

from cleaning.columns import Rule
from cleaning.dates import dates
from common.source_settings import SourceSettings


def date_rule(settings: SourceSettings, zone: ZoneInfo) -> Rule:
    """How the dates of a source are read; `zone` is that of the star's days."""
    return partial(
        dates,
        formats=settings.date_formats,
        zone=zone,
        own=None if settings.timezone is None else ZoneInfo(settings.timezone),
        locale=settings.locale,
    )

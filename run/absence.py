"""Which sources ought to bring all rows, so that what they lack is gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from common.absence import Absence
from common.rejects import REJECT_FILE
from common.star_model import DELETED_FLAG
from config import StarSchemaConfig
from run.clean_source import Arrays, CleanSource
from sources.raw_source import RawSource


def absence_in(
    config: StarSchemaConfig, raw: RawSource, cleaned: CleanSource
) -> tuple[Absence | None, str]:
    """What the lack of a row in a source means, or None where it means nothing; and a warning."""
    settings, source = config.source(cleaned.name), raw.source
    if settings.extract == "changes":
        return None, ""
    if not source.describes_facts and DELETED_FLAG not in source.feeds.columns:
        return None, (
            f"{cleaned.name}: EXTRACT={settings.extract} changes nothing: "
            f"{source.feeds.name} has no column {DELETED_FLAG}"
        )
    days = None
    if settings.extract == "period" and settings.period is not None:
        first, last = settings.period
        days = _day_key(first), _day_key(last)
    absence = Absence(
        cleaned.name, Arrays(cleaned.borne), config.max_delete_rate, days, _doubt(raw, cleaned)
    )
    return absence, ""


def absences_of_members(
    config: StarSchemaConfig,
    extracted: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
) -> tuple[dict[str, Absence], list[str]]:
    """What the lack of members means, by their table; and warnings."""
    found, warnings = {}, []
    for source in config.star.members:
        if source.name in cleaned:
            own = extracted[source.name], cleaned[source.name]
            absence, warning = absence_in(config, *own)
            warnings += [warning] if warning else []
            if absence is not None:
                found[source.feeds.name] = absence
    return found, warnings


def may_remove(config: StarSchemaConfig) -> bool:
    """Whether the settings say that facts are to go; rows may say so as well."""
    sales = config.source(config.star.sales.name)
    return sales.extract != "changes" or bool(sales.skip_when) or DELETED_FLAG in sales.columns


def _doubt(raw: RawSource, cleaned: CleanSource) -> str:
    """Why nothing may be taken for gone: rows may hide where nobody can read them."""
    if set(raw.columns) >= REJECT_FILE:
        return "a reject file has only the rows that were refused"
    if raw.empty_files:
        return f"{', '.join(raw.empty_files[:5])} has no byte; see that the file is complete"
    if cleaned.nameless:
        return (
            f"{cleaned.nameless:,} of its records have no {raw.source.key} that can be read; "
            "correct them, see the reject file"
        )
    if not cleaned.rows:
        return "no row of the input is accepted"
    return ""


def _day_key(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day

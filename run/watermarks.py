"""Sources of which only new rows are read: where a run begins, and what it remembers for the next.

What is remembered is in `etl_run`, by source: the largest value of the column, and what it is of.
Another database, query or column is another watermark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from common.setting_texts import Moment, parse_moment
from common.since import Start, kind_of, less
from common.source_settings import SourceSettings
from config import StarSchemaConfig
from errors import ConfigError
from run import logs
from sources.raw_source import RawSource
from sources.watermarks import seen


@dataclass(frozen=True)
class Watermark:
    """How far a source was read, and the URL, query and column that this is of."""

    value: Moment
    of: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """What `etl_run` keeps."""
        return {"value": str(self.value), "kind": kind_of(self.value), "of": self.of}

    @classmethod
    def from_dict(cls, kept: Any) -> Watermark:
        """What `as_dict` gave. Raises ValueError for anything else."""
        try:
            value, of = parse_moment(str(kept["value"])), dict(kept["of"])
        except (LookupError, TypeError) as error:
            raise ValueError("no watermark") from error
        if value is None or kind_of(value) != kept.get("kind"):
            raise ValueError("a value of another kind")
        return cls(value, of)


def starts(
    config: StarSchemaConfig, kept: Mapping[str, Any], since: Moment | None
) -> dict[str, Start]:
    """Where to begin reading each source with a WATERMARK, given what the last published run kept,
    and what `--since` says.
    """
    settings = {name: source for name, source in config.sources.items() if source.watermark}
    known = [_known(source, kept.get(name))[0] for name, source in settings.items()]
    fits_one = any(found is None or _is_alike(since, found.value) for found in known)
    return {name: _start(config, name, kept, since, fits_one=fits_one) for name in settings}


def begin(
    config: StarSchemaConfig, kept: Mapping[str, Any], since: Moment | None
) -> dict[str, Start]:
    """`starts` of a run.

    Raises `ConfigError` where a source has no place to begin at.
    """
    found = starts(config, kept, since)
    problems = [start.problem for start in found.values() if start.value is None]
    if problems:
        raise ConfigError(problems)
    for name, start in found.items():
        column = config.source(name).watermark
        logs.logger.info("%s: rows from %s %s on are read", name, column, start.value)
    return found


def moved(
    config: StarSchemaConfig,
    kept: Mapping[str, Any],
    found: Mapping[str, Start],
    extracted: Mapping[str, RawSource],
    began: datetime,
) -> tuple[dict[str, Any], list[str]]:
    """What this run will keep if it is published, and what to tell; sources that have no new value
    keep what they had.

    Raises `ExtractionError` for a column that cannot be one, `ConfigError` where LAG or `--since`
    do not fit its values.
    """
    result, notes = dict(kept), []
    for name in found:
        watermark, told = _moved(config, extracted[name], kept, found[name], began)
        result |= {} if watermark is None else {name: watermark.as_dict()}
        notes += [f"{name}: {note}" for note in told]
    return result, notes


def _start(
    config: StarSchemaConfig,
    name: str,
    kept: Mapping[str, Any],
    since: Moment | None,
    *,
    fits_one: bool,
) -> Start:
    """Where to begin with a source. `--since` is for the sources whose values are of its kind, if
    there are any (`fits_one`).
    """
    settings, setting = config.source(name), f"{name.upper()}__WATERMARK"
    known, why = _known(settings, kept.get(name))
    if known is None and since is None:
        return Start(None, f"{setting}: {why}; say where to begin by --since")
    if known is None:
        begins_anew = f"{why}; it is read from --since {since} on"
        return Start(since, notes=(begins_anew,) if name in kept else ())
    notes: tuple[str, ...] = ()
    if since is not None:
        is_alike = _is_alike(since, known.value)
        if is_alike or not fits_one:
            return Start(since, notes=_told(config, since, known.value))
        notes = (f"--since {since} is no {kind_of(known.value)}: it goes on from {known.value}",)
    try:
        return Start(less(known.value, settings.lag), notes=notes)
    except ValueError as error:
        return Start(None, f"{name.upper()}__LAG {error}")


def _told(config: StarSchemaConfig, since: Moment, known: Moment) -> tuple[str, ...]:
    """The warning when `--since` is not where the last run has ended."""
    if not _is_alike(since, known):
        return (f"--since {since} is no {kind_of(known)}: what was remembered, {known}, is left",)
    if _is_later(config, since, known):
        return (f"--since {since} leaves a gap: what came after {known} and before it is not read",)
    if _is_later(config, known, since):
        return (f"--since {since} is a step back: rows are read again that came before {known}",)
    return ()


def _moved(
    config: StarSchemaConfig,
    source: RawSource,
    kept: Mapping[str, Any],
    start: Start,
    began: datetime,
) -> tuple[Watermark | None, list[str]]:
    """The new watermark of a source, if it has moved, and what to tell."""
    settings, column = source.settings, source.settings.watermark
    kept_of_it, _ = _known(settings, kept.get(source.name))
    known = None if kept_of_it is None else kept_of_it.value
    found = seen(source, began, ZoneInfo(config.business_timezone))
    largest, notes = found.largest, []
    if found.later:
        notes.append(
            f"{found.later:,} values of {column} are after the start of the run: their rows are "
            "loaded, but the next run does not begin there"
        )
    reached = known if largest is None else largest
    if reached is None:
        notes.append(f"there is no value of {column} to remember: give --since again")
    else:
        _refuse_unfit(source, reached, start)
    if largest is None:
        return None, notes
    if known is not None and _is_later(config, known, largest):
        notes.append(f"the largest {column} of this run, {largest}, is before {known}, which stays")
        return None, notes
    return Watermark(largest, _of(settings)), notes


def _refuse_unfit(source: RawSource, value: Moment, start: Start) -> None:
    """Raise `ConfigError` where LAG or the start do not fit the values of the column."""
    try:
        less(value, source.settings.lag)
    except ValueError as error:
        raise ConfigError([f"{source.name.upper()}__LAG {error}"]) from None
    if not _is_alike(start.value, value):
        column = source.settings.watermark
        raise ConfigError(
            [
                f"{source.name}: it was read from {start.value} on, which is no {kind_of(value)} "
                f"as {column} is; give --since"
            ]
        )


def _known(settings: SourceSettings, kept: Any) -> tuple[Watermark | None, str]:
    """What was kept of a source; or None, and why."""
    column = settings.watermark
    if kept is None:
        return None, f"no run has remembered a value of {column} yet"
    try:
        known = Watermark.from_dict(kept)
    except ValueError:
        return None, f"the value of {column} that etl_run keeps is damaged"
    other = [part for part, value in _of(settings).items() if known.of.get(part) != value]
    if other:
        parts = " and ".join(_PARTS[part] for part in other)
        return None, f"{known.value} was remembered of another {parts}"
    return known, ""


_PARTS = {"url": "PATH", "query": "QUERY", "column": "WATERMARK"}


def _of(settings: SourceSettings) -> dict[str, str]:
    """What a watermark is of; neither user nor password nor options, and of the query a hash."""
    url = settings.path
    if not isinstance(url, URL):  # refused by the settings
        return {}
    bare = URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database)
    query = hashlib.sha256((settings.query or "").strip().encode()).hexdigest()
    return {"url": str(bare), "query": query, "column": settings.watermark or ""}


def _is_alike(one: Moment | None, other: Moment) -> bool:
    """Whether both are numbers, or neither is."""
    return isinstance(one, int) == isinstance(other, int)


def _is_later(config: StarSchemaConfig, one: Moment, other: Moment) -> bool:
    """Whether a value is after another one; of both kinds, or both numbers."""
    if isinstance(one, int) or isinstance(other, int):
        return isinstance(one, int) and isinstance(other, int) and one > other
    zone = ZoneInfo(config.business_timezone)
    return _at(one, zone) > _at(other, zone)


def _at(value: date, zone: ZoneInfo) -> datetime:
    """A date's first moment, or a moment; without an offset it is one of `zone`."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value if value.tzinfo is not None else value.replace(tzinfo=zone)

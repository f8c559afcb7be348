"""How far an incremental source was read: the largest value of its watermark column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import whole
from common.setting_texts import Moment
from common.spool import read
from errors import ExtractionError
from sources.mapping import own_name
from sources.raw_source import RawSource

_KINDS = {
    "integers": pa.int64(),
    "dates": pa.date32(),
    "timestamps": pa.timestamp("us"),
    "timestamps with an offset": pa.timestamp("us", "UTC"),
}
_FINER = r"(\.\d{6})\d+"


@dataclass(frozen=True)
class Seen:
    """What the column of a source holds: its largest value that is not after the start of the run
    (None where there is none), and how many values are after it.
    """

    largest: Moment | None
    later: int


def seen(source: RawSource, began: datetime, zone: ZoneInfo) -> Seen:
    """Look through the column of a source that was read; a moment without an offset is of `zone`.

    Raises `ExtractionError` for values that are no dates, timestamps or integers.
    """
    largest: Moment | None = None
    later, kind = 0, ""
    for values in _batches(source):
        found = _kind(values.type)
        if kind and found != kind and {kind, found} != {"dates", "timestamps"}:
            raise _no_watermark(source, f"{kind} as well as {found}")
        kind = "timestamps" if "timestamps" in (kind, found) else found
        limit = _limit(found, began, zone)
        is_later = pa.scalar(False) if limit is None else pc.greater(values, limit)
        later += pc.sum(is_later).as_py() or 0
        here = pc.max(pc.if_else(is_later, None, values)).as_py()
        if here is not None:
            largest = here if largest is None else _larger(largest, here)
    return Seen(largest, later)


def _batches(source: RawSource) -> Iterator[pa.Array]:
    """The values of each batch that has any, as integers, dates or timestamps."""
    for batch in source.batches:
        rows = read(batch.rows)
        name = own_name(source.settings.watermark or "", rows.column_names)
        texts = pc.utf8_trim_whitespace(whole(rows[name]).cast(pa.string()))
        texts = texts.filter(pc.fill_null(pc.not_equal(texts, ""), False))
        if len(texts):
            yield _typed(source, texts)


def _typed(source: RawSource, texts: pa.Array) -> pa.Array:
    """Texts as values of the first kind that all of them are."""
    for is_finer in (False, True):
        given = pc.replace_substring_regex(texts, _FINER, r"\1") if is_finer else texts
        for kind in _KINDS.values():
            try:
                pc.cast(given.slice(0, 1), kind)  # a cast that fails goes through all values
                return pc.cast(given, kind)
            except pa.ArrowInvalid:
                continue
    numbers = pc.match_substring_regex(texts, r"^[+-]?[0-9]+\.[0-9]+$")
    raise _no_watermark(
        source, "numbers with decimals" if pc.all(numbers).as_py() else "other text"
    )


def _kind(found: pa.DataType) -> str:
    return next(name for name, kind in _KINDS.items() if kind == found)


def _limit(kind: str, began: datetime, zone: ZoneInfo) -> pa.Scalar | None:
    """The last value that is not after the start of the run; integers have none."""
    local = began.astimezone(zone)
    limits = {
        "dates": local.date(),
        "timestamps": local.replace(tzinfo=None),
        "timestamps with an offset": began.astimezone(UTC),
    }
    return pa.scalar(limits[kind], _KINDS[kind]) if kind in limits else None


def _larger(one: Moment, other: Moment) -> Moment:
    """The later of two values of one kind; a date among timestamps is its first moment."""
    if type(one) is not type(other):
        one, other = (datetime.fromisoformat(str(value)) for value in (one, other))
    return max(one, other)


def _no_watermark(source: RawSource, what: str) -> ExtractionError:
    name = f"{source.name.upper()}__WATERMARK"
    return ExtractionError(
        [
            f"{source.name}: the column {source.settings.watermark} holds {what}; {name} must name "
            "one of dates, timestamps or integers, by ISO 8601 where they are written as text"
        ]
    )

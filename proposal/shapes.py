"""What the values of a column look like: dates by which format, numbers by which separator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, cached_property
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.dates import parse_date
from cleaning.numbers import exact_number
from common.date_formats import ISO_8601

_MOST_VALUES = 2_000
"""So many distinct values of a column are looked at, spread over all of them."""
_MOST = 0.95
_LEAST_DATES = 0.6
"""The share of the values that a format must read to be thought of at all."""
_UTC = ZoneInfo("UTC")
_LEAST_YEAR, _LAST_YEAR = 1950, datetime.now(UTC).year + 1
_LEAST_NUMBERED = 1980
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%d%m%Y",
    "%m%d%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d. %B %Y",
    "%d. %b %Y", "%d.%b.%Y", "%b %d %Y", "%B %d %Y", "%d %b %y", "%d/%b/%Y", "%b-%d-%y",
    "%b-%d-%Y", "%b/%d/%Y", "%d de %B de %Y", "%a, %d %b %Y", "%d %m %Y", "%Y %m %d", "%d.%m.%Y.",
    "%Y-%b-%d",
)  # fmt: skip
_TIMES = (
    " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", "T%H:%M", ", %H:%M",
    ", %H:%M:%S", " %H:%M:%S.%f", " %H.%M", " %H.%M.%S", " - %H:%M", ", %I:%M %p", ", %I:%M:%S %p",
    " %H:%M Uhr", " um %H:%M", " %H:%M hs.", " %I:%M%p", " %H%M%S", " %H%M",
)  # fmt: skip
_ZONES = (" %z", "%z", " %Z")
_LOCALES = ("de", "fr", "es", "pt", "it", "nl")
_NUMBERED = (
    ("EXCEL", re.compile(r"[2-6][0-9]{4}(?:[.,][0-9]+)?")),
    ("EPOCH", re.compile(r"[0-9]{9,10}(?:\.[0-9]+)?")),
    ("EPOCH_MS", re.compile(r"[0-9]{12,13}")),
    ("JULIAN", re.compile(r"24[0-9]{5}(?:\.[0-9]+)?")),
)
"""Dates that are numbers: the format, and how they are written."""


@dataclass
class Shape:
    """The values of a column, as far as they were looked at."""

    name: str
    rows: int
    filled: int
    distinct: int
    values: list[str]
    """Distinct values, spread over all of them, in the order in which they come."""
    counts: list[int]
    is_typed: bool = False
    """Whether its numbers are no texts, so that their separator says nothing."""

    @property
    def is_unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.distinct == self.filled == self.rows > 0

    @cached_property
    def by_point(self) -> list[Decimal | None]:
        """The values as numbers with a decimal point."""
        return [_number(value, ".") for value in self.values]

    @cached_property
    def by_comma(self) -> list[Decimal | None]:
        """The values as numbers with a decimal comma."""
        return [_number(value, ",") for value in self.values]

    @cached_property
    def is_number(self) -> bool:
        """Whether nearly all values are numbers, by one of the separators."""
        return max(self.share(self.by_point), self.share(self.by_comma)) >= _MOST

    @cached_property
    def is_percent(self) -> bool:
        """Whether nearly all values end in a percent sign."""
        return self.share([value if value.endswith("%") else None for value in self.values]) > _MOST

    @cached_property
    def numbers(self) -> list[Decimal]:
        """The values as numbers, by the separator that reads more."""
        best = max((self.by_point, self.by_comma), key=self.share)
        return [number for number in best if number is not None]

    @cached_property
    def is_whole(self) -> bool:
        """Whether nearly all values are whole numbers."""
        whole = [n for n in self.numbers if n == n.to_integral_value()]
        return self.is_number and len(whole) >= 0.9 * len(self.numbers)

    @cached_property
    def is_nested(self) -> bool:
        """Whether there are objects or lists among its values."""
        return any(f"{value[:1]}{value[-1:]}" in ("{}", "[]") for value in self.values[:20])

    @cached_property
    def is_email(self) -> bool:
        """Whether nearly all values are e-mail addresses."""
        return self.share([_EMAIL.fullmatch(value) for value in self.values]) >= 0.8

    @cached_property
    def formats(self) -> list[DateFormat]:
        """The formats by which nearly all values are dates, the best first; [] where none is."""
        return date_formats(self.values, self.counts)

    def share(self, found: Sequence[object | None]) -> float:
        """The share of the rows whose value, of those looked at, has something in `found`."""
        rows = sum(n for n, value in zip(self.counts, found, strict=True) if value is not None)
        return rows / max(1, sum(self.counts))

    @property
    def is_date(self) -> bool:
        """Whether nearly all values are dates that look like dates."""
        return any(not f.is_number and self.share(f.days) >= 0.9 for f in self.formats)

    @cached_property
    def is_partly_number(self) -> bool:
        """Whether most values are numbers, though perhaps not nearly all."""
        return max(self.share(self.by_point), self.share(self.by_comma)) >= 0.5


def _number(text: str, separator: str) -> Decimal | None:
    """A number by the run's own rules; that of a percentage is what stands before the sign."""
    found = exact_number(text.removesuffix("%").rstrip(), separator)
    return None if found is None else found.value


def shape_of(name: str, column: pa.ChunkedArray, *, is_typed: bool = False) -> Shape:
    """The shape of a column of text."""
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    filled = texts.filter(pc.fill_null(pc.not_equal(texts, ""), False))
    counted = pc.value_counts(filled.combine_chunks())
    step = max(1, len(counted) // _MOST_VALUES)
    some = counted.take(pa.array(range(0, len(counted), step), pa.int64()))
    values, counts = some.field("values").to_pylist(), some.field("counts").to_pylist()
    return Shape(name, len(column), len(filled), len(counted), values, counts, is_typed)


@dataclass(frozen=True)
class DateFormat:
    """A way to read dates: the setting, the language of its months, and what it makes of values."""

    pattern: str
    locale: str = ""
    is_number: bool = False
    """Whether the values are numbers, which may be something else as well."""
    days: tuple[date | None, ...] = field(default=(), repr=False, compare=False)

    @property
    def read(self) -> int:
        """How many values it reads."""
        return sum(day is not None for day in self.days)


def date_formats(values: Sequence[str], counts: Sequence[int]) -> list[DateFormat]:
    """The formats that read nearly all values, the one that reads most first."""
    if not values:
        return []
    few = [values[i * len(values) // 20] for i in range(min(20, len(values)))]
    first = few[:3]
    candidates = [f for f in _candidates(few) if 2 * _reads(first, f) > len(first)]
    candidates = [f for f in candidates if _reads(few, f) >= _LEAST_DATES * len(few)]
    found = []
    for candidate in candidates:
        days = tuple(_day(value, candidate) for value in values)
        tried = DateFormat(candidate.pattern, candidate.locale, candidate.is_number, days)
        rows = sum(n for n, day in zip(counts, days, strict=True) if day is not None)
        if rows >= _LEAST_DATES * sum(counts):
            found.append(tried)
    return sorted(found, key=lambda f: (-f.read, f.is_number, f.pattern != ISO_8601))


def _candidates(few: Sequence[str]) -> list[DateFormat]:
    numbered = [
        DateFormat(name, is_number=True)
        for name, written in _NUMBERED
        if all(written.fullmatch(value) for value in few)
    ]
    if sum(bool(re.search(r"\d", value)) for value in few) < _LEAST_DATES * len(few):
        return []
    if numbered or not any(re.search(r"[-./: ,]", value) for value in few):
        plain = [DateFormat(ISO_8601, is_number=True)]
        plain += [DateFormat(p, is_number=True) for p in ("%d%m%Y", "%m%d%Y", "%y%m%d")]
        return [*numbered, *plain, *_worded(few)]
    return [DateFormat(ISO_8601), *_worded(few)]


def _worded(few: Sequence[str]) -> list[DateFormat]:
    """Formats with separators, or with names of months, that are written as these values are."""
    written = {_written(value) for value in few[:3]}
    found = []
    for pattern, signatures in _patterns().items():
        if written & signatures:
            is_named = "%b" in pattern or "%B" in pattern
            locales = ("", *_LOCALES) if is_named else ("",)
            found += [DateFormat(pattern, locale) for locale in locales]
    return found


@cache
def _patterns() -> dict[str, frozenset[str]]:
    """All formats, each with how its values are written."""
    found = {}
    for day in _DAYS:
        for time in ("", *_TIMES):
            for zone in ("", *_ZONES) if time else ("",):
                pattern = f"{day}{time}{zone}"
                plain = re.sub("%[YmdHMSfyIj]", "0", pattern)
                plain = re.sub("%[bBaAp]", "A", plain)
                signs = {plain.replace("%Z", "A")}
                if "%z" in plain:
                    signs = {
                        plain.replace("%z", z) for z in ("+0000", "-0000", "+00:00", "-00:00", "Z")
                    }
                found[pattern] = frozenset(map(_written, signs))
    return found


def _written(value: str) -> str:
    """How a value is written: `0` for a number, `A` for a word, and the signs between them."""
    words = re.sub(r"[^\W\d_]+\.?", "A", value.strip())
    return re.sub(r"\d+", "0", words)


def _reads(values: Sequence[str], candidate: DateFormat) -> int:
    return sum(_day(value, candidate) is not None for value in values)


def _day(value: str, candidate: DateFormat) -> date | None:
    """The date of a value by a format, by the run's own rules; None where it is none, or of another
    century.
    """
    pattern = candidate.pattern
    if pattern != ISO_8601 and not candidate.is_number and value[4:5] == "-" and pattern[1] != "Y":
        return None  # as a run reads dates of typed sources, whatever is declared
    try:
        found = parse_date(value, (pattern,), _UTC, None, candidate.locale or "en")
    except (ValueError, OverflowError):
        return None
    least = _LEAST_NUMBERED if candidate.is_number else _LEAST_YEAR
    return found if found is not None and least <= found.year <= _LAST_YEAR else None

"""Dates by declared formats, with the directives of Python's strptime and none of its guesses.

strptime reads `1112024` by `%d%m%Y` as 11 January, accepts the zone names of the machine it runs
on, and ignores a zone that is plain text in the format. Here numbers without a separator between
them must have all their digits, a zone must be an offset, UTC, GMT or Z, or one of the source's own
zone, and the result does not depend on the machine. 24:00 is the midnight that ends the day.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from common.date_numbers import FORMS
from common.month_names import days, folded, months
from common.zones import zone_called

ISO_8601 = "ISO8601"
NAMED = frozenset({ISO_8601, *FORMS})
"""The formats that have a name."""

_NUMBERS = {"Y": 4, "G": 4, "j": 3, "f": 6, "u": 1, "w": 1} | dict.fromkeys("ymdHIMSUWV", 2)
_KNOWN = {*_NUMBERS, *"aAbBpzZcxX%"}
_LONG = {"%c": "%a %b %d %H:%M:%S %Y", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}  # in every locale
_UTC = re.compile(r"(?<![A-Za-z])(?:UTC|GMT|Z)(?![A-Za-z])", re.IGNORECASE)
_BEFORE_OFFSET = re.compile(r"(?:UTC|GMT)(?=%z)", re.IGNORECASE)
_COMMENT = re.compile(r"\s*\([^()]*\)$")
_SHAPES = {
    "Y": "[0-9]{4}", "G": "[0-9]{4}", "p": "[AP]M", "z": r"Z|[+-][0-9:.]+",
    "Z": "[A-Za-z]+(?:/[A-Za-z_+/-]+)?",
}  # fmt: skip
_WORD = r"[^\W\d_]+"


@dataclass(frozen=True)
class _Run:
    """Numbers without a separator between them: how many digits they have together, and how many
    zeros may be missing at the end (of `%f`).

    `digits` is 0 for a single number, which may have any length.
    """

    digits: int
    optional: int


@dataclass(frozen=True)
class _Format:
    pattern: str
    """The format for strptime, with `UTC` in place of `%Z`."""
    runs: tuple[_Run, ...]
    has_zone_name: bool
    is_utc: bool
    full: str
    """The format with all its directives, none of them short for others."""
    has_names: bool
    has_comment: bool
    """Whether words in brackets behind it say once more what its offset says."""


def fault(pattern: str) -> str:
    """What is wrong with a declared format; '' for one that reads a year, a month and a day."""
    directives = re.findall(r"%(.?)", _in_full_words(pattern), re.DOTALL)
    unknown = sorted({name for name in directives if name not in _KNOWN})
    if unknown:
        return f"there is no %{unknown[0]}; the directives are those of Python's strptime"
    twice = sorted({name for name in directives if name != "%" and directives.count(name) > 1})
    if twice:
        return f"%{twice[0]} appears more than once"
    sample = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    try:
        found = moment(sample.strftime(_in_full_words(pattern)), pattern)
    except ValueError as error:
        return str(error)
    if found is None or found.date() != sample.date():
        return "it does not name a year, a month and a day"
    return ""


def moment(
    text: str, pattern: str, zone: ZoneInfo | None = None, locale: str = "en"
) -> datetime | None:
    """The datetime of `text` by a declared format, aware where the text tells its zone; None where
    the text breaks the rules of this module. `zone` is the source's own, `locale` its language.

    Raises `ValueError` or `OverflowError` as strptime does.
    """
    known = _compiled(pattern)
    if any(char.isdecimal() and not char.isascii() for char in text):
        return None
    if known.has_comment and text.endswith(")"):
        text = _COMMENT.sub("", text)
    whole: str | None = text
    if known.has_names and locale != "en":
        whole = _in_english(text, known.full, locale)
    whole = whole and _with_all_digits(whole, known.runs)
    if not whole:
        return None
    name = "UTC" if known.is_utc else ""
    if known.has_zone_name:
        whole, name = _without_zone(whole, known.full) if zone else (_UTC.sub("UTC", whole), name)
    found = _parsed(whole, known)
    if not name:
        return found
    named = zone_called(name, found, zone)
    if named is None:
        return None
    there = found.replace(tzinfo=named)
    if found.tzinfo is not None and found.utcoffset() != there.utcoffset():
        return None  # two zones
    return there


def _parsed(text: str, known: _Format) -> datetime:
    """By strptime, and 24:00 as the next day's midnight."""
    try:
        return datetime.strptime(text, known.pattern)
    except ValueError:
        match = _positions(known.full.replace("%Z", "UTC")).fullmatch(text)
        if match is None or match.groupdict().get("H") != "24":
            raise
        found = datetime.strptime(
            f"{text[: match.start('H')]}00{text[match.end('H') :]}", known.pattern
        )
        if found.time() != time():
            raise
        return found + timedelta(days=1)


def _in_english(text: str, full: str, locale: str) -> str | None:
    """A text with the English names of its months and days; None where it has no others."""
    match = _positions(full, locale).fullmatch(text)
    if match is None:
        return None
    for name in sorted({*"aAbB"} & match.groupdict().keys(), key=match.start, reverse=True):
        names = days(locale) if name in "aA" else months(locale)
        english = names.english.get(folded(match[name]))
        if english is None:
            return None
        short = english if name in "AB" else english[:3]
        text = text[: match.start(name)] + short + text[match.end(name) :]
    return text


def _without_zone(text: str, full: str) -> tuple[str, str]:
    """A text with UTC in place of the name of its zone, and that name. Raises ValueError where
    there is none.
    """
    match = _positions(full).fullmatch(text)
    if match is None:
        raise ValueError("there is no name of a zone")
    return f"{text[: match.start('Z')]}UTC{text[match.end('Z') :]}", match["Z"]


@lru_cache(256)
def _positions(full: str, locale: str = "en") -> re.Pattern[str]:
    """Where in a text the directives of a format are."""
    names = dict.fromkeys("aAbB", _WORD)
    if locale != "en":
        names = dict.fromkeys("aA", days(locale).pattern) | dict.fromkeys(
            "bB", months(locale).pattern
        )
    shapes = {name: f"[0-9]{{1,{size}}}" for name, size in _NUMBERS.items()} | _SHAPES | names

    def part(found: re.Match[str]) -> str:
        text = found[0]
        if text == "%%":
            return "%"
        if text[0] == "%":
            return f"(?P<{text[1]}>{shapes[text[1]]})"
        return r"\s+" if text.isspace() else re.escape(text)

    return re.compile(re.sub(r"%.|\s+|.", part, full, flags=re.DOTALL), re.IGNORECASE)


@lru_cache(256)
def _compiled(pattern: str) -> _Format:
    full = _in_full_words(unicodedata.normalize("NFC", pattern))
    directives = set(re.findall(r"%(.)", full, re.DOTALL))
    has_zone_name = "Z" in directives
    for_strptime = re.sub(r"%(.)", lambda d: "UTC" if d[1] == "Z" else d[0], full, flags=re.DOTALL)
    after_time = re.split(r"%[HI]", for_strptime)[1:]
    words = "".join(re.sub(r"%.", " ", _BEFORE_OFFSET.sub(" ", part)) for part in after_time)
    return _Format(
        for_strptime,
        tuple(_runs(full)),
        has_zone_name,
        bool(_UTC.search(words)),
        full,
        bool(directives & {*"aAbB"}),
        "z" in directives and "(" not in full,
    )


def _in_full_words(pattern: str) -> str:
    """The format with `%c`, `%x` and `%X` spelled out, and without space around it."""
    whole = re.sub(r"%.", lambda found: _LONG.get(found[0], found[0]), pattern, flags=re.DOTALL)
    return whole.strip()


def _runs(pattern: str) -> Iterable[_Run]:
    """The runs of digits in a format, up to `%z`, whose text has digits of its own."""
    run: list[str] = []
    for part in [*re.findall(r"%.|.", pattern, re.DOTALL), ""]:
        if part[1:] in _NUMBERS or (part.isdecimal() and part.isascii()):
            run.append(part[1:])
            continue
        if run:
            digits = sum(_NUMBERS.get(name, 1) for name in run)
            yield _Run(digits, 5 if run[-1] == "f" else 0) if len(run) > 1 else _Run(0, 0)
            run = []
        if part == "%z":
            return


def _with_all_digits(text: str, runs: tuple[_Run, ...]) -> str | None:
    """`text` with the missing zeros of a fraction; None where a run has too few or many digits."""
    found = list(zip(runs, re.finditer(r"[0-9]+", text), strict=False))
    for run, match in reversed(found):
        if run.digits:
            lacking = run.digits - len(match[0])
            if not 0 <= lacking <= run.optional:
                return None
            text = text[: match.end()] + "0" * lacking + text[match.end() :]
    return text

"""Dates by declared formats, with the directives of Python's strptime and none of its guesses.

strptime reads `1112024` by `%d%m%Y` as 11 January, accepts the zone names of the machine it runs
on, and ignores a zone that is plain text in the format. Here numbers without a separator between
them must have all their digits, a zone must be an offset, UTC, GMT or Z, and the result does not
depend on the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

ISO_8601 = "ISO8601"

_NUMBERS = {"Y": 4, "G": 4, "j": 3, "f": 6, "u": 1, "w": 1} | dict.fromkeys("ymdHIMSUWV", 2)
_KNOWN = {*_NUMBERS, *"aAbBpzZcxX%"}
_LONG = {"%c": "%a %b %d %H:%M:%S %Y", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}  # in every locale
_UTC = re.compile(r"(?<![A-Za-z])(?:UTC|GMT|Z)(?![A-Za-z])", re.IGNORECASE)


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


def moment(text: str, pattern: str) -> datetime | None:
    """The datetime of `text` by a declared format, aware where the zone is known; None where the
    text breaks the rules of this module. Raises `ValueError` or `OverflowError` as strptime does.
    """
    known = _compiled(pattern)
    if any(char.isdecimal() and not char.isascii() for char in text):
        return None
    whole = _with_all_digits(text, known.runs)
    if whole is None:
        return None
    if known.has_zone_name:
        whole = _UTC.sub("UTC", whole)
    found = datetime.strptime(whole, known.pattern)
    if not known.is_utc:
        return found
    if found.tzinfo is not None and found.utcoffset() != timedelta(0):
        return None  # two zones
    return found.replace(tzinfo=UTC)


@lru_cache(256)
def _compiled(pattern: str) -> _Format:
    full = _in_full_words(pattern)
    has_zone_name = "%Z" in re.findall(r"%.", full, re.DOTALL)
    for_strptime = re.sub(r"%(.)", lambda d: "UTC" if d[1] == "Z" else d[0], full, flags=re.DOTALL)
    after_time = re.split(r"%[HI]", for_strptime)[1:]
    words = "".join(re.sub(r"%.", " ", part) for part in after_time)
    return _Format(for_strptime, tuple(_runs(full)), has_zone_name, bool(_UTC.search(words)))


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

"""The names of months and days in the language of a source, by the Unicode CLDR that Babel has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ALSO = {"de": {"mrz": 2}}
"""What people write and CLDR does not have, by language: the place of the month."""


class Names(NamedTuple):
    """The names of a language's months or days."""

    pattern: str
    """A regular expression for any of them, with a dot behind or without."""
    english: Mapping[str, str]
    """By a name as `folded` has it, the English name."""


def is_known(locale: str) -> bool:
    """Whether there are names for `locale`, such as `de` or `pt_BR`. English needs no Babel."""
    if locale == "en":
        return True
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415  # only where LOCALE is set

    try:
        Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        return False
    return True


@lru_cache(64)
def months(locale: str) -> Names:
    """The names of the months, also with three or four letters where these mean one month."""
    return _names(locale, "months", _MONTHS)


@lru_cache(64)
def days(locale: str) -> Names:
    """The names of the days of the week."""
    return _names(locale, "days", _DAYS)


def folded(name: str) -> str:
    """A name as `Names.english` knows it: without case and dots."""
    return unicodedata.normalize("NFC", name.casefold()).replace(".", "").strip()


def _names(locale: str, kind: str, english: tuple[str, ...]) -> Names:
    found: dict[str, set[int]] = {}
    for name, place in _written(locale, kind):
        for text in {name, *_plain(name)}:
            found.setdefault(text, set()).add(place)
    own = {name: english[min(places)] for name, places in found.items() if len(places) == 1}
    longest_first = sorted(own, key=len, reverse=True)
    return Names(f"(?:{'|'.join(map(re.escape, longest_first))})\\.?", own)


def _written(locale: str, kind: str) -> Iterator[tuple[str, int]]:
    """Each name in the forms that CLDR has, and its place; months begin at 1 there, days at 0."""
    from babel import Locale  # noqa: PLC0415  # only where LOCALE is set

    forms = getattr(Locale.parse(locale.replace("-", "_")), kind)
    first = 1 if kind == "months" else 0
    for form in ("format", "stand-alone"):
        for width in ("abbreviated", "wide"):
            for number, name in forms[form][width].items():
                yield folded(name), number - first
                if kind == "months" and width == "wide":
                    yield from ((folded(name)[:size], number - first) for size in (3, 4))
    if kind == "months":
        yield from _ALSO.get(locale[:2], {}).items()


def _plain(name: str) -> Iterator[str]:
    """A name as it is written where there are no accents: Maerz or Marz for März."""
    yield re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", name))
    yield name.replace("\u00e4", "ae").replace("\u00f6", "oe").replace("\u00fc", "ue")

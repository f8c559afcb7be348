"""Figures, moments and names as a page shows them: exact ones are in the results."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from common.star_model import Star
from report.figures import amount, places_of

MINUS = "\N{MINUS SIGN}"
_LONG = 10**8
NONE = "·"
"""What stands where there is none of something."""
_STEPS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"))


def count(rows: float | None) -> str:
    """A number of rows; a dot for none."""
    return signed(f"{rows:,.0f}") if rows else NONE


def signed(text: str) -> str:
    """A number with a minus of its own."""
    return text.replace("-", MINUS)


def short(value: float | Decimal) -> str:
    """A number with three or four digits that mean something: 12.9 M; below a million whole, below
    ten thousand with the cents that it has.
    """
    known = value if isinstance(value, Decimal) else Decimal(str(value))
    for step, letter in _STEPS:
        if abs(known) >= step:
            scaled = known / step
            return signed(f"{scaled:,.{2 if abs(scaled) < 10 else 1}f} {letter}")
    return amount(known, places_of([known]), MINUS)


def money(value: Decimal, beside: Iterable[Decimal] = ()) -> str:
    """An amount to the cent, or whole where it, or one `beside` it, is large."""
    return amount(value, places_of([value, *beside]), MINUS)


def concise(value: Decimal, beside: Iterable[Decimal]) -> str:
    """An amount as `money` has it; short where it, or one `beside` it, has many digits."""
    others = list(beside)
    is_long = max(map(abs, [value, *others])) >= _LONG
    return short(value) if is_long else money(value, others)


def part_of(whole: Decimal, part: Decimal) -> str:
    """How much of a whole a part is, in per cent; blank where there is no whole."""
    return signed(f"{100 * part / whole:z.1f} %") if whole else ""


def exact(value: Decimal) -> str:
    """An amount with all its digits, in groups."""
    whole, _, cents = f"{value:,f}".partition(".")
    cents = cents.rstrip("0").ljust(2, "0")
    return signed(f"{whole}.{cents}")


def moment(at: datetime) -> str:
    """A moment where this runs, with its zone."""
    return f"{at.astimezone():%a %d %b %Y, %H:%M %Z}".strip()


def day(at: datetime) -> str:
    """The day of a moment, short."""
    return f"{at.astimezone():%d %b %H:%M}"


def words(name: str) -> str:
    """A name of a table, column or reason as people read it."""
    return name.replace("_", " ").strip()


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: a, b and c."""
    found = list(names)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def plural(rows: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{rows:,} {one if rows == 1 else many or one + 's'}"


def called(star: Star) -> dict[str, str]:
    """By table, what people call its rows: members by their source's name, or their own."""
    own = {t.name: f"{words(str(t.info.get('member', t.name)))}s" for t in star.dimensions}
    return own | {source.feeds.name: source.called for source in star.sources}

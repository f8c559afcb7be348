"""Figures as people read them: exact ones are in the results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

_LARGE = 10_000
"""From this amount on, cents are of no interest beside it."""
_RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)\d\d-")


def places_of(amounts: Iterable[Decimal]) -> int:
    """How many decimals amounts that stand together are shown with."""
    found = list(amounts)
    is_whole = all(amount == amount.to_integral_value() for amount in found)
    return 0 if is_whole or max((abs(a) for a in found), default=0) >= _LARGE else 2


def amount(value: Decimal, places: int, minus: str = "-") -> str:
    """An amount with so many decimals, or as many as it takes to be no zero."""
    shown = f"{value:,.{places}f}"
    if value and not float(shown.replace(",", "")):
        shown = f"{value.normalize():,f}"
    return shown.replace("-", minus)


def duration(seconds: float) -> str:
    """How long something took."""
    if seconds >= 120:
        minutes, left = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {left:02} s"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def rate(rows: int, seconds: float) -> str:
    """Rows per second, with two or three digits that mean something."""
    each = rows / max(seconds, 0.001)
    step = 10 ** max(len(str(int(each))) - 3, 0)
    return f"{round(each / step) * step:,} rows/s"


def begun(run_id: str) -> str:
    """When a run began, by its id; the id itself where it says nothing of that."""
    found = _RUN_ID.match(run_id)
    if found is None:
        return f"run {run_id}"
    year, month, day, hour, minute = found.groups()
    return f"{year}-{month}-{day} {hour}:{minute} UTC"


def percent(limit: Decimal) -> str:
    """A limit that is a share, in per cent."""
    shown = f"{limit * 100:f}"
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} %"

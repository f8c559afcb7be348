"""Settings that are a share: `0.05`, or as people write it `5%`."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator

_PERCENT = re.compile(r"([0-9.]+)\s*%")


def as_rate(value: object) -> object:
    """A share from a text; what is none is left to the type.

    Raises ValueError, with the value: a rate is no secret.
    """
    if not isinstance(value, str):
        return value
    percent = _PERCENT.fullmatch(value.strip())
    try:
        return Decimal(percent[1]) / 100 if percent else Decimal(value.strip())
    except InvalidOperation:
        raise ValueError(f"is {value.strip()!r}; write a share such as 0.05, or 5%") from None


Rate = Annotated[Decimal, BeforeValidator(as_rate)]

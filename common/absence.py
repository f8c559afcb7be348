"""What is gone because it is not in an input that ought to have all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from errors import GateError


@dataclass(frozen=True)
class Absence:
    """That rows of the star without a row in tonight's `source` are gone."""

    source: str
    kept: Iterable[pa.Array]
    """The keys of rows that are rejected or left out: what bears a key is not absent."""
    limit: Decimal
    """MAX_DELETE_RATE: the share of the rows in scope that may be gone."""
    days: tuple[int, int] | None = None
    """First and last key of the days whose facts may be gone; None for all."""
    doubt: str = ""
    """Why nothing is taken for gone tonight."""

    def judge(self, table: str, absent: int, scope: int) -> str:
        """A warning that `absent` rows of `table` stay, as there is a doubt; or "".

        Raises `GateError` where more are gone than the limit allows.
        """
        if not absent:
            return ""
        look = f"{absent:,} of {scope:,} rows of {table}"
        if self.doubt:
            return f"{self.source}: {look} look gone and stay: {self.doubt}"
        if absent > self.limit * scope:
            within, remedy = "", "run once with --full-refresh, or raise the limit"
            if self.days is not None:  # a full refresh would take away all other days as well
                within, remedy = " within the period", "raise the limit for this run"
            raise GateError(
                f"{self.source}: {look}{within} are not in the input, above "
                f"MAX_DELETE_RATE={self.limit}; nothing was published; if they are to go, {remedy}"
            )
        return ""

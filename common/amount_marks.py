"""What stands beside the digits of an amount: its sign, and its currency."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import per_distinct
from common.currencies import beside_amount

_BESIDE = r"[^\d\s.,'\u2019()+-]+"
_BEFORE, _BEHIND = re.compile(rf"{_BESIDE}\.?"), re.compile(rf"{_BESIDE}\.?$")
_WORDED = r"[\p{Sc}\p{L}]"
_LONGEST = 100


class Marks:
    """The signs and currencies beside the digits of a text, and `bare`, the text without them."""

    def __init__(self, text: str) -> None:
        self.bare = text.replace("\u2212", "-").strip()  # MINUS SIGN, as word processors write it
        self.signs: list[str] = []
        self.currencies: list[str] = []
        while self.bare and (self._is_sign() or self._is_currency()):
            self.bare = self.bare.strip()

    def _is_sign(self) -> bool:
        text = self.bare
        if text[0] == "(" and text[-1] == ")":
            self.signs.append("-")
            self.bare = text[1:-1]
        elif text[0] in "+-":
            self.signs.append(text[0])
            self.bare = text[1:]
        elif text[-1] == "-" and text[-2:-1] not in (".", ","):  # `12.-` is not -12
            self.signs.append("-")
            self.bare = text[:-1]
        return self.bare is not text

    def _is_currency(self) -> bool:
        before, behind = _BEFORE.match(self.bare), _BEHIND.search(self.bare)
        if before is not None and (size := self._told(before[0])):
            self.bare = self.bare[size:]
        elif behind is not None and (size := self._told(behind[0])):
            self.bare = self.bare[:-size]
        else:
            return False
        return True

    def _told(self, text: str) -> int:
        """The length of the currency that a text is or begins with; 0 where it is none."""
        for name in (text, text.removesuffix(".")):  # the dot may be the decimal separator
            found = beside_amount(name)
            if found is not None:
                self.currencies.append(found)
                return len(name)
        return 0


def tells_currencies(texts: pa.Array) -> bool:
    """Whether there may be a currency in any of these texts: a symbol or a letter."""
    return bool(pc.any(pc.match_substring_regex(texts, _WORDED)).as_py())


def told_currencies(texts: pa.Array) -> pa.Array:
    """What is beside the digits of each text: codes and symbols of currencies, as
    `currencies.currency` has them, with blanks between them.
    """
    worded = pc.if_else(pc.match_substring_regex(texts, _WORDED), texts, "")
    return per_distinct(worded, _told)


def _told(text: str) -> str:
    return " ".join(Marks(text).currencies) if len(text) <= _LONGEST else ""

"""Currencies as sources write them: codes of three letters, and symbols, which may mean several."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_CODES = {
    "$": "USD CAD AUD NZD MXN SGD HKD TWD ARS CLP COP BRL",
    "¥": "JPY CNY",
    "￥": "JPY CNY",
    "€": "EUR",
    "£": "GBP",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "₱": "PHP",
    "₴": "UAH",
    "₸": "KZT",
    "₹": "INR",
    "₺": "TRY",
    "₽": "RUB",
    "฿": "THB",
}
"""The codes that a symbol may stand for; one that is not here stands for itself."""
_CODE = re.compile("[A-Z]{3}")


def currency(text: str) -> str | None:
    """A code, or a symbol that may mean several; None where `text` is neither."""
    name = text.strip().upper()
    if len(name) == 1 and unicodedata.category(name) == "Sc":
        codes = _CODES.get(name, name).split()
        return codes[0] if len(codes) == 1 else name
    return name if _CODE.fullmatch(name) else None


def can_be_one(names: Iterable[str]) -> bool:
    """Whether codes and symbols may all mean the same currency."""
    meant = [set(_CODES.get(name, name).split()) for name in names]
    return not meant or bool(set.intersection(*meant))

"""Currencies as sources write them: codes of three letters, and symbols, which may mean several."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_DOLLARS = "USD CAD AUD NZD MXN SGD HKD TWD ARS CLP COP BRL"
_RUPEES = "INR PKR LKR NPR MUR SCR"
_CODES = {
    "$": _DOLLARS,
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
    "kr": "SEK NOK DKK ISK",
    "Rs": _RUPEES,
}
"""The codes that a symbol may stand for; one that is not here stands for itself."""
_NAMES = {
    "R$": "BRL", "US$": "USD", "U$S": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD",
    "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "SG$": "SGD", "NT$": "TWD", "MX$": "MXN",
    "CN¥": "CNY", "JP¥": "JPY",
    "kr": "kr", "kr.": "kr", "Kr": "kr", "Kr.": "kr", "Rs": "Rs", "Rs.": "Rs",
    "Fr.": "CHF", "SFr.": "CHF", "sFr.": "CHF", "z\u0142": "PLN", "K\u010d": "CZK", "Ft": "HUF",
    "\u043b\u0432": "BGN", "\u043b\u0432.": "BGN",
    "\u0440\u0443\u0431": "RUB", "\u0440\u0443\u0431.": "RUB",
    "\u0433\u0440\u043d": "UAH", "\u0433\u0440\u043d.": "UAH",
    "eur": "EUR", "Euro": "EUR", "euro": "EUR", "EURO": "EUR", "usd": "USD", "gbp": "GBP",
    "chf": "CHF",
}  # fmt: skip
"""What stands beside amounts and is neither one symbol nor a code: the code or symbol it means."""
_ISO_4217 = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
    BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
    GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF
    KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
    MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG
    SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL
"""
CODES = frozenset(_ISO_4217.split())
"""ISO 4217: the codes that may stand beside an amount, in capital letters."""
_CODE = re.compile("[A-Z]{3}")


def currency(text: str) -> str | None:
    """A code, or a symbol that may mean several; None where `text` is neither."""
    name = text.strip()
    if name in _NAMES:
        return _NAMES[name]
    name = name.upper()
    if len(name) == 1 and unicodedata.category(name) == "Sc":
        codes = _CODES.get(name, name).split()
        return codes[0] if len(codes) == 1 else name
    return name if _CODE.fullmatch(name) else None


def beside_amount(text: str) -> str | None:
    """What a text beside an amount says of its currency, as `currency` does; None where it is none.

    A code is one of ISO 4217 in capital letters: other words are not taken for a currency.
    """
    if text in _NAMES or text in CODES or (len(text) == 1 and unicodedata.category(text) == "Sc"):
        return currency(text)
    return None


def can_be_one(names: Iterable[str]) -> bool:
    """Whether codes and symbols may all mean the same currency."""
    meant = [set(_CODES.get(name, name).split()) for name in names]
    return not meant or bool(set.intersection(*meant))

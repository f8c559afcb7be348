"""Numbers as people write them, to exact decimals. An ambiguous text is not a number."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.amounts import MONEY, fitting, rounded
from common.star_model import MONEY_PRECISION, MONEY_SCALE

LIMIT = Decimal(10) ** (MONEY_PRECISION - MONEY_SCALE - 1)
"""10^14. A number of this size or larger is unreadable."""

_SHARE = pa.decimal128(18, 16)  # so that a product with money fits 38 digits
_LONGEST = 100
_PLAIN = {
    separator: rf"^[+-]?[0-9]{{1,14}}(\{separator}[0-9]{{1,4}})?$" for separator in (".", ",")
}


def numbers(values: pa.Array, separator: str = ".") -> pa.Array:
    """Text to decimal128(19, 4), by the rule of `exact_number`; null where it is no number, or is
    10^14 or more.

    Plain numbers are cast in bulk. The others, few in practice, go through `parse_number`.
    """
    plain = pc.fill_null(pc.match_substring_regex(values, _PLAIN[separator]), False)
    bulk = pc.if_else(plain, values, pa.scalar(None, pa.string()))
    if separator == ",":
        bulk = pc.replace_substring(bulk, ",", ".")
    result = pc.cast(bulk, MONEY)
    is_other = ~plain.to_numpy(zero_copy_only=False)
    if not is_other.any():
        return result
    texts = values.take(pa.array(np.flatnonzero(is_other))).to_pylist()
    parsed = [None if text is None else parse_number(text, separator) for text in texts]
    return pc.replace_with_mask(result, pa.array(is_other), pa.array(parsed, MONEY))


def shares(values: pa.Array, separator: str = ".") -> pa.Array:
    """Text to shares from 0 to 1 as decimal128(18, 16); null where `parse_share` gives None."""
    encoded = values.dictionary_encode()
    parsed = [parse_share(text, separator) for text in encoded.dictionary.to_pylist()]
    return pa.array(parsed, _SHARE).take(encoded.indices)


def money(amounts: pa.Array) -> pa.Array:
    """Decimals as MONEY, rounded half away from zero to four places; null from 10^14 on."""
    return fitting(rounded(amounts), LIMIT)


def parse_number(text: str, separator: str = ".") -> Decimal | None:
    """One number by the rule of `exact_number`, rounded half away from zero to four places.

    None where it is no number, or is 10^14 or more.
    """
    return _parse_once(text, separator) if len(text) <= _LONGEST else None


@lru_cache(1 << 16)  # each batch has much the same of them
def _parse_once(text: str, separator: str) -> Decimal | None:
    value = exact_number(text, separator)
    if value is None or abs(value) >= LIMIT:
        return None
    return value.quantize(Decimal(1).scaleb(-MONEY_SCALE), ROUND_HALF_UP)


def parse_share(text: str | None, separator: str = ".") -> Decimal | None:
    """A number from 0 to 1, or from 0 to 100 followed by a percent sign; None for anything else.

    It keeps sixteen places: its product with an amount is rounded, not the share.
    """
    if text is None or len(text) > _LONGEST or _symbols(text):  # a share is of no currency
        return None
    bare = text.removesuffix("%")
    value = exact_number(bare, separator)
    if value is not None and bare != text:
        value = value.scaleb(-2)
    if value is None or not 0 <= value <= 1:
        return None
    return value.quantize(Decimal(1).scaleb(-16), ROUND_HALF_UP)


def exact_number(text: str, separator: str = ".") -> Decimal | None:
    """Digits with a sign before or after them, at most one decimal separator, thousands in groups
    of three by the other separator, and one currency symbol before or after; None otherwise.

    The first group of thousands begins with 1 to 9. So `0,350` is no number with a decimal point:
    whoever wrote it meant 0.35.
    """
    if len(text) > _LONGEST:
        return None
    text = text.replace("\u2212", "-")  # MINUS SIGN, as word processors write it
    symbols = _symbols(text)
    if len(symbols) > 1 or (symbols and not _stands_outside(symbols, text)):
        return None
    match = _pattern(separator).fullmatch(text.replace(symbols, "").strip())
    if match is None or (match["sign"] and match["behind"]):
        return None
    group = "," if separator == "." else "."
    whole = match["whole"].replace(group, "") or "0"
    sign = match["sign"] or match["behind"]
    return Decimal(f"{sign}{whole}.{match['fraction'] or '0'}")


@cache
def _pattern(separator: str) -> re.Pattern[str]:
    group = re.escape("," if separator == "." else ".")
    point = re.escape(separator)
    return re.compile(
        r"(?P<sign>[+-]?)\s*"
        rf"(?P<whole>[0-9]+|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|(?={point}[0-9]))"
        rf"(?:{point}(?P<fraction>[0-9]*))?"
        r"\s*(?P<behind>-?)"
    )


def _symbols(text: str) -> str:
    """The currency symbols in a text (Unicode category Sc), one after the other."""
    if text.isascii():
        return "$" * text.count("$")
    return "".join(char for char in text if unicodedata.category(char) == "Sc")


def _stands_outside(symbol: str, text: str) -> bool:
    """Whether the currency symbol is before or after the digits, not between them."""
    inner = text.strip().strip("+-").strip()
    return inner.startswith(symbol) or inner.endswith(symbol)

"""Numbers as people write them, to exact decimals. An ambiguous text is not a number."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.amount_marks import Marks
from common.amounts import MONEY, fitting, rounded
from common.star_model import MONEY_PRECISION, MONEY_SCALE

LIMIT = Decimal(10) ** (MONEY_PRECISION - MONEY_SCALE - 1)
"""10^14. A number of this size or larger is unreadable."""

_SHARE = pa.decimal128(18, 16)  # so that a product with money fits 38 digits
_LONGEST = 100
_GROUPS = " '\u2019\u00a0\u2009\u202f"  # blanks and apostrophes
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
    is_other = pc.and_not(pc.is_valid(values), plain).to_numpy(zero_copy_only=False)
    if not is_other.any():
        return result
    texts = values.take(pa.array(np.flatnonzero(is_other))).to_pylist()
    parsed = [None if text is None else parse_number(text, separator) for text in texts]
    return pc.replace_with_mask(result, pa.array(is_other), pa.array(parsed, MONEY))


def shares(values: pa.Array, separator: str = ".", unit: str = "fraction") -> pa.Array:
    """Text to shares from 0 to 1 as decimal128(18, 16); null where `parse_share` gives None."""
    encoded = values.dictionary_encode()
    parsed = [parse_share(text, separator, unit) for text in encoded.dictionary.to_pylist()]
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
    found = exact_number(text, separator)
    if found is None or abs(found.value) >= LIMIT:
        return None
    return found.value.quantize(Decimal(1).scaleb(-MONEY_SCALE), ROUND_HALF_UP)


def parse_share(text: str | None, separator: str = ".", unit: str = "fraction") -> Decimal | None:
    """A number from 0 to 1, or from 0 to 100 followed by a percent sign; None for anything else.
    Where `unit` is `percent`, all numbers are from 0 to 100, with a sign or without.

    It keeps sixteen places: its product with an amount is rounded, not the share.
    """
    if text is None or len(text) > _LONGEST:
        return None
    bare = text.removesuffix("%")
    found = exact_number(bare, separator)
    if found is None or found.currency:  # a share is of no currency
        return None
    value = found.value if unit == "fraction" and bare == text else found.value.scaleb(-2)
    if not 0 <= value <= 1:
        return None
    return value.quantize(Decimal(1).scaleb(-16), ROUND_HALF_UP)


class Number(NamedTuple):
    """A number, and what its text says of the currency: a code or symbol, or ''."""

    value: Decimal
    currency: str


def exact_number(text: str, separator: str = ".") -> Number | None:
    """Digits with at most one decimal separator, beside them at most one sign and one currency;
    None for anything else.

    The sign is before or behind, or brackets, as in ledgers. The digits may be in groups of
    thousands, or have an exponent. The first group begins with 1 to 9. So `0,350` is no number with
    a decimal point: whoever wrote it meant 0.35.
    """
    if len(text) > _LONGEST:
        return None
    marks = Marks(text)
    found = _grouped(separator).fullmatch(marks.bare) or _scientific(separator).fullmatch(
        marks.bare
    )
    if found is None or len(marks.signs) > 1 or len(marks.currencies) > 1:
        return None
    whole = re.sub("[^0-9]", "", found["whole"]) or "0"
    sign = "-" if "-" in marks.signs else ""
    exponent = found.groupdict().get("exponent", "0")
    value = Decimal(f"{sign}{whole}.{found['fraction'] or '0'}E{exponent}")
    return Number(value, "".join(marks.currencies))


@cache
def _grouped(separator: str) -> re.Pattern[str]:
    """Digits, all together or in groups of thousands, or of Indian lakhs (`1,23,456.00`)."""
    group, point = "," if separator == "." else ".", re.escape(separator)
    lakhs = "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}" if separator == "." else ""
    return re.compile(
        rf"(?P<whole>[0-9]+|(?={point}[0-9])"
        rf"|[1-9][0-9]{{0,2}}(?P<group>[{group}{_GROUPS}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*{lakhs})"
        rf"(?:{point}(?P<fraction>[0-9]*))?"
    )


@cache
def _scientific(separator: str) -> re.Pattern[str]:
    """`1.25E+01`. It has a fraction or a signed exponent; `1E5` may be a code as well."""
    point = re.escape(separator)
    return re.compile(
        rf"(?P<whole>[0-9]+)(?:{point}(?P<fraction>[0-9]+)(?=[eE])|(?=[eE][+-]))"
        r"[eE](?P<exponent>[+-]?[0-9]{1,2})"
    )

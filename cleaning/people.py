"""Rules for people: names, e-mail addresses, phones, countries, postal addresses.

These are free texts of any length, so every rule takes linear time: patterns are either matched by
Arrow (RE2, which does not backtrack), or given short texts only.
"""

from __future__ import annotations

import re
from functools import cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from common.arrays import per_distinct

_LONGEST_EMAIL = 254
_LONGEST_PHONE = 250
_LONGEST_COUNTRY = 100


def person_name(name: str) -> str:
    """A name all in upper or all in lower case with capitals where they belong (o'brien: O'Brien,
    MCDONALD: McDonald, mary-jane: Mary-Jane); any other name as it is.
    """
    if not (name.isupper() or name.islower()):
        return name
    name = re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), name)
    name = re.sub(r"\b(O|D|L)'(\w)", lambda m: f"{m[1]}'{m[2].upper()}", name)
    name = re.sub(r"'([A-Z])\b", lambda m: f"'{m[1].lower()}", name)  # a possessive's s
    return re.sub(r"\bMc(\w)", lambda m: f"Mc{m[1].upper()}", name)


def title_case(text: str) -> str:
    """The first letter of each word in upper case, the rest in lower case."""
    return re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), text)


_FREE_MAIL = {
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de",
    "yahoo.com.br", "ymail.com", "hotmail.com", "hotmail.co.uk", "hotmail.fr", "outlook.com",
    "live.com", "msn.com", "aol.com", "icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de",
    "gmx.net", "web.de", "mail.com", "mail.ru", "yandex.ru", "yandex.com", "proton.me",
    "protonmail.com", "zoho.com", "qq.com", "163.com", "126.com", "orange.fr", "free.fr",
    "laposte.net", "libero.it", "t-online.de", "comcast.net", "verizon.net", "att.net",
    "uol.com.br", "surfeu.de", "shaw.ca", "rediff.com", "naver.com",
}  # fmt: skip
_PLAIN_EMAIL = (
    r"^[a-z0-9_%+-]+(?:\.[a-z0-9_%+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$"
)


def emails(given: pa.Array) -> pa.Array:
    """E-mail addresses in lower case; null where the syntax is invalid (RFC 5321, RFC 5322).

    A pattern accepts the plain ones in bulk; email-validator decides about the others.
    """
    lower = pc.utf8_lower(given)
    is_short = pc.and_(
        pc.less_equal(pc.find_substring(lower, "@"), 64),
        pc.less_equal(pc.binary_length(lower), _LONGEST_EMAIL),
    )
    is_plain = pc.fill_null(pc.and_(is_short, pc.match_substring_regex(lower, _PLAIN_EMAIL)), False)
    odd = per_distinct(pc.if_else(is_plain, None, given), email_address)
    return pc.if_else(is_plain, lower, odd)


def email_address(text: str) -> str | None:
    """One address in lower case, or None where email-validator finds the syntax invalid."""
    # The most common faults, for which the library is slow.
    if "@" not in text or len(text) > _LONGEST_EMAIL:
        return None
    import email_validator  # noqa: PLC0415  # 70 ms, and most addresses are plain

    try:
        checked = email_validator.validate_email(
            text.lower(), check_deliverability=False, strict=True
        )
        return checked.normalized
    except email_validator.EmailNotValidError:
        return None


def email_segment(email: str) -> str:
    """The segment of a customer who has none, by the domain of the address."""
    return "Consumer" if email.rpartition("@")[2] in _FREE_MAIL else "Business"


_COUNTRY_ALIASES = {
    "usa": "US", "united states": "US", "united states of america": "US", "canada": "CA",
    "uk": "GB", "united kingdom": "GB", "great britain": "GB", "england": "GB", "scotland": "GB",
    "wales": "GB",
}  # fmt: skip


@cache
def _regions() -> dict[str, str]:
    """Country names in all languages of libphonenumber, in lower case -> ISO 3166 region."""
    from phonenumbers.geodata.locale import LOCALE_DATA  # noqa: PLC0415  # 0.2 s or more, for rare names

    names: dict[str, str] = {}
    for region, by_language in LOCALE_DATA.items():
        for name in by_language.values():
            names.setdefault(name.casefold(), region)
    return names


@cache
def country_region(country: str) -> str | None:
    """The ISO 3166 two-letter region of a country as people write it, or None."""
    import phonenumbers  # noqa: PLC0415  # 30 ms, only for customers

    if len(country) > _LONGEST_COUNTRY:
        return None
    name = country.replace(".", "").strip().casefold()
    if name.upper() in phonenumbers.SUPPORTED_REGIONS:
        return name.upper()
    return _COUNTRY_ALIASES.get(name) or _regions().get(name)


def phones(given: pa.Array, countries: pa.Array, home: str) -> pa.Array:
    """Phone numbers as text in the format of `phone_number`; null where one is not recognised.

    `countries` are the customers' countries as they were written; without one, `home` (an ISO 3166
    region) is assumed. Plain US numbers are formatted in bulk, other distinct pairs once each.
    """
    regions = pc.coalesce(per_distinct(countries, country_region), home)
    result = pa.nulls(len(given), pa.string())
    if home == "US":
        result = pc.if_else(pc.equal(regions, home), _north_american(given), None)
    odd = pc.and_(pc.is_valid(given), pc.is_null(result))
    pairs = zip(given.filter(odd).to_pylist(), regions.filter(odd).to_pylist(), strict=True)
    format_once = cache(partial(phone_number, home=home))
    formatted = pa.array([format_once(*pair) for pair in pairs], pa.string())
    return pc.replace_with_mask(result, odd, formatted)


_NORTH_AMERICAN = r"^(?:\+?1)?[2-9][0-9]{9}$"
_PUNCTUATION = "[ ().\u00a0-]"


def _north_american(phones: pa.Array) -> pa.Array:
    """A text of ten digits with the usual punctuation as (555) 123-4567; null for any other."""
    digits = pc.replace_substring_regex(phones, _PUNCTUATION, "")
    area, exchange, line = (
        pc.utf8_slice_codeunits(digits, start, stop)
        for start, stop in ((-10, -7), (-7, -4), (-4, None))
    )
    written = pc.binary_join_element_wise("(", area, ") ", exchange, "-", line, "")
    return pc.if_else(pc.match_substring_regex(digits, _NORTH_AMERICAN), written, None)


def phone_number(text: str, region: str, home: str) -> str | None:
    """National format in the region `home`, international elsewhere; None if not recognisable.

    A number is recognised when libphonenumber finds it valid, or when it has the shape of a
    North American one (555 numbers are shaped so, although no exchange assigns them).
    """
    if len(text) > _LONGEST_PHONE:
        return None
    import phonenumbers  # noqa: PLC0415  # 30 ms, only for customers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    north_american = number.country_code == 1 and bool(
        re.fullmatch(_NORTH_AMERICAN, str(number.national_number))
    )
    if not (north_american or phonenumbers.is_valid_number(number)):
        return None
    at_home = number.country_code == phonenumbers.country_code_for_region(home)
    style = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, style.NATIONAL if at_home else style.INTERNATIONAL)


_ONE_LINE_ADDRESS = (
    r"^(?P<address>.+),[\s\pZ]*(?P<city>[^,]+),[\s\pZ]*(?P<state>[A-Za-z]{2})\.?[\s\pZ]+"
    r"(?P<postal_code>[0-9]{5}(?:-[0-9]{4})?)$"
)
ADDRESS = ("address", "city", "state", "postal_code")


def split_addresses(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns `ADDRESS`. Where only `address` has a value, and is of the US form
    `street, city, ST zip`, it is split over the four.
    """
    address, *parts = (columns[name] for name in ADDRESS)
    alone = pc.is_valid(address)
    for part in parts:
        alone = pc.and_(alone, pc.is_null(part))
    found = pc.extract_regex(pc.if_else(alone, address, None), _ONE_LINE_ADDRESS)
    is_found = pc.is_valid(found)
    if not pc.any(is_found).as_py():
        return {name: columns[name] for name in ADDRESS}
    split = {n: pc.utf8_trim_whitespace(pc.struct_field(found, n)) for n in ADDRESS}
    split["state"] = pc.utf8_upper(split["state"])
    return {name: pc.if_else(is_found, split[name], columns[name]) for name in ADDRESS}


def name_from_id(rep_id: str, part: int) -> str | None:
    """`john_smith` as John (part 0) and Smith (part 1); None where an id is not like a name."""
    words = [word for word in re.split(r"[_.\s]+", rep_id) if word]
    if len(words) < 2 or any(re.search(r"\d", word) for word in words):
        return None
    return person_name(words[0].lower() if part == 0 else " ".join(words[1:]).lower())

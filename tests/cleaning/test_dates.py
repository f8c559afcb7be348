"""How a text is read as a date."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from errors import ConfigError
from support.cleaning import SALE, sale, transformer


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-29", 20240229),
        ("20240229", 20240229),
        ("2024-02-29T23:59:59", 20240229),
        ("2024-02-29 23:59", 20240229),
        ("2024-02-29T23:59:59.123456", 20240229),
        ("2024-02-29T10:00:00Z", 20240229),
        ("2024-12-31T23:30:00-05:00", 20250101),
        ("2024-12-31T23:30:00-0500", 20250101),
        ("2025-01-01T00:30:00+02:00", 20241231),
        ("2025-01-01 00:30:00.5 +02:00", 20241231),
        ("2025-01-01T00:30+02", 20241231),
        ("1900-01-01", 19000101),
    ],
)
def test_a_date_or_timestamp_of_iso_8601_is_read(text: str, day: int) -> None:
    row = sale(transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-12-31T23:30:00-05:00", 20241231),
        ("2025-01-01T04:59:59Z", 20241231),
        ("2025-01-01T05:00:00Z", 20250101),
        ("2024-07-01T03:59:59Z", 20240630),  # daylight saving time
        ("2024-12-31T23:30:00", 20241231),  # taken as it is
    ],
)
def test_a_timestamp_with_an_offset_gets_its_date_in_the_business_timezone(
    text: str, day: int
) -> None:
    row = sale({"BUSINESS_TIMEZONE": "America/New_York"}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2024", "3.4.2024", "2024-2-9", "2024-13-01", "2023-02-29", "24-02-29", "2024-02",
        "2024", "today", "2024-02-29T25:00", "2024-02-29T10:60", "2024-02-29Tnoon", "NULL",
        "2024-02-29x", "45351", "1709164800", "0000-01-01", "\uff12024-02-29",
        "2024-02-29T10:00+99",
        "2024/02/29", "Feb 29, 2024",
    ],
)  # fmt: skip
def test_an_ambiguous_or_impossible_date_is_refused(text: str) -> None:
    assert sale(transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("formats", "text", "day"),
    [
        ("%d/%m/%Y", "03/04/2024", 20240403),
        ("%m/%d/%Y", "03/04/2024", 20240304),
        ('["ISO8601", "%d.%m.%Y"]', "3.4.2024", 20240403),
        ('["ISO8601", "%d.%m.%Y"]', "2024-04-03", 20240403),
        ('["%d/%m/%Y", "%m/%d/%Y"]', "04/25/2024", 20240425),
    ],
)
def test_declared_date_formats_are_tried_in_their_order(formats: str, text: str, day: int) -> None:
    row = sale({"TRANSACTIONS__DATE_FORMATS": formats}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15 02:00:00 UTC", "2024-03-15 02:00:00 GMT", "2024-03-15T02:00:00Z",
        "2024-03-15T02:00Z", "2024-03-15 02:00:00.123456 utc", "2024-03-15T02:00:00UTC",
        "2024-03-15 02:00:00 +0000 UTC", "2024-03-15 02:00:00+00:00 GMT", "20240315T0200 UTC",
        "2024-03-15 02:00:00 Z",
    ],
)  # fmt: skip
def test_utc_and_gmt_in_words_are_offsets(text: str) -> None:
    row = sale({"BUSINESS_TIMEZONE": "America/New_York"}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == 20240314


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15 02:00:00 EST", "2024-03-15 02:00:00 -0400 UTC", "2024-03-15 02:00:00 UTCX",
        "2024-03-15 02:00:00 UTC+2", "2024-03-15 UTC", "2024-03-15 02:00:00 Europe/Berlin",
    ],
)  # fmt: skip
def test_a_zone_that_is_not_known_leaves_the_date_unread(text: str) -> None:
    assert sale(transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("pattern", "text", "day"),
    [
        ("%d/%m/%Y %H:%M:%S %z", "15/03/2024 22:00:00 -0400", 20240315),
        ("%d/%m/%Y %H:%M:%S %z", "15/03/2024 22:00:00 -08:00", 20240316),
        ("%d/%m/%Y %H:%M:%S%z", "15/03/2024 02:00:00Z", 20240314),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 UTC", 20240314),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 gmt", 20240314),
        ("%d/%m/%Y %H:%M%Z", "15/03/2024 02:00Z", 20240314),
        ("%d/%m/%Y %H:%M %z %Z", "15/03/2024 02:00 +0000 UTC", 20240314),
        ("%d/%m/%Y %H:%M UTC", "15/03/2024 02:00 UTC", 20240314),
        ("%d/%m/%Y %H:%M GMT", "15/03/2024 02:00 GMT", 20240314),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-03-15T02:00:00Z", 20240314),
        ("%d/%m/%Y %H:%M", "15/03/2024 02:00", 20240315),
        ("Z%d/%m/%Y", "Z15/03/2024", 20240315),
    ],
)  # fmt: skip
def test_a_declared_format_may_have_a_zone(pattern: str, text: str, day: int) -> None:
    zone = {"BUSINESS_TIMEZONE": "America/New_York", "TRANSACTIONS__DATE_FORMATS": pattern}
    row = sale(zone, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 EST"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 CET"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00"),
        ("%d/%m/%Y %H:%M %Z", "15/03/2024 02:00 -0400"),
        ("%d/%m/%Y %H:%M %z %Z", "15/03/2024 02:00 -0400 UTC"),
        ("%d/%m/%Y %H:%M %z", "15/03/2024 02:00 UTC"),
        ("%d%m%Y", "1112024"), ("%d%m%Y", "111224"), ("%d%m%Y", "112024"), ("%m%d%Y", "1112024"),
        ("%y%m%d", "24111"), ("%y%m%d", "2411"), ("%Y%j", "202475"), ("%Y%j", "20245"),
        ("%Y%m%d", "2024111"), ("%Y-%m%d", "2024-111"), ("%d.%m%y", "1.112"),
        ("%d/%m/%Y %H%M", "15/03/2024 830"), ("%Y%m%d%H%M%S", "2024315083045"),
        ("%Y%m%d%H%M%S%f", "20241305083045123"), ("%d%m%Y", "\uff101112024"),
        ("%d.%m.%Y", "\u0663.4.2024"), ("%d%m%Y", "31022024"), ("%d%m%Y", "00122024"),
    ],
)  # fmt: skip
def test_a_text_that_a_format_does_not_name_in_full_is_refused(pattern: str, text: str) -> None:
    setting = {"TRANSACTIONS__DATE_FORMATS": pattern}
    assert sale(setting, transaction_date=text) == "invalid_date"


@pytest.mark.parametrize(
    ("pattern", "text", "day"),
    [
        ("%d%m%Y", "01112024", 20241101), ("%y%m%d", "240111", 20240111),
        ("%Y%j", "2024075", 20240315), ("%Y-%j", "2024-75", 20240315),
        ("%Y-%m%d", "2024-0315", 20240315), ("%d/%m/%Y %H%M", "5/3/2024 0830", 20240305),
        ("%Y%m%d%H%M%S", "20240315083045", 20240315), ("%d%b%Y", "5Mar2024", 20240305),
        ("%Y%m%d%H%M%S%f", "20240315083045123", 20240315), ("%d.%m.%y", "5.3.24", 20240305),
        ("%Y%m%dT%H%M%S%z", "20240315T083045+0100", 20240315), ("%x", "03/15/24", 20240315),
        ("%Y\u5e74%m\u6708%d\u65e5", "2024\u5e743\u670815\u65e5", 20240315),
        (" %d/%m/%Y ", "15/03/2024", 20240315), ("%G-W%V-%u", "2024-W11-5", 20240315),
    ],
)  # fmt: skip
def test_a_text_that_a_format_names_in_full_is_read(pattern: str, text: str, day: int) -> None:
    row = sale({"TRANSACTIONS__DATE_FORMATS": pattern}, transaction_date=text)
    assert isinstance(row, dict), row
    assert row["date_key"] == day


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("%d/%m", "does not name a year, a month and a day"),
        ("%m/%Y", "does not name a year, a month and a day"),
        ("%H:%M:%S", "does not name a year, a month and a day"),
        ("%Y-%m", "does not name a year, a month and a day"),
        ("2001-%m-%d", "does not name a year, a month and a day"),
        ("YYYY-MM-DD", "does not name a year, a month and a day"),
        ("%s", "there is no %s"), ("%F", "there is no %F"), ("%Y-%m-%d %", "there is no %"),
        ("%m/%d/%m/%Y", "%m appears more than once"), ("%x %Y-%m-%d", "appears more than once"),
        ("%d/%m/%Y %Z %Z", "%Z appears more than once"), ("%G-%m-%d", "ISO year"),
    ],
)  # fmt: skip
def test_a_format_that_names_no_date_is_refused_and_says_why(pattern: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        transformer(TRANSACTIONS__DATE_FORMATS=pattern)
    assert "TRANSACTIONS__DATE_FORMATS" in str(refused.value)
    assert wrong in str(refused.value)


def test_a_date_of_a_typed_source_is_not_guessed_where_the_day_comes_first() -> None:
    setting = {"TRANSACTIONS__DATE_FORMATS": "%Y-%d-%m"}
    row = sale(setting, transaction_date="2024-04-03")
    assert isinstance(row, dict)
    assert row["date_key"] == 20240304
    assert sale(setting, transaction_date="2024-03-13") == "invalid_date"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1710460800", "Unix seconds"), ("1710460800000", "Unix milliseconds"),
        ("45366", "a serial date of Excel"), ("45366.75", "a serial date of Excel"),
        ("2460384.5", "a Julian day"), ("soon", ""), ("03/04/2024", ""), ("2024", ""),
    ],
)  # fmt: skip
def test_the_detail_of_an_unread_date_says_what_it_looks_like(text: str, kind: str) -> None:
    prepared = transformer().prepare("transactions", [SALE | {"transaction_date": text}])
    (detail,) = prepared.rejects["_detail"].to_pylist()
    assert detail.startswith(text)
    assert (f"looks like {kind}" in detail) if kind else detail == text


def test_sales_are_accepted_until_the_end_of_next_year() -> None:
    next_year = datetime.now(UTC).year + 1
    row = sale(transaction_date=f"{next_year}-12-31")
    assert isinstance(row, dict)
    assert sale(transaction_date=f"{next_year + 1}-01-01") == "date_out_of_range"
    assert sale(transaction_date="9999-12-31") == "date_out_of_range"


def test_the_date_dimension_covers_whole_years_of_acceptable_sales() -> None:
    days = ["2021-06-30", "n/a", "1850-01-01", "2023-01-01T10:00:00"]
    frame = transformer().prepare_date_dimension_keys(
        [SALE | {"transaction_date": d} for d in days]
    )
    assert len(frame) == 3 * 365
    assert frame["full_date"].iloc[0] == date(2021, 1, 1)
    assert frame["full_date"].iloc[-1] == date(2023, 12, 31)
    assert list(frame["date_key"]) == sorted(set(frame["date_key"]))

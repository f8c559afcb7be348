"""Dates that need a setting: numbers, zones of the source, and names in its language."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from errors import ConfigError
from support.cleaning import SALE, sale, transformer
from support.formats import write_duckdb, write_files, write_sqlite
from support.retailer import Retailer
from support.tables import Row

US = "%b %d, %Y %I:%M:%S %p %Z"
FORMS = ["EXCEL", "EPOCH", "EPOCH_MS", "JULIAN"]


def day(text: str, formats: str | list[str] = "ISO8601", **settings: str) -> int | str:
    """The day of a date under settings of its source, or why it is refused."""
    zone = settings.pop("business_timezone", "UTC")
    given = {f"TRANSACTIONS__{name.upper()}": value for name, value in settings.items()}
    given["TRANSACTIONS__DATE_FORMATS"] = json.dumps(
        formats if isinstance(formats, list) else [formats]
    )
    row = sale(given | {"BUSINESS_TIMEZONE": zone}, transaction_date=text)
    return row if isinstance(row, str) else int(row["date_key"])


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "key"),
    [
        ("EXCEL", "45366", 20240315), ("EXCEL", "45366.75", 20240315),
        ("EXCEL", "45366,75", 20240315), ("EXCEL", "45366.999999999", 20240316),
        ("EXCEL", "1", 19000101), ("EXCEL", "59", 19000228), ("EXCEL", "61", 19000301),
        ("EPOCH", "1710489600", 20240315), ("EPOCH", "1710547199", 20240315),
        ("EPOCH", "1710547200.25", 20240316), ("EPOCH", "100000000", 19730303),
        ("EPOCH_MS", "1710489600000", 20240315), ("EPOCH_MS", "1710547200000", 20240316),
        ("JULIAN", "2460385", 20240315), ("JULIAN", "2460384.5", 20240315),
        ("JULIAN", "2460384.499", 20240314), ("JULIAN", "2461045.5", 20260105),
    ],
)  # fmt: skip
def test_a_number_is_a_date_where_its_form_is_declared(form: str, text: str, key: int) -> None:
    assert day(text, form) == key
    assert day(text, FORMS) == key
    assert day(text, FORMS[::-1]) == key
    assert day(text) == "invalid_date"


@pytest.mark.parametrize(
    "text",
    ["0", "60", "60.5", "-1", "123456", "12345678", "17104896000", "17104896000000", "2360384.5",
     "4.5366E4", "45,366.5", "45366.", "", "soon", "\uff14\uff15366"],
)  # fmt: skip
def test_a_number_of_no_form_is_no_date(text: str) -> None:
    assert day(text, FORMS) == "invalid_date"


def test_unix_counts_in_utc_and_other_numbers_in_the_zone_of_the_source() -> None:
    new_york = {"business_timezone": "America/New_York"}
    assert day("1710471600", "EPOCH", **new_york) == 20240314  # 03:00 in UTC
    assert day("45366.125", "EXCEL", **new_york) == 20240315
    assert day("45366.125", "EXCEL", timezone="UTC", **new_york) == 20240314
    assert day("45366", "EXCEL", timezone="UTC", **new_york) == 20240315  # a day has no zone
    assert day("2460384.625", "JULIAN", timezone="UTC", **new_york) == 20240314


def test_numbers_stand_beside_other_dates() -> None:
    for text in ("45366", "2024-03-15", "15.03.2024"):
        assert day(text, ["ISO8601", "%d.%m.%Y", "EXCEL"]) == 20240315


WRITERS = {"sqlite": write_sqlite, "duckdb": write_duckdb}


@pytest.mark.parametrize(
    "form", ["csv", "json_lines", "json_array", "parquet", "excel", "sqlite", "duckdb"]
)
def test_numbers_are_dates_in_every_format(
    form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    given: list[int | str] = [45366, 1710489600, 1710489600000, 2460385]
    rows: list[Row] = [
        {
            "transaction_id": f"T{number}", "transaction_date": value, "customer_id": "C1",
            "product_id": "P1", "quantity": 1, "unit_price": Decimal(1),
        }
        for number, value in enumerate(given)
    ]  # fmt: skip
    sales = {"transactions": rows}
    write = WRITERS.get(form)
    place = write(tmp_path, sales) if write else write_files(tmp_path, sales, form)
    duckdb_shop.publish(**place, TRANSACTIONS__DATE_FORMATS=json.dumps(FORMS))
    assert duckdb_shop.star.column("SELECT date_key FROM fact_sales") == [20240315] * 4


# --- moments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "formats", "key"),
    [
        ("2024-03-15 24:00:00", "ISO8601", 20240316),
        ("2024-12-31T24:00", "ISO8601", 20250101),
        ("2024-02-29T24:00:00.000Z", "ISO8601", 20240301),
        ("20240315T240000", "ISO8601", 20240316),
        ("15.03.2024 24:00", "%d.%m.%Y %H:%M", 20240316),
        ("20240315240000", "%Y%m%d%H%M%S", 20240316),
        ("24.03.24 24:00", "%d.%m.%y %H:%M", 20240325),
        ("2024-03-15 24:00:01", "ISO8601", "invalid_date"),
        ("2024-03-15 24:01", "ISO8601", "invalid_date"),
        ("15.03.2024 24:01", "%d.%m.%Y %H:%M", "invalid_date"),
        ("15.03.2024 25:00", "%d.%m.%Y %H:%M", "invalid_date"),
        ("24.03.24 10:00", "%d.%m.%y %H:%M", 20240324),
    ],
)
def test_24_is_the_midnight_that_ends_the_day(text: str, formats: str, key: int | str) -> None:
    assert day(text, formats) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("2024-03-15T23:30:00+01:00[Europe/Berlin]", 20240315),
        ("2024-03-15T00:30:00+01:00[Europe/Berlin]", 20240314),
        ("2024-07-15T00:30:00+02:00[Europe/Berlin]", 20240714),
        ("2024-03-15T00:30[Europe/Berlin]", 20240314),
        ("2024-03-15T10:00:00Z[UTC]", 20240315),
        ("2024-03-15T10:00:00+02:00[Europe/Berlin]", "invalid_date"),
        ("2024-03-15T10:00:00[Middle/Earth]", "invalid_date"),
        ("2024-03-15T10:00:00[../etc/passwd]", "invalid_date"),
    ],
)
def test_a_zone_in_brackets_says_what_the_offset_says(text: str, key: int | str) -> None:
    assert day(text) == key


@pytest.mark.parametrize(
    ("zone", "text", "formats", "key"),
    [
        ("America/New_York", "2024-03-15 23:00:00 EDT", "ISO8601", 20240316),
        ("America/New_York", "2024-03-15 19:30:00 EST", "ISO8601", 20240316),
        ("America/New_York", "2024-03-15 19:30:00 EDT", "ISO8601", 20240315),
        ("Europe/Berlin", "2024-07-15 00:30 CEST", "ISO8601", 20240714),
        ("Europe/Berlin", "2024-03-15T00:30:00 Europe/Berlin", "ISO8601", 20240314),
        ("Europe/Berlin", "2024-03-15T20:30:00 America/New_York", "ISO8601", 20240316),
        ("Europe/Berlin", "2024-03-15 02:00 UTC", "ISO8601", 20240315),
        ("America/Los_Angeles", "Mar 15, 2024 2:00:12 AM PDT", US, 20240315),
        ("America/Los_Angeles", "Mar 15, 2024 9:00:12 PM PDT", US, 20240316),
        ("America/Los_Angeles", "Mar 15, 2024 9:00 PM UTC", "%b %d, %Y %I:%M %p %Z", 20240315),
        ("Europe/Berlin", "2024-03-15 10:00 EST", "ISO8601", "invalid_date"),
        ("Europe/Berlin", "2024-03-15 10:00 -0100 CET", "ISO8601", "invalid_date"),
        ("Europe/Berlin", "15.3.2024 10:00 PDT", "%d.%m.%Y %H:%M %Z", "invalid_date"),
        ("Europe/Berlin", "15.3.2024 10:00", "%d.%m.%Y %H:%M %Z", "invalid_date"),
        ("Europe/Berlin", "15.3.2024 10:00 +0200 CET", "%d.%m.%Y %H:%M %z %Z", "invalid_date"),
        ("Europe/Berlin", "15.3.2024 00:10 +0100 CET", "%d.%m.%Y %H:%M %z %Z", 20240314),
    ],
)  # fmt: skip
def test_the_names_of_the_sources_own_zone_are_known(
    zone: str, text: str, formats: str, key: int | str
) -> None:
    assert day(text, formats, timezone=zone) == key


@pytest.mark.parametrize(
    "text", ["2024-03-15 10:00 EDT", "2024-03-15 10:00:00.5 CET", "2024-03-15 10:00 Europe/Berlin"]
)
def test_the_detail_of_a_zone_that_is_not_known_names_the_setting(text: str) -> None:
    rows = [SALE | {"transaction_date": text}]
    (detail,) = transformer().prepare("transactions", rows).rejects["_detail"].to_pylist()
    assert detail.startswith(text)
    assert "TIMEZONE" in detail


@pytest.mark.parametrize(
    ("text", "formats", "key"),
    [
        ("2024-03-15 23:30:00", "ISO8601", 20240316),
        ("2024-03-15", "ISO8601", 20240315),
        ("20240315", "ISO8601", 20240315),
        ("2024-03-15T23:30:00Z", "ISO8601", 20240315),
        ("15/03/2024 23:30", "%d/%m/%Y %H:%M", 20240316),
        ("15/03/2024", "%d/%m/%Y", 20240315),
        ("2024-11-02 20:30", "ISO8601", 20241103),
        ("2024-03-10 02:30", "ISO8601", 20240310),  # a time that there was not
        ("2024-11-03 01:30", "ISO8601", 20241103),  # a time that there was twice
    ],
)
def test_a_timestamp_without_an_offset_is_in_the_zone_of_its_source(
    text: str, formats: str, key: int
) -> None:
    assert day(text, formats, timezone="America/New_York") == key


def test_of_two_times_the_first_counts_and_a_time_left_out_is_by_the_offset_before() -> None:
    """In Havana the clocks go from 01:00 back to 00:00, and from 00:00 on to 01:00."""
    havana = {"timezone": "America/Havana"}
    # The first 00:30 is 04:30 in UTC, the second 05:30.
    assert day("2024-11-03 00:30", business_timezone="Etc/GMT+4", **havana) == 20241103
    assert day("2024-11-03 00:30", business_timezone="Etc/GMT+5", **havana) == 20241102
    # By the offset before, 00:30 is 05:30 in UTC; by the one after, it would be 04:30.
    assert day("2024-03-10 00:30", business_timezone="Etc/GMT+5", **havana) == 20240310


@pytest.mark.parametrize("form", ["parquet", "duckdb", "excel"])
def test_typed_timestamps_are_without_an_offset_too(
    form: str, duckdb_shop: Retailer, tmp_path: Path
) -> None:
    rows: list[Row] = [
        {
            "transaction_id": "T1", "transaction_date": datetime(2024, 3, 15, 23, 30),
            "customer_id": "C1", "product_id": "P1", "quantity": 1, "unit_price": 1,
        }
    ]  # fmt: skip
    sales = {"transactions": rows}
    write = WRITERS.get(form)
    place = write(tmp_path, sales) if write else write_files(tmp_path, sales, form)
    duckdb_shop.publish(**place, TRANSACTIONS__TIMEZONE="America/New_York")
    assert duckdb_shop.star.column("SELECT date_key FROM fact_sales") == [20240316]


@pytest.mark.parametrize(
    ("text", "formats", "key"),
    [
        ("Fri Mar 15 2024 14:30:00 GMT+0100 (Central European Standard Time)",
         "%a %b %d %Y %H:%M:%S GMT%z", 20240315),
        ("Fri Mar 15 2024 23:30:00 GMT-0400 (Eastern Daylight Time)",
         "%a %b %d %Y %H:%M:%S GMT%z", 20240316),
        ("Fri Mar 15 2024 23:30:00 GMT-0400", "%a %b %d %Y %H:%M:%S GMT%z", 20240316),
        ("Fri, 15 Mar 2024 23:30:00 -0400 (EDT)", "%a, %d %b %Y %H:%M:%S %z", 20240316),
        ("Fri Mar 15 2024 14:30:00 (sharp)", "%a %b %d %Y %H:%M:%S", "invalid_date"),
    ],
)  # fmt: skip
def test_browsers_and_mail_say_the_zone_twice(text: str, formats: str, key: int | str) -> None:
    assert day(text, formats) == key


# --- names in the language of the source -------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "formats", "key"),
    [
        ("de", "15. März 2024", "%d. %B %Y", 20240315),
        ("de", "15. MÄRZ 2024", "%d. %B %Y", 20240315),
        ("de", "15. Ma\u0308rz 2024", "%d. %B %Y", 20240315),
        ("de", "15. Maerz 2024", "%d. %B %Y", 20240315),
        ("de", "15-Mrz-24", "%d-%b-%y", 20240315),
        ("de", "15 Mär. 2024", "%d %b %Y", 20240315),
        ("de", "15 Mär 2024", "%d %B %Y", 20240315),
        ("de", "1. Dez. 2024", "%d. %b. %Y", 20241201),
        ("de_AT", "15. Jänner 2024", "%d. %B %Y", 20240115),
        ("de", "Freitag, 15. März 2024 24:00", "%A, %d. %B %Y %H:%M", 20240316),
        ("fr", "15 févr. 2024", "%d %b %Y", 20240215),
        ("fr", "15 fevrier 2024", "%d %B %Y", 20240215),
        ("fr", "ven. 15 août 2025", "%a %d %B %Y", 20250815),
        ("es", "15 de marzo de 2024", "%d de %B de %Y", 20240315),
        ("es", "mar 5 mar 2024", "%a %d %b %Y", 20240305),
        ("pt_BR", "15 de março de 2024", "%d de %B de %Y", 20240315),
        ("it", "15 mag 2024", "%d %b %Y", 20240515),
        ("nl", "15 mrt 2024", "%d %b %Y", 20240315),
        ("pl", "15 marca 2024", "%d %B %Y", 20240315),
        ("en", "15 March 2024", "%d %B %Y", 20240315),
        ("en", "15. März 2024", "%d. %B %Y", "invalid_date"),
        ("de", "15 Oct 2024", "%d %b %Y", "invalid_date"),
        ("fr", "15 jui 2024", "%d %b %Y", "invalid_date"),  # June or July
        ("fr", "15/03/2024", "%d/%m/%Y", 20240315),
    ],
)
def test_months_have_the_names_of_the_sources_language(
    language: str, text: str, formats: str, key: int | str
) -> None:
    assert day(text, formats, locale=language) == key


@pytest.mark.parametrize("language", ["klingon", "xx", "../de", "de_XX"])
def test_a_language_that_nobody_knows_is_refused(language: str) -> None:
    with pytest.raises(ConfigError, match="TRANSACTIONS__LOCALE"):
        transformer(TRANSACTIONS__LOCALE=language)


# --- what exports have -------------------------------------------------------------------------


def test_every_form_of_exports_has_a_setting() -> None:
    """By form: the setting that reads it."""
    berlin = {"timezone": "Europe/Berlin"}
    assert day("2024-03-15 10:00:00 -0400") == 20240315
    assert day("45366", "EXCEL") == 20240315
    assert day("15-Mar-24", "%d-%b-%y") == 20240315
    assert day("Mar 15, 2024", "%b %d, %Y") == 20240315
    assert day("15/03/2024 10:00", "%d/%m/%Y %H:%M") == 20240315
    assert day("20240315") == 20240315
    assert day("1710489600", "EPOCH") == 20240315
    assert day("1710489600000", "EPOCH_MS") == 20240315
    assert day("03/15/2024 10:00 PM", "%m/%d/%Y %I:%M %p") == 20240315
    assert day("2024-03-15 24:00:00") == 20240316
    assert day("2024-03-15 10:00:00 UTC") == 20240315
    assert day("2024-03-15 10:00:00 EST", timezone="America/New_York") == 20240315
    assert day("2024-03-15T10:00:00 Europe/Berlin", **berlin) == 20240315
    assert day("15. März 2024", "%d. %B %Y", locale="de") == 20240315
    assert day("2024-03-15T23:00:00.1234567-05:00") == 20240316
    assert day("2024-03-15T10:00:00.000+0000") == 20240315
    pacific = {"timezone": "America/Los_Angeles"}
    assert day("Mar 15, 2024 2:00:12 AM PDT", "%b %d, %Y %I:%M:%S %p %Z", **pacific) == 20240315
    browser = "Fri Mar 15 2024 10:00:00 GMT-0400 (Eastern Daylight Time)"
    assert day(browser, "%a %b %d %Y %H:%M:%S GMT%z") == 20240315
    assert day("2024-03-15T10:00:00+01:00[Europe/Berlin]") == 20240315
    assert day("2024/03/15", "%Y/%m/%d") == 20240315
    assert day("2024-03-15 10:00:00.0") == 20240315
    assert day("2024-03-15 9:05", "%Y-%m-%d %H:%M") == 20240315

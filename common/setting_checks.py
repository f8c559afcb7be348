"""What a value of a setting must be beyond its type. What is not as it must be raises ValueError,
which says so in words that follow the setting's name.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr
from sqlalchemy import URL

from common.urls import check_duckdb_file, is_web_address


def in_capitals(value: object) -> object:
    """A word of a few, in whatever case it was written."""
    return value.upper() if isinstance(value, str) else value


def none_if_blank(value: object) -> object:
    """None for blank text."""
    return None if isinstance(value, str) and not value.strip() else value


def known_engine(value: URL) -> URL:
    """The address of a warehouse that we can load."""
    if value.drivername not in ("duckdb", "postgresql+psycopg2"):
        raise ValueError(
            f"names the engine {value.drivername!r}; use duckdb:///… or postgresql+psycopg2://…"
        )
    if value.drivername == "duckdb":
        check_duckdb_file(value)
    return value


def web_address(value: SecretStr) -> SecretStr:
    """An address that a message can be sent to."""
    if not is_web_address(value.get_secret_value()):
        raise ValueError("is not a web address such as https://host/path")
    return value


def scheduler_address(value: str) -> str:
    """Where a Dask cluster listens."""
    if not re.fullmatch(r"(tls|tcp)://[^/?@\s]+:\d{1,5}", value):
        raise ValueError("is not an address such as tls://host:8786 or tcp://127.0.0.1:8786")
    return value


def known_zone(value: str) -> str:
    """The name of a time zone."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone name such as Europe/Berlin") from None
    return value


def known_region(value: str) -> str:
    """A region whose phone numbers can be read, in capitals."""
    import phonenumbers  # noqa: PLC0415  # 30 ms, only where it is set

    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("is not a two-letter region such as US or DE")
    return value.upper()

"""URLs of databases and files, as settings have them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_SECRETS = ("password", "passwd", "token", "secret", "credential")
"""Parts of the names of URL parameters that are secrets."""
FILE_SCHEMES = ("file", "s3", "gs", "gcs", "az", "abfs", "abfss", "http", "https")
"""Schemes of URLs that name files; all others are databases'."""


_ALIASES = {
    "postgres": "postgresql", "pgsql": "postgresql", "sqlite3": "sqlite", "sqlserver": "mssql",
}  # fmt: skip
"""Engines' names in other tools, and ours."""
_JDBC = "jdbc:"
_INSTEAD_OF_JDBC = {
    "postgresql": "postgresql+psycopg2://user:password@host/database",
    "mysql": "mysql+pymysql://user:password@host/database",
    "mariadb": "mysql+pymysql://user:password@host/database",
    "sqlserver": "mssql+pymssql://user:password@host/database",
    "oracle": "oracle+oracledb://user:password@host:1521/?service_name=name",
    "sqlite": "sqlite:///data/shop.db",
    "duckdb": "duckdb:///data/shop.duckdb",
}


def parse_url(value: object) -> object:
    """Text to a SQLAlchemy URL, which shows its password as *** wherever it is printed."""
    if not isinstance(value, str):
        return value
    if value.lower().startswith(_JDBC):
        engine = value.lower().removeprefix(_JDBC).partition(":")[0]
        like = _INSTEAD_OF_JDBC.get(engine, "engine+driver://user:password@host/database")
        raise ValueError(f"is a JDBC address; write it as {like}")
    scheme, separator, rest = value.partition("://")
    engine, plus, driver = scheme.lower().partition("+")
    try:
        url = make_url(f"{_ALIASES.get(engine, engine)}{plus}{driver}{separator}{rest}")
    except (ArgumentError, ValueError):
        raise ValueError(
            "is not a database URL such as duckdb:///data/warehouse.duckdb or "
            "postgresql+psycopg2://user:password@host/database; "
            "percent-encode @ : / ? # % in the password"
        ) from None
    if any(secret in name.lower() for name in url.query for secret in _SECRETS):
        raise ValueError("has a secret behind the '?'; write it as user:password@host")
    if value.count("@") > 1:  # wherever it was split, a part of the password is not in its place
        raise ValueError("has an unencoded '@'; percent-encode @ : / ? # % in the password")
    if url.get_backend_name() in ("duckdb", "sqlite") and url.host:
        file = "/".join(part for part in (url.host, url.database) if part)
        raise ValueError(
            f"names a host where a file is meant; write {url.drivername}:///{file} with "
            "three slashes, or with four a path that begins at the root"
        )
    return url.set(drivername="postgresql+psycopg2") if url.drivername == "postgresql" else url


def is_database_url(text: str) -> bool:
    """Whether `text` is a SQLAlchemy URL rather than a path or a URL of files."""
    scheme, separator, _ = text.partition("://")
    is_url = bool(separator) and scheme.lower() not in FILE_SCHEMES
    return is_url or text.lower().startswith(_JDBC)


def check_duckdb_file(url: URL) -> None:
    """Raises ValueError where nothing would be kept: DuckDB takes such a URL for its memory."""
    file = url.database or ""
    if not file or file.startswith(":memory:"):
        raise ValueError(
            "names no file, so that nothing would be kept; write duckdb:///data/warehouse.duckdb"
        )
    if re.match(r"\w{2,}:", file):
        raise ValueError(
            f"names no file: DuckDB takes what begins with {file.partition(':')[0]}: for another "
            "kind of database; write duckdb:///data/warehouse.duckdb"
        )


def without_secrets(path: str | URL | None) -> str | None:
    """A source's path for people: without user, password and query, which may sign the request."""
    if not isinstance(path, str) or "://" not in path:
        return None if path is None else str(path)
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_web_address(text: str) -> bool:
    """Whether it is the address of a web page or a webhook."""
    return re.fullmatch(r"https?://[^/\s]+\S*", text) is not None

"""Settings: one frozen object, built from `.env` and the environment.

Each setting is documented where it is defined; `python config.py` prints `.env.example` from
here and a test keeps the file equal. Every problem is reported at once, and never a value that
may hold a secret.
"""

from __future__ import annotations

import difflib
import functools
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv.parser import parse_stream
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from common.date_formats import ISO_8601, fault
from common.files import is_named_pipe
from errors import ConfigError

SOURCES = ("customers", "products", "transactions", "sales_reps")
_LONGEST_NAME = 63  # of a schema: PostgreSQL cuts off the rest, and would not find it again
_SECRETS = ("password", "passwd", "token", "secret", "credential")
"""What is in the name of a URL's parameter that holds a secret."""
_FILES = ("file", "s3", "gs", "gcs", "az", "abfs", "abfss", "http", "https")
"""Schemes of URLs that name files; all others are databases'."""


_ALIASES = {
    "postgres": "postgresql", "pgsql": "postgresql", "sqlite3": "sqlite", "sqlserver": "mssql",
}  # fmt: skip
"""What other tools call an engine."""
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


def _parse_url(value: object) -> object:
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


def _parse_list(value: object) -> object:
    """A JSON list, or one plain value."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [value]
    return _parse_json(value)


def _parse_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON: {error.msg} at position {error.pos}") from None


def _parse_columns(value: object) -> object:
    """Each column of ours with a name, or a list of names."""
    value = _parse_json(value)
    if not isinstance(value, dict):
        raise ValueError('is no JSON object such as {"customer_id": "their column"}')
    for ours, theirs in value.items():
        names = theirs if isinstance(theirs, list) else [theirs]
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError(f'maps "{ours}" neither to a column\'s name nor to a list of them')
    return value


def without_secrets(path: str | URL | None) -> str | None:
    """A source's path for people: without user, password and query, which may sign the request."""
    if not isinstance(path, str) or "://" not in path:
        return None if path is None else str(path)
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


TextList = Annotated[list[str], BeforeValidator(_parse_list)]
# A URL is a tuple to pydantic, and its dump would hold the password in clear.
_Masked = PlainSerializer(without_secrets)
DatabaseUrl = Annotated[URL, BeforeValidator(_parse_url), _Masked]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class SourceSettings(_Settings):
    """Where one source is and how it is read."""

    path: Annotated[str | URL | None, _Masked] = Field(
        None, description="file, glob, directory, or SQLAlchemy URL of a source database"
    )
    query: str | None = Field(None, description="SQL or table name when the path is a database")
    columns: Annotated[dict[str, str | list[str]], BeforeValidator(_parse_columns)] = Field(
        {}, description="JSON: our column -> theirs, or -> list of columns joined with '-'"
    )
    encoding: str = Field("utf-8", description="text encoding")
    delimiter: str | None = Field(None, description="one character; detected when not set")
    date_formats: TextList = Field(
        [ISO_8601], description="JSON list of strptime formats, tried in order; or ISO8601"
    )
    decimal_separator: Literal[".", ","] = Field(".", description="'.' or ','")
    null_tokens: TextList = Field(
        ["", "NULL", "\\N"], description="JSON list of texts that mean 'no value' in attributes"
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value) if name == "path" else value

    @field_validator("path", mode="before")
    @classmethod
    def _path_or_url(cls, value: object) -> object:
        if isinstance(value, str) and is_database_url(value):
            return _parse_url(value)
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except (LookupError, UnicodeError):
            raise ValueError("is not an encoding that Python knows, such as cp1252") from None
        return value

    @field_validator("delimiter", mode="before")
    @classmethod
    def _one_character(cls, value: object) -> object:
        value = "\t" if value in ("\\t", "tab") else value
        if isinstance(value, str) and (len(value) != 1 or ord(value) > 127 or value in '"\r\n'):
            raise ValueError("must be one ASCII character other than a quote or line break")
        return value

    @field_validator("date_formats")
    @classmethod
    def _usable_formats(cls, value: list[str]) -> list[str]:
        for pattern in value:
            wrong = "" if pattern == ISO_8601 else fault(pattern)
            if wrong:
                raise ValueError(f"{pattern!r} is no date format: {wrong}")
        return value


def _source(path: str | None) -> Any:
    return Field(default_factory=lambda: SourceSettings(path=path))


class StarSchemaConfig(_Settings):
    """All settings of a run. Frozen; secrets are masked in its repr."""

    warehouse_url: DatabaseUrl = Field(
        default_factory=lambda: make_url("duckdb:///data/warehouse.duckdb"),
        description="SQLAlchemy URL: a DuckDB file, or postgresql+psycopg2://user:password@host/db",
    )
    warehouse_schema: str | None = Field(
        None, description="schema to create and use; the engine's default when not set"
    )
    customers: SourceSettings = _source("data/customers.csv")
    products: SourceSettings = _source("data/products.json")
    transactions: SourceSettings = _source("data/sales_transactions.csv")
    sales_reps: SourceSettings = _source(None)
    business_timezone: str = Field(
        "UTC", description="where a timestamp with an offset gets its calendar date"
    )
    phone_region: str = Field("US", description="region of phone numbers without a country code")
    price_tier_high: Decimal = Field(
        Decimal(200), ge=0, description="price from which a product is High"
    )
    price_tier_medium: Decimal = Field(
        Decimal(50), ge=0, description="price from which a product is Medium"
    )
    default_cost_ratio: Decimal = Field(
        Decimal("0.70"), ge=0, description="cost as a share of the price when the cost is missing"
    )
    orphan_policy: Literal["infer", "reject"] = Field(
        "infer",
        description="a fact whose customer, product or rep is unknown: infer a member, or reject",
    )
    accept_returns: bool = Field(False, description="allow quantity < 0")
    accept_free_items: bool = Field(False, description="allow unit price = 0")
    max_reject_rate: Decimal = Field(
        Decimal("0.05"), ge=0, le=1, description="share of rejected rows that stops the load"
    )
    batch_rows: int = Field(250_000, ge=1, description="rows in one batch")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="parallel workers; the number of cores when not set",
    )
    lock_timeout_seconds: int = Field(
        10, ge=1, description="how long a statement waits for somebody else's lock on the star"
    )
    retry_seconds: int = Field(
        60,
        ge=0,
        description="how long a server that is starting, full or away is waited for, and a load "
        "that it disturbed is tried again, four times at most",
    )
    log_file: Path = Field(Path("logs/etl.log"), description="detailed log")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    rejects_dir: Path = Field(
        Path("data/rejects"), description="one folder of reject files per run"
    )
    work_dir: Path = Field(
        Path("data/work"), description="spill of a run in progress; emptied when it ends"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("warehouse_url")
    @classmethod
    def _supported_engine(cls, value: URL) -> URL:
        if value.drivername not in ("duckdb", "postgresql+psycopg2"):
            raise ValueError(
                f"names the engine {value.drivername!r}; use duckdb:///… or postgresql+psycopg2://…"
            )
        if value.drivername == "duckdb":
            _check_duckdb_file(value)
        return value

    @field_validator("business_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is not a time zone name such as Europe/Berlin") from None
        return value

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        import phonenumbers  # noqa: PLC0415  # 30 ms, only where it is set

        if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("is not a two-letter region such as US or DE")
        return value.upper()

    @model_validator(mode="after")
    def _complete(self) -> StarSchemaConfig:
        problems = [
            f"{name.upper()}__PATH is missing"
            for name in SOURCES[:3]
            if self.source(name).path is None
        ]
        problems += [
            f"{name.upper()}__QUERY is missing: {path.drivername}:// in {name.upper()}__PATH is "
            f"taken for a database; files have a path, or a URL of {', '.join(_FILES)}"
            for name in SOURCES
            if isinstance(path := self.source(name).path, URL) and not self.source(name).query
        ]
        name = self.warehouse_schema or ""
        if len(name.encode()) > _LONGEST_NAME or {".", "%"} & set(name):
            problems.append(
                f"WAREHOUSE_SCHEMA must have no '.' or '%', and no more than {_LONGEST_NAME} bytes"
            )
        if self.price_tier_medium > self.price_tier_high:
            problems.append("PRICE_TIER_MEDIUM is above PRICE_TIER_HIGH")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def source(self, name: str) -> SourceSettings:
        """The settings of the source called `name`, one of `SOURCES`."""
        settings: SourceSettings = getattr(self, name)
        return settings


def _check_duckdb_file(url: URL) -> None:
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


def is_database_url(text: str) -> bool:
    """Whether `text` is a SQLAlchemy URL rather than a path or a URL of files."""
    scheme, separator, _ = text.partition("://")
    is_url = bool(separator) and scheme.lower() not in _FILES
    return is_url or text.lower().startswith(_JDBC)


def load_config(
    env_file: str | Path | None = ".env", environment: Mapping[str, str] | None = None
) -> StarSchemaConfig:
    """Settings from `env_file` (absent is fine), overridden by the environment.

    Raises `ConfigError` listing every problem at once; no message holds a setting's value
    unless it is harmless.
    """
    from_file, problems = ({}, []) if env_file is None else _read_env_file(Path(env_file))
    from_environment = os.environ if environment is None else environment
    problems += _unknown_names(from_file, strict=True)
    problems += _unknown_names(from_environment, strict=False)
    merged = {**from_file, **from_environment}
    nested: dict[str, Any] = {}
    for name, value in merged.items():
        head, _, rest = name.upper().partition("__")
        is_blank = value is None or (
            value.strip() == "" and not name.upper().endswith("__DELIMITER")
        )
        if not value or is_blank or name.upper() not in setting_names():
            continue
        if rest:
            nested.setdefault(head.lower(), {})[rest.lower()] = value
        else:
            nested[head.lower()] = value.strip()
    for source in SOURCES:  # a source that is only partly set keeps its default path
        if source in nested:
            default = StarSchemaConfig.model_fields[source].get_default(call_default_factory=True)
            nested[source] = {"path": default.path, **nested[source]}
    try:
        config = StarSchemaConfig.model_validate(nested)
    except ValidationError as error:
        problems += [line for detail in error.errors() for line in _explain(detail)]
    if problems:
        raise ConfigError(problems) from None
    return config


def _read_env_file(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The settings in a file, and the lines that are none: they may hold secrets, so the number
    of each is all that is told.
    """
    try:
        if is_named_pipe(path):
            raise ConfigError(
                [f"{path}: is a named pipe, whose writer may never come; name a file"]
            )
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if str(path) == ".env":
            return {}, []
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: byte {error.start} is not UTF-8; save it as UTF-8"]) from None
    bindings = list(parse_stream(io.StringIO(text)))
    settings = {binding.key: binding.value for binding in bindings if binding.key is not None}
    return settings, [
        f"{path}, line {binding.original.line}: cannot be read; write NAME=value, and a value with "
        "quotes, spaces or # as NAME='value' with \\' for a quote in it"
        for binding in bindings
        if binding.error
    ]


def _explain(detail: Any) -> list[str]:
    """A pydantic error as our own words: the setting's name, then what is wrong with it."""
    name = "__".join(str(part).upper() for part in detail["loc"][:2])
    message: str = detail["msg"].removeprefix("Value error, ")
    if not name:
        return message.splitlines()
    return [f"{name} {message[0].lower()}{message[1:]}"]


def _unknown_names(names: Mapping[str, Any], *, strict: bool) -> list[str]:
    """Misspelt settings: any unknown name in our file, any near miss in the environment."""
    known = setting_names()
    prefixes = tuple(f"{source.upper()}__" for source in SOURCES)
    problems = []
    for name in names:
        upper = name.upper()
        if upper in known or not (strict or upper.startswith(prefixes)):
            continue
        close = difflib.get_close_matches(upper, known, n=1, cutoff=0.8)
        if close or upper.startswith(prefixes):
            hint = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{name} is not a setting{hint}")
    return problems


@functools.cache
def setting_names() -> dict[str, tuple[Any, str]]:
    """Every setting: name -> (default, one line of meaning), in declared order."""
    defaults = StarSchemaConfig()
    settings: dict[str, tuple[Any, str]] = {}
    for name, field in StarSchemaConfig.model_fields.items():
        if name not in SOURCES:
            settings[name.upper()] = (getattr(defaults, name), field.description or "")
            continue
        for part, inner in SourceSettings.model_fields.items():
            default = getattr(defaults.source(name), part)
            settings[f"{name.upper()}__{part.upper()}"] = (default, inner.description or "")
    return settings


def env_example() -> str:
    """The text of `.env.example`: every setting with its default and one line of meaning."""
    lines = ["# Settings of the star-schema ETL. Copy to .env and change what differs."]
    for name, (default, meaning) in setting_names().items():
        if default is None or name == "WORKERS":  # the number of cores differs by machine
            shown = ""
        elif isinstance(default, list | dict):
            shown = "'{}'".format(json.dumps(default).replace("\\", r"\\"))
        else:
            shown = str(default).lower() if isinstance(default, bool) else str(default)
        lines += ["", f"# {meaning[0].upper()}{meaning[1:]}", f"{name}={shown}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())

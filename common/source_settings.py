"""The settings of one source: where it is and how it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator
from sqlalchemy import URL

from common.date_formats import ISO_8601, fault
from common.setting_texts import parse_columns, parse_list, parse_period, parse_skips
from common.since import TABLE_NAME, has_since, parse_lag
from common.urls import is_database_url, parse_url, without_secrets

TextList = Annotated[list[str], BeforeValidator(parse_list)]
# A URL is a tuple to pydantic, and its dump would hold the password in clear.
Masked = PlainSerializer(without_secrets)


class Settings(BaseModel):
    """What all settings have in common: frozen, and no message shows a value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class SourceSettings(Settings):
    """Where one source is and how it is read."""

    path: Annotated[str | URL | None, Masked] = Field(
        None, description="file, glob, directory, or SQLAlchemy URL of a source database"
    )
    query: str | None = Field(None, description="SQL or table name when the path is a database")
    columns: Annotated[dict[str, str | list[str]], BeforeValidator(parse_columns)] = Field(
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
    extract: Literal["changes", "full", "period"] = Field(
        "changes",
        description="what is not in the input: stays (changes), is gone (full), or is gone if it "
        "is of the PERIOD (period)",
    )
    period: Annotated[tuple[date, date] | None, BeforeValidator(parse_period)] = Field(
        None, description="first and last date that EXTRACT=period covers; or --since and --until"
    )
    skip_when: Annotated[dict[str, list[str]], BeforeValidator(parse_skips)] = Field(
        {}, description="JSON: their column -> list of texts; such rows are skipped, and remove"
    )
    watermark: str | None = Field(
        None, description="column of a database source whose largest value is remembered"
    )
    lag: str = Field(
        "0", description="what :since in QUERY is less than it: days, hours, or units of an integer"
    )
    split_by: str | None = Field(
        None, description="column by whose ranges several connections read a source in PostgreSQL"
    )
    currency: str | None = Field(None, description="the one currency of the amounts, such as EUR")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value) if name == "path" else value

    @field_validator("path", mode="before")
    @classmethod
    def _path_or_url(cls, value: object) -> object:
        if isinstance(value, str) and is_database_url(value):
            return parse_url(value)
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

    @field_validator("lag")
    @classmethod
    def _readable_lag(cls, value: str) -> str:
        parse_lag(value)
        return value

    @field_validator("currency")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Za-z]{3}", value.strip()):
            raise ValueError("is no currency code of three letters, such as EUR")
        return value and value.strip().upper()

    @field_validator("date_formats")
    @classmethod
    def _usable_formats(cls, value: list[str]) -> list[str]:
        for pattern in value:
            wrong = "" if pattern == ISO_8601 else fault(pattern)
            if wrong:
                raise ValueError(f"{pattern!r} is no date format: {wrong}")
        return value

    def problems(self, name: str, *, has_dates: bool) -> list[str]:
        """What contradicts itself; `name` is how the settings begin, `has_dates` whether the rows
        are sales.
        """
        problems = []
        if self.extract == "period" and not has_dates:
            problems.append(f"{name}__EXTRACT=period: its rows have no date; use full")
        query, engine = self.query or "", ""
        if isinstance(self.path, URL):
            engine = self.path.get_backend_name()
        asks = bool(engine) and has_since(query, engine)
        if self.split_by is not None and not engine:
            problems.append(f"{name}__SPLIT_BY: {name}__PATH is no database; files are cut anyway")
        if self.watermark is None:
            if parse_lag(self.lag)[0]:
                problems.append(f"{name}__LAG is of a WATERMARK, and {name}__WATERMARK is not set")
            if asks:
                problems.append(f"{name}__QUERY has :since, and {name}__WATERMARK is not set")
            return problems
        if not engine:
            problems.append(f"{name}__WATERMARK: {name}__PATH is no database; files are read whole")
        elif not asks and not TABLE_NAME.fullmatch(query.strip()):
            problems.append(
                f"{name}__QUERY has no :since, where {name}__WATERMARK puts the value to begin at; "
                f"write WHERE {self.watermark} >= :since"
            )
        if self.extract != "changes":
            problems.append(
                f"{name}__WATERMARK: EXTRACT={self.extract} (--full-refresh makes it full) removes "
                "what is not in the input, and the input is only what is new; leave one of them out"
            )
        return problems

"""The settings of one source: where it is and how it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator
from sqlalchemy import URL

from common.column_rules import COUNTED, ColumnRule, column_rule
from common.date_formats import ISO_8601, NAMED, fault
from common.month_names import is_known
from common.setting_texts import (
    parse_columns,
    parse_json,
    parse_list,
    parse_numbers,
    parse_period,
    parse_skips,
)
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


class Join(Settings):
    """Where the orders of a source's lines are: another source, found by a column of both."""

    source: str = Field(pattern="^[a-z][a-z0-9_]*$")
    key: str = Field(min_length=1)


class SourceSettings(Settings):
    """Where one source is and how it is read."""

    path: Annotated[str | URL | None, Masked] = Field(
        None, description="file, glob, directory, or SQLAlchemy URL of a source database"
    )
    query: str | None = Field(None, description="SQL or table name when the path is a database")
    columns: Annotated[dict[str, Any], BeforeValidator(parse_columns)] = Field(
        {},
        description="JSON: our column -> theirs, or -> list of columns joined with '-'; "
        '{"any": [names]} is the first that a file has, {"value": "1"} the same in all rows',
    )
    encoding: str = Field("utf-8", description="text encoding")
    delimiter: str | None = Field(None, description="one character; detected when not set")
    quote: str = Field('"', description="quote character of text files, or none")
    escape: str | None = Field(
        None, description="character before a quote, delimiter or line end that is text, such as \\"
    )
    widths: Annotated[list[int], BeforeValidator(parse_numbers)] = Field(
        [], description="JSON list of the columns' widths in a file of fixed width"
    )
    sheet: str | None = Field(
        None,
        description="sheet of a workbook: name, number, pattern, or * for all; the first visible "
        "one when not set",
    )
    header_row: int | None = Field(
        None,
        ge=1,
        description="row of the header; found by the required names when not set",
    )
    header: TextList = Field(
        [], description="JSON list of the columns of files that have no header"
    )
    records: str | None = Field(
        None,
        description="path to the list of records in a JSON document; found when one list has the "
        "required columns",
    )
    explode: str | None = Field(
        None, description="path of a list, such as line_items, of whose elements each is a row"
    )
    fill_down: TextList = Field(
        [],
        description="JSON list of columns whose blank cells take the value above; the first one "
        "names the group",
    )
    join: Annotated[Join | None, BeforeValidator(parse_json)] = Field(
        None,
        description="JSON: the source with the orders of these lines, and the column of both that "
        'finds them, such as {"source": "orders", "key": "order_id"}',
    )
    date_formats: TextList = Field(
        [ISO_8601],
        description="JSON list of strptime formats, tried in order; or ISO8601, EXCEL, EPOCH, "
        "EPOCH_MS, JULIAN",
    )
    timezone: str | None = Field(
        None, description="zone of timestamps without an offset; they are taken as they are without"
    )
    locale: str = Field("en", description="language of the names of months, such as de")
    decimal_separator: Literal[".", ","] = Field(".", description="'.' or ','")
    rate_unit: Literal["fraction", "percent"] = Field(
        "fraction", description="fraction: a rate of 0.05 is 5 %; percent: 5 is"
    )
    key_case: Literal["exact", "fold"] = Field(
        "exact", description="fold: references find their members whatever the case of letters"
    )
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
        """What differs from the default; no secret."""
        for name, value in super().__repr_args__():
            if value != type(self).model_fields[str(name)].get_default(call_default_factory=True):
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

    @field_validator("quote", mode="before")
    @classmethod
    def _quote_character(cls, value: object) -> object:
        if value != "none" and not _is_one_sign(value):
            raise ValueError("must be one ASCII character, or none")
        return value

    @field_validator("escape", mode="before")
    @classmethod
    def _escape_character(cls, value: object) -> object:
        if value is not None and not _is_one_sign(value):
            raise ValueError("must be one ASCII character, such as \\")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is not a time zone name such as Europe/Berlin") from None

    @field_validator("locale")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if not is_known(value):
            raise ValueError("is no language that Unicode's CLDR knows, such as de or pt_BR")
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
            wrong = "" if pattern in NAMED else fault(pattern)
            if wrong:
                raise ValueError(f"{pattern!r} is no date format: {wrong}")
        return value

    def rule(self, canonical: str) -> ColumnRule:
        """What makes a column of ours: what is set, or else the column of its own name."""
        return column_rule(self.columns.get(canonical, canonical))

    @property
    def counts_rows(self) -> bool:
        """Whether a key has the number of its row among rows that are otherwise the same."""
        return any(COUNTED in self.rule(canonical).names for canonical in self.columns)

    def problems(self, name: str, *, has_dates: bool) -> list[str]:
        """What contradicts itself; `name` is how the settings begin, `has_dates` whether the rows
        are sales.
        """
        problems = []
        signs = {"QUOTE": self.quote, "ESCAPE": self.escape, "DELIMITER": self.delimiter}
        for first, second in (("QUOTE", "DELIMITER"), ("ESCAPE", "DELIMITER")):
            if signs[first] is not None and signs[first] == signs[second]:
                problems.append(f"{name}__{first} and {name}__{second} are the same character")
        if self.extract == "period" and not has_dates:
            problems.append(f"{name}__EXTRACT=period: its rows have no date; use full")
        query, engine = self.query or "", ""
        if isinstance(self.path, URL):
            engine = self.path.get_backend_name()
        asks = bool(engine) and has_since(query, engine)
        if self.split_by is not None and not engine:
            problems.append(f"{name}__SPLIT_BY: {name}__PATH is no database; files are cut anyway")
        problems += self._problems_of_order(name, engine)
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

    def _problems_of_order(self, name: str, engine: str) -> Iterator[str]:
        """What is missing where rows depend on those above them, in a source of a database."""
        if not engine or not (self.fill_down or self.counts_rows):
            return
        asks = f"{name}__FILL_DOWN" if self.fill_down else f'"#" in {name}__COLUMNS'
        if not re.search(r"\border\s+by\b", self.query or "", re.IGNORECASE):
            yield f"{asks} needs rows in a fixed order: end {name}__QUERY with ORDER BY"
        if self.split_by is not None:
            yield f"{name}__SPLIT_BY reads ranges side by side, and {asks} needs one order"


def _is_one_sign(value: object) -> bool:
    """Whether it is one printable character of ASCII that is no letter, digit or space."""
    return (
        isinstance(value, str) and len(value) == 1 and "!" <= value <= "~" and not value.isalnum()
    )

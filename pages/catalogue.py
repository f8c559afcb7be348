"""The star as a picture, and what each of its tables and columns means."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Table

from common.descriptions import meaning, plain
from common.star_model import Role
from common.star_picture import picture, sql_type
from pages.shown import count
from pages.story import Story

_KEYS = (Role.SURROGATE_KEY, Role.BUSINESS_KEY, Role.SMART_KEY, Role.DIMENSION_KEY)


@dataclass(frozen=True)
class Column:
    """A column and its meaning."""

    name: str
    kind: str
    role: str
    meaning: str
    is_key: bool
    is_personal: bool


@dataclass(frozen=True)
class Described:
    """A table and its columns."""

    name: str
    rows: str
    columns: list[Column]

    @property
    def personal(self) -> int:
        """How many of its columns hold personal data."""
        return sum(column.is_personal for column in self.columns)


@dataclass(frozen=True)
class Catalogue:
    """The whole star."""

    picture: str
    """As SVG, in which names are escaped."""
    tables: list[Described]


def catalogue(story: Story) -> Catalogue:
    """The star of a story."""
    star, found = story.config.star, story.summary.outcomes.validation
    rows = found.row_counts if found else {}
    tables = [star.fact, *star.dimensions]
    drawn = picture(star, (), style="")
    return Catalogue(drawn, [_described(table, rows.get(table.name)) for table in tables])


def _described(table: Table, rows: int | None) -> Described:
    return Described(
        table.name,
        "" if rows is None else count(rows),
        [
            Column(
                column.name,
                sql_type(table, column.name),
                str(column.info.get("role", "")),
                plain(meaning(column)),
                column.info.get("role") in _KEYS,
                bool(column.info.get("is_personal")),
            )
            for column in table.columns
        ],
    )

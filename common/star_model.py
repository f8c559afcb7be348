"""What a star is made of: columns that say what they mean, tables of them, and their sources.

What a column *is* (business key, surrogate key, measure, ...) is data on the column, so that
whatever loads, checks or shows a star names no column and no table of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

MONEY_PRECISION, MONEY_SCALE = 19, 4
MONEY = Numeric(MONEY_PRECISION, MONEY_SCALE)
TOO_LARGE = 10 ** (MONEY_PRECISION - MONEY_SCALE)
"""The first amount that MONEY cannot hold."""
UNKNOWN_KEY = -1
"""Surrogate key of the `Unknown` member of every dimension."""
ADDED_LATE = "added to a star in use: rows loaded before have no value"
"""How the comment ends on a column that must have values, but has none in older rows."""
UNKNOWN_ID = ""
"""Its business key. A blank key cannot come from a source, so nothing can collide with it."""
NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}
"""How keys and indexes are called."""
FILE_NUMBER, LINE_NUMBER = "file_number", "line_number"
"""The columns of a fact that say where it was read; empty where that is not known, or where the
number of the file or line has no room.
"""
WHERE = FILE_NUMBER, LINE_NUMBER
MOST_FILES, MOST_LINES = (1 << 15) - 1, (1 << 31) - 1
"""The largest of these numbers that have room."""
INFERRED_FLAG = "is_inferred"
"""The attribute of members that only a sale names."""
DELETED_FLAG = "is_deleted"
"""The attribute of members whose source says that they are gone, or does not have them any more;
and the column of a source by which it says so.
"""
ONLY_NAMED = "only_named"
"""The mark, in the metadata of a table or the `attrs` of a frame, of members of which nothing is
known but that sales name them: they come in where they are missing, and never change one.
"""


class Role(StrEnum):
    """What a column means to the loaders."""

    SURROGATE_KEY = "surrogate key"
    BUSINESS_KEY = "business key"
    SMART_KEY = "smart key"  # business and surrogate key in one, such as YYYYMMDD
    ATTRIBUTE = "attribute"
    DIMENSION_KEY = "dimension key"
    MEASURE = "measure"
    AUDIT = "audit"


def _column(
    name: str, description: str, kind: TypeEngine[Any], role: Role, *args: Any, **options: Any
) -> Column[Any]:
    info = {"role": role, "description": description, **options.pop("info", {})}
    return Column(name, kind, *args, info=info, **options)


def integer_key(name: str, role: Role, description: str) -> Column[Any]:
    """The key that facts point at; its `role` is that of a surrogate, or of a smart key."""
    options = {"primary_key": True, "autoincrement": False, "nullable": False}
    return _column(name, description, Integer(), role, **options)


class KeyText(Text):
    """Text of a business key. An engine keeps it in the order of code points: that is the same
    everywhere, sorts fastest, and no update of the operating system changes it.
    """


def _business_key(name: str, description: str, **options: Any) -> Column[Any]:
    return _column(name, description, KeyText(), Role.BUSINESS_KEY, nullable=False, **options)


def attribute(
    name: str,
    description: str,
    kind: TypeEngine[Any] | None = None,
    *,
    unknown: Any = None,
    **meaning: bool,
) -> Column[Any]:
    """An attribute of a member, or of a fact: text, unless `kind` is another type.

    `unknown` is the value that the Unknown member shows for it. `meaning` may be `is_personal`
    (names, contacts, addresses), `is_amount` (of a currency), `is_json` (a document), or
    `is_unit_cost` (the profit of facts is computed with it), or `is_currency` (that of the amounts
    beside it), or `is_name` (what people call the member), or `is_note` (says how we know of the
    member, and nothing of the member itself).
    """
    info = {"unknown": unknown, **meaning}
    return _column(name, description, kind or Text(), Role.ATTRIBUTE, info=info)


def deleted_flag() -> Column[Any]:
    """The attribute of a member that its source has deleted; empty where that cannot be read."""
    described = "the source says so, or a full extract does not have it any more"
    info = {"unknown": False, "default": False, "is_note": True}
    return _column(DELETED_FLAG, described, Boolean(), Role.ATTRIBUTE, info=info)


def dimension_key(dimension: Table, *, finds_by: str = "") -> Column[Any]:
    """The fact's key to `dimension`; `finds_by` is the prepared column that holds the member's
    business key, if it is called otherwise.
    """
    target = surrogate_key(dimension)
    return _column(
        target.name,
        f"the {dimension.info['member'].replace('_', ' ')}: its key in `{dimension.name}`",
        Integer(),
        Role.DIMENSION_KEY,
        ForeignKey(target),
        nullable=False,
        index=True,
        info={"finds_by": finds_by or business_key(dimension).name},
    )


def measure(
    name: str,
    description: str,
    *,
    nullable: bool = False,
    default: int | None = None,
    is_amount: bool = True,
    is_additive: bool = True,
) -> Column[Any]:
    """A number of each sale: an amount of a currency, and one that can be summed up over sales,
    unless declared otherwise. Where a star in use gets it, sales loaded before have `default`, or
    no value.
    """
    info = {"default": default, "is_amount": is_amount, "is_additive": is_additive}
    return _column(name, description, MONEY, Role.MEASURE, nullable=nullable, info=info)


def dimension(metadata: MetaData, name: str, *attributes: Column[Any]) -> Table:
    """A dimension: of `store` it is the table `dim_store`, with the integer key `store_key` and the
    source's `store_id`. Members that only a sale names are flagged `is_inferred`.
    """
    member = name.replace("_", " ")
    described = f"only a sale names this {member}; the record has not come yet"
    is_inferred = _column(
        INFERRED_FLAG, described, Boolean(), Role.ATTRIBUTE, nullable=False,
        info={"unknown": False, "default": False, "is_note": True},
    )  # fmt: skip
    return Table(
        f"dim_{name}",
        metadata,
        integer_key(f"{name}_key", Role.SURROGATE_KEY, "surrogate key"),
        _business_key(f"{name}_id", "business key: the source's id", unique=True),
        *attributes,
        is_inferred,
        info={"member": name},
        comment=f"one row per {member}; key {UNKNOWN_KEY} is `Unknown`",
    )


def fact(
    metadata: MetaData, name: str, business_key: str, *columns: Column[Any], grain: str = ""
) -> Table:
    """A fact table, one row per `business_key`, which is one `grain` in words; each row has the run
    that wrote it, and where that read it.
    """
    described = "the run that inserted or last updated the row"
    file = "the number of its file among the `files` of that run, from 1"
    line = "its line there, or its record"
    key = _business_key(business_key, "business key and primary key", primary_key=True)
    return Table(
        name,
        metadata,
        key,
        *columns,
        _column("run_id", described, Text(), Role.AUDIT, nullable=False),
        _column(FILE_NUMBER, file, SmallInteger(), Role.AUDIT),
        _column(LINE_NUMBER, line, Integer(), Role.AUDIT),
        comment=f"one row per {grain or business_key}",
    )


# --- what is declared of a table -----------------------------------------------------------


def columns_of(table: Table, *roles: Role) -> list[Column[Any]]:
    """The columns of `table` that have one of `roles`, in declared order."""
    return [column for column in table.columns if column.info.get("role") in roles]


def business_key(table: Table) -> Column[Any]:
    """The one column by which a source names a row of `table`."""
    return columns_of(table, Role.BUSINESS_KEY, Role.SMART_KEY)[0]


def surrogate_key(dimension: Table) -> Column[Any]:
    """The integer key that facts use to point at `dimension`."""
    return columns_of(dimension, Role.SURROGATE_KEY, Role.SMART_KEY)[0]


def attributes(dimension: Table) -> list[Column[Any]]:
    """The columns that SCD1 overwrites."""
    return columns_of(dimension, Role.ATTRIBUTE)


def unknown_member(dimension: Table) -> dict[str, Any]:
    """The row that every dimension holds under key -1."""
    row: dict[str, Any] = {c.name: c.info["unknown"] for c in attributes(dimension)}
    row[business_key(dimension).name] = UNKNOWN_ID
    row[surrogate_key(dimension).name] = UNKNOWN_KEY
    return row


def growth_value(column: Column[Any]) -> Any:
    """What rows that are there already have in a column that is added; None is no value."""
    if column.info.get("role") is Role.DIMENSION_KEY:
        return UNKNOWN_KEY
    return column.info.get("default")


def is_key(column: Column[Any]) -> bool:
    """Whether rows are known by `column`, so that it cannot be added to rows that are there."""
    keys = (Role.SURROGATE_KEY, Role.BUSINESS_KEY, Role.SMART_KEY)
    return column.primary_key or column.info.get("role") in keys


def is_fillable(column: Column[Any]) -> bool:
    """Whether a row without a value may be given the declared one. A lost key to a dimension is
    none: it was another than Unknown's.
    """
    return column.info.get("default") is not None


def plain_type(column: Column[Any]) -> TypeEngine[Any]:
    """The type of `column`, where it is a key as plain text: compared with a key, which has a
    collation, the key's counts.
    """
    return Text() if isinstance(column.type, Text) else column.type


def is_dimension(table: Table) -> bool:
    """Whether facts may point at rows of `table`."""
    return bool(columns_of(table, Role.SURROGATE_KEY, Role.SMART_KEY))


def additive(fact: Table) -> list[Column[Any]]:
    """The measures of `fact` that can be summed up over its rows."""
    return [column for column in columns_of(fact, Role.MEASURE) if column.info["is_additive"]]


def target_of(key: Column[Any]) -> Table:
    """The dimension that a key of the fact points at."""
    return next(iter(key.foreign_keys)).column.table


def unknown_reason(key: Column[Any]) -> str:
    """Why a row is refused that names a member by `key` whom nobody knows."""
    return f"unknown_{target_of(key).info['member']}"


def references(table: Table) -> list[Column[Any]]:
    """The keys of `table` to dimensions whose members a source names by an id."""
    keys = columns_of(table, Role.DIMENSION_KEY)
    return [key for key in keys if columns_of(target_of(key), Role.BUSINESS_KEY)]


@dataclass(frozen=True, eq=False)
class Source:
    """What one table is made of: the columns of its rows, under the names that the rules know.

    The column of the same name in the table declares what a column holds; `other_numbers`,
    `other_amounts`, `other_dates` and `other_keys` are those that the table does not have.
    """

    name: str
    feeds: Table
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    other_numbers: tuple[str, ...] = ()
    other_amounts: tuple[str, ...] = ()
    other_dates: tuple[str, ...] = ()
    other_keys: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    """By required column, the optional one that may be there in its place."""
    path: str | None = None
    """Where it is, unless a setting says otherwise."""
    is_required: bool = True
    """Whether there is no run without it."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All its columns, those first without which nothing can be said of a row."""
        return self.required + self.optional

    @cached_property
    def key(self) -> str:
        """The column by which it names its rows."""
        return business_key(self.feeds).name

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The columns by which it names rows of other sources."""
        return tuple(key.info["finds_by"] for key in references(self.feeds))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Its own key, its references, and whatever else is text that finds a row."""
        return (self.key, *self.references, *self.other_keys)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers, which may have a decimal comma."""
        own = self._of(lambda column: isinstance(column.type, Numeric))
        return own + self.other_numbers + self.other_amounts

    @cached_property
    def amounts(self) -> tuple[str, ...]:
        """The numbers that are amounts of a currency."""
        return self._of(lambda column: column.info.get("is_amount", False)) + self.other_amounts

    @cached_property
    def dates(self) -> tuple[str, ...]:
        """The columns that hold dates."""
        return self._of(lambda column: isinstance(column.type, Date)) + self.other_dates

    @cached_property
    def json(self) -> tuple[str, ...]:
        """The columns that hold a JSON document."""
        return self._of(lambda column: column.info.get("is_json", False))

    @cached_property
    def encoded(self) -> tuple[str, ...]:
        """The columns worth dictionary-encoding while they are read: of facts, of which there are
        many, those with far fewer values than rows.
        """
        few = {*self.references, *self.numbers, *self.dates, DELETED_FLAG}
        few = few if self.describes_facts else set()
        return tuple(name for name in self.columns if name in few)

    @cached_property
    def called(self) -> str:
        """What people call its rows: members by its own name, facts by that of their table."""
        name = self.feeds.name.removeprefix("fact_") if self.describes_facts else self.name
        return name.replace("_", " ")

    @property
    def describes_facts(self) -> bool:
        """Whether its rows are facts, and no members of a dimension."""
        return not is_dimension(self.feeds)

    def _of(self, holds: Callable[[Column[Any]], bool]) -> tuple[str, ...]:
        columns = self.feeds.columns
        return tuple(name for name in self.columns if name in columns and holds(columns[name]))


@dataclass(frozen=True, eq=False)
class Star:
    """A fact table with its dimensions, and the sources that feed them. All else is derived."""

    fact: Table
    sources: tuple[Source, ...]

    @cached_property
    def dimensions(self) -> tuple[Table, ...]:
        """In load order, which is that of the fact's keys: all of them before the fact."""
        keys = columns_of(self.fact, Role.DIMENSION_KEY)
        return tuple(dict.fromkeys(target_of(key) for key in keys))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """All tables of the warehouse in an order in which they can be made, `etl_run` too."""
        return tuple(self.fact.metadata.sorted_tables)

    @cached_property
    def calendar(self) -> Table:
        """The dimension of dates, which no source feeds."""
        return next(t for t in self.dimensions if columns_of(t, Role.SMART_KEY))

    def keys_to(self, dimension: Table) -> list[Column[Any]]:
        """The fact's keys to a dimension."""
        keys = columns_of(self.fact, Role.DIMENSION_KEY)
        return [key for key in keys if target_of(key) is dimension]

    @cached_property
    def unit_cost(self) -> Column[Any]:
        """The attribute of a member that the profit of a fact is computed with."""
        columns = (column for dimension in self.dimensions for column in dimension.columns)
        return next(column for column in columns if column.info.get("is_unit_cost"))

    @cached_property
    def currency(self) -> Column[Any] | None:
        """The column that says which currency the amounts of a fact are of, if there is one."""
        columns = self.fact.columns
        return next((column for column in columns if column.info.get("is_currency")), None)

    @cached_property
    def sales(self) -> Source:
        """The source of the facts."""
        return self.source_of(self.fact)

    @cached_property
    def members(self) -> tuple[Source, ...]:
        """The sources of the dimensions."""
        return tuple(source for source in self.sources if source.feeds is not self.fact)

    def source_of(self, table: Table) -> Source:
        """The source that feeds `table`. Raises StopIteration where none does."""
        return next(source for source in self.sources if source.feeds is table)

    def source(self, name: str) -> Source:
        """The source called `name`. Raises KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Source]:
        return {source.name: source for source in self.sources}

    def table_of(self, source: str) -> Table:
        """The table that the source called `source` feeds."""
        return self.source(source).feeds

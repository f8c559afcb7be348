"""The star, declared once as SQLAlchemy Core tables.

DDL, load order, merges, validation and tests are derived from here. What a column *is*
(business key, surrogate key, measure, ...) is data on the column, so the loaders are generic:
a new attribute is one line here and one rule in `transform`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.types import TypeEngine

MONEY_PRECISION, MONEY_SCALE = 19, 4
MONEY = Numeric(MONEY_PRECISION, MONEY_SCALE)
TOO_LARGE = 10 ** (MONEY_PRECISION - MONEY_SCALE)
"""The first amount that MONEY cannot hold."""
UNKNOWN_KEY = -1
"""Surrogate key of the `Unknown` member of every dimension."""
ADDED_LATE = "added to a star in use: rows loaded before have no value"
"""Comment on a column that must have values, but has none in older rows."""
UNKNOWN_ID = ""
"""Its business key. A blank key cannot come from a source, so nothing can collide with it."""


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
    name: str, kind: TypeEngine[Any], role: Role, *args: Any, **options: Any
) -> Column[Any]:
    info = {"role": role, **options.pop("info", {})}
    return Column(name, kind, *args, info=info, **options)


def _surrogate_key(name: str) -> Column[Any]:
    return _column(
        name, Integer(), Role.SURROGATE_KEY, primary_key=True, autoincrement=False, nullable=False
    )


def _business_key(name: str, **options: Any) -> Column[Any]:
    """Ordered by code points: no other order is alike everywhere, sorted so quickly, or safe from
    the next version of the operating system.
    """
    return _column(name, Text(collation="C"), Role.BUSINESS_KEY, nullable=False, **options)


def _attribute(
    name: str, kind: TypeEngine[Any] | None = None, *, unknown: Any = None
) -> Column[Any]:
    """An attribute; `unknown` is the value that the Unknown member shows for it."""
    return _column(name, kind or Text(), Role.ATTRIBUTE, info={"unknown": unknown})


def _is_inferred() -> Column[Any]:
    return _column(
        "is_inferred",
        Boolean(),
        Role.ATTRIBUTE,
        nullable=False,
        info={"unknown": False, "default": False},
    )


def _dimension_key(name: str, target: str, *, finds_by: str) -> Column[Any]:
    """A foreign key of the fact; `finds_by` is the prepared column holding the business key."""
    return _column(
        name,
        Integer(),
        Role.DIMENSION_KEY,
        ForeignKey(target),
        nullable=False,
        index=True,
        info={"finds_by": finds_by},
    )


def _measure(name: str, *, nullable: bool = False, default: int | None = None) -> Column[Any]:
    """A number of each sale. Where a star in use gets it, sales loaded before have `default`, or
    no value.
    """
    return _column(name, MONEY, Role.MEASURE, nullable=nullable, info={"default": default})


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

dim_customer = Table(
    "dim_customer",
    metadata,
    _surrogate_key("customer_key"),
    _business_key("customer_id", unique=True),
    _attribute("first_name"),
    _attribute("last_name"),
    _attribute("full_name", unknown="Unknown"),
    _attribute("company"),
    _attribute("email"),
    _attribute("phone"),
    _attribute("address"),
    _attribute("city"),
    _attribute("state"),
    _attribute("postal_code"),
    _attribute("country"),
    _attribute("segment", unknown="Unknown"),
    _is_inferred(),
    info={"source": "customers"},
)

dim_product = Table(
    "dim_product",
    metadata,
    _surrogate_key("product_key"),
    _business_key("product_id", unique=True),
    _attribute("product_name", unknown="Unknown"),
    _attribute("category", unknown="Unknown"),
    _attribute("brand", unknown="Unknown"),
    _attribute("price", MONEY),
    _attribute("cost", MONEY),
    _attribute("is_cost_estimated", Boolean(), unknown=False),
    _attribute("price_tier", unknown="Unknown"),
    _attribute("profit_margin_pct", Numeric(19, 2)),
    _attribute("specifications"),
    _is_inferred(),
    info={"source": "products", "carried": ("cost",)},  # facts compute with it
)

dim_sales_rep = Table(
    "dim_sales_rep",
    metadata,
    _surrogate_key("sales_rep_key"),
    _business_key("sales_rep_id", unique=True),
    _attribute("first_name"),
    _attribute("last_name"),
    _attribute("full_name", unknown="Unknown"),
    _attribute("email"),
    _attribute("region", unknown="Unknown"),
    _attribute("hire_date", Date()),
    _is_inferred(),
    info={"source": "sales_reps"},
)

dim_date = Table(
    "dim_date",
    metadata,
    _column(
        "date_key",
        Integer(),
        Role.SMART_KEY,
        primary_key=True,
        autoincrement=False,
        nullable=False,
    ),
    _attribute("full_date", Date()),
    _attribute("year", SmallInteger()),
    _attribute("quarter", SmallInteger()),
    _attribute("month", SmallInteger()),
    _attribute("month_name", unknown="Unknown"),
    _attribute("iso_week", SmallInteger()),
    _attribute("day_of_month", SmallInteger()),
    _attribute("day_of_week", SmallInteger()),
    _attribute("day_name", unknown="Unknown"),
    _attribute("is_weekend", Boolean()),
)

fact_sales = Table(
    "fact_sales",
    metadata,
    _business_key("transaction_id", primary_key=True),
    _dimension_key("customer_key", "dim_customer.customer_key", finds_by="customer_id"),
    _dimension_key("product_key", "dim_product.product_key", finds_by="product_id"),
    _dimension_key("sales_rep_key", "dim_sales_rep.sales_rep_key", finds_by="sales_rep_id"),
    _dimension_key("date_key", "dim_date.date_key", finds_by="date_key"),
    _measure("quantity"),
    _measure("unit_price"),
    _measure("discount_amount"),
    _measure("gross_amount"),
    _measure("net_amount"),
    _measure("profit_amount", nullable=True),
    _column("run_id", Text(), Role.AUDIT, nullable=False),
    info={"source": "transactions"},
)

etl_run = Table(
    "etl_run",
    metadata,
    Column("run_id", Text(), primary_key=True, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=False),
    Column("status", Text(), nullable=False),
    Column("counts", Text(), nullable=False, comment="the run's results as JSON"),
    Column("sources", Text(), nullable=False, comment="files read and their fingerprints, JSON"),
    Column("error_class", Text()),
    Column("code_version", Text(), nullable=False),
    Column("key_rules", Integer(), comment="version of the rules that made the star's keys"),
    Column("sequence", Integer(), comment="given under the lock: the later run has the larger one"),
)

dimensions: tuple[Table, ...] = (dim_customer, dim_product, dim_sales_rep, dim_date)
"""In load order: all of them before the fact."""


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


ONLY_NAMED = "only_named"
"""The mark, in the metadata of a table or the `attrs` of a frame, of members of which nothing is
known but that sales name them: they come in where they are missing, and never change one.
"""

KEY_WEIGHTS = {
    key.name: weight for weight, key in enumerate(columns_of(fact_sales, Role.DIMENSION_KEY), 1)
}
"""How many times each key counts in `key_sum`."""


def key_sum(fact: Any, only: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    """One number of the keys to the dimensions that facts have, those of rows `only` or of all,
    given the fact's columns: each key counts another number of times, so that no key can take the
    place of another.
    """
    sums = ((func.sum(fact[key]), weight) for key, weight in KEY_WEIGHTS.items())
    first, *others = (
        func.coalesce(total if only is None else total.filter(only), 0) * weight
        for total, weight in sums
    )
    return sum(others, first)


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
    """The type of `column` without its collation: compared with a column of another collation,
    that one's counts.
    """
    return Text() if isinstance(column.type, Text) else column.type

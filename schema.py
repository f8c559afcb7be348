"""The star of a retailer, declared once as SQLAlchemy Core tables, with the sources that feed it.

DDL, load order, merges, validation and tests are derived from here: a new attribute is one line in
its table and one in its source.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from common.star_model import (
    MONEY,
    NAMES,
    Role,
    Source,
    Star,
    attribute,
    deleted_flag,
    dimension,
    dimension_key,
    fact,
    integer_key,
    measure,
)

metadata = MetaData(naming_convention=NAMES)


def _told(name: str, description: str, kind: TypeEngine[Any], **options: Any) -> Column[Any]:
    """A column of a table that tells of runs."""
    return Column(name, kind, info={"description": description}, **options)


dim_customer = dimension(
    metadata,
    "customer",
    attribute("first_name", "recased when all upper or all lower", is_personal=True),
    attribute("last_name", "recased when all upper or all lower", is_personal=True),
    attribute(
        "full_name",
        "first and last name, else company, else `Customer <id>`",
        unknown="Unknown",
        is_personal=True,
        is_name=True,
    ),
    attribute("company", "as given", is_personal=True),
    attribute("email", "valid and lower case, or empty", is_personal=True),
    attribute("phone", "formatted, or as given when not recognised", is_personal=True),
    attribute("address", "street", is_personal=True),
    attribute("city", "as given, or from the address", is_personal=True),
    attribute("state", "as given, or from the address", is_personal=True),
    attribute("postal_code", "as given, or from the address", is_personal=True),
    attribute("country", "as given"),
    attribute("segment", "`Consumer`, `Business`, … or `Unknown`", unknown="Unknown"),
    deleted_flag(),
)

dim_product = dimension(
    metadata,
    "product",
    attribute("product_name", "the name, or `Product <id>`", unknown="Unknown", is_name=True),
    attribute("category", "as given, or `Unknown`", unknown="Unknown"),
    attribute("brand", "as given, or `Unknown`", unknown="Unknown"),
    attribute("price", "list price", MONEY, is_amount=True),
    attribute(
        "cost", "as given, or estimated from the price", MONEY, is_amount=True, is_unit_cost=True
    ),
    attribute(
        "is_cost_estimated", "the cost is an estimate", Boolean(), unknown=False, is_note=True
    ),
    attribute("price_tier", "`High`, `Medium`, `Low` or `Unknown`", unknown="Unknown"),
    attribute("profit_margin_pct", "(price - cost) / price x 100", Numeric(19, 2)),
    attribute("specifications", "JSON with sorted keys", is_json=True),
    deleted_flag(),
)

dim_sales_rep = dimension(
    metadata,
    "sales_rep",
    attribute("first_name", "as given, or from the id", is_personal=True),
    attribute("last_name", "as given, or from the id", is_personal=True),
    attribute(
        "full_name",
        "first and last name, else the id",
        unknown="Unknown",
        is_personal=True,
        is_name=True,
    ),
    attribute("email", "valid and lower case, or empty", is_personal=True),
    attribute("region", "as given, or `Unassigned`", unknown="Unknown"),
    attribute("hire_date", "empty where it cannot be read", Date()),
)

dim_date = Table(
    "dim_date",
    metadata,
    integer_key("date_key", Role.SMART_KEY, "YYYYMMDD; business and surrogate key in one"),
    attribute("full_date", "the day; empty for `Unknown`", Date()),
    attribute("year", "of the calendar", SmallInteger()),
    attribute("quarter", "1 to 4", SmallInteger()),
    attribute("month", "1 to 12", SmallInteger()),
    attribute("year_month", "such as 2024-01", unknown="Unknown"),
    attribute("month_name", "January …", unknown="Unknown"),
    attribute("iso_week", "1 to 53, ISO 8601", SmallInteger()),
    attribute("day_of_month", "1 to 31", SmallInteger()),
    attribute("day_of_week", "1 = Monday … 7 = Sunday", SmallInteger()),
    attribute("day_name", "Monday …", unknown="Unknown"),
    attribute("is_weekend", "Saturday or Sunday", Boolean()),
    info={"member": "date"},
    comment="one row per day, in whole years without gaps; key -1 is `Unknown`",
)

fact_sales = fact(
    metadata,
    "fact_sales",
    "transaction_id",
    dimension_key(dim_customer),
    dimension_key(dim_product),
    dimension_key(dim_sales_rep),
    dimension_key(dim_date),
    measure("quantity", "pieces; below 0 for a return", is_amount=False),
    measure("unit_price", "in money, of one piece", is_additive=False),
    measure("discount_amount", "in money, for the whole line"),
    measure("gross_amount", "quantity x unit_price"),
    measure("net_amount", "gross_amount - discount_amount"),
    measure(
        "unit_cost",
        "of the sale, or of the product when it first came",
        nullable=True,
        is_additive=False,
    ),
    measure("profit_amount", "net_amount - quantity x unit_cost; or empty", nullable=True),
    attribute("currency", "of the amounts; empty where the source does not say", is_currency=True),
    grain="transaction line",
)

etl_run = Table(
    "etl_run",
    metadata,
    _told("run_id", "primary key; sorts by time", Text(), primary_key=True, nullable=False),
    _told("started_at", "when it began", DateTime(timezone=True), nullable=False),
    _told("ended_at", "when its row was written", DateTime(timezone=True), nullable=False),
    _told("status", "`published`, `failed` or `gate_failed`", Text(), nullable=False),
    _told(
        "counts",
        "the figures of the summary, as JSON; of runs before the last forty only the rows loaded",
        Text(),
        nullable=False,
    ),
    _told(
        "sources",
        "files read, with format, number of records and SHA-256 (beyond 64 MiB that of a tree of "
        "parts), as JSON; `{}` of runs before the last forty",
        Text(),
        nullable=False,
    ),
    _told("error_class", "what went wrong, if anything", Text()),
    _told("code_version", "of this application", Text(), nullable=False),
    _told(
        "key_rules",
        "version of the rules that made the star's keys; empty: 1, of release 0.1.0",
        Integer(),
    ),
    _told(
        "sequence",
        "given under the lock: the later run has the larger one, whatever the clocks say",
        Integer(),
    ),
    _told("watermarks", "of a published run: by source, how far it was read, as JSON", Text()),
    _told(
        "files",
        "paths of the files of the facts, in their order, as JSON: `file_number` counts them from "
        "1; empty where the run wrote no fact",
        Text(),
    ),
    comment="one row per run that published, failed or was refused",
)

etl_change = Table(
    "etl_change",
    metadata,
    _told("run_id", "the run that overwrote or removed it", Text(), nullable=False, index=True),
    _told("table_name", "the table of the star", Text(), nullable=False),
    _told("business_key", "of the row; empty where `rows` are counted together", Text()),
    _told("attribute", "the column; empty where the row was removed", Text()),
    _told("before", "the value that was there; empty for personal columns", Text()),
    _told("after", "the value that is there now; empty for personal columns", Text()),
    _told("rows", "how many rows this is of", Integer(), nullable=False),
    comment="what SCD type 1 forgets: one row per value that a published run overwrote, and per "
    "fact that it removed",
    info={"is_pruned": True},  # old rows are removed, so who loads it must be allowed to
)


STAR = Star(
    fact_sales,
    (
        Source(
            "customers",
            dim_customer,
            required=("customer_id",),
            optional=(
                "first_name", "last_name", "company", "email", "phone", "address", "city",
                "state", "postal_code", "country", "segment", "is_deleted",
            ),
            path="data/customers.csv",
        ),
        Source(
            "products",
            dim_product,
            required=("product_id",),
            optional=("name", "category", "brand", "price", "cost", "specifications", "is_deleted"),
            path="data/products.json",
        ),
        Source(
            "transactions",
            fact_sales,
            required=(
                "transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
                "unit_price",
            ),
            optional=(
                "sales_rep_id", "line_amount", "discount_amount", "discount_rate", "unit_cost",
                "currency", "is_deleted",
            ),
            other_numbers=("discount_rate",),
            other_amounts=("line_amount",),
            instead={"unit_price": "line_amount"},
            other_dates=("transaction_date",),
            path="data/sales_transactions.csv",
        ),
        Source(
            "sales_reps",
            dim_sales_rep,
            required=("sales_rep_id",),
            optional=("first_name", "last_name", "email", "region", "hire_date"),
            is_required=False,
        ),
    ),
)  # fmt: skip
"""The star of a retailer, which is built in."""

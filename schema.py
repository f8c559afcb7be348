"""The star of a retailer, declared once as SQLAlchemy Core tables, with the sources that feed it.

DDL, load order, merges, validation and tests are derived from here: a new attribute is one line in
its table and one in its source.
"""

from __future__ import annotations

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

from common.star_model import (
    MONEY,
    NAMES,
    Role,
    Source,
    Star,
    attribute,
    dimension,
    dimension_key,
    fact,
    integer_key,
    measure,
)

metadata = MetaData(naming_convention=NAMES)

dim_customer = dimension(
    metadata,
    "customer",
    attribute("first_name", is_personal=True),
    attribute("last_name", is_personal=True),
    attribute("full_name", unknown="Unknown", is_personal=True),
    attribute("company", is_personal=True),
    attribute("email", is_personal=True),
    attribute("phone", is_personal=True),
    attribute("address", is_personal=True),
    attribute("city", is_personal=True),
    attribute("state", is_personal=True),
    attribute("postal_code", is_personal=True),
    attribute("country"),
    attribute("segment", unknown="Unknown"),
)

dim_product = dimension(
    metadata,
    "product",
    attribute("product_name", unknown="Unknown"),
    attribute("category", unknown="Unknown"),
    attribute("brand", unknown="Unknown"),
    attribute("price", MONEY, is_amount=True),
    attribute("cost", MONEY, is_amount=True, is_unit_cost=True),
    attribute("is_cost_estimated", Boolean(), unknown=False),
    attribute("price_tier", unknown="Unknown"),
    attribute("profit_margin_pct", Numeric(19, 2)),
    attribute("specifications", is_json=True),
)

dim_sales_rep = dimension(
    metadata,
    "sales_rep",
    attribute("first_name", is_personal=True),
    attribute("last_name", is_personal=True),
    attribute("full_name", unknown="Unknown", is_personal=True),
    attribute("email", is_personal=True),
    attribute("region", unknown="Unknown"),
    attribute("hire_date", Date()),
)

dim_date = Table(
    "dim_date",
    metadata,
    integer_key("date_key", Role.SMART_KEY),
    attribute("full_date", Date()),
    attribute("year", SmallInteger()),
    attribute("quarter", SmallInteger()),
    attribute("month", SmallInteger()),
    attribute("month_name", unknown="Unknown"),
    attribute("iso_week", SmallInteger()),
    attribute("day_of_month", SmallInteger()),
    attribute("day_of_week", SmallInteger()),
    attribute("day_name", unknown="Unknown"),
    attribute("is_weekend", Boolean()),
    info={"member": "date"},
)

fact_sales = fact(
    metadata,
    "fact_sales",
    "transaction_id",
    dimension_key(dim_customer),
    dimension_key(dim_product),
    dimension_key(dim_sales_rep),
    dimension_key(dim_date),
    measure("quantity", is_amount=False),
    measure("unit_price"),
    measure("discount_amount"),
    measure("gross_amount"),
    measure("net_amount"),
    measure("profit_amount", nullable=True),
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


STAR = Star(
    fact_sales,
    (
        Source(
            "customers",
            dim_customer,
            required=("customer_id",),
            optional=(
                "first_name", "last_name", "company", "email", "phone", "address", "city",
                "state", "postal_code", "country", "segment",
            ),
            path="data/customers.csv",
        ),
        Source(
            "products",
            dim_product,
            required=("product_id",),
            optional=("name", "category", "brand", "price", "cost", "specifications"),
            path="data/products.json",
        ),
        Source(
            "transactions",
            fact_sales,
            required=(
                "transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
                "unit_price",
            ),
            optional=("sales_rep_id", "discount_amount", "discount_rate"),
            other_numbers=("discount_rate",),
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

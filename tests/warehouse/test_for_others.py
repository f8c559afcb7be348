"""What other people's tools find of a star: a comment on all that is there, and two views."""

from __future__ import annotations

from pathlib import Path

import pytest

import schema
from common.descriptions import in_full, plain
from common.star_model import ADDED_LATE
from config import load_config
from main import StarSchemaETLPipeline
from support.retailer import Retailer
from support.star import Star, sources_of
from support.stores import star_with_stores
from support.summary import surprises

DAYS = "SELECT count(*) FROM dates"
RELATIONS = {table.name for table in schema.STAR.tables} | {"sales", "dates"}


def comments(star: Star) -> dict[tuple[str, str | None], str | None]:
    """By relation and column, or None for the relation itself, the comment that is on it."""
    if star.engine_name == "duckdb":
        sql = """
            SELECT table_name, column_name, comment FROM duckdb_columns()
            WHERE schema_name = current_schema() AND NOT internal
            UNION ALL SELECT table_name, NULL, comment FROM duckdb_tables()
            WHERE schema_name = current_schema()
            UNION ALL SELECT view_name, NULL, comment FROM duckdb_views()
            WHERE schema_name = current_schema() AND NOT internal"""
    else:
        sql = """
            SELECT c.relname, a.attname, pg_catalog.col_description(c.oid, a.attnum)
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v')
            UNION ALL SELECT relname, NULL, obj_description(oid, 'pg_class')
            FROM pg_class WHERE relnamespace = current_schema()::regnamespace
            AND relkind IN ('r', 'v')"""
    return {(relation, column): comment for relation, column, comment in star.rows(sql)}


def expect_declared(star: Star) -> None:
    """Everything has a comment; those of tables and their columns are as declared."""
    found = comments(star)
    assert {relation for relation, _ in found} == RELATIONS
    assert [place for place, comment in found.items() if not comment] == []
    for table in schema.STAR.tables:
        assert found[table.name, None] == plain(in_full(table))
        for column in table.columns:
            assert found[table.name, column.name] == plain(in_full(column))
    assert not any("`" in comment or "](" in comment for comment in found.values() if comment)


def test_all_that_is_there_has_a_comment(shop: Retailer) -> None:
    shop.publish()
    expect_declared(shop.star)
    found = comments(shop.star)
    assert found["dim_customer", "email"] == "valid and lower case, or empty; personal"
    assert found["sales", "customer_email"] == "customer: valid and lower case, or empty; personal"
    assert found["etl_run", "key_rules"] == (
        "version of the rules that made the star's keys; empty: 1, of release 0.1.0"
    )


def test_a_star_of_an_earlier_version_gets_comments_and_views(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    shop.publish(**sources_of("0.1.0"))
    expect_declared(shop.star)
    months = shop.star.rows("SELECT DISTINCT year_month FROM dates ORDER BY 1")
    assert months[0] == ("2023-01",)
    assert len(months) == shop.star.scalar("SELECT count(DISTINCT year) * 12 FROM dates")
    filled = "SELECT attribute, before, rows FROM etl_change WHERE table_name = 'dim_date'"
    assert shop.star.rows(filled) == [("year_month", None, shop.star.scalar(DAYS))]
    assert shop.star.column("SELECT year_month FROM dim_date WHERE date_key < 0") == ["Unknown"]


@pytest.mark.parametrize("text", ['it\'s 50% of :all\\ there; -- "really"', "%(x)s %s {}", "é ∞ ∑"])
def test_what_a_comment_says_is_no_part_of_a_statement(
    shop: Retailer, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schema.dim_product.c.brand.info, "description", text)
    shop.publish()
    assert comments(shop.star)["dim_product", "brand"] == text
    assert comments(shop.star)["sales", "brand"] == f"product: {text}"


def test_the_comment_on_a_column_that_came_late_goes_on_saying_so(shop: Retailer) -> None:
    """Whether a version before 0.7.0 added it, or this one."""
    drop = "ALTER TABLE fact_sales DROP COLUMN discount_amount"
    shop.publish()
    shop.star.execute(drop)
    shop.sales = shop.sales[:1]
    late = f"in money, for the whole line; {ADDED_LATE}"
    for found in (late, ADDED_LATE, late):
        shop.publish_in_full()
        assert comments(shop.star)["fact_sales", "discount_amount"] == late
        assert shop.star.scalar("SELECT count(*) FROM fact_sales WHERE discount_amount IS NULL")
        shop.star.execute(f"COMMENT ON COLUMN fact_sales.discount_amount IS '{found}'")


def test_a_comment_that_somebody_wrote_stays(shop: Retailer) -> None:
    shop.publish()
    shop.star.execute(
        "COMMENT ON COLUMN dim_product.brand IS 'ask Eve'",
        "COMMENT ON COLUMN dim_product.category IS NULL",
        "COMMENT ON TABLE dim_product IS 'what we sell'",
        "COMMENT ON COLUMN sales.brand IS 'ask Eve, too'",
    )
    shop.publish_in_full()
    found = comments(shop.star)
    assert found["dim_product", "brand"] == "ask Eve"
    assert found["dim_product", "category"] == "as given, or Unknown"
    assert found["dim_product", None] == "what we sell"
    assert found["sales", "brand"] == "ask Eve, too"


# --- the views ------------------------------------------------------------------------------


def columns_of(star: Star, relation: str) -> list[str]:
    """The columns of a table or view, in their order."""
    with star.connection() as connection:
        return list(connection.exec_driver_sql(f"SELECT * FROM {relation}").keys())


SUMS = "SELECT count(*), sum(quantity), sum(net_amount), sum(profit_amount) FROM "


def test_the_view_has_every_sale_once_under_readable_names(shop: Retailer) -> None:
    shop.sales += [
        shop.sales[0] | {"transaction_id": "T8", "customer_id": "", "sales_rep_id": ""},
        shop.sales[0] | {"transaction_id": "T9", "customer_id": "nobody", "product_id": "P9"},
    ]
    shop.publish()
    assert shop.star.row(SUMS + "sales") == shop.star.row(SUMS + "fact_sales")
    assert shop.star.scalar("SELECT count(*) FROM sales") == 5
    names = columns_of(shop.star, "sales")
    assert names[:3] == ["transaction_id", "full_date", "year"]
    assert {"category", "customer_email", "sales_rep_email", "net_amount"} <= set(names)
    assert shop.star.rows(
        "SELECT transaction_id, year_month, customer_full_name, product_name, sales_rep_id "
        "FROM sales WHERE transaction_id IN ('T1', 'T8', 'T9') ORDER BY 1"
    ) == [
        ("T1", "2024-02", "Ada Lovelace", "Lamp", "grace_hopper"),
        ("T8", "2024-02", "Unknown", "Lamp", ""),
        ("T9", "2024-02", "Customer nobody", "Product P9", "grace_hopper"),
    ]


def test_the_dates_can_be_marked_as_a_date_table(shop: Retailer) -> None:
    shop.publish()
    days = "count(*), count(DISTINCT full_date), min(full_date), max(full_date)"
    number, different, first, last = shop.star.row(f"SELECT {days} FROM dates")
    assert number == different == (last - first).days + 1 == 366
    assert (first.month, first.day, last.month, last.day) == (1, 1, 12, 31)
    assert columns_of(shop.star, "dates") == columns_of(shop.star, "dim_date")
    every = "SELECT count(*) FROM fact_sales f JOIN dates d ON d.date_key = f.date_key"
    assert shop.star.scalar(every) == 3


def test_a_view_that_somebody_dropped_comes_back(shop: Retailer) -> None:
    """On a night of the same input, too."""
    shop.publish()
    shop.star.execute("DROP VIEW sales")
    again = shop.publish()
    assert again["warnings"] == []
    expect_declared(shop.star)
    shop.star.execute("DROP VIEW dates")
    shop.publish_in_full()
    expect_declared(shop.star)


def test_a_table_or_view_of_that_name_which_is_not_ours_stays(shop: Retailer) -> None:
    if shop.star.schema:
        shop.star.execute(f'CREATE SCHEMA "{shop.star.schema}"')
    shop.star.execute(
        "CREATE TABLE sales (mine INTEGER)",
        "INSERT INTO sales VALUES (7)",
        "CREATE VIEW dates AS SELECT mine FROM sales",
    )
    for _ in range(2):
        told = [w for w in shop.publish_in_full()["warnings"] if "not this application's" in w]
        assert [text.split(" in schema")[0] for text in told] == ["table sales", "view dates"]
        assert shop.star.rows("SELECT mine FROM dates") == [(7,)]
    shop.star.execute("DROP VIEW dates", "ALTER TABLE sales RENAME TO till")
    assert shop.publish()["warnings"] == []
    expect_others = {("till", None): None, ("till", "mine"): None}
    found = comments(shop.star)
    assert {place: found.pop(place) for place in expect_others} == expect_others
    assert {relation for relation, _ in found} == RELATIONS


def older(star: Star, taken: str) -> None:
    """The view as a version made it that had not `taken`, and had another column in the middle."""
    names = [name for name in columns_of(star, "sales") if name != taken]
    names.insert(1, "category AS kind")
    comment = comments(star)["sales", None]
    star.execute(
        "ALTER VIEW sales RENAME TO now",
        f"CREATE VIEW sales AS SELECT {', '.join(names)} FROM now",
        f"COMMENT ON VIEW sales IS '{comment}'",
    )


def test_a_view_gets_new_columns_and_loses_old_ones(shop: Retailer) -> None:
    shop.publish()
    names = columns_of(shop.star, "sales")
    older(shop.star, "quantity")
    shop.publish_in_full(MAX_REJECT_RATE="0.9")
    names.remove("quantity")
    assert columns_of(shop.star, "sales") == [*names, "quantity"]
    assert all(comments(shop.star)["sales", name] for name in names)


def test_the_view_follows_a_star_that_gets_a_dimension(shop: Retailer, tmp_path: Path) -> None:
    """Stores have a city, as customers have: that of customers is called otherwise from then on."""
    shop.publish()
    before = columns_of(shop.star, "sales")
    assert "city" in before
    stores = tmp_path / "stores.csv"
    stores.write_text("store_id,city\nS1,Rome\n", encoding="utf-8")
    more = {"store_id": "S1", "tax_amount": "1.9", "order_number": "4711"}
    shop.sales = [sale | more for sale in shop.sales]
    settings = shop.settings(STORES__PATH=stores)
    config = load_config(None, settings, star_with_stores())
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert (results["errors"], surprises(results)) == ([], [])
    names = columns_of(shop.star, "sales")
    assert names[: len(before) - 1] == [name for name in before if name != "city"]
    assert {"customer_city", "store_city", "store_id", "tax_amount", "order_number"} <= set(names)
    rows = "SELECT transaction_id, customer_city, store_city, order_number FROM sales ORDER BY 1"
    assert shop.star.rows(rows)[:2] == [
        ("T1", "London", "Rome", "4711"), ("T2", "Munich", "Rome", "4711"),
    ]  # fmt: skip
    assert shop.star.row(SUMS + "sales") == shop.star.row(SUMS + "fact_sales")
    found = comments(shop.star)
    assert [place for place, comment in found.items() if not comment] == []
    assert found["dim_store", None] == "one row per store; key -1 is Unknown"
    assert found["fact_sales", "tax_amount"] == "tax amount"
    assert found["sales", "store_city"] == "store: city"

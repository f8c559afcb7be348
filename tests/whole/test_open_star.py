"""`open_star`: the star as frames, on both engines."""

from __future__ import annotations

import os
import signal
import threading
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import schema
from errors import BusyError, RequestError, WarehouseError
from main import StarSchemaETLPipeline
from star import open_star
from support.disturbances import meanwhile
from support.retailer import Retailer
from support.tables import drawn
from support.waiting import wait_until
from warehouse import reading
from warehouse.questions import Question

TABLES = ["dim_customer", "dim_product", "dim_sales_rep", "dim_date", "fact_sales"]


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows of an Arrow table."""
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("name", [*TABLES, "etl_run", "etl_change"])
def test_each_table_is_there_with_all_its_rows_and_columns(shop: Retailer, name: str) -> None:
    shop.publish()
    found = getattr(open_star(shop.config()), name).arrow()
    columns = schema.metadata.tables[name].columns.keys()
    assert found.column_names == columns
    assert found.num_rows == shop.star.scalar(f"SELECT count(*) FROM {name}")
    if not name.startswith("etl"):
        told = shop.star.rows(f"SELECT {', '.join(columns)} FROM {name}")
        assert sorted(rows_of(found), key=repr) == sorted(told, key=repr)


def test_values_keep_their_types(shop: Retailer) -> None:
    """Amounts are decimals to the last digit, ids text, dates dates; what is missing is missing."""
    shop.customers[0]["customer_id"] = "007"
    for sale in shop.sales:
        sale["customer_id"] = sale["customer_id"].replace("C1", "007")
    shop.sales[0]["unit_price"] = "1234567890.1234"
    shop.publish()
    star = open_star(shop.config())
    sales = star.fact_sales.arrow()
    types = {name: sales.schema.field(name).type for name in sales.column_names}
    assert types["net_amount"] == types["unit_cost"] == pa.decimal128(19, 4)
    assert (types["transaction_id"], types["date_key"]) == (pa.string(), pa.int32())
    frame = star.fact_sales.df().set_index("transaction_id")
    assert frame.net_amount["T1"] == Decimal("2469135780.2468")
    assert frame.net_amount.sum() == shop.star.scalar("SELECT sum(net_amount) FROM fact_sales")
    by_date = frame.groupby("date_key").net_amount.sum()
    assert by_date[20240229] == Decimal("2469135780.2468")
    people = star.dim_customer.df().set_index("customer_id")
    assert people.first_name["007"] == "Ada"
    assert (people.is_deleted.dtype, bool(people.is_inferred["007"])) == ("boolean", False)
    days = star.dates.df()
    assert days.full_date[0] == date(2024, 1, 1)
    assert days.year.dtype == "Int16"
    assert star.dim_date.df().year.isna().sum() == 1  # of the unknown day
    assert star.fact_sales.df(floats=True).net_amount.dtype == float


def test_polars_has_the_same(shop: Retailer) -> None:
    import polars as pl

    shop.publish()
    sales = open_star(shop.config()).fact_sales.polars()
    assert sales.schema["net_amount"] == pl.Decimal(19, 4)
    total = shop.star.scalar("SELECT sum(net_amount) FROM fact_sales")
    assert sales["net_amount"].sum() == total
    assert open_star(shop.config()).dates.polars().schema["full_date"] == pl.Date


def test_without_polars_it_is_said_how_to_get_it(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb_shop.publish()
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(RequestError, match="pip install polars"):
        open_star(duckdb_shop.config()).fact_sales.polars()


def test_sales_are_summed_up_by_readable_names(shop: Retailer) -> None:
    shop.publish()
    found = open_star(shop.config()).sales(by=["year", "category"]).arrow()
    assert found.column_names == [
        "year", "category", "sales", "quantity", "discount_amount", "gross_amount", "net_amount",
        "profit_amount",
    ]  # fmt: skip
    assert rows_of(found) == shop.star.rows("""
        SELECT d.year, p.category, count(*), sum(quantity), sum(discount_amount),
               sum(gross_amount), sum(net_amount), sum(profit_amount)
        FROM fact_sales JOIN dim_date d USING (date_key) JOIN dim_product p USING (product_key)
        GROUP BY d.year, p.category ORDER BY d.year, p.category
    """)
    assert found.schema.field("net_amount").type == pa.decimal128(38, 4)
    total = open_star(shop.config()).sales(by=[]).df()
    assert total.sales.tolist() == [3]
    assert total.net_amount[0] == shop.star.scalar("SELECT sum(net_amount) FROM fact_sales")


def test_without_names_each_sale_has_what_is_known_of_its_members(shop: Retailer) -> None:
    shop.publish()
    found = open_star(shop.config()).sales().df().set_index("transaction_id")
    assert len(found) == 3
    first = found.loc["T1"]
    assert [first[n] for n in ("full_date", "customer_id", "product_name", "region")] == [
        date(2024, 2, 29), "C1", "Lamp", "Unassigned",
    ]  # fmt: skip
    assert {"customer_email", "sales_rep_email"} <= {*found.columns}


def test_amounts_of_several_currencies_are_not_added_up(shop: Retailer) -> None:
    for sale, currency in zip(shop.sales, ["EUR", "USD", "EUR"], strict=True):
        sale["currency"] = currency
    shop.sales += [{**shop.sales[0], "transaction_id": "T9", "currency": "CHF"}]
    shop.publish()
    star = open_star(shop.config())
    found = star.sales(by="year").arrow()
    assert found.select(["year", "currency", "sales"]).to_pylist() == [
        {"year": 2024, "currency": "CHF", "sales": 1},
        {"year": 2024, "currency": "EUR", "sales": 2},
        {"year": 2024, "currency": "USD", "sales": 1},
    ]
    assert found.column("net_amount").to_pylist() == shop.star.column(
        "SELECT sum(net_amount) FROM fact_sales GROUP BY currency ORDER BY currency"
    )
    assert star.sales(by=["currency"]).arrow().num_rows == 3
    assert "3 rows" in repr(star.sales(by="currency"))


@pytest.mark.parametrize("name", ["categry", "product_category", "net_amount"])
def test_a_name_that_is_none_is_refused_with_those_like_it(
    duckdb_shop: Retailer, name: str
) -> None:
    with pytest.raises(RequestError, match=r"category"):
        open_star(duckdb_shop.config()).sales(by=["year", name])


def test_a_table_that_is_none_is_told_with_those_like_it(duckdb_shop: Retailer) -> None:
    star = open_star(duckdb_shop.config())
    with pytest.raises(AttributeError, match="did you mean fact_sales"):
        _ = star.fact_sale
    assert {*TABLES, "etl_run", "dates", "sales", "sql"} <= {*dir(star)}
    assert "fact_sales" in repr(star)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("SELECT 'a:b 10:30 :x 50%' AS t, 7 % 4 AS r;", None, [("a:b 10:30 :x 50%", 3)]),
        ("SELECT ':x 50%' AS t, :x AS x -- :y\n", {"x": "it's %s"}, [(":x 50%", "it's %s")]),
        ("SELECT CAST(:d AS date), 1::int AS i", {"d": "2024-02-29"}, [(date(2024, 2, 29), 1)]),
        ("SELECT CAST(NULL AS date) AS d, NULL AS n", None, [(None, None)]),
        ("SELECT CAST(NULL AS text) AS only", None, [(None,)]),
        ("SELECT '' AS only UNION ALL SELECT NULL ORDER BY 1", None, [("",), (None,)]),
        ("SELECT 1 AS a, 2 AS a", None, [(1, 2)]),
        ("SELECT true AS a, false AS b, 'x' || chr(10) || '\"' AS c", None,
         [(True, False, 'x\n"')]),
        ("SELECT count(*) AS n FROM fact_sales WHERE transaction_id = ANY(:ids)",
         {"ids": ["T1", "T3", "T9"]}, [(2,)]),
        ("WITH n AS (SELECT 1.50 AS x) SELECT x FROM n WHERE false", None, []),
    ],
)  # fmt: skip
def test_a_question_is_answered_as_it_stands(
    shop: Retailer, text: str, values: Any, expected: list[tuple[Any, ...]]
) -> None:
    shop.publish()
    asked = open_star(shop.config()).sql(text, values)
    assert rows_of(asked.arrow()) == expected
    assert len(asked.df()) == len(expected)
    assert f"{len(expected)} rows" in repr(asked)


def test_sums_of_a_question_are_exact(shop: Retailer) -> None:
    shop.publish()
    star = open_star(shop.config())
    found = star.sql("SELECT sum(net_amount) AS net, sum(quantity) AS n FROM fact_sales").arrow()
    assert found.schema.field("net").type == pa.decimal128(38, 4)
    assert rows_of(found) == shop.star.rows("SELECT sum(net_amount), sum(quantity) FROM fact_sales")


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM fact_sales", "UPDATE dim_customer SET city = 'x'", "DROP TABLE fact_sales",
        "CREATE TABLE mine (a int)", "INSERT INTO dim_date (date_key) VALUES (1)",
        "WITH gone AS (DELETE FROM fact_sales RETURNING *) SELECT * FROM gone",
        "SELECT 1; COMMIT; DELETE FROM fact_sales", "", " ; -- nothing", "COMMIT",
        "SELECT nothing FROM fact_sales", "SELEC 1", "SELECT * FROM nowhere",
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_and_changes_nothing(shop: Retailer, text: str) -> None:
    shop.publish()
    before = shop.star.digest()
    with pytest.raises(RequestError):
        open_star(shop.config()).sql(text).arrow()
    assert shop.star.digest() == before


def test_a_server_that_is_lost_is_no_fault_of_the_question(postgresql_shop: Retailer) -> None:
    postgresql_shop.publish()
    star = open_star(postgresql_shop.config())
    with pytest.raises(WarehouseError, match="terminating connection"):
        star.sql("SELECT pg_terminate_backend(pg_backend_pid())").df()
    assert len(star.fact_sales.df()) == 3


@pytest.mark.parametrize(
    ("text", "values"),
    [("SELECT :x", {"y": 1}), ("SELECT :x, :y", {"x": 1}), ("SELECT 1", {"x": 1})],
)
def test_names_and_values_belong_together(
    duckdb_shop: Retailer, text: str, values: dict[str, int]
) -> None:
    with pytest.raises(RequestError, match=r":[xy]"):
        open_star(duckdb_shop.config()).sql(text, values)


def test_without_a_star_it_is_said_how_to_make_it(shop: Retailer) -> None:
    star = open_star(shop.config())
    for frame in (star.fact_sales, star.sales(), star.sales(by="year"), star.dates):
        with pytest.raises(WarehouseError, match="there is no star yet"):
            frame.df()
        assert "there is no star yet" in repr(frame)
        assert "there is no star yet" in frame._repr_html_()


def test_an_empty_star_has_its_columns(shop: Retailer) -> None:
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
    )
    shop.publish()
    star = open_star(shop.config())
    assert star.fact_sales.df().empty
    assert star.fact_sales.arrow().schema.field("net_amount").type == pa.decimal128(19, 4)
    found = star.sales(by=["year", "category"]).arrow()
    assert (found.num_rows, found.column_names[:3]) == (0, ["year", "category", "sales"])
    assert star.sales().polars().is_empty()


def test_a_run_can_start_right_after_a_frame_was_asked_for(shop: Retailer) -> None:
    """In the same process, between the same objects."""
    shop.publish()
    star = open_star(shop.config())
    sales = star.fact_sales
    assert len(sales.df()) == 3
    shop.sales.append({**shop.sales[0], "transaction_id": "T4"})
    shop.publish()
    assert len(sales.df()) == 4
    assert star.sales(by="year").df().sales.tolist() == [4]


def test_two_threads_ask_at_once(shop: Retailer) -> None:
    shop.publish()
    star = open_star(shop.config())
    found: list[Any] = []

    def ask() -> None:
        for _ in range(5):
            try:
                found.append(int(star.sales(by=[]).df().sales[0]))
            except Exception as error:  # noqa: BLE001  # it is looked at below
                found.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 10


def test_a_second_reader_works_beside_one_that_needs_the_disk(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    config = duckdb_shop.config()
    found: list[int] = []

    def ask(piece: pa.Table) -> None:
        if not found:
            assert list((duckdb_shop.folder / "work").iterdir())
            found.append(len(open_star(config).fact_sales.df()))

    large = Question.of("SELECT range, hash(range) AS h FROM range(20000000) ORDER BY h")
    with reading(config) as warehouse:
        warehouse.ask(large.first(19_000_000), ask)
    assert found == [3]


def test_an_interruption_ends_the_question(postgresql_shop: Retailer) -> None:
    """As of a notebook: the server is not waited for, and nobody stays connected."""
    postgresql_shop.publish()
    star = open_star(postgresql_shop.config())
    waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(601)%'"
    busy = f"{waits} AND state = 'active' AND pid <> pg_backend_pid()"

    def interrupt() -> None:
        wait_until(lambda: postgresql_shop.star.scalar(busy) > 0, "the server sleeps")
        os.kill(os.getpid(), signal.SIGINT)

    with meanwhile(interrupt), pytest.raises(KeyboardInterrupt):
        star.sql("SELECT pg_sleep(601)").df()
    wait_until(lambda: postgresql_shop.star.scalar(busy) == 0, "the statement has ended")
    assert len(star.fact_sales.df()) == 3


def test_while_a_run_has_the_file_it_is_said_so(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    told: list[str] = []

    class Asking(StarSchemaETLPipeline):
        def _run_validation_phase(self, *given: Any) -> Any:
            star = open_star(duckdb_shop.config())
            with pytest.raises(BusyError, match="in use"):
                star.fact_sales.df()
            told.append(repr(star.fact_sales))
            return super()._run_validation_phase(*given)

    results = duckdb_shop.run(Asking, MAX_REJECT_RATE="0.9")
    assert results["status"] == "published"
    assert "in use" in told[0]


def test_only_the_first_rows_are_shown(shop: Retailer) -> None:
    shop.sales += [{**shop.sales[0], "transaction_id": f"X{n}"} for n in range(20)]
    shop.customers[0]["first_name"] = "<b>Ada</b>"
    shop.publish()
    star = open_star(shop.config())
    assert "fact_sales: the first 10 rows" in repr(star.fact_sales)
    assert star.fact_sales._repr_html_().count("<tr") == 11
    assert "&lt;b&gt;Ada" in star.dim_customer._repr_html_()
    assert "the first 10 rows" in repr(star.sql("SELECT * FROM fact_sales -- all"))


def test_a_star_of_an_earlier_version_is_read_as_far_as_it_goes(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    star = open_star(shop.config())
    found = star.fact_sales.arrow()
    assert found.num_rows > 0
    assert "line_number" not in found.column_names
    with pytest.raises(WarehouseError, match=r"lacks .*fact_sales\.currency"):
        star.sales(by="category").df()
    with pytest.raises(WarehouseError, match="the next run makes it"):
        star.etl_change.df()


def test_one_frame_of_pandas_is_made_with_the_database_closed(duckdb_shop: Retailer) -> None:
    """Nothing that was returned holds the file."""
    duckdb_shop.publish()
    frame = open_star(duckdb_shop.config()).sales().arrow()
    duckdb_shop.publish_in_full()
    assert isinstance(frame.to_pandas(), pd.DataFrame)


def test_a_table_drawn_again_is_the_same(shop: Retailer) -> None:
    """An id that is a number, text with quotes, and one that is empty."""
    shop.products[0]["name"] = 'Lamp "big", 50% \\N'
    shop.customers += drawn("""
        customer_id | first_name | last_name | email | city | country | segment
        1e5         | NULL       | \\N       |       | ;    |         |
    """)
    shop.publish()
    star = open_star(shop.config())
    for name in ("dim_product", "dim_customer"):
        table = schema.metadata.tables[name]
        told = shop.star.rows(f"SELECT {', '.join(table.columns.keys())} FROM {name}")
        found = rows_of(getattr(star, name).arrow())
        assert sorted(found, key=repr) == sorted(told, key=repr)

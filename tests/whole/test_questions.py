"""Questions in SQL that somebody wrote: what is understood, what is refused, what frames hold."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from errors import RequestError
from star import open_star
from support.retailer import Retailer

HIDDEN = [
    "SELECT 1 AS a$b$; {} SELECT 1 AS a$b$",  # a name, and no text between dollars
    "SELECT 1 AS €e'\\'; {} SELECT \\'x'",
    "SELECT 'x\\'' ; {} --'",
    "SELECT 1 /* /* */ ' */ ; {} -- '",
]
"""Questions that hide other statements, as some understand the text and others do not."""


@pytest.mark.parametrize("text", HIDDEN)
def test_no_statement_hides_in_a_question(shop: Retailer, text: str) -> None:
    shop.publish()
    url = sa.make_url(shop.star.url)
    if shop.star.engine_name == "postgresql":  # as some databases still have it
        url = url.update_query_dict({"options": "-c standard_conforming_strings=off"})
    facts = f'"{shop.star.schema or "main"}".fact_sales'
    written = f"COMMIT; BEGIN READ WRITE; UPDATE {facts} SET quantity = 0; COMMIT;"
    before = shop.star.digest()
    config = shop.config(WAREHOUSE_URL=url.render_as_string(hide_password=False))
    with suppress(RequestError):  # most of them are none
        open_star(config).sql(text.format(written)).arrow()
    assert shop.star.digest() == before


def test_what_is_no_question_is_not_even_sent(shop: Retailer, tmp_path: Path) -> None:
    """A superuser's COPY writes a file in a transaction that is for reading only."""
    shop.publish()
    out = tmp_path / "out.csv"
    for text in (f"COPY (SELECT 1) TO '{out}'", "LOCK TABLE fact_sales", "CHECKPOINT"):
        with pytest.raises(RequestError, match=r"is no question|syntax error"):
            open_star(shop.config()).sql(text).arrow()
    assert not out.exists()
    assert open_star(shop.config()).sql("explain SELECT 1").arrow().num_rows > 0


@pytest.mark.parametrize(
    "text",
    [
        "SELECT/* a remark; */7/* /* with one in it */ */AS n",
        "SELECT 7 -- to the end: ' ;\r AS n",
        "/* first */ (SELECT 7 AS n)",
    ],
)
def test_a_remark_is_a_blank(shop: Retailer, text: str) -> None:
    shop.publish()
    assert open_star(shop.config()).sql(text).arrow().to_pydict() == {"n": [7]}


def test_columns_of_one_name_are_told_apart(shop: Retailer) -> None:
    """However many there are, and where a name that is made for one is that of another."""
    shop.publish()
    star = open_star(shop.config())
    found = star.sql("SELECT 1 AS a_2, 2 AS a, 3 AS a, 4 AS a, 5 AS a_2").arrow()
    assert found.column_names == ["a_2", "a", "a_3", "a_4", "a_2_2"]
    many = ", ".join(["1 AS a"] * 1500)
    assert len({*star.sql(f"SELECT {many}").arrow().column_names}) == 1500


def test_a_remark_without_an_end_is_refused(duckdb_shop: Retailer) -> None:
    with pytest.raises(RequestError, match="not ended"):
        open_star(duckdb_shop.config()).sql("SELECT 1 /* /* */")


def test_facts_are_turned_where_the_engine_can(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    turned = "PIVOT sales ON category USING sum(net_amount) GROUP BY year"
    asked = open_star(duckdb_shop.config()).sql(turned)
    assert asked.arrow().column_names == ["year", "Home", "Office"]
    assert "Office" in repr(asked)


@pytest.mark.parametrize(
    "given",
    [
        ["T1", "T3"], np.array(["T1", "T3"]), pd.Series(["T1", "T3"]),
        [np.str_("T1"), np.str_("T3")], pd.array(["T1", "T3", pd.NA]),
    ],
)  # fmt: skip
def test_values_may_come_from_a_frame(shop: Retailer, given: Any) -> None:
    shop.publish()
    text = "SELECT count(*) AS n FROM fact_sales WHERE transaction_id = ANY(:ids)"
    assert open_star(shop.config()).sql(text, {"ids": given}).arrow().to_pydict() == {"n": [2]}


@pytest.mark.parametrize("missing", [None, pd.NaT, pd.NA])
def test_what_is_missing_in_a_frame_is_null(shop: Retailer, missing: Any) -> None:
    shop.publish()
    text = "SELECT CAST(:day AS date) IS NULL AS n"
    assert open_star(shop.config()).sql(text, {"day": missing}).arrow().to_pydict() == {"n": [True]}


@pytest.mark.parametrize("value", [object(), {1}, {"a": 1}])
def test_a_value_that_cannot_be_bound_is_refused(duckdb_shop: Retailer, value: Any) -> None:
    with pytest.raises(RequestError, match=f"the value of :x is a {type(value).__name__}"):
        open_star(duckdb_shop.config()).sql("SELECT :x", {"x": value})


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("SELECT CAST('24:00:00' AS time) AS x", "df"),
        ("SELECT CAST('infinity' AS date) AS x", "df"),
        ("SELECT union_value(num := 2) AS x", "df"),
        ("SELECT INTERVAL '1 month' AS x", "polars"),
    ],
)
def test_what_a_library_cannot_hold_is_told(duckdb_shop: Retailer, text: str, method: str) -> None:
    duckdb_shop.publish()
    asked = open_star(duckdb_shop.config()).sql(text)
    assert asked.arrow().num_rows == 1
    with pytest.raises(RequestError, match="cannot hold a value of the answer"):
        getattr(asked, method)()
    assert (method == "polars") != ("cannot hold" in repr(asked))
    assert (method == "polars") != ("cannot hold" in asked._repr_html_())


def test_polars_has_no_decimals_of_more_than_38_digits(postgresql_shop: Retailer) -> None:
    postgresql_shop.publish()
    asked = open_star(postgresql_shop.config()).sql("SELECT CAST(1e40 AS numeric) + 0.5 AS x")
    assert str(asked.df().x[0]) == f"1{'0' * 40}.5"
    with pytest.raises(RequestError, match="38 digits"):
        asked.polars()


@pytest.mark.parametrize("by", [5, [None], b"year"])
def test_names_that_are_no_text_are_refused(duckdb_shop: Retailer, by: Any) -> None:
    with pytest.raises(RequestError, match="sales are not known by"):
        open_star(duckdb_shop.config()).sales(by=by)

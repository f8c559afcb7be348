"""Missing is not unreadable: each cell is a value, none, or unreadable, whoever reads it.

What must come of a cell stands in a table here, column by column. Every column has cells of all
kinds beside each other, since a fault of one kind was once hidden by its neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from common.values import UNREADABLE, unreadable
from config import load_config
from support.formats import write_duckdb, write_files, write_postgresql, write_sqlite
from support.retailer import Retailer
from support.tables import Row, csv_rows
from transform import StarSchemaTransformer

MISSING = ("", " ", "NULL", "\\N", None)
ERROR = unreadable("#N/A")
"""As typed readers write a cell that holds no value that can be read."""


@dataclass(frozen=True)
class Column:
    """What comes of the cells of a column: `given` is stored as `stored`; a missing cell and an
    unreadable one as what is named. A text in capitals is a reason for a reject.
    """

    star: str
    given: str
    stored: Any
    missing: Any
    unreadable: tuple[str, ...] = ()
    refused: str = ""
    """The reason why a row with an unreadable cell is refused; '' where the cell is counted."""
    refused_when_missing: str = ""


@dataclass(frozen=True)
class Source:
    """A source's key, a row without fault, and its columns."""

    table: str
    key: str
    row: Row
    columns: dict[str, Column]


NO_NUMBERS = ("x", "1_000", "NaN", "0,350", "1,50", "12.5 CR", "1e400", "--5")
NO_DATES = ("soon", "03/04/2024", "2024-02-30", "1710460800", "2024-02-29 10:00 EST")
SOURCES = {
    "customers": Source(
        "dim_customer", "customer_id",
        {"first_name": "Ada", "last_name": "Lovelace", "company": "Engines", "email": "a@gmail.com",
         "phone": "(212) 555-0123", "address": "1 Elm St", "city": "Paris", "state": "NA",
         "postal_code": "02108", "country": "US", "segment": "Corporate"},
        {"first_name": Column("first_name", "ADA", "Ada", None),
         "last_name": Column("last_name", "lovelace", "Lovelace", None),
         "company": Column("company", "NA", "NA", None),
         "email": Column("email", "B@EXA.ORG", "b@exa.org", None, ("a@", "a b@exa.org")),
         "phone": Column("phone", "2125550123", "(212) 555-0123", None),
         "city": Column("city", "Rome", "Rome", None),
         "state": Column("state", "NA", "NA", None),
         "postal_code": Column("postal_code", "007", "007", None),
         "country": Column("country", "DE", "DE", None),
         "segment": Column("segment", "SMALL", "Small", "Consumer")},
    ),
    "products": Source(
        "dim_product", "product_id",
        {"name": "Lamp", "category": "Home", "brand": "Lux", "price": "100", "cost": "60",
         "specifications": '{"a":1}'},
        {"name": Column("product_name", "Pen", "Pen", "Product {key}"),
         "category": Column("category", "Office", "Office", "Unknown"),
         "brand": Column("brand", "Ink", "Ink", "Unknown"),
         "price": Column("price", "$1,250.5", Decimal("1250.5"), None, (*NO_NUMBERS, "-1")),
         "cost": Column("cost", "5", Decimal(5), Decimal(70), (*NO_NUMBERS, "-1")),
         "specifications": Column("specifications", "words", '"words"', None)},
    ),
    "sales_reps": Source(
        "dim_sales_rep", "sales_rep_id",
        {"first_name": "Grace", "last_name": "Hopper", "email": "g@exa.org", "region": "North",
         "hire_date": "2001-02-03"},
        {"first_name": Column("first_name", "GRACE", "Grace", None),
         "email": Column("email", "H@EXA.ORG", "h@exa.org", None, ("a@", "@")),
         "region": Column("region", "South", "South", "Unassigned"),
         "hire_date": Column("hire_date", "20020304", "2002-03-04", None, NO_DATES)},
    ),
    "transactions": Source(
        "fact_sales", "transaction_id",
        {"transaction_date": "2024-02-29", "customer_id": "C", "product_id": "P",
         "sales_rep_id": "R", "quantity": "2", "unit_price": "100", "discount_amount": "5",
         "discount_rate": "0.5"},
        {"transaction_date": Column("date_key", "20240301", 20240301, None, NO_DATES,
                                    "invalid_date", "invalid_date"),
         "quantity": Column("quantity", "1.5", Decimal("1.5"), None, NO_NUMBERS,
                            "invalid_quantity", "invalid_quantity"),
         "unit_price": Column("unit_price", "$7", Decimal(7), None, NO_NUMBERS,
                              "invalid_unit_price", "invalid_unit_price"),
         "discount_amount": Column("discount_amount", "3", Decimal(3), Decimal(100),
                                   (*NO_NUMBERS, "10%"), "invalid_discount"),
         "customer_id": Column("customer_id", "D", "D", "", (), "invalid_text"),
         "sales_rep_id": Column("sales_rep_id", "NA", "NA", "", (), "invalid_text"),
         "product_id": Column("product_id", "Q", "Q", None, (), "invalid_text", "missing_key")},
    ),
}  # fmt: skip
RATE = Column("discount_amount", "10 %", Decimal(20), Decimal(0), ("110%", "x", "0,350", "$0.5"),
              "invalid_discount")  # fmt: skip
"""Looked at where no amount is given."""


@dataclass(frozen=True)
class Case:
    """A row with one cell to look at, and what must come of it."""

    source: str
    row: Row
    column: str
    star: str
    expected: Any = None
    reason: str = ""
    is_counted: bool = False


def cases(source: str, *, with_marks: bool) -> list[Case]:
    """Every kind of cell in every column of a source, each in a row of its own."""
    known, found = SOURCES[source], []
    columns = [(name, column, known.row) for name, column in known.columns.items()]
    if source == "transactions":
        columns.append(("discount_rate", RATE, known.row | {"discount_amount": None}))
    for name, column, usual in columns:
        marked = (ERROR, UNREADABLE) if with_marks else ()
        cells: list[tuple[str | None, Any, str, bool]] = [(column.given, column.stored, "", False)]
        cells += [(cell, column.missing, column.refused_when_missing, False) for cell in MISSING]
        cells += [
            (cell, None, column.refused, not column.refused)
            for cell in (*column.unreadable, *marked)
        ]
        for number, (cell, stored, reason, is_counted) in enumerate(cells):
            key = f"{name}-{number}"
            row = {known.key: key, **usual, name: cell}
            value = stored.format(key=key) if isinstance(stored, str) else stored
            found.append(Case(source, row, name, column.star, value, reason, is_counted))
    return found


def counted(those: list[Case]) -> dict[str, int]:
    """How many cells of each attribute are unreadable."""
    return dict(Counter(case.column for case in those if case.is_counted))


def transformer() -> StarSchemaTransformer:
    return StarSchemaTransformer(load_config(env_file=None, environment={}))


def shown(value: Any) -> Any:
    """A value as the table above writes it: dates as texts."""
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["plain", "encoded", "encoded with its nulls among its values"])
def test_each_kind_of_cell_has_its_outcome_however_the_column_is_stored(
    source: str, form: str
) -> None:
    those = cases(source, with_marks=True)
    batch = pa.Table.from_pylist([case.row for case in those])
    if form != "plain":
        nulls = "encode" if "nulls" in form else "mask"
        batch = pa.table(
            {n: batch[n].combine_chunks().dictionary_encode(nulls) for n in batch.column_names}
        )
    prepared = transformer().prepare_batch(source, 0, batch)
    key = SOURCES[source].key
    rows = {row[key]: row for row in prepared.rows.to_pylist()}
    reasons = dict(zip(prepared.rejects["_place"].to_pylist(),
                       prepared.rejects["_reason"].to_pylist(), strict=True))  # fmt: skip
    for place, case in enumerate(those):
        assert reasons.get(place, "") == case.reason, case
        if not case.reason:
            assert shown(rows[case.row[key]][case.star]) == case.expected, case
    assert prepared.issues == counted(those)


def test_an_unreadable_cost_is_not_estimated_and_a_missing_one_is() -> None:
    rows = {"product_id": ["1", "2", "3", "4"], "price": ["10"] * 4,
            "cost": ["x", None, "NULL", ERROR]}  # fmt: skip
    prepared = transformer().prepare_batch("products", 0, pa.table(rows)).rows
    assert prepared["is_cost_estimated"].to_pylist() == [False, True, True, False]
    assert prepared["cost"].to_pylist() == [None, Decimal(7), Decimal(7), None]


@pytest.mark.parametrize("source", SOURCES)
def test_an_unreadable_key_is_refused_and_its_cell_is_shown_without_our_mark(source: str) -> None:
    key = SOURCES[source].key
    rows = [SOURCES[source].row | {key: cell} for cell in (ERROR, "A-" + ERROR, UNREADABLE, "K")]
    prepared = transformer().prepare_batch(source, 0, pa.Table.from_pylist(rows))
    assert prepared.rejects["_reason"].to_pylist() == ["invalid_text"] * 3
    details = prepared.rejects["_detail"].to_pylist()
    assert details == [f"{key}: #N/A", f"{key}: A-#N/A", f"{key}: "]
    assert prepared.rows[key].to_pylist() == ["K"]


def test_a_long_cell_is_shown_in_part() -> None:
    row = SOURCES["transactions"].row | {"transaction_id": "1", "quantity": "9" * 10_000}
    rejects = transformer().prepare("transactions", [row]).rejects
    assert rejects["_detail"].to_pylist() == ["9" * 500]


FORMS = ("csv", "json_lines", "json_array", "parquet", "excel", "sqlite", "duckdb", "postgresql")


@pytest.mark.parametrize("form", FORMS)
def test_each_kind_of_cell_has_its_outcome_from_every_reader(
    form: str, duckdb_shop: Retailer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    those = {source: cases(source, with_marks=False) for source in SOURCES}
    rows = {source: [case.row for case in found] for source, found in those.items()}
    star = duckdb_shop.star
    if form == "postgresql":
        other = request.getfixturevalue("postgresql_star")
        places = write_postgresql(other.url, other.schema, rows)
    else:
        write = {"sqlite": write_sqlite, "duckdb": write_duckdb}.get(form)
        places = write(tmp_path, rows) if write else write_files(tmp_path, rows, form)
    results = duckdb_shop.publish(**places)
    for source, found in those.items():
        told = results["transformation_results"][SOURCES[source].table]
        assert told.get("attribute_issues", {}) == counted(found)
        reasons = Counter(case.reason for case in found if case.reason)
        assert told["rejected"] == dict(reasons)
        assert_stored(star, SOURCES[source], found)
    refused = {row["transaction_id"]: row for row in csv_rows_of(results)}
    for case in those["transactions"]:
        if case.reason:
            assert refused[case.row["transaction_id"]]["_reason"] == case.reason, case


def csv_rows_of(results: Row) -> list[dict[str, str]]:
    return csv_rows(Path(results["rejects_dir"]) / "transactions.csv")


def assert_stored(star: Any, source: Source, found: list[Case]) -> None:
    """What the star holds of rows that were not refused."""
    join = (
        "fact_sales JOIN dim_customer USING (customer_key) JOIN dim_product USING (product_key) "
        "JOIN dim_sales_rep USING (sales_rep_key)"
    )
    tables = join if source.table == "fact_sales" else source.table
    for name in {case.star for case in found}:
        stored = dict(star.rows(f"SELECT {source.key}, {name} FROM {tables}"))
        for case in found:
            if case.star == name and not case.reason:
                assert shown(stored[case.row[source.key]]) == case.expected, case

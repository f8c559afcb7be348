"""What PostgreSQL reads of a binary COPY is what was written, value by value."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse.binary_copy import HEADER, TRAILER, encoded

LARGEST = Decimal("999999999999999.9999")
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
amounts = st.one_of(
    st.decimals(-LARGEST, LARGEST, places=4),
    st.sampled_from(
        [LARGEST, -LARGEST, Decimal(0), Decimal("-0.0001"), Decimal("9999.9999"), Decimal(10_000),
         Decimal("-922337203685477.5808"), Decimal("100000000")]
    ),
)  # fmt: skip
COLUMNS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "id": ("text", pa.string(), st.sampled_from(["T1", "T2", "Tä"])),
    "name": ("text", pa.string(), texts),
    "key": ("integer", pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "year": ("smallint", pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "flag": ("boolean", pa.bool_(), st.booleans()),
    "day": ("date", pa.date32(), st.dates(date(1, 1, 1))),
    "amount": ("numeric(19,4)", pa.decimal128(19, 4), amounts),
    "margin": ("numeric(19,2)", pa.decimal128(19, 2), st.decimals(-(10**16), 10**16, places=2)),
}
row = st.tuples(*(values for _, _, values in COLUMNS.values()))
row_with_gaps = st.tuples(*(st.none() | values for _, _, values in COLUMNS.values()))


@pytest.fixture(scope="module")
def cursor(postgresql_url: str) -> Iterator[Any]:
    """A cursor in a transaction with an empty table of every type that the star has."""
    url = sa.make_url(postgresql_url).set(drivername="postgresql")
    with (
        closing(psycopg2.connect(url.render_as_string(hide_password=False))) as connection,
        connection.cursor() as cursor,
    ):
        columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
        cursor.execute(f"CREATE TEMP TABLE copied (place integer, {columns})")
        yield cursor


def copied(cursor: Any, rows: pa.Table) -> list[tuple[Any, ...]]:
    """What the server has after a COPY of `rows`, in their order, without their places."""
    pieces = [HEADER, *map(bytes, encoded(rows)), TRAILER]
    cursor.execute("DELETE FROM copied")
    cursor.copy_expert("COPY copied FROM STDIN (FORMAT binary)", io.BytesIO(b"".join(pieces)))
    cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM copied ORDER BY place")
    found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def table(rows: list[tuple[Any, ...]], *, is_encoded: bool = False) -> pa.Table:
    arrays = {"place": pa.array(range(len(rows)), pa.int32())}
    for place, (name, (_, kind, _)) in enumerate(COLUMNS.items()):
        values = pa.array([row[place] for row in rows], kind)
        arrays[name] = values.dictionary_encode() if is_encoded else values
    return pa.table(arrays)


several = pytest.mark.parametrize("is_encoded", [False, True], ids=["plain", "encoded"])
quiet = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@several
@quiet
@given(rows=st.lists(row, max_size=8) | st.lists(row_with_gaps, max_size=8))
def test_every_value_arrives_as_it_is(
    cursor: Any, rows: list[tuple[Any, ...]], is_encoded: bool
) -> None:
    assert copied(cursor, table(rows, is_encoded=is_encoded)) == rows


@several
def test_rows_beyond_one_piece_arrive_in_their_order(cursor: Any, is_encoded: bool) -> None:
    rows = [
        (f"T{n}", None if n % 3 else "ü" * (n % 5), n, n % 7, n % 2 == 0, date(2024, 1, 1 + n % 31),
         None if n % 11 == 0 else Decimal(n * n).scaleb(-4), Decimal(-n).scaleb(-2))
        for n in range(40_000)
    ]  # fmt: skip
    assert copied(cursor, table(rows, is_encoded=is_encoded)) == rows


def test_a_slice_of_a_batch_is_written_and_nothing_else(cursor: Any) -> None:
    rows = [("T1", "a", n, 1, True, date(2000, 1, 1), Decimal(n), None) for n in range(9)]
    assert copied(cursor, table(rows).slice(3, 4)) == rows[3:7]


def test_values_of_a_type_that_the_star_has_not_are_refused() -> None:
    with pytest.raises(TypeError, match="double"):
        encoded(pa.table({"amount": [1.5]}))

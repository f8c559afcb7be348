"""Two lines of a CSV file never become one by a stray quote, and what is one record stays one.

What each sale is worth is made from its id, so that a sale that carries another's values shows.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import examples, expect_accounts
from support.formats import records_of
from support.retailer import Retailer

SALES = "transaction_id,transaction_date,customer_id,product_id,item,quantity,unit_price"


def sale(number: int, item: str) -> str:
    """A line whose quantity and price tell its number."""
    return f"T{number},2024-03-15,C1,P1,{item},{number},{number}.50"


def told(shop: Retailer, lines: list[str], **settings: Any) -> tuple[dict[str, str], list[str]]:
    """The sales that are loaded, as quantity x price, and the first fields of those refused."""
    shop.files["transactions"] = "\n".join([SALES, *lines, ""])
    results = shop.publish(**settings)
    expect_accounts(results, shop)
    loaded = {
        identity: f"{quantity:.0f} x {price:.2f}"
        for identity, quantity, price in shop.star.rows(
            "SELECT transaction_id, quantity, unit_price FROM fact_sales"
        )
    }
    return loaded, [row["_raw"].partition(",")[0] for row in shop.rejects(results)]


def test_lines_that_are_complete_by_themselves_stay_two(shop: Retailer) -> None:
    lines = [sale(1, '"Poster 24 in'), sale(2, 'Monitor 27"'), sale(3, "Mug")]
    assert told(shop, lines) == ({"T3": "3 x 3.50"}, ["T1", "T2"])


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("lines", "loaded", "refused"),
    [
        # A whole sale between says that the quote was never closed: each line is read by itself.
        ([sale(1, '"Poster'), sale(2, "Mug"), sale(3, 'TV 27"')], "T2 T3", "T1"),
        ([sale(1, '"Poster'), sale(2, '"Mug, blue"'), sale(3, 'TV 27"')], "T2 T3", "T1"),
        ([sale(1, '"Poster'), sale(2, '""'), sale(3, 'TV 27"')], "T2 T3", "T1"),
        ([sale(1, '"Poster'), sale(2, " "), sale(3, 'TV 27"')], "T2 T3", "T1"),
        ([sale(1, '"Poster'), sale(2, "  "), sale(3, "Mug"), sale(4, '27"')], "T2 T3 T4", "T1"),
        # What is no record between two lines that are says nothing.
        ([sale(1, '"Poster'), "", sale(3, 'TV 27"')], "", "T1 T3"),
        ([sale(1, '"Poster'), "rubbish", sale(3, 'TV 27"')], "", "T1 rubbish T3"),
        # One of them has a delimiter too many or too few.
        ([sale(1, '"Poster, blue'), sale(2, 'TV, 27"')], "", "T1 T2"),
        ([sale(1, '"Poster,blue'), sale(2, 'TV,27"')], "", "T1 T2"),
        ([sale(1, '"Poster'), 'T2,P1,TV 27",2,2.50'], "", "T1 T2"),
        (['T1,2024-03-15,C1,P1,"Poster', sale(2, 'TV 27"')], "", "T1 T2"),
        ([sale(1, '"'), 'T2,2024-03-15,C1,P1, ",2,2.50'], "", "T1 T2"),
        # Another opening quote does not close the first.
        ([sale(1, '"Poster'), sale(2, '"Mug'), sale(3, 'TV 27"')], "", "T1 T2 T3"),
        ([sale(1, '"Poster'), sale(2, '"Mug')], "", "T1 T2"),
        # One field over several lines, whatever is in it.
        ([sale(1, '"A poster,\nblue, of a\n\nwhale"'), sale(2, "x")], "T1 T2", ""),
        ([sale(1, '"A ""poster"", 24"" wide,\nor so"'), sale(2, 'x"')], "T1 T2", ""),
        ([sale(1, '"one\n,two"'), sale(2, '"three,\n4"')], "T1 T2", ""),
    ],
)
def test_a_field_goes_over_lines_only_if_there_is_no_other_way_to_read_them(
    lines: list[str], loaded: str, refused: str, batch_rows: int, duckdb_shop: Retailer
) -> None:
    found = told(duckdb_shop, lines, BATCH_ROWS=batch_rows)
    assert found == (
        {name: f"{name[1:]} x {name[1:]}.50" for name in loaded.split()},
        refused.split(),
    )


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_an_address_over_several_lines_is_one_field(batch_rows: int, duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = (
        "customer_id,address,country\n"
        'C1,"12 High St,\nLondon, UK",GB\n'
        'C2,"Flat 3, Bldg 2,\nMayfair, London, UK\nN1 4AB",GB\n'
        '"C3","1 Rue X\n75001 Paris","FR"\n'
    )
    duckdb_shop.publish(BATCH_ROWS=batch_rows)
    addresses = duckdb_shop.star.rows(
        "SELECT customer_id, address, country FROM dim_customer WHERE customer_key > 0"
    )
    assert {key: (address.count("\n"), country) for key, address, country in addresses} == {
        "C1": (1, "GB"), "C2": (2, "GB"), "C3": (1, "FR"),
    }  # fmt: skip


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("text", "read", "refused"),
    [
        ('C1,"12 High St\nLondon, UK"\nC2,x\n', 2, []),  # a sentence is no record
        ('C1,"poster\nC2,27"\nC9,x\n', 1, [2, 3]),
        ('C1,"poster\nC2,mug\nC3,27"\nC9,x\n', 1, [2, 3, 4]),
        ('C1,"poster\nC2,mug\nC3,27" TV\nC9,x\n', 3, [2]),
    ],
)
def test_in_two_columns_any_line_may_be_a_record(
    text: str, read: int, refused: list[int], batch_rows: int, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["customers"] = "customer_id,address\n" + text
    results = duckdb_shop.publish(BATCH_ROWS=batch_rows)
    accounts = expect_accounts(results, duckdb_shop)
    assert [int(row["_line"]) for row in duckdb_shop.rejects(results, "customers")] == refused
    assert accounts["customers"]["read"] == read + len(refused)


def test_blank_fields_beyond_the_header_are_none(shop: Retailer) -> None:
    lines = [sale(1, "a"), sale(2, "b") + ",", sale(3, '"c, d"') + ', ,""', sale(4, "e") + ",x"]
    loaded, refused = told(shop, lines)
    assert loaded == {f"T{n}": f"{n} x {n}.50" for n in (1, 2, 3)}
    assert refused == ["T4"]


# --- any file -------------------------------------------------------------------------------------


_ITEMS = st.one_of(
    st.sampled_from(
        ["Mug", '"Mug"', '"Mug, blue"', '"6"" nail"', '"A mug,\nblue"', '"a\n\nb, c"', "",
         '""', '"Poster', 'TV 27"', '27" TV', '"Big" TV', '"a""', '"a, b', 'a, b"', '"', '"""']
    ),
    st.lists(st.sampled_from(['"', '""', "x", " ", "~", "~ ", "\n"]), max_size=5).map("".join),
)  # fmt: skip
_FILE = st.tuples(
    st.lists(_ITEMS, min_size=1, max_size=12),
    st.sampled_from([",", ";", "|", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(4, 6),  # the column that the items are in
)
_numbers = itertools.count(1)


@examples()
@given(written=_FILE)
def test_no_sale_ever_carries_the_values_of_another(
    written: tuple[list[str], str, str, int], shop: Retailer
) -> None:
    items, delimiter, end, column = written
    example = next(_numbers)
    names = SALES.replace("item,", "").split(",")
    rows = []
    for number, item in enumerate(items, 1):
        fields = [f"E{example}-{number}", "2024-03-15", "C1", "P1", str(number), f"{number}.50"]
        rows.append([*fields[:column], item.replace("~", delimiter), *fields[column:]])
    rows.insert(0, [*names[:column], "item", *names[column:]])
    text = end.join(delimiter.join(row).replace("\n", end) for row in rows) + end
    shop.files["transactions"] = text.encode()
    results = shop.run()
    expect_accounts(results, shop)
    rejected = Path(results["rejects_dir"]) / "transactions.csv"
    told_of = rejected.read_text() if rejected.exists() else ""
    loaded = {
        identity: (quantity, price)
        for identity, quantity, price in shop.star.rows(
            "SELECT transaction_id, quantity, unit_price FROM fact_sales "
            "WHERE transaction_id LIKE :these", these=f"E{example}-%",
        )
    }  # fmt: skip
    for number in range(1, len(items) + 1):
        identity = f"E{example}-{number}"
        if identity in loaded:
            assert loaded[identity] == (number, number + 0.5)
        else:
            assert re.search(rf"{identity}\b", told_of), identity


@examples(share=3)
@given(written=_FILE)
def test_where_a_batch_ends_decides_nothing(
    written: tuple[list[str], str, str, int], duckdb_shop: Retailer
) -> None:
    items, delimiter, end, _ = written
    lines = [sale(n, item.replace("~", ",")) for n, item in enumerate(items)]
    text = end.join([SALES, *lines, ""]).replace(",", delimiter)
    duckdb_shop.files["transactions"] = text.encode()
    outcomes = [records_of(duckdb_shop.config(BATCH_ROWS=rows)) for rows in (1, 2, 3, 5, 100)]
    assert all(outcome == outcomes[-1] for outcome in outcomes)

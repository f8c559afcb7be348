"""Properties of numbers: no float ever touches an amount, and no cent is lost on any path."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaning.numbers import numbers, parse_number
from common.amounts import MONEY, multiplied
from config import load_config
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from support.retailer import Retailer, changes
from support.tables import Row, money
from transform import StarSchemaTransformer

CENT = Decimal("0.0001")
digits = st.text("0123456789", min_size=1, max_size=16)
spellings = st.one_of(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "+", "-"]),
        digits,
        st.sampled_from(["", ".", ","]),
        st.one_of(st.just(""), digits),
    ),
    st.text("0123456789.,+-$€ eE_NaInf\u0660\uff11", max_size=14),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
)


def rounded(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.none(), spellings), max_size=20), st.sampled_from([".", ","]))
def test_the_quick_way_reads_each_number_as_the_careful_way(
    texts: list[str | None], separator: str
) -> None:
    careful = [None if text is None else parse_number(text, separator) for text in texts]
    assert numbers(pa.array(texts, pa.string()), separator).to_pylist() == careful


@given(st.decimals(-(10**13), 10**13, places=8))
def test_a_written_number_is_read_as_its_value_rounded_half_away_from_zero(value: Decimal) -> None:
    assert parse_number(f"{value:f}") == rounded(value)
    assert parse_number(f"{value:,f}") == rounded(value)
    assert parse_number(f"{value:f}".replace(".", ","), ",") == rounded(value)


amounts = st.decimals("0.0001", 10**6, places=4)
shares = st.decimals(0, 1, places=7)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(amounts, amounts, shares), min_size=1, max_size=10))
def test_gross_discount_and_net_are_exact(sales: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    rows = [
        {
            "transaction_id": str(number),
            "transaction_date": "2024-02-29",
            "customer_id": "C1",
            "product_id": "P1",
            "quantity": f"{quantity:f}",
            "unit_price": f"{price:f}",
            "discount_rate": f"{share:f}",
        }
        for number, (quantity, price, share) in enumerate(sales)
    ]
    config = load_config(env_file=None, environment={})
    prepared = StarSchemaTransformer(config).prepare("transactions", rows)
    measures = ("quantity", "unit_price", "discount_amount", "gross_amount", "net_amount")
    found = [tuple(row[name] for name in measures) for row in prepared.rows.to_pylist()]
    expected = []
    for quantity, price, share in sales:
        gross = rounded(quantity * price)
        discount = rounded(gross * share)
        expected.append((quantity, price, discount, gross, gross - discount))
    assert found == expected
    assert prepared.money["read"] == {"": sum(row[-1] for row in expected)}


TINY = [  # quantity, price, cost, gross, profit: all of them ties, or next to one
    ("0.5", "0.0001", "0.0001", "0.0001", "0.0000"),
    ("0.4999", "0.0001", "0.0001", "0.0000", "0.0000"),
    ("1.5", "0.0001", "0.0003", "0.0002", "-0.0003"),
    ("0.3333", "0.0005", "0", "0.0002", "0.0002"),
    ("-0.5", "0.0001", "0.0001", "-0.0001", "0.0000"),
    ("-1.5", "0.0001", "0.0003", "-0.0002", "0.0003"),
    ("1234567.8901", "9876.5432", "12.3456", "12193263099.9055", "12178021618.5615"),
]


def test_what_is_stored_is_rounded_alike_by_the_run_and_by_both_engines(shop: Retailer) -> None:
    """The validation computes every measure again in SQL, and would refuse a difference."""
    shop.products = [
        {"product_id": f"P{n}", "price": "1", "cost": row[2]} for n, row in enumerate(TINY)
    ]
    shop.sales = [
        {"transaction_id": f"T{n}", "transaction_date": "2024-02-29", "customer_id": "C1",
         "product_id": f"P{n}", "quantity": row[0], "unit_price": row[1]}
        for n, row in enumerate(TINY)
    ]  # fmt: skip
    shop.publish(ACCEPT_RETURNS=True)
    stored = shop.star.rows(
        "SELECT gross_amount, profit_amount FROM fact_sales ORDER BY transaction_id"
    )
    assert stored == [(money(row[3]), money(row[4])) for row in TINY]


@pytest.mark.parametrize(
    "row",
    [
        {"unit_price": "99999999.99", "quantity": "999999"},
        {"unit_price": "0.0001", "quantity": "0.0001"},
        {"unit_price": "19.99", "quantity": "3", "discount_amount": "0.0001"},
    ],
)
def test_amounts_of_any_size_are_stored_and_found_again_unchanged(shop: Retailer, row: Row) -> None:
    shop.sales = [shop.sales[0] | row]
    results = shop.publish()
    quantity, price = Decimal(row["quantity"]), Decimal(row["unit_price"])
    net = rounded(quantity * price) - Decimal(row.get("discount_amount", 0))
    assert shop.star.row("SELECT quantity, unit_price, net_amount FROM fact_sales") == (
        quantity, price, net,
    )  # fmt: skip
    assert money(results["validation_results"]["reconciliation"]["money"]["loaded"]) == net
    assert changes(shop.publish_in_full()) == 0


amounts = st.one_of(
    st.none(), *(st.decimals(-most, most, places=4) for most in (99, 10**7, 10**14 - 1))
)


@given(st.lists(st.tuples(amounts, amounts), max_size=20), st.integers(0, 3))
def test_products_are_exact_whatever_their_size(pairs: list[Any], start: int) -> None:
    """In integers where they fit, in decimals where they do not; also of a part of a column."""
    left, right = (pa.array([pair[side] for pair in pairs], MONEY) for side in (0, 1))
    found = multiplied(left[start:], right[start:]).to_pylist()
    with localcontext(prec=40):
        expected = [None if None in pair else rounded(pair[0] * pair[1]) for pair in pairs[start:]]
    assert found == expected


def test_a_frame_with_amounts_of_other_scales_is_loaded_as_it_says(shop: Retailer) -> None:
    """pandas finds the scale of its decimals: 3 has none."""
    shop.publish()
    config = shop.config()
    with DimensionLoader(config) as dimensions:
        keys = dimensions.load_all_dimensions({})
    frame = StarSchemaTransformer(config).prepare_sales_facts(shop.sales[:1])
    whole = dict.fromkeys(
        ("quantity", "unit_price", "discount_amount", "gross_amount", "net_amount"), Decimal(3)
    )
    whole |= {"discount_amount": Decimal(0), "gross_amount": Decimal(9), "net_amount": Decimal(9)}
    with FactLoader(config) as facts:
        facts.load_sales_facts(frame.assign(**{n: [v] for n, v in whole.items()}), keys)
    key = shop.sales[0]["transaction_id"]
    (row,) = shop.star.rows(
        "SELECT f.quantity, f.gross_amount, f.net_amount - 3 * p.cost = f.profit_amount "
        f"FROM fact_sales f JOIN dim_product p USING (product_key) WHERE transaction_id = '{key}'"
    )
    assert tuple(row) == (Decimal(3), Decimal(9), True)

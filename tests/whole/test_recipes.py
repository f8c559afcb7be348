"""The recipes of docs/architecture.md, followed in a copy of the application.

The star in use is of the application as it is; the copy loads a night with a part of its sales.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from support.application import ROOT, copy_application
from support.commands import in_a_child
from support.retailer import Retailer, changes
from support.tables import to_csv

STORE = """dim_store = dimension(metadata, "store", attribute("city", "town", unknown="Unknown"))

"""
SOURCE = """        Source(
            "stores",
            dim_store,
            required=("store_id",),
            optional=("city",),
            is_required=False,
        ),
"""
RECIPES: list[tuple[str, str, str]] = [
    # an attribute
    (
        "schema.py",
        '    attribute("company", "as given", is_personal=True),\n',
        '    attribute("loyalty_level", "in title case"),\n',
    ),
    ("schema.py", '"first_name", "last_name", "company", ', '"loyalty_level", '),
    (
        "transform.py",
        '            "company": company,\n',
        '            "loyalty_level": read.attribute("loyalty_level", each(title_case)).plain,\n',
    ),
    # a degenerate dimension
    ("schema.py", "    dimension_key(dim_date),\n", '    attribute("order_number", "as given"),\n'),
    ("schema.py", '                "sales_rep_id", ', '"order_number", '),
    # a measure
    (
        "schema.py",
        '    measure("unit_price", "in money, of one piece", is_additive=False),\n',
        '    measure("tax_amount", "in money", default=0),\n',
    ),
    ("schema.py", '                "sales_rep_id", ', '"tax_amount", '),
    # a dimension
    ("schema.py", "metadata = MetaData(naming_convention=NAMES)\n\n", STORE),
    ("schema.py", "    dimension_key(dim_date),\n", "    dimension_key(dim_store),\n"),
    ("schema.py", "            is_required=False,\n        ),\n", SOURCE),
    ("schema.py", '                "sales_rep_id", ', '"store_id", '),
]
"""File, the text behind which something goes, and what goes there."""


def with_recipes(folder: Path) -> Path:
    """A copy of the application in which all recipes were followed."""
    copy_application(folder)
    for name, beside, added in RECIPES:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert beside in text, f"{name}: {beside}"
        path.write_text(text.replace(beside, beside + added, 1), encoding="utf-8")
    return folder


def test_the_document_has_the_recipes() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name, _, added in RECIPES:
        if added != SOURCE:
            assert added.strip().rstrip(",") in document, f"{name}: {added}"


@pytest.mark.parametrize("is_bare", [False, True])
def test_a_star_in_use_grows_by_the_recipes(
    shop: Retailer, tmp_path: Path, *, is_bare: bool
) -> None:
    """Also where 0.1.0 has added the measure, without a value for old sales."""
    shop.publish()
    if is_bare:
        shop.star.execute("ALTER TABLE fact_sales ADD COLUMN tax_amount NUMERIC(19, 4)")
    folder = tmp_path / "copy"
    folder.mkdir()
    with_recipes(folder)
    shop.customers = [shop.customers[0] | {"loyalty_level": "GOLD"}, shop.customers[1]]
    shop.customers[1]["loyalty_level"] = ""
    new = {"order_number": "4711", "tax_amount": "1.9", "store_id": "S1"}
    empty = dict.fromkeys(new, "")
    shop.sales = [
        shop.sales[0] | new,
        shop.sales[2] | {"transaction_id": "T4", **empty},
        shop.sales[2] | {"transaction_id": "T5", **new, "tax_amount": "none"},
    ]
    stores = tmp_path / "stores.csv"
    stores.write_text(to_csv([{"store_id": "S1", "city": "Rome"}]), encoding="utf-8")
    env = shop.env_file(STORES__PATH=stores)
    for night in range(2):
        ended = in_a_child("--env-file", env, "--json", root=folder)
        assert ended.code == 0, ended.err
        assert ended.results["transformation_results"]["fact_sales"]["rejected"] == {
            "invalid_tax_amount": 1
        }
        told = [text for text in ended.results["warnings"] if "tax_amount was empty" in text]
        assert len(told) == (is_bare and not night)
        if night:
            assert changes(ended.results) == 0
    found = shop.star.rows(
        "SELECT transaction_id, order_number, tax_amount, s.city FROM fact_sales "
        "JOIN dim_store s USING (store_key) ORDER BY transaction_id"
    )
    assert found == [
        ("T1", "4711", Decimal("1.9"), "Rome"),
        ("T2", None, 0, "Unknown"),
        ("T3", None, 0, "Unknown"),
        ("T4", None, 0, "Unknown"),
    ]
    (nullable,) = shop.star.column(
        "SELECT is_nullable FROM information_schema.columns WHERE column_name = 'tax_amount' "
        "AND table_name = 'fact_sales' AND table_schema = current_schema()"
    )
    assert nullable == "NO"
    assert shop.star.member("dim_customer", "C1")["loyalty_level"] == "Gold"

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

STORES = """
    def _stores(self, batch: pa.Table) -> CleanBatch:
        read = self._reader("stores", batch)
        key = _own_key(read)
        columns = {"store_id": key, "city": read.attribute("city").plain}
        return _prepared(dim_store, columns, read)

"""
TABLE = """dim_store = Table(
    "dim_store",
    metadata,
    _surrogate_key("store_key"),
    _business_key("store_id", unique=True),
    _attribute("city", unknown="Unknown"),
    _is_inferred(),
    info={"source": "stores"},
)

"""
RECIPES: list[tuple[str, str, str]] = [
    # an attribute
    ("schema.py", '    _attribute("company"),\n', '_attribute("loyalty_level"),'),
    (
        "sources/mapping.py",
        '"customers": SourceSpec(\n        ("customer_id",),\n        (',
        '"loyalty_level", ',
    ),
    (
        "transform.py",
        '            "customer_id": key,\n',
        '"loyalty_level": read.attribute("loyalty_level", each(title_case)).plain,',
    ),
    # a degenerate dimension
    ("schema.py", '    _measure("quantity"),\n', '_attribute("order_number"),'),
    ("sources/mapping.py", '("sales_rep_id", ', '"order_number", '),
    (
        "transform.py",
        '            "transaction_id": key,\n',
        '"order_number": read.attribute("order_number").plain,',
    ),
    # a measure
    ("schema.py", '    _measure("unit_price"),\n', '_measure("tax_amount", default=0),'),
    ("sources/batches.py", '    "transactions": (', '"tax_amount", '),
    ("sources/mapping.py", '("sales_rep_id", ', '"tax_amount", '),
    ("transform.py", "        is_return = ", 'tax = read.cells("tax_amount", rule)'),
    (
        "transform.py",
        "        is_return = ",
        'verdict.reject("invalid_tax", tax.unreadable(), tax.given())',
    ),
    (
        "transform.py",
        '            "transaction_id": key,\n',
        '"tax_amount": tax.where_missing(_ZERO),',
    ),
    ("common/rejects.py", "REASONS = (\n", '"invalid_tax",'),
    # a dimension
    ("schema.py", "fact_sales = Table(\n", TABLE),
    ("schema.py", "dimensions: tuple[Table, ...] = (", "dim_store, "),
    (
        "schema.py",
        '    _dimension_key("date_key", "dim_date.date_key", finds_by="date_key"),\n',
        '_dimension_key("store_key", "dim_store.store_key", finds_by="store_id"),',
    ),
    ("config.py", "SOURCES = (", ""),
    (
        "config.py",
        "    sales_reps: SourceSettings = _source(None)\n",
        "stores: SourceSettings = _source(None)",
    ),
    ("sources/mapping.py", "SPECS = {\n", '"stores": SourceSpec(("store_id",), ("city",)),'),
    ("sources/mapping.py", '("sales_rep_id", ', '"store_id", '),
    ("transform.py", "    def _sales(self", STORES),
    ("transform.py", '            "sales_reps": self._sales_reps,\n', '"stores": self._stores,'),
    ("transform.py", '    "sales_reps": dim_sales_rep,\n', '"stores": dim_store,'),
    ("transform.py", '    "sales_reps": ("sales_rep_id",),\n', '"stores": ("store_id",),'),
    ("transform.py", "    dim_sales_rep,\n", "dim_store,"),
    (
        "transform.py",
        '            "transaction_id": key,\n',
        '"store_id": read.reference("store_id"),',
    ),
    ("common/rejects.py", "REASONS = (\n", '"unknown_store",'),
]
"""File, the text beside which it goes, and what goes there."""


def with_recipes(folder: Path) -> Path:
    """A copy of the application in which all recipes were followed."""
    copy_application(folder)
    for name, beside, added in RECIPES:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert beside in text, f"{name}: {beside}"
        if beside == "SOURCES = (":
            text = text.replace('"sales_reps")', '"sales_reps", "stores")', 1)
        elif beside.endswith("\n") and added != TABLE:  # a line below
            indent = " " * max(4, len(beside) - len(beside.lstrip()))
            text = text.replace(beside, f"{beside}{indent}{added}\n", 1)
        elif beside.startswith("        "):  # a line above
            text = text.replace(beside, f"        {added}\n{beside}", 1)
        elif added in (TABLE, STORES):  # a block above
            text = text.replace(beside, f"{added.lstrip(chr(10))}{beside}", 1)
        else:  # behind it
            text = text.replace(beside, f"{beside}{added}", 1)
        path.write_text(text, encoding="utf-8")
    return folder


def test_the_document_has_the_recipes() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name, _, added in RECIPES:
        if added not in (TABLE, STORES):
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
            "invalid_tax": 1
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
        "AND table_schema = current_schema()"
    )
    assert nullable == "NO"
    assert shop.star.member("dim_customer", "C1")["loyalty_level"] == "Gold"

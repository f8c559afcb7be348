"""No value, header, name or setting becomes SQL, or a line of the log."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli import main
from support.commands import run_command
from support.retailer import Retailer, changes

HOSTILE = [
    "'); DROP TABLE fact_sales;--", '"; DROP TABLE fact_sales;--', "%s", "%(x)s", "%", ":name",
    "\\", "\\'", "$$", "$1", "{0}", "${HOME}", "$(id)", "`id`", "*/", "/*", "\\copy x",
    "1 OR 1=1", "x' UNION SELECT 1--", "../../etc/passwd", "select", "NULL", "<script>", "é\u0301",
]  # fmt: skip


def test_hostile_values_are_stored_as_they_are(shop: Retailer) -> None:
    """A value is a value, in keys, attributes and the second merge that compares them."""
    shop.customers = [{"customer_id": f"x{v}", "company": f"x{v}"} for v in HOSTILE]
    shop.sales = [
        shop.sales[0] | {"transaction_id": f"x{v}", "customer_id": f"x{v}", "sales_rep_id": f"x{v}"}
        for v in HOSTILE
    ]
    shop.publish()
    stored = shop.star.rows(
        "SELECT f.transaction_id, c.customer_id, c.company, r.sales_rep_id FROM fact_sales f "
        "JOIN dim_customer c USING (customer_key) JOIN dim_sales_rep r USING (sales_rep_key)"
    )
    expected = [unicodedata.normalize("NFC", f"x{v}") for v in HOSTILE]
    assert sorted(row[0] for row in stored) == sorted(expected)
    assert all(len(set(row)) == 1 for row in stored)
    before = shop.star.digest()
    assert changes(shop.publish_in_full()) == 0
    assert shop.star.digest() == before


@pytest.mark.parametrize(
    "column", ['x"; DROP TABLE fact_sales;--', "select", "a'b", "%s", ":x", "x" * 300, "order by"]
)
def test_a_column_of_any_name_is_mapped(shop: Retailer, column: str) -> None:
    """Names from a file's header and from the settings are names, in files and databases."""
    rows = [{**row, column: row["quantity"]} for row in shop.sales]
    for row in rows:
        del row["quantity"]
    shop.sales = rows
    mapping = json.dumps({"quantity": column})
    shop.publish(TRANSACTIONS__COLUMNS=mapping)
    assert shop.star.scalar("SELECT sum(quantity) FROM fact_sales") == 6


@pytest.mark.parametrize("table", ["select", "Sales Lines", "x'; DROP TABLE fact_sales;--"])
def test_a_source_table_of_any_name_is_only_read(
    duckdb_shop: Retailer, tmp_path: Path, table: str
) -> None:
    """A table's name is quoted; whatever is no plain name is SQL, and that may only read."""
    shop = duckdb_shop
    source = sa.create_engine(f"sqlite:///{tmp_path / 'source.db'}")
    with source.begin() as connection:
        columns = [sa.Column(name, sa.Text()) for name in shop.sales[0]]
        made = sa.Table("select", sa.MetaData(), *columns)
        made.create(connection)
        connection.execute(sa.insert(made), shop.sales)
    source.dispose()
    results = shop.run(
        TRANSACTIONS__PATH=f"sqlite:///{tmp_path / 'source.db'}", TRANSACTIONS__QUERY=table
    )
    assert results["success"] is (table == "select")
    if not results["success"]:
        assert "TRANSACTIONS__QUERY" in results["errors"][0]


@pytest.mark.parametrize(
    "name", ['x"; DROP SCHEMA public;--', "select", "Müller's", "a b", "$s", ":x", "é" * 31]
)
def test_a_schema_of_any_name_is_quoted(shop: Retailer, name: str) -> None:
    """Two runs make and find the star there, and nowhere else."""
    name = f"{name}{uuid.uuid4().hex[:1]}"
    quoted = '"{}"'.format(name.replace('"', '""'))
    try:
        shop.publish(WAREHOUSE_SCHEMA=name)
        assert changes(shop.publish_in_full(WAREHOUSE_SCHEMA=name)) == 0
        assert (
            shop.star.scalar(f"SELECT count(*) FROM {quoted}.fact_sales".replace(":", r"\:")) == 3
        )
        assert shop.star.tables() == set()
    finally:
        shop.star.execute(f"DROP SCHEMA IF EXISTS {quoted} CASCADE".replace(":", r"\:"))


@pytest.mark.parametrize("name", ["s" * 64, "é" * 32, "a.b", "a%s"])
def test_a_schema_whose_name_would_become_another_is_refused(
    shop: Retailer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """An engine shortens a long name, and the drivers take a dot or % for something else."""
    code, _, err = run_command(shop, capsys, WAREHOUSE_SCHEMA=name)
    assert code == 2
    assert "WAREHOUSE_SCHEMA" in err
    assert not (shop.folder / "etl.log").exists()


# --- log lines ------------------------------------------------------------------------------------

SALES = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"

FORGED = "x\n2026-01-01 ERROR: forged\r\x1b[2J\x1b]0;t\x07\u202e\u2028\x85\u0085y"


def assert_one_line_each(*texts: str) -> None:
    """No line was begun by data, and no terminal obeys it."""
    for text in texts:
        found = {c for c in text if c in "\r\x1b\x07\u202e\u2028\x85"}
        assert not found
        assert not re.search(r"^2026-01-01 ERROR: forged", text, re.MULTILINE)


@pytest.mark.parametrize("command", [(), ("check",), ("--json",)])
def test_a_file_name_forges_no_line(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """One record is one line, its controls written out; for a file that is there or not."""
    shop = duckdb_shop
    place = shop.folder / "in"
    place.mkdir()
    for name, content in (("good", SALES), ("bad", "a,b\n"), ("empty", "")):
        (place / f"{name}{FORGED}.csv").write_text(content)
        for path in (place / f"{name}{FORGED}.csv", place / f"nowhere{FORGED}.csv"):
            shop.settings()
            environment = {**shop.settings(TRANSACTIONS__PATH=path)}
            with pytest.MonkeyPatch.context() as patch:
                for key, value in environment.items():
                    patch.setenv(key, value)
                code = main(["--env-file", ".env", *command])
            assert code in (0, 1, 2)
            assert_one_line_each(*capsys.readouterr(), shop.log if not command else "")
        (place / f"{name}{FORGED}.csv").unlink()


@pytest.mark.parametrize("command", [(), ("check",)])
def test_values_and_headers_forge_no_line(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """In column names, keys and attributes, well-formed or not."""
    shop = duckdb_shop
    for row in (*shop.customers, *shop.sales):
        row[FORGED] = FORGED
    shop.customers[0]["city"] = FORGED
    shop.products[0] |= {"name": FORGED, "product_id": FORGED}
    shop.sales[0] |= {"transaction_id": FORGED, "quantity": FORGED}
    code, out, err = run_command(shop, capsys, *command, LOG_LEVEL="DEBUG")
    assert code in (0, 1, 2)
    assert_one_line_each(out, err, shop.log if not command else "")


def test_what_the_driver_says_forges_no_line(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name of a constraint that somebody chose is in the warehouse's message."""
    shop.publish()
    name = "x\n2026-01-01 ERROR: forged\r\x1b[2J\u202e"
    shop.star.execute(f'CREATE UNIQUE INDEX "{name}" ON dim_customer (city)'.replace(":", r"\:"))
    shop.customers[1]["city"] = shop.customers[0]["city"]
    code, out, err = run_command(shop, capsys, LOG_LEVEL="DEBUG")
    assert code == 1
    assert "the warehouse refused" in err
    assert_one_line_each(out, err, shop.log)

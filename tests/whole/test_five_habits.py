"""The five habits of a shop, by the lines of settings that docs/each-night.md has for each."""

from __future__ import annotations

import io
import re
import sqlite3
from contextlib import closing

import pytest
from dotenv import dotenv_values

from support.application import ROOT
from support.commands import run_command
from support.retailer import Retailer

PAGE = (ROOT / "docs" / "each-night.md").read_text(encoding="utf-8")


def lines_of(title: str) -> dict[str, str | None]:
    """The settings that the page shows for a habit."""
    (block,) = re.findall(rf"^### {title}\n.*?^```sh\n(.*?)^```", PAGE, re.M | re.S)[:1]
    return dict(dotenv_values(stream=io.StringIO(block), interpolate=False))


def night(
    shop: Retailer, capsys: pytest.CaptureFixture[str], title: str, *options: str, **more: object
) -> int:
    """The exit code of a run by the settings of the page."""
    code, _, err = run_command(shop, capsys, *options, **{**lines_of(title), **more})
    assert "Traceback" not in err
    return code


def sales_in(shop: Retailer) -> list[str]:
    """The sales that the star has."""
    return sorted(shop.star.column("SELECT transaction_id FROM fact_sales"))


def quantity_of(shop: Retailer, sale: str) -> int:
    """What the star has of a sale."""
    query = "SELECT quantity FROM fact_sales WHERE transaction_id = :sale"
    return int(shop.star.scalar(query, sale=sale))


def many(shop: Retailer, number: int = 40) -> None:
    """Have the shop sell so many."""
    shop.sales = [shop.sales[0] | {"transaction_id": f"T{n:02}"} for n in range(number)]


def till(shop: Retailer, *statements: str) -> str:
    """Change the shop's own database, as its till does; returns the URL."""
    path = shop.folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return f"sqlite:///{path}"


def sell(columns: str, *values: str) -> list[str]:
    """Rows for the till."""
    return [
        f"INSERT INTO sales (transaction_date, customer_id, product_id, unit_price, {columns}) "
        f"VALUES ('2024-03-01', 'C1', 'P1', 10, {row})"
        for row in values
    ]


TABLE = (
    "CREATE TABLE sales ({}, transaction_date TEXT, customer_id TEXT, product_id TEXT, "
    "quantity INTEGER, unit_price INTEGER)"
)


def test_new_rows(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """What is below the last id is not read again."""
    habit, columns = "New rows", "id, quantity"
    url = till(shop, TABLE.format("id INTEGER"), *sell(columns, "1, 1", "2, 1"))
    assert night(shop, capsys, habit, TRANSACTIONS__PATH=url) == 2
    assert night(shop, capsys, habit, "--since", "0", TRANSACTIONS__PATH=url) == 0
    till(shop, "DELETE FROM sales", *sell(columns, "1, 7", "2, 1", "3, 1"))
    assert night(shop, capsys, habit, TRANSACTIONS__PATH=url) == 0
    assert sales_in(shop) == ["1", "2", "3"]
    assert quantity_of(shop, "1") == 1


def test_changed_rows(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A corrected sale, a new one, and one that was written late."""
    habit, columns = "Changed rows", "transaction_id, quantity, changed_at"
    rows = sell(columns, "'T1', 1, '2024-03-04 10:00:00'", "'T2', 1, '2024-03-01 10:00:00'")
    url = till(shop, TABLE.format("transaction_id TEXT, changed_at TEXT"), *rows)
    assert night(shop, capsys, habit, "--since", "2024-01-01", TRANSACTIONS__PATH=url) == 0
    late = sell(columns, "'T3', 1, '2024-03-03 09:00:00'", "'T4', 1, '2024-03-05 09:00:00'")
    corrected = "UPDATE sales SET quantity = 7, changed_at = '2024-03-05' WHERE transaction_id = "
    till(shop, *late, f"{corrected}'T1'", "DELETE FROM sales WHERE transaction_id = 'T2'")
    assert night(shop, capsys, habit, TRANSACTIONS__PATH=url) == 0
    assert sales_in(shop) == ["T1", "T2", "T3", "T4"]
    assert quantity_of(shop, "T1") == 7


def test_the_whole_table(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A few may go; many want to be asked for. A customer who returns is flagged no more."""
    habit = "The whole table"
    many(shop)
    shop.customers = [shop.customers[0] | {"customer_id": f"C{n}"} for n in range(1, 21)]
    assert night(shop, capsys, habit) == 0
    shop.sales = shop.sales[2:]
    gone = shop.customers.pop()
    assert night(shop, capsys, habit) == 0
    assert sales_in(shop) == [sale["transaction_id"] for sale in shop.sales]
    assert shop.star.member("dim_customer", "C20")["is_deleted"] is True
    shop.customers.append(gone)
    shop.sales = shop.sales[:20]
    assert night(shop, capsys, habit) == 3
    assert len(sales_in(shop)) == 38
    assert night(shop, capsys, habit, "--full-refresh") == 0
    assert len(sales_in(shop)) == 20
    assert shop.star.member("dim_customer", "C20")["is_deleted"] is False


@pytest.mark.parametrize("by_options", [False, True])
def test_one_month_again(
    shop: Retailer, capsys: pytest.CaptureFixture[str], by_options: bool
) -> None:
    """T1 is of February, and stays."""
    habit = "One month again"
    shop.publish()
    shop.sales = [shop.sales[2] | {"quantity": "7"}]
    given: tuple[tuple[str, ...], dict[str, object]] = ((), {})
    if by_options:
        shown = re.search(r"`python main.py (--since \S+ --until [\d-]+)`", PAGE)
        assert shown
        given = tuple(shown[1].split()), {"TRANSACTIONS__PERIOD": ""}
    assert night(shop, capsys, habit, *given[0], **given[1]) == 0
    assert sales_in(shop) == ["T1", "T3"]
    assert quantity_of(shop, "T3") == 7


def test_delete_flags(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A cancelled sale goes, and so does a voided one; a test sale never comes."""
    habit = "Delete flags"
    shop.sales = [sale | {"cancelled_at": "", "status": "paid"} for sale in shop.sales]
    shop.customers = [customer | {"inactive": "no"} for customer in shop.customers]
    assert night(shop, capsys, habit) == 0
    assert sales_in(shop) == ["T1", "T2", "T3"]
    shop.sales[0]["cancelled_at"] = "2024-03-05 10:00:00"
    shop.sales[1]["status"] = "voided"
    shop.sales = [*shop.sales[:2], shop.sales[2] | {"transaction_id": "T4", "status": "test"}]
    shop.customers[1]["inactive"] = "yes"
    assert night(shop, capsys, habit) == 0
    assert sales_in(shop) == ["T3"]
    assert shop.star.member("dim_customer", "C2")["is_deleted"] is True


def test_the_table_leads_to_each_habit() -> None:
    (section,) = re.findall(r"^## Which habit has your shop\?\n(.*?)^## ", PAGE, re.M | re.S)
    linked = re.findall(r"^\| \[[^]]+\]\(#([\w-]+)\)", section, re.M)
    titles = re.findall(r"^### (.+)$", section, re.M)
    assert linked == [title.lower().replace(" ", "-") for title in titles]
    assert len(linked) == 5

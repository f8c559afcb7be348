"""`python main.py check`: what a run would find, told before anything runs, and nothing changed."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import sqlalchemy as sa
from support import Retailer, Star, to_csv

from main import main

Capture: TypeAlias = pytest.CaptureFixture[str]


@dataclass
class Told:
    """What `check` printed, part by part: one per source, the warehouse, the last line."""

    code: int
    out: str
    err: str

    def part(self, name: str) -> str:
        """The lines about a source, or about the warehouse."""
        (found,) = (part for part in self.out.split("\n\n") if part.startswith(f"{name}: "))
        return found

    def problems(self, name: str) -> list[str]:
        """What is wrong with a source, or with the warehouse."""
        lines = self.part(name).splitlines()
        return [line.strip() for line in lines if line.startswith("  problem: ")]

    def warnings(self, name: str) -> list[str]:
        """What would be refused of a source."""
        lines = self.part(name).splitlines()
        return [line.strip() for line in lines if line.startswith("  warning: ")]


def check(shop: Retailer, capsys: Capture, **changed: object) -> Told:
    """Run the command over the sources as they are now."""
    capsys.readouterr()
    code = main(["--env-file", shop.env_file(**changed), "check"])
    return Told(code, *capsys.readouterr())


def squeezed(text: str) -> list[str]:
    """Lines without their alignment."""
    return [" ".join(line.split()) for line in text.splitlines()]


# --- what it says when all is well ----------------------------------------------------------------


def test_a_shop_without_a_fault_is_described_whole(shop: Retailer, capsys: Capture) -> None:
    shop.sales.append({**shop.sales[0], "transaction_id": "T4"})
    told = check(shop, capsys)
    assert (told.code, told.err) == (0, "")
    assert told.out.endswith("\nA run can start.\n")
    sales = squeezed(told.part("transactions"))
    assert sales[0] == (
        "transactions: 1 file(s), encoding utf-8, dates ISO8601, decimal separator '.'"
    )
    assert sales[1] == f"{shop.path('transactions')}: csv, delimiter ',', 8 columns"
    for required in ("transaction_id", "transaction_date", "customer_id", "unit_price"):
        assert f"* {required} <- {required}" in sales
    assert "discount_amount <- discount_amount" in sales
    assert "not found: discount_rate" in sales
    rows = sales[sales.index("as they would be read:") + 2 :]
    assert rows == [
        "T1 2024-02-29 C1 P1 2 250.00 grace_hopper 0",
        "T2 2024-03-01 C2 P2 3 59.99 grace_hopper 9.9975",
        "T3 2024-03-02 C1 P2 1 60.00 john_backus 0",
    ]
    assert "json array" in told.part("products")
    assert "not found: last_name" not in told.part("customers")
    assert "not found: company, phone, address" in told.part("customers")
    assert told.part("sales_reps").startswith("sales_reps: not configured")


def test_columns_and_files_under_settings_are_shown_as_they_are_read(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    days = duckdb_shop.folder / "days"
    days.mkdir()
    text = "Auftrag;Pos;Tag;Kunde;Artikel;Stück;Einzel;Farbe\n{};1;24.12.2023;C1;P1;2;9,50;rot\n"
    for number in range(7):
        (days / f"day{number}.csv").write_bytes(text.format(number).encode("cp1252"))
    mapping = {
        "transaction_id": ["Auftrag", "Pos"], "transaction_date": "Tag", "customer_id": "Kunde",
        "product_id": "Artikel", "quantity": "Stück", "unit_price": "Einzel",
    }  # fmt: skip
    told = check(
        duckdb_shop,
        capsys,
        TRANSACTIONS__PATH=days,
        TRANSACTIONS__ENCODING="cp1252",
        TRANSACTIONS__DATE_FORMATS="%d.%m.%Y",
        TRANSACTIONS__DECIMAL_SEPARATOR=",",
        TRANSACTIONS__COLUMNS=json.dumps(mapping, ensure_ascii=False),
    )
    assert told.code == 0
    sales = squeezed(told.part("transactions"))
    assert sales[0] == (
        "transactions: 7 file(s), encoding cp1252, dates %d.%m.%Y, decimal separator ','"
    )
    assert sales[1] == f"{days / 'day0.csv'}: csv, delimiter ';', 8 columns"
    assert sales[6] == "... and 2 more"
    assert "* transaction_id <- Auftrag - Pos" in sales
    assert "* quantity <- Stück" in sales
    assert "not used: Farbe" in sales
    assert sales[-1] == "0-1 24.12.2023 C1 P1 2 9,50"
    assert told.warnings("transactions") == []


def test_tables_of_a_database_are_described_like_files(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    file = duckdb_shop.folder / "shop.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE people (customer_id, first_name)")
        database.executemany("INSERT INTO people VALUES (?, ?)", [(7, "Ada"), (8, None)])
    database.close()
    told = check(
        duckdb_shop, capsys, CUSTOMERS__PATH=f"sqlite:///{file}", CUSTOMERS__QUERY="people"
    )
    assert told.code == 0
    customers = squeezed(told.part("customers"))
    assert customers[1] == f"sqlite:///{file} (customers): database sqlite, 2 columns"
    assert customers[-2:] == ["7 Ada", "8"]


def test_a_configured_source_of_reps_is_described_too(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.reps = [{"sales_rep_id": "grace_hopper", "hire_date": "2020-01-01"}]
    told = check(duckdb_shop, capsys)
    assert told.code == 0
    assert squeezed(told.part("sales_reps"))[-1] == "grace_hopper 2020-01-01"


def test_a_header_without_rows_is_no_fault(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.files["customers"] = "customer_id,first_name\n"
    duckdb_shop.files["products"] = "[]"
    told = check(duckdb_shop, capsys)
    assert told.code == 0
    assert "* customer_id" in told.part("customers")
    assert "as they would be read" not in told.part("customers")


def test_values_inside_others_are_told_by_the_names_that_map_them(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    shop = duckdb_shop
    shop.files["products"] = json.dumps(
        [{"artikel": {"nr": "A1", "name": {"de": "Lampe"}}, "preise": [{"netto": 9.5}], "x": 1}]
    )
    inside = "inside, to be mapped by these names: artikel.name.de, artikel.nr, preise.0.netto"
    told = check(shop, capsys)
    assert told.code == 2
    assert inside in squeezed(told.part("products"))
    told = check(shop, capsys, PRODUCTS__COLUMNS='{"product_id": "artikel"}')
    assert inside in squeezed(told.part("products"))
    assert told.warnings("products") == [
        "warning: product_id is mapped to 'artikel', which is no single value; inside it there are "
        "artikel.name.de, artikel.nr"
    ]
    mapping = {"product_id": "artikel.nr", "name": "artikel.name.de", "price": "preise.0.netto"}
    told = check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping))
    assert (told.code, told.warnings("products")) == (0, [])
    assert squeezed(told.part("products"))[-1] == "A1 Lampe 9.5"


def test_a_list_with_more_values_than_are_mapped_is_told(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    shop = duckdb_shop
    shop.files["products"] = json.dumps(
        [{"product_id": "P1", "prices": [{"net": 9}]},
         {"product_id": "P2", "prices": [{"net": 8}, {"net": 5}, {"net": 4}]}]
    )  # fmt: skip
    mapping = {"price": "prices.0.net", "cost": "prices.1.net"}
    warning = "'prices' holds up to 3 values, of which 2 are mapped: one record is one row"
    assert warning in check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping)).out
    assert warning in " ".join(shop.publish(PRODUCTS__COLUMNS=json.dumps(mapping))["warnings"])
    mapping["brand"] = "prices.2.net"
    assert "prices' holds" not in check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping)).out


def test_null_tokens_are_shown_as_no_value_but_in_keys(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.customers[0] |= {"customer_id": "k.A.", "last_name": "k.A.", "city": " k.A. "}
    told = check(duckdb_shop, capsys, CUSTOMERS__NULL_TOKENS='["k.A."]')
    assert "k.A. Ada ada@example.org GB Consumer" in squeezed(told.part("customers"))


def test_text_of_a_source_cannot_forge_a_line(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.customers[0] |= {"first_name": "Ada\nA run can start.\x1b[31m", "a\rb": "x"}
    duckdb_shop.customers[1]["a\rb"] = ""
    told = check(duckdb_shop, capsys)
    assert "\x1b" not in told.out
    assert "\r" not in told.out
    assert told.out.count("\nA run can start.") == 1
    assert r"Ada\x0aA run can start" in told.out


# --- what would be refused ------------------------------------------------------------------------


def test_rows_that_would_be_rejected_are_told_with_the_setting_that_helps(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    shop = duckdb_shop
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price,discount_rate\n"
        "T1,24.12.2023,C1,P1,1,9.99,0\n"
        "T2,25.12.2023,C1,P1,1,9.99,0\n"
        "T3,2023-12-25,C1,P1,1,9;99,0\n"
        "T4,2023-12-25,C1,P1,-1,9.99,0\n"
        "T5,2023-12-25,C1,P1,1,9.99,15\n"
        "T6,2023-12-25\n"
        "T7,2023-12-25,C1,P1,1,9.99,0\n"
    )
    shop.products[0]["price"] = "8.999,00"
    told = check(shop, capsys)
    assert told.code == 0  # the limit of rejects is a matter of the run
    dates, numbers, returns, rates = (
        "TRANSACTIONS__DATE_FORMATS", "TRANSACTIONS__DECIMAL_SEPARATOR", "ACCEPT_RETURNS",
        "a rate from 0 to 1",
    )  # fmt: skip
    warnings = told.warnings("transactions")
    assert len(warnings) == 5
    for count, reason, example, advice in (
        (1, "malformed_row", "line 7", "TRANSACTIONS__DELIMITER"),
        (2, "invalid_date", "'24.12.2023'", dates),
        (1, "invalid_unit_price", "'9;99'", numbers),
        (1, "non_positive_quantity", "'-1'", returns),
        (1, "invalid_discount", "'15'", rates),
    ):
        (warning,) = (w for w in warnings if reason in w)
        assert f"{count} of the first 7 rows would be rejected" in warning
        assert example in warning
        assert advice in warning
    (warning,) = told.warnings("products")
    assert "1 of the first 2 rows have a price that is not usable" in warning
    assert "PRODUCTS__DECIMAL_SEPARATOR" in warning
    assert told.warnings("customers") == []


def test_more_rejects_than_a_run_accepts_are_told(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.sales[0]["quantity"] = "none"
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="0.3")
    assert told.code == 0
    assert "above MAX_REJECT_RATE=0.3" in told.warnings("transactions")[-1]
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="0.4")
    assert "above MAX_REJECT_RATE" not in told.out


def test_what_would_be_left_out_without_a_fault_is_told(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    """Columns that some files lack, and ways into nested values that lead nowhere."""
    days = duckdb_shop.folder / "days"
    days.mkdir()
    (days / "1.csv").write_text(to_csv(duckdb_shop.sales), encoding="utf-8")
    _drop("discount_amount", shop=duckdb_shop)
    (days / "2.csv").write_text(to_csv(duckdb_shop.sales), encoding="utf-8")
    told = check(
        duckdb_shop, capsys, TRANSACTIONS__PATH=days,
        PRODUCTS__COLUMNS='{"brand": "specifications.makr"}',
    )  # fmt: skip
    assert told.code == 0
    (partly,) = told.warnings("transactions")
    assert "discount_amount is in other files, not in" in partly
    assert partly.endswith("2.csv")
    (nested,) = told.warnings("products")
    assert "'specifications.makr'" in nested
    assert "'specifications' holds watt" in nested


def test_the_settings_that_it_advises_are_those_that_help(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    for sale in duckdb_shop.sales:
        year, month, day = sale["transaction_date"].split("-")
        sale["transaction_date"] = f"{day}.{month}.{year}"
        sale["unit_price"] = sale["unit_price"].replace(".", ",")
    assert len(check(duckdb_shop, capsys).warnings("transactions")) == 1  # a row has one reason
    settings = {"TRANSACTIONS__DATE_FORMATS": "%d.%m.%Y"}
    (warning,) = check(duckdb_shop, capsys, **settings).warnings("transactions")
    assert "3 of the first 3 rows would be rejected: invalid_unit_price" in warning
    settings["TRANSACTIONS__DECIMAL_SEPARATOR"] = ","
    (warning,) = check(duckdb_shop, capsys, **settings).warnings("transactions")
    assert "invalid_discount, such as '9.9975'" in warning
    duckdb_shop.sales[1]["discount_amount"] = "9,9975"
    assert check(duckdb_shop, capsys, **settings).warnings("transactions") == []
    duckdb_shop.publish(**settings, MAX_REJECT_RATE=0)


# --- what is wrong with the sources ---------------------------------------------------------------


def _drop(*columns: str, shop: Retailer) -> None:
    for sale in shop.sales:
        for column in columns:
            del sale[column]


def _rename(old: str, new: str, shop: Retailer) -> None:
    shop.sales = [{new if k == old else k: v for k, v in sale.items()} for sale in shop.sales]


def _write(source: str, content: str | bytes | None, shop: Retailer) -> None:
    shop.files[source] = content


FAULTS: dict[str, tuple[Callable[[Retailer], None], dict[str, str], str, tuple[str, ...]]] = {
    "a required column is missing": (
        lambda shop: _rename("quantity", "quantities", shop),
        {},
        "transactions",
        (
            "sales.csv",
            "required column quantity is missing",
            "nearest: 'quantities'",
            "TRANSACTIONS__COLUMNS",
            "it has: transaction_id, transaction_date",
        ),
    ),
    "several required columns are missing": (
        lambda shop: _drop("quantity", "unit_price", shop=shop),
        {},
        "transactions",
        ("columns quantity, unit_price are missing", '"quantity": "<their column>"'),
    ),
    "a mapping names a column that is not there": (
        lambda shop: None,
        {"CUSTOMERS__COLUMNS": '{"email": "e-mail"}'},
        "customers",
        (
            "customers.csv",
            "CUSTOMERS__COLUMNS maps email to 'e-mail'",
            "nearest: 'email'",
            "it has: customer_id, first_name, last_name, email, city, country, segment",
        ),
    ),
    "a mapping names a column of ours that is none": (
        lambda shop: None,
        {"CUSTOMERS__COLUMNS": '{"mail": "email"}'},
        "customers",
        ("CUSTOMERS__COLUMNS maps 'mail'", "not a column of customers", "nearest: 'email'"),
    ),
    "a file is missing": (
        lambda shop: _write("products", None, shop),
        {},
        "products",
        ("products.json", "there is no such file", "PRODUCTS__PATH"),
    ),
    "a pattern matches nothing": (
        lambda shop: None,
        {"CUSTOMERS__PATH": "in/*.csv"},
        "customers",
        ("in/*.csv", "no file matches", "CUSTOMERS__PATH"),
    ),
    "a file is empty": (
        lambda shop: _write("transactions", b"", shop),
        {},
        "transactions",
        ("sales.csv", "the file is empty", "header"),
    ),
    "a header names a column twice": (
        lambda shop: _write("customers", "customer_id,email,email\n1,a,b\n", shop),
        {},
        "customers",
        ("customers.csv, header: email appears more than once", "rename"),
    ),
    "the encoding is another": (
        lambda shop: _write("customers", "customer_id,city\nC1,Köln\n".encode("cp1252"), shop),
        {},
        "customers",
        ("customers.csv: byte 21 is not valid utf-8", "CUSTOMERS__ENCODING", "cp1252"),
    ),
    "JSON is cut off": (
        lambda shop: _write("products", '[{"product_id": "P1"}, {"product', shop),
        {},
        "products",
        ("products.json, line 1, record 2", "cut off"),
    ),
    "a database is nowhere": (
        lambda shop: None,
        {"CUSTOMERS__PATH": "duckdb:///", "CUSTOMERS__QUERY": "SELECT nonsense"},
        "customers",
        ("duckdb:///", "check CUSTOMERS__PATH"),
    ),
    "a database file is missing": (
        lambda shop: None,
        {"CUSTOMERS__PATH": "sqlite:///absent.sqlite", "CUSTOMERS__QUERY": "people"},
        "customers",
        ("absent.sqlite", "there is no such file", "CUSTOMERS__PATH"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_source_is_told_with_place_and_next_step(
    name: str, duckdb_shop: Retailer, capsys: Capture
) -> None:
    make, settings, source, words = FAULTS[name]
    make(duckdb_shop)
    told = check(duckdb_shop, capsys, **settings)
    assert told.code == 2
    assert told.err == ""
    assert told.out.endswith("\nA run cannot start: see above.\n")
    (problem,) = told.problems(source)
    for word in words:
        assert word in problem
    others = {"customers", "products", "transactions"} - {source}
    assert all(told.problems(other) == [] for other in others)
    results = duckdb_shop.run(**settings)  # and a run says the very same
    (error,) = results["errors"]
    assert problem.removeprefix("problem: ") in error


def test_faults_of_all_sources_and_of_the_warehouse_are_told_at_once(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.files["customers"] = "name\nAda\n"
    duckdb_shop.files["products"] = None
    _drop("quantity", shop=duckdb_shop)
    told = check(duckdb_shop, capsys, WAREHOUSE_URL="postgresql://etl@127.0.0.1:1/sales")
    assert told.code == 2
    for part in ("customers", "products", "transactions", "warehouse"):
        assert len(told.problems(part)) == 1


def test_every_faulty_file_of_a_source_is_told(duckdb_shop: Retailer, capsys: Capture) -> None:
    days = duckdb_shop.folder / "days"
    days.mkdir()
    for number in (1, 2, 3):
        (days / f"day{number}.csv").write_text(to_csv(duckdb_shop.sales), encoding="utf-8")
    (days / "day1.csv").write_text("transaction_id\nT9\n", encoding="utf-8")
    (days / "day3.csv").write_bytes(b"")
    told = check(duckdb_shop, capsys, TRANSACTIONS__PATH=days)
    assert told.code == 2
    first, third = told.problems("transactions")
    assert "day1.csv" in first
    assert "day3.csv" in third


def test_settings_that_cannot_work_are_told_before_any_source_is_looked_at(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="many", TRANSACTIONS__ENCODING="martian")
    assert (told.code, told.out) == (2, "")
    assert "MAX_REJECT_RATE" in told.err
    assert "TRANSACTIONS__ENCODING" in told.err


# --- the warehouse --------------------------------------------------------------------------------


def version_of(star: Star) -> str:
    """What the engine calls itself, as its own client tells it."""
    return str(star.scalar("SELECT version()")).split(" on ")[0]


def test_an_empty_warehouse_can_be_loaded(shop: Retailer, capsys: Capture) -> None:
    version = version_of(shop.star)  # makes DuckDB's file
    if shop.star.schema:
        shop.star.execute(f'CREATE SCHEMA "{shop.star.schema}"')
    told = check(shop, capsys)
    assert told.code == 0
    assert f"reachable: {version}" in told.part("warehouse")
    assert "no star there yet; the first run creates it" in told.part("warehouse")


def test_a_star_that_fits_is_said_to(shop: Retailer, capsys: Capture) -> None:
    shop.publish()
    told = check(shop, capsys)
    assert told.code == 0
    assert f"reachable: {version_of(shop.star)}" in told.part("warehouse")
    assert "the star there fits" in told.part("warehouse")


def test_columns_that_an_older_star_lacks_are_told_and_no_fault(
    shop: Retailer, capsys: Capture
) -> None:
    shop.publish()
    shop.star.execute("ALTER TABLE dim_sales_rep DROP COLUMN hire_date", "DROP TABLE etl_run")
    told = check(shop, capsys)
    assert told.code == 0
    assert "the next run adds: etl_run, dim_sales_rep.hire_date" in told.part("warehouse")
    shop.publish_in_full()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "ALTER TABLE dim_customer ALTER COLUMN city TYPE varchar(7)",
            ("dim_customer.city is", "instead of"),
        ),
        (
            "ALTER TABLE dim_customer ADD COLUMN shoe_size integer",
            ("dim_customer has a column shoe_size", "does not know"),
        ),
    ],
)
def test_a_star_that_does_not_fit_is_told(
    shop: Retailer, capsys: Capture, change: str, words: tuple[str, ...]
) -> None:
    if shop.star.engine_name == "duckdb":  # where a text has no length
        change = change.replace("varchar(7)", "integer USING 1")
    shop.publish()
    shop.star.execute(change)
    before = shop.star.content()
    told = check(shop, capsys)
    assert told.code == 2
    (problem,) = told.problems("warehouse")
    for word in words:
        assert word in problem
    assert shop.star.content() == before


def test_an_unreachable_warehouse_is_told_without_its_password(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    url = "postgresql://etl:s3cr%40t@127.0.0.1:1/sales"
    told = check(duckdb_shop, capsys, WAREHOUSE_URL=url)
    assert told.code == 2
    (problem,) = told.problems("warehouse")
    assert "127.0.0.1:1/sales" in problem
    assert "check host, port, database, user and password" in problem
    assert "s3cr" not in told.out + told.err


def test_no_password_of_a_warehouse_or_source_is_shown(
    postgresql_shop: Retailer, capsys: Capture
) -> None:
    url = sa.make_url(postgresql_shop.star.url)
    secret = url.set(password=url.password or "s3cr@t/w").render_as_string(hide_password=False)
    told = check(
        postgresql_shop,
        capsys,
        WAREHOUSE_URL=secret,
        CUSTOMERS__PATH=secret,
        CUSTOMERS__QUERY="SELECT 1 AS customer_id",
    )
    assert told.code == 0
    assert ":***@" in told.part("warehouse")
    assert ":***@" in told.part("customers")
    password = sa.make_url(secret).password
    assert str(password) not in told.out + told.err
    assert "s3cr" not in told.out + told.err


@pytest.mark.parametrize(
    ("path", "words"),
    [("sales.csv", "not a DuckDB database"), ("sales.csv/w.duckdb", "nothing can be made")],
)
def test_a_place_that_can_be_no_warehouse_is_told(
    duckdb_shop: Retailer, capsys: Capture, path: str, words: str
) -> None:
    told = check(duckdb_shop, capsys, WAREHOUSE_URL=f"duckdb:///{duckdb_shop.folder / path}")
    assert told.code == 2
    (problem,) = told.problems("warehouse")
    assert words in problem


def _flipped(file: bytes) -> bytes:
    return file[:8200] + bytes([file[8200] ^ 0xFF]) + file[8201:]


def _of_version(file: bytes, version: int) -> bytes:
    """The same file as a DuckDB of another version would have begun it."""
    head = file[8:12] + struct.pack("<Q", version) + file[20:4096]
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", head):
        checksum ^= word * 0xBF58476D1CE4E5B9 % (1 << 64)
    return struct.pack("<Q", checksum) + head + file[4096:]


@pytest.mark.parametrize(
    ("change", "query", "words"),
    [
        (_flipped, "", "the file is damaged: bring it back from a backup, or move it away"),
        (lambda file: file[:5000], "", "the file is damaged"),
        (lambda file: _of_version(file, 60), "", "another version of DuckDB wrote the file"),
        (lambda file: _of_version(file, 200), "", "another version of DuckDB wrote the file"),
        (lambda file: file, "?memory_limit=1KB", "give the process more memory"),
    ],
    ids=["a flipped byte", "cut off", "older", "newer", "out of memory"],
)
def test_why_a_file_cannot_be_opened_is_told_and_a_healthy_one_is_not_moved_away(
    duckdb_shop: Retailer,
    capsys: Capture,
    change: Callable[[bytes], bytes],
    query: str,
    words: str,
) -> None:
    shop = duckdb_shop
    shop.publish()
    file = Path(str(sa.make_url(shop.star.url).database))
    file.write_bytes(change(file.read_bytes()))
    told = check(shop, capsys, WAREHOUSE_URL=f"{shop.star.url}{query}")
    assert told.code == 2
    (problem,) = told.problems("warehouse")
    assert words in problem
    assert ("move it away" in problem) == ("damaged" in words)
    (error,) = shop.run(WAREHOUSE_URL=f"{shop.star.url}{query}")["errors"]
    assert problem.removeprefix("problem: ") in error


# --- nothing is changed ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_loaded", [False, True])
def test_nothing_is_made_or_changed(
    shop: Retailer, capsys: Capture, tmp_path: Path, is_loaded: bool
) -> None:
    if is_loaded:
        shop.publish()
    shop.env_file()  # writes the sources as well

    def everything() -> tuple[dict[Path, bytes | None], set[str]]:
        files = {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")}
        is_there = is_loaded or shop.star.schema
        return files, shop.star.tables() if is_there else set()

    before = everything()
    assert check(shop, capsys).code == 0
    assert everything() == before
    assert bool(before[1]) == is_loaded

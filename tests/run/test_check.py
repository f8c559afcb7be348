"""`python main.py check`: what a run would find, told before anything runs, and nothing changed."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

import pytest
import sqlalchemy as sa

from cli import main
from support.retailer import Retailer
from support.star import Star
from support.tables import to_csv
from tools.sample_data import generate
from warehouse import open_warehouse

Capture: TypeAlias = pytest.CaptureFixture[str]


@dataclass
class Told:
    """What `check` printed, part by part: one per source, the warehouse, the last line."""

    code: int
    out: str
    err: str

    def part(self, name: str) -> str:
        """The lines about a source, or about the warehouse."""
        parts = [part.strip("\n") for part in self.out.split("\n\n")]
        (found,) = (part for part in parts[1:] if re.match(f" [^ ] {name}(\\s|$)", part))
        return found

    def problems(self, name: str) -> list[str]:
        """What is wrong with a source, or with the warehouse."""
        return self._marked(name, "✘")

    def examples(self, name: str, reason: str) -> list[str]:
        """The rows that are shown for a reason of a source."""
        lines = self.part(name).splitlines()
        at = next(n for n, line in enumerate(lines) if f"would be rejected: {reason}" in line)
        below = takewhile(lambda line: line.startswith(" " * 7), lines[at + 1 :])
        return [line.strip() for line in below]

    @property
    def verdict(self) -> str:
        """The first line."""
        return self.out.splitlines()[0].strip()

    @property
    def next(self) -> str:
        """The last line."""
        return self.out.splitlines()[-1].strip()

    def warnings(self, name: str) -> list[str]:
        """What would be refused of a source."""
        return self._marked(name, "!")

    def _marked(self, name: str, sign: str) -> list[str]:
        begins = f"   {sign} "
        lines = self.part(name).splitlines()
        return [line.removeprefix(begins) for line in lines if line.startswith(begins)]


def check(shop: Retailer, capsys: Capture, *options: str, **changed: object) -> Told:
    """Run the command over the sources as they are now; on a screen so wide that no line folds, or
    of so many COLUMNS.
    """
    width = changed.pop("COLUMNS", 9999)
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        code = main(["--env-file", shop.env_file(**changed), "check", *options])
    return Told(code, *capsys.readouterr())


def squeezed(text: str) -> list[str]:
    """Lines without their alignment."""
    return [" ".join(line.split()) for line in text.splitlines()]


# --- what it says when all is well ----------------------------------------------------------------


def test_a_shop_without_a_fault_is_described_whole(shop: Retailer, capsys: Capture) -> None:
    shop.sales.append({**shop.sales[0], "transaction_id": "T4"})
    told = check(shop, capsys)
    assert (told.code, told.err) == (0, "")
    rows = "customers 2 of 2 rows, products 2 of 2 rows, transactions 4 of 4 rows"
    assert told.verdict == f"✔ a run would publish: {rows}"
    assert told.next == "✔ a run would publish  next python main.py"
    sales = squeezed(told.part("transactions"))
    assert sales[:4] == [
        "✔ transactions 4 of 4 rows would load",
        f"file {shop.path('transactions')}: csv, delimiter ',', 8 columns",
        "read as encoding utf-8, dates ISO8601, decimal separator '.'",
        "columns transaction_id, transaction_date, customer_id, product_id, quantity, unit_price, "
        "sales_rep_id, discount_amount",
    ]
    assert "not found line_amount, discount_rate, unit_cost, currency, is_deleted" in sales
    shown = sales[sales.index("the first rows as they are read") + 2 :]
    assert shown[:3] == [
        "T1 2024-02-29 C1 P1 2 250.00 grace_hopper 0",
        "T2 2024-03-01 C2 P2 3 59.99 grace_hopper 9.9975",
        "T3 2024-03-02 C1 P2 1 60.00 john_backus 0",
    ]
    assert shown[3:] == [
        "as they would be stored",
        "transaction_id customer_id product_id sales_rep_id date_key quantity unit_price "
        "discount_amount gross_amount net_amount unit_cost currency",
        "T1 C1 P1 grace_hopper 20240229 2.0000 250.0000 0.0000 500.0000 500.0000",
        "T2 C2 P2 grace_hopper 20240301 3.0000 59.9900 9.9975 179.9700 169.9725",
        "T3 C1 P2 john_backus 20240302 1.0000 60.0000 0.0000 60.0000 60.0000",
    ]
    assert "json array" in told.part("products")
    assert "not found last_name" not in told.part("customers")
    assert "not found   company, phone, address" in told.part("customers")
    assert "not configured (set SALES_REPS__PATH)" in told.part("sales_reps")


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
    assert sales[1] == f"file {days / 'day0.csv'}: csv, delimiter ';', 8 columns"
    assert sales[6:8] == [
        "file and 2 more, 7 in all",
        "read as encoding cp1252, dates %d.%m.%Y, decimal separator ','",
    ]
    assert "column transaction_id from Auftrag + Pos, which is required" in sales
    assert "column quantity from Stück, which is required" in sales
    assert "not used Farbe" in sales
    assert "0-1 24.12.2023 C1 P1 2 9,50" in sales
    stored = sales[sales.index("as they would be stored") + 2 :]
    assert stored[0] == "0-1 C1 P1 20231224 2.0000 9.5000 0.0000 19.0000 19.0000"
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
    assert customers[1] == f"file sqlite:///{file} (customers): database sqlite, 2 columns"
    assert {"7 Ada", "8"} <= set(customers)
    assert customers[-2:] == ["7 Ada Ada Unknown False False", "8 Customer 8 Unknown False False"]


def test_a_configured_source_of_reps_is_described_too(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.reps = [{"sales_rep_id": "grace_hopper", "hire_date": "2020-01-01"}]
    told = check(duckdb_shop, capsys)
    assert told.code == 0
    assert squeezed(told.part("sales_reps"))[-1] == (
        "grace_hopper Grace Hopper Grace Hopper Unassigned 2020-01-01 False"
    )


def test_a_header_without_rows_is_no_fault(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.files["customers"] = "customer_id,first_name\n"
    duckdb_shop.files["products"] = "[]"
    told = check(duckdb_shop, capsys)
    assert told.code == 0
    assert "columns     customer_id" in told.part("customers")
    assert "as they are read" not in told.part("customers")


def test_values_inside_others_are_told_by_the_names_that_map_them(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    shop = duckdb_shop
    shop.files["products"] = json.dumps(
        [{"artikel": {"nr": "A1", "name": {"de": "Lampe"}}, "preise": [{"netto": 9.5}], "x": 1}]
    )
    inside = "inside to be mapped by these names: artikel.name.de, artikel.nr, preise.0.netto"
    told = check(shop, capsys)
    assert told.code == 2
    assert inside in squeezed(told.part("products"))
    told = check(shop, capsys, PRODUCTS__COLUMNS='{"product_id": "artikel"}')
    assert inside in squeezed(told.part("products"))
    assert told.warnings("products") == [
        "product_id is mapped to 'artikel', which is no single value; inside it there are "
        "artikel.name.de, artikel.nr (1 record at line or number 1)"
    ]
    mapping = {"product_id": "artikel.nr", "name": "artikel.name.de", "price": "preise.0.netto"}
    told = check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping))
    assert (told.code, told.warnings("products")) == (0, [])
    assert "A1 Lampe 9.5" in squeezed(told.part("products"))


def test_a_list_with_more_values_than_are_mapped_is_told(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    shop = duckdb_shop
    shop.files["products"] = json.dumps(
        [{"product_id": "P1", "prices": [{"net": 9}]},
         {"product_id": "P2", "prices": [{"net": 8}, {"net": 5}, {"net": 4}]}]
    )  # fmt: skip
    mapping = {"price": "prices.0.net", "cost": "prices.1.net"}
    warning = "'prices' holds up to 3 values, of which 2 are mapped (1 record at line or number 2)"
    assert warning in check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping)).out
    assert warning in " ".join(shop.publish(PRODUCTS__COLUMNS=json.dumps(mapping))["warnings"])
    mapping["brand"] = "prices.2.net"
    assert "prices' holds" not in check(shop, capsys, PRODUCTS__COLUMNS=json.dumps(mapping)).out


def test_null_tokens_are_stored_as_no_value_but_in_keys(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.customers[0] |= {"customer_id": "k.A.", "last_name": "k.A.", "city": " k.A. "}
    told = check(duckdb_shop, capsys, CUSTOMERS__NULL_TOKENS='["k.A."]')
    customers = squeezed(told.part("customers"))
    assert "k.A. Ada k.A. ada@example.org k.A. GB Consumer" in customers
    assert "k.A. Ada Ada ada@example.org GB Consumer False False" in customers


def test_text_of_a_source_cannot_forge_a_line(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.customers[0] |= {"first_name": "Ada\nA run would publish.\x1b[31m", "a\rb": "x"}
    duckdb_shop.customers[1]["a\rb"] = ""
    told = check(duckdb_shop, capsys)
    assert "\x1b" not in told.out
    assert "\r" not in told.out
    assert told.out.count("\nA run would publish") == 0
    assert r"Ada\x0aA run would publish" in told.out


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
    assert told.code == 0  # there is no limit of rejects
    assert told.verdict.endswith("transactions 1 of 7 rows")
    warnings = told.warnings("transactions")
    assert len(warnings) == 5
    for count, reason, example, advice in (
        (1, "malformed_row", "line 7", "see these records in the source"),
        (
            2,
            "invalid_date",
            "line 2: '24.12.2023'",
            """TRANSACTIONS__DATE_FORMATS='["ISO8601", "%d.%m.%Y"]'""",
        ),
        (1, "invalid_unit_price", "line 4: '9;99'", "no setting makes numbers of them"),
        (1, "non_positive_quantity", "line 5: '-1'", "ACCEPT_RETURNS"),
        (
            1,
            "invalid_discount",
            "line 6: '15 (if it is a percentage",
            "set TRANSACTIONS__RATE_UNIT=percent",
        ),
    ):
        (warning,) = (w for w in warnings if reason in w)
        assert f"{count} of 7 rows would be rejected" in warning
        assert told.examples("transactions", reason)[0].startswith(example)
        assert advice in warning
    (warning,) = told.warnings("products")
    assert "1 of 2 rows: price is not usable, and left empty" in warning
    assert "set PRODUCTS__DECIMAL_SEPARATOR=," in warning
    assert told.warnings("customers") == []


def test_more_rejects_than_a_run_accepts_are_told(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.sales[0]["quantity"] = "none"
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="0.3")
    assert told.code == 3
    assert "above MAX_REJECT_RATE=0.3: 1 of 3 rows" in told.warnings("transactions")[-1]
    refused = "transactions: 1 of 3 rows rejected, above MAX_REJECT_RATE=0.3"
    assert told.verdict == f"! a run would be refused: {refused}"
    results = duckdb_shop.run(MAX_REJECT_RATE="0.3")
    assert (results["status"], refused in results["errors"][0]) == ("gate_failed", True)
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="0.4")
    assert told.code == 0
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
    (partly,) = (w for w in told.warnings("transactions") if "rejected" not in w)
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
    assert "3 of 3 rows would be rejected: invalid_unit_price" in warning
    settings["TRANSACTIONS__DECIMAL_SEPARATOR"] = ","
    (warning,) = check(duckdb_shop, capsys, **settings).warnings("transactions")
    assert "1 of 3 rows would be rejected: invalid_discount" in warning
    duckdb_shop.sales[1]["discount_amount"] = "9,9975"
    assert check(duckdb_shop, capsys, **settings).warnings("transactions") == []
    duckdb_shop.publish(**settings, MAX_REJECT_RATE=0)


def _many_sales(shop: Retailer, count: int) -> None:
    """A file of so many sales, the last of which has no date."""
    template = shop.sales[0]
    shop.sales = [{**template, "transaction_id": f"T{number}"} for number in range(count)]
    shop.sales[-1]["transaction_date"] = "soon"


def test_every_row_is_looked_at_unless_only_some_are_asked_for(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    _many_sales(duckdb_shop, 2500)
    told = check(duckdb_shop, capsys, MAX_REJECT_RATE="0", BATCH_ROWS="600")
    assert told.code == 3
    assert "1 of 2,500 rows would be rejected: invalid_date" in told.out
    assert told.examples("transactions", "invalid_date") == ["line 2501: 'soon'"]
    assert told.verdict.startswith("! a run would be refused: transactions: 1 of 2,500 rows")
    told = check(duckdb_shop, capsys, "--rows", "1000", MAX_REJECT_RATE="0", BATCH_ROWS="600")
    assert told.code == 0
    assert told.verdict.startswith("✔ a run would publish, by the first 1,000 rows or so of each")
    assert "soon" not in told.out


def test_a_look_at_some_rows_ends_where_there_are_enough(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    days = duckdb_shop.folder / "days"
    days.mkdir()
    _many_sales(duckdb_shop, 30)
    for number in range(3):
        (days / f"{number}.csv").write_text(to_csv(duckdb_shop.sales[10 * number :][:10]))
    told = check(duckdb_shop, capsys, "--rows", "10", TRANSACTIONS__PATH=days)
    assert told.code == 0
    assert told.verdict.endswith("transactions 10 of 10 rows")
    assert "2.csv: csv" in told.part("transactions")


def test_what_it_counts_is_what_a_run_rejects(
    shop: Retailer, capsys: Capture, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    generate(made, sales=3000, customers=60, products=30, reps=4, seed=7)
    paths = {
        "CUSTOMERS__PATH": made / "customers.csv",
        "PRODUCTS__PATH": made / "products.json",
        "TRANSACTIONS__PATH": made / "sales_transactions.csv",
        "BATCH_ROWS": 700,
    }
    told = check(shop, capsys, **paths)
    results = shop.publish(**paths)
    for table in results["transformation_results"].values():
        source, rejected = table["source"], table["rejected"]
        counted = re.findall(r"([\d,]+) of [\d,]+ rows would be rejected: (\w+)", told.part(source))
        assert {reason: int(count) for count, reason in counted} == rejected
        assert f"{source} {table['rows']:,} of " in told.verdict
        rows = shop.rejects(results, source)
        for reason in rejected:
            lines = [row["_line"] for row in rows if row["_reason"] == reason]
            shown = [line.partition(":")[0] for line in told.examples(source, reason)]
            assert [line.split()[1] for line in shown][:5] == sorted(lines, key=int)[:5] + (
                ["and"] if len(lines) > 5 and len(shown) < 6 else []
            )


def test_values_are_shown_as_they_would_be_stored(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.sales[0] |= {"quantity": "1,250", "unit_price": "1.250", "discount_amount": ""}
    for separator, stored in ((".", "1250.0000 1.2500"), (",", "1.2500 1250.0000")):
        told = check(duckdb_shop, capsys, TRANSACTIONS__DECIMAL_SEPARATOR=separator)
        lines = squeezed(told.part("transactions"))
        assert any(line.startswith(f"T1 C1 P1 grace_hopper 20240229 {stored}") for line in lines)
        assert "T1 2024-02-29 C1 P1 1,250 1.250 grace_hopper" in lines


@pytest.mark.parametrize(
    ("dates", "advised"),
    [
        (["24.12.2023", "1.2.2024"], ["%d.%m.%Y"]),
        (["12/24/2023", "01/02/2024"], ["%m/%d/%Y"]),
        (["01/02/2024", "03/04/2024"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["24-Dec-2023", "01-Feb-2024"], ["%d-%b-%Y"]),
        (["24/12/2023 18:30", "01/02/2024 07:00"], ["%d/%m/%Y %H:%M"]),
        (["12/24/2023 6:30 PM", "01/02/2024 7:00 AM"], ["%m/%d/%Y %I:%M %p"]),
        (["Heiligabend", "24.12.2023"], []),
    ],
)
def test_date_formats_are_advised_that_read_the_dates(
    duckdb_shop: Retailer, capsys: Capture, dates: list[str], advised: list[str]
) -> None:
    """When day and month can be told apart by nothing, both orders are."""
    duckdb_shop.sales = duckdb_shop.sales[:2]
    for sale, date in zip(duckdb_shop.sales, dates, strict=True):
        sale["transaction_date"] = date
    (warning,) = check(duckdb_shop, capsys).warnings("transactions")
    assert re.findall(r"__DATE_FORMATS='\[\"(.*?)\"\]'", warning) == advised
    for pattern in advised[:1]:
        settings = {"TRANSACTIONS__DATE_FORMATS": json.dumps([pattern])}
        assert check(duckdb_shop, capsys, **settings).warnings("transactions") == []
    if not advised:
        assert "say in TRANSACTIONS__DATE_FORMATS" in warning


def test_a_separator_is_advised_only_where_it_makes_no_number_worse(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.sales[0]["unit_price"] = "12,50"
    (warning,) = check(duckdb_shop, capsys).warnings("transactions")
    assert "some numbers have a decimal point and some a decimal comma" in warning
    assert "DECIMAL_SEPARATOR" not in warning


def test_percentages_are_advised_to_be_a_rate(duckdb_shop: Retailer, capsys: Capture) -> None:
    for sale in duckdb_shop.sales:
        sale["Rabatt"] = "12.5%"
        del sale["discount_amount"]
    settings = {"TRANSACTIONS__COLUMNS": '{"discount_amount": "Rabatt"}'}
    (warning,) = check(duckdb_shop, capsys, **settings).warnings("transactions")
    (pasted,) = re.findall(r"TRANSACTIONS__COLUMNS='(.*)'", warning)
    assert check(duckdb_shop, capsys, TRANSACTIONS__COLUMNS=pasted).warnings("transactions") == []


def test_no_setting_is_advised_that_has_no_meaning_for_the_format(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    lines = [json.dumps(sale) for sale in duckdb_shop.sales]
    duckdb_shop.files["transactions"] = "\n".join([*lines, '{"transaction_id": "T9", "x'])
    told = check(duckdb_shop, capsys)
    assert "malformed_row" in told.out
    assert "DELIMITER" not in told.out


def test_sales_of_members_that_no_source_has_are_counted(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    duckdb_shop.sales[0] |= {"customer_id": "C9", "product_id": ""}
    duckdb_shop.sales[1]["customer_id"] = "C9"
    (_, warning) = check(duckdb_shop, capsys).warnings("transactions")
    assert "1 of 2 sales name 1 customer_id that customers lacks, such as 'C9'" in warning
    assert "inferred member" in warning
    told = check(duckdb_shop, capsys, ORPHAN_POLICY="reject", MAX_REJECT_RATE="0.4")
    assert "they are rejected, unless the warehouse knows them" in told.out
    condition = "✔ a run would publish, if the warehouse knows the members that the sources lack: "
    assert told.verdict.startswith(condition)
    assert "not judged  what only the warehouse knows: members that" in told.out


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
        lambda shop: _write(
            "customers", "customer_id,city\nC1,Köln\nC2,Zürich\n".encode("cp1252"), shop
        ),
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
        ("duckdb:///", "correct CUSTOMERS__QUERY"),
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
    assert told.verdict == f"✘ a run cannot start: see {source}"
    (problem,) = told.problems(source)
    for word in words:
        assert word in problem
    others = {"customers", "products", "transactions"} - {source}
    assert all(told.problems(other) == [] for other in others)
    results = duckdb_shop.run(**settings)  # and a run says the very same
    (error,) = results["errors"]
    assert problem.removeprefix(f"{source}: ") in error


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
    (days / "day3.csv").write_text("customer_id\nC1\n", encoding="utf-8")
    told = check(duckdb_shop, capsys, TRANSACTIONS__PATH=days)
    assert told.code == 2
    first, third, both = told.problems("transactions")
    assert "day1.csv" in first
    assert "day3.csv" in third
    assert "day2.csv has the columns that" in both


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
    assert problem in error


def test_a_warehouse_that_a_run_holds_is_told_with_its_holder(
    shop: Retailer, capsys: Capture
) -> None:
    shop.publish()
    with open_warehouse(shop.config(), "the-run-at-night"):
        told = check(shop, capsys)
    assert told.code == 2
    (problem,) = told.problems("warehouse")
    assert "the-run-at-night" in problem
    assert check(shop, capsys).code == 0


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


def test_a_place_that_nothing_can_be_made_in_is_told(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    file = duckdb_shop.folder / "a-file"
    file.touch()
    told = check(duckdb_shop, capsys, LOG_FILE=file / "etl.log", REJECTS_DIR=file / "rejects")
    assert told.code == 2
    assert [problem.split(":")[0] for problem in told.problems("warehouse")] == [
        "LOG_FILE", "REJECTS_DIR",
    ]  # fmt: skip
    told = check(duckdb_shop, capsys, WORK_DIR=file / "work")
    assert (told.code, told.out) == (1, "")
    assert "set WORK_DIR to another place" in told.err
    assert "Traceback" not in told.err


# --- on any screen, and for programs --------------------------------------------------------------


def _troubled(shop: Retailer) -> dict[str, object]:
    """A shop with something of everything, and the settings with which a run would be refused."""
    for sale in shop.sales:
        sale["Kundennummer"] = sale.pop("customer_id")
    shop.sales = [shop.sales[0] | {"transaction_id": f"T{n}"} for n in range(40)]
    for number in range(8):
        shop.sales[number]["quantity"] = "a quantity of many words, which no line has room for " * 2
    shop.sales[9]["Kundennummer"] = "C99"
    shop.products[0]["price"] = "much"
    return {
        "TRANSACTIONS__COLUMNS": '{"customer_id": "Kundennummer"}', "MAX_REJECT_RATE": "0.1",
    }  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("ending", [0, 2, 3])
def test_it_fits_the_screen_however_it_ends(
    width: int, ending: int, duckdb_shop: Retailer, capsys: Capture
) -> None:
    settings = _troubled(duckdb_shop)
    settings |= {} if ending == 3 else {"MAX_REJECT_RATE": "1"}
    settings |= {"PRODUCTS__PATH": "nowhere.json"} if ending == 2 else {}
    told = check(duckdb_shop, capsys, COLUMNS=width, **settings)
    assert told.code == ending
    lines = told.out.splitlines()
    assert max(map(len, lines)) <= width
    words = {0: "✔ a run would publish", 2: "✘ a run cannot start", 3: "! a run would be refused"}
    assert lines[0].strip().startswith(words[ending])
    assert words[ending] in " ".join(" ".join(lines[-3:]).split())
    assert "next" in " ".join(lines[-3:])
    for shown in ("T8", "grace_hopper", "2024-02-29"):  # of the first row, on its side or not
        assert shown in told.out


def test_only_columns_of_another_name_have_a_line(duckdb_shop: Retailer, capsys: Capture) -> None:
    told = check(duckdb_shop, capsys, **_troubled(duckdb_shop))
    sales = squeezed(told.part("transactions"))
    assert [line for line in sales if line.startswith("column ")] == [
        "column customer_id from Kundennummer, which is required"
    ]
    (named,) = (line for line in sales if line.startswith("columns "))
    assert "transaction_id, transaction_date, product_id" in named


@pytest.mark.parametrize("before", [True, False])
def test_all_of_it_is_told_to_programs(
    before: bool, duckdb_shop: Retailer, capsys: Capture
) -> None:
    settings = _troubled(duckdb_shop)
    env = duckdb_shop.env_file(**settings)
    capsys.readouterr()
    words = ["--json", "check"] if before else ["check", "--json"]
    assert main(["--env-file", env, *words]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["exit_code"]) == ("would_be_refused", 3)
    (reason,) = told["reasons"]
    assert reason.startswith("transactions: 8 of 40 rows rejected")
    sales = told["sources"]["transactions"]
    assert (sales["read"], sales["accepted"], sales["problems"]) == (40, 32, [])
    assert sales["mapping"]["customer_id"] == ["Kundennummer"]
    refused = sales["rejected"]["invalid_quantity"]
    assert (refused["rows"], len(refused["first"])) == (8, 8)
    assert refused["first"][0]["line"] == 2
    assert sales["strangers"][0] | {"example": "C99", "rows": 1} == sales["strangers"][0]
    assert sales["sample"]["read"][0]["transaction_id"] == "T8"
    assert sales["sample"]["stored"][0]["date_key"] == 20240229
    assert told["sources"]["products"]["not_usable"]["price"]["rows"] == 1
    assert told["not_configured"] == ["sales_reps"]
    assert told["warehouse"]["fits"] is True


def test_programs_are_told_why_a_run_cannot_start(duckdb_shop: Retailer, capsys: Capture) -> None:
    duckdb_shop.files["products"] = None
    env = duckdb_shop.env_file()
    assert main(["--env-file", env, "check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["exit_code"]) == ("cannot_start", 2)
    (problem,) = told["sources"]["products"]["problems"]
    assert "there is no such file" in problem


def test_a_few_values_that_are_no_dates_do_not_put_the_format_in_doubt(
    duckdb_shop: Retailer, capsys: Capture
) -> None:
    _many_sales(duckdb_shop, 1001)
    for number in (3, 1000):
        duckdb_shop.sales[number]["transaction_date"] = "n/a"
    (warning,) = check(duckdb_shop, capsys).warnings("transactions")
    assert "2 of 1,001 rows would be rejected: invalid_date; correct these in the source" in warning
    assert "DATE_FORMATS" not in warning
    for sale in duckdb_shop.sales[:900]:
        sale["transaction_date"] = "n/a"
    (warning,) = check(duckdb_shop, capsys).warnings("transactions")
    assert "say in TRANSACTIONS__DATE_FORMATS" in warning

"""Every row and every cent is accounted for: against the sample's truth, and by counting again.

The counting again uses the source files (read by Python's own csv and json), the reject files and
the warehouse; nothing of the application has a part in it.
"""

from __future__ import annotations

import csv
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common.rejects import REASONS
from support.retailer import Retailer, changes
from support.star import Star, dropping
from support.summary import surprises
from support.tables import Row, csv_rows, money, to_csv
from tools import sample_data

SOURCES = {"customers": "dim_customer", "products": "dim_product", "transactions": "fact_sales"}


@dataclass
class Load:
    """A sample, the star it was loaded into, the summary, and what the generator says."""

    folder: Path
    shop: Retailer
    results: Row
    truth: Any

    @property
    def star(self) -> Star:
        return self.shop.star

    @property
    def account(self) -> Any:
        return self.results["validation_results"]["reconciliation"]

    def settings(self) -> dict[str, object]:
        return {
            "CUSTOMERS__PATH": self.folder / "customers.csv",
            "PRODUCTS__PATH": self.folder / "products.json",
            "TRANSACTIONS__PATH": self.folder / "sales_transactions.csv",
        }


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Load]:
    """The sample, loaded once: enough of it that every fault is there."""
    folder = tmp_path_factory.mktemp("sample")
    truth = sample_data.generate(folder, sales=4_000, customers=300, products=80)
    if request.param == "duckdb":
        star = Star(f"duckdb:///{folder / 'warehouse.duckdb'}")
    else:
        url: str = request.getfixturevalue("postgresql_url")
        star = Star(url, f"sample_{uuid.uuid4().hex[:12]}")
    with dropping(star):
        (folder / "shop").mkdir()
        load = Load(folder, Retailer(folder / "shop", star), {}, truth)
        load.results = load.shop.publish(**load.settings(), BATCH_ROWS=1_500)
        yield load


# --- against the truth ----------------------------------------------------------------------------


def test_the_sales_arrive_as_the_generator_says(sample: Load) -> None:
    truth = sample.truth["transactions"]
    told = sample.account["sources"]["transactions"]
    assert (told["read"], told["inserted"], told["duplicate"]) == (
        truth["read"], truth["loaded"], truth["duplicate"],
    )  # fmt: skip
    result = sample.results["transformation_results"]["fact_sales"]
    assert result["rejected"] == truth["rejected"]
    sums = sample.star.row(
        "SELECT count(*), sum(quantity), sum(gross_amount), sum(discount_amount), "
        "sum(net_amount) FROM fact_sales"
    )
    names = ("loaded", "quantity", "gross", "discount", "net")
    assert list(sums) == [Decimal(str(truth[name])) for name in names]


def test_net_by_year_arrives_as_the_generator_says(sample: Load) -> None:
    by_year = sample.star.rows(
        "SELECT year, sum(net_amount) FROM fact_sales JOIN dim_date USING (date_key) GROUP BY year"
    )
    assert {str(year): net for year, net in by_year} == {
        year: Decimal(net) for year, net in sample.truth["net_by_year"].items()
    }


@pytest.mark.parametrize(("source", "table"), [*SOURCES.items()][:2])
def test_members_arrive_as_the_generator_says(sample: Load, source: str, table: str) -> None:
    truth, told = sample.truth[source], sample.account["sources"][source]
    loaded = sample.results["dimension_loading_results"][table]
    assert (told["read"], told["inserted"], told["duplicate"], loaded["inferred"]) == (
        truth["read"], truth["members"], truth["duplicate"], truth["inferred"],
    )  # fmt: skip
    rejected = sample.results["transformation_results"][table]["rejected"]
    assert {reason: n for reason, n in rejected.items() if n} == truth["rejected"]
    counted = "SELECT count(*) FILTER (WHERE NOT is_inferred), count(*) FILTER (WHERE is_inferred)"
    members, inferred = sample.star.row(f"{counted} FROM {table}")
    assert (members - 1, inferred) == (truth["members"], truth["inferred"])


def test_reps_are_those_that_loaded_sales_name(sample: Load) -> None:
    named = "SELECT count(*) FROM dim_sales_rep WHERE sales_rep_key > 0"
    assert sample.star.scalar(named) == sample.truth["sales_reps"]["members"]


# --- by counting again ----------------------------------------------------------------------------


def sales_records(path: Path) -> dict[int, list[str]]:
    """Physical line -> fields of each record of the sample's sales, whose records are one line."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        return dict((reader.line_num, record) for record in reader)  # noqa: C402  # it moves on


def number(text: str) -> Decimal | None:
    """What the sample writes for numbers: thousands groups and a dollar sign at times."""
    bare = text.strip().removeprefix("$")
    plain = re.fullmatch(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", bare, re.ASCII)
    return Decimal(bare.replace(",", "")) if plain else None


def net(record: list[str]) -> Decimal | None:
    """Quantity x price - discount of a record, where all three can be read."""
    if len(record) != len(sample_data.SALES_COLUMNS):
        return None
    row = dict(zip(sample_data.SALES_COLUMNS, record, strict=True))
    quantity, price = number(row["quantity"]), number(row["unit_price"])
    discount = number(row["discount_amount"])
    if quantity is None or price is None or discount is None:
        return None
    return quantity * price - discount


def total(records: list[list[str]]) -> Decimal:
    return sum((net(record) or Decimal(0) for record in records), Decimal(0))


def test_every_sale_is_loaded_a_duplicate_or_rejected(sample: Load) -> None:
    records = sales_records(sample.folder / "sales_transactions.csv")
    rejected = {int(row["_line"]) for row in sample.shop.rejects(sample.results)}
    good = [record for line, record in records.items() if line not in rejected]
    loaded = sample.star.column("SELECT transaction_id FROM fact_sales")
    assert sorted({record[0].strip() for record in good}) == sorted(loaded)
    assert sample.account["sources"]["transactions"] == {
        "read": len(records),
        "inserted": len(loaded),
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "skipped": 0,
        "duplicate": len(good) - len(loaded),
        "rejected": len(rejected),
        "closed": True,
    }
    assert len(records) == len(loaded) + (len(good) - len(loaded)) + len(rejected)


def test_every_cent_is_loaded_in_a_duplicate_or_rejected(sample: Load) -> None:
    records = sales_records(sample.folder / "sales_transactions.csv")
    lines = {int(row["_line"]) for row in sample.shop.rejects(sample.results)}
    rejected = [record for line, record in records.items() if line in lines]
    last = {record[0].strip(): line for line, record in records.items() if line not in lines}
    again = [r for line, r in records.items() if line not in lines and line not in last.values()]
    loaded = sample.star.scalar("SELECT sum(net_amount) FROM fact_sales")
    told = sample.account["money"]
    assert told["closed"] is True
    assert money(told["read"]) == total([*records.values()])
    assert money(told["loaded"]) == loaded == total([records[line] for line in last.values()])
    assert money(told["duplicate"]) == total(again)
    assert money(told["rejected"]) == total(rejected)
    assert total([*records.values()]) == loaded + total(again) + total(rejected)


def test_every_rejected_cent_has_its_reason(sample: Load) -> None:
    """The rows of the reject file as the source has them, as far as they can be read; together
    they are what the accounts say is rejected.
    """
    records = sales_records(sample.folder / "sales_transactions.csv")
    found: dict[str, Decimal] = {}
    for row in sample.shop.rejects(sample.results):
        amount = net(records[int(row["_line"])])
        if amount is not None:
            found[row["_reason"]] = found.get(row["_reason"], Decimal(0)) + amount
    told = sample.results["transformation_results"]["fact_sales"]["rejected_money"]
    assert {reason: money(sums[""]) for reason, sums in told.items()} == found
    assert sum(found.values()) == money(sample.account["money"]["rejected"]) != 0
    assert "rejected_money" not in sample.results["transformation_results"]["dim_customer"]


def test_every_customer_and_product_is_accounted_for(sample: Load) -> None:
    products = json.loads((sample.folder / "products.json").read_text(encoding="utf-8"))
    sources: dict[str, list[Any]] = {
        "customers": csv_rows(sample.folder / "customers.csv"),
        "products": products,
    }
    for source, rows in sources.items():
        table, key = SOURCES[source], f"{source[:-1]}_id"
        rejected = sample.shop.rejects(sample.results, source)
        ids = {str(row[key]).strip() for row in rows} - {""}
        real = f"SELECT {key} FROM {table} WHERE NOT is_inferred AND {source[:-1]}_key > 0"
        assert set(sample.star.column(real)) == ids
        told = sample.account["sources"][source]
        assert (told["read"], told["inserted"], told["rejected"]) == (
            len(rows), len(ids), len(rejected),
        )  # fmt: skip
        assert told["duplicate"] == len(rows) - len(ids) - len(rejected)
        assert told["closed"] is True


def test_the_second_load_accounts_for_all_rows_as_unchanged(sample: Load) -> None:
    results = sample.shop.publish_in_full(**sample.settings())
    assert changes(results) == 0
    account = results["validation_results"]["reconciliation"]
    before = sample.account
    for source, told in account["sources"].items():
        assert told["unchanged"] == before["sources"][source]["inserted"]
        assert told["closed"] is True
    assert money(account["money"]["loaded"]) == 0
    assert account["money"]["unchanged"] == before["money"]["loaded"]
    for part in ("read", "duplicate", "rejected"):
        assert account["money"][part] == before["money"][part]


def test_a_correction_moves_its_money_from_unchanged_to_loaded(shop: Retailer) -> None:
    shop.publish()
    shop.sales[0]["quantity"] = "3"
    account = shop.publish()["validation_results"]["reconciliation"]["money"]
    assert account == {
        "read": "979.9725", "loaded": "750.0000", "unchanged": "229.9725",
        "deleted": "0.0000", "skipped": "0.0000", "duplicate": "0.0000", "rejected": "0.0000",
        "closed": True,
    }  # fmt: skip


def test_the_quality_score_is_the_share_of_accepted_rows(sample: Load) -> None:
    sources = sample.account["sources"].values()
    read, rejected = (sum(told[part] for told in sources) for part in ("read", "rejected"))
    score = sample.results["validation_results"]["data_quality_score"]
    assert score == pytest.approx(100 * (read - rejected) / read, abs=0.0001)
    assert score < 100


# --- rejects --------------------------------------------------------------------------------------


def test_every_reason_there_is_occurs_and_is_counted(duckdb_shop: Retailer, tmp_path: Path) -> None:
    truth: Any = sample_data.generate(tmp_path / "sample", sales=4_000, customers=300, products=80)
    folder = tmp_path / "sample"
    rows = csv_rows_with_nul(folder / "sales_transactions.csv")
    reps = sorted({row["sales_rep_id"].strip() for row in rows} - {"", "john\0smith"})
    duckdb_shop.reps = [{"sales_rep_id": rep} for rep in reps[1:]]
    sales = tmp_path / "sales"
    sales.mkdir()
    (folder / "sales_transactions.csv").rename(sales / "1.csv")
    sale = {**rows[0], "transaction_id": "T-1", "unit_cost": "", "currency": ""}
    more = [{**sale, "unit_cost": "cheap"}, {**sale, "currency": "shells"}]
    (sales / "2.csv").write_text(to_csv(more), encoding="utf-8")
    results = duckdb_shop.publish(
        CUSTOMERS__PATH=folder / "customers.csv",
        PRODUCTS__PATH=folder / "products.json",
        TRANSACTIONS__PATH=sales,
        ORPHAN_POLICY="reject",
    )
    counted = results["transformation_results"]["fact_sales"]["rejected"]
    others = [reason for reason in REASONS if reason != "unknown_order"]  # see test_joins
    assert list(counted) == others
    in_file = Counter(row["_reason"] for row in duckdb_shop.rejects(results))
    assert counted == dict(in_file)
    for reason, count in truth["transactions"]["rejected"].items():
        assert counted[reason] == count
    account = results["validation_results"]["reconciliation"]
    assert account["sources"]["transactions"]["closed"]
    assert account["money"]["closed"]


def csv_rows_with_nul(path: Path) -> list[dict[str, str]]:
    """The records that have the fields of the header."""
    records = sales_records(path).values()
    names = sample_data.SALES_COLUMNS
    return [dict(zip(names, r, strict=True)) for r in records if len(r) == len(names)]


def test_a_reject_file_holds_the_rows_as_they_were_and_where(sample: Load) -> None:
    path = sample.folder / "sales_transactions.csv"
    records = sales_records(path)
    rejects = sample.shop.rejects(sample.results)
    assert list(rejects[0]) == [
        *sample_data.SALES_COLUMNS, "_reason", "_detail", "_line", "_file", "_raw",
    ]  # fmt: skip
    for row in rejects:
        assert row["_file"] == str(path)
        record = records[int(row["_line"])]
        if row["_reason"] == "malformed_row":
            assert len(record) != len(sample_data.SALES_COLUMNS)
            assert ",".join(record) in row["_detail"]
            assert row["_raw"] == ",".join(record)
        else:
            assert row["_raw"] == ""
            assert [row[name] for name in sample_data.SALES_COLUMNS] == record
    counted = sample.results["transformation_results"]["fact_sales"]["rejected"]
    assert Counter(row["_reason"] for row in rejects) == counted


def test_lines_are_physical_ones_in_a_file_with_blank_lines_and_line_breaks(
    duckdb_shop: Retailer,
) -> None:
    duckdb_shop.files["customers"] = (
        "customer_id,city,notes\n"
        "\n"
        'C1,"New\nYork",x\n'  # lines 3 and 4
        ",Paris,no key\n"  # line 5
        "C3,Rome\n"  # line 6, a field too few
        '"",Oslo,"no\nkey"\n'  # lines 7 and 8
        "C4,Wien,x\n"
    )
    results = duckdb_shop.publish()
    found = [
        (row["_line"], row["_reason"], row["city"], row["notes"])
        for row in duckdb_shop.rejects(results, "customers")
    ]
    assert found == [
        ("5", "missing_key", "Paris", "no key"),
        ("6", "malformed_row", "", ""),
        ("7", "missing_key", "Oslo", "no\nkey"),
    ]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_rejects_of_a_json_source_have_their_record_number(
    duckdb_shop: Retailer, batch_rows: int
) -> None:
    keyless = {**duckdb_shop.products[0], "product_id": " "}
    duckdb_shop.products += [keyless, duckdb_shop.products[0] | {"brand": "Other"}]
    results = duckdb_shop.publish(BATCH_ROWS=batch_rows)
    rejects = duckdb_shop.rejects(results, "products")
    assert [(row["_line"], row["_reason"], row["brand"]) for row in rejects] == [
        ("1", "conflicting_duplicate", "Lux"),
        ("3", "missing_key", "Lux"),
    ]
    assert json.loads(rejects[0]["specifications"]) == {"watt": 9}


def test_a_corrected_reject_file_is_loaded_as_the_source(shop: Retailer) -> None:
    good = [dict(row) for row in shop.sales]
    for row, column, fault in zip(
        shop.sales, ("quantity", "transaction_date", "unit_price"), ("two", "n/a", ""), strict=True
    ):
        row[column] = fault
    shop.sales.append(good[0] | {"transaction_id": "T4"})
    results = shop.publish()
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    reasons = ["invalid_quantity", "invalid_date", "invalid_unit_price"]
    assert shop.reasons(results) == reasons

    corrected = [
        row | {c: good[n][c] for c in ("quantity", "transaction_date", "unit_price")}
        for n, row in enumerate(shop.rejects(results))
    ]
    rejects.write_text(to_csv(corrected), encoding="utf-8")
    results = shop.publish(TRANSACTIONS__PATH=rejects)
    assert surprises(results) == []
    assert shop.reasons(results) == []

    star = shop.star.content(with_runs=False)
    shop.sales = [*good, good[0] | {"transaction_id": "T4"}]
    assert changes(shop.publish()) == 0
    assert shop.star.content(with_runs=False) == star


def test_rejects_of_a_corrected_file_are_told_by_its_own_lines(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.sales.insert(0, shop.sales[0] | {"transaction_id": "T0", "quantity": "x"})
    results = shop.publish()
    again = shop.folder / "again.csv"
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    again.write_text("\n\n" + rejects.read_text(encoding="utf-8"), encoding="utf-8")
    results = shop.publish(TRANSACTIONS__PATH=again)
    (row,) = shop.rejects(results)
    assert (row["transaction_id"], row["_line"], row["_file"]) == ("T0", "4", str(again))
    assert list(row).count("_reason") == 1


@pytest.mark.parametrize(
    ("source", "text", "raw"),
    [
        ("customers", 'customer_id,city\nC1,a\nC2,"b" c\n', 'C2,"b" c'),
        ("customers", "customer_id,city\nC1,a\nC2,=1,+2\n", "'C2,'=1,'+2"),
        ("products", '{"product_id":"P1"}\n{"product_id":"P2",,}\n', '{"product_id":"P2",,}'),
        ("products", '[{"product_id":"P1"}, ["P2"]]', '["P2"]'),
    ],
)
def test_a_record_that_is_no_row_is_kept_as_it_stands(
    source: str, text: str, raw: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files[source] = text
    results = duckdb_shop.publish()
    (row,) = duckdb_shop.rejects(results, source)
    assert list(row)[-1] == "_raw"
    assert row["_raw"].removeprefix("'") == raw.removeprefix("'")
    assert row["_reason"] == "malformed_row"
    again = Path(results["rejects_dir"]) / f"{source}.csv"
    results = duckdb_shop.publish(**{f"{source.upper()}__PATH": again})
    told = (text for text in results["warnings"] if text.startswith(f"{source}: "))
    assert list(told) == []
    (again_refused,) = duckdb_shop.rejects(results, source)  # nobody has corrected it
    assert again_refused["_reason"] == "malformed_row"
    assert again_refused["_raw"] == row["_raw"]


def test_a_reject_file_of_the_first_version_is_loaded(duckdb_shop: Retailer) -> None:
    row = duckdb_shop.customers[0] | {"customer_id": "'=C1", "_reason": "missing_key"}
    duckdb_shop.customers = [row | {"_detail": "", "_line": "2", "_file": "customers.csv"}]
    duckdb_shop.publish()
    assert duckdb_shop.star.member("dim_customer", "=C1")["city"] == "London"


def test_corrected_rejects_of_a_json_source_are_loaded_as_csv(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    lamp = shop.products[0]
    shop.products[0] = lamp | {"product_id": ""}
    results = shop.publish()
    rejects = Path(results["rejects_dir"]) / "products.csv"
    (row,) = shop.rejects(results, "products")
    rejects.write_text(to_csv([row | {"product_id": "P1"}]), encoding="utf-8")
    shop.publish(PRODUCTS__PATH=rejects)
    member = shop.star.member("dim_product", "P1")
    assert (member["product_name"], member["price"], member["cost"], member["specifications"]) == (
        "Lamp", Decimal(250), Decimal(100), '{"watt":9}',
    )  # fmt: skip


def test_rejects_have_the_names_of_the_source_under_a_mapping(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = "Nr;Ort;Land\n;Berlin;DE\n1;Wien;AT\n"
    mapping = json.dumps({"customer_id": "Nr", "city": "Ort", "country": "Land"})
    results = duckdb_shop.publish(CUSTOMERS__COLUMNS=mapping)
    (row,) = duckdb_shop.rejects(results, "customers")
    assert list(row)[:3] == ["Nr", "Ort", "Land"]
    corrected = Path(results["rejects_dir"]) / "customers.csv"
    corrected.write_text(to_csv([row | {"Nr": "7"}]), encoding="utf-8")
    duckdb_shop.publish(CUSTOMERS__COLUMNS=mapping, CUSTOMERS__PATH=corrected)
    assert duckdb_shop.star.member("dim_customer", "7")["city"] == "Berlin"


@pytest.mark.parametrize(
    "settings",
    [{"CUSTOMERS__DELIMITER": ";"}, {"CUSTOMERS__ENCODING": "cp1252"}],
)
def test_corrected_rejects_are_loaded_under_the_settings_of_their_source(
    duckdb_shop: Retailer, settings: Row
) -> None:
    content = "customer_id;city;company\n;Zürich;a,b\n2;Wien;\n"
    encoding = settings.get("CUSTOMERS__ENCODING", "utf-8")
    duckdb_shop.files["customers"] = content.encode(encoding)
    results = duckdb_shop.publish(**settings)
    path = Path(results["rejects_dir"]) / "customers.csv"
    text = path.read_text(encoding=encoding)
    assert "Zürich" in text
    delimiter = settings.get("CUSTOMERS__DELIMITER", ",")
    corrected = text.replace(f'""{delimiter}', f"7{delimiter}", 1)
    path.write_text(corrected, encoding=encoding)
    duckdb_shop.publish(**settings, CUSTOMERS__PATH=path)
    member = duckdb_shop.star.member("dim_customer", "7")
    assert (member["city"], member["company"]) == ("Zürich", "a,b")


def test_without_rejects_there_is_no_reject_file(duckdb_shop: Retailer) -> None:
    results = duckdb_shop.publish()
    assert not Path(results["rejects_dir"]).exists()


def test_unusable_attributes_are_counted_and_not_rejected(duckdb_shop: Retailer) -> None:
    duckdb_shop.customers[0] |= {"email": "ada at home"}
    duckdb_shop.products[0] |= {"price": "n/a", "cost": -1}
    results = duckdb_shop.publish()["transformation_results"]
    assert results["dim_customer"]["attribute_issues"] == {"email": 1}
    assert results["dim_product"]["attribute_issues"] == {"price": 1, "cost": 1}
    assert results["dim_customer"]["rejected"] == results["dim_product"]["rejected"] == {}

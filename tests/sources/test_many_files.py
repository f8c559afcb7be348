"""Many files as one source: which are read, in which order, and what is told of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sources.places import find_places
from support.formats import BY_SUFFIX
from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row

IDS = "SELECT transaction_id FROM fact_sales ORDER BY 1"


def made(folder: Path, *names: str, content: bytes = b"a,b\n1,2\n") -> Path:
    """Files of these names in a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def found(path: Path | str) -> tuple[list[str], list[str]]:
    """The files of a path, and what was passed over, without the folder that both are in."""
    folder = str(path).partition("*")[0].rstrip("/")
    read = find_places(str(path), "TRANSACTIONS__PATH")
    places = [place.label.removeprefix(f"{folder}/") for place in read.places]
    return places, [name.replace(f"{folder}/", "") for name in read.passed_over]


def sales_in(shop: Retailer, named: dict[str, list[Row]]) -> Path:
    """A folder of files with these sales; the format of each is its suffix."""
    for name, rows in named.items():
        made(shop.folder / "in", name, content=BY_SUFFIX[name.rpartition(".")[2]](rows))
    return shop.folder / "in"


# --- the order ------------------------------------------------------------------------------

IN_ORDER = (
    "2023-12-31.csv", "2024-3-9.csv", "2024-3-10.csv", "2024-03-11.csv", "2024-10-1.csv",
    "a/1.csv", "a/2.csv", "a/10.csv", "a/123456789012345678901234567890.csv",
    "part-02.csv", "part-2.csv", "part-10-b.csv", "part-10.csv", "part-x.csv",
)  # fmt: skip


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    made(tmp_path, *reversed(IN_ORDER))
    assert found(f"{tmp_path}/**/*.csv") == (list(IN_ORDER), [])


@pytest.mark.parametrize("form", BY_SUFFIX)
def test_of_two_rows_of_a_sale_that_of_the_later_file_counts(
    form: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    sale = shop.sales[0]
    folder = sales_in(
        shop,
        {f"part-{number}.{form}": [{**sale, "quantity": str(number)}] for number in (9, 10, 100)},
    )
    results = shop.publish(TRANSACTIONS__PATH=folder)
    assert shop.star.column("SELECT quantity FROM fact_sales") == [100]
    assert shop.reasons(results) == ["conflicting_duplicate"] * 2


# --- which files ----------------------------------------------------------------------------


def test_of_a_folder_its_own_files_are_read_and_its_folders_are_told(tmp_path: Path) -> None:
    made(tmp_path, "a.csv", "x=1/b.csv", "archive/c.csv", ".git/d.csv", "x=1/old/e.csv")
    places, told = found(tmp_path)
    assert places == ["a.csv", "x=1/b.csv"]
    assert len(told) == 2
    assert told[0] == "archive (a folder; TRANSACTIONS__PATH=**/* reads what is in it)"
    assert told[1].startswith("x=1/old (a folder; ")


def test_two_stars_are_folders_of_any_depth_but_hidden_ones(tmp_path: Path) -> None:
    made(tmp_path, "a.csv", "x/b.csv", "x/y[1]/c.csv", ".h/d.csv", "x/.h/e.csv")
    made(tmp_path, "_temporary/0/g.csv", "_x=1/h.csv")
    places, told = found(f"{tmp_path}/**/*.csv")
    assert places == ["_x=1/h.csv", "a.csv", "x/b.csv", "x/y[1]/c.csv"]
    assert told == ["_temporary/0/g.csv (no table)"]
    assert found(f"{tmp_path}/x/**/*.csv")[0] == ["b.csv", "y[1]/c.csv"]
    assert found(f"{tmp_path}/**/y*/**/*.csv")[0] == ["x/y[1]/c.csv"]
    assert found(f"{tmp_path}/**/x/**/*")[0] == ["x/b.csv", "x/y[1]/c.csv"]


def test_a_link_that_leads_back_is_entered_once(tmp_path: Path) -> None:
    made(tmp_path, "a/b.csv")
    for name in ("one", "two", "a/three"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "a" / "latest.csv").symlink_to("b.csv")
    places, told = found(f"{tmp_path}/**/*.csv")
    assert places == ["a/b.csv"]
    assert told == ["a/latest.csv (a link to a file that is read)"]


def test_a_folder_that_a_link_leads_to_is_read(tmp_path: Path) -> None:
    made(tmp_path / "elsewhere", "b.csv")
    made(tmp_path / "in", "a.csv")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    assert found(f"{tmp_path}/in/**/*.csv")[0] == ["a.csv", "more/b.csv"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("README", "no table"),
        ("readme_de.txt", "no table"),
        ("LICENSE", "no table"),
        ("invoice.pdf", "no table"),
        ("logo.png", "no table"),
        ("sales.csv.md5", "no table"),
        ("sales.done", "no table"),
        ("sales.csv.filepart", "a file not yet complete"),
        ("sales.csv.bak", "an older copy"),
        ("sales.csv~", "an older copy"),
        ("~$sales.xlsx", "no table"),
        (".sales.csv", "hidden"),
    ],
)
@pytest.mark.parametrize("beside", ["sales.csv", "sales.zip"])
def test_what_is_no_table_by_its_name_is_passed_over_and_told(
    name: str, reason: str, beside: str, tmp_path: Path
) -> None:
    made(tmp_path, beside, name)
    assert found(tmp_path) == ([beside], [f"{name} ({reason})"])
    assert found(f"{tmp_path}/{name}") == ([name] if "*" in name else [f"{tmp_path}/{name}"], [])


@pytest.mark.parametrize(
    ("content", "is_read"),
    [
        (b"These are the sales of March, and of April.\n", False),
        (b"About\n=====\n", False),
        (b"", False),
        ("Grüße\nan alle\n".encode("utf-16"), False),
        (b"order;sku\n1;2\n", True),
        (b"\xef\xbb\xbforder,sku\n1,2\n", True),
        (b"order\tsku\r\n", True),
        ("order,sku\n".encode("utf-16"), True),
        (b'{"order": 1}\n', True),
        (b"[\n", True),
        (b"PAR1", True),
        (b"a\0b", True),
    ],
)
@pytest.mark.parametrize("name", ["notes.txt", "part-00000"])
def test_a_text_beside_tables_is_one_if_its_first_line_has_columns(
    content: bytes, is_read: bool, name: str, tmp_path: Path
) -> None:
    made(tmp_path, "sales.csv")
    made(tmp_path, name, content=content)
    places, told = found(tmp_path)
    assert (name in places) == is_read
    assert bool(told) != is_read


def test_a_file_of_an_unknown_kind_is_read(duckdb_shop: Retailer) -> None:
    """It may be data: that it cannot be read is a fault, and no reason to pass it over."""
    folder = sales_in(duckdb_shop, {"a.csv": duckdb_shop.sales[:1], "b.csv": duckdb_shop.sales[1:]})
    (folder / "b.csv").rename(folder / "b.dat")
    duckdb_shop.publish(TRANSACTIONS__PATH=folder)
    assert duckdb_shop.star.column(IDS) == ["T1", "T2", "T3"]
    made(folder, "c.dat", content=b"\x89PNG")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=folder)["errors"]
    assert f"{folder / 'c.dat'}: it is a picture" in error


@pytest.mark.parametrize(("log", "of"), [("_delta_log", "Delta Lake"), (".hoodie", "Hudi")])
@pytest.mark.parametrize("pattern", ["", "/**/*.csv"])
def test_a_folder_with_older_versions_of_its_rows_is_refused(
    log: str, of: str, pattern: str, duckdb_shop: Retailer
) -> None:
    folder = made(duckdb_shop.folder / "in", "a.csv", f"{log}/0.json")
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=f"{folder}{pattern}")["errors"]
    assert f"{folder}: it is a table of {of}" in error


# --- a column with several names --------------------------------------------------------------


@pytest.mark.parametrize("form", BY_SUFFIX)
@pytest.mark.parametrize("other", BY_SUFFIX)
def test_a_column_may_have_another_name_in_other_files(
    form: str, other: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    renamed = [{"sku" if k == "product_id" else k: v for k, v in s.items()} for s in shop.sales[1:]]
    folder = sales_in(shop, {f"a.{form}": shop.sales[:1], f"b.{other}": renamed})
    columns = {"product_id": {"any": ["product_id", "sku"]}}
    results = shop.publish(TRANSACTIONS__PATH=folder, TRANSACTIONS__COLUMNS=json.dumps(columns))
    assert surprises(results) == []
    assert shop.star.rows(
        "SELECT transaction_id, product_id FROM fact_sales JOIN dim_product USING (product_key) "
        "ORDER BY 1"
    ) == [("T1", "P1"), ("T2", "P2"), ("T3", "P2")]


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize(
    "names", [["product_id", "sku"], ["sku", "product_id"], ["item.id", "sku"]]
)
def test_records_of_one_file_may_call_a_column_otherwise(
    form: str, names: list[str], duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    head = names[0].partition(".")[0]
    rows: list[Row] = []
    for sale in shop.sales:
        key = head if sale is shop.sales[0] else names[1]
        value = {"id": sale["product_id"]} if key == "item" else sale["product_id"]
        rows.append({key: value, **{k: v for k, v in sale.items() if k != "product_id"}})
    columns = {"product_id": {"any": names}}
    results = shop.publish(
        TRANSACTIONS__PATH=sales_in(shop, {f"a.{form}": rows}),
        TRANSACTIONS__COLUMNS=json.dumps(columns),
    )
    assert surprises(results) == []
    products = "SELECT product_id FROM fact_sales JOIN dim_product USING (product_key) ORDER BY 1"
    assert shop.star.column(products) == ["P1", "P2", "P2"]


def test_several_names_go_into_a_key_of_several_parts(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    first, second = (
        [{("Order" if k == "transaction_id" else k): v for k, v in s.items()} | {"line": "1"}]
        for s in shop.sales[:2]
    )
    second = [{("Bestellung" if k == "Order" else k): v for k, v in second[0].items()}]
    columns = {"transaction_id": [{"any": ["Order", "Bestellung"]}, "line"]}
    shop.publish(
        TRANSACTIONS__PATH=sales_in(shop, {"a.csv": first, "b.jsonl": second}),
        TRANSACTIONS__COLUMNS=json.dumps(columns),
    )
    assert shop.star.column(IDS) == ["T1-1", "T2-1"]


@pytest.mark.parametrize("form", ["csv", "parquet", "xlsx"])
def test_a_column_that_files_name_otherwise_is_told_with_the_setting(
    form: str, duckdb_shop: Retailer
) -> None:
    """The setting that the message has is right as it is."""
    shop = duckdb_shop
    renamed = [{"sku" if k == "product_id" else k: v for k, v in s.items()} for s in shop.sales[1:]]
    folder = sales_in(shop, {f"a.{form}": shop.sales[:1], f"b.{form}": renamed})
    (error,) = shop.run(TRANSACTIONS__PATH=folder)["errors"]
    setting = '{"product_id": {"any": ["product_id", "sku"]}}'
    assert f"give all their names: TRANSACTIONS__COLUMNS='{setting}'" in error
    shop.publish(TRANSACTIONS__PATH=folder, TRANSACTIONS__COLUMNS=setting)
    assert shop.star.column(IDS) == ["T1", "T2", "T3"]

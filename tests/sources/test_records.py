"""Where in a JSON file its records are: in a list inside, or one after the other."""

from __future__ import annotations

import gzip
import json
import zipfile
from typing import Any

import pytest

from sources import json_cursor, json_document
from support.examples import expect_accounts
from support.retailer import Retailer
from support.summary import surprises
from support.tables import Row


def one_sale(number: int, **more: object) -> Row:
    return {
        "transaction_id": f"T{number}", "transaction_date": "2024-03-15", "customer_id": "C1",
        "product_id": "P1", "quantity": number, "unit_price": 10, **more,
    }  # fmt: skip


SALES = [one_sale(1), one_sale(2), one_sale(3)]
IDS = ["T1", "T2", "T3"]
RECORDS = "TRANSACTIONS__RECORDS"


def given(shop: Retailer, content: str | bytes) -> Row:
    """The setting for a file with this content."""
    path = shop.folder / "sales.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return {"TRANSACTIONS__PATH": path}


def loaded(shop: Retailer, content: str | bytes, **settings: object) -> list[str]:
    """The sales that are loaded from a file."""
    results = shop.publish(**{**given(shop, content), **settings})
    account = expect_accounts(results, shop)["transactions"]
    ids: list[str] = shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1")
    assert account["read"] == len(ids) + account["rejected"]
    return ids


def refusal(shop: Retailer, content: str, **settings: object) -> str:
    """What is said of a file that is refused."""
    results = shop.run(**{**given(shop, content), **settings})
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert "sales.json" in error
    return str(error)


def spread(value: Any) -> str:
    return json.dumps(value, indent=2)


def in_a_line(value: Any) -> str:
    return json.dumps(value)


def by_lines(value: Any) -> str:
    """Each record in a line of its own, the first beside the bracket, as some APIs answer."""
    return json.dumps(value).replace("}, {", "},\n{")


WRITTEN = pytest.mark.parametrize("written", [spread, in_a_line, by_lines])


@WRITTEN
@pytest.mark.parametrize(
    "document",
    [
        {"data": SALES},
        {"page": 1, "data": SALES, "has_more": False},
        {"result": {"count": 3, "orders": {"items": SALES, "next": None}}},
        {"tags": ["a", "b"], "errors": [{"code": 1}], "artikel": SALES, "links": [{"x": [1]}]},
        {"took": [[1, {"a": []}], 2.5e3, "}]"], "sales": SALES, "end": {"of": ["it", {}]}},
    ],
)
def test_the_list_of_the_records_is_found(
    document: Row, written: Any, duckdb_shop: Retailer
) -> None:
    assert loaded(duckdb_shop, written(document)) == IDS


@WRITTEN
def test_the_setting_says_which_list_it_is(written: Any, duckdb_shop: Retailer) -> None:
    old = [one_sale(7), one_sale(8)]
    document = {"old": {"orders": old}, "new": {"orders": SALES}}
    error = refusal(duckdb_shop, written(document))
    assert "'old.orders' and 'new.orders'; set TRANSACTIONS__RECORDS=old.orders" in error
    assert loaded(duckdb_shop, written(document), **{RECORDS: "new.orders"}) == IDS


def test_records_inside_what_a_search_engine_answers(duckdb_shop: Retailer) -> None:
    hits = [{"_id": str(number), "_source": sale} for number, sale in enumerate(SALES)]
    document = {"took": 3, "hits": {"total": {"value": 3}, "hits": hits}}
    mapped = {name: f"_source.{name}" for name in SALES[0]}
    columns = {"TRANSACTIONS__COLUMNS": json.dumps(mapped)}
    assert loaded(duckdb_shop, spread(document), **columns) == IDS
    assert loaded(duckdb_shop, in_a_line(document), **columns, **{RECORDS: "hits.hits"}) == IDS


def test_records_of_a_map(duckdb_shop: Retailer) -> None:
    features = [{"type": "Feature", "properties": sale, "geometry": None} for sale in SALES]
    document = {"type": "FeatureCollection", "features": features}
    mapped = {name: f"properties.{name}" for name in SALES[0]}
    columns = {"TRANSACTIONS__COLUMNS": json.dumps(mapped)}
    assert loaded(duckdb_shop, spread(document), **columns) == IDS


@pytest.mark.parametrize("setting", [{}, {RECORDS: "data"}])
@pytest.mark.parametrize("between", ["\n", "", ",\n", "\n\n"])
def test_pages_follow_each_other(
    setting: dict[str, str], between: str, duckdb_shop: Retailer
) -> None:
    pages = [{"data": SALES[:2], "page": 1}, {"data": None, "page": 2}, {"data": SALES[2:]}]
    assert loaded(duckdb_shop, between.join(map(json.dumps, pages)), **setting) == IDS
    assert loaded(duckdb_shop, between.join(map(spread, pages)), **setting) == IDS


def test_pages_may_be_the_elements_of_an_array(duckdb_shop: Retailer) -> None:
    pages = [{"data": SALES[:2]}, {"data": []}, {"data": SALES[2:]}]
    assert loaded(duckdb_shop, spread(pages), **{RECORDS: "data"}) == IDS
    assert "set TRANSACTIONS__RECORDS=data" in refusal(duckdb_shop, spread(pages))


@pytest.mark.parametrize("between", ["\n", "", " ", ",\n", "\n\n"])
def test_objects_over_several_lines_follow_each_other(between: str, duckdb_shop: Retailer) -> None:
    assert loaded(duckdb_shop, between.join(map(spread, SALES))) == IDS


def test_one_object_is_one_record(duckdb_shop: Retailer) -> None:
    assert loaded(duckdb_shop, spread(SALES[0])) == ["T1"]
    assert loaded(duckdb_shop, spread(one_sale(1, lines=[{"a": 1}]))) == ["T1"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@WRITTEN
def test_documents_in_any_encoding(written: Any, encoding: str, duckdb_shop: Retailer) -> None:
    content = written({"größe": 3, "data": SALES}).encode(encoding)
    assert loaded(duckdb_shop, content, TRANSACTIONS__ENCODING=encoding) == IDS


def test_documents_in_archives(duckdb_shop: Retailer) -> None:
    content = spread({"data": SALES}).encode()
    path = duckdb_shop.folder / "sales.json.gz"
    path.write_bytes(gzip.compress(content))
    duckdb_shop.publish(TRANSACTIONS__PATH=path)
    archive = duckdb_shop.folder / "sales.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/one.json", content)
        file.writestr("a/two.json", spread({"data": [one_sale(4)]}))
    duckdb_shop.publish(TRANSACTIONS__PATH=archive)
    ids = duckdb_shop.star.column("SELECT transaction_id FROM fact_sales ORDER BY 1")
    assert ids == [*IDS, "T4"]


BEGIN, END = '{"a": [1, 2], "data": [', "]"
ROWS = ", ".join(map(json.dumps, SALES))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            f"{BEGIN}{ROWS}",
            "record 4: not valid JSON (it never ends); the file seems to be cut off",
        ),
        (f"{BEGIN}{ROWS[:-9]}", "record 3: not valid JSON"),
        (f"{BEGIN}{ROWS}{END}", "the file seems to be cut off"),
        (f'{BEGIN}{ROWS}{END}, "b": [1, {{', "the file seems to be cut off"),
        (f'{BEGIN}{ROWS}{END}, "b": [1 2]}}', "line 1: expected a comma or ]"),
        (f'{BEGIN}{ROWS}{END}, "b" 2}}', "line 1: expected a colon after the key 'b'"),
        (f"{BEGIN}{ROWS}{END}, b: 2}}", "expected a key in quotes"),
        (f"{BEGIN}{ROWS}{END} 7}}", "expected a comma or }"),
        (f'{BEGIN}{ROWS}{END}, "data": []}}', "there is a second 'data'"),
        (f'{BEGIN}{ROWS}{END}}}{{"x": 1}}', "document 2 has no 'data'"),
        (f"{BEGIN}{ROWS}{END}}} x", "document 2 is another value, not an object"),
        (f'{BEGIN}{ROWS}{END}, "b": tru}}', "not valid JSON (Expecting value)"),
        ('{"data": {"x": 1}}', "'data' is an object, not a list"),
        ('{"data": "x"}', "'data' is text, not a list"),
        (
            '{"other": [], "b": 1}',
            "no 'data', where TRANSACTIONS__RECORDS is data; it has other, b",
        ),
        ('[{"data": []}, 5]', "document 2"),
        ("[[]]", "document 1 is a list, not an object"),
        (f"{BEGIN}{ROWS}{END}, " + '"b": ' + "[" * 5000 + "]" * 5000 + "}", "deep"),
    ],
)
def test_a_document_is_valid_up_to_its_end_or_refused(
    content: str, told: str, duckdb_shop: Retailer
) -> None:
    assert told in refusal(duckdb_shop, content, **{RECORDS: "data"})


def test_a_damaged_record_in_a_document_is_a_reject(duckdb_shop: Retailer) -> None:
    document = {"data": [SALES[0], 5, {}, SALES[2]]}
    duckdb_shop.files["transactions"] = spread(document)
    results = duckdb_shop.publish()
    assert [(row["_line"], row["_raw"]) for row in duckdb_shop.rejects(results)] == [
        ("2", "5"), ("3", "{}"),
    ]  # fmt: skip


def test_a_document_in_which_nothing_has_the_columns_is_told(duckdb_shop: Retailer) -> None:
    document = {"status": "ok", "orders": [{"nr": 1, "kunde": "C1"}], "lager": [{"ort": "X"}]}
    for content in (spread(document), in_a_line(document)):
        error = refusal(duckdb_shop, content)
        assert (
            "(it has status, orders, lager; the list 'orders' has nr, kunde; 'lager' has" in error
        )
        assert "set TRANSACTIONS__RECORDS=orders, and map their columns" in error


def test_what_stands_beside_the_list_and_is_a_column_is_told(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["transactions"] = spread({"currency": "EUR", "orders": SALES})
    (warning,) = surprises(duckdb_shop.publish())
    assert "its records are the list 'orders'; currency, beside that list, is not read" in warning


@pytest.mark.parametrize("setting", [{}, {RECORDS: "data"}])
def test_documents_are_read_in_parts_of_any_size(
    setting: dict[str, str], duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists before and after, larger than what is looked at, are passed over part by part."""
    for module in (json_cursor, json_document):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 60_000)
    monkeypatch.setattr(json_cursor, "_SMALL", 1000)
    many = [{"n": number, "in": [[{"x": "y" * 50}]]} for number in range(10_000)]
    small = {"deep": {"er": many[:300]}}
    document = {"before": small, "data": SALES, "after": {"deep": {"er": many}}}
    assert loaded(duckdb_shop, in_a_line(document), **setting) == IDS
    document = {"before": many, "data": SALES, "after": many}
    assert loaded(duckdb_shop, in_a_line(document), **{RECORDS: "data"}) == IDS


def test_a_second_list_is_told_however_far_behind(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_document, "MAX_RECORD_BYTES", 10_000)
    many = [{"n": number, "x": "y" * 50} for number in range(10_000)]
    document = {"data": SALES, "after": many, "deep": {"more": SALES}}
    error = refusal(duckdb_shop, in_a_line(document))
    assert "two of its lists have the required columns, 'data' and 'deep.more'" in error

"""`show`: all that is kept of a run, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from report.screen import Screen
from support.commands import run_command
from support.failures import as_sentences
from support.retailer import Retailer, a_day_later


def shown(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> str:
    """What `show` prints."""
    found, out, err = run_command(shop, capsys, "show", *arguments)
    assert (found, err if not code else "") == (code, "")
    return out or err


def test_a_run_is_shown_with_its_files_and_versions(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")  # room for the hashes behind long paths
    shop = a_day_later(shop)
    shop.sales[1]["quantity"] = "many"
    results = shop.publish()
    out = shown(shop, capsys)
    assert results["run_id"] in out
    assert str(shop.path("transactions")) in "".join(out.split())
    sha = results["extraction_results"]["transactions"]["files"][0]["sha256"]
    assert sha[:12] in out
    assert "invalid_quantity" in out
    assert f"python main.py rejects {results['run_id']}" in out
    assert "number   2 of the runs" in out
    told = json.loads(shown(shop, capsys, "--json"))
    assert told["counts"]["fact_loading_results"] == results["fact_loading_results"]
    assert told["sources"]["transactions"][0]["sha256"] == sha
    assert (told["status"], told["sequence"], told["damaged"]) == ("published", 2, [])


def test_what_a_run_changed_is_counted(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    results = shop.publish()
    rows = [("dim_customer", "C1", "city", 1), ("dim_customer", "C2", "city", 1),
            ("fact_sales", "T1", None, 1), ("dim_product", None, "brand", 40)]  # fmt: skip
    with shop.star.connection() as connection:
        for table, key, attribute, count in rows:
            connection.execute(
                sa.text("INSERT INTO etl_change (run_id, table_name, business_key, attribute, "
                        "rows) VALUES (:run, :t, :k, :a, :n)"),
                {"run": results["run_id"], "t": table, "k": key, "a": attribute, "n": count},
            )  # fmt: skip
        connection.commit()
    out = [line.split() for line in shown(shop, capsys).splitlines()]
    assert ["dim_customer", "city", "2"] in out
    assert ["dim_product", "brand", "40"] in out
    assert ["fact_sales", "removed", "1"] in out
    told = json.loads(shown(shop, capsys, "--json"))["changes"]
    assert {"table": "dim_customer", "attribute": "city", "rows": 2} in told


def test_a_run_is_found_by_how_its_id_begins(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    assert "there is no star yet" in shown(shop, capsys, code=1)
    first, second = shop.publish()["run_id"], shop.publish()["run_id"]
    length = next(n for n in range(len(first)) if first[:n] != second[:n])
    assert first in shown(shop, capsys, first[:length])
    assert f"several runs begin with '2': {second}, {first}; give" in shown(
        shop, capsys, "2", code=2
    )
    assert f"did you mean {first}?" in shown(shop, capsys, first[4:], code=2)
    out = shown(shop, capsys, "nothing", code=2)
    assert f"no run 'nothing' is in etl_run; the last ones are {second}, {first}" in out
    assert "no run '%' is in etl_run" in shown(shop, capsys, "%", code=2)


def test_a_failed_run_shows_how_far_it_came(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    failed = shop.run(TRANSACTIONS__PATH=shop.folder / "nowhere.csv")
    out = shown(shop, capsys)
    assert failed["run_id"] in out
    assert "nowhere.csv: there is no such file" in as_sentences(out)
    assert "ExtractionError" in out


def test_of_an_older_run_the_totals_are_left(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[1]["quantity"] = "many"
    first = shop.publish()
    shop.star.execute(
        "INSERT INTO etl_run (run_id, started_at, ended_at, status, counts, sources, code_version, "
        "sequence) SELECT 'x' || CAST(g AS text), started_at, ended_at, 'failed', '{}', '{}', "
        "code_version, g + 1 FROM etl_run, generate_series(1, 45) AS s(g)"
    )
    shop.publish()
    out = shown(shop, capsys, first["run_id"])
    lines = [line.split() for line in out.splitlines()]
    assert ["rows", "read", "7"] in lines
    assert ["rejected:", "invalid_quantity", "1"] in lines
    assert ["net", "amount", "of", "the", "star", "+560.00"] in lines
    assert "are not kept" in out
    told = json.loads(shown(shop, capsys, first["run_id"], "--json"))
    assert told["is_thinned"]
    assert told["sources"] == {}


DAMAGE: list[tuple[str, str]] = [
    ("counts", "x"),
    ("counts", "{}"),
    ("counts", '{"phases" : 1, "validation_results" : {"checks" : 3}}'),
    ("sources", "[]"),
    ("sources", '{"customers" : [1], "products" : 2}'),
    ("watermarks", "x"),
    ("watermarks", '{"customers" : 1}'),
]


@pytest.mark.parametrize(("column", "value"), DAMAGE)
def test_what_is_damaged_is_said_and_the_rest_is_shown(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], column: str, value: str
) -> None:
    run_id = duckdb_shop.publish()["run_id"]
    duckdb_shop.star.execute(f"UPDATE etl_run SET {column} = '{value}'")
    out = shown(duckdb_shop, capsys)
    assert run_id in out
    if not value.startswith("{"):
        assert f"{column} of its row in etl_run is damaged" in out


def test_a_run_without_tables_is_shown(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = duckdb_shop.publish()["run_id"]
    counts = json.loads(duckdb_shop.star.scalar("SELECT counts FROM etl_run"))
    counts["validation_results"]["row_counts"] = {}
    changed = json.dumps(counts).replace(":", "\\:")
    duckdb_shop.star.execute(f"UPDATE etl_run SET counts = '{changed}'")
    assert run_id in shown(duckdb_shop, capsys)


def test_a_run_of_an_old_version_is_shown(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.star.restore("0.1.0")
    out = shown(shop, capsys)
    assert "version  0.1.0" in out
    assert json.loads(shown(shop, capsys, "--json"))["watermarks"] == {}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_it_fits_any_screen(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    duckdb_shop.sales[1]["quantity"] = "many"
    duckdb_shop.publish()
    screen: Any = Screen(width)
    monkeypatch.setattr(Screen, "of", classmethod(lambda cls, stream: screen))
    lines = shown(duckdb_shop, capsys).splitlines()
    assert max(map(len, lines)) <= width

"""`rejects`: what was refused, why and where, and the rows when they are asked for."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from report.screen import Screen
from support.commands import in_a_child, run_command, run_json
from support.retailer import Retailer
from support.tables import Row, csv_rows


def rejects(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str, **settings: object
) -> str:
    """What `rejects` prints."""
    code, out, err = run_command(shop, capsys, "rejects", *arguments, **settings)
    assert (code, err) == (0, "")
    return out


def refused(shop: Retailer, count: int = 3) -> Row:
    """A run that refuses sales for two reasons, and a customer."""
    shop.sales += [
        shop.sales[0] | {"transaction_id": f"Q{n}", "quantity": f"q{n}"} for n in range(count)
    ]
    shop.sales.append(shop.sales[0] | {"transaction_id": "D1", "transaction_date": "someday"})
    shop.customers.append(shop.customers[0] | {"customer_id": ""})
    return shop.publish()


def test_reasons_are_counted_with_an_example_and_its_place(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = refused(shop)
    shop.sales, shop.customers = shop.sales[:3], shop.customers[:2]
    shop.publish()
    out = rejects(shop, capsys)
    lines = [line.split() for line in out.splitlines()]
    assert f"5 rejected, 41.67 % of 12   run {results['run_id']}" in out
    assert ["invalid_quantity", "3", "q0", "sales.csv:5"] in lines
    assert ["invalid_date", "1", "someday", "sales.csv:8"] in lines
    assert str(Path(results["rejects_dir"]) / "customers.csv") in "".join(out.split())
    assert out.splitlines()[-1].split() == ["python", "main.py", "replay", results["run_id"]]
    told = json.loads(rejects(shop, capsys, "--json"))
    assert told["rejected"] == 5
    reasons = told["sources"]["transactions"]["reasons"]
    assert list(reasons) == ["invalid_date", "invalid_quantity"]
    assert reasons["invalid_date"]["examples"][0]["cells"]["transaction_id"] == "D1"


def test_a_repetition_has_the_rejects_of_the_run_that_it_repeats(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it has a copy of them or not."""
    first = refused(shop)
    repetitions = [shop.publish() for _ in range(2)]
    for again in repetitions:
        assert again["repeats_run"]
        shutil.rmtree(shop.folder / "rejects" / again["run_id"], ignore_errors=True)
    for arguments in ([], [again["run_id"]]):
        assert f"5 rejected, 41.67 % of 12   run {first['run_id']}" in rejects(
            shop, capsys, *arguments
        )
    code, results, _ = run_json(shop, capsys, "replay", again["run_id"], "--dry-run")
    assert (code, results["replays_run"]) == (0, first["run_id"])


def test_rows_of_a_reason_are_shown_whole_and_the_rest_is_counted(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = refused(duckdb_shop, 33)["run_id"]
    out = rejects(duckdb_shop, capsys, "--reason", "invalid_quantity")
    lines = [line.split() for line in out.splitlines()]
    assert [line[1] for line in lines if line[:1] == ["transaction_id"]] == [
        f"Q{n}" for n in range(20)
    ]
    assert ["quantity", "q19"] in lines
    assert "13 more sales; all as CSV:" in out
    assert [line for line in lines if line[:2] == ["sales", "20"]]
    assert f"rejects {run} --reason invalid_quantity --source transactions --csv" in " ".join(
        out.split()
    )
    assert "D1" not in out


def test_csv_has_the_rows_as_they_stand_in_the_file(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[0] |= {"customer_id": "=C1", "quantity": "many"}
    results = refused(shop)
    path = Path(results["rejects_dir"]) / "transactions.csv"
    out = rejects(shop, capsys, "--source", "transactions", "--csv")
    assert list(csv.DictReader(io.StringIO(out))) == csv_rows(path)
    assert "'=C1" in out
    some = rejects(shop, capsys, "--source", "transactions", "--csv", "--reason", "invalid_date")
    assert [row["transaction_id"] for row in csv.DictReader(io.StringIO(some))] == ["D1"]


def test_a_file_of_another_encoding_and_delimiter(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "customer_id;city\n;Malmö; more\n;Ystad\n"
    duckdb_shop.files["customers"] = text.encode("cp1252")
    settings: Row = {"CUSTOMERS__ENCODING": "cp1252", "CUSTOMERS__DELIMITER": ";"}
    duckdb_shop.publish(**settings)
    out = rejects(duckdb_shop, capsys, "--csv", **settings)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["city"], row["_raw"]) for row in rows] == [("", ";Malmö; more"), ("Ystad", "")]
    assert "Malmö" in rejects(duckdb_shop, capsys, "--reason", "malformed_row", **settings)


def test_what_is_not_there_is_told(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        code, out, err = run_command(shop, capsys, "rejects", *arguments)
        assert (code, out) == (2, "")
        return err

    clean = shop.publish()["run_id"]
    assert "no run of this star has a reject file" in told()
    assert f"run {clean} has refused no row" in told(clean)
    results = refused(shop)
    assert "'x'; there are missing_key, invalid_date, invalid_quantity" in told("--reason", "x")
    assert "there is no source 'x'; there are customers, products" in told("--source", "x")
    assert f"run {results['run_id']} has refused no row of products" in told(
        results["run_id"], "--source", "products"
    )
    assert "give --source, of customers, transactions" in told("--csv")
    shutil.rmtree(results["rejects_dir"])
    assert "5 rows that run" in told(results["run_id"])
    assert "REJECTS_KEEP_DAYS" in told(results["run_id"])


@pytest.mark.parametrize("damage", ["header", "cells", "bytes"])
def test_a_damaged_file_is_named_and_the_others_are_shown(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    path = Path(refused(duckdb_shop)["rejects_dir"]) / "customers.csv"
    text = path.read_bytes()
    wrong = {"header": text.replace(b"_reason", b"reason"), "cells": text + b"a,b\n",
             "bytes": text + b"\xff\xfe\n"}  # fmt: skip
    path.write_bytes(wrong[damage])
    code, out, _ = run_command(duckdb_shop, capsys, "rejects")
    assert code == 2
    assert "invalid_date" in out
    assert f"customers.csv{'' if damage == 'cells' else ':'}" in "".join(out.split())


@pytest.mark.parametrize("width", [40, 60, 80, 140])
@pytest.mark.parametrize("reason", [(), ("--reason", "invalid_quantity")])
def test_it_fits_any_screen(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    reason: tuple[str, ...],
) -> None:
    duckdb_shop.sales[0]["quantity"] = "long " * 60 + "\x1b[31m"
    refused(duckdb_shop)
    screen: Any = Screen(width)
    monkeypatch.setattr(Screen, "of", classmethod(lambda cls, stream: screen))
    out = rejects(duckdb_shop, capsys, *reason)
    assert max(map(len, out.splitlines())) <= width
    assert "\x1b" not in out


def test_a_large_file_is_written_row_by_row(duckdb_shop: Retailer) -> None:
    """It needs no more memory than a small one."""
    peaks = []
    for rows in (10, 150_000):
        duckdb_shop.sales = [
            {**duckdb_shop.sales[0], "transaction_id": f"T{n}", "quantity": "q" * 200}
            for n in range(rows)
        ]
        duckdb_shop.publish()
        ended = in_a_child("--env-file", duckdb_shop.env_file(), "rejects", "--csv")
        assert (ended.code, ended.out.count("\n")) == (0, rows + 1)
        peaks.append(ended.peak_mib)
    assert peaks[1] < peaks[0] + 25


def test_an_example_has_the_room_that_there_is_and_its_place_where_both_have_some(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = duckdb_shop
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
        "T1,2024-01-01,C1,P1,,1.00\n"
        f"T2,2024-01-01,{'long ' * 60},P1,1,1.00,1\n"
    )
    shop.publish()
    for width, has_place in ((40, False), (60, False), (80, True), (140, True)):
        monkeypatch.setenv("COLUMNS", str(width))
        out = rejects(shop, capsys)
        assert max(map(len, out.splitlines())) <= width
        assert ("sales.csv:3" in out) == has_place
        (line,) = (line for line in out.splitlines() if "7 fields, the header" in line)
        assert len(line) > width - 22


def test_a_blank_number_is_said_to_be_blank(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example that is not shown is another thing: it may be a name."""
    shop = duckdb_shop
    shop.sales[0]["quantity"] = ""
    shop.sales[1]["unit_price"] = "Ada Lovelace"
    assert run_command(shop, capsys)[0] == 0
    code, out, _ = run_command(shop, capsys, MAX_REJECT_RATE="0.99")
    lines = {line.split()[1]: line for line in out.splitlines() if "invalid_" in line}
    assert code == 0
    assert "it is blank" in lines["invalid_quantity"]
    assert "is blank" not in lines["invalid_unit_price"]
    assert "Ada" not in out

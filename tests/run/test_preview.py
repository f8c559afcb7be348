"""What a dry run shows of its changes, and the file that has all of them."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from cli import main
from common.changes import Alike, Change, Changes, MonthEffect, TableChanges
from report.preview import preview
from report.screen import Screen
from schema import STAR
from support.commands import run_command, run_json
from support.retailer import SHRINKING, Retailer, a_day_later, shrink, tomorrow
from support.tables import Row

HEADER = ["run", "table", "key", "attribute", "before", "after", "kind"]


def lines_of(path: Path) -> list[list[str]]:
    """What a file of changes says, without its header and the run."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == HEADER
    return [row[1:] for row in rows]


def test_a_dry_run_shows_what_would_change(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With names and addresses: somebody asked. The log has none, nor have the results."""
    monkeypatch.setenv("COLUMNS", "80")
    a_day_later(shop)
    code, out, _ = run_command(shop, capsys, "--dry-run")
    assert code == 0
    shown = out[out.index(" customers   ") :]
    for told in (
        " customers   1 new   1 changed",
        "C1  city London → Paris",
        "new  C3",
        " sales   1 new   1 restated",
        "T1  quantity 2 → 7, gross_amount 500 → 1,750",
        "new  T4",
        "2024-02    500.00  3,500.00   +3,000.00",
        "python main.py --dry-run --changes changes.csv",
    ):
        assert told in shown
    assert "Paris" not in shop.log
    _, results, _ = run_json(shop, capsys, "--dry-run")
    assert "Paris" not in json.dumps(results)
    assert results["changes"]["tables"]["dim_customer"]["examples"] == [
        {"key": "C1", "attribute": "city", "before": None, "after": None, "kind": "changed"}
    ]


def test_a_night_of_removals_is_shown(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shop.publish()
    shrink(shop)
    _, out, _ = run_command(shop, capsys, "--dry-run", **SHRINKING)
    for told in (
        " customers   1 gone",
        "C2  gone: is_deleted false → true",
        " sales   1 removed (absent)   1 removed (flagged)",
        "T2  removed (absent): C2, P2, grace_hopper, 2024-03-01, net 169.9725",
        "2024-03 229.97 0.00 -229.97",
    ):
        assert told in out or told in " ".join(out.split())


def test_a_run_shows_its_changes_if_asked_and_none_if_not(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = a_day_later(duckdb_shop)
    file = shop.folder / "changes.csv"
    _, out, _ = run_command(shop, capsys, "--changes", str(file))
    assert "London → Paris" in out
    assert ["dim_customer", "C1", "city", "London", "Paris", "changed"] in lines_of(file)
    shop.customers[0]["city"] = "Rome"
    _, out, _ = run_command(shop, capsys)
    assert "Rome" not in out


def test_where_nothing_changes_it_says_so(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of the same input again."""
    shop = duckdb_shop
    shop.publish()
    file = shop.folder / "changes.csv"
    for settings in ({"MAX_REJECT_RATE": "0.9"}, {}):
        code, results, _ = run_json(shop, capsys, "--dry-run", "--changes", str(file), **settings)
        assert (code, lines_of(file)) == (0, [])
        assert results["changes"]["tables"] == {}
        assert results["changes"]["net_by_month"] == []


def test_amounts_of_several_currencies_are_told_apart(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    for sale, currency in zip(shop.sales, ("USD", "EUR", "EUR"), strict=True):
        sale["currency"] = currency
    shop.publish()
    shop.sales[1]["quantity"] = "1"
    shop.sales[2]["currency"] = "USD"
    _, results, _ = run_json(shop, capsys, "--dry-run")
    assert results["changes"]["net_by_month"] == [
        {"month": "2024-03", "currency": "EUR", "difference": "-179.9800",
         "before": "229.9725", "after": "49.9925"},
        {"month": "2024-03", "currency": "USD", "difference": "60.0000",
         "before": "0.0000", "after": "60.0000"},
    ]  # fmt: skip


# --- the file -----------------------------------------------------------------------------------


def test_only_its_owner_reads_the_file_and_no_cell_is_a_formula(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    shop.customers[0]["city"] = "=cmd|' /C calc'!A0"
    shop.products[0]["brand"] = '@"x", \nnew line'
    file = shop.folder / "deep" / "changes.csv"
    assert run_command(shop, capsys, "--dry-run", "--changes", str(file))[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    told = {row[2]: row[4] for row in lines_of(file)}
    assert told["city"].startswith("'=cmd")
    assert told["brand"].startswith("'@")
    assert [path.name for path in file.parent.iterdir()] == ["changes.csv"]
    assert run_command(shop, capsys, "--dry-run", "--changes", str(file))[0] == 0


@pytest.mark.parametrize("place", ["another file", "a folder", "below a file", "a pipe", "nothing"])
def test_a_place_that_cannot_be_is_refused_before_anything_is_read(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    shop = a_day_later(duckdb_shop)
    before, other = shop.star.digest(), shop.folder / "precious.csv"
    other.write_text("run,table\n")
    folder = shop.folder / "folder"
    folder.mkdir()
    os.mkfifo(shop.folder / "pipe")  # whoever reads from it waits for ever
    path = {
        "another file": other, "a folder": folder, "below a file": other / "x.csv",
        "a pipe": shop.folder / "pipe", "nothing": "",
    }[place]  # fmt: skip
    code, out, err = run_command(shop, capsys, "--changes", str(path))
    assert code == 2
    assert "--changes" in out + err
    assert (shop.star.digest(), other.read_text()) == (before, "run,table\n")


def test_a_run_that_fails_leaves_the_file_of_the_last_one(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = a_day_later(duckdb_shop)
    file = shop.folder / "changes.csv"
    run_command(shop, capsys, "--dry-run", "--changes", str(file))
    before = file.read_bytes()
    shop.star.execute("UPDATE fact_sales SET gross_amount = 61 WHERE transaction_id = 'T3'")
    del shop.sales[2]
    assert run_command(shop, capsys, "--changes", str(file))[0] == 3
    assert file.read_bytes() == before
    assert not list(shop.folder.glob("*.part"))


def test_many_changes_pass_through_in_pieces(
    shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.copies._PIECE_BYTES", 300)
    monkeypatch.setattr("warehouse.duckdb._STREAMED_ROWS", 2)
    shop.sales = [shop.sales[0] | {"transaction_id": f"T{n}"} for n in range(40)]
    shop.publish()
    for sale in shop.sales:
        sale["quantity"] = "3"
    file = shop.folder / "changes.csv"
    assert run_command(shop, capsys, "--dry-run", "--changes", str(file))[0] == 0
    told = lines_of(file)
    assert len(told) == 40 * 4
    keys = [row[1] for row in told]
    assert keys == sorted(keys)


# --- rejects ------------------------------------------------------------------------------------


def test_a_dry_run_leaves_no_rejects_unless_asked(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    shop.sales[0]["quantity"] = "many"
    _, results, _ = run_json(shop, capsys, "--dry-run")
    assert results["transformation_results"]["fact_sales"]["rejected"] == {"invalid_quantity": 1}
    assert results["rejects_dir"] == ""
    assert not (shop.folder / "rejects").exists()
    runs = shop.star.runs()
    code, _, err = run_command(shop, capsys, "--dry-run", MAX_REJECT_RATE="0")
    assert shop.star.runs() == runs  # it is no night that was refused
    assert code == 3
    assert "--rejects writes the rows" in err
    _, results, _ = run_json(shop, capsys, "--dry-run", "--rejects")
    assert shop.reasons(results) == ["invalid_quantity"]


def test_a_dry_run_names_a_step_that_leads_to_its_rejects(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command `rejects` does not: it is of runs of the star."""
    monkeypatch.setenv("COLUMNS", "300")
    duckdb_shop.sales[0]["quantity"] = "many"
    _, out, _ = run_command(duckdb_shop, capsys, "--dry-run", "--rejects")
    (folder,) = (duckdb_shop.folder / "rejects").iterdir()
    assert f"{folder}  # has the refused rows" in out
    assert "main.py rejects" not in out


@pytest.mark.parametrize("option", [["--changes", "x.csv"], ["--rejects"]])
def test_the_options_are_for_a_run(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main(["--env-file", duckdb_shop.env_file(), *option, "check"]) == 2
    assert "for a run" in capsys.readouterr().err


# --- any screen -----------------------------------------------------------------------------------


def everything() -> Changes:
    """Changes of each kind, with long values."""
    long = "An address of somebody that is far longer than anybody would like to read here"
    row: Row = {"customer_key": "", "date_key": "20240301", "net_amount": "-1234567.8900"}
    examples = [Change(f"C{n}", "city", "Denver", "York", "changed", True) for n in range(6)]
    examples += [Change("C9" * 30, "address", long, None, "healed", True)]
    members = TableChanges(
        new=12, inferred=3, changed=43, healed=1, flagged=7, attributes={"city": 43, "address": 2},
        alike=[Alike("city", "Denver", "York", 40, True), Alike("city", None, "Rome", 3, True)],
        examples=examples, first_new=[f"N{n}" for n in range(20)],
    )  # fmt: skip
    sales = TableChanges(
        changed=1_234_567, removed={"flag": 3, "absence": 100_001}, attributes={"quantity": 9},
        examples=[Change("T1", None, json.dumps(row), "flag", "removed")],
    )  # fmt: skip
    months = [
        MonthEffect(f"20{n // 12:02}-{n % 12 + 1:02}", "EUR", Decimal(-n), Decimal(n), Decimal(0))
        for n in range(1, 30)
    ]
    return Changes({"dim_customer": members, "fact_sales": sales}, months)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_wider_than_the_screen(width: int, encoding: str) -> None:
    screen = Screen(width, encoding=encoding)
    text = screen.render(preview(everything(), STAR, screen))
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    text.encode(encoding)
    for told in ("43 changed", "C0, C1, C2, C3", "1,234,567 restated", "net -1,234,567.89"):
        assert told in " ".join(text.split())


def test_an_empty_preview_is_a_line() -> None:
    assert Screen(80).render(preview(None, STAR, Screen(80))) == " nothing changes"


def test_two_previews_do_not_write_into_one_another(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a run that was killed has left beside the file is no obstacle."""
    shop = duckdb_shop
    shop.publish()
    tomorrow(shop)
    file = shop.folder / "changes.csv"
    file.with_name("changes.csv.part").write_text("left")
    assert run_command(shop, capsys, "--dry-run", "--changes", str(file))[0] == 0
    assert len(lines_of(file)) == 1 + 4 + 2
    assert not file.with_name("changes.csv.part").exists()

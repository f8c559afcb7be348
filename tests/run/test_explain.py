"""`explain`: from a sale to its file and line, or to why it is not in the star."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from cli import main
from commands.explain import look_at
from common.progress import SILENT
from config import load_config
from main import StarSchemaETLPipeline
from report.explain_text import render
from report.screen import Screen
from run.explain import explain
from support.commands import run_command
from support.formats import BY_SUFFIX, csv_text
from support.retailer import Retailer
from support.star import Star
from support.stores import star_with_stores
from support.tables import Row, csv_rows, to_csv
from transform import batch_rules
from warehouse import open_warehouse


def explained(
    shop: Retailer, capsys: pytest.CaptureFixture[str], key: str, **settings: object
) -> tuple[int, str]:
    """Exit code and text of `python main.py explain KEY`."""
    code, out, err = run_command(shop, capsys, "--quiet", "explain", "--", key, **settings)
    assert err == ""
    return code, out


def told(
    shop: Retailer, capsys: pytest.CaptureFixture[str], key: str, **settings: object
) -> dict[str, Any]:
    """What `explain --json KEY` prints."""
    given = ["--quiet", "explain", "--json", "--", key]
    code, out, err = run_command(shop, capsys, *given, **settings)
    found: dict[str, Any] = json.loads(out)
    assert (found["exit_code"], err) == (code, "")
    return found


def line_of(out: str, label: str) -> str:
    """The line of a text that begins with a label."""
    return next(line for line in out.splitlines() if line.strip().startswith(label))


def plain(line: str) -> str:
    """A line with the signs that every keyboard has."""
    return line.replace("\u00d7", "x").replace("\u2212", "-")


def overwrite(shop: Retailer, run_id: str, table: str, key: str, attribute: str | None,
              before: str | None, after: str | None) -> None:  # fmt: skip
    """A row of `etl_change`."""
    values = ", ".join(
        "NULL" if value is None else "'{}'".format(value.replace("'", "''").replace(":", r"\:"))
        for value in (run_id, table, key, attribute, before, after)
    )
    shop.star.execute(
        "INSERT INTO etl_change (run_id, table_name, business_key, attribute, before, after, "
        f"rows) VALUES ({values}, 1)"
    )


# --- in the star ----------------------------------------------------------------------------------


def test_a_sale_in_the_star_is_told_with_its_members_its_amounts_and_its_line(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = shop.publish()
    code, out = explained(shop, capsys, "T2")
    assert code == 0
    assert out.splitlines()[0] == " ✔ T2 is in fact_sales"
    assert "C2 key 2" in line_of(out, "customer")
    assert "Turing" in line_of(out, "customer")
    assert "P2 key 2" in line_of(out, "product")
    assert "grace_hopper" in line_of(out, "sales rep")
    assert "2024-03-01  March, Friday" in line_of(out, "date")
    assert "179.97  = 3 x 59.99" in plain(line_of(out, "gross amount"))
    assert "169.9725  = 3 x 59.99 - 9.9975" in plain(line_of(out, "net amount"))
    assert results["run_id"] in line_of(out, "loaded")
    path = shop.path("transactions")
    assert "line 3" in out
    assert path.read_text().splitlines()[2].startswith("T2,")
    assert "the file is as it was read" in out
    assert "transaction_id=T2, transaction_date=2024-03-01, customer_id=C2" in out.replace(
        "\n" + " " * 12, " "
    )


def test_the_same_as_json(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    results = shop.publish()
    found = told(shop, capsys, "T2")
    assert (found["state"], found["line"]) == ("in_star", 3)
    assert found["file"] == str(shop.path("transactions"))
    assert found["run"]["run_id"] == results["run_id"]
    assert found["fact"]["net_amount"] == "169.9725"
    assert found["members"]["customer_key"]["customer_id"] == "C2"
    assert found["original"]["state"] == "same"
    (row,) = found["original"]["rows"]
    assert (row["transaction_id"], row["unit_price"]) == ("T2", "59.99")
    code, out, _ = run_command(shop, capsys, "--json", "--quiet", "explain", "T2")
    assert (code, json.loads(out)) == (0, found)


def test_a_key_is_looked_up_by_the_key_rules(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    assert told(shop, capsys, "\u00a0T2\u200b ")["key"] == "T2"


@pytest.mark.parametrize("key", ["", " ", "\u200b", b"T\xff2"])
def test_what_can_be_no_key_is_a_usage_error(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], key: str | bytes
) -> None:
    text = key if isinstance(key, str) else key.decode(errors="surrogateescape")
    code, out, err = run_command(duckdb_shop, capsys, "explain", "--", text)
    assert (code, out) == (2, "")
    assert "give the key as the star shows it" in err


HOSTILE = ["T'1", '"T"', "T; DROP TABLE fact_sales; --", "' OR 1=1 --", "%", "T_", "=T1", "-1",
           "Ünïcode ключ 鍵", ":id", "%(id)s", "{id}", "\\", "[bold]T"]  # fmt: skip


def test_a_key_is_a_value_whatever_it_looks_like(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales = [{**shop.sales[0], "transaction_id": key} for key in HOSTILE]
    shop.publish()
    for line, key in enumerate(HOSTILE, 2):
        found = told(shop, capsys, key)
        assert (found["key"], found["line"], found["state"]) == (key, line, "in_star")
        assert found["original"]["rows"][0]["transaction_id"] == key
        assert f"{key} is in fact_sales" in explained(shop, capsys, key)[1]


def test_a_composite_key_is_given_as_the_star_shows_it(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["transactions"] = (
        "order,date,customer,sku,pieces,price\n"
        "A,2024-03-01,C1,P1,1,2\n,,C1,P2,7,2\n,,C1,P1,none,2\n"
    )
    columns = {
        "transaction_id": ["order", "#"], "transaction_date": "date", "customer_id": "customer",
        "product_id": "sku", "quantity": "pieces", "unit_price": "price",
    }  # fmt: skip
    settings = {
        "TRANSACTIONS__COLUMNS": json.dumps(columns),
        "TRANSACTIONS__FILL_DOWN": '["order", "date"]',
    }
    duckdb_shop.publish(**settings)
    found = told(duckdb_shop, capsys, "A-2", **settings)
    assert (found["line"], found["original"]["rows"][0]["pieces"]) == (3, "7")
    refused = told(duckdb_shop, capsys, "A-3", **settings)
    assert (refused["state"], refused["refusals"][0]["line"]) == ("refused", 4)
    nobody = told(duckdb_shop, capsys, "A-4", **settings)
    assert nobody["state"] == "nowhere"


def test_unknown_inferred_and_deleted_members_are_said_to_be(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[0] |= {"customer_id": "C9", "sales_rep_id": ""}
    shop.publish()
    shop.star.execute("UPDATE dim_product SET is_deleted = true WHERE product_id = 'P1'")
    _, out = explained(shop, capsys, "T1")
    assert "C9" in line_of(out, "customer")
    assert "! inferred" in line_of(out, "customer")
    assert "! deleted" in line_of(out, "product")
    assert "Unknown (the source names none)" in line_of(out, "sales rep")


def test_what_was_overwritten_since_is_told_and_what_was_before_is_not(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shop.publish()
    shop.customers[0]["city"] = "Paris"
    second = shop.publish()
    shop.star.execute("DELETE FROM etl_change")
    overwrite(shop, first["run_id"], "dim_customer", "C1", "city", "Oslo", "London")
    overwrite(shop, second["run_id"], "dim_customer", "C1", "city", "London", "Paris")
    overwrite(shop, second["run_id"], "dim_customer", "C1", "email", None, None)
    overwrite(shop, second["run_id"], "dim_customer", "C2", "city", "Munich", "Rome")
    overwrite(shop, first["run_id"], "fact_sales", "T1", "quantity", "1.0000", "2.0000")
    _, out = explained(shop, capsys, "T1")
    assert "C1 city London → Paris" in out
    assert "C1 email changed" in out
    assert "quantity 1 → 2" in line_of(out, "changed")
    assert "Oslo" not in out
    assert "Rome" not in out


def test_a_key_that_looks_like_a_number_is_told_as_it_is(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of amounts the zeros that fill them up go, and no sale is of nobody."""
    shop.customers[1]["customer_id"] = shop.sales[0]["customer_id"] = "7.10"
    shop.publish()
    shop.sales[0]["customer_id"] = ""
    shop.publish()
    assert "customer key 7.10 → Unknown" in explained(shop, capsys, "T1")[1]
    shop.sales[0]["customer_id"] = "7.10"
    shop.publish()
    del shop.sales[0]
    shop.publish(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE=1)
    out = " ".join(explained(shop, capsys, "T1")[1].split())
    assert "customer_key=7.10" in out
    assert "unit_price=250," in out


def test_a_correction_that_was_refused_is_told_with_the_sale(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    shop.sales[0]["quantity"] = "many"
    shop.publish()
    found = told(shop, capsys, "T1")
    assert found["state"] == "in_star"
    assert [refusal["reason"] for refusal in found["refusals"]] == ["invalid_quantity"]
    assert "a row with this key was refused" in explained(shop, capsys, "T1")[1]


# --- its file -------------------------------------------------------------------------------------


def test_a_file_that_is_gone_or_another_is_said_to_be(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, path = duckdb_shop, duckdb_shop.path("transactions")
    shop.publish()
    settings = shop.env_file()
    text = path.read_text(encoding="utf-8")

    def state(content: str | None) -> tuple[str, int]:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")
        capsys.readouterr()
        assert main(["--env-file", settings, "-q", "explain", "--json", "T2"]) == 0
        original = json.loads(capsys.readouterr().out)["original"]
        return original["state"], len(original["rows"])

    header, first, second, third = text.splitlines(keepends=True)
    assert state(text) == ("same", 1)
    assert state(header + first + second) == ("changed", 1)
    assert state(header + second + first + third) == ("changed", 0)
    assert state(header) == ("changed", 0)
    assert state("something\nelse\n")[0] == "unreadable"
    assert state(None) == ("gone", 0)


def test_a_file_that_the_settings_name_no_more_is_found_by_its_name(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Yesterday's file of two, beside that of today."""
    for day in (1, 2):
        rows = [{**sale, "transaction_id": f"{sale['transaction_id']}-{day}"}
                for sale in duckdb_shop.sales]  # fmt: skip
        (tmp_path / f"day{day}.csv").write_bytes(csv_text(rows))
        (tmp_path / f"other{day}.csv").write_bytes(csv_text(rows[:1]))
        duckdb_shop.publish(TRANSACTIONS__PATH=tmp_path / f"*{day}.csv")
    found = told(duckdb_shop, capsys, "T3-1", TRANSACTIONS__PATH=tmp_path / "*2.csv")
    assert (found["file"], found["line"]) == (str(tmp_path / "day1.csv"), 4)
    assert found["original"]["state"] == "same"
    assert found["original"]["rows"][0]["transaction_id"] == "T3-1"


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "xlsx", "csv"])
def test_the_row_is_read_again_from_a_file_of_any_format(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str
) -> None:
    """In batches of a few rows, with one that is refused above it."""
    base = duckdb_shop.sales[0]
    rows = [{**base, "transaction_id": f"S{number}"} for number in range(40)]
    rows[7]["quantity"] = "many"
    path = tmp_path / f"till.{suffix}"
    path.write_bytes(BY_SUFFIX[suffix](rows))
    settings: dict[str, object] = {"TRANSACTIONS__PATH": path, "BATCH_ROWS": 7}
    duckdb_shop.publish(**settings)
    first = 2 if suffix in ("xlsx", "csv") else 1
    for number in (0, 6, 8, 39):
        found = told(duckdb_shop, capsys, f"S{number}", **settings)
        assert (found["line"], found["original"]["state"]) == (first + number, "same")
        (row,) = found["original"]["rows"]
        assert row["transaction_id"] == f"S{number}"


def test_a_sheet_among_several_is_read_again(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "May"
    book.create_sheet("June")
    for cells in book.worksheets:
        sale = {**duckdb_shop.sales[0], "transaction_id": cells.title}
        cells.append(list(sale))
        cells.append(list(sale.values()))
    book.save(tmp_path / "year.xlsx")
    settings = {"TRANSACTIONS__PATH": tmp_path / "year.xlsx", "TRANSACTIONS__SHEET": "*"}
    duckdb_shop.publish(**settings)
    found = told(duckdb_shop, capsys, "June", **settings)
    assert (found["file"], found["line"]) == (f"{tmp_path / 'year.xlsx'}!June", 2)
    assert found["original"]["rows"][0]["transaction_id"] == "June"


def test_the_answer_to_a_query_is_not_asked_again(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    till = Star(f"duckdb:///{tmp_path / 'till.duckdb'}")
    place = tmp_path / "till.csv"
    place.write_bytes(csv_text(duckdb_shop.sales))
    till.execute(f"CREATE TABLE sold AS FROM read_csv('{place}', all_varchar=true)")
    settings = {"TRANSACTIONS__PATH": till.url, "TRANSACTIONS__QUERY": "SELECT * FROM sold"}
    duckdb_shop.publish(**settings)
    found = told(duckdb_shop, capsys, "T2", **settings)
    assert (found["line"], found["original"]["state"]) == (2, "database")
    assert "the answer to the query" in explained(duckdb_shop, capsys, "T2", **settings)[1]


def test_a_member_of_an_archive_is_read(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "tills.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("north/till.csv", csv_text(duckdb_shop.sales[:2]))
        archive.writestr("south/till.csv", csv_text(duckdb_shop.sales[2:]))
    duckdb_shop.publish(TRANSACTIONS__PATH=path)
    found = told(duckdb_shop, capsys, "T3", TRANSACTIONS__PATH=path)
    assert (found["file"], found["line"]) == (f"{path}!south/till.csv", 2)
    assert found["original"]["rows"][0]["transaction_id"] == "T3"


def test_a_sale_of_long_ago_is_found_when_its_run_is_thinned(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of a run are kept for ever; by what their bytes are known again, is not."""
    shop = duckdb_shop
    shop.publish()
    sales = [dict(sale) for sale in shop.sales]
    for night in range(50):
        shop.customers[0]["city"] = f"City {night}"
        shop.publish()
    assert shop.star.scalar("SELECT sources FROM etl_run WHERE sequence = 1") == "{}"
    shop.sales = sales
    found = told(shop, capsys, "T2")
    assert (found["file"], found["line"]) == (str(shop.path("transactions")), 3)
    assert found["original"]["state"] == "unknown"
    assert found["original"]["rows"][0]["transaction_id"] == "T2"


def test_a_star_of_an_older_version_tells_what_it_knows(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is before the first run of this version: without any of the new columns and tables."""
    shop.star.restore("0.1.0")
    code, out = explained(shop, capsys, "T4")
    assert code == 0
    assert "T4 is in fact_sales" in out
    assert "the star does not know file and line of it" in out


# --- not in the star ------------------------------------------------------------------------------


def test_a_refused_row_is_told_with_its_reason_file_and_line(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[1]["quantity"] = "two"
    results = shop.publish()
    code, out = explained(shop, capsys, "T2")
    assert code == 0
    assert out.splitlines()[0] == " ✘ T2 was refused: invalid_quantity"
    assert "two" in line_of(out, "detail")
    assert f"run {results['run_id']}" in line_of(out, "run")
    assert f"python main.py replay {results['run_id']}" in line_of(out, "next")
    (refusal,) = told(shop, capsys, "T2")["refusals"]
    assert (refusal["line"], refusal["file"]) == (3, str(shop.path("transactions")))
    assert refusal["row"]["quantity"] == "two"


def test_of_several_runs_that_refused_a_row_the_newest_is_told_first(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.sales[1]["quantity"] = "two"
    runs = [duckdb_shop.publish()["run_id"]]
    duckdb_shop.sales[1]["quantity"], duckdb_shop.sales[1]["unit_price"] = "2", "dear"
    runs.append(duckdb_shop.publish()["run_id"])
    found = told(duckdb_shop, capsys, "T2")
    assert [refusal["run_id"] for refusal in found["refusals"]] == runs[::-1]


def test_what_another_star_refused_is_nothing_of_this_one(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two stars may write their rejects into one folder."""
    shop.sales[1]["quantity"] = "two"
    refused = Path(shop.publish()["rejects_dir"])
    refused.rename(refused.with_name("20990101T000000-0a1b2c"))
    shop.sales[1]["quantity"] = "2"
    shop.publish()
    assert told(shop, capsys, "T2")["refusals"] == []
    del shop.sales[1]
    shop.publish(TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE=1)
    assert (told(shop, capsys, "T2")["state"], told(shop, capsys, "T2")["refusals"]) == (
        "removed", [],
    )  # fmt: skip


def test_the_newest_run_is_the_last_one_that_was_made(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the clock said when it gave the run its id."""
    shop.sales[1]["quantity"] = "two"
    first = shop.publish()
    ahead = "20990101T000000-0a1b2c"
    shop.star.execute(f"UPDATE etl_run SET run_id = '{ahead}'")
    Path(first["rejects_dir"]).rename(shop.folder / "rejects" / ahead)
    shop.sales[1]["quantity"] = "three"
    second = shop.publish()
    runs = [refusal["run_id"] for refusal in told(shop, capsys, "T2")["refusals"]]
    assert runs == [second["run_id"], ahead]
    shop.sales[1]["quantity"] = "2"
    shop.publish()
    assert told(shop, capsys, "T2")["refusals"] == []  # they are older than the sale


def test_a_record_that_is_no_row_is_found_by_its_text(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = to_csv(duckdb_shop.sales).replace("T2,", "T2,too,many,")
    duckdb_shop.files["transactions"] = text
    duckdb_shop.publish()
    (refusal,) = told(duckdb_shop, capsys, "T2")["refusals"]
    assert (refusal["reason"], refusal["line"]) == ("malformed_row", 3)
    assert refusal["raw"].startswith("T2,too,many,")
    assert told(duckdb_shop, capsys, "T")["state"] == "nowhere"  # it is no word there


def test_a_reject_file_that_cannot_be_read_is_named(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb_shop.sales[1]["quantity"] = "two"
    results = duckdb_shop.publish()
    path = Path(results["rejects_dir"]) / "transactions.csv"
    path.write_text("edited, by somebody\n")
    found = told(duckdb_shop, capsys, "T2")
    assert str(path) in found["problems"][0]
    assert (found["state"], found["input"]["rows"][0]["reason"]) == ("in_input", "invalid_quantity")
    monkeypatch.setenv("COLUMNS", "400")
    assert f"not looked through: {path}" in explained(duckdb_shop, capsys, "T2")[1]


def test_a_removed_sale_is_told_with_the_run_and_what_it_was(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = shop.publish()
    shop.star.execute("DELETE FROM fact_sales WHERE transaction_id = 'T3'")
    was = json.dumps({"customer_key": "C1", "net_amount": "60.0000"})
    overwrite(shop, results["run_id"], "fact_sales", "T3", None, was, "absence")
    code, out = explained(shop, capsys, "T3")
    assert code == 0
    assert out.splitlines()[0] == " ! T3 was removed from fact_sales"
    assert "the input did not have it any more" in line_of(out, "why")
    assert results["run_id"] in line_of(out, "when")
    assert "customer_key=C1, net_amount=60" in line_of(out, "it was")
    assert told(shop, capsys, "T3")["state"] == "removed"


@pytest.mark.parametrize("why", ["absence", "flag", "skipped"])
def test_what_a_run_removes_is_told_by_what_the_run_has_kept(
    shop: Retailer, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    settings: dict[str, object] = {"MAX_DELETE_RATE": "1"}
    for sale in shop.sales:
        sale |= {"is_deleted": "", "Status": "paid"}
    shop.publish()
    if why == "absence":
        del shop.sales[2]
        settings["TRANSACTIONS__EXTRACT"] = "full"
    elif why == "flag":
        shop.sales[2]["is_deleted"] = "yes"
    else:
        shop.sales[2]["Status"] = "voided"
        settings["TRANSACTIONS__SKIP_WHEN"] = '{"Status": ["voided"]}'
    results = shop.publish(**settings)
    found = told(shop, capsys, "T3", **settings)
    assert found["state"] == "removed"
    (removal,) = (each for each in found["changes"] if each["attribute"] is None)
    assert (removal["run_id"], removal["after"]) == (results["run_id"], why)
    _, out = explained(shop, capsys, "T3", **settings)
    words = {"absence": "did not have it", "flag": "flagged as deleted", "skipped": "SKIP_WHEN"}
    assert words[why] in line_of(out, "why")
    assert "net_amount=60," in out
    assert "customer_key=C1" in out


def test_what_a_run_overwrites_is_told_by_what_it_has_kept(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    shop.customers[0] |= {"country": "FR", "email": "ada@example.net"}
    shop.sales[2]["quantity"] = "4"
    shop.publish()
    _, out = explained(shop, capsys, "T1")
    assert "C1 country GB → FR" in out
    assert "C1 email changed" in out
    assert "example.org" not in out
    _, corrected = explained(shop, capsys, "T3")
    assert "quantity 1 → 4" in corrected
    assert "country GB" not in corrected  # the run that wrote the sale knew that


def test_a_sale_that_came_again_is_in_the_star(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = duckdb_shop.publish()
    overwrite(duckdb_shop, results["run_id"], "fact_sales", "T3", None, "{}", "flag")
    found = told(duckdb_shop, capsys, "T3")
    assert (found["state"], len(found["changes"])) == ("in_star", 1)


# --- in the input only ----------------------------------------------------------------------------


def outcomes(found: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Line, outcome and reason of the rows of the input."""
    rows = found["input"]["rows"]
    return [(row["line"], row["outcome"], row["reason"]) for row in rows]


def test_a_row_that_no_run_has_seen_is_loaded_by_the_next(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    shop.sales.append({**shop.sales[0], "transaction_id": "T9"})
    before = shop.star.digest()
    found = told(shop, capsys, "T9")
    assert outcomes(found) == [(5, "loaded", "")]
    assert "the next run loads it" in explained(shop, capsys, "T9")[1].splitlines()[0]
    assert shop.star.digest() == before
    shop.publish()
    assert told(shop, capsys, "T9")["state"] == "in_star"


def test_the_input_is_explained_before_the_first_run(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcomes(told(shop, capsys, "T2")) == [(3, "loaded", "")]
    assert shop.star.tables() == set()


def test_skipped_duplicate_deleted_and_refused_rows_are_what_a_run_makes_of_them(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each key says what becomes of it, and the run that follows agrees."""
    base = {**shop.sales[0], "is_deleted": "no", "Status": "paid"}
    shop.sales = [
        {**base, "transaction_id": "voided", "Status": "voided"},
        {**base, "transaction_id": "twice"},
        {**base, "transaction_id": "conflict", "quantity": "9"},
        {**base, "transaction_id": "flagged", "is_deleted": "yes"},
        {**base, "transaction_id": "bad", "unit_price": "dear"},
        {**base, "transaction_id": "conflict"},
        {**base, "transaction_id": "twice"},
    ]
    settings = {"TRANSACTIONS__SKIP_WHEN": '{"Status": ["voided"]}'}
    found = {k: told(shop, capsys, k, **settings) for k in
             ("voided", "twice", "conflict", "flagged", "bad")}  # fmt: skip
    assert {key: outcomes(each) for key, each in found.items()} == {
        "voided": [(2, "skipped", "")],
        "twice": [(3, "duplicate", ""), (8, "loaded", "")],
        "conflict": [(4, "refused", "conflicting_duplicate"), (7, "loaded", "")],
        "flagged": [(5, "deleted", "")],
        "bad": [(6, "refused", "invalid_unit_price")],
    }
    assert found["voided"]["input"]["rows"][0]["detail"] == "Status is 'voided'"
    assert found["twice"]["input"]["rows"][0]["wins"]["line"] == 8
    assert found["conflict"]["input"]["rows"][0]["wins"]["line"] == 7
    assert "Status is 'voided'" in explained(shop, capsys, "voided", **settings)[1]
    results = shop.publish(**settings)
    loaded = set(shop.star.column("SELECT transaction_id FROM fact_sales"))
    assert loaded == {"twice", "conflict"}
    assert shop.reasons(results) == ["conflicting_duplicate", "invalid_unit_price"]
    assert told(shop, capsys, "voided", **settings)["state"] == "in_input"


def test_a_sale_of_somebody_unknown_is_refused_where_a_run_would(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By neither the source nor the star; whom only the star knows is known."""
    shop.publish()
    shop.sales += [
        {**shop.sales[0], "transaction_id": "T8", "customer_id": "C8"},
        {**shop.sales[0], "transaction_id": "T9", "customer_id": "C2"},
    ]
    del shop.customers[1]
    policy = {"ORPHAN_POLICY": "reject"}
    assert outcomes(told(shop, capsys, "T8", **policy)) == [(5, "refused", "unknown_customer")]
    assert outcomes(told(shop, capsys, "T9", **policy)) == [(6, "loaded", "")]
    assert outcomes(told(shop, capsys, "T8", ORPHAN_POLICY="infer")) == [(5, "loaded", "")]
    results = shop.publish(**policy)
    assert shop.reasons(results) == ["unknown_customer"]


def test_a_record_of_the_input_that_is_no_row_is_found_by_its_text(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["transactions"] = to_csv(duckdb_shop.sales).replace("T2,", "T2,too,many,")
    assert outcomes(told(duckdb_shop, capsys, "T2")) == [(3, "refused", "malformed_row")]


@pytest.mark.parametrize("key", ["t1", "T 1", "00T1"])
def test_nobody_knows_a_key_and_near_ones_are_told(
    shop: Retailer, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """In the star, and in the input."""
    assert told(shop, capsys, key)["near"] == ["T1"]
    shop.publish()
    code, out = explained(shop, capsys, key)
    assert code == 2
    assert out.splitlines()[0] == f" ✘ nobody knows {key}"
    assert "T1" in line_of(out, "like it")
    assert "3 records of the input" in " ".join(out.split())


def test_a_run_that_removed_more_than_it_keeps_may_have_removed_it(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = shop.publish()["run_id"]
    shop.star.execute(
        "INSERT INTO etl_change (run_id, table_name, after, rows) "
        f"VALUES ('{run_id}', 'fact_sales', 'absence', 200000)"
    )
    code, out = explained(shop, capsys, "T9")
    assert code == 2
    assert f"run {run_id} removed 200,000 rows" in line_of(out, "perhaps")
    assert told(shop, capsys, "T1")["removed_uncounted"] == []


def test_an_input_that_cannot_be_read_is_said_to_be(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.files["transactions"] = "something\nelse\n"
    code, out, err = run_command(duckdb_shop, capsys, "-q", "explain", "T9")
    assert (code, out) == (1, "")
    assert "sales.csv" in err


def test_a_line_of_a_joined_order_is_found(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    shop.files["transactions"] = "order,pos,sku,n,price\n1,1,P1,1,2\n9,1,P1,1,2\n"
    orders = shop.folder / "orders.csv"
    orders.write_text("order,day,buyer\n1,2024-03-01,C1\n")
    settings: dict[str, object] = {
        "ORDERS__PATH": orders,
        "TRANSACTIONS__JOIN": '{"source": "orders", "key": "order_id"}',
        "TRANSACTIONS__COLUMNS": json.dumps(
            {"order_id": "order", "transaction_id": ["order", "pos"], "product_id": "sku",
             "quantity": "n", "unit_price": "price"}
        ),
        "ORDERS__COLUMNS": json.dumps(
            {"order_id": "order", "transaction_date": "day", "customer_id": "buyer"}
        ),
    }  # fmt: skip
    assert outcomes(told(shop, capsys, "1-1", **settings)) == [(2, "loaded", "")]
    assert outcomes(told(shop, capsys, "9-1", **settings)) == [(3, "refused", "unknown_order")]
    shop.publish(**settings)
    found = told(shop, capsys, "1-1", **settings)
    assert (found["line"], found["original"]["rows"][0]["sku"]) == (2, "P1")


# --- what it leaves alone -------------------------------------------------------------------------


def test_it_writes_nothing_and_says_nothing_in_the_log(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[1]["quantity"] = "two"
    shop.publish()
    before, log = shop.star.digest(), shop.log
    files = sorted(path for path in shop.folder.rglob("*"))
    for key in ("T1", "T2", "T9"):
        told(shop, capsys, key)
    assert (shop.star.digest(), shop.log) == (before, log)
    left = set(shop.folder.rglob("*")) - set(files)
    assert {path.name for path in left} <= {"shop.env"}


def test_a_duckdb_file_that_a_run_has_open_is_busy(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    from support.commands import in_a_child

    duckdb_shop.publish()
    settings = duckdb_shop.env_file()
    with open_warehouse(duckdb_shop.config(), "another"):
        ended = in_a_child("--env-file", settings, "explain", "T1")
    assert ended.code == 4
    assert "in use" in ended.err or "another run" in ended.err


def test_postgresql_answers_while_a_run_holds_it(
    postgresql_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_shop.publish()
    with open_warehouse(postgresql_shop.config(), "another"):
        assert told(postgresql_shop, capsys, "T1")["state"] == "in_star"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_wider_than_the_screen(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shop = duckdb_shop
    shop.sales.append({**shop.sales[0], "transaction_id": "bad", "unit_price": "dear"})
    results = shop.publish()
    overwrite(shop, results["run_id"], "fact_sales", "gone", None, '{"net_amount": "1"}', "flag")
    shop.sales.append({**shop.sales[0], "transaction_id": "new"})
    for key in ("T1", "bad", "gone", "new", "t1", "nobody at all " * 9):
        _, out = explained(shop, capsys, key)
        assert max(map(len, out.splitlines())) <= width
        assert "\x1b" not in out


def test_a_text_of_the_source_controls_no_terminal(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.sales[0]["quantity"] = "\x1b[31mred"
    duckdb_shop.publish()
    assert "\x1b" not in explained(duckdb_shop, capsys, "T1")[1]


def test_a_corrected_reject_is_explained_by_the_file_it_came_from(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[1]["quantity"] = "two"
    results = shop.publish()
    corrected = shop.folder / "corrected.csv"
    rows: list[Row] = list(csv_rows(Path(results["rejects_dir"]) / "transactions.csv"))
    corrected.write_text(to_csv([{**row, "quantity": "2"} for row in rows]))
    shop.publish(TRANSACTIONS__PATH=corrected)
    found = told(shop, capsys, "T2")
    assert (found["file"], found["line"]) == (str(corrected), 2)
    assert found["original"]["rows"][0]["quantity"] == "2"


def test_a_star_of_ones_own_is_explained_by_what_it_declares(
    shop: Retailer, tmp_path: Path
) -> None:
    """One with stores, a tax and an order number."""
    star = star_with_stores()
    for number, sale in enumerate(shop.sales):
        sale |= {"store_id": "S1", "tax_amount": "1.50", "order_number": f"N{number}"}
    stores = tmp_path / "stores.csv"
    stores.write_text("store_id,city,opened_on\nS1,Rome,2020-05-01\n")
    config = load_config(None, shop.settings(STORES__PATH=stores), star)
    assert StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()["success"]

    def text(key: str) -> str:
        found = explain(config, key, look_at, batch_rules, lambda _: SILENT)
        return render(found, star, Screen(100))

    out = text("T2")
    assert "S1 key 1  city Rome, opened on 2020-05-01" in line_of(out, "store")
    assert line_of(out, "tax amount").split() == ["tax", "amount", "1.50"]
    assert line_of(out, "order number").split() == ["order", "number", "N1"]
    assert "store_id=S1" in out
    assert "nobody knows t2" in text("t2")

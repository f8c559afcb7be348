"""`replay`: corrected rejects are loaded, and nothing that is newer gives way to them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

from config import load_config
from main import StarSchemaETLPipeline
from run.replay import planned
from support.commands import run_command, run_json
from support.retailer import Retailer
from support.stores import star_with_stores
from support.tables import Row, to_csv

SALES = (
    "SELECT transaction_id, quantity, run_id FROM fact_sales WHERE transaction_id LIKE 'T%' "
    "ORDER BY transaction_id"
)


def corrected(results: Row, source: str = "transactions", **changes: Row) -> Path:
    """The reject file of a source, in which rows are changed by their keys."""
    path = Path(results["rejects_dir"]) / f"{source}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    key = next(iter(rows[0]))
    for row in rows:
        row.update(changes.get(row[key], {}))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def replayed(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str, **settings: object
) -> Row:
    """The summary of a replay that was published."""
    code, results, _ = run_json(shop, capsys, "replay", *arguments, **settings)
    assert (code, results["errors"]) == (0, [])
    return results


def account(results: Row, source: str = "transactions") -> Row:
    """What became of the rows of a source, without what is 0."""
    found = results["validation_results"]["reconciliation"]["sources"][source]
    assert found.pop("closed")
    return {name: count for name, count in found.items() if count}


def test_corrected_rejects_are_loaded_and_nothing_else_is_read(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales = [sale | {"note": "x"} for sale in shop.sales]
    shop.sales[1]["quantity"] = "many"
    shop.sales[2]["quantity"] = "some"
    first = shop.publish(MAX_REJECT_RATE=1)
    path = corrected(first, T2={"quantity": "4"})
    shop.sales, shop.customers = shop.sales[:1], shop.customers[:1]
    results = replayed(
        shop, capsys, MAX_REJECT_RATE="0", CUSTOMERS__EXTRACT="full", TRANSACTIONS__EXTRACT="period"
    )
    assert account(results) == {"read": 2, "inserted": 1, "rejected": 1}
    assert results["replays_run"] == first["run_id"]
    assert not [told for told in results["warnings"] if "note" in told]  # that run told it
    assert list(results["extraction_results"]) == ["_metadata", "transactions"]
    assert shop.star.rows(SALES) == [("T1", 2, first["run_id"]), ("T2", 4, results["run_id"])]
    place = "SELECT file_number, line_number FROM fact_sales WHERE transaction_id = 'T2'"
    files = shop.star.scalar("SELECT files FROM etl_run WHERE run_id = :run", run=results["run_id"])
    assert (shop.star.row(place), json.loads(files)) == ((1, 2), [str(path)])
    assert not any(shop.star.column("SELECT is_deleted FROM dim_customer"))
    assert shop.reasons(results) == ["invalid_quantity"]
    code, out, _ = run_command(shop, capsys, "replay", first["run_id"], "--json")
    again = json.loads(out)
    assert (code, account(again)) == (0, {"read": 2, "unchanged": 1, "rejected": 1})
    for command in ("show", "history", "replay"):
        code, out, _ = run_command(shop, capsys, command, MAX_REJECT_RATE="1")
        named = again if command == "replay" else first
        assert (code, f"the rejects of run {named['run_id']}" in " ".join(out.split())) == (0, True)


# --- what is newer stays ----------------------------------------------------------------------


def test_a_sale_that_a_later_run_loaded_is_listed_and_not_loaded(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new one and a changed one; one that a run before loaded is loaded."""
    shop.publish()
    for sale in shop.sales:
        sale["unit_price"] = "free"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T4"})
    refused = shop.publish()
    for number in (0, 3):
        shop.sales[number] |= {"unit_price": "5", "quantity": "9"}
    later = shop.publish()
    price = {"unit_price": "7"}
    corrected(refused, T1=price, T2=price, T3=price, T4=price)
    results = replayed(shop, capsys, refused["run_id"])
    assert account(results) == {"read": 4, "updated": 2, "rejected": 2}
    told = [(r["transaction_id"], r["_reason"], r["_detail"]) for r in shop.rejects(results)]
    detail = f"run {later['run_id']} has loaded it; replay --force loads this"
    assert told == [("T1", "loaded_later", detail), ("T4", "loaded_later", detail)]
    assert shop.star.column("SELECT unit_price FROM fact_sales ORDER BY 1") == [5, 5, 7, 7]
    money = results["transformation_results"]["fact_sales"]["rejected_money"]
    rejected = results["validation_results"]["reconciliation"]["money"]["rejected"]
    assert money == {"loaded_later": {"": rejected}} != {"loaded_later": {"": "0.0000"}}
    assert "2 of 4 rows were rejected" in results["warnings"][-1]
    (warning,) = results["warnings"][:-1]
    assert warning.startswith("transactions: 2 rows are not loaded, as a later run has loaded")
    assert f"T1 ({later['run_id']}), T4 ({later['run_id']});" in warning

    again = replayed(shop, capsys, refused["run_id"])
    assert account(again) == {"read": 4, "unchanged": 2, "rejected": 2}
    forced = replayed(shop, capsys, refused["run_id"], "--force")
    assert account(forced) == {"read": 4, "updated": 2, "unchanged": 2}
    assert shop.star.column("SELECT DISTINCT unit_price FROM fact_sales") == [7]


def test_the_rejects_of_a_replay_are_as_old_as_they_were_at_first(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uncorrected they go from folder to folder, and never become newer than what came between."""
    shop.sales[0]["quantity"] = "many"
    shop.publish()
    shop.sales[0]["quantity"] = "8"
    shop.publish()
    del shop.sales[:]
    shop.files["transactions"] = ""
    first = replayed(shop, capsys, sorted(p.name for p in (shop.folder / "rejects").iterdir())[0])
    assert shop.reasons(first) == ["invalid_quantity"]
    corrected(first, T1={"quantity": "1"})
    second = replayed(shop, capsys)
    assert second["replays_run"] == first["run_id"]
    assert shop.reasons(second) == ["loaded_later"]
    assert shop.reasons(replayed(shop, capsys)) == ["loaded_later"]
    assert shop.star.rows(SALES)[0][:2] == ("T1", 8)


def test_of_two_nights_that_were_refused_the_later_one_wins(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In whatever order they are replayed."""
    shop.sales[0]["quantity"] = "many"
    older = shop.publish()
    shop.sales[0]["unit_price"] = "7"
    newer = shop.publish()
    corrected(older, T1={"quantity": "5"})
    corrected(newer, T1={"quantity": "6"})
    for night, quantity in ((older, 5), (newer, 6), (older, 6)):
        results = replayed(shop, capsys, night["run_id"])
        assert shop.star.rows(SALES)[0][1] == quantity
    assert shop.reasons(results) == ["loaded_later"]


def test_the_loser_of_a_conflict_does_not_win_afterwards(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a sale nor a customer; with a key of its own it comes in."""
    shop.sales += [shop.sales[0] | {"quantity": "5"}, shop.sales[1] | {"quantity": "6"}]
    shop.customers.append(shop.customers[0] | {"city": "Rome"})
    first = shop.publish()
    corrected(first, T2={"transaction_id": "T9"})
    results = replayed(shop, capsys)
    assert account(results) == {"read": 2, "inserted": 1, "rejected": 1}
    assert account(results, "customers") == {"read": 1, "rejected": 1}
    assert [row[:2] for row in shop.star.rows(SALES)] == [
        ("T1", 5),
        ("T2", 6),
        ("T3", 1),
        ("T9", 3),
    ]
    assert shop.star.member("dim_customer", "C1")["city"] == "Rome"


def test_a_member_gives_way_where_a_later_run_has_read_its_source(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that only sales name is filled in all the same."""
    lines = "customer_id,first_name,city\nC1,Ada,Rome,x\nC2,Alan,Rome\nC3,Grace,Oslo,x\n"
    shop.files["customers"] = lines
    shop.sales.append(shop.sales[0] | {"transaction_id": "T4", "customer_id": "C3"})
    first = shop.publish()
    path = corrected(first, "customers")
    columns = "customer_id,first_name,city,_reason,_detail,_line,_file,_raw\n"
    rows = "C1,Ada,York,malformed_row,,2,,\nC3,Grace,Bern,malformed_row,,4,,\n"
    path.write_text(columns + rows, encoding="utf-8")
    results = replayed(shop, capsys)
    assert account(results, "customers") == {"read": 2, "updated": 2}

    shop.files["customers"] = lines.replace("Oslo,x", "Oslo")
    shop.publish()
    held = replayed(shop, capsys, first["run_id"])
    assert account(held, "customers") == {"read": 2, "rejected": 2}
    assert shop.reasons(held, "customers") == ["loaded_later"] * 2
    assert shop.star.member("dim_customer", "C3")["city"] == "Oslo"
    replayed(shop, capsys, first["run_id"], "--force")
    assert shop.star.member("dim_customer", "C3")["city"] == "Bern"


def test_a_sale_that_a_later_run_removed_does_not_come_back(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.publish()
    shop.sales[0]["quantity"] = "many"
    refused = shop.publish()
    shop.sales[0] = shop.sales[0] | {"is_deleted": "yes"}
    shop.sales[1:] = [sale | {"is_deleted": ""} for sale in shop.sales[1:]]
    shop.publish()
    corrected(refused, T1={"quantity": "1"})
    results = replayed(shop, capsys, refused["run_id"])
    assert [row[0] for row in shop.star.rows(SALES)] == ["T2", "T3"]
    assert shop.reasons(results) == ["loaded_later"]
    assert not [told for told in results["warnings"] if "does not say which" in told]


def test_of_removals_that_nobody_has_kept_it_warns(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `KEEP_CHANGES=false`, or because they were too many or too long ago."""
    shop.publish()
    shop.sales[0]["quantity"] = "many"
    refused = shop.publish()
    removed = shop.sales.pop(0)
    full = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": 1}
    later = shop.publish(KEEP_CHANGES="false", **full)
    corrected(refused, T1={"quantity": "1"})
    results = replayed(shop, capsys, "--dry-run", refused["run_id"])
    (warning,) = (told for told in results["warnings"] if "etl_change" in told)
    assert warning == (
        "transactions: 1 of the rows are not in the star, and a later run has removed rows of "
        f"which etl_change does not say which ({later['run_id']}): see that none of them comes back"
    )
    shop.sales.append(removed | {"quantity": "3"})
    shop.publish()
    results = replayed(shop, capsys, "--force", refused["run_id"])
    assert not [told for told in results["warnings"] if "etl_change" in told]


def test_a_row_that_removes_does_not_remove_what_is_newer(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    for sale in shop.sales:
        sale["is_deleted"] = ""
    shop.sales[0]["quantity"] = shop.sales[1]["quantity"] = "many"
    refused = shop.publish()
    shop.sales[0]["quantity"] = "2"
    shop.publish()
    corrected(refused, T1={"is_deleted": "yes"}, T2={"is_deleted": "yes"})
    results = replayed(shop, capsys, refused["run_id"])
    assert account(results) == {"read": 2, "unchanged": 1, "rejected": 1}
    forced = replayed(shop, capsys, refused["run_id"], "--force")
    assert account(forced) == {"read": 2, "deleted": 1, "unchanged": 1}


# --- it is a run like any other -----------------------------------------------------------------


@pytest.mark.parametrize("policy", ["infer", "reject"])
def test_references_are_looked_up_in_the_star(
    shop: Retailer, capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    shop.sales[0] |= {"customer_id": "C9", "quantity": "many"}
    shop.sales[1]["quantity"] = "some"
    first = shop.publish(ORPHAN_POLICY=policy)
    corrected(first, T1={"quantity": "1"}, T2={"quantity": "1"})
    del shop.customers[1]
    results = replayed(shop, capsys, ORPHAN_POLICY=policy)
    if policy == "infer":
        assert account(results) == {"read": 2, "inserted": 2}
        assert shop.star.member("dim_customer", "C9")["is_inferred"]
    else:
        assert account(results) == {"read": 2, "inserted": 1, "rejected": 1}
        assert shop.reasons(results) == ["unknown_customer"]
        shop.customers.append(shop.customers[0] | {"customer_id": "C9"})
        shop.publish(ORPHAN_POLICY=policy)
        late = replayed(shop, capsys, results["run_id"], ORPHAN_POLICY=policy)
        assert account(late) == {"read": 1, "inserted": 1}
        assert "nothing was corrected" in " ".join(late["warnings"])
    assert not shop.star.member("dim_customer", "C2")["is_inferred"]


def test_the_night_after_reads_everything_and_loses_nothing(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where what is absent is gone: the refused row has the key."""
    full = {"TRANSACTIONS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}
    shop.sales[1]["quantity"] = "many"
    first = shop.publish(**full)
    corrected(first, T2={"quantity": "4"})
    replayed(shop, capsys, **full)
    for again in (False, True):
        results = shop.publish(**full)
        assert bool(results["repeats_run"]) == again
        assert account(results) == {"read": 3, "unchanged": 2, "rejected": 1}
    assert [row[:2] for row in shop.star.rows(SALES)] == [("T1", 2), ("T2", 4), ("T3", 1)]


def test_a_rehearsal_changes_nothing(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    shop.sales[1]["quantity"] = "many"
    first = shop.publish()
    path = corrected(first, T2={"quantity": "4"})
    before, text = shop.star.digest(), path.read_bytes()
    results = replayed(shop, capsys, "--dry-run")
    assert (results["status"], account(results)) == ("dry_run", {"read": 1, "inserted": 1})
    assert (shop.star.digest(), path.read_bytes()) == (before, text)
    assert [status for _, status in shop.star.runs()] == ["published"]


def test_a_record_that_was_no_row_is_kept_until_its_columns_are_filled(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
        "T1,2024-01-08,C1,P1,1,5\nT2,2024-01-08,C1,P1\nT3,2024-01-08,C1,P1,1,5,6\n"
    )
    first = shop.publish()
    path = corrected(first)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(",,,,,,malf", "T2,2024-01-08,C1,P1,3,5,malf", 1), encoding="utf-8")
    results = replayed(shop, capsys)
    assert account(results) == {"read": 2, "inserted": 1, "rejected": 1}
    (left,) = shop.rejects(results)
    assert (left["_reason"], left["_raw"]) == ("malformed_row", "T3,2024-01-08,C1,P1,1,5,6")
    assert "has only its _raw" in left["_detail"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_a_file_is_read_as_a_spreadsheet_saved_it(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], delimiter: str, encoding: str
) -> None:
    shop = duckdb_shop
    shop.customers[0]["city"] = "Malmö"
    shop.customers = [shop.customers[0] | {"customer_id": ""}, *shop.customers]
    settings = {"CUSTOMERS__ENCODING": "cp1252"}
    shop.files["customers"] = to_csv(shop.customers).encode("cp1252")
    path = corrected_in(shop.publish(**settings), "customers", "cp1252")
    text = path.read_text(encoding="cp1252").replace('""', "C7", 1).replace('"', "")
    path.write_text(text.replace(",", delimiter), encoding=encoding)
    results = replayed(shop, capsys, **settings)
    assert account(results, "customers") == {"read": 1, "inserted": 1}
    assert shop.star.member("dim_customer", "C7")["city"] == "Malmö"


def corrected_in(results: Row, source: str, encoding: str) -> Path:
    """The path of a reject file that is in this encoding."""
    path = Path(results["rejects_dir"]) / f"{source}.csv"
    assert "Malmö" in path.read_text(encoding=encoding)
    return path


# --- what cannot be replayed ----------------------------------------------------------------------


def test_what_cannot_be_loaded_is_told_before_anything_is_touched(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        code, out, err = run_command(shop, capsys, "replay", *arguments)
        assert (code, out) == (2, "")
        return err

    clean = shop.publish()
    assert "no run of this warehouse has reject files" in told()
    assert f"run {clean['run_id']} has refused no row" in told(clean["run_id"])
    shop.sales[0]["quantity"] = "many"
    first = shop.publish()
    runs = shop.star.runs()
    assert f"the last ones are {first['run_id']}, {clean['run_id']}" in told("nothing")
    assert f"did you mean {first['run_id']}" in told(first["run_id"][3:])
    path = Path(first["rejects_dir"]) / "transactions.csv"
    path.write_text("transaction_id,quantity\nT1,4\n", encoding="utf-8")
    assert f"{path} cannot be loaded: it is no reject file in UTF-8" in told()
    path.unlink()
    assert "they were moved, or removed when they were older" in told(first["run_id"])
    assert shop.star.runs() == runs


def test_a_file_that_is_gone_when_it_is_read_fails_the_run(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.sales[0]["quantity"] = "many"
    path = corrected(shop.publish())
    plan = planned(shop.config(), None, force=False)
    path.unlink()
    results = StarSchemaETLPipeline(shop.config(), quiet=True, replay=plan).run_full_pipeline()
    assert results["status"] == "failed"
    assert f"{path}: there is no such file" in results["errors"][0]


@pytest.mark.parametrize("is_first", [True, False])
def test_of_a_run_that_was_refused_only_the_rejects_are_loaded(
    shop: Retailer, capsys: pytest.CaptureFixture[str], is_first: bool
) -> None:
    if not is_first:
        shop.publish()
    shop.sales = [sale | {"transaction_id": f"N{n}"} for n, sale in enumerate(shop.sales)]
    shop.sales[0]["quantity"] = "many"
    refused = shop.run(MAX_REJECT_RATE="0.1")
    assert refused["status"] == "gate_failed"
    corrected(refused, N0={"quantity": "4"})
    results = replayed(shop, capsys)
    assert account(results) == {"read": 1, "inserted": 1}
    assert "was not published: of its input only" in " ".join(results["warnings"])
    assert account(shop.publish()) == {"read": 3, "inserted": 2, "rejected": 1}


# --- whatever the source is -----------------------------------------------------------------------


def test_what_was_filled_down_and_counted_is_not_filled_and_counted_again(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.files["transactions"] = (
        "order,transaction_date,customer_id,product_id,quantity,unit_price\n"
        "1,2024-01-08,C1,P1,1,5\n,,,P2,many,5\n,,,P2,3,5\n2,2024-01-09,C2,P1,some,5\n"
    )
    settings = {
        "TRANSACTIONS__FILL_DOWN": '["order", "transaction_date", "customer_id"]',
        "TRANSACTIONS__COLUMNS": '{"transaction_id": ["order", "#"]}',
    }
    first = shop.publish(**settings)
    path = Path(first["rejects_dir"]) / "transactions.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("many", "2", 1).replace("some", "4", 1), encoding="utf-8")
    results = replayed(shop, capsys, **settings)
    assert account(results) == {"read": 2, "inserted": 2}
    found = "SELECT transaction_id, quantity FROM fact_sales ORDER BY 1"
    assert shop.star.rows(found) == [("1-1", 1), ("1-2", 2), ("1-3", 3), ("2-1", 4)]


def test_what_was_a_list_is_rows_already(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"id": "A", "sku": "P1", "n": "many"}, {"id": "B", "sku": "P2", "n": 2}]
    order = {"no": "7", "day": "2024-01-08", "buyer": {"id": "C1"}, "items": items}
    shop.files["transactions"] = json.dumps({"orders": [order]})
    settings = {
        "TRANSACTIONS__EXPLODE": "items",
        "TRANSACTIONS__RECORDS": "orders",
        "TRANSACTIONS__COLUMNS": json.dumps(
            {
                "transaction_id": ["no", "items.id"],
                "transaction_date": "day",
                "customer_id": "buyer.id",
                "product_id": "items.sku",
                "quantity": "items.n",
                "unit_price": {"value": "3"},
            }
        ),
    }
    first = shop.publish(**settings)
    path = Path(first["rejects_dir"]) / "transactions.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"many"', '"9"', 1), encoding="utf-8")
    results = replayed(shop, capsys, **settings)
    assert account(results) == {"read": 1, "inserted": 1}
    assert shop.star.rows(SALES.replace("'T%'", "'7%'"))[0][:2] == ("7-A", 9)


def test_lines_are_joined_to_the_orders_where_they_are(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = shop.folder / "orders.csv"
    orders.write_text(
        "no,transaction_date,customer_id\n1,2024-01-08,C1\n1,2024-01-09,C1\n", encoding="utf-8"
    )
    shop.files["transactions"] = "no,transaction_id,product_id,quantity,unit_price\n1,A,P1,x,5\n"
    settings = {
        "TRANSACTIONS__JOIN": '{"source": "orders", "key": "no"}',
        "ORDERS__PATH": orders,
    }
    first = shop.publish(**settings)
    corrected_text = Path(first["rejects_dir"]) / "transactions.csv"
    text = corrected_text.read_text(encoding="utf-8")
    corrected_text.write_text(text.replace('"x"', '"4"', 1), encoding="utf-8")
    results = replayed(shop, capsys, **settings)
    assert account(results) == {"read": 1, "inserted": 1}
    assert "orders.csv is not loaded: orders are read from where ORDERS__PATH says" in " ".join(
        results["warnings"]
    )


def test_a_watermark_stays_where_it_was(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    till = shop.folder / "till.db"
    with sqlite3.connect(till) as database:
        database.execute(
            "CREATE TABLE sales (transaction_id, transaction_date, customer_id, product_id, "
            "quantity, unit_price, no INTEGER)"
        )
        rows = [(f"N{n}", "2024-01-08", "C1", "P1", "x" if n == 1 else n, 5, n) for n in (1, 2)]
        database.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    settings = {
        "TRANSACTIONS__PATH": f"sqlite:///{till}",
        "TRANSACTIONS__QUERY": "SELECT * FROM sales WHERE no >= :since",
        "TRANSACTIONS__WATERMARK": "no",
    }
    code, first, _ = run_json(shop, capsys, "--since", "0", **settings)
    assert code == 0
    kept = "SELECT watermarks FROM etl_run ORDER BY sequence DESC LIMIT 1"
    before = shop.star.scalar(kept)
    corrected(first, N1={"quantity": "4", "no": "99"})
    results = replayed(shop, capsys, **settings)
    assert account(results) == {"read": 1, "inserted": 1}
    assert '"2"' in before
    assert shop.star.scalar(kept) == before
    code, after, _ = run_json(shop, capsys, **settings)
    assert (code, account(after)) == (0, {"read": 1, "unchanged": 1})


@pytest.mark.parametrize("declared", [{}, {"TRANSACTIONS__CURRENCY": "EUR"}])
def test_currencies_are_kept_apart_as_before(
    shop: Retailer, capsys: pytest.CaptureFixture[str], declared: Row
) -> None:
    """Also where only a customer is loaded, and no sale says its currency."""
    if not declared:
        for sale, currency in zip(shop.sales, ("EUR", "USD", "EUR"), strict=True):
            sale["currency"] = currency
    shop.customers.append(shop.customers[0] | {"customer_id": ""})
    first = shop.publish(**declared)
    path = Path(first["rejects_dir"]) / "customers.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('""', '"C8"', 1), encoding="utf-8")
    results = replayed(shop, capsys, **declared)
    assert account(results, "customers") == {"read": 1, "inserted": 1}
    currencies = results["validation_results"]["reconciliation"]["currencies"]
    assert set(currencies) <= {"EUR", "USD", ""}
    again = shop.publish(**declared)
    assert account(again) == {"read": 3, "unchanged": 3}


def test_keys_that_fold_are_held_against_the_star_so(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"CUSTOMERS__KEY_CASE": "fold"}
    shop.customers.append(shop.customers[0] | {"city": "Rome"})
    first = shop.publish(**settings)
    corrected(first, "customers", C1={"customer_id": "c1"})
    results = replayed(shop, capsys, **settings)
    assert shop.reasons(results, "customers") == ["loaded_later"]
    assert shop.star.member("dim_customer", "C1")["city"] == "Rome"


def test_any_star_can_be_replayed(shop: Retailer, tmp_path: Path) -> None:
    more = {"store_id": "S1", "tax_amount": "much", "order_number": "4711"}
    shop.sales = [sale | more for sale in shop.sales]
    stores = tmp_path / "stores.csv"
    stores.write_text("store_id,city\nS1,Rome\n", encoding="utf-8")
    config = load_config(None, shop.settings(STORES__PATH=stores), star_with_stores())
    first = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    corrected(first, T1={"tax_amount": "2", "store_id": "S9"})
    plan = planned(config, None, force=False)
    results = StarSchemaETLPipeline(config, quiet=True, replay=plan).run_full_pipeline()
    assert account(results) == {"read": 3, "inserted": 1, "rejected": 2}
    assert results["dimension_loading_results"]["dim_store"]["inferred"] == 1
    assert shop.star.rows("SELECT transaction_id, tax_amount FROM fact_sales") == [("T1", 2)]


def test_a_star_of_other_key_rules_is_run_once_before(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[0]["quantity"] = "many"
    first = shop.publish()
    corrected(first, T1={"quantity": "4"})
    shop.star.execute("UPDATE etl_run SET key_rules = 1")
    code, _, err = run_command(shop, capsys, "replay")
    assert (code, "other key rules" in err) == (2, True)
    shop.publish()
    results = replayed(shop, capsys)
    assert account(results) == {"read": 1, "rejected": 1}
    (warning,) = (each for each in results["warnings"] if "nothing was corrected" in each)
    assert f"those of run {first['run_id']} were corrected: replay {first['run_id']}" in warning

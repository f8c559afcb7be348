"""`forget`: nothing personal of a customer is left in star and rejects, and the money stays."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli import main
from support.commands import run_command
from support.reports import folder_of, latest, pages, with_pages
from support.retailer import Retailer, tomorrow
from support.sessions import as_role
from support.tables import Row, csv_rows, to_csv
from warehouse import open_warehouse

ADA = {"customer_id": "C1", "first_name": "Ada", "last_name": "Lovelace", "company": "Engines",
       "email": "ada@example.org", "phone": "+44 20 7946 0995", "address": "12 St James Square",
       "city": "London", "state": "LDN", "postal_code": "SW1Y", "country": "GB",
       "segment": "Consumer"}  # fmt: skip
PERSONAL = ("Ada", "Lovelace", "Engines", "ada@", "7946", "James", "London", "LDN", "SW1Y")


def forget(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str, **settings: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python main.py forget`."""
    return run_command(shop, capsys, "forget", *arguments, **settings)


@pytest.fixture
def known(shop: Retailer) -> Retailer:
    """A shop whose star knows all of Ada."""
    shop.customers[0] = ADA
    shop.customers[1] = {name: shop.customers[1].get(name, "") for name in ADA}
    shop.publish()
    return shop


def others(shop: Retailer, member: str = "C1") -> dict[str, list[Any]]:
    """All rows of the star but that of one customer."""
    content = shop.star.content()
    content["dim_customer"] = [row for row in content["dim_customer"] if row[1] != member]
    return content


# --- the star -------------------------------------------------------------------------------------


def test_a_forgotten_customer_has_an_id_and_sales_and_nothing_else(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys, facts and everybody else stay as they were, to the byte."""
    before, rest = known.star.member("dim_customer", "C1"), others(known)
    code, out, err = forget(known, capsys, "C1")
    assert (code, err) == (0, "")
    assert "customer 'C1' is erased from dim_customer (first_name, last_name, " in out
    assert known.star.member("dim_customer", "C1") == {
        **dict.fromkeys(ADA), "customer_key": before["customer_key"], "customer_id": "C1",
        "full_name": "Customer C1", "country": "GB", "segment": "Consumer", "is_inferred": False,
        "is_deleted": True,
    }  # fmt: skip
    assert others(known) == rest
    assert not [piece for piece in PERSONAL if piece in repr(known.star.content())]


def test_a_second_time_says_that_nothing_is_left(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(known, capsys, "C1")
    before = known.star.digest()
    code, out, _ = forget(known, capsys, "C1")
    assert code == 0
    assert "customer 'C1' was forgotten before" in out
    assert known.star.digest() == before


@pytest.mark.parametrize("place", [["forget", "C1", "--dry-run"], ["--dry-run", "forget", "C1"]])
def test_a_rehearsal_changes_nothing(
    known: Retailer, capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    rejects = refused(known)
    before, texts = known.star.digest(), [path.read_bytes() for path in rejects]
    code, out, _ = run_command(known, capsys, *place)
    assert code == 0
    assert "customer 'C1' would be erased from dim_customer" in out
    assert "1 rows would be taken out of 1 files" in out
    assert known.star.digest() == before
    assert [path.read_bytes() for path in rejects] == texts
    assert sorted(rejects[0].parent.iterdir()) == sorted(rejects)


HOSTILE = ["C'1", '"C1"', "C1; DROP TABLE dim_customer; --", "' OR 1=1 --", "%", "C_", "=C1", "-1",
           "Ünïcode ключ 鍵", ":id", "%(id)s", "{id}", "\\"]  # fmt: skip


@pytest.mark.parametrize("member", HOSTILE)
def test_an_id_is_a_value_whatever_it_looks_like(
    shop: Retailer, capsys: pytest.CaptureFixture[str], member: str
) -> None:
    shop.customers += [shop.customers[0] | {"customer_id": member}]
    shop.publish()
    rest = others(shop, member)
    assert forget(shop, capsys, "--", member)[0] == 0
    found = shop.star.member("dim_customer", member)
    assert (found["last_name"], found["full_name"]) == (None, f"Customer {member}")
    assert others(shop, member) == rest


def test_an_id_is_looked_up_by_the_key_rules(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forget(known, capsys, "\u00a0C1\u200b ")[0] == 0
    assert known.star.member("dim_customer", "C1")["last_name"] is None


@pytest.mark.parametrize("member", ["C9", "c1", "C1 C2", "", " ", "C1%", b"C\xff1"])
def test_whom_nobody_knows_is_a_usage_error(
    known: Retailer, capsys: pytest.CaptureFixture[str], member: str | bytes
) -> None:
    before = known.star.digest()
    code, out, err = forget(known, capsys, os.fsdecode(member))
    assert (code, out) == (2, "")
    assert "neither the star nor a reject file has a customer" in err
    assert known.star.digest() == before


def test_without_a_star_nobody_is_known_and_none_is_made(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forget(shop, capsys, "C1")[0] == 2
    if shop.star.engine_name == "duckdb":
        assert not list(shop.folder.parent.glob("*.duckdb*"))
    else:
        assert shop.star.tables() == set()


def test_while_a_run_holds_the_warehouse_nothing_is_touched(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    rejects = refused(known)
    before, texts = known.star.digest(), [path.read_bytes() for path in rejects]
    with open_warehouse(known.config(), "the-holder"):
        code, out, err = forget(known, capsys, "C1")
    assert (code, out) == (4, "")
    assert "the-holder" in err
    assert known.star.digest() == before
    assert [path.read_bytes() for path in rejects] == texts


def test_the_rights_that_init_grants_suffice(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    shop.star.execute(*capsys.readouterr().out.strip().splitlines())
    url = as_role(shop.star, loader_role)
    shop.publish(WAREHOUSE_URL=url)
    assert forget(shop, capsys, "C1", WAREHOUSE_URL=url)[0] == 0
    assert shop.star.member("dim_customer", "C1")["full_name"] == "Customer C1"


def test_a_trigger_that_keeps_a_member_is_told(
    postgresql_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute("CREATE RULE kept AS ON UPDATE TO dim_customer DO INSTEAD NOTHING")
    code, out, err = forget(shop, capsys, "C1")
    assert (code, out) == (1, "")
    assert "a trigger or a rule keeps the member as it was" in err


def test_a_star_of_an_earlier_version_forgets_too(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.star.restore("0.1.0")
    assert shop.star.scalar("SELECT last_name FROM dim_customer WHERE customer_id = 'C1'")
    assert forget(shop, capsys, "C1")[0] == 0
    found = shop.star.member("dim_customer", "C1")
    assert (found["full_name"], found["is_deleted"]) == ("Customer C1", True)


def test_one_whom_only_sales_name_can_be_forgotten(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[0]["customer_id"] = "C7"
    shop.publish()
    assert forget(shop, capsys, "C7")[0] == 0
    assert shop.star.member("dim_customer", "C7")["is_deleted"] is True


# --- the nights after -----------------------------------------------------------------------------


def test_the_source_brings_back_whom_it_still_has(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Erase at the source first. The same input is no repetition: the star was changed."""
    before = known.star.digest(with_runs=False)
    forget(known, capsys, "C1")
    known.publish()
    assert known.star.digest(with_runs=False) == before


def test_whom_the_source_has_no_more_stays_forgotten(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Although sales go on naming them."""
    forget(known, capsys, "C1")
    before = known.star.member("dim_customer", "C1")
    del known.customers[0]
    known.sales.append(known.sales[0] | {"transaction_id": "T9"})
    results = known.publish()
    assert results["fact_loading_results"]["records_inserted"] == 1
    assert known.star.member("dim_customer", "C1") == before


# --- reject files ---------------------------------------------------------------------------------


def refused(shop: Retailer, **settings: object) -> list[Path]:
    """The reject files of a run that refuses a sale of each customer, and one of nobody's."""
    shop.sales[0]["quantity"] = "some"
    shop.sales[1]["quantity"] = "many"
    results = shop.publish(**settings)
    return sorted(Path(results["rejects_dir"]).iterdir())


def test_rows_with_the_id_are_taken_out_of_the_rejects_of_all_runs(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other rows stay as they were written, and so do files without such a row."""
    known.customers += [ADA | {"first_name": "Countess"}, ADA | {"customer_id": "C2"}]
    first = refused(known)
    known.sales[0]["transaction_id"] = "T8"
    second = refused(known)
    lines = {path: path.read_text(encoding="utf-8").splitlines() for path in (*first, *second)}
    assert sum('"C1"' in line for text in lines.values() for line in text) == 4
    code, out, err = forget(known, capsys, "C1")
    assert (code, err) == (0, "")
    assert "4 rows taken out of 4 files; 4 were looked through" in out
    for path, text in lines.items():
        left = [line for line in text if '"C1"' not in line]
        assert path.read_text(encoding="utf-8").splitlines() == left
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(left) == 2
    assert sorted(path for folder in (first, second) for path in folder[0].parent.iterdir()) == (
        sorted(lines)
    )


def test_a_file_of_which_nothing_is_left_is_removed(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    known.sales[0]["quantity"] = "some"
    folder = Path(known.publish()["rejects_dir"])
    assert forget(known, capsys, "C1")[0] == 0
    assert list(folder.iterdir()) == []
    assert csv_rows_of(known.publish()) == ["T1"]  # the source has it still


def csv_rows_of(results: Row) -> list[str]:
    """The keys in the reject file of the sales."""
    path = Path(results["rejects_dir"]) / "transactions.csv"
    return [row["transaction_id"] for row in csv_rows(path)]


def test_whom_only_rejects_know_is_taken_out_of_them(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales += [shop.sales[0] | {"customer_id": "C5", "transaction_id": n} for n in ("", " ")]
    results = shop.publish()
    code, out, _ = forget(shop, capsys, "C5")
    assert code == 0
    assert "the star has no customer 'C5'" in out
    assert "2 rows taken out of 1 files" in out
    assert not shop.rejects(results)


def test_a_record_that_is_no_row_goes_where_it_has_the_id_as_a_word(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["T7,2024-01-08,C1", "T8,2024-01-08,C11", 'T9,"C1" x', "T10,2024-01-08,XC1", "C1"]
    known.files["transactions"] = to_csv(known.sales) + "\n".join([*rows, ""])
    results = known.publish()
    assert forget(known, capsys, "C1")[0] == 0
    assert [row["_raw"] for row in known.rejects(results)] == [rows[1], rows[3]]


def test_the_column_is_found_as_the_settings_name_it(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another name, delimiter and encoding; of customers a key of two columns."""
    known.customers = [
        {"shop": "C", "no": number, "last_name": "Łoś", "first_name": first}
        for number, first in ((1, "é"), (2, "é"), (1, "è"))
    ]
    sale = {"id": "", "day": "2024-01-08", "Kunde": "C-1", "product_id": "P1", "quantity": "é",
            "unit_price": 1}  # fmt: skip
    sales = [sale, sale | {"Kunde": "=C-1"}, sale | {"Kunde": "C-1 "}, sale | {"Kunde": "1"}]
    known.files["transactions"] = to_csv(sales).replace(",", ";").encode("cp1252")
    settings: Row = {
        "CUSTOMERS__COLUMNS": json.dumps({"customer_id": ["shop", "no"]}),
        "TRANSACTIONS__COLUMNS": json.dumps(
            {"transaction_id": "id", "transaction_date": "day", "customer_id": "Kunde"}
        ),
        "TRANSACTIONS__ENCODING": "cp1252",
        "TRANSACTIONS__DELIMITER": ";",
    }
    folder = Path(known.publish(**settings)["rejects_dir"])
    code, out, err = forget(known, capsys, "C-1", **settings)
    assert (code, err) == (0, "")
    assert "3 rows taken out of 2 files; 2 were looked through" in out
    left = (folder / "transactions.csv").read_bytes().decode("cp1252").splitlines()
    assert [line.split(";")[2] for line in left] == ['"Kunde"', '"\'=C-1"', '"1"']
    assert not (folder / "customers.csv").exists()
    assert forget(known, capsys, "=C-1", **settings)[0] == 0
    assert len((folder / "transactions.csv").read_bytes().splitlines()) == 2


def test_the_id_is_found_inside_a_record(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JSON, where a column may hold an object."""
    records = [
        {**known.sales[0], "transaction_id": "", "customer_id": None, "buyer": {"id": member}}
        for member in ("C1", "C2", 1)
    ]
    path = known.folder / "sales.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    settings: Row = {
        "TRANSACTIONS__PATH": path,
        "TRANSACTIONS__COLUMNS": json.dumps({"customer_id": "buyer.id"}),
    }
    results = known.publish(**settings)
    assert forget(known, capsys, "C1", **settings)[0] == 0
    assert [json.loads(row["buyer"])["id"] for row in known.rejects(results)] == ["C2", 1]
    assert forget(known, capsys, "1", **settings)[0] == 0
    assert [json.loads(row["buyer"])["id"] for row in known.rejects(results)] == ["C2"]


def test_a_number_in_json_is_the_id_that_the_star_has(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{**known.sales[0], "transaction_id": "", "customer_id": n} for n in (7, 7.0, 70)]
    path = known.folder / "sales.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    results = known.publish(TRANSACTIONS__PATH=path)
    assert forget(known, capsys, "7", TRANSACTIONS__PATH=path)[0] == 0
    assert [row["customer_id"] for row in known.rejects(results)] == ["70"]


def _not_csv(path: Path) -> None:
    path.write_text("PK\x03\x04", encoding="utf-8")


def _not_text(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xff\xfe")


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _link(path: Path) -> None:
    aside = path.parent.parent.parent / "aside.csv"
    path.rename(aside)
    path.symlink_to(aside)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _renamed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("customer_id", "klant"), encoding="utf-8")


def _part(path: Path) -> None:
    path.with_name("transactions.csv.part").write_text('"C1"', encoding="utf-8")


FAULTS = [_not_csv, _not_text, _torn, _link, _folder, _renamed, _part]


@pytest.mark.parametrize("spoil", FAULTS)
def test_a_file_that_cannot_be_looked_through_is_named(
    known: Retailer, capsys: pytest.CaptureFixture[str], spoil: Any
) -> None:
    """The star and the other files are done, the code is 1, and a repetition when the file is
    mended does the rest.
    """
    (spoiled,) = refused(known)
    known.sales[0]["transaction_id"] = "T8"
    (other,) = refused(known)
    spoil(spoiled)
    before = spoiled.read_bytes() if spoiled.is_file() else b""
    code, out, err = forget(known, capsys, "C1")
    assert code == 1
    assert "customer 'C1' is erased" in out
    assert err.startswith(f"error: not looked through: {spoiled.parent}")
    assert "Traceback" not in err
    assert known.star.member("dim_customer", "C1")["last_name"] is None
    assert '"C1"' not in other.read_text(encoding="utf-8")
    if spoil is not _part:
        assert (spoiled.read_bytes() if spoiled.is_file() else b"") == before


def test_rejects_that_are_edited_in_a_spreadsheet_are_looked_through(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Saved with other line ends and quotes, and a byte-order mark."""
    (path,) = refused(known)
    rows = csv_rows(path)
    text = "\ufeff" + to_csv(rows).replace("\n", "\r\n").replace(",", ";")
    path.write_bytes(text.encode())
    assert forget(known, capsys, "C1")[0] == 0
    kept = [line for line in text.splitlines(keepends=True) if ";C1;" not in line]
    assert path.read_bytes() == "".join(kept).encode()
    assert len(kept) == 2


# --- pages ----------------------------------------------------------------------------------------


def test_pages_that_may_show_names_of_them_go(
    known: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pages without names stay, and so does what is no page; the next page has no name of them."""
    tomorrow(known)
    plain = Path(known.publish(**with_pages(known))["report"]).name
    known.customers[0]["last_name"] = "Byron"
    shown = with_pages(known, REPORT_PERSONAL="true", KEEP_PERSONAL_CHANGES="true")
    named = Path(known.publish(**shown)["report"]).name
    assert "Byron" in latest(known)
    (folder_of(known) / "notes.html").write_text("C1 <!-- with personal data -->")
    code, out, _ = forget(known, capsys, "C1", "--dry-run", **shown)
    assert (code, "2 that may show names (REPORT_PERSONAL) would be removed" in out) == (0, True)
    assert named in pages(known)
    code, out, _ = forget(known, capsys, "C1", **shown)
    assert (code, "2 that may show names (REPORT_PERSONAL) removed" in out) == (0, True)
    assert pages(known) == {plain, "notes.html"}
    known.customers.pop(0)
    known.publish(**shown)
    assert not [word for word in ("Byron", "Lovelace", "ada@") if word in latest(known)]

"""`python main.py setup`: what it shows, asks and writes, and how it ends."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
import tomllib
from pathlib import Path

import pytest

from cli import main
from support.commands import in_a_child
from support.disguises import Disguise, disguised
from support.star import Star
from support.tables import Row
from support.terminal import at_a_terminal

Capture = pytest.CaptureFixture[str]
PLAIN = {
    "language": "german", "shape": "order and line", "form": "csv", "delimiter": ";",
    "encoding": "cp1252", "decimal": ",", "thousands": False, "symbol": "", "dates": "%d.%m.%Y",
    "first days only": False, "discount": "none", "price": "unit", "quantity": "column",
    "status": False, "rep": True, "beside": [], "ids": "zeros", "title": False, "parts": 1,
}  # fmt: skip
"""A shop that leaves nothing open."""


@pytest.fixture
def shop(tmp_path: Path) -> Disguise:
    return disguised(tmp_path / "in", 1, **PLAIN)


@pytest.fixture
def doubtful(tmp_path: Path) -> Disguise:
    """A shop of which nobody can tell whether the day or the month comes first."""
    return disguised(tmp_path / "in", 1, **PLAIN | {"dates": "%d/%m/%Y", "first days only": True})


def star_toml(folder: Path) -> Row:
    sources: Row = tomllib.loads((folder / "star.toml").read_text(encoding="utf-8"))["sources"]
    return sources


def test_a_shop_is_set_up_and_loaded_without_a_word(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["setup", "--yes", *map(str, shop.paths)]) == 0
    told = capsys.readouterr().out
    number = f"{len(shop.sales)} of {len(shop.sales)} sales would load"
    assert f"with these {number}; net amount {shop.net:,.2f}" in told
    assert "star.toml is written" in told
    assert stat.S_IMODE((tmp_path / "star.toml").stat().st_mode) == 0o600
    assert star_toml(tmp_path)["customers"]["encoding"] == "cp1252"
    assert main([]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"net amount {shop.net:,.0f} {shop.net:,.0f} · ✔ closes" in told
    star = Star(f"duckdb:///{tmp_path / 'data' / 'warehouse.duckdb'}")
    assert star.scalar("SELECT sum(net_amount) FROM fact_sales") == shop.net
    assert main(["check"]) == 0


def test_a_pattern_and_a_folder_name_files_too(shop: Disguise, capsys: Capture) -> None:
    texts = []
    for named in ("in", "in/*"):
        assert main(["setup", "--print", named]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_print_gives_the_file_and_writes_nothing(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["setup", "--print", "in"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["version"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert main(["setup", "--yes", "in"]) == 0
    assert (tmp_path / "star.toml").read_text(encoding="utf-8") == text


def test_json_tells_all_of_it_to_programs(shop: Disguise, tmp_path: Path, capsys: Capture) -> None:
    for arguments in (["setup", "--json", "in"], ["--json", "setup", "in"]):
        assert main(arguments) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["exit_code"] == 0
        assert told["proof"]["sources"]["transactions"]["accepted"] == len(shop.sales)
        assert float(told["proof"]["sources"]["transactions"]["net"][""]) == float(shop.net)
        assert told["settings"] == tomllib.loads(told["star_toml"])
    assert not (tmp_path / "star.toml").exists()


def test_json_tells_the_reasons_of_refused_rows(tmp_path: Path, capsys: Capture) -> None:
    sales = tmp_path / "sales.csv"
    rows = [f"T{n},2024-03-{n:02},C{n % 3},P{n % 4},{n % 5 + 1},9.90" for n in range(1, 29)]
    header = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price"
    wrong = ["T90,2024-03-15,C1,P1,none,9.90"]
    sales.write_text("\n".join([header, *rows, *wrong, ""]), encoding="utf-8")
    main(["setup", "--json", str(sales)])
    proof = json.loads(capsys.readouterr().out)["proof"]["sources"]["transactions"]
    assert proof["rejected"] == {"invalid_quantity": 1}
    assert (proof["read"], proof["accepted"]) == (29, 28)


def test_nobody_is_asked_where_nobody_is(shop: Disguise, tmp_path: Path, capsys: Capture) -> None:
    assert main(["setup", "in"]) == 2
    assert "--yes" in capsys.readouterr().out
    assert not (tmp_path / "star.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["setup", "nowhere.csv"], "nowhere.csv"),
        (["setup", "nowhere/*.csv"], "nowhere"),
        (["setup", "."], "looks like sales"),
        (["setup", "--print", "--json"], "exclude each other"),
        (["setup", "--nope"], "--nope"),
    ],
)
def test_what_is_not_there_is_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert told in out + err
    assert "Traceback" not in out + err
    assert not (tmp_path / "star.toml").exists()


def test_a_file_that_cannot_be_read_does_not_hide_the_others(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "in" / "broken.xlsx").write_bytes(b"PK\x03\x04 but no more")
    (tmp_path / "in" / "README.txt").write_text("Exported by Jo.\n", encoding="utf-8")
    assert main(["setup", "--yes", "in"]) == 0
    told = capsys.readouterr().out
    assert "broken.xlsx" in told
    assert "README.txt" in told


def test_no_files_are_those_that_are_set(tmp_path: Path, capsys: Capture, shop: Disguise) -> None:
    sales = next(path for path in shop.paths if path.stem == shop.names["sales_file"])
    rest = [path for path in shop.paths if path != sales]
    settings = f"TRANSACTIONS__PATH={sales}\n"
    for path in rest:
        name = "CUSTOMERS" if "Kunden" in path.stem else "PRODUCTS"
        settings += f"{name}__PATH={path}\n"
    (tmp_path / ".env").write_text(settings, encoding="utf-8")
    assert main(["setup", "--yes"]) == 0
    told = capsys.readouterr().out
    assert f"{len(shop.sales)} of {len(shop.sales)} sales" in told
    assert "take these out of .env" in told


def test_a_source_in_a_database_stays_there(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    with sqlite3.connect(tmp_path / "crm.db") as crm:
        crm.execute("CREATE TABLE customers (customer_id, last_name)")
    sales = next(path for path in shop.paths if path.stem == shop.names["sales_file"])
    settings = (
        f"TRANSACTIONS__PATH={sales}\nPRODUCTS__PATH={sales}\n"
        f"CUSTOMERS__PATH=sqlite:///{tmp_path}/crm.db\nCUSTOMERS__QUERY=customers\n"
    )
    (tmp_path / ".env").write_text(settings, encoding="utf-8")
    main(["setup", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert "customers" not in told["sources"]
    assert told["proof"]["sources"]["customers"]["read"] == 0


# --- a star.toml that is there --------------------------------------------------------------------


def test_what_would_change_is_shown_and_the_former_file_is_kept(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    before = 'version = 1\nphone_region = "DE"  # ours\n[sources.customers]\npath = "old.csv"\n'
    (tmp_path / "star.toml").write_text(before, encoding="utf-8")
    assert main(["setup", "--yes", "in"]) == 0
    told = capsys.readouterr().out
    assert "star.toml is there already" in told
    assert "- customers.path = old.csv" in told
    assert (tmp_path / "star.toml.bak").read_text(encoding="utf-8") == before
    assert 'phone_region = "DE"  # ours' in (tmp_path / "star.toml").read_text(encoding="utf-8")
    assert main(["setup", "--yes", "in"]) == 0
    assert "says all this already" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_told(shop: Disguise, tmp_path: Path) -> None:
    (tmp_path / "star.toml").symlink_to(tmp_path / "nowhere" / "star.toml")
    ended = in_a_child("setup", "--yes", str(tmp_path / "in"))
    assert ended.code == 1
    assert "cannot be written" in ended.err
    assert "Traceback" not in ended.err


# --- what would be refused, and what is open ------------------------------------------------------


def test_too_many_refused_rows_are_told_and_written_if_asked(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    sales = next(path for path in shop.paths if path.stem == shop.names["sales_file"])
    lines = [line.split(";") for line in sales.read_text(encoding="cp1252").splitlines()]
    for cells in lines[1::8]:
        cells[-2] = "0"  # the quantity
    text = "".join(";".join(cells) + "\n" for cells in lines)
    sales.write_text(text, encoding="cp1252")
    assert main(["setup", "--yes", "in"]) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "refused: non_positive_quantity" in told
    assert "above MAX_REJECT_RATE" in told
    assert (tmp_path / "star.toml").exists()


def test_an_open_question_stays_as_a_comment(
    doubtful: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["setup", "--yes", "in"]) == 3
    assert "to be decided" in capsys.readouterr().out
    text = (tmp_path / "star.toml").read_text(encoding="utf-8")
    assert "# To be decided" in text
    assert '# date_formats = ["%d/%m/%Y"]' in text
    assert '# date_formats = ["%m/%d/%Y"]' in text
    assert "date_formats" not in star_toml(tmp_path)["transactions"]


# --- at a terminal --------------------------------------------------------------------------------


def test_at_a_terminal_enter_writes(shop: Disguise, tmp_path: Path) -> None:
    with at_a_terminal(tmp_path, "setup", "in") as terminal:
        terminal.sees(r"\[Y/n\] ")
        terminal.types("")
        assert terminal.ends() == 0
    assert (tmp_path / "star.toml").exists()


def test_at_a_terminal_no_writes_nothing(shop: Disguise, tmp_path: Path) -> None:
    with at_a_terminal(tmp_path, "setup", "in") as terminal:
        terminal.sees(r"\[Y/n\] ")
        terminal.types("maybe")
        terminal.sees(r"\[Y/n\] ")
        terminal.types("n")
        assert terminal.ends() == 1
    assert "nothing was written" in terminal.shown
    assert not (tmp_path / "star.toml").exists()


def test_a_question_is_answered_by_its_number(doubtful: Disguise, tmp_path: Path) -> None:
    with at_a_terminal(tmp_path, "setup", "in") as terminal:
        terminal.sees("Enter to leave it open ")
        (wanted,) = re.findall(r"^  (\d)\) %d/%m/%Y", "\n".join(terminal.lines), re.MULTILINE)
        terminal.types("7")
        terminal.sees("Enter to leave it open ")
        terminal.types(wanted)
        terminal.sees(r"\[Y/n\] ")
        assert f"net amount {doubtful.net:,.2f}" in terminal.shown
        terminal.types("y")
        assert terminal.ends() == 0
    assert star_toml(tmp_path)["transactions"]["date_formats"] == ["%d/%m/%Y"]


@pytest.mark.parametrize("key", ["c", "d"])
def test_who_would_rather_not_answer_leaves_everything_as_it_is(
    doubtful: Disguise, tmp_path: Path, key: str
) -> None:
    with at_a_terminal(tmp_path, "setup", "in") as terminal:
        terminal.sees("Enter to leave it open ")
        terminal.presses(key)
        assert terminal.ends() == 130
    assert "Traceback" not in terminal.shown
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_nothing_is_wider_than_the_terminal(shop: Disguise, tmp_path: Path, columns: int) -> None:
    with at_a_terminal(tmp_path, "-q", "setup", "in", columns=columns) as terminal:
        terminal.sees(r"\[Y/n\] ")
        terminal.types("n")
        terminal.ends()
    assert max(map(len, terminal.lines)) <= columns

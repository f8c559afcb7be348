"""`check` ends with the settings that `setup` would propose, for what is set and is at fault."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cli import main
from support.disguises import Disguise, disguised

Capture = pytest.CaptureFixture[str]
PROPOSES = "`python main.py setup` proposes for"


@pytest.fixture
def shop(tmp_path: Path) -> Disguise:
    """German files, which are set without a word of how they are written."""
    return disguised(
        tmp_path / "in", 1, language="german", shape="order and line", form="csv", delimiter=";",
        encoding="cp1252", decimal=",", thousands=False, symbol="", dates="%d.%m.%Y", price="unit",
        discount="none", quantity="column", status=False, beside=[], title=False, parts=1,
        **{"first days only": False},
    )  # fmt: skip


def paths(shop: Disguise) -> dict[str, Path]:
    sales, *members = sorted(shop.paths, key=lambda p: p.stem != shop.names["sales_file"])
    customers, products = sorted(members, key=lambda path: not path.stem.startswith("Kunde"))
    return {"transactions": sales, "customers": customers, "products": products}


def proposed(told: str) -> list[str]:
    """The lines that are proposed, without their indent."""
    lines = told.partition(PROPOSES)[2].splitlines()[1:-1]
    return [line.strip() for line in lines if line.strip() and PROPOSES not in line]


@pytest.mark.usefixtures("unfolded")
def test_lines_for_env_are_pasted_and_a_run_would_publish(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    env = "".join(f"{name.upper()}__PATH={path}\n" for name, path in paths(shop).items())
    (tmp_path / ".env").write_text(env, encoding="utf-8")
    assert main(["check"]) == 2
    told = capsys.readouterr().out
    assert told.startswith(" ✘ a run cannot start: see ")
    for name in paths(shop):
        assert f"{PROPOSES} {name}" in told
    (tmp_path / ".env").write_text(env + "\n".join(proposed(told)) + "\n", encoding="utf-8")
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    assert f"transactions {len(shop.sales)} of {len(shop.sales)} rows" in told
    assert PROPOSES not in told


@pytest.mark.usefixtures("unfolded")
def test_tables_are_proposed_where_tables_are_in_use(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["setup", "--yes", "in"]) == 0
    star = tmp_path / "star.toml"
    star.write_text(
        star.read_text(encoding="utf-8").replace('"%d.%m.%Y"', '"%m.%d.%Y"'), encoding="utf-8"
    )
    capsys.readouterr()
    assert main(["check"]) == 3
    lines = proposed(capsys.readouterr().out)
    assert tomllib.loads("\n".join(lines))["sources"] == {
        "transactions": {"date_formats": ["%d.%m.%Y"]}
    }


def test_a_setting_that_is_in_the_way_is_named(
    shop: Disguise, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["setup", "--yes", "in"]) == 0
    with (tmp_path / ".env").open("a", encoding="utf-8") as env:
        env.write("PRODUCTS__DELIMITER=|\n")
    capsys.readouterr()
    assert main(["check"]) == 2
    told = capsys.readouterr().out
    assert f"{PROPOSES} products" in told
    assert "and without delimiter" in told


def test_nothing_is_proposed_that_does_not_help(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / ".env").write_text(
        "".join(f"{n}__PATH=sales.csv\n" for n in ("TRANSACTIONS", "CUSTOMERS", "PRODUCTS")),
        encoding="utf-8",
    )
    assert main(["check"]) == 2
    assert PROPOSES not in capsys.readouterr().out

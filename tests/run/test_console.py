"""What is said of a run: it fits any terminal, its verdict is first, its next step last."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from main import StarSchemaETLPipeline
from report.run_text import run_text
from report.screen import Screen
from support.application import ROOT
from support.commands import run_command
from support.retailer import Retailer
from support.terminal import at_a_terminal

WIDTHS = (40, 60, 80, 120)
CURRENCIES: dict[str, object] = {"TRANSACTIONS__COLUMNS": '{"currency": "currency"}'}


def said(shop: Retailer, width: int = 80, settings: dict[str, object] | None = None) -> str:
    """What is said of a run on a screen of so many columns."""
    pipeline = StarSchemaETLPipeline(shop.config(**(settings or {})), quiet=True)
    pipeline.run_full_pipeline()
    assert pipeline.summary is not None
    return run_text(pipeline.summary, pipeline.config, Screen(width), with_names=True)


def with_rejects(shop: Retailer) -> None:
    """Sales that are refused, a customer whom nobody describes, an unusable address."""
    shop.sales[0]["quantity"] = "NaN"
    shop.sales[1]["customer_id"] = "C9"
    shop.customers[0]["email"] = "nobody at all"


def of_three_currencies(shop: Retailer) -> None:
    for sale, currency in zip(shop.sales, ("EUR", "USD", "GBP"), strict=True):
        sale["currency"] = currency


def nothing(shop: Retailer) -> None:
    """The shop as it is."""


KINDS: dict[str, tuple[Callable[[Retailer], None], dict[str, object], str, str]] = {
    "healthy": (nothing, {}, "✔ published", "next"),
    "warnings": (with_rejects, {}, "✔ published", "next"),
    "gate": (with_rejects, {"MAX_REJECT_RATE": 0}, "✘ refused", "see"),
    "failed": (nothing, {"CUSTOMERS__PATH": "/absent.csv"}, "✘ failed", "log"),
    "dry run": (with_rejects, {}, "✔ would publish", "next"),
    "three currencies": (of_three_currencies, CURRENCIES, "✔ published", "next"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_and_says_the_verdict_first_and_the_next_step_last(
    duckdb_shop: Retailer, kind: str
) -> None:
    change, settings, verdict, last = KINDS[kind]
    change(duckdb_shop)
    pipeline = StarSchemaETLPipeline(
        duckdb_shop.config(**settings), quiet=True, dry_run=kind == "dry run"
    )
    pipeline.run_full_pipeline()
    assert pipeline.summary is not None
    for width in WIDTHS:
        text = run_text(pipeline.summary, pipeline.config, Screen(width), with_names=True)
        lines = text.splitlines()
        assert max(map(len, lines)) <= width, text
        assert lines[0].startswith(f" {verdict}")
        assert [line for line in lines if line.startswith(" next")] or not pipeline.summary.success
        labels = [line.split()[0] for line in lines if line[:4].strip() and line.strip()]
        assert labels[-1] == last, text
        assert "\x1b" not in text
        if not pipeline.summary.success:
            assert len(lines) <= 8, text


def test_the_samples_have_room_on_one_screen(duckdb_shop: Retailer) -> None:
    """With their paths as they are told from the project's folder."""
    pipeline = StarSchemaETLPipeline(duckdb_shop.config(), quiet=True)
    pipeline.run_full_pipeline()
    assert pipeline.summary is not None
    for width in (80, 120):
        assert len(run_text(pipeline.summary, pipeline.config, Screen(width)).splitlines()) <= 26


def test_the_same_input_again_is_one_line(duckdb_shop: Retailer) -> None:
    first = duckdb_shop.publish()
    for width in WIDTHS:
        [line] = said(duckdb_shop, width).splitlines()
        assert line.startswith(" ✔ nothing new  ")
        assert "3 sales" in line
        assert len(line) <= width
    assert f"same files as run {first['run_id']}" not in said(duckdb_shop, 40)


def test_it_says_where_the_star_is_and_what_it_has(shop: Retailer) -> None:
    with_rejects(shop)
    text = said(shop, 120)
    told = " ".join(text.split())
    assert "2024-03-01 to 2024-03-02" in told  # the sale of 29 February was refused
    assert "net amount 229.97 229.97 · ✔ closes" in told
    assert "1 invalid_quantity 'NaN'" in told
    assert "sales.csv:2" in told
    assert "1 (33 %)" in told
    assert "1 value is not usable, and left empty: email 1" in told
    assert "nobody at all" not in text


def test_each_currency_is_a_line(duckdb_shop: Retailer) -> None:
    of_three_currencies(duckdb_shop)
    text = said(duckdb_shop, 80, CURRENCIES)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "net amount EUR 500 500 · ✔ closes" in lines
    assert "net amount USD 169.97 169.97 · ✔ closes" in lines
    assert "net amount GBP 60 60 · ✔ closes" in lines


def test_the_gate_says_why_where_and_what_would_help(duckdb_shop: Retailer) -> None:
    for sale in duckdb_shop.sales:
        day = str(sale["transaction_date"]).split("-")
        sale["transaction_date"] = ".".join(reversed(day))
    told = " ".join(said(duckdb_shop, 120, {"MAX_REJECT_RATE": 0}).split())
    assert "3 of 3 sales rejected (100 %, above MAX_REJECT_RATE=0)" in told
    assert "3 invalid_date '29.02.2024'" in told
    assert "sales.csv:2" in told
    assert """set TRANSACTIONS__DATE_FORMATS='["%d.%m.%Y"]'""" in told


def test_warnings_are_in_the_results_also_of_a_repetition(shop: Retailer) -> None:
    with_rejects(shop)
    first, again = shop.publish(), shop.publish()
    assert again["repeats_run"] == first["run_id"]
    for results in (first, again):
        told = "\n".join(results["warnings"])
        assert "1 of 7 rows were rejected" in told
        assert "1 of 3 customers are known from sales only" in told
        assert "email 1" in told


def test_a_run_without_any_of_them_has_no_warning(shop: Retailer) -> None:
    assert shop.publish()["warnings"] == []


@pytest.mark.parametrize("limit", ["0.5", "0.1"])
def test_a_quiet_run_speaks_above_the_rate_of_rejects(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    with_rejects(duckdb_shop)
    code, out, err = run_command(duckdb_shop, capsys, "--quiet", WARN_REJECT_RATE=limit)
    assert (code, out) == (0, "")
    if limit == "0.5":
        assert err == ""
    else:
        [line] = err.splitlines()
        assert "1 of 7 rows were rejected" in line


def test_what_is_no_number_is_no_example(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales[0]["quantity"] = "Lovelace"
    duckdb_shop.sales[1]["unit_price"] = "+44 20 7946 0018"
    duckdb_shop.sales[2]["discount_amount"] = "ada@example.org"
    text = said(duckdb_shop, 120)
    assert "invalid_quantity" in text
    for value in ("Lovelace", "7946", "ada@"):
        assert value not in text


# --- in a process of its own ---------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_at_a_terminal_it_has_colours_and_fits(duckdb_shop: Retailer, columns: int) -> None:
    env = duckdb_shop.env_file()
    with at_a_terminal(duckdb_shop.folder, "--env-file", env, columns=columns) as terminal:
        assert terminal.ends() == 0
    assert "\x1b[32m ✔ published" in terminal.shown
    lines = terminal.lines
    first = next(n for n, line in enumerate(lines) if "✔ published" in line)
    assert max(len(line.rstrip()) for line in lines[first:]) <= columns


@pytest.mark.parametrize(
    ("changed", "sign"),
    [
        ({"PYTHONIOENCODING": "cp1252"}, b" + published"),
        ({"PYTHONIOENCODING": "ascii"}, b" + published"),
        ({"LANG": "C", "LC_ALL": "C"}, "✔".encode()),
        ({"TERM": "dumb", "NO_COLOR": "1"}, "✔".encode()),
    ],
)
def test_without_a_terminal_signs_and_names_fall_back(
    duckdb_shop: Retailer, changed: dict[str, str], sign: bytes
) -> None:
    path = duckdb_shop.folder / "Verkäufe-売上.csv"
    env = duckdb_shop.env_file(TRANSACTIONS__PATH=path)
    duckdb_shop.sales[0]["quantity"] = "NaN"
    duckdb_shop.config()  # writes the files
    duckdb_shop.path("transactions").rename(path)
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "--env-file", env],
        env={**os.environ, **changed},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert sign in ended.stdout
    assert b"\x1b" not in ended.stdout
    assert b"Traceback" not in ended.stderr
    assert b"kaufe" in ended.stdout or b"Verk" in ended.stdout


def test_a_failure_without_a_terminal_is_neither_folded_nor_cut(duckdb_shop: Retailer) -> None:
    """Each part is one line, so that `grep` and a mail have all of it."""
    absent = duckdb_shop.folder / ("very long names " * 8) / "customers.csv"
    env = duckdb_shop.env_file(CUSTOMERS__PATH=absent)
    command = [sys.executable, str(ROOT / "main.py"), "--env-file", env, "--quiet"]
    unset = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    shown = [
        subprocess.run(
            command, env={**unset, **size}, capture_output=True, encoding="utf-8", check=False
        ).stderr
        for size in ({}, {"COLUMNS": "60"})
    ]
    assert any(
        line.endswith(f"{absent}: there is no such file") for line in shown[0].splitlines()
    ), shown[0]
    assert "\u2026" not in shown[0]
    assert max(map(len, shown[1].splitlines())) <= 60
    assert len(shown[1].splitlines()) <= 8

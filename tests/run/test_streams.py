"""Whatever becomes of what is printed, nothing ends in a traceback, and the exit code holds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.application import ROOT
from support.retailer import Retailer

ODD = "Žofie → Łódź"


def program(shop: Retailer, command: str, redirected: str = "", encoding: str = "utf-8") -> Ended:
    """`python main.py` in a shell, with its streams redirected."""
    python = f"'{sys.executable}' '{ROOT / 'main.py'}' --env-file '{shop.env_file()}'"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{python} {command} {redirected}"],
        capture_output=True,
        cwd=shop.folder,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )


Ended = subprocess.CompletedProcess[bytes]


@pytest.fixture
def odd(duckdb_shop: Retailer) -> Retailer:
    """A shop with letters that a Windows-1252 terminal lacks."""
    duckdb_shop.customers[0]["first_name"] = duckdb_shop.customers[0]["city"] = ODD
    duckdb_shop.sales[0]["quantity"] = ODD
    return duckdb_shop


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("command", ["", "check", "--dry-run"])
def test_letters_that_a_terminal_lacks_end_no_command(
    command: str, encoding: str, odd: Retailer
) -> None:
    ended = program(odd, command, encoding=encoding)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert ended.stdout


def test_what_check_says_can_be_read_on_windows_1252(odd: Retailer) -> None:
    told = program(odd, "check", encoding="cp1252").stdout.decode("cp1252")
    assert told.startswith(" + a run would publish")
    assert "\\u0141ódź".encode("cp1252", "backslashreplace").decode("cp1252") in told


@pytest.mark.parametrize(
    ("command", "code"), [("", 0), ("check", 0), ("nope", 2), ("--help", 0), ("--json nope", 2)]
)
@pytest.mark.parametrize("redirected", [">&-", "2>&-", "2>/dev/full", ">/dev/full", "| head -1"])
def test_streams_that_nobody_reads_change_no_exit_code(
    command: str, code: int, redirected: str, duckdb_shop: Retailer
) -> None:
    ended = program(duckdb_shop, command, redirected)
    allowed = {code, 1} if command == "--help" else {code}  # it is all that it had to say
    assert ended.returncode in allowed, ended.stderr
    assert b"Traceback" not in ended.stderr

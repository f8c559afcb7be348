"""What is imported is required, pinned and hashed."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import pytest

from support.application import ROOT
from support.code import MODULES, PACKAGES, imported

DRIVERS = {"MySQLdb", "mysql", "pymysql"}
"""Of source databases: who has one installs its driver."""
FRAMES = {"polars"}
"""Whose frames are made for who has it."""

PINNED = sorted(ROOT.glob("requirements*.txt"))

_REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[\w,-]+\])?==(\S+)(?: ; .+)? \\$")


def pins(path: Path) -> dict[str, set[str]]:
    """Package -> its pinned versions (one for each Python, if they differ)."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _REQUIREMENT.match(line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def wanted(path: Path) -> set[str]:
    """The packages that an input of `make lock` asks for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return {name[0].lower().replace("_", "-") for name in names if name}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path: Path) -> None:
    logical = path.read_text(encoding="utf-8").replace("\\\n", "\\ ").splitlines()
    for line in logical:
        if line and not line.lstrip().startswith("#"):
            assert re.match(r"^[a-z0-9._\[\],-]+==[^ ]+( ; [^\\]+)? \\ +--hash=sha256:", line), line
    assert wanted(path.with_suffix(".in")) <= set(pins(path))


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*")), ids=lambda path: path.name)
def test_requirements_name_no_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted", _without_comments(text))


def _without_comments(text: str) -> str:
    return re.sub(r"(^|\s)#.*", "", text)


def test_requirements_agree_with_each_other() -> None:
    application = pins(ROOT / "requirements.txt")
    for path in PINNED:
        others = pins(path)
        assert {n: others[n] for n in application if n in others} == {
            n: application[n] for n in application if n in others
        }
    assert set(application) <= set(pins(ROOT / "requirements-dev.txt"))


def test_what_is_imported_is_required_and_no_more() -> None:
    distributions = {
        "charset_normalizer": "charset-normalizer",
        "dotenv": "python-dotenv",
        "email_validator": "email-validator",
        "psycopg2": "psycopg2-binary",
        "python_calamine": "python-calamine",
    }
    names = set().union(*(imported(path) for path in MODULES.values()))
    third_party = names - PACKAGES - set(sys.stdlib_module_names)
    used = {distributions.get(name, name) for name in third_party - DRIVERS - FRAMES}
    required = wanted(ROOT / "requirements.in")
    optional = wanted(ROOT / "requirements-cloud.in") | wanted(ROOT / "requirements-dask.in")
    assert used <= required | optional
    # Not imported: the dialect of DuckDB, time zones, and the pin of a dependency.
    assert required - used == {"duckdb-engine", "tzdata", "python-dateutil"}


def test_ci_runs_the_same_as_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "make test" in text

"""A canary in every personal column: what a default run says, keeps and sends has none of them.

The columns are those that the star marks as personal, so that a new one is looked at as well.
"""

from __future__ import annotations

import itertools
import re

import pytest

from common.star_model import Source
from schema import STAR
from support.commands import run_command
from support.retailer import Retailer
from support.tables import Row, to_csv
from support.told import everything_told

SECRETS = {"email": "quetzalmail{n}@canary.example", "phone": "+1 555 0{n}7 4471"}
"""Canaries that must look like something; all others are words."""
NIGHTS = (1, 2, 3)


def personal(source: Source) -> list[str]:
    """The columns of a source that feed personal columns of its table."""
    columns = source.feeds.columns
    return [c for c in source.columns if c in columns and columns[c].info.get("is_personal")]


def canary(column: str, night: int) -> str:
    """What a person has in a column; it is another one each night."""
    word = f"Quetzal{column.replace('_', '')}{'abc'[night - 1]}"
    return SECRETS.get(column, word).format(n=night)


def person(source: Source, key: str, night: int, **columns: str) -> Row:
    """A row of a source with a canary in each personal column."""
    return {source.key: key, **{c: canary(c, night) for c in personal(source)}, **columns}


def found_in(text: str) -> list[str]:
    """The canaries in a text, however they are written."""
    plain = re.sub(r"[^a-z0-9]", "", text.casefold())
    names = {c for source in STAR.members for c in personal(source)}
    values = {canary(c, night) for c, night in itertools.product(names, NIGHTS)}
    return [
        value for value in sorted(values) if re.sub(r"[^a-z0-9]", "", value.casefold()) in plain
    ]


def dirty(source: Source, night: int) -> str:
    """The file of a night: people who change, who lose to one of the same key, who have no key,
    whose contacts are unusable; rows with fields too many and too few, an open quote, a NUL.
    """
    columns = [source.key, *personal(source)]
    rows = [person(source, "C1", night), person(source, "C2", night)]
    rows += [person(source, "C3", 1), person(source, "C3", night), person(source, "", night)]
    unusable = {c: f"{canary(c, night)}@@ x" for c in ("email", "phone") if c in columns}
    rows.append(person(source, f"N{night}", night, **unusable))
    text = to_csv(rows, columns)
    values = [canary(c, night) for c in columns]
    lines = [
        ",".join(["F1", *values, *values]),
        ",".join(values[:2]),
        '"' + ",".join(["F2", *values]),
        ",".join(["F3", *values]) + "\0",
    ]
    return text + "\n".join(lines) + "\n"


def test_the_star_marks_personal_columns() -> None:
    """Without them the tests here would look for nothing."""
    assert {source.name for source in STAR.members if personal(source)} == {
        "customers",
        "sales_reps",
    }


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_a_default_run_tells_nobody_of_people(
    shop: Retailer, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """Over three nights: new people, people who change, and rows that are refused."""
    shop.reps = []
    told = []
    for night in NIGHTS:
        for source in STAR.members:
            if personal(source):
                shop.files[source.name] = dirty(source, night)
        shop.sales[0] |= {"sales_rep_id": "C1", "quantity": str(night)}
        shop.sales[1]["quantity"] = canary("last_name", night)
        code, out, err = run_command(shop, capsys, *options, LOG_LEVEL="DEBUG")
        assert code == 0
        told += [out, err]
    told.append(everything_told(shop))
    assert found_in("\n".join(told)) == []
    assert found_in(_rejects(shop))
    assert found_in(repr(shop.star.rows("SELECT * FROM dim_customer")))


def _rejects(shop: Retailer) -> str:
    files = (shop.folder / "rejects").rglob("*.csv")
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def test_a_refused_night_tells_nobody_of_people(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    shop.files["customers"] = dirty(STAR.source("customers"), 1)
    code, out, err = run_command(shop, capsys, LOG_LEVEL="DEBUG", MAX_REJECT_RATE="0")
    assert code == 3
    assert found_in(everything_told(shop, out, err)) == []

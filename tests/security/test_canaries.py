"""A canary in every personal column: what a default run says, keeps and sends has none of them.

The columns are those that the star marks as personal, so that a new one is looked at as well.
"""

from __future__ import annotations

import itertools
import json
import re
import signal

import pytest

from common.star_model import Source
from main import StarSchemaETLPipeline
from schema import STAR
from support.commands import run_command
from support.reports import latest, pages, with_pages
from support.retailer import Retailer
from support.tables import Row, to_csv
from support.told import everything_told
from support.webhook import webhook

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
    names = {c for source in STAR.members for c in personal(source)}
    values = {canary(c, night) for c, night in itertools.product(names, NIGHTS)}
    return [value for value in sorted(values) if _plain(value) in _plain(text)]


def _plain(text: str) -> str:
    """Without case and signs, and without the code of the country, which the star leaves out."""
    return re.sub(r"[^a-z0-9]", "", text.casefold().replace("+1", ""))


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


def dress(shop: Retailer, night: int) -> None:
    """The files of a night: people everywhere, also where the sales have dates, numbers, a column
    that is not used, and lines that are no rows.
    """
    for source in STAR.members:
        if personal(source):
            shop.files[source.name] = dirty(source, night)
    name, phone, email = (canary(c, night) for c in ("last_name", "phone", "email"))
    columns = [*shop.sales[0], "remark"]
    numbers = [c for c in columns if c not in ("transaction_id", "customer_id", "product_id")]
    rows = [{**sale, "remark": f"{name} {phone}"} for sale in shop.sales]
    for place, (column, value) in enumerate(itertools.product(numbers, (name, phone, email))):
        if column not in ("sales_rep_id", "remark"):
            rows.append({**shop.sales[0], "transaction_id": f"X{place}", column: value})
    rows.append({**shop.sales[0], "transaction_id": "", "remark": name})
    rows.append({**shop.sales[0], "transaction_id": "T1", "quantity": "9", "remark": name})
    rows.append({**shop.sales[0], "transaction_id": "T1", "quantity": "8", "remark": phone})
    text = to_csv(rows, columns)
    lines = [f"X90,{name},{phone}", ",".join(["X91", *[name] * 12]), f'"X92,{name},{email}']
    shop.files["transactions"] = text + "\n".join(lines) + "\n"


def commands(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of the runs that were, by what shows ids only."""
    told = []
    for arguments in (("history",), ("history", "--json"), ("show",), ("show", "--json")):
        code, out, err = run_command(shop, capsys, *arguments)
        assert code == 0
        told += [out, err]
    return told


@pytest.mark.parametrize("settings", [{}, {"LOG_FORMAT": "json", "WARN_REJECT_RATE": "0"}])
@pytest.mark.parametrize("ending", ["published", "refused", "failed", "interrupted", "tried"])
def test_whatever_the_ending_nobody_is_told_of_people(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    settings: dict[str, object],
) -> None:
    """Neither the log, in both forms, nor the notification, nor what shows the runs later. A
    preview's screen has rows, as it was asked for them; what else it says has none.
    """
    shop = duckdb_shop
    shop.reps = []
    settings = with_pages(shop, **settings)
    dress(shop, 1)
    assert run_command(shop, capsys, **settings)[0] == 0
    assert len(pages(shop)) == 2
    assert found_in(_rejects(shop))
    assert canary("phone", 1) in found_in(repr(shop.star.rows("SELECT * FROM dim_customer")))
    dress(shop, 2)
    options: tuple[str, ...] = ("--json",)
    code = {"published": 0, "refused": 3, "failed": 1, "interrupted": 130, "tried": 0}[ending]
    if ending == "refused":
        settings = {**settings, "MAX_REJECT_RATE": "0"}
    elif ending == "failed":
        shop.files["customers"] = dirty(STAR.source("customers"), 2).partition("\n")[2]
    elif ending == "interrupted":
        monkeypatch.setattr(StarSchemaETLPipeline, "_run_validation_phase", interrupted)
    elif ending == "tried":
        options = ("--dry-run",)
    with webhook() as hook:
        settings = {**settings, "NOTIFY_URL": hook.url, "NOTIFY_ON": "always"}
        ended, out, err = run_command(shop, capsys, *options, LOG_LEVEL="DEBUG", **settings)
    assert ended == code
    assert len(pages(shop)) == (3 if ending in ("published", "refused", "failed") else 2)
    assert len(hook.bodies) == (0 if ending == "tried" else 1)
    told = [err, json.dumps(hook.bodies, ensure_ascii=False), everything_told(shop)]
    told += [out] if ending != "tried" else []
    told += commands(shop, capsys)
    assert found_in("\n".join(told)) == []


def test_a_page_has_people_in_it_if_it_is_asked_to(duckdb_shop: Retailer) -> None:
    """Else the search above would prove nothing of pages. Kept changes alone bring no names."""
    shop = duckdb_shop
    shop.reps = []
    for night, shown in ((1, "false"), (2, "false"), (3, "true")):
        dress(shop, night)
        shop.publish(**with_pages(shop, KEEP_PERSONAL_CHANGES="true", REPORT_PERSONAL=shown))
        assert bool(found_in(latest(shop))) is (shown == "true")


def interrupted(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


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

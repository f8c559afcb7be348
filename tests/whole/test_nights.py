"""Random nights, compared with a model that shares no code with the application.

New, changed, vanished, deleted, skipped, duplicate, conflicting, orphaned and damaged rows; whole
tables, changes and periods; costs that change; keys that differ in case, space, invisible marks and
composition; every reader in turn; on both engines. NIGHT_SEEDS in the environment sets how many
stories are told.
"""

from __future__ import annotations

import os
import random
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config import load_config
from main import StarSchemaETLPipeline
from support.desk import Desk
from support.model import MEMBERS, Account, Model, Watermark
from support.star import Star
from support.story import LATER, VALUES, Chance, habit_settings
from support.tables import Row

SEEDS = int(os.environ.get("NIGHT_SEEDS", "20"))
SPARED = re.compile(r"(\w+): ([\d,]+) of [\d,]+ rows of \w+ look gone and stay")
"""The warning that an input may not be whole."""


@pytest.fixture
def server(postgresql_url: str) -> Iterator[Star]:
    """A schema for source tables."""
    star = Star(postgresql_url, f"in_{uuid.uuid4().hex[:16]}")
    star.execute(f'CREATE SCHEMA "{star.schema}"')
    yield star
    star.execute(f'DROP SCHEMA "{star.schema}" CASCADE')


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_night_ends_as_the_model_says(
    seed: int, star: Star, server: Star, tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a story, not a secret
    model = Model(VALUES, date(date.today().year + 1, 12, 31), chance.random() < 0.3)  # noqa: DTZ011
    desk, story = Desk(tmp_path, chance, server), Chance(chance)
    till = desk.open_till(story.till)
    watermark = Watermark(10, till.lag, LATER - 1 if story.till == "date" else 10**9)
    for night in story.nights():
        settings = {
            **star.settings,
            "LOG_FILE": str(tmp_path / "etl.log"),
            "REJECTS_DIR": str(tmp_path / "rejects"),
            "WORK_DIR": str(tmp_path / "work"),
            "MAX_REJECT_RATE": "1",
            "WORKERS": "2",
            "BATCH_ROWS": str(chance.choice([3, 7, 1000])),
            "ORPHAN_POLICY": "reject" if model.orphans_are_refused else "infer",
            **habit_settings(night.habits),
        }
        told, empty = {}, set()
        for name, rows in night.sources.items():
            written = desk.write(name, rows, night.columns[name])
            if name == "transactions" and story.till:
                written = desk.sell(till, rows, night.columns[name])
            told[name] = written.rows
            settings |= written.settings
            empty |= {name} if written.has_empty_file else set()
        habits = replace(night.habits, empty_files=frozenset(empty))
        for _ in range(chance.choice([1, 1, 2])):  # some nights run twice
            tonight, since = dict(told), None
            if story.till:
                tonight["transactions"] = watermark.read(told["transactions"])
                since = till.value(watermark.first) if watermark.value is None else None
            status = model.night(tonight, habits)
            config = load_config(None, settings)
            pipeline = StarSchemaETLPipeline(config, quiet=True, since=since)
            results = pipeline.run_full_pipeline()
            assert results["status"] == status, results["errors"]
            assert differences(contents(star), expected(model)) == {}
            if status == "published":
                assert results["errors"] == []
                watermark.published(tonight["transactions"] if story.till else [])
                if results["repeats_run"]:  # which has told of it
                    model.gone.spared.clear()
                assert differences(told_by(results), accounts_of(model)) == {}


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Where two accounts of a night differ: what only the star has, and only the model."""
    return {
        name: [[row for row in one if row not in other] for one, other in (pair, pair[::-1])]
        if isinstance(found[name], list)
        else pair
        for name in wanted
        if found[name] != wanted[name]
        for pair in [(found[name], wanted[name])]
    }


def told_by(results: Row) -> dict[str, Any]:
    """What the summary says became of rows and money."""
    tables = {
        part["source"]: (table, part["rejected"])
        for table, part in results["transformation_results"].items()
    }
    told = results["validation_results"]["reconciliation"]
    accounts = {}
    for name, account in told["sources"].items():
        assert account.pop("closed")
        rejected = account.pop("rejected")
        accounts[name] = Account(**account)
        accounts[name].rejected.update(tables[name][1])
        assert accounts[name].rejected.total() == rejected
    members = results["dimension_loading_results"]
    spared = [found for found in map(SPARED.search, results["warnings"]) if found]
    return {
        "accounts": accounts,
        **money_told(told),
        "removed": results["fact_loading_results"]["records_deleted"],
        "spared": {found[1]: int(found[2].replace(",", "")) for found in spared},
        "flagged": {
            name: members[tables[name][0]]["deleted"] for name in MEMBERS if name in accounts
        },
    }


def money_told(reconciliation: Row) -> dict[str, Any]:
    """What the summary says of money, by currency."""
    balance = dict(reconciliation["balance"])
    assert balance.pop("closed")
    counts = {
        name: balance.pop(f"rows_{name}") for name in ("before", "inserted", "removed", "after")
    }
    whole = {"money": reconciliation.get("money"), "balance": {**balance, "closed": True}}
    told: dict[str, dict[str, Any]] = {"money": {}, "balance": {}, "counts": counts}
    for currency, accounts in reconciliation.get("currencies", {"": whole}).items():
        for kind, account in accounts.items():
            assert account.pop("closed")
            amounts = {part: Decimal(str(amount)) for part, amount in account.items()}
            told[kind][currency] = amounts
    return told


def accounts_of(model: Model) -> dict[str, Any]:
    """The same from the model."""
    several: list[dict[str, Any]] = [{**model.money}, {**model.balance}]
    nameless = [asdict(accounts[""]) for accounts in several if "" in accounts]
    currencies = {name for accounts in several for name in accounts if name}
    if not currencies or any(any(account.values()) for account in nameless):
        currencies.add("")
    return {
        "accounts": model.accounts,
        "money": {name: asdict(model.money[name]) for name in currencies},
        "balance": {name: asdict(model.balance[name]) for name in currencies},
        "counts": model.counts,
        "removed": {"by_flag": model.gone.by_flag, "by_absence": model.gone.by_absence},
        "spared": {name: rows for name, rows in model.gone.spared.items() if rows},
        "flagged": model.gone.members,
    }


def contents(star: Star) -> dict[str, Any]:
    """The star by business keys; what the model does not know is left out."""
    if "fact_sales" not in star.tables():  # the first night was refused
        return {name: [] for name in (*MEMBERS, "transactions", "years")}
    found = {
        "customers": star.rows(
            "SELECT customer_id, first_name, last_name, city, is_deleted, is_inferred"
            " FROM dim_customer WHERE customer_key > 0"
        ),
        "products": star.rows(
            "SELECT product_id, product_name, price, cost, is_cost_estimated, is_deleted,"
            " is_inferred FROM dim_product WHERE product_key > 0"
        ),
        "sales_reps": star.rows(
            "SELECT sales_rep_id, first_name, last_name, region, is_inferred FROM dim_sales_rep"
            " WHERE sales_rep_key > 0"
        ),
        "years": star.rows("SELECT DISTINCT year FROM dim_date WHERE date_key > 0"),
        "transactions": star.rows(
            "SELECT f.transaction_id, c.customer_id, p.product_id, r.sales_rep_id, d.full_date,"
            " f.quantity, f.unit_price, f.discount_amount, f.net_amount, f.unit_cost,"
            " f.currency, f.profit_amount"
            " FROM fact_sales f JOIN dim_customer c USING (customer_key)"
            " JOIN dim_product p USING (product_key) JOIN dim_sales_rep r USING (sales_rep_key)"
            " JOIN dim_date d USING (date_key)"
        ),
    }
    return {name: in_order(rows) for name, rows in found.items()}


def expected(model: Model) -> dict[str, Any]:
    """The same from the model."""
    found = {
        name: [(own, *row.values()) for own, row in table.items()]
        for name, table in model.tables.items()
    }
    found["years"] = [(year,) for year in model.years]
    return {name: in_order(told) for name, told in found.items()}


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """By business key; amounts compare as numbers, whatever their places."""
    return sorted(rows, key=lambda row: str(row[0]))

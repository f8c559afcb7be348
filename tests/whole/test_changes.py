"""What a run overwrites or removes is kept, and a preview tells the same before it happens."""

from __future__ import annotations

import csv
import json
import os
import random
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common.star_model import Role, attributes, business_key, columns_of
from main import StarSchemaETLPipeline
from schema import STAR
from support.retailer import Retailer
from support.star import Star
from support.story import Chance, habit_settings
from support.tables import Row, to_csv

SEEDS = max(1, int(os.environ.get("NIGHT_SEEDS", "20")) // 7)
FACT = STAR.fact.name
Told = tuple[str, str, str | None, str | None, str | None, str]
"""Table, key, attribute, before, after, kind."""


def text(value: Any) -> str | None:
    """A value as the record has it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def seen(star: Star) -> dict[str, dict[str, dict[str, Any]]]:
    """All rows by table and business key, as plain SQL finds them: facts with their members' own
    keys.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    if FACT not in star.tables():
        return {table.name: {} for table in (*STAR.dimensions, STAR.fact)}
    with star.connection() as connection:
        rows = {
            table.name: [
                dict(row)
                for row in connection.exec_driver_sql(f"SELECT * FROM {table.name}").mappings()
            ]
            for table in (*STAR.dimensions, STAR.fact)
        }
    own = {
        key.name: {row[key.name]: row[business_key(table).name] for row in rows[table.name]}
        for table in STAR.dimensions
        for key in STAR.keys_to(table)
    }
    for table in STAR.dimensions:
        name = business_key(table).name
        found[table.name] = {
            text(row[name]) or "": {c.name: text(row[c.name]) for c in attributes(table)}
            for row in rows[table.name]
        }
    found[FACT] = {
        row[business_key(STAR.fact).name]: {
            **{name: text(value) for name, value in row.items()},
            **{name: text(members[row[name]]) for name, members in own.items()},
        }
        for row in rows[FACT]
    }
    return found


def happened(before: dict[str, Any], after: dict[str, Any]) -> Counter[Told]:
    """What makes `after` of `before`, row by row."""
    told: Counter[Told] = Counter()
    for table in (*STAR.dimensions, STAR.fact):
        name, old, new = table.name, before[table.name], after[table.name]
        columns = columns_of(table, Role.DIMENSION_KEY, Role.MEASURE, Role.ATTRIBUTE)
        for key in new.keys() - old.keys():
            if key not in ("", "-1"):  # the Unknown member comes with its table
                told[name, key, None, None, None, "new"] += 1
        for key in old.keys() - new.keys():
            told[name, key, None, None, None, "removed"] += 1
        for key in old.keys() & new.keys():
            was, now = old[key], new[key]
            inferred = [row.get("is_inferred") for row in (was, now)]
            kind = "healed" if inferred == ["true", "false"] else "changed"
            for column in columns:
                if was[column.name] != now[column.name]:
                    told[name, key, column.name, was[column.name], now[column.name], kind] += 1
    return told


def in_file(path: Path) -> tuple[list[Told], list[Row]]:
    """What a file of changes says, and of removed sales what they were and why they went."""
    told, removed = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.reader(file):
            run, table, key, attribute, before, after, kind = line
            if run == "run":
                continue
            if kind == "removed":
                removed.append({"key": key, "was": json.loads(before), "why": after})
                before = after = ""
            kind = "changed" if kind == "flagged" else kind
            told.append((table, key, attribute or None, before or None, after or None, kind))
    return told, removed


def blank_as_nothing(told: Counter[Told]) -> Counter[Told]:
    """Changes as a CSV file that is read without looking at its quotes has them."""
    found: Counter[Told] = Counter()
    for (table, key, attribute, before, after, kind), count in told.items():
        found[table, key, attribute, before or None, after or None, kind] += count
    return found


def kept_of(told: Counter[Told], *, with_personal: bool) -> Counter[Any]:
    """The rows of `etl_change` that there must be of it, those of removed sales left out."""
    found: Counter[Any] = Counter()
    columns = {
        (table.name, column.name): column for table in STAR.dimensions for column in table.columns
    }
    for table, key, attribute, before, after, kind in told:
        column = columns.get((table, attribute or ""))
        is_hidden = column is not None and column.info.get("is_personal") and not with_personal
        if kind == "healed":
            found[table, None, attribute, None, None] += 1
        elif kind == "changed":
            values = (None, None) if is_hidden else (before, after)
            found[table, key, attribute, *values] += 1
    return found


def kept(star: Star, run_id: str) -> Counter[Any]:
    """The rows of `etl_change` that a run has left, those of removed sales left out."""
    rows = star.rows(
        "SELECT table_name, business_key, attribute, before, after, rows FROM etl_change"
        " WHERE run_id = :run_id AND attribute IS NOT NULL",
        run_id=run_id,
    )
    found: Counter[Any] = Counter()
    for *told, count in rows:
        found[tuple(told)] += count
    return found


def by_month(rows: dict[str, Any]) -> dict[tuple[str, str], Decimal]:
    """Net amount of sales by month and currency."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for sale in rows[FACT].values():
        month = f"{sale['date_key'][:4]}-{sale['date_key'][4:6]}"
        found[month, sale["currency"] or ""] += Decimal(sale["net_amount"])
    return found


def effects(results: Row) -> dict[tuple[str, str], tuple[Decimal, ...]]:
    """What a plan says that months have before and after."""
    return {
        (each["month"], each["currency"]): (Decimal(each["before"]), Decimal(each["after"]))
        for each in results["changes"]["net_by_month"]
    }


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_preview_the_run_and_the_star_tell_the_same(
    seed: int, star: Star, tmp_path: Path
) -> None:
    """Random nights with removals, returns, healing and currencies: each is tried, then run."""
    story = Chance(random.Random(1000 + seed))  # noqa: S311  # a story, not a secret
    story.till = ""
    with_personal, happenings = bool(seed % 2), 0
    shop, folder = Retailer(tmp_path, star), tmp_path / "in"
    folder.mkdir()
    for night in story.nights():
        for name, rows in night.sources.items():
            header = to_csv([dict.fromkeys(night.columns[name])]).splitlines()[0] + "\n"
            given = [{c: row.get(c) for c in night.columns[name]} for row in rows]
            (folder / f"{name}.csv").write_text(to_csv(given) if given else header, "utf-8")
        settings = {
            **{f"{n.upper()}__PATH": str(folder / f"{n}.csv") for n in night.sources},
            "KEEP_PERSONAL_CHANGES": str(with_personal).lower(),
            **habit_settings(night.habits),
        }
        config = shop.config(**settings)
        before, plan, file = seen(star), tmp_path / "plan.csv", tmp_path / "run.csv"
        tried = StarSchemaETLPipeline(config, dry_run=True, changes=plan, quiet=True)
        planned = tried.run_full_pipeline()
        assert seen(star) == before
        done = StarSchemaETLPipeline(config, changes=file, quiet=True).run_full_pipeline()
        assert (planned["status"], done["status"]) in (
            ("dry_run", "published"), ("gate_failed", "gate_failed"),
        ), planned["errors"]  # fmt: skip
        if done["status"] != "published":
            continue
        after = seen(star)
        told = happened(before, after)
        assert Counter(in_file(plan)[0]) == Counter(in_file(file)[0]) == blank_as_nothing(told)
        assert in_file(plan)[1] == in_file(file)[1]
        assert all(
            before[FACT][gone["key"]].items() >= gone["was"].items() for gone in in_file(plan)[1]
        )
        assert kept(star, done["run_id"]) == kept_of(told, with_personal=with_personal)
        assert removed_rows(star, done["run_id"]) == sorted(in_file(plan)[1], key=_by_key)
        assert planned["changes"]["tables"] == done["changes"]["tables"]
        months = {
            m: (by_month(before)[m], by_month(after)[m]) for m in by_month(before) | by_month(after)
        }
        assert effects(planned) == {m: (a, b) for m, (a, b) in months.items() if a != b}
        happenings += len(told)
    assert happenings


def _by_key(removed: Row) -> str:
    return str(removed["key"])


def removed_rows(star: Star, run_id: str) -> list[Row]:
    """The sales that a run has removed, as `etl_change` has them."""
    rows = star.rows(
        "SELECT business_key, before, after FROM etl_change WHERE attribute IS NULL"
        " AND run_id = :run_id",
        run_id=run_id,
    )
    found = [{"key": key, "was": json.loads(was), "why": why} for key, was, why in rows]
    return sorted(found, key=_by_key)

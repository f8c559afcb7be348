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

from cli import main
from common.star_model import Role, attributes, business_key, columns_of
from errors import GateError, TransientError
from main import StarSchemaETLPipeline
from schema import STAR
from support.retailer import SHRINKING, Retailer, shrink, tomorrow
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


# --- what is kept, and what is counted only -----------------------------------------------------


def rows_kept(shop: Retailer, results: Row) -> list[tuple[Any, ...]]:
    """The rows of `etl_change` that a run has left."""
    return sorted(
        shop.star.rows(
            "SELECT table_name, business_key, attribute, before, after, rows FROM etl_change"
            " WHERE run_id = :run_id",
            run_id=results["run_id"],
        ),
        key=repr,
    )


QUANTITY = [
    ("fact_sales", "T1", "gross_amount", "500.0000", "1750.0000", 1),
    ("fact_sales", "T1", "net_amount", "500.0000", "1750.0000", 1),
    ("fact_sales", "T1", "profit_amount", "300.0000", "1050.0000", 1),
    ("fact_sales", "T1", "quantity", "2.0000", "7.0000", 1),
]
"""What `tomorrow` does to a sale."""


def test_a_run_keeps_the_values_that_it_overwrites(shop: Retailer) -> None:
    """Of personal columns that they changed; of what is new, nothing; the same input again, too."""
    assert rows_kept(shop, shop.publish()) == []
    tomorrow(shop)
    shop.customers[0]["segment"] = "Business"
    shop.products[1]["price"] = 80
    moved = [
        ("dim_customer", "C1", "city", None, None, 1),
        ("dim_customer", "C1", "segment", "Consumer", "Business", 1),
        ("dim_product", "P2", "cost", "42.0000", "56.0000", 1),
        ("dim_product", "P2", "price", "60.0000", "80.0000", 1),
    ]
    assert rows_kept(shop, shop.publish()) == moved + QUANTITY
    assert rows_kept(shop, shop.publish_in_full()) == []


def test_members_of_a_sale_are_kept_by_their_own_keys(shop: Retailer) -> None:
    shop.publish()
    shop.sales[0] |= {"customer_id": "C2", "transaction_date": "2024-04-01", "sales_rep_id": ""}
    assert rows_kept(shop, shop.publish()) == [
        ("fact_sales", "T1", "customer_key", "C1", "C2", 1),
        ("fact_sales", "T1", "date_key", "20240229", "20240401", 1),
        ("fact_sales", "T1", "sales_rep_key", "grace_hopper", "", 1),
    ]


def test_a_member_that_is_filled_in_is_counted(shop: Retailer) -> None:
    shop.sales[0]["customer_id"] = shop.sales[1]["customer_id"] = "C9"
    shop.publish()
    shop.customers.append({**shop.customers[0], "customer_id": "C9"})
    shop.customers[0]["segment"] = "Business"
    kept_rows = rows_kept(shop, shop.publish())
    assert ("dim_customer", "C1", "segment", "Consumer", "Business", 1) in kept_rows
    counted = [row for row in kept_rows if row[1] is None]
    assert {row[2] for row in counted} >= {"city", "segment", "is_inferred"}
    assert {(row[0], *row[3:]) for row in counted} == {("dim_customer", None, None, 1)}


@pytest.mark.parametrize("column", ["code_version", "key_rules"])
def test_what_other_rules_change_is_counted(shop: Retailer, column: str) -> None:
    shop.publish()
    other = "'0.5.9'" if column == "code_version" else "99"
    shop.star.execute(f"UPDATE etl_run SET {column} = {other}")
    tomorrow(shop)
    assert rows_kept(shop, shop.publish()) == [
        ("dim_customer", None, "city", None, None, 1),
        *((row[0], None, row[2], None, None, 1) for row in QUANTITY),
    ]


def test_a_column_that_the_star_just_got_is_counted(shop: Retailer) -> None:
    shop.publish()
    shop.star.execute("ALTER TABLE dim_customer DROP COLUMN segment")
    shop.customers[0]["country"] = "FR"
    assert rows_kept(shop, shop.publish()) == [
        ("dim_customer", "C1", "country", "GB", "FR", 1),
        ("dim_customer", None, "segment", None, None, 2),
    ]


def test_many_changes_of_a_table_are_counted(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview shows them all the same."""
    shop.publish()
    monkeypatch.setattr("warehouse.changes.LIMIT", 1)
    monkeypatch.setattr("warehouse.fact_changes.REMOVED", 1)
    for sale in shop.sales:
        sale["quantity"] = "9"
    shop.customers[0]["segment"] = "Business"
    file = shop.folder / "changes.csv"
    tried = StarSchemaETLPipeline(shop.config(), dry_run=True, changes=file, quiet=True)
    assert tried.run_full_pipeline()["warnings"] == []
    assert len(in_file(file)[0]) == 1 + 3 * 4
    done = shop.publish()
    assert rows_kept(shop, done) == [
        ("dim_customer", "C1", "segment", "Consumer", "Business", 1),
        *((row[0], None, row[2], None, None, 3) for row in QUANTITY),
    ]
    assert any("fact_sales: more than 1 rows change" in warning for warning in done["warnings"])
    shrink(shop)
    removed = shop.publish(**{**SHRINKING, "CUSTOMERS__EXTRACT": "changes"})
    assert [row[3:] for row in rows_kept(shop, removed) if row[0] == "fact_sales"] != []


def test_without_the_setting_nothing_is_kept(shop: Retailer) -> None:
    shop.publish()
    tomorrow(shop)
    results = shop.publish(KEEP_CHANGES="false")
    assert rows_kept(shop, results) == []
    assert results["changes"]["tables"]["fact_sales"]["changed"] == 1


def test_a_removed_sale_is_kept_as_a_whole(shop: Retailer) -> None:
    shop.publish()
    shrink(shop)
    kept_rows = rows_kept(shop, shop.publish(**SHRINKING))
    assert kept_rows[0] == ("dim_customer", "C2", "is_deleted", "false", "true", 1)
    told = {row[1]: (json.loads(row[3]), row[4]) for row in kept_rows[1:]}
    assert {key: why for key, (_, why) in told.items()} == {"T2": "absence", "T3": "flag"}
    assert told["T2"][0] | {"run_id": ""} == {
        "customer_key": "C2", "product_key": "P2", "sales_rep_key": "grace_hopper",
        "date_key": "20240301", "quantity": "3.0000", "unit_price": "59.9900",
        "discount_amount": "9.9975", "gross_amount": "179.9700", "net_amount": "169.9725",
        "unit_cost": "42.0000", "profit_amount": "43.9725", "currency": None, "run_id": "",
        "file_number": told["T2"][0]["file_number"], "line_number": told["T2"][0]["line_number"],
    }  # fmt: skip


def test_a_run_that_fails_keeps_nothing_and_one_that_is_tried_again_keeps_it_once(
    shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.publish()
    tomorrow(shop)
    tries: list[int] = []
    real: Any = StarSchemaETLPipeline._run_validation_phase  # noqa: SLF001 - it is public by name

    def disturbed(pipeline: StarSchemaETLPipeline, *given: Any) -> Any:
        tries.append(1)
        real(pipeline, *given)
        if len(tries) < 3:
            raise (GateError if len(tries) == 1 else TransientError)("on purpose")

    monkeypatch.setattr(StarSchemaETLPipeline, "_run_validation_phase", disturbed)
    failed = shop.run()
    assert (failed["status"], failed["changes"]["tables"]) == ("gate_failed", {})
    assert shop.star.rows("SELECT * FROM etl_change") == []
    file = shop.folder / "changes.csv"
    config = shop.config(RETRY_SECONDS=30)
    done = StarSchemaETLPipeline(config, changes=file, quiet=True).run_full_pipeline()
    assert (done["status"], done["retries"]) == ("published", 1)
    assert rows_kept(shop, done) == [("dim_customer", "C1", "city", None, None, 1), *QUANTITY]
    assert len(in_file(file)[0]) == 1 + len(QUANTITY) + 2
    assert done["changes"]["tables"]["fact_sales"]["changed"] == 1


def test_keys_that_other_rules_make_are_counted_and_what_is_kept_follows_them(
    shop: Retailer,
) -> None:
    shop.publish()
    shop.customers[0]["segment"] = "Business"
    first = shop.publish()
    for table in ("dim_customer", "etl_change"):
        key = "customer_id" if table == "dim_customer" else "business_key"
        shop.star.execute(f"UPDATE {table} SET {key} = '\u2060C1' WHERE {key} = 'C1'")
    shop.star.execute("UPDATE etl_run SET key_rules = 1")
    assert rows_kept(shop, shop.publish()) == [("dim_customer", None, "customer_id", None, None, 1)]
    assert [row[1] for row in rows_kept(shop, first)] == ["C1"]


def test_a_forgotten_customer_has_no_values_left(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that the star does not have any more; nobody else's go."""
    shop.publish()
    shop.customers[0] |= {"city": "Paris", "first_name": "Zyx"}
    shop.customers[1]["city"] = "Rome"
    results = shop.publish(KEEP_PERSONAL_CHANGES="true")
    assert ("dim_customer", "C1", "city", "London", "Paris", 1) in rows_kept(shop, results)
    others = [row for row in rows_kept(shop, results) if row[1] != "C1"]
    assert main(["--env-file", shop.env_file(), "forget", "C1", "--dry-run"]) == 0
    assert "London" in repr(rows_kept(shop, results))
    assert main(["--env-file", shop.env_file(), "forget", "C1"]) == 0
    assert "values taken out of 3 rows of etl_change" in capsys.readouterr().out
    assert rows_kept(shop, results) == sorted(
        [
            *others,
            *(
                ("dim_customer", "C1", column, None, None, 1)
                for column in ("city", "first_name", "full_name")
            ),
        ],
        key=repr,
    )
    assert main(["--env-file", shop.env_file(), "forget", "C1"]) == 0
    assert "was forgotten before" in capsys.readouterr().out


def test_far_more_changes_than_usual_are_a_warning(duckdb_shop: Retailer) -> None:
    """Once there is a history to know it by."""
    shop = duckdb_shop
    shop.customers = [shop.customers[0] | {"customer_id": f"C{n}"} for n in range(1, 61)]
    shop.publish()
    for night in range(10):
        shop.customers[0]["city"] = f"Town {night}"
        assert not [w for w in shop.publish()["warnings"] if "the usual is" in w]
    for customer in shop.customers[:30]:
        customer["segment"] = "Home Office"
    warnings = shop.publish()["warnings"]
    assert (
        "customers: 30 of 60 change tonight (50.0%), segment of 30; the usual is 1.7%" in warnings
    )

"""After four hundred nights a night leaves no more behind, and asks no more of the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from schema import etl_change, etl_run
from support.reports import folder_of, pages, with_pages
from support.retailer import Retailer
from support.tables import Row

NIGHTS = 400
CHANGES = 5
"""Rows in etl_change that each of these nights has left."""


def run_id_of(moment: datetime, number: int) -> str:
    """The id of a run of that moment."""
    return f"{moment:%Y%m%dT%H%M%S}-{number:06x}"


def age(shop: Retailer, nights: int = NIGHTS) -> None:
    """Give the shop a past: a run in each of these nights, with its log, rejects and changes, none
    of which was ever removed.
    """
    now = datetime.now(UTC)
    kept = [c for c in etl_run.columns if c.name not in ("started_at", "ended_at")]
    last = sa.select(*kept).order_by(etl_run.c.sequence.desc()).limit(1)
    with shop.star.connection() as connection:
        pattern = dict(connection.execute(last).mappings().one())
        runs, changed = [], []
        for number in range(1, nights + 1):
            ended = now - timedelta(days=nights - number + 1)
            run_id = run_id_of(ended, number)
            is_thinned = number <= nights - 40
            runs.append({
                **pattern, "run_id": run_id, "sequence": number, "started_at": ended,
                "ended_at": ended, "sources": "{}" if is_thinned else pattern["sources"],
            })  # fmt: skip
            changed += [
                {"run_id": run_id, "table_name": "dim_customer", "business_key": f"C{place}",
                 "attribute": "city", "before": "a", "after": "b", "rows": 1}
                for place in range(CHANGES)
            ]  # fmt: skip
            folder = shop.folder / "rejects" / run_id
            folder.mkdir(parents=True)
            (folder / "transactions.csv").write_text("x" * 500)
            (shop.folder / f"etl.log.{ended.date()}").write_text("x" * 2000)
        mine = etl_run.c.run_id == pattern["run_id"]
        connection.execute(sa.insert(etl_run), runs)
        connection.execute(sa.update(etl_run).where(mine).values(sequence=nights + 1))
        connection.execute(sa.insert(etl_change), changed)
        connection.commit()


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of any database in this block."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        found.append(" ".join(statement.split()))

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)


def next_night(shop: Retailer, **settings: object) -> Row:
    """A night with a change, a new sale and a reject."""
    shop.customers[0]["city"] = f"City {len(shop.sales)}"
    shop.sales[0]["quantity"] = "x"
    shop.sales.append({**shop.sales[1], "transaction_id": f"T{len(shop.sales) + 1}"})
    return shop.publish(**settings)


def sizes(paths: Iterator[Path]) -> list[int]:
    """The bytes of files."""
    return [path.stat().st_size for path in paths if path.is_file()]


def test_logs_rejects_and_changes_are_bounded(shop: Retailer) -> None:
    next_night(shop)
    age(shop)
    next_night(shop)
    logs, rejects = sizes(shop.folder.glob("etl.log*")), sizes(shop.folder.glob("rejects/*/*"))
    assert 89 <= len(logs) - 1 <= 91
    assert 89 <= len(rejects) - 2 <= 91
    assert sum(logs) < 100 * 2000 + 50_000
    assert sum(rejects) < 100 * 500 + 5_000
    old = shop.star.scalar("SELECT count(*) FROM etl_change WHERE before = 'a'")
    assert (NIGHTS - 1) * CHANGES <= old <= NIGHTS * CHANGES
    next_night_of = shop.publish(CHANGES_KEEP_DAYS=30, LOG_KEEP_DAYS=7, REJECTS_KEEP_DAYS=3)
    assert not [warning for warning in next_night_of["warnings"] if "KEEP_DAYS" in warning]
    old = shop.star.scalar("SELECT count(*) FROM etl_change WHERE before = 'a'")
    assert 29 * CHANGES <= old <= 30 * CHANGES
    assert 6 <= len(sizes(shop.folder.glob("etl.log.*"))) <= 8
    assert 2 <= len(list(shop.folder.glob("rejects/*"))) - 2 <= 3  # it repeats the night before


def test_the_pages_of_thirty_runs_are_left(shop: Retailer) -> None:
    next_night(shop)
    age(shop)
    folder = folder_of(shop)
    folder.mkdir()
    for run_id in shop.star.column("SELECT run_id FROM etl_run"):
        (folder / f"{run_id}.html").write_text("<p>a page")
    last = next_night(shop, **with_pages(shop))
    newest = shop.star.column("SELECT run_id FROM etl_run ORDER BY sequence DESC LIMIT 30")
    assert newest[0] == last["run_id"]
    assert pages(shop) == {"latest.html", *(f"{run_id}.html" for run_id in newest)}


def test_a_night_asks_no_more_than_at_first(shop: Retailer) -> None:
    """Not one statement for each night that was."""
    for _ in range(2):
        next_night(shop)
    with statements() as at_first:
        next_night(shop)
    age(shop)
    next_night(shop)  # it removes what four hundred nights have left
    age_by_a_night(shop)
    with statements() as later:
        next_night(shop)
    more = [asked for asked in later if asked not in at_first]
    assert len(later) <= len(at_first) + 6, more


def age_by_a_night(shop: Retailer) -> None:
    """One more night becomes too old."""
    moment = datetime.now(UTC) - timedelta(days=401)
    shop.star.execute(
        f"UPDATE etl_change SET run_id = '{run_id_of(moment, 1)}' WHERE run_id = "
        "(SELECT min(run_id) FROM etl_change WHERE before = 'a')"
    )


def test_no_night_reads_the_json_of_all_that_were(shop: Retailer) -> None:
    """If it did, it would stumble over what is none."""
    next_night(shop)
    age(shop)
    recent = "SELECT max(sequence) - 50 FROM etl_run"
    shop.star.execute(f"UPDATE etl_run SET counts = 'no JSON' WHERE sequence < ({recent})")
    results = next_night(shop)
    assert not [warning for warning in results["warnings"] if "damaged" in warning]
    assert shop.publish()["repeats_run"] == results["run_id"]

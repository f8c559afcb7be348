"""Which run came last, what older ones keep, and that no damage to their rows stops a night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from support.retailer import Retailer, counts, recognised
from support.sessions import transaction
from support.summary import surprises

NEWEST = "run_id = (SELECT run_id FROM etl_run ORDER BY sequence DESC LIMIT 1)"


def sequences(shop: Retailer) -> list[tuple[int | None, str]]:
    """Number and status of each run, in the order of their numbers."""
    return [
        (number, status)
        for number, status in shop.star.rows(
            "SELECT sequence, status FROM etl_run ORDER BY sequence NULLS FIRST"
        )
    ]


@pytest.mark.parametrize("minutes", [5, -5])
def test_what_came_last_is_not_decided_by_a_clock(shop: Retailer, minutes: int) -> None:
    """The first run's clock was ahead, or the second one's behind."""
    shop.publish()
    first = shop.star.digest(with_runs=False)
    shop.star.execute(f"UPDATE etl_run SET ended_at = ended_at + INTERVAL '{minutes}' MINUTE")
    shop.sales[0]["quantity"] = "7"
    assert counts(shop.publish(), "fact_sales") == (0, 1, 2)
    if minutes < 0:
        shop.star.execute(
            "UPDATE etl_run SET ended_at = ended_at - INTERVAL '10' MINUTE WHERE sequence = 2"
        )
    shop.sales[0]["quantity"] = "2"
    for _ in range(2):  # the second time it is truly the same again
        results = shop.publish()
        assert shop.star.digest(with_runs=False) == first
    assert results["repeats_run"]
    assert recognised(shop) == 1


def test_every_run_has_a_number_that_failed_ones_have_too(shop: Retailer) -> None:
    shop.publish()
    assert shop.run(TRANSACTIONS__PATH=shop.folder / "nowhere.csv")["status"] == "failed"
    shop.publish()
    assert sequences(shop) == [(1, "published"), (2, "failed"), (3, "published")]


@pytest.mark.parametrize("fails", [False, True])
def test_a_table_of_runs_without_numbers_gets_them_from_now_on(shop: Retailer, fails: bool) -> None:
    """As version 0.1.0 made it; also when the first run of this version fails."""
    shop.publish()
    shop.star.execute("ALTER TABLE etl_run DROP COLUMN sequence")
    if fails:
        assert shop.run(TRANSACTIONS__PATH=shop.folder / "nowhere.csv")["status"] == "failed"
    shop.publish()
    expected = [(None, "published"), *([(1, "failed")] if fails else [])]
    assert sequences(shop) == [*expected, (len(expected), "published")]
    assert shop.publish()["repeats_run"]


DAMAGE = [
    ("counts", "x"),
    ("counts", "[]"),
    ("counts", "null"),
    ("counts", ""),
    ("counts", "[" * 100_000),
    ("sources", "x"),
    ("sources", "[]"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGE)
def test_a_damaged_row_of_the_last_run_costs_a_shortcut_and_is_told(
    shop: Retailer, column: str, value: str
) -> None:
    first = shop.publish()
    before = shop.star.digest(with_runs=False)
    shop.star.execute(f"UPDATE etl_run SET {column} = '{value}'")
    results = shop.publish()
    assert (results["repeats_run"], shop.star.digest(with_runs=False)) == (None, before)
    (warning,) = surprises(results)
    assert f"the {column} of run {first['run_id']} are damaged" in warning
    results = shop.publish()
    assert results["repeats_run"]
    assert surprises(results) == []


@pytest.mark.parametrize(
    "change",
    [
        """counts = replace(counts, '"mark"', '"remark"')""",
        """counts = replace(counts, 'transformation_results', 'x')""",
        """counts = replace(counts, '"sources": {', '"sources": {"x": 1, ')""",
        """sources = '{"customers": 1, "products": 2, "transactions": 3}'""",
        """sources = '{"customers": [1], "products": [{}], "transactions": [null]}'""",
    ],
)
def test_a_row_that_lacks_something_costs_a_shortcut(shop: Retailer, change: str) -> None:
    shop.publish()
    shop.star.execute(f"UPDATE etl_run SET {change}")
    assert shop.publish()["repeats_run"] is None
    assert shop.publish()["repeats_run"]


def many_nights(shop: Retailer, nights: int, text: str) -> None:
    """As many published runs as that before the one which is there, with `text` as their JSON."""
    shop.star.execute(
        "INSERT INTO etl_run (run_id, started_at, ended_at, status, counts, sources, error_class, "
        "code_version, sequence) SELECT 'old-' || lpad(CAST(g AS text), 5, '0'), started_at, "
        f"ended_at, status, '{text}', '{text}', error_class, code_version, g "
        f"FROM etl_run, generate_series(1, {nights}) AS s(g)",
        f"UPDATE etl_run SET sequence = {nights} + 1 WHERE run_id NOT LIKE 'old-%'",
    )


def test_after_1800_nights_only_the_last_runs_are_read_and_a_few_are_thinned(
    shop: Retailer,
) -> None:
    """What would be read is told here, because it cannot be: so it is seen how much that is."""
    shop.publish()
    many_nights(shop, 1800, "x" * 1000)
    kept = "SELECT count(*) FROM etl_run WHERE length(sources) > 2"
    for night in (1, 2):
        results = shop.publish()
        assert results["repeats_run"]
        assert len(results["warnings"]) == 10
        assert f"run old-{10 * night:05}" in results["warnings"][-1]
        assert shop.star.scalar(kept) == 1801 - 9 * night


def test_older_runs_keep_the_rows_that_they_loaded(shop: Retailer) -> None:
    first = shop.publish()
    many_nights(shop, 45, "{}")
    shop.star.execute(f"UPDATE etl_run SET sequence = 0 WHERE run_id = '{first['run_id']}'")
    shop.publish()
    (sources, told) = shop.star.row(
        "SELECT sources, counts FROM etl_run WHERE run_id = :run", run=first["run_id"]
    )
    assert sources == "{}"
    kept = json.loads(told)
    totals = kept.pop("totals")
    assert kept == {
        part: first[part] for part in ("dimension_loading_results", "fact_loading_results")
    }
    assert (totals["read"], totals["new"], totals["net"]) == (7, 7, {"": "729.9725"})
    assert len(told) < 2000


def test_the_rejects_of_a_repetition_are_those_of_the_source(shop: Retailer) -> None:
    """Somebody has corrected the file in its place: it is no longer what the source had."""
    shop.sales[2]["transaction_id"] = ""
    first = shop.publish()
    (path,) = Path(first["rejects_dir"]).iterdir()
    path.write_text(path.read_text(encoding="utf-8").replace("\nT", "\nX") + "more\n")
    results = shop.publish()
    assert results["repeats_run"] is None
    assert shop.reasons(results) == ["missing_key"]
    assert shop.publish()["repeats_run"] == results["run_id"]


# --- what PostgreSQL's row versions prove ---------------------------------------------------


def test_a_touch_costs_one_night_and_not_all_that_follow(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute("UPDATE fact_sales SET quantity = quantity WHERE transaction_id = 'T1'")
    assert shop.publish()["repeats_run"] is None
    assert shop.publish()["repeats_run"]


@pytest.mark.parametrize("savepoint", [False, True])
def test_a_change_that_is_committed_after_a_repetition_is_seen(
    postgresql_shop: Retailer, savepoint: bool
) -> None:
    """It was begun before, by a transaction with a lower number than the repetition's."""
    shop = postgresql_shop
    shop.publish()
    with transaction(shop.star) as other:
        if savepoint:
            other.execute(sa.text("CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1 AS one"))
            other.execute(sa.text("SAVEPOINT here"))
        other.execute(sa.text("UPDATE fact_sales SET quantity = 9 WHERE transaction_id = 'T1'"))
        for _ in range(2):
            assert shop.publish()["repeats_run"]
        other.commit()
    results = shop.publish()
    assert (results["repeats_run"], counts(results, "fact_sales")) == (None, (0, 1, 2))
    assert shop.publish()["repeats_run"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("system", '"7000000000000000000"'), ("seen_whole", "-5000000000"), ("rows", "[1]")],
)
def test_a_note_of_another_server_or_too_long_ago_proves_nothing(
    postgresql_shop: Retailer, name: str, value: str
) -> None:
    """As of a star that was restored from a dump, or after two billion transactions."""
    shop = postgresql_shop
    shop.publish()
    text = json.loads(shop.star.scalar("SELECT counts FROM etl_run"))
    note = {**json.loads(text["mark"]), name: json.loads(value)}
    changed = json.dumps({**text, "mark": json.dumps(note)})
    with shop.star.connection() as connection:
        connection.execute(sa.text("UPDATE etl_run SET counts = :text"), {"text": changed})
        connection.commit()
    assert shop.publish()["repeats_run"] is None
    assert shop.publish()["repeats_run"]


# --- what stands in the way of the row ------------------------------------------------------

TRIGGER = (
    "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$",
    "CREATE TRIGGER planted {} INSERT ON etl_run FOR EACH ROW EXECUTE FUNCTION planted()",
)


@pytest.mark.parametrize(
    ("when", "body"),
    [
        ("BEFORE", "RETURN NULL;"),
        ("BEFORE", "NEW.status = 'failed'; RETURN NEW;"),
        ("BEFORE", "NEW.counts = '{{}}'; RETURN NEW;"),
        ("BEFORE", "NEW.sequence = 1; RETURN NEW;"),
        ("AFTER", "DELETE FROM {schema}.etl_run WHERE run_id = NEW.run_id; RETURN NULL;"),
        ("RULE", ""),
    ],
)
def test_nothing_is_published_without_its_row(
    postgresql_shop: Retailer, when: str, body: str
) -> None:
    shop = postgresql_shop
    shop.publish()
    before, runs = shop.star.digest(), shop.star.runs()
    shop.sales[0]["quantity"] = "7"
    if when == "RULE":
        shop.star.execute("CREATE RULE planted AS ON INSERT TO etl_run DO INSTEAD NOTHING")
    else:
        function, trigger = TRIGGER
        body = body.format(schema=shop.star.schema)
        shop.star.execute(function.format(body), trigger.format(when))
    results = shop.run()
    assert results["status"] == "failed"
    assert f"the row of run {results['run_id']} is not there as it was written" in str(
        results["errors"]
    )
    assert shop.star.digest() == before
    assert [run for run in shop.star.runs() if run[1] == "published"] == runs

"""Only new rows are read: where a run begins, what it remembers, and when it says no."""

from __future__ import annotations

import importlib.util
import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from common.setting_texts import Moment
from common.since import Start
from errors import ExtractionError
from extract import DataExtractor
from main import StarSchemaETLPipeline
from support.absent import not_here
from support.commands import run_command
from support.failures import as_sentences
from support.mariadb_server import DRIVERS
from support.retailer import Retailer
from support.star import Star
from support.summary import surprises
from support.tables import Row
from support.tills import Till, sales_in

SINCE = "2026-01-01"


@pytest.fixture
def till(tmp_path: Path) -> Till:
    """A till in SQLite, for what has nothing to do with its engine."""
    made = Till(f"sqlite:///{tmp_path / 'till.db'}")
    made.open()
    return made


@pytest.fixture(params=["sqlite", "duckdb", "postgresql", "mysql+pymysql", "mysql+mysqldb"])
def any_till(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Till]:
    """A till in each engine in turn, without a table yet."""
    if request.param.startswith("mysql"):
        if importlib.util.find_spec(DRIVERS[request.param]) is None:
            not_here(f"the driver {DRIVERS[request.param]}")
        yield Till(request.getfixturevalue("database").url(request.param))
    elif request.param == "postgresql":
        till = Till(request.getfixturevalue("postgresql_url"), f"till_{uuid.uuid4().hex[:12]}")
        yield till
        till.execute(f"DROP TABLE IF EXISTS {till.table}")
    else:
        yield Till(f"{request.param}:///{tmp_path / 'till.db'}")


def night(shop: Retailer, till: Till, since: Moment | str | None = None, **changed: str) -> Row:
    """A run of the shop by its till."""
    config = shop.config(**till.settings(**changed))
    return StarSchemaETLPipeline(config, since=since, quiet=True).run_full_pipeline()


def published(shop: Retailer, till: Till, since: Moment | str | None = None, **changed: str) -> Row:
    """A run that is published."""
    results = night(shop, till, since, **changed)
    assert results["errors"] == []
    assert results["status"] == "published"
    return results


def remembered(star: Star, source: str = "transactions") -> str | None:
    """What the last published run remembers of a source."""
    kept = star.column(
        "SELECT watermarks FROM etl_run WHERE status = 'published' ORDER BY ended_at DESC LIMIT 1"
    )
    found: str | None = json.loads(kept[0]).get(source, {}).get("value")
    return found


def read(results: Row) -> int:
    """How many sales a run has read."""
    found: int = results["extraction_results"]["transactions"]["records"]
    return found


def warned(results: Row, words: str) -> bool:
    """Whether a warning has these words."""
    return any(words in warning for warning in results["warnings"])


KINDS = {
    "timestamp": (
        datetime(2026, 1, 5, 10), datetime(2026, 1, 6, 11, 30, 0, 123000),
        "2 hours", datetime(2026, 1, 6, 9, 45), "2026-01-01T00:00:00",
    ),
    "date": ("2026-01-05", "2026-01-06", "1 day", "2026-01-05", SINCE),
    "integer": (5, 7, "2", 6, "1"),
}  # fmt: skip
"""Of each kind: two values, a lag, a late value within the lag, and where the first run begins."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_name", [False, True], ids=["query", "table"])
def test_each_run_reads_what_came_after_the_last_one_and_late_rows_within_the_lag(
    duckdb_shop: Retailer, any_till: Till, kind: str, by_name: bool
) -> None:
    shop, till = duckdb_shop, any_till
    first, second, lag, late, since = KINDS[kind]
    settings = {"query": till.table if by_name else "", "TRANSACTIONS__LAG": lag}
    till.open(kind)
    till.sell(("T0", 0 if kind == "integer" else "2025-12-31"), ("T1", first))
    results = published(shop, till, since, **settings)
    assert (read(results), surprises(results)) == (1, [])
    assert remembered(shop.star) == str(first)
    till.sell(("T2", second))
    assert read(published(shop, till, **settings)) == 2  # with the last one of before
    assert remembered(shop.star) == str(second)
    till.sell(("T3", late))
    assert 2 <= read(published(shop, till, **settings)) <= 3
    assert remembered(shop.star) == str(second)
    assert sales_in(shop.star) == {"T1", "T2", "T3"}


MOMENTS = {
    "sqlite": ("TEXT", "2026-01-05 10:00:00.5-05:00", "2026-01-05 10:00:00.500-05:00"),
    "duckdb": ("TIMESTAMPTZ", "2026-01-05 10:00:00.5-05:00", "2026-01-05 10:00:00.5-05:00"),
    "postgresql": ("timestamptz", "2026-01-05 10:00:00.5-05:00", "2026-01-05 10:00:00.5-05:00"),
    "mysql": ("TIMESTAMP(6)", "2026-01-05 15:00:00.5", "2026-01-05 15:00:00.5"),
}
"""The type of moments with an offset, and how an engine writes the same one twice."""


@pytest.mark.parametrize("by_name", [False, True], ids=["query", "table"])
def test_moments_with_an_offset_are_compared_as_moments(
    duckdb_shop: Retailer, any_till: Till, by_name: bool
) -> None:
    shop, till = duckdb_shop, any_till
    kind, moment, same = MOMENTS[till.engine]
    settings = {"query": till.table if by_name else "", "BUSINESS_TIMEZONE": "Asia/Tokyo"}
    till.open(kind)
    till.sell(("T1", moment))
    assert read(published(shop, till, "2026-01-05T14:00:00Z", **settings)) == 1
    assert remembered(shop.star) == "2026-01-05 15:00:00.500000+00:00"
    till.sell(("T2", same))  # in the same moment, after the run
    assert read(published(shop, till, **settings)) == 2
    assert surprises(published(shop, till, "2026-01-05T15:00:00.500Z", **settings)) == []
    assert sales_in(shop.star) == {"T1", "T2"}


def test_a_run_without_new_rows_changes_nothing(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    before = shop.star.digest()
    assert read(published(shop, till)) == 1
    till.execute("DELETE FROM sales")
    results = published(shop, till)
    assert (read(results), surprises(results)) == (0, [])
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    assert shop.star.digest() == before


def test_the_first_run_must_be_told_where_to_begin(
    shop: Retailer, till: Till, capsys: pytest.CaptureFixture[str]
) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    code, _, err = run_command(shop, capsys, **till.settings())
    assert code == 2
    assert "TRANSACTIONS__WATERMARK: no run has remembered a value of changed yet" in as_sentences(
        err
    )
    assert "--since" in err
    assert shop.star.runs() == []
    assert shop.star.tables() == set()
    assert run_command(shop, capsys, "--since", SINCE, **till.settings())[0] == 0
    assert run_command(shop, capsys, **till.settings())[0] == 0
    assert sales_in(shop.star) == {"T1"}


def test_only_a_published_run_moves_it(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    till.sell(("T2", "2026-01-06 10:00:00"))
    config = shop.config(**till.settings())
    tried = StarSchemaETLPipeline(config, dry_run=True, quiet=True).run_full_pipeline()
    assert tried["status"] == "dry_run"
    till.execute("UPDATE sales SET quantity = 0 WHERE transaction_id = 'T2'")
    assert night(shop, till, MAX_REJECT_RATE="0.1")["status"] == "gate_failed"
    shop.files["customers"] = None
    assert night(shop, till)["status"] == "failed"
    del shop.files["customers"]
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    till.execute("UPDATE sales SET quantity = 1")
    assert read(published(shop, till)) == 2
    assert remembered(shop.star) == "2026-01-06 10:00:00"
    kept = shop.star.column("SELECT watermarks FROM etl_run WHERE status <> 'published'")
    assert set(kept) == {"{}"}


def test_a_value_after_the_start_of_the_run_is_loaded_and_not_remembered(
    shop: Retailer, till: Till
) -> None:
    zone = "Asia/Tokyo"
    soon = datetime.now(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(hours=2)
    till.sell(("T1", "2026-01-05 10:00:00"), ("T2", f"{soon}"), ("T3", "9999-12-31 00:00:00"))
    results = published(shop, till, SINCE, BUSINESS_TIMEZONE=zone)
    assert warned(results, "transactions: 2 values of changed are after the start of the run")
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    assert sales_in(shop.star) == {"T1", "T2", "T3"}


def test_rows_without_a_value_do_not_count(shop: Retailer, till: Till) -> None:
    everything = "SELECT * FROM sales WHERE changed >= :since OR changed IS NULL"
    till.sell(("T1", None), ("T2", ""))
    results = published(shop, till, SINCE, query=everything)
    assert warned(results, "no value of changed to remember: give --since again")
    assert remembered(shop.star) is None
    till.sell(("T3", "2026-01-05 10:00:00"))
    published(shop, till, SINCE, query=everything)
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    assert sales_in(shop.star) == {"T1", "T3"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("soon", "holds other text"),
        ("1.5", "holds numbers with decimals"),
        ("0000-00-00 00:00:00", "holds other text"),
    ],
)
def test_a_column_that_can_be_no_watermark_fails_the_extraction(
    duckdb_shop: Retailer, till: Till, value: str, told: str
) -> None:
    till.sell(("T1", value))
    results = night(duckdb_shop, till, "0", query="SELECT * FROM sales WHERE :since IS NOT NULL")
    assert results["status"] == "failed"
    (error,) = results["errors"]
    assert error.startswith("Extraction phase failed: transactions: the column changed ")
    assert told in error
    assert value not in error


def test_values_of_two_kinds_fail_the_extraction(duckdb_shop: Retailer, till: Till) -> None:
    till.sell(("T1", "5"), ("T2", "2026-01-05"))
    results = night(duckdb_shop, till, "0", query="SELECT * FROM sales WHERE :since IS NOT NULL")
    assert results["status"] == "failed"
    assert "the column changed holds other text" in results["errors"][0]
    apart = {"BATCH_ROWS": "1", "query": "SELECT * FROM sales WHERE :since IS NOT NULL"}
    results = night(duckdb_shop, till, "0", **apart)
    assert "the column changed holds integers as well as dates" in results["errors"][0]


def test_a_column_that_is_not_in_the_result_is_named(duckdb_shop: Retailer, till: Till) -> None:
    results = night(duckdb_shop, till, SINCE, TRANSACTIONS__WATERMARK="chnged")
    assert (
        "TRANSACTIONS__WATERMARK names 'chnged', which is no column of the result"
        in (results["errors"][0])
    )
    assert "(nearest: 'changed')" in results["errors"][0]


def test_the_column_is_not_told_to_be_unused(duckdb_shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    assert not warned(published(duckdb_shop, till, SINCE), "not used")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"query": "SELECT * FROM sales WHERE quantity > 0 AND changed >= :since"}, "QUERY"),
        (
            {
                "query": "SELECT *, changed AS written FROM sales WHERE changed >= :since",
                "TRANSACTIONS__WATERMARK": "written",
            },
            "QUERY and WATERMARK",
        ),
        ({"TRANSACTIONS__PATH": "sqlite:///{}/other.db"}, "PATH"),
    ],
)
def test_another_database_query_or_column_must_be_told_where_to_begin(
    shop: Retailer, till: Till, tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    other = Till(f"sqlite:///{tmp_path / 'other.db'}")
    other.open()
    other.sell(("T9", "2020-01-05 10:00:00"))
    changed = {name: value.format(tmp_path) for name, value in changed.items()}
    results = night(shop, till, **changed)
    assert results["status"] == "failed"
    reset = f"2026-01-05 10:00:00 was remembered of another {told}"
    assert reset in results["errors"][0]
    assert len(shop.star.runs()) == 1
    assert warned(published(shop, till, "2019-01-01", **changed), reset)
    assert surprises(published(shop, till, **changed)) == [] or told == "QUERY and WATERMARK"


def test_another_password_user_or_driver_is_the_same_database(
    duckdb_shop: Retailer, postgresql_url: str
) -> None:
    shop, till = duckdb_shop, Till(postgresql_url, f"till_{uuid.uuid4().hex[:12]}")
    till.open()
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    url = sa.make_url(postgresql_url).update_query_dict({"application_name": "till"})
    till.url = url.render_as_string(hide_password=False)
    assert surprises(published(shop, till)) == []
    kept = shop.star.column("SELECT watermarks FROM etl_run")
    assert not any("application_name" in text or "@" in text for text in kept)
    till.execute(f"DROP TABLE {till.table}")


def test_a_gap_and_a_step_back_are_told(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    results = published(shop, till, "2026-02-01")
    assert warned(results, "--since 2026-02-01 leaves a gap: what came after 2026-01-05 10:00:00")
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    till.execute("UPDATE sales SET changed = '2026-01-03 10:00:00'")
    results = published(shop, till, "2026-01-02")
    assert warned(results, "--since 2026-01-02 is a step back: rows are read again")
    assert warned(results, "2026-01-03 10:00:00, is before 2026-01-05 10:00:00, which stays")
    assert remembered(shop.star) == "2026-01-05 10:00:00"


def test_since_of_another_kind_is_refused(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    told = "transactions: it was read from 5 on, which is no timestamp as changed is; give --since"
    everything = "SELECT * FROM sales WHERE :since IS NOT NULL"
    assert told in night(shop, till, "5", query=everything)["errors"][0]
    published(shop, till, SINCE)
    assert told in night(shop, till, "5")["errors"][0]
    assert len(shop.star.runs()) == 1


def test_a_column_that_has_got_another_type_is_read_anew_by_since(
    shop: Retailer, till: Till
) -> None:
    till.sell(("T1", "5"))
    published(shop, till, 1)
    till.execute("UPDATE sales SET changed = '2026-01-05'")
    results = published(shop, till, SINCE)
    assert warned(results, "--since 2026-01-01 is no integer: what was remembered, 5, is left")
    assert remembered(shop.star) == "2026-01-05"


@pytest.mark.parametrize(
    ("kind", "value", "lag", "told"),
    [
        ("timestamp", "2026-01-05 10:00:00", "5", "the values are timestamps; give it in days or"),
        ("date", "2026-01-05", "36 hours", "the values are dates; give it in days"),
        ("integer", 5, "2 days", "the values are integers; give it in units"),
    ],
)
def test_a_lag_that_does_not_fit_the_values_is_refused_by_the_first_run(
    duckdb_shop: Retailer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    value: object,
    lag: str,
    told: str,
) -> None:
    till = Till(f"sqlite:///{tmp_path / 'till.db'}")
    till.open(kind)
    till.sell(("T1", value))
    since = "0" if kind == "integer" else SINCE
    settings = till.settings(TRANSACTIONS__LAG=lag)
    code, _, err = run_command(duckdb_shop, capsys, "--since", since, **settings)
    assert code == 2
    assert f"TRANSACTIONS__LAG does not fit, as {told}" in as_sentences(err)
    assert duckdb_shop.star.runs() == []


def test_what_is_no_place_for_a_value_is_left_alone(duckdb_shop: Retailer, any_till: Till) -> None:
    shop, till = duckdb_shop, any_till
    till.open("integer")
    till.sell(("T1", 5), ("T2", 9))
    quoted = {"mysql": "'it''s \\' :since'", "postgresql": "$$:since$$"}.get(
        till.engine, "'it''s :since'"
    )
    query = (
        f"SELECT s.*, {quoted} AS sales_rep_id /* :since */ FROM {till.table} s -- :since\n"
        "WHERE changed >= :since AND (:since > 0)"
    )
    published(shop, till, "6", query=query)
    assert sales_in(shop.star) == {"T2"}
    (rep,) = shop.star.column("SELECT sales_rep_id FROM dim_sales_rep WHERE sales_rep_key > 0")
    assert rep.endswith(":since")


def test_a_percent_sign_and_a_type_beside_it_do_no_harm(
    duckdb_shop: Retailer, any_till: Till
) -> None:
    till = any_till
    till.open()
    till.sell(("T1", "2026-01-05 10:00:00"), ("U2", "2026-01-05 10:00:00"))
    begin = {"postgresql": ":since::timestamp", "duckdb": ":since::TIMESTAMP"}
    query = (
        f"SELECT * FROM {till.table} WHERE transaction_id LIKE 'T%' AND 7 % 4 = 3 "
        f"AND changed >= {begin.get(till.engine, ':since')}"
    )
    published(duckdb_shop, till, SINCE, query=query)
    published(duckdb_shop, till, query=query)
    assert sales_in(duckdb_shop.star) == {"T1"}


def test_postgresql_still_takes_one_query_only(duckdb_shop: Retailer, postgresql_url: str) -> None:
    till = Till(postgresql_url, f"till_{uuid.uuid4().hex[:12]}")
    till.open()
    for more in ("; COMMIT", f"; DROP TABLE {till.table}"):
        results = night(duckdb_shop, till, SINCE, query=till.query + more)
        assert results["status"] == "failed"
        assert "give one query that only reads" in results["errors"][0]
    till.execute(f"DROP TABLE {till.table}")


def test_files_that_duckdb_reads_may_be_read_from_a_value_on(
    duckdb_shop: Retailer, tmp_path: Path
) -> None:
    shop, path = duckdb_shop, tmp_path / "sales.csv"
    columns = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price,version"
    path.write_text(f"{columns}\nT1,2024-03-01,C1,P1,1,9,5\nT2,2024-03-01,C1,P1,1,9,7\n")
    till = Till("duckdb:///:memory:")
    query = f"SELECT * FROM read_csv('{path}') WHERE version >= :since"
    settings = {"query": query, "TRANSACTIONS__WATERMARK": "version"}
    assert read(published(shop, till, 6, **settings)) == 1
    assert read(published(shop, till, **settings)) == 1
    assert remembered(shop.star) == "7"


def test_an_extractor_of_its_own_must_be_told_too(duckdb_shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    config = duckdb_shop.config(**till.settings())
    with pytest.raises(ExtractionError, match="nothing says where to begin"):
        DataExtractor(config).extract_all_sources()
    begin = {"transactions": Start(datetime(2026, 1, 1))}
    assert len(DataExtractor(config, begin).extract_all_sources()["transactions"]) == 1


@pytest.mark.parametrize("value", ["5; DROP TABLE sales", "' OR 1=1 --", "5) OR (1=1", ""])
def test_nothing_but_a_value_is_taken(
    duckdb_shop: Retailer, till: Till, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    code, _, err = run_command(duckdb_shop, capsys, "--since", value, **till.settings())
    assert code == 2
    assert "is no ISO date such as 2026-01-31" in err
    assert duckdb_shop.star.tables() == set()


def test_a_watermark_that_somebody_has_damaged_counts_as_none(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    for text in ("{broken", '{"transactions": 5}', '{"transactions": {"value": "x", "of": {}}}'):
        shop.star.execute(f"UPDATE etl_run SET watermarks = '{text}'".replace(":", "\\:"))
        results = night(shop, till)
        assert results["status"] == "failed"
        assert "say where to begin by --since" in results["errors"][0]
        assert warned(results, "the watermarks of run") == (text == "{broken")
    published(shop, till, SINCE)
    assert remembered(shop.star) == "2026-01-05 10:00:00"


def test_a_night_without_the_source_carries_its_watermark_on(shop: Retailer, till: Till) -> None:
    till.sell(("T1", "2026-01-05 10:00:00"))
    published(shop, till, SINCE)
    for _ in range(2):  # the second one repeats the first
        shop.publish()
        assert remembered(shop.star) == "2026-01-05 10:00:00"
    assert read(published(shop, till)) == 1


def test_two_sources_have_a_watermark_each(duckdb_shop: Retailer, tmp_path: Path) -> None:
    shop, till = duckdb_shop, Till(f"sqlite:///{tmp_path / 'till.db'}")
    till.open()
    till.sell(("T1", "2026-01-05 10:00:00"))
    till.execute(
        "CREATE TABLE people (customer_id TEXT, version INTEGER)",
        "INSERT INTO people VALUES ('C1', 5), ('C7', 7)",
    )
    published(shop, till, SINCE)
    people = {
        "CUSTOMERS__PATH": till.url,
        "CUSTOMERS__QUERY": "people",
        "CUSTOMERS__WATERMARK": "version",
    }
    results = published(shop, till, 6, **people)
    assert warned(results, "--since 6 is no timestamp: it goes on from 2026-01-05")
    assert results["extraction_results"]["customers"]["records"] == 1
    assert remembered(shop.star) == "2026-01-05 10:00:00"
    assert remembered(shop.star, "customers") == "7"
    published(shop, till, **people)


def test_a_star_of_before_gets_its_first_watermark(star: Star, tmp_path: Path) -> None:
    star.restore("0.1.0")
    folder = tmp_path / "shop"
    folder.mkdir()
    shop, till = Retailer(folder, star), Till(f"sqlite:///{tmp_path / 'till.db'}")
    till.open()
    till.sell(("N1", "2026-01-05 10:00:00"))
    assert "no run has remembered" in night(shop, till)["errors"][0]
    published(shop, till, SINCE)
    assert remembered(star) == "2026-01-05 10:00:00"


@pytest.mark.usefixtures("unfolded")
def test_check_reads_as_a_run_would(
    duckdb_shop: Retailer, till: Till, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    till.sell(("T1", "2026-01-05 10:00:00"), ("T2", "2026-01-06 10:00:00"))
    code, out, _ = run_command(shop, capsys, "check", **till.settings())
    assert code == 2
    assert "TRANSACTIONS__WATERMARK: no run has remembered a value of changed yet" in out
    code, out, _ = run_command(shop, capsys, "check", "--since", SINCE, **till.settings())
    assert code == 0
    assert "transactions 2 of 2 rows" in out
    published(shop, till, SINCE)
    code, out, _ = run_command(shop, capsys, "check", **till.settings())
    assert code == 0
    assert "transactions 1 of 1 rows" in out
    assert remembered(shop.star) == "2026-01-06 10:00:00"

"""`history`: a line a run, what stands out, and 400 nights that are as quick as one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from report.screen import Screen
from support.commands import run_command
from support.retailer import Retailer
from support.tables import Row
from warehouse import open_warehouse

NEWEST = datetime(2026, 11, 26, 2, 0, 4, tzinfo=UTC)
"""A Thursday."""


def nights(shop: Retailer, count: int, **special: Row) -> None:
    """So many nights in etl_run, in whose totals those of `special` (`n3`: three nights ago) stand;
    one without totals is a night without a run. On Mondays there is twice as much.
    """
    rows = []
    for ago in range(count):
        own = special.get(f"n{ago}", {"status": "published"})
        if not own:
            continue
        at = NEWEST - timedelta(days=ago)
        read = (40_000 if at.weekday() == 0 else 20_000) + 37 * (ago % 7)
        totals: Row = {
            "read": read, "new": 400, "changed": 40, "removed": 0, "rejected": 200 + ago % 5,
            "unchanged": read - 700, "net": {"": f"{read * 5}.00"}, "seconds": 2.5,
            "net_change": {"": "2000.50"}, **own,
        }  # fmt: skip
        status = totals.pop("status", "published")
        rows.append(
            {
                "id": f"{at:%Y%m%dT%H%M%S}-{ago:06x}",
                "begin": at,
                "end": at + timedelta(seconds=3),
                "status": status,
                "counts": json.dumps({"totals": totals}),
                "number": count - ago,
            }
        )
    insert = (
        "INSERT INTO etl_run (run_id, started_at, ended_at, status, counts, sources, code_version, "
        "sequence) VALUES (:id, :begin, :end, :status, :counts, '{}', '0.6.0', :number)"
    )
    with shop.star.connection() as connection:
        connection.execute(sa.text("DELETE FROM etl_run"))
        connection.execute(sa.text(insert), rows)
        connection.commit()


def told(
    shop: Retailer, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[dict[str, Any]]:
    """What `history --json` says."""
    code, out, err = run_command(shop, capsys, "history", "--json", *arguments)
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_runs_of_every_kind_are_told_as_they_ended(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.sales[2]["quantity"] = "many"
    first = shop.publish()
    again = shop.publish()
    failed = shop.run(TRANSACTIONS__PATH=shop.folder / "nowhere.csv")
    refused = shop.run(MAX_REJECT_RATE="0.1")
    assert run_command(shop, capsys, "replay", first["run_id"])[0] == 0
    runs = told(shop, capsys)
    assert [run["result"] for run in runs] == [
        "replayed", "refused", "failed", "nothing new", "published"
    ]  # fmt: skip
    assert [run["run_id"] for run in runs[1:]] == [
        results["run_id"] for results in (refused, failed, again, first)
    ]
    assert [run["rows"] for run in runs] == [1, 7, None, 7, 7]
    assert [run["rejected"] for run in runs] == [1, 1, None, 1, 1]
    assert [run["new"] for run in runs] == [0, None, None, 0, 6]
    assert runs[4]["net_change"] == {"": "669.9725"}
    assert "nowhere.csv" in runs[2]["error"]
    assert (runs[0]["replays_run"], runs[3]["repeats_run"]) == (first["run_id"], first["run_id"])
    assert all(datetime.fromisoformat(run["started_at"]).tzinfo for run in runs)
    code, out, _ = run_command(shop, capsys, "history")
    assert code == 0
    assert "no such file" in out
    assert f"the rejects of run {first['run_id']}" in out


@pytest.mark.parametrize(
    ("special", "expected"),
    [
        ({"read": 17_002}, "17,002 rows, Mondays have about 40,000"),
        ({"rejected": 4000}, "10.0 % rejected, Mondays have about 0.5 %"),
        ({"changed": 9000}, "18.4 % of the rows changed, Mondays have about 0.1 %"),
        ({"net": {"": "9000.00"}}, "net sales 9,000, Mondays have about 200,000"),
        ({"seconds": 63.0}, "took 1:03, Mondays take about 2.5 s"),
        ({"read": 41_000}, ""),
        ({"rejected": 0, "changed": 0, "seconds": 0.1}, ""),
        ({"repeats": "x", "changed": 0, "new": 0}, ""),
        ({"replays": "x", "read": 3}, ""),
    ],
)
def test_a_night_is_held_against_the_same_day_of_the_week(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], special: Row, expected: str
) -> None:
    duckdb_shop.publish()
    nights(duckdb_shop, 60, n3=special)
    unusual = told(duckdb_shop, capsys)[3]["unusual"]
    assert unusual == ([expected] if expected else [])
    assert all(run["unusual"] == [] for run in told(duckdb_shop, capsys)[4:])


def test_what_is_normal_on_mondays_is_not_on_other_days(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.publish()
    nights(duckdb_shop, 60, n2={"read": 40_000})
    runs = told(duckdb_shop, capsys)
    assert runs[2]["unusual"][0] == "40,000 rows, Tuesdays have about 20,000"
    assert runs[3]["unusual"] == []


@pytest.mark.parametrize(("count", "days"), [(9, 0), (12, 1)])
def test_without_four_such_days_ten_others_count(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], count: int, days: int
) -> None:
    duckdb_shop.publish()
    nights(duckdb_shop, count, n0={"read": 900})
    unusual = told(duckdb_shop, capsys)[0]["unusual"]
    assert [each for each in unusual if "other runs have about" in each] == unusual
    assert bool(unusual) == bool(days)


def test_a_run_warns_of_itself(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """But a repetition and a replay do not, and it is in etl_run as well."""
    shop.sales = [shop.sales[0] | {"transaction_id": f"T{n}"} for n in range(120)]
    shop.publish()
    usual = {"read": 400, "changed": 2, "unchanged": 390, "rejected": 2, "net": {}}
    nights(shop, 44, **{f"n{ago}": usual for ago in range(44)})
    shop.sales[0]["quantity"] = "5"
    results = shop.publish()
    (warning,) = results["warnings"]
    assert warning.startswith("unlike the runs before: 124 rows, ")
    assert warning.endswith(" have about 400")
    assert shop.publish()["warnings"] == []
    assert told(shop, capsys)[1]["unusual"] == [warning.partition(": ")[2]]


def test_a_night_without_a_run_is_told(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless there never is one on that day."""
    shop = duckdb_shop
    shop.publish()
    nights(shop, 60, n9={}, n10={}, n11={})
    runs = told(shop, capsys)
    missing = {run["started_at"][:10]: run["missing_days"] for run in runs[1:]}
    assert {day: days for day, days in missing.items() if days} == {"2026-11-14": 3}
    assert "no run for 3 days" in run_command(shop, capsys, "history")[1]
    weekends: dict[str, Row] = {
        f"n{ago}": {} for ago in range(60) if (NEWEST - timedelta(ago)).weekday() > 4
    }
    nights(shop, 60, **weekends)
    assert not any(run["missing_days"] for run in told(shop, capsys)[1:])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_night_is_one_look_on_any_screen(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    encoding: str,
) -> None:
    duckdb_shop.publish()
    error = "Extraction phase failed: " + "a/path/without/a/blank" * 9 + "; mend it"
    nights(
        duckdb_shop, 60, n1={"status": "failed", "read": None, "error": error},
        n3={"read": 17_002}, n5={"status": "gate_failed", "rejected": 6000}, n7={},
        n9={"net_change": {"EUR": "-12780457.10"}},
    )  # fmt: skip
    screen = Screen(width, False, encoding)
    monkeypatch.setattr(Screen, "of", classmethod(lambda cls, stream: screen))
    code, out, _ = run_command(duckdb_shop, capsys, "history", "--last", "12")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert "\x1b" not in out
    assert "next  python main.py show" in out
    out.encode(encoding)
    begun = [line for line in lines if " Nov " in line]
    assert len(begun) == 12
    assert len(lines) <= 12 * (4 if width < 60 else 2) + 10


def test_after_400_nights_all_are_told_from_a_few_figures(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real runs too leave no more than that after forty nights."""
    first = shop.publish()
    text = shop.star.scalar("SELECT counts FROM etl_run")
    nights(shop, 400)
    with shop.star.connection() as connection:
        connection.execute(
            sa.text("UPDATE etl_run SET counts = :text, sources = :text WHERE sequence = 1"),
            {"text": text},
        )
        connection.commit()
    shop.publish()
    runs = told(shop, capsys, "--last", "500")
    assert len(runs) == 401
    assert (runs[-1]["rows"], runs[-1]["new"], runs[-1]["net_change"]) == (
        7, 7, {"": "729.9725"}
    )  # fmt: skip
    assert all(run["rows"] for run in runs)
    size = "SELECT max(length(counts)) FROM etl_run WHERE sequence < 350"
    assert shop.star.scalar(size) < 2500 < len(text)
    assert first["run_id"] not in {run["run_id"] for run in runs}


def test_a_row_of_an_old_version_shows_what_is_known(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.star.restore("0.1.0")
    runs = told(shop, capsys)
    assert {run["result"] for run in runs} >= {"published"}
    assert all(run["new"] is not None for run in runs if run["status"] == "published")
    code, out, _ = run_command(shop, capsys, "history")
    assert (code, "published" in out) == (0, True)


@pytest.mark.parametrize(
    "text",
    [
        "x", "[]", "{}", '{"phases": 1}', '{"totals": {"read": []}}',
        '{"fact_loading_results": {"records_deleted": {"by_flag": 1e400}}}',
        '{"transformation_results": {"dim_customer": {"rejected": {"missing_key": 1e400}}}}',
    ],
)  # fmt: skip
def test_a_damaged_row_is_a_run_like_any_other(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    duckdb_shop.publish()
    duckdb_shop.star.execute(f"UPDATE etl_run SET counts = '{text.replace(':', chr(92) + ':')}'")
    (run,) = told(duckdb_shop, capsys)
    assert (run["result"], run["new"]) == ("published", None)
    assert run_command(duckdb_shop, capsys, "history")[0] == 0


def test_it_changes_nothing_and_waits_for_nobody(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a DuckDB file that a run has open it says so."""
    code, _, err = run_command(shop, capsys, "history")
    if shop.star.engine_name == "duckdb":
        assert (code, "there is no star yet" in err) == (1, True)
        assert not list(shop.folder.parent.glob("*.duckdb*"))
    else:
        assert (code, shop.star.tables(), err) == (0, set(), "")
    shop.publish()
    before = shop.star.digest()
    with open_warehouse(shop.config(), "the-holder"):
        code, out, err = run_command(shop, capsys, "history", "--json")
    if shop.star.engine_name == "duckdb":
        assert (code, json.loads(out)["exit_code"]) == (4, 4)
        assert "in use" in err
    else:
        assert len(json.loads(out)) == 1
    assert shop.star.digest() == before


def test_what_is_absent_is_removed_too(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    """A sale whose row says so, and a sale, a customer and a product that no row names any more."""
    shop.publish()
    shop.sales = [sale | {"is_deleted": ""} for sale in shop.sales]
    shop.sales[0]["is_deleted"] = "yes"
    shop.publish()
    del shop.sales[1], shop.customers[1], shop.products[0]
    full = {f"{name}__EXTRACT": "full" for name in ("TRANSACTIONS", "CUSTOMERS", "PRODUCTS")}
    run_id = shop.publish(MAX_DELETE_RATE=1, **full)["run_id"]
    shop.publish(MAX_DELETE_RATE=1, **full)
    assert [run["removed"] for run in told(shop, capsys)] == [0, 3, 1, 0]
    _, out, _ = run_command(shop, capsys, "show", run_id)
    told_of = [line.split() for line in out.splitlines()]
    assert ["star", "rows", "now", "new", "gone", "inferred"] in told_of
    assert ["dim_customer", "3", "·", "1", "·"] in told_of
    assert ["fact_sales", "1", "·", "1"] in [words[:4] for words in told_of]


def test_a_row_that_version_0_5_thinned_shows_what_was_loaded(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    results = duckdb_shop.publish()
    kept = {n: results[n] for n in ("dimension_loading_results", "fact_loading_results")}
    with duckdb_shop.star.connection() as connection:
        connection.execute(
            sa.text("UPDATE etl_run SET counts = :text, sources = '{}'"), {"text": json.dumps(kept)}
        )
        connection.commit()
    (run,) = told(duckdb_shop, capsys)
    assert (run["rows"], run["new"], run["changed"], run["removed"]) == (None, 3, 0, 0)
    code, out, _ = run_command(duckdb_shop, capsys, "show")
    assert (code, "are not kept" in out) == (0, True)
    assert run_command(duckdb_shop, capsys, "history")[0] == 0

"""Which part of the sources a run is of: --full-refresh, --since and --until."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from config import load_config
from errors import ConfigError
from main import StarSchemaETLPipeline
from support.commands import run_command
from support.retailer import Retailer, recognised

PERIOD = {"TRANSACTIONS__EXTRACT": "period"}
QUERY = "select * from sales where changed >= :since"
WATERMARK = {
    "TRANSACTIONS__PATH": "sqlite:///shop.db",
    "TRANSACTIONS__QUERY": QUERY,
    "TRANSACTIONS__WATERMARK": "changed",
}


@pytest.mark.parametrize(
    ("settings", "options", "told"),
    [
        ({}, ["--since", "2026-01-01"], "--since: no source has a WATERMARK or EXTRACT=period"),
        ({}, ["--until", "2026-01-01"], "--until: no source has EXTRACT=period"),
        (WATERMARK, ["--since", "5", "--until", "2026-01-01"], "--until: no source"),
        (PERIOD, [], "TRANSACTIONS__PERIOD is missing for TRANSACTIONS__EXTRACT=period"),
        (PERIOD, ["--since", "2026-01-01"], "a period needs both"),
        (PERIOD, ["--since", "1", "--until", "2"], "a period needs both, as dates"),
        (PERIOD, ["--since", "2026-01-01", "--until", "2025-01-01"], "ends before it begins"),
        (PERIOD, ["--since", "soon", "--until", "2025-01-01"], "'soon' is no ISO date"),
        (WATERMARK, ["--since", "2026-13-01"], "'2026-13-01' is no ISO date"),
        (WATERMARK, ["--full-refresh"], "TRANSACTIONS__WATERMARK: EXTRACT=full (--full-re"),
        ({**WATERMARK, "TRANSACTIONS__EXTRACT": "full"}, [], "TRANSACTIONS__WATERMARK: EXTRACT=f"),
        ({**WATERMARK, **PERIOD}, [], "TRANSACTIONS__WATERMARK: EXTRACT=period"),
        ({**WATERMARK, "TRANSACTIONS__LAG": "soon"}, [], "TRANSACTIONS__LAG is no lag such as"),
        ({"TRANSACTIONS__LAG": "2 days"}, [], "TRANSACTIONS__LAG is of a WATERMARK"),
        ({"TRANSACTIONS__WATERMARK": "changed"}, [], "TRANSACTIONS__PATH is no database"),
        (
            {**WATERMARK, "TRANSACTIONS__QUERY": "select * from sales"},
            [],
            "TRANSACTIONS__QUERY has no :since",
        ),
        (
            {**WATERMARK, "TRANSACTIONS__WATERMARK": ""},
            [],
            "TRANSACTIONS__QUERY has :since, and TRANSACTIONS__WATERMARK is not set",
        ),
    ],
)
@pytest.mark.parametrize("command", ["", "check"])
def test_options_that_do_not_fit_the_settings_are_refused_before_anything_is_touched(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    options: list[str],
    told: str,
    command: str,
) -> None:
    shop = duckdb_shop
    code, out, err = run_command(shop, capsys, *filter(None, [command]), *options, **settings)
    assert (code, out) == (2, "")
    assert told in err
    assert not (shop.folder / "etl.log").exists()
    assert not Path(str(sa.make_url(shop.star.url).database)).exists()


def test_options_in_front_of_a_command_are_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_command(duckdb_shop, capsys, "--full-refresh", "check")
    assert code == 2
    assert "behind the command" in err


def test_since_and_until_are_the_period_of_the_run(duckdb_shop: Retailer) -> None:
    config = duckdb_shop.config(**PERIOD)
    first, last = date(2024, 3, 1), date(2024, 3, 2)
    run = StarSchemaETLPipeline(config, since="2024-03-01", until=last, quiet=True)
    assert run.config.source("transactions").period == (first, last)
    assert run.config.source("customers").period is None
    assert run.run_full_pipeline()["status"] == "published"
    of_the_settings = duckdb_shop.config(**PERIOD, TRANSACTIONS__PERIOD="2024-02-01/2024-02-29")
    again = StarSchemaETLPipeline(of_the_settings, since=first, until=last)
    assert again.config.source("transactions").period == (first, last)
    with pytest.raises(ConfigError, match="as dates"):
        StarSchemaETLPipeline(config, since=datetime(2024, 3, 1, 10), until=last)


def test_full_refresh_makes_every_source_a_full_extract(duckdb_shop: Retailer) -> None:
    config = load_config(None, duckdb_shop.settings(**PERIOD))
    run = StarSchemaETLPipeline(config, full_refresh=True)
    extracts = {name: source.extract for name, source in run.config.sources.items()}
    assert extracts == {
        "customers": "full",
        "products": "full",
        "transactions": "full",
        "sales_reps": "changes",  # not configured
    }
    assert run.config.max_delete_rate == Decimal(1)


def test_a_full_refresh_is_no_repetition(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run_command(duckdb_shop, capsys, "--full-refresh")[0] == 0
    assert recognised(duckdb_shop) == 0
    for _ in range(2):
        assert run_command(duckdb_shop, capsys)[0] == 0
    assert recognised(duckdb_shop) == 1

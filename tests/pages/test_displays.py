"""What a run, its settings and its stages show of themselves in a notebook."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config import load_config
from errors import RequestError
from extract import DataExtractor
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from main import StarSchemaETLPipeline
from pages.results import Results
from support.browser import DESKTOP, PHONE, opened
from support.code import python
from support.retailer import Retailer, tomorrow
from transform import StarSchemaTransformer
from validate import StarSchemaValidator

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CANARY = "s3cr3t"
HOSTILE = "<img src=x onerror=alert(1)>.csv"
"""A file of this name is found by a pattern."""


def ran(shop: Retailer, *, dry_run: bool = False) -> Results:
    """The results of a run, which says nothing."""
    return StarSchemaETLPipeline(shop.config(), quiet=True, dry_run=dry_run).run_full_pipeline()


def spoil(shop: Retailer) -> None:
    """A sale of a customer whose id needs all its zeros, and whose date is none."""
    shop.sales.append({**shop.sales[0], "transaction_id": "007", "transaction_date": "n/a"})


def test_results_are_the_dict_that_they_were(duckdb_shop: Retailer) -> None:
    results = ran(duckdb_shop)
    assert isinstance(results, dict)
    assert json.loads(json.dumps(results)) == results
    assert dict(results) == results
    assert list(results)[:3] == ["run_id", "status", "success"]


def test_a_copy_of_results_has_no_settings(duckdb_shop: Retailer) -> None:
    config = duckdb_shop.config(NOTIFY_URL=f"https://hooks.example/{CANARY}")
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    for other in (copy.copy(results), copy.deepcopy(results)):
        assert type(other) is dict
        assert other == results
    assert CANARY.encode() not in bytes(ForkingPickler.dumps(results))


def test_results_are_told_in_one_line(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    results = ran(duckdb_shop)
    told = repr(results)
    assert str(results) == told
    assert results["run_id"] in told
    assert "published: 8 rows in" in told
    assert ", 1 rejected" in told
    assert "\n" not in told


def test_the_rejects_are_a_frame_of_text(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    results = ran(duckdb_shop)
    found = results.rejects("transactions")
    (row,) = found.to_dict("records")
    assert row["transaction_id"] == "007"
    assert (row["_reason"], row["_line"]) == ("invalid_date", "5")
    assert {str(kind) for kind in found.dtypes} == {"str"}
    assert [*found.columns[-5:]] == ["_reason", "_detail", "_line", "_file", "_raw"]
    both = results.rejects()
    assert [*both["_source"]] == ["transactions"]
    assert [*both.columns[:2]] == ["_source", "_reason"]
    assert {*both.columns} == {"_source", *found.columns}
    assert len(results.rejects("customers")) == 0


def test_the_rejects_of_several_sources_are_one_frame(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    duckdb_shop.customers.append({**duckdb_shop.customers[0], "customer_id": ""})
    found = ran(duckdb_shop).rejects()
    assert sorted(found["_source"]) == ["customers", "transactions"]
    assert found["transaction_id"].isna().sum() == 1


def test_without_rejects_the_frame_is_empty_and_has_its_columns(duckdb_shop: Retailer) -> None:
    results = ran(duckdb_shop)
    assert results.rejects().shape == (0, 6)
    assert [*results.rejects("products")] == ["_reason", "_detail", "_line", "_file", "_raw"]
    with pytest.raises(RequestError, match="there is no source 'sales'; there are customers, "):
        results.rejects("sales")


def test_rejects_that_are_not_there_are_no_empty_frame(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    dry = ran(duckdb_shop, dry_run=True)
    with pytest.raises(RequestError, match=r"did not write the rejects of transactions; .*rejects"):
        dry.rejects()
    results = ran(duckdb_shop)
    (Path(results["rejects_dir"]) / "transactions.csv").unlink()
    with pytest.raises(RequestError, match=r"not in .* any more"):
        results.rejects()
    assert len(results.rejects("customers")) == 0


def test_a_run_shows_its_verdict_first_and_the_next_step_last(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    shown = ran(duckdb_shop)._repr_html_()
    assert shown.index("published") < shown.index("net amount") < shown.index("results.rejects()")


def test_what_files_are_called_is_text(duckdb_shop: Retailer) -> None:
    spoil(duckdb_shop)
    config = duckdb_shop.config(TRANSACTIONS__PATH=duckdb_shop.folder / "<*.csv")
    duckdb_shop.path("transactions").rename(duckdb_shop.folder / HOSTILE)
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert HOSTILE not in results._repr_html_()
    assert "&lt;img src=x onerror=alert(1)&gt;.csv:5" in results._repr_html_()
    assert results.rejects()["_file"][0].endswith(HOSTILE)


def test_each_ending_has_its_words(duckdb_shop: Retailer) -> None:
    assert "would publish" in ran(duckdb_shop, dry_run=True)._repr_html_()
    duckdb_shop.publish()
    assert "nothing new" in ran(duckdb_shop)._repr_html_()
    tomorrow(duckdb_shop)
    assert "published" in ran(duckdb_shop)._repr_html_()
    spoil(duckdb_shop)
    refused = duckdb_shop.run(StarSchemaETLPipeline, MAX_REJECT_RATE="0.01")
    assert isinstance(refused, Results)
    assert "refused" in refused._repr_html_()
    duckdb_shop.files["products"] = None
    assert "failed" in ran(duckdb_shop)._repr_html_()


def test_settings_show_what_differs_and_no_secret() -> None:
    config = load_config(
        None,
        {
            "WAREHOUSE_URL": f"postgresql://etl:{CANARY}@db/shop",
            "NOTIFY_URL": f"https://hooks.example/{CANARY}",
            "CUSTOMERS__PATH": f"https://etl:{CANARY}@files.example/c.csv?signature={CANARY}",
            "CUSTOMERS__NULL_TOKENS": '["<none>"]',
            "MAX_REJECT_RATE": "0.1",
        },
    )
    shown = config._repr_html_()
    for told in (shown, repr(config)):
        assert CANARY not in told
        for name in ("CUSTOMERS__PATH", "CUSTOMERS__NULL_TOKENS", "MAX_REJECT_RATE", "NOTIFY_URL"):
            assert name in told
        assert "LOG_LEVEL" not in told
    assert "&lt;none&gt;" in shown
    assert "0.05" in shown  # the default
    assert repr(load_config(None, {})) == (
        "StarSchemaConfig(WAREHOUSE_URL='duckdb:///data/warehouse.duckdb')"
    )


def test_each_stage_says_what_it_is_and_of_what(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    config = duckdb_shop.config()
    place, file = str(config.warehouse_url), str(duckdb_shop.path("transactions"))
    for made, told in (
        (StarSchemaETLPipeline(config), place),
        (DataExtractor(config), f"transactions: {file}"),
        (StarSchemaTransformer(config), "dim_customer, dim_product, dim_sales_rep, dim_date, fact"),
        (DimensionLoader(config), place),
        (FactLoader(config), place),
        (StarSchemaValidator(config), place),
    ):
        assert repr(made).startswith(f"<{type(made).__name__} ")
        assert told in repr(made)
    with DimensionLoader(config) as loader:
        keys = loader.load_all_dimensions({})
    assert repr(keys["dim_customer"]) == "<KeyMap: 3 by customer_id>"


def test_what_was_read_and_checked_is_shown_and_stays_a_dict(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    sources = DataExtractor(duckdb_shop.config()).extract_all_sources()
    assert isinstance(sources, dict)
    assert len(repr(sources)) < 100
    assert "transaction_date" in sources._repr_html_()  # type: ignore[attr-defined]
    checks = StarSchemaValidator(duckdb_shop.config()).run_all_checks()
    assert json.loads(json.dumps(checks)) == checks
    assert "nothing is wrong" in checks._repr_html_()  # type: ignore[attr-defined]
    assert type(copy.copy(checks)) is dict
    duckdb_shop.star.execute("UPDATE fact_sales SET net_amount = 0 WHERE transaction_id = 'T1'")
    broken = StarSchemaValidator(duckdb_shop.config()).run_all_checks()
    assert "checks failed" in broken._repr_html_()  # type: ignore[attr-defined]


def test_a_run_needs_nothing_of_what_only_displays_do(tmp_path: Path) -> None:
    told = python("import json, sys, main; print(json.dumps([*sys.modules]))", cwd=tmp_path)
    assert not {"IPython", "jinja2", "pygal"} & set(json.loads(told))


HOSTS = {
    "a light page": 'style="background:#fff;color:#212121"',
    "JupyterLab, dark": 'data-jp-theme-light="false" style="background:#111;color:#ddd"',
    "VS Code, dark": 'class="vscode-dark" style="background:#1e1e1e;color:#ccc"',
}
"""What the body of a page has in which displays stand."""


OUTPUT = '<div role="region" aria-label="output" tabindex="0" style="overflow-x:auto">'
"""A cell's output, which scrolls where something in it is too wide."""


def displays(shop: Retailer) -> Iterator[str]:
    """All that is shown: runs with each ending, settings, checks and what was read."""
    spoil(shop)
    shop.customers.append({**shop.customers[0], "customer_id": "C9", "first_name": "<b>Eve</b>"})
    for made in (ran(shop, dry_run=True), ran(shop), ran(shop)):
        yield made._repr_html_()
    tomorrow(shop)
    for made in (ran(shop, dry_run=True), ran(shop)):
        yield made._repr_html_()
    config = shop.config(MAX_REJECT_RATE="0.01", CUSTOMERS__NULL_TOKENS='["<none>"]')
    yield config._repr_html_()
    yield StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()._repr_html_()
    yield DataExtractor(config).extract_all_sources()._repr_html_()  # type: ignore[attr-defined]
    yield StarSchemaValidator(config).run_all_checks()._repr_html_()  # type: ignore[attr-defined]
    shop.files["products"] = None
    yield ran(shop)._repr_html_()


def test_displays_can_be_read_wherever_they_stand(
    duckdb_shop: Retailer, chromium: Browser, tmp_path: Path
) -> None:
    shown = "\n".join(displays(duckdb_shop))
    assert "city *** → ***" in shown  # a dry run says that it changes, and not to what
    assert not [name for name in ("Eve", "Lovelace", "London", "Paris", "ada@") if name in shown]
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>notebook</title>'
    page = tmp_path / "page.html"
    for host in HOSTS.values():
        page.write_text(f"{head}<body {host}><main>{OUTPUT}{shown}</div></main>", encoding="utf-8")
        for width in (DESKTOP, PHONE):
            with opened(chromium, page, width=width) as found:
                assert found.heard == []
                assert found.asked == [page.as_uri()]
                assert not found.is_too_wide()
                assert found.barriers() == []

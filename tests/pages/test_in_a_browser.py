"""The page of a run in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.browser import opened
from support.retailer import Retailer

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_page_of_a_run_asks_for_nothing_but_itself(
    duckdb_shop: Retailer, chromium: Browser
) -> None:
    folder = duckdb_shop.folder / "reports"
    duckdb_shop.publish(REPORTS_DIR=folder)
    page = folder / "latest.html"
    with opened(chromium, page) as seen:
        assert seen.asked == [page.as_uri()]
        assert seen.heard == []
        assert seen.page.locator("h1").count() == 1

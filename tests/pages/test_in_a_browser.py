"""The page of a run in a real browser: wide and narrow, light and dark, by keyboard, on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import DESKTOP, PHONE, Scheme, opened
from support.retailer import Retailer, tomorrow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "a name that does not end " * 20 + "x" * 300
WINDOWS: list[tuple[int, Scheme]] = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")]


@pytest.fixture
def page(duckdb_shop: Retailer) -> Path:
    """The page of a second night, in which is something of everything: changes of members, rejects,
    warnings, and names that are long, or run from right to left.
    """
    duckdb_shop.products[0] |= {"name": LONG, "category": "العربية", "brand": "<b>B</b>"}
    duckdb_shop.publish()
    tomorrow(duckdb_shop)
    duckdb_shop.customers[1] |= {"segment": LONG, "country": "\u202eDE", "email": "nobody"}
    sale = duckdb_shop.sales[0]
    duckdb_shop.sales += [
        sale | {"transaction_id": "T7", "quantity": "two"},
        sale | {"transaction_id": LONG, "transaction_date": "29.02.2024"},
        sale | {"transaction_id": "T8", "customer_id": "C9", "sales_rep_id": ""},
    ]
    folder = duckdb_shop.folder / "reports"
    duckdb_shop.publish(REPORTS_DIR=folder)
    return folder / "latest.html"


def failed_page(shop: Retailer) -> Path:
    """The page of a night after a good one, whose file lacks a column."""
    shop.publish()
    shop.files["transactions"] = "transaction_id,transaction_date,customer_id,quantity\n"
    folder = shop.folder / "reports"
    assert shop.run(REPORTS_DIR=folder)["status"] == "failed"
    return folder / "latest.html"


def test_a_page_asks_for_nothing_but_itself(page: Path, chromium: Browser) -> None:
    with opened(chromium, page) as seen:
        assert seen.asked == [page.as_uri()]
        assert seen.heard == []
        assert "Published" in seen.page.locator("h1").inner_text()
        charts = seen.page.locator("svg[role=img]")
        assert charts.count() >= 3
        for chart in charts.all():
            if chart.is_visible():
                box = chart.bounding_box()
                assert box is not None
                assert box["width"] > 100
                assert box["height"] > 30


def test_nobody_is_kept_from_reading_a_page(page: Path, chromium: Browser) -> None:
    for width, scheme in WINDOWS:
        with opened(chromium, page, width=width, scheme=scheme) as seen:
            assert seen.barriers() == []
            seen.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert seen.barriers() == []
            assert not seen.is_too_wide()
            assert seen.heard == []


def test_nobody_is_kept_from_reading_why_a_night_failed(
    duckdb_shop: Retailer, chromium: Browser
) -> None:
    page = failed_page(duckdb_shop)
    for width, scheme in WINDOWS:
        with opened(chromium, page, width=width, scheme=scheme) as seen:
            assert "Failed" in seen.page.locator("h1").inner_text()
            assert "product_id, unit_price are missing" in seen.page.locator("header").inner_text()
            assert "TRANSACTIONS__COLUMNS" in seen.page.locator(".next").inner_text()
            assert "as it was published on" in seen.page.locator("#business").inner_text()
            assert seen.barriers() == []
            assert not seen.is_too_wide()


def test_the_verdict_is_in_the_first_screen_of_a_telephone(page: Path, chromium: Browser) -> None:
    with opened(chromium, page, width=PHONE) as seen:
        for what in ("h1", ".lead", ".next", ".figures >> nth=0"):
            box = seen.page.locator(what).bounding_box()
            assert box is not None
            assert box["y"] < 640


def test_light_and_dark_are_two_looks(page: Path, chromium: Browser) -> None:
    looks = []
    schemes: tuple[Scheme, Scheme] = ("light", "dark")
    for scheme in schemes:
        with opened(chromium, page, scheme=scheme) as seen:
            looks.append(
                seen.page.evaluate(
                    "['body', '.chart text', '.columns rect'].map(name => {"
                    "const style = getComputedStyle(document.querySelector(name));"
                    "return [style.backgroundColor, style.color, style.fill].join()})"
                )
            )
    assert all(light != dark for light, dark in zip(*looks, strict=True))


def test_a_page_is_read_by_keyboard(page: Path, chromium: Browser) -> None:
    with opened(chromium, page) as seen:
        seen.page.keyboard.press("Tab")
        skip = seen.page.locator(":focus")
        assert skip.inner_text() == "Skip to the content"
        box = skip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.activeElement.id") == "content"
        months = seen.page.locator("#business summary").first
        months.focus()
        seen.page.keyboard.press("Enter")
        assert seen.page.get_by_role("table", name="Net amount by month").is_visible()


def test_a_page_prints(page: Path, chromium: Browser) -> None:
    with opened(chromium, page) as seen:
        assert seen.page.pdf(format="A4").startswith(b"%PDF")
        seen.page.set_viewport_size({"width": 700, "height": 1000})  # about that of A4
        seen.page.emulate_media(media="print")
        assert not seen.page.locator("nav").is_visible()
        assert seen.page.locator("#business svg").first.is_visible()
        assert not seen.is_too_wide()

"""The page of a run: what stands in it, without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from common.checks import proves
from config import load_config
from main import StarSchemaETLPipeline
from pages.business import Bar, Breakdown, Business, Figures
from pages.page import page
from pages.shown import MINUS
from pages.story import Story
from run.past_summary import summary_of
from support.application import ROOT
from support.retailer import SHRINKING, Retailer, a_day_later, shrink, tomorrow
from support.stores import star_with_stores
from support.tables import Row
from warehouse.runs import PastRun

_VOID = {"meta", "link", "br", "hr", "img", "input", "circle", "path", "rect"}


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[Node] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Node]:
        """The elements of a kind in it, in their order."""
        found = []
        for node in self.inside:
            wanted = attributes.items()
            if node.tag == tag and all(node.attributes.get(n) == v for n, v in wanted):
                found.append(node)
            found += node.all(tag, **attributes)
        return found

    @property
    def words(self) -> str:
        """All text in it, blanks as one."""
        return " ".join(self.text.split())


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open[-1].tag == tag, f"{tag} ends {self.open[-1].tag}"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        for node in self.open:
            node.text += f"{data} "


def parsed(path: Path) -> Node:
    """A page as a tree, in which each element ends where it should."""
    return as_tree(path.read_text(encoding="utf-8"))


def as_tree(text: str) -> Node:
    """The same of its text."""
    tree = _Tree()
    tree.feed(text)
    tree.close()
    assert tree.open == [tree.root]
    return tree.root


def page_of(shop: Retailer, **changed: object) -> tuple[Row, Node, str]:
    """The results of a night, its page, and its text."""
    folder = shop.folder / "reports"
    results = shop.publish(REPORTS_DIR=folder, **changed)
    path = folder / f"{results['run_id']}.html"
    return results, parsed(path), path.read_text(encoding="utf-8")


def rows(page: Node, caption: str) -> dict[str, list[str]]:
    """By the header of each row, the cells of the table with a caption."""
    [table] = [table for table in page.all("table") if table.all("caption")[0].words == caption]
    return {
        row.all("th")[0].words: [cell.words for cell in row.all("td")]
        for row in table.all("tbody")[0].all("tr")
    }


def number(text: str) -> int:
    """A number of rows as it is shown."""
    return 0 if text == "·" else int(text.replace(",", ""))


@pytest.fixture
def night(duckdb_shop: Retailer) -> tuple[Row, Node, str]:
    """The page of a second night, with corrections, rejects and duplicates."""
    duckdb_shop.publish()
    tomorrow(duckdb_shop)
    bad = duckdb_shop.sales[0] | {"transaction_id": "T9", "quantity": "two"}
    duckdb_shop.sales += [bad, bad | {"transaction_id": "T8"}, dict(duckdb_shop.sales[1])]
    return page_of(duckdb_shop)


def test_a_page_is_whole_and_loads_nothing(night: tuple[Row, Node, str]) -> None:
    _, page, text = night
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?\s*(?!#)[^\s\"'>]+", text)
    assert "@import" not in text
    assert [s.attributes["type"] for s in page.all("script")] == ["application/json"]
    [policy] = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'")
    named = {node.attributes["href"].removeprefix("#") for node in page.all("a")}
    assert named <= set(ids)


def test_headings_are_in_order_and_tables_say_what_they_are(night: tuple[Row, Node, str]) -> None:
    _, page, text = night
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    captions = [table.all("caption")[0].words for table in page.all("table")]
    assert all(captions)
    assert len(captions) == len(set(captions))
    for table in page.all("table"):
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.all("th"))
    for chart in page.all("svg"):
        assert chart.attributes["role"] == "img"
        assert chart.attributes.get("aria-label") or chart.all("title")
    assert [len(page.all(tag)) for tag in ("main", "header", "footer")] == [1, 1, 1]


def test_the_numbers_are_those_of_the_summary(night: tuple[Row, Node, str]) -> None:
    results, page, _ = night
    accounts = results["validation_results"]["reconciliation"]
    steps = rows(page, "What became of sales")
    told = accounts["sources"]["transactions"]
    shown = {name.removeprefix(f"{MINUS} "): number(cells[0]) for name, cells in steps.items()}
    names = {
        "read": "read", "duplicates": "duplicate", "rejected": "rejected",
        "unchanged": "unchanged", "changed": "updated", "new": "inserted",
    }  # fmt: skip
    assert shown == {ours: told[theirs] for ours, theirs in names.items()}
    assert shown["rejected"] == 2
    assert shown["duplicates"] == 1

    changed = rows(page, "What changed in each table of the star")
    for name, table in (("customers", "dim_customer"), ("products", "dim_product")):
        counts = results["dimension_loading_results"][table]
        new, moved, same, now = map(number, changed[name])
        assert (new, moved, same) == (counts["inserted"], counts["updated"], counts["unchanged"])
        assert now == results["validation_results"]["row_counts"][table] - 1
    facts = results["fact_loading_results"]
    assert [*map(number, changed["sales"])][:3] == [
        facts["records_inserted"], facts["records_updated"], facts["records_unchanged"],
    ]  # fmt: skip

    [reasons] = rows(page, "Rejected rows by reason").items()
    assert reasons[0] == "invalid_quantity"
    assert reasons[1][1] == "2"
    first = results["transformation_results"]["fact_sales"]["first"]["invalid_quantity"]
    assert reasons[1][-1].split() == [*first["detail"].split(), f"sales.csv:{first['line']}"]

    checks = rows(page, "The checks of the star, and what each proves")
    assert all(cells[0] == "✔ passed" for cells in checks.values())
    assert set(checks) == {each["check"] for each in results["validation_results"]["checks"]}

    phases = rows(page, "The phases of the run, one after the other")
    took = {name.capitalize().replace("_", " ") for name in results["phases"]}
    assert took <= set(phases)
    balance = rows(page, "The balance of the star")["sales"]
    parts = ("rows_before", "rows_inserted", "", "rows_removed", "rows_after")
    told_balance = [accounts["balance"].get(part, 0) for part in parts]
    assert [*map(number, balance[:5])] == told_balance


def test_each_check_of_a_run_says_what_it_proves(night: tuple[Row, Node, str]) -> None:
    results, page, _ = night
    told = rows(page, "The checks of the star, and what each proves")
    for check in results["validation_results"]["checks"]:
        assert proves(check["check"]) != check["check"]
        assert told[check["check"]][1] == proves(check["check"])


def test_what_goes_away_is_shown_as_such(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish(**SHRINKING)
    shrink(duckdb_shop)
    _, page, _ = page_of(duckdb_shop, **SHRINKING)
    [heads] = [
        [head.words for head in table.all("thead")[0].all("th")]
        for table in page.all("table")
        if table.all("caption")[0].words == "What changed in each table of the star"
    ]
    changed = rows(page, "What changed in each table of the star")
    assert changed["sales"][heads.index("removed") - 1] == "2"
    assert changed["customers"][heads.index("flagged") - 1] == "1"
    assert rows(page, "What became of sales")[f"{MINUS} removed a sale"][0] == "1"


def test_names_that_look_like_a_page_are_text(duckdb_shop: Retailer) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
    duckdb_shop.products[0] |= {"name": hostile, "category": hostile, "brand": "م" * 300}
    duckdb_shop.customers[0]["segment"] = hostile
    duckdb_shop.customers[0]["country"] = "\u202e\U0001f600" * 40
    duckdb_shop.sales[0] |= {"sales_rep_id": hostile, "discount_amount": hostile}
    _, page, text = page_of(duckdb_shop)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert page.all("img") == []
    assert len(page.all("script")) == 1


def test_a_page_of_an_empty_star_says_so(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales = []
    duckdb_shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
    )
    _, page, text = page_of(duckdb_shop)
    assert "Published" in page.all("h1")[0].words
    assert "NaN" not in text
    assert number(rows(page, "What became of sales")["read"][0]) == 0
    [sales] = [t for t in page.all("table") if t.all("caption")[0].words == "What became of sales"]
    assert sales.all("span") == []  # a bar of nothing


def test_the_next_step_goes_with_what_is_worth_a_look(duckdb_shop: Retailer) -> None:
    def top() -> str:
        return page_of(duckdb_shop)[1].all("p", **{"class": "next"})[0].words

    assert top() == "Next Nothing needs to be done."
    duckdb_shop.sales[0]["customer_id"] = "C9"
    assert "have a look" in top()


def test_a_refused_run_says_how_many_rows_were_too_many(duckdb_shop: Retailer) -> None:
    duckdb_shop.sales[0]["quantity"] = "two"
    folder = duckdb_shop.folder / "reports"
    assert duckdb_shop.run(REPORTS_DIR=folder, MAX_REJECT_RATE="0.1")["status"] == "gate_failed"
    lead = parsed(folder / "latest.html").all("p", **{"class": "lead"})[0].words
    assert lead.startswith("The run was refused: 1 of 3 sales rejected"), lead


def test_personal_values_are_shown_only_where_that_is_wanted(duckdb_shop: Retailer) -> None:
    a_day_later(duckdb_shop)
    _, page, text = page_of(duckdb_shop)
    caption = "The first values that were overwritten"
    assert rows(page, caption)["C1"] == ["customers", "city", "personal: not shown", "changed"]
    assert not [name for name in ("London", "Paris", "Lovelace", "Hopper") if name in text]
    duckdb_shop.customers[0]["city"] = "Vienna"
    wanted = {"KEEP_PERSONAL_CHANGES": "true", "REPORT_PERSONAL": "true"}
    _, page, _ = page_of(duckdb_shop, **wanted)
    assert rows(page, caption)["C1"] == ["customers", "city", "Paris", "Vienna", "changed"]


def test_a_star_with_more_is_shown_with_more(duckdb_shop: Retailer, tmp_path: Path) -> None:
    more = {"store_id": "S1", "tax_amount": "1.9", "order_number": "4711"}
    duckdb_shop.sales = [sale | more for sale in duckdb_shop.sales]
    stores = tmp_path / "stores.csv"
    stores.write_text("store_id,city,opened_on\nS1,Rome,2020-05-01\n", encoding="utf-8")
    folder = tmp_path / "reports"
    settings = duckdb_shop.settings(STORES__PATH=stores, REPORTS_DIR=folder)
    config = load_config(None, settings, star_with_stores())
    results = StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()
    assert results["errors"] == []
    page = parsed(folder / "latest.html")
    assert rows(page, "What changed in each table of the star")["stores"][0] == "1"
    assert rows(page, "What became of stores")["read"][0] == "1"
    assert rows(page, "Top stores by net amount")["S1"][1] == "100.0 %"
    assert rows(page, "The columns of dim_store")["opened_on"][0] == "date"
    totals = page.all("section", id="business")[0].all("dl")[0]
    assert "tax amount 5.70" in totals.words
    assert "dim_store" in page.all("svg")[-1].words


def test_rejects_are_told_in_money_by_reason(duckdb_shop: Retailer) -> None:
    bad = duckdb_shop.sales[0] | {"transaction_date": "yesterday"}
    unpriced = duckdb_shop.sales[0] | {"transaction_id": "T8", "quantity": "two"}
    duckdb_shop.sales += [bad | {"transaction_id": "T6"}, bad | {"transaction_id": "T7"}, unpriced]
    results, page, _ = page_of(duckdb_shop)
    told = rows(page, "Rejected rows by reason")
    assert told["invalid_date"][1:3] == ["2", "33 %"]
    assert told["invalid_date"][4] == "1,000"
    assert told["invalid_quantity"][4] == ""
    money = results["validation_results"]["reconciliation"]["money"]
    assert float(money["rejected"]) == 1000
    assert rows(page, "What became of net amount")[f"{MINUS} rejected"][0] == "1,000.00"


def story_of(shop: Retailer, status: str, **counts: object) -> Story:
    """What is told of a run of which only its row is left."""
    at = datetime(2026, 1, 2, 2, tzinfo=UTC)
    run = PastRun("20260102T020000-abcdef", at, at, status, dict(counts))
    config = shop.config()
    return Story(config, run, summary_of(run, config.rejects_dir)[0])


def test_of_a_run_long_ago_its_totals_are_shown(duckdb_shop: Retailer) -> None:
    totals = {"read": 20_633, "new": 12, "changed": 3, "rejected": 256, "seconds": 2.5}
    text = page(story_of(duckdb_shop, "published", totals=totals))
    top = as_tree(text).all("header")[0].words
    assert "Published" in top
    assert "20,633 rows in 2.50 s" in top
    assert "rows rejected 256" in top
    assert "only totals are kept" in text


def test_shares_are_of_all_sales_those_of_earlier_years_too(duckdb_shop: Retailer) -> None:
    one = Bar("2026-01", 3, Decimal("25.0000"))
    figures = Figures(
        9,
        {"net_amount": Decimal("100.0000"), "profit_amount": Decimal("40.0000")},
        [one],
        [Breakdown("category", "product", [replace(one, label="")], Bar("", 6, Decimal(75)), 9)],
        earlier=Bar("2019-03", 6, Decimal("75.0000")),
        without={"profit_amount": 2},
        net=Decimal("100.0000"),
    )
    business = Business("20250101T020000-abcdef", {"EUR": figures}, 4, 17)
    story = replace(story_of(duckdb_shop, "failed", errors=["it failed"]), business=business)
    section = as_tree(page(story)).all("section", id="business")[0]
    shown = rows(section, "Net amount by category in EUR")
    assert shown == {"(empty)": ["25", "25.0 %", ""], "8 others": ["75", "75.0 %", ""]}
    assert "published on 2025-01-01 02:00 UTC" in section.words
    assert "Before 2026-01, since 2019-03: 75 in 6 more sales." in section.words
    assert "without 2 that have none" in section.words
    assert "4 more currencies, with 17 sales, are not shown." in section.words


def test_shares_of_more_returns_than_sales_have_the_sign_they_have(
    duckdb_shop: Retailer,
) -> None:
    bars = [
        Bar("Home", 1, Decimal(50)),
        Bar("Office", 1, Decimal(0)),
        Bar("Toys", 1, Decimal(-250)),
    ]
    figures = Figures(
        3, {}, [], [Breakdown("category", "product", bars, None, 3)], net=Decimal(-200)
    )
    business = Business("20250101T020000-abcdef", {"": figures})
    story = replace(story_of(duckdb_shop, "failed", errors=["it failed"]), business=business)
    section = as_tree(page(story)).all("section", id="business")[0]
    shown = {name: row[1] for name, row in rows(section, "Net amount by category").items()}
    assert shown == {"Home": "\N{MINUS SIGN}25.0 %", "Office": "0.0 %", "Toys": "125.0 %"}


def test_a_run_that_came_nowhere_has_a_page(duckdb_shop: Retailer) -> None:
    error = "The warehouse cannot be opened: db.example.org: it does not answer; start it"
    tree = as_tree(page(story_of(duckdb_shop, "failed", errors=[error])))
    top = tree.all("header")[0].words
    assert "Failed" in top
    assert "it does not answer" in top
    assert "Next start it" in top
    assert "could not be asked" in tree.all("section", id="business")[0].words
    assert "NaN" not in tree.words


def test_text_can_be_told_from_its_ground() -> None:
    style = (ROOT / "pages" / "templates" / "page.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))
        for part in style.split("* { box-sizing")[0].split("@media")
    )
    grounds = {"card": 4.5, "page": 4.5}
    for colours in (light, dark):
        for ground, least in grounds.items():
            for name in ("ink", "soft", "accent", "good", "look", "bad"):
                assert _contrast(colours[name], colours[ground]) >= least, (name, ground)
        for tint, name in (("look-tint", "look"), ("look-tint", "ink"), ("bad-tint", "soft")):
            assert _contrast(colours[name], colours[tint]) >= 4.5, (name, tint)
        for bar in ("kept", "lost"):
            assert _contrast(colours[bar], colours["card"]) >= 3, bar


def _contrast(one: str, other: str) -> float:
    """By WCAG 2: 1 is none, 21 is black on white."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

"""The page of a run: what stands in it, without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from common.checks import proves
from pages.shown import MINUS
from support.retailer import SHRINKING, Retailer, shrink, tomorrow
from support.tables import Row

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
    tree = _Tree()
    tree.feed(path.read_text(encoding="utf-8"))
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

"""The pages in a shop's REPORTS_DIR."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from support.retailer import Retailer
from support.tables import Row

_FIGURES = re.compile(r'(<script [^>]*id="figures"[^>]*>)(.*?)(</script>)', re.DOTALL)
MARK = "Z4711"
"""A currency that no shop has."""


def folder_of(shop: Retailer) -> Path:
    """Where the pages of a shop are, if its settings are `with_pages`."""
    return shop.folder / "reports"


def with_pages(shop: Retailer, **settings: object) -> dict[str, object]:
    """Settings by which the runs of a shop write pages."""
    return {"REPORTS_DIR": folder_of(shop), **settings}


def pages(shop: Retailer) -> set[str]:
    """The names of all that is in the folder of the pages."""
    folder = folder_of(shop)
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def page_of(shop: Retailer, results: Row) -> str:
    """The page that a run says it has written."""
    return Path(results["report"]).read_text(encoding="utf-8")


def latest(shop: Retailer) -> str:
    """The page of the last run."""
    return (folder_of(shop) / "latest.html").read_text(encoding="utf-8")


def figures_in(text: str) -> Any:
    """The figures of the business that a page holds; None where it holds none."""
    found = _FIGURES.search(text)
    assert found, "no figures"
    return json.loads(found[2])


def mark_figures(path: Path) -> None:
    """Have the figures in a page say of themselves that they are those of this page."""
    text = path.read_text(encoding="utf-8")
    figures = figures_in(text)
    figures["currencies"][MARK] = next(iter(figures["currencies"].values()))
    marked = _FIGURES.sub(lambda found: found[1] + json.dumps(figures) + found[3], text)
    path.write_text(marked, encoding="utf-8")


def is_marked(text: str) -> bool:
    """Whether a page has taken figures from a page that was marked."""
    return MARK in figures_in(text)["currencies"]

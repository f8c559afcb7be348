"""Pages in a real headless Chromium: what they ask for, say, and look like."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from support.absent import not_here
from support.application import ROOT
from tools import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = 1280, 360
"""How wide a window is, in pixels."""
Scheme = Literal["light", "dark"]
_SERIOUS = ("serious", "critical")


@dataclass
class Opened:
    """A page in a window. `heard` has what its console says, `asked` the address of all that it has
    asked for, itself first.
    """

    page: Page
    heard: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways to see all of it."""
        found: bool = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return found

    def barriers(self) -> list[str]:
        """What axe-core finds that is serious or critical for people with disabilities."""
        # A page may forbid scripts: this one does not come from the page.
        self.page.evaluate(axe_core().read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {node['html'][:300]} {node['failureSummary']}"
            for rule in found["violations"]
            if rule["impact"] in _SERIOUS
            for node in rule["nodes"]
        ]


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium; where there is none, the test is told as not run."""
    path = chromium.chromium()
    if path is None:
        not_here("browser")
    with chromium.browser(path) as made:
        yield made


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = DESKTOP, scheme: Scheme = "light"
) -> Iterator[Opened]:
    """A file in a window of its own, once it is all there."""
    size = {"width": width, "height": 800}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:  # type: ignore[arg-type]
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.heard.append(message.text))
        found.page.on("pageerror", lambda error: found.heard.append(str(error)))
        found.page.on("request", lambda request: found.asked.append(request.url))
        found.page.goto(path.resolve().as_uri())
        yield found


def axe_core() -> Path:
    """The script of axe-core: that of AXE_CORE, or the one that `.ci/run` has fetched; where there
    is none, the test is told as not run.
    """
    named = os.environ.get("AXE_CORE")
    found = [Path(named)] if named else sorted((ROOT / ".cache").glob("**/axe-core/axe.min.js"))
    if not found:
        not_here("axe-core")
    return found[0]

"""A person who is forgotten: pages that may show names of them go."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from pathlib import Path

from config import StarSchemaConfig
from pages.keeping import is_page, is_personal


@dataclass(frozen=True)
class Removed:
    """Which pages were removed, or would be, and which could not be."""

    folder: Path | None
    pages: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def line(self, *, dry_run: bool) -> str:
        """The same for people."""
        if self.folder is None:
            return "not touched: pages of runs in folders that were REPORTS_DIR once"
        gone = "would be removed" if dry_run else "removed"
        return (
            f"pages in {self.folder}: {len(self.pages):,} that may show names (REPORT_PERSONAL) "
            f"{gone}; the others show ids only, and go by REPORTS_KEEP"
        )


def forget_in_pages(config: StarSchemaConfig, member: str, *, dry_run: bool) -> Removed:
    """Remove the pages in REPORTS_DIR that were made with personal data and name a member by its
    id. `report` makes them again, from what is left. With `dry_run` none is removed.
    """
    folder = config.reports_dir
    removed = Removed(folder)
    if folder is None or not folder.is_dir():
        return removed
    for path in sorted(folder.iterdir()):
        if is_page(path.name) and path.is_file():
            try:
                if _names(path.read_text(encoding="utf-8", errors="replace"), member):
                    if not dry_run:
                        path.unlink()
                    removed.pages.append(path.name)
            except OSError as error:
                removed.problems.append(f"{path} ({error.strerror})")
    return removed


def _names(text: str, member: str) -> bool:
    """Whether a page may have a name for the member with this id."""
    in_json = json.dumps(member)[1:-1]
    return is_personal(text) and (member in html.unescape(text) or in_json in text)

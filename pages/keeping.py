"""The pages in REPORTS_DIR: how one gets there whole, which ones stay, and what they remember."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.files import open_private, private_folder
from run.summary import LATEST_PAGE
from warehouse import Warehouse
from warehouse.runs import known_runs

PERSONAL_MARK = "<!-- with personal data -->"
"""The last line of a page that may show names, contacts and addresses."""
_RUN_ID = r"(?P<run>\d{8}T\d{6}-[0-9a-f]{6})"
_PAGE = re.compile(rf"{_RUN_ID}\.html")
_PART = re.compile(rf"\.{_RUN_ID}\.[0-9a-f]+\.part")
_FIGURES = re.compile(r'<script\b[^>]*\bid="figures"[^>]*>(?P<json>.*?)</script>', re.DOTALL)


def place(folder: Path, run_id: str) -> Path:
    """Where the page of a run is."""
    return folder / f"{run_id}.html"


def put(folder: Path, run_id: str, text: str, *names: str) -> None:
    """Have a page under each of these names in a folder, which is made if need be. Whoever looks
    there finds the whole page or what was there before; a link of that name is replaced, and what
    it leads to stays as it is. Only its owner can read it.

    Raises `OSError`; nothing half-written stays then.
    """
    private_folder(folder)
    for name in names:
        part = folder / f".{run_id}.{secrets.token_hex(4)}.part"
        try:
            with os.fdopen(
                open_private(part, os.O_CREAT | os.O_EXCL), "w", encoding="utf-8"
            ) as file:
                file.write(text)
            part.replace(folder / name)
        except BaseException as error:  # an interruption too
            with suppress(OSError):
                part.unlink(missing_ok=True)
            if isinstance(error, OSError):  # of the part of it nobody knows
                raise OSError(error.errno, error.strerror, str(folder / name)) from error
            raise


def tidy(folder: Path, keep: int, warehouse: Warehouse) -> Iterator[str]:
    """Remove all but the newest `keep` pages of the runs that a warehouse knows, and what killed
    runs of it have left half-written; 0 keeps all pages. No transaction is open. Yields what could
    not be removed.
    """
    names = [path.name for path in folder.iterdir()]
    pages = {match["run"]: name for name in names if (match := _PAGE.fullmatch(name))}
    parts = {match["run"]: name for name in names if (match := _PART.fullmatch(name))}
    if (not keep or len(pages) <= keep) and not parts:
        return
    warehouse.begin()
    try:
        known = known_runs(warehouse, [*pages, *parts])
    finally:
        warehouse.rollback()
    old = [run for run in known if run in pages][keep:] if keep else []
    for name in [pages[run] for run in old] + [parts[run] for run in known if run in parts]:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            yield f"{folder / name} ({error.strerror})"


def figures_in(folder: Path, run_id: str, *, with_personal: bool) -> Any:
    """What the page of a run remembers of the business; None where there is no page, or it does
    not. A page that was made with personal data counts only `with_personal`, and another one only
    without.
    """
    try:
        text = place(folder, run_id).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None
    found = _FIGURES.search(text)
    if found is None or is_personal(text) != with_personal:
        return None
    try:
        return json.loads(found["json"])
    except (ValueError, RecursionError):
        return None


def is_page(name: str) -> bool:
    """Whether a file has the name of a page."""
    return name == LATEST_PAGE or _PAGE.fullmatch(name) is not None


def is_personal(text: str) -> bool:
    """Whether a page may show names, contacts and addresses."""
    return text.rstrip().endswith(PERSONAL_MARK)

"""The summary of each kind of run, and what `etl_run` keeps of it, key by key.

summaries.json was written by version 0.3.0. It is the contract: who needs the summary
of a run in another program reads these keys. Both engines give the same.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from main import StarSchemaETLPipeline
from support.retailer import Retailer

SUMMARIES = Path(__file__).parent / "summaries.json"
_CHANGES = {"total_duration_seconds", "duration_seconds", "processing_time"}
"""What differs from run to run, beside ids, times and places."""


def lasting(value: Any, shop: Retailer, key: str = "") -> Any:
    """A summary without what differs from run to run."""
    if isinstance(value, dict):
        return {name: lasting(inner, shop, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [lasting(inner, shop) for inner in value]
    if key in _CHANGES:
        assert isinstance(value, float)
        return "<seconds>"
    if isinstance(value, str):
        text = re.sub(r"\d{8}T\d{6}-\w+", "<run>", value).replace(str(shop.folder), "<folder>")
        return re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$", "<moment>", text)
    return value


def summaries(shop: Retailer) -> dict[str, Any]:
    """The summaries of one run of each kind, by kind, and the rows in `etl_run` of the
    first and the last."""
    found: dict[str, Any] = {"published": shop.run()}
    found["repeated"] = shop.run()
    shop.sales[0]["quantity"] = "9"
    found["dry_run"] = shop.run(partial(StarSchemaETLPipeline, dry_run=True))
    found["updated"] = shop.run()
    shop.sales[0]["quantity"] = "many"
    found["gate_failed"] = shop.run(MAX_REJECT_RATE="0")
    found["failed"] = shop.run(CUSTOMERS__PATH=shop.folder / "absent.csv")
    first, *_, last = shop.star.rows(
        "SELECT status, counts, sources, error_class, code_version FROM etl_run ORDER BY sequence"
    )
    columns = ("status", "counts", "sources", "error_class", "code_version")
    found["etl_run"] = [dict(zip(columns, row, strict=True)) for row in (first, last)]
    for row in found["etl_run"]:
        row |= {name: json.loads(row[name]) for name in ("counts", "sources")}
        row["code_version"] = "<version>"
        for name in ("signature", "mark"):
            if name in row["counts"]:
                row["counts"][name] = f"<{name}>"
    return {kind: lasting(summary, shop) for kind, summary in found.items()}


def test_the_summary_of_every_kind_of_run_has_its_keys_and_values(shop: Retailer) -> None:
    found = summaries(shop)
    expected = json.loads(SUMMARIES.read_text(encoding="utf-8"))
    assert list(found) == list(expected)
    for kind, summary in found.items():
        assert json.dumps(summary, indent=1) == json.dumps(expected[kind], indent=1), kind

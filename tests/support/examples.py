"""Generated examples, and what a run makes of any input."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from errors import EXIT_CODES
from support.retailer import Retailer
from support.tables import Row

EXAMPLES = int(os.environ.get("DIRTY_EXAMPLES", "10"))

# One warehouse serves all examples of a test: a star that has seen much is a better test than
# an empty one, and making one takes longer than loading it. A failing example is not made smaller
# when there are few of them, which would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if EXAMPLES > 20 else [])]


def examples(share: float = 1) -> Callable[[Any], Any]:
    """Hypothesis settings for `share` times the usual number of examples."""
    return settings(
        deadline=None,
        max_examples=max(1, int(EXAMPLES * share)),
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )


def expect_accounts(results: Row, shop: Retailer) -> dict[str, Row]:
    """A published run whose rows, money and reject files add up; returns the accounts."""
    assert results["errors"] == []
    assert EXIT_CODES[results["status"]] == 0
    accounts: dict[str, Any] = results["validation_results"]["reconciliation"]
    assert accounts["money"]["closed"]
    for source, account in accounts["sources"].items():
        assert account["closed"]
        rejected = shop.rejects(results, source)
        assert len(rejected) == account["rejected"]
        assert all(row["_reason"] for row in rejected)
        parts = ("inserted", "updated", "unchanged", "duplicate", "rejected")
        assert account["read"] == sum(account[part] for part in parts)
    written = shop.star.scalar(
        "SELECT count(*) FROM fact_sales WHERE run_id = :run", run=results["run_id"]
    )
    sales = accounts["sources"]["transactions"]
    assert written == sales["inserted"] + sales["updated"]
    return dict(accounts["sources"])

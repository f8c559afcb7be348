"""What is worth a look in a load that was not stopped: rejects, members that only facts name, and
values that could not be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from common.outcomes import Account
from common.star_model import Star
from run.summary import Outcomes

_SHOWN = 4
"""So many attributes are named."""


def warnings(outcomes: Outcomes, star: Star, limit: Decimal) -> list[str]:
    """A sentence for each of these that was found. `limit` is WARN_REJECT_RATE."""
    found = list(filter(None, [alarm(outcomes, star, limit) or rejects(outcomes, star)]))
    found += [_inferred(outcomes, star, name) for name in inferred(outcomes)]
    return found + [
        f"{star.source(cleaned.source).called}: {issues(cleaned.attribute_issues)}"
        for cleaned in outcomes.tables.values()
        if cleaned.attribute_issues
    ]


def rejects(outcomes: Outcomes, star: Star) -> str:
    """How many rows were rejected of what, and why mostly; blank where none was."""
    read, rejected = _all(outcomes)
    if not rejected:
        return ""
    parts = [
        f"{star.source(name).called} {account.rejected:,}"
        for name, account in accounts(outcomes).items()
        if account.rejected
    ]
    of = f": {', '.join(parts)}"
    return f"{rejected:,} of {read:,} rows were rejected ({share(rejected, read)}){of}"


def alarm(outcomes: Outcomes, star: Star, limit: Decimal) -> str:
    """`rejects`, where more than `limit` of any source, or of all rows, were; else blank."""
    found = accounts(outcomes)
    read, rejected = _all(outcomes)
    high = [
        f"{star.source(name).called} {share(account.rejected, account.read)}"
        for name, account in found.items()
        if account.rejected > limit * account.read
    ]
    if not high and rejected <= limit * read:
        return ""
    above = f", {', '.join(high)}" if high else ""
    return f"{rejects(outcomes, star)}; above WARN_REJECT_RATE={limit}{above}"


def accounts(outcomes: Outcomes) -> dict[str, Account]:
    """The accounts by source, once they are closed."""
    validation = outcomes.validation
    if validation is None or validation.reconciliation is None:
        return {}
    return validation.reconciliation.sources


def inferred(outcomes: Outcomes) -> dict[str, int]:
    """By dimension that has any, how many members only facts name."""
    found = {} if outcomes.validation is None else outcomes.validation.inferred
    return {name: count for name, count in found.items() if count}


def members(outcomes: Outcomes, table: str) -> int:
    """How many members a dimension has, without the Unknown one."""
    counts = {} if outcomes.validation is None else outcomes.validation.row_counts
    return max(counts.get(table, 0) - 1, 0)


def issues(found: Mapping[str, int]) -> str:
    """How many values of which attributes could not be used; `found` has them by attribute."""
    most = sorted(found.items(), key=lambda item: -item[1])
    named = ", ".join(f"{name} {count:,}" for name, count in most[:_SHOWN])
    total, more = sum(found.values()), len(most) - _SHOWN
    values = "value is" if total == 1 else "values are"
    others = f" and {more} more" if more > 0 else ""
    return f"{total:,} {values} not usable, and left empty: {named}{others}"


def share(part: int, whole: int) -> str:
    """A share in per cent, with as many digits as it takes to see it."""
    percent = Decimal(100) * part / max(whole, 1)
    if percent and percent < Decimal("0.01"):
        return "< 0.01 %"
    return f"{percent:.2f} %" if percent < 10 else f"{percent:.0f} %"


def _inferred(outcomes: Outcomes, star: Star, table: str) -> str:
    source = next(s for s in star.members if s.feeds.name == table)
    count, total = inferred(outcomes)[table], members(outcomes, table)
    facts = star.sales.called
    known = f"{count:,} of {total:,} {source.called} are known from {facts} only"
    return f"{known} ({share(count, total)})"


def _all(outcomes: Outcomes) -> tuple[int, int]:
    found = accounts(outcomes).values()
    return sum(account.read for account in found), sum(account.rejected for account in found)

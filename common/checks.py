"""Checks that hold what the stages claim against what is in the star."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table

from common.html import Displayed, framed, table
from common.outcomes import CheckResult, MemberCounts

_PROVES = {
    "one Unknown member": "there is just one member for facts whose reference is blank",
    "unique business keys": "no id of the source stands for two members",
    "unique surrogate keys": "no key of the star stands for two members",
    "no other negative keys": "only the Unknown member has a key below 0",
    "dates without gaps": "each day of each year is there once, under its own key",
    "no value is missing": "each fact has all its keys and measures",
    "gross = quantity x unit price": "the gross amount follows from quantity and price",
    "net = gross - discount": "the net amount follows from gross amount and discount",
    "profit = net - quantity x unit cost": "the profit follows from the net amount and the cost",
    "amounts are finite": "no amount is infinite or no number at all",
    "members before + new = now": "the dimension grew by just the members that were loaded",
    "keys are those that were found": "each fact is under the members that its row names",
    "no fact without its members": "no row lost its members while it was loaded",
}
_PROVE_OF = {
    "orphan ": "each fact has its member: no {} leads nowhere",
    "unique ": "no fact is there twice by its {}",
}


def proves(check: str) -> str:
    """What a check proves, in words; of a check that nobody has described, its name."""
    if check in _PROVES:
        return _PROVES[check]
    of = next((text for begins, text in _PROVE_OF.items() if check.startswith(begins)), "")
    return of.format(check.partition(" ")[2]) if of else check


def failures(checks: Iterable[CheckResult]) -> list[str]:
    """What those of `checks` that failed found, in words."""
    return [
        f"{c.table}: {c.problems} of {c.rows} rows fail the check '{c.check}'"
        for c in checks
        if c.problems
    ]


def shown(results: Mapping[str, Any]) -> Displayed:
    """What `run_all_checks` returns, which a notebook shows as tables."""
    return Displayed(results, "checks of the star", _html)


def _html(results: Mapping[str, Any]) -> str:
    checks = results["checks"]
    kinds = {kind: [c for c in checks if c["status"] == kind] for kind in ("failed", "passed")}
    problems = [(c["check"], c["table"], f"{c['problems']:,}") for c in kinds["failed"]]
    sign = "bad'>✘" if problems else "good'>✔"
    told = f"{len(problems)} of {len(checks)} checks failed" if problems else "nothing is wrong"
    html = f"<div class='verdict'><div><span class='{sign} {told}</span></div></div>"
    if problems:
        html += table(("failed", "table", "rows that break it"), problems, right=(2,))
    html += table(
        ("table", "rows"), [(t, f"{n:,}") for t, n in results["row_counts"].items()], right=(1,)
    )
    passed = [(c["check"], c["table"], f"{c['rows']:,}") for c in kinds["passed"]]
    passed_html = table(("check", "table", "rows"), passed, right=(2,))
    html += f"<details><summary>{len(passed)} checks passed</summary>{passed_html}</details>"
    return framed(html)


def member_checks(
    before: dict[str, int], loaded: dict[str, MemberCounts], now: dict[str, int]
) -> list[CheckResult]:
    """Whether each dimension grew by just the members that its loader says are new.

    `before` counts the members without the Unknown one; `now` are the row counts of the validator.
    """
    return [
        CheckResult.of(
            "members before + new = now",
            table,
            abs(before[table] + new.inserted + new.inferred + 1 - now[table]),
            now[table],
        )
        for table, new in loaded.items()
    ]


def key_check(fact: Table, found: int, in_star: int, rows: int) -> CheckResult:
    """Whether facts have the keys that were found for them, compared by `key_sum`: no other check
    sees a fact under the wrong customer or day, as long as those exist.
    """
    return CheckResult.of("keys are those that were found", fact.name, int(found != in_star), rows)


def orphan_check(fact: Table, lost: int, rows: int) -> CheckResult:
    """Whether each fact found its members: orphans were refused, or members inferred, before."""
    return CheckResult.of("no fact without its members", fact.name, lost, rows + lost)

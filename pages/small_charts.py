"""Small charts of a run beside its tables: where the money went, where the time, and the months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from common.outcomes import Account, MoneyAccount
from config import StarSchemaConfig
from report.accounts import money
from report.figures import amount, duration, places_of
from report.look_at import reasons
from run.summary import SHORT, RunSummary

_LOST = {
    "duplicate": "duplicates", "rejected": "rejected", "skipped": "skipped", "deleted": "removed",
}  # fmt: skip
_KEPT = {"unchanged": "same", "updated": "changed", "inserted": "new", "loaded": "new or changed"}
_MOST = 6
"""So many reasons are drawn."""
_MINUS = "\u2212"
_MONTHS = 12
"""So many months."""


@dataclass(frozen=True)
class Bar:
    """A bar from `start` on, `width` wide, both as shares of the whole."""

    name: str
    shown: str
    start: float
    width: float
    kind: str = "kept"
    """`kept`, `lost` or `whole`, which is its colour."""


def charts(summary: RunSummary, config: StarSchemaConfig) -> str:
    """The charts that there is something for; blank where there is none."""
    second = [*_months(summary), *_reasons(summary)][:1]
    drawn = [*_account(summary, config), *second, *_phases(summary)]
    return f'<div class="charts">{"".join(drawn)}</div>' if drawn else ""


def _account(summary: RunSummary, config: StarSchemaConfig) -> Iterator[str]:
    """What became of the money, or of the rows where it is of several currencies."""
    found = summary.outcomes.validation
    if found is None or found.reconciliation is None:
        return
    by_currency = money(found.reconciliation)
    name, parts = (
        config.star.sales.called,
        _of(found.reconciliation.sources[config.star.sales.name]),
    )
    for called, (account, _) in by_currency.items() if len(by_currency) == 1 else ():
        amounts = _of(account)
        if min(amounts.values()) >= 0:  # with returns they are no parts of a whole
            name, parts = called, amounts
    read = parts.pop("read")
    if not read:
        return
    places = places_of([read, *parts.values()])
    bars, left = [Bar("read", amount(read, places), 0, 1, "whole")], 1.0
    for kind, part in parts.items():
        share = float(part / read)
        left -= share
        told = _LOST.get(kind) or _KEPT[kind]
        is_lost = kind in _LOST
        bars.append(
            Bar(told, amount(part, places), max(left, 0), share, "lost" if is_lost else "kept")
        )
    yield _figure(f"what became of the {name}", bars)


def _of(account: Account | MoneyAccount) -> dict[str, Decimal]:
    """What was read, and what became of it; without what there is nothing of."""
    kinds = [kind for kind in (*_LOST, *_KEPT) if getattr(account, kind, 0)]
    return {kind: Decimal(getattr(account, kind)) for kind in ("read", *kinds)}


def _months(summary: RunSummary) -> Iterator[str]:
    """How the run moved the net amount of each month, where that is of one currency."""
    months = summary.changes.months if summary.success and summary.changes else []
    if not months or len({month.currency for month in months}) > 1:
        return
    last = months[-_MONTHS:]
    most = max(abs(month.difference) for month in last)
    places = places_of(month.difference for month in last)
    bars = [
        Bar(
            month.month,
            f"{'+' * (month.difference > 0)}{amount(month.difference, places, _MINUS)}",
            0,
            float(abs(month.difference) / most),
            "kept" if month.difference > 0 else "lost",
        )
        for month in last
    ]
    more = f", the last {_MONTHS} of {len(months)} months" if len(months) > _MONTHS else ""
    yield _figure(f"net amount by month, as this run moved it{more}", bars)


def _reasons(summary: RunSummary) -> Iterator[str]:
    found = reasons(summary.outcomes)
    if found:
        most = found[0].rows
        bars = [Bar(r.name, f"{r.rows:,}", 0, r.rows / most, "lost") for r in found[:_MOST]]
        more = f", {_MOST} of {len(found)}" if len(found) > _MOST else ""
        yield _figure(f"why rows were rejected{more}", bars)


def _phases(summary: RunSummary) -> Iterator[str]:
    phases = summary.outcomes.phases
    came = {SHORT[name]: p.duration_seconds for name, p in phases.items() if p.status != "not_run"}
    whole = sum(came.values())
    bars, start = [], 0.0
    for name, seconds in came.items():
        bars.append(Bar(name, duration(seconds), start, seconds / whole if whole else 0, "whole"))
        start += bars[-1].width
    if bars:
        yield _figure("where the time went", bars)


def _figure(caption: str, bars: Sequence[Bar]) -> str:
    """Bars below each other, each with its name and its figure."""
    rows = "".join(
        f'<tr><th scope="row">{escape(bar.name)}</th><td class="bar"><span class="{bar.kind}" '
        f'style="margin-left:{100 * bar.start:.1f}%;width:{100 * bar.width:.1f}%"></span></td>'
        f'<td class="r">{escape(bar.shown)}</td></tr>'
        for bar in bars
    )
    return (
        f"<figure><table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table></figure>"
    )

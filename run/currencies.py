"""Amounts of several currencies are not added up in silence: what a run does about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.currencies import can_be_one
from common.source_settings import SourceSettings
from common.star_model import Star
from config import StarSchemaConfig
from errors import GateError
from run.clean_source import CleanSource
from run.frame import Run
from sources.raw_source import RawSource

_MOST_LISTED = 6


@dataclass
class Found:
    """The currencies of the star and of tonight."""

    known: dict[str, int]
    """By currency, in how many amounts it was seen last."""
    refusal: str = ""
    """Why amounts cannot be added up."""
    warnings: list[str] = field(default_factory=list)


def judge(
    config: StarSchemaConfig,
    extracted: Mapping[str, RawSource],
    cleaned: Mapping[str, CleanSource],
    known: Mapping[str, int],
) -> Found:
    """What is to be said of the currencies of tonight's input, and of those `known` in the star."""
    name = config.star.sales.name
    sales, settings = cleaned[name], config.source(name)
    seen = Counter(sales.currencies)
    is_empty = not (extracted[name].records or can_be_one(known))  # of a star that keeps them apart
    if settings.currency is None and (is_empty or "currency" in extracted[name].mapped):
        told = _by_column(config, sales)
        return Found({**known, **seen}, warnings=told)
    told = _costless(config, sales)
    for source, read in extracted.items():
        declared = config.source(source).currency
        if declared is None:
            seen += read.currencies
        elif settings.currency is None:
            seen[declared] += cleaned[source].rows
    kept = known if settings.currency is None else {}
    if settings.currency is not None and not can_be_one({**known, settings.currency: 0}):
        told.append(
            f"{name}: the star has amounts in {_listed(Counter(known))} of nights before "
            f"TRANSACTIONS__CURRENCY={settings.currency}: sums over both mean nothing, so group "
            "by currency, or load those sales again"
        )
    found = Found({**kept, **seen}, warnings=told)
    if not can_be_one({**kept, **seen}):
        before = f", and in the star {_listed(Counter(kept))}" if kept else ""
        tonight = _listed(seen) if seen else "no currency that is told"
        found.refusal = (
            f"amounts are in {tonight}{before}; they would be added up as they stand: set "
            "TRANSACTIONS__CURRENCY to the one currency of the sales, PRODUCTS__CURRENCY to that "
            "of the products, or map the column that has it, such as "
            'TRANSACTIONS__COLUMNS=\'{"currency": "<their column>"}\''
        )
    return found


def take(run: Run, extracted: Mapping[str, RawSource], cleaned: Mapping[str, CleanSource]) -> None:
    """Note the currencies of the run, and warn of them. Raises `GateError` where amounts cannot be
    added up.
    """
    found = judge(run.config, extracted, cleaned, run.currencies)
    run.warn(*found.warnings)
    if found.refusal:
        raise GateError(f"{found.refusal}; nothing was published")
    run.currencies = found.known


def is_by_currency(star: Star, settings: SourceSettings, sales: RawSource, run: Run) -> bool:
    """Whether the sales say their currency, or the star may hold facts that do."""
    if star.currency is None:
        return False
    if settings.currency is not None or star.currency.name in sales.mapped:
        return True
    if run.warehouse.is_created(star.fact):
        return False
    return run.previous is None or run.previous.has_currencies


def _by_column(config: StarSchemaConfig, sales: CleanSource) -> list[str]:
    """Warnings about sales whose currency their own column says."""
    told = []
    if len(sales.currencies) > 1 and "currency" not in config.source(sales.name).columns:
        told.append(
            f"{sales.name}: the column currency has {_listed(sales.currencies)}; sums over "
            f"several currencies mean nothing, so group by it "
            f'({sales.name.upper()}__COLUMNS=\'{{"currency": "currency"}}\' says that you know)'
        )
    if sales.without_cost and config.source("products").currency is None:
        told.append(
            f"{sales.name}: the profit of {sales.without_cost:,} sales is empty, as nothing says "
            "in which currency the products' costs are; PRODUCTS__CURRENCY does"
        )
    return told


def _costless(config: StarSchemaConfig, sales: CleanSource) -> list[str]:
    """A warning about sales in another currency than the products' costs."""
    sold, paid = config.source(sales.name).currency, config.source("products").currency
    if not (sales.without_cost and sold and paid) or sold == paid:
        return []
    return [
        f"{sales.name}: the profit of {sales.without_cost:,} sales is empty, as they are in {sold} "
        f"(TRANSACTIONS__CURRENCY) and the products' costs in {paid} (PRODUCTS__CURRENCY)"
    ]


def _listed(found: Counter[str]) -> str:
    words = [f"{word} ({count:,})" for word, count in found.most_common(_MOST_LISTED)]
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(words) + more

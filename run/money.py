"""Whether the amounts of a run may be of several currencies, so that they are told apart."""

from __future__ import annotations

from common.source_settings import SourceSettings
from common.star_model import Star
from run.frame import Run
from sources.raw_source import RawSource


def is_by_currency(star: Star, settings: SourceSettings, sales: RawSource, run: Run) -> bool:
    """Whether the sales say their currency, or the star may hold facts that do."""
    if star.currency is None:
        return False
    if settings.currency is not None or star.currency.name in sales.mapped:
        return True
    if run.warehouse.is_created(star.fact):
        return False
    return run.previous is None or run.previous.has_currencies

"""The settings of sources that hold the orders of others' lines: see `SourceSettings.join`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from common.setting_texts import parse_json
from common.source_settings import SourceSettings
from common.star_model import Star

_OF_VALUES = (
    "date_formats", "timezone", "locale", "decimal_separator", "rate_unit", "null_tokens",
)  # fmt: skip
"""How values are written: what an order says is read as if its lines said it."""
_OF_FACTS = ("join", "extract", "period", "watermark", "lag", "split_by", "currency", "key_case")


def joined_sources(settings: Iterable[Any]) -> list[str]:
    """The names of the sources that others are joined with; `settings` as they are given."""
    names: dict[str, None] = {}
    for given in settings:
        join = given.get("join") if isinstance(given, dict) else getattr(given, "join", None)
        with suppress(ValueError):
            join = parse_json(join)
        name = join.get("source") if isinstance(join, dict) else getattr(join, "source", None)
        if isinstance(name, str):
            names[name] = None
    return list(names)


def with_values_of_lines(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are given; those of orders have what those of their lines say of values,
    unless they say it themselves.
    """
    merged = dict(given)
    for name, lines in given.items():
        for orders in joined_sources([lines]):
            own = merged.get(orders, {})
            if isinstance(lines, dict) and isinstance(own, dict) and orders != name:
                shared = {part: lines[part] for part in _OF_VALUES if part in lines}
                merged[orders] = {**shared, **own}
    return merged


def join_problems(sources: Mapping[str, SourceSettings], star: Star) -> Iterator[str]:
    """What is wrong with the sources of orders."""
    of_facts, named = star.sales.name, {source.name for source in star.sources}
    for name, settings in sources.items():
        join, setting = settings.join, f"{name.upper()}__JOIN"
        if join is None:
            continue
        if name != of_facts:
            yield f"{setting}: only {of_facts.upper()} may have orders elsewhere"
        elif join.source in named:
            yield f"{setting}: {join.source} is a source of its own; call the orders otherwise"
        elif sources[join.source].path is None:
            yield f"{join.source.upper()}__PATH is missing, where the orders of {setting} are"
        else:
            yield from _problems_of_orders(name, settings, join.source, sources[join.source])


def _problems_of_orders(
    name: str, lines: SourceSettings, theirs: str, orders: SourceSettings
) -> Iterator[str]:
    for part in _OF_VALUES:
        if getattr(orders, part) != getattr(lines, part):
            setting = f"{name.upper()}__{part.upper()}"
            yield f"{theirs.upper()}__{part.upper()}: values of orders are read by {setting}"
    for part in _OF_FACTS:
        if getattr(orders, part) != SourceSettings.model_fields[part].get_default():
            yield f"{theirs.upper()}__{part.upper()} is of sales, not of their orders"
